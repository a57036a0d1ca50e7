import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../src/platform/graphql/node-ids.ts';
import { type SimulatedProvider, Simulator } from '../../src/simulator/simulator.ts';
import { type TestMember, testEnvironment, uuidIn } from '../support/app.ts';
import { testDatabaseUrl } from '../support/database.ts';
import { type FrontDoor, frontDoor } from '../support/front-door.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, PROVIDERS } from '../support/payments.ts';
import { type ServerNode, startNode } from '../support/process.ts';
import { expectBooksToAgree, expectNothingOpen, type Outcome, outcomeOf } from '../support/provider-books.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();

const PRICE = 80_000;
const MEMBERS = 40;
const BOOKED: Outcome = { hold: 'CONFIRMED', payment: 'APPROVED', captures: 1, keptMinor: PRICE };
const NOT_TAKEN: Outcome = { hold: 'RELEASED', payment: 'REFUSED', captures: 0, keptMinor: 0 };
const TAKEN_BACK: Outcome = { hold: 'RELEASED', payment: 'REFUNDED', captures: 1, keptMinor: 0 };

/** A member who pays, and how. Whoever prepares at one node comes back to the other. */
interface Payer {
  member: TestMember;
  provider: SimulatedProvider;
  holdId: string;
  idempotencyKey: string;
  /** Where he prepares. */
  node(): ServerNode;
}

describe('two nodes on one database, both with a reconciler, and every customer comes back to the one that knows nothing of him', () => {
  let simulator: Simulator;
  let database: Awaited<ReturnType<typeof testDatabaseUrl>>;
  /** Where the customers of node A come back to: node B, and the other way round. */
  let doorToB: FrontDoor;
  let doorToA: FrontDoor;
  let a: ServerNode;
  let b: ServerNode;

  const start = (door: FrontDoor) =>
    startNode(
      testEnvironment(database.url, {
        PAYMENT_SIMULATOR_URL: simulator.url,
        PUBLIC_URL: door.url,
        // Both processes share two cores with forty customers: slow is not lost.
        PAYMENT_ANSWER_TIMEOUT_MS: '8000',
        PAYMENT_CONNECT_TIMEOUT_MS: '5000',
      }),
      '--role',
      'all',
    );

  beforeAll(async () => {
    simulator = await Simulator.start();
    database = await testDatabaseUrl();
    [doorToA, doorToB] = await Promise.all([frontDoor(), frontDoor()]);
    [a, b] = await Promise.all([start(doorToB), start(doorToA)]);
    doorToA.leadTo(a.url);
    doorToB.leadTo(b.url);
    // Neither the node that prepared nor the one the customer comes back to is always the one that hears of it.
    simulator.registerWebhook('TOSS', `${doorToA.url}/webhooks/toss`);
    simulator.registerWebhook('PORTONE', `${doorToB.url}/webhooks/portone`);
    simulator.registerWebhook('KISPG', `${doorToA.url}/webhooks/kispg`);
  }, 300_000);
  afterAll(async () => {
    await Promise.all([a.stop(), b.stop()]);
    await Promise.all([doorToA, doorToB].map((door) => door[Symbol.asyncDispose]()));
    await simulator.close();
    await database.drop();
  });

  /** Members with a place each, the same number for each provider. */
  async function payers(): Promise<{ lessonId: string; payers: Payer[] }> {
    const lessonId = await b.lesson({ capacity: MEMBERS, priceMinor: PRICE });
    const members = await b.members(MEMBERS);
    const made = await Promise.all(
      members.map(async (member, index) => {
        const { enrollment } = await member.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
        return {
          member,
          provider: PROVIDERS[index % 4]!,
          holdId: enrollment.id,
          idempotencyKey: randomUUID(),
          node: () => (index % 8 < 4 ? a : b),
        };
      }),
    );
    return { lessonId, payers: made };
  }

  const prepare = (node: ServerNode, { member, provider, holdId, idempotencyKey }: Payer) =>
    node.anonymous.as(member.accessToken).run('TestPreparePayment', { input: { holdId, provider, idempotencyKey } });

  const outcomesOf = (paymentIds: readonly string[]) => Promise.all(paymentIds.map((id) => outcomeOf(b, simulator, id)));
  const approvalsUnderWay = (orderIds: ReadonlySet<string>) =>
    simulator.calls.filter(({ call, status, orderId }) => call === 'approve' && status === null && orderIds.has(orderId ?? '')).length;
  const isOver = ({ state }: { state: string }) => state !== 'PENDING' && state !== 'REFUNDING';

  test('40 members with all four providers: each is booked exactly once, with one capture', async () => {
    const { lessonId, payers: all } = await payers();

    const paymentIds = await Promise.all(
      all.map(async (payer) => {
        const { payment } = await prepare(payer.node(), payer);
        const back = await atCheckout(payment);
        expect(new URL(back!.url).origin).toBe(payer.node() === a ? doorToB.url : doorToA.url);
        return payment.id;
      }),
    );
    await eventually(() => expectNothingOpen(b));

    expect(await outcomesOf(paymentIds)).toEqual(Array(MEMBERS).fill(BOOKED));
    expect(await b.counters(lessonId)).toEqual({ capacity: MEMBERS, held: 0, sold: MEMBERS });
    expect(simulator.calls.filter(({ call }) => call === 'approve')).toHaveLength(MEMBERS);
    await expectBooksToAgree(b, simulator);
    expect(await b.brokenInvariants()).toEqual([]);
  }, 180_000);

  // Last: it ends node A.
  test('one of them is killed in the middle: who was cut off comes back with the same key, and nobody pays twice or for nothing', async () => {
    const { lessonId, payers: all } = await payers();
    // So that the node dies with many approvals under way.
    for (const provider of PROVIDERS)
      simulator.order({ provider, call: 'approve', fault: 'LATENCY', milliseconds: 4_000, times: MEMBERS / 4 });
    const cutOff = new Set<Payer>();
    /** A page did not load, so the member presses again, at the node there is, until the payment is over. */
    const comeBack = (payer: Payer) =>
      eventually(
        async () => {
          const { payment, code } = await prepare(b, payer);
          if (payment?.checkout) await atCheckout(payment).catch(() => undefined);
          return code === 'PAYMENT_REFUSED' || (payment && isOver(payment));
        },
        { withinMs: 120_000 },
      );
    /** The orders whose customers come back to each node. */
    const ordersAt = { a: new Set<string>(), b: new Set<string>() };
    const pay = async (payer: Payer) => {
      try {
        const { payment } = await prepare(payer.node(), payer);
        ordersAt[payer.node() === a ? 'b' : 'a'].add(uuidIn(payment.id));
        await atCheckout(payment);
      } catch {
        cutOff.add(payer);
        await comeBack(payer);
      }
    };

    const rush = Promise.all(all.map(pay));
    // Each node is at some: those of the one are cut off, those of the other are not.
    await eventually(() => approvalsUnderWay(ordersAt.a) >= 3 && approvalsUnderWay(ordersAt.b) >= 3, { withinMs: 60_000 });
    await a.process.kill();
    doorToA.leadTo(b.url);
    await rush;
    await eventually(() => expectNothingOpen(b), { withinMs: 120_000 });

    const ends = await Promise.all(
      all.map(async (payer) => {
        const [payment, ...more] = await b.query<{ id: string }>('select id from payment where idempotency_key = $1', [
          payer.idempotencyKey,
        ]);
        expect(more).toEqual([]);
        return { payer, end: await outcomeOf(b, simulator, toNodeId('Payment', payment!.id)) };
      }),
    );
    // KISPG cannot be asked: an approval whose answer died with the node is taken back.
    const mayEnd = ({ provider }: Payer) => (provider === 'KISPG' ? [BOOKED, TAKEN_BACK, NOT_TAKEN] : [BOOKED]);
    for (const { payer, end } of ends) expect(mayEnd(payer)).toContainEqual(end);
    const booked = ends.filter(({ end }) => end.hold === 'CONFIRMED').length;
    expect(await b.counters(lessonId)).toEqual({ capacity: MEMBERS, held: 0, sold: booked });
    expect([cutOff.size > 0, cutOff.size < MEMBERS]).toEqual([true, true]);
    await expectBooksToAgree(b, simulator);
    expect(await b.brokenInvariants()).toEqual([]);
  }, 300_000);
});
