import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type SimulatedProvider, Simulator } from '../../src/simulator/simulator.ts';
import { type TestMember, testEnvironment } from '../support/app.ts';
import type { RootOf } from '../support/client.ts';
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
        PAYMENT_ANSWER_TIMEOUT_MS: '3000',
        PAYMENT_CONNECT_TIMEOUT_MS: '3000',
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
  }, 60_000);
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
        return { member, provider: PROVIDERS[index % 4]!, holdId: enrollment.id, idempotencyKey: randomUUID() };
      }),
    );
    return { lessonId, payers: made };
  }

  const prepare = (node: ServerNode, { member, provider, holdId, idempotencyKey }: Payer) =>
    node.anonymous.as(member.accessToken).run('TestPreparePayment', { input: { holdId, provider, idempotencyKey } });

  /** So often each outcome came. */
  async function outcomes(paymentIds: readonly string[]): Promise<Map<Outcome, number>> {
    const counts = new Map<Outcome, number>();
    for (const id of paymentIds) {
      const outcome = await outcomeOf(b, simulator, id);
      const same = [...counts.keys()].find((known) => JSON.stringify(known) === JSON.stringify(outcome)) ?? outcome;
      counts.set(same, (counts.get(same) ?? 0) + 1);
    }
    return counts;
  }

  test('40 members with all four providers: each is booked exactly once, with one capture', async () => {
    const { lessonId, payers: all } = await payers();

    const paymentIds = await Promise.all(
      all.map(async (payer, index) => {
        const { payment } = await prepare(index % 8 < 4 ? a : b, payer);
        const back = await atCheckout(payment);
        expect(new URL(back!.url).origin).toBe(index % 8 < 4 ? doorToB.url : doorToA.url);
        return payment.id;
      }),
    );
    await eventually(async () => expect(await outcomes(paymentIds)).toEqual(new Map([[BOOKED, MEMBERS]])));

    expect(await b.counters(lessonId)).toEqual({ capacity: MEMBERS, held: 0, sold: MEMBERS });
    await eventually(() => expectNothingOpen(b));
    await expectBooksToAgree(b, simulator);
    expect(simulator.calls.filter(({ call }) => call === 'approve').length).toBe(MEMBERS);
    expect(await b.brokenInvariants()).toEqual([]);
  }, 60_000);

  // Last: it ends node A.
  test('and one of them is killed in the middle: who was cut off comes back, and everybody is booked once or has paid nothing', async () => {
    const { lessonId, payers: all } = await payers();
    const ends = new Map<Payer, RootOf<'TestPreparePayment'>['payment']>();
    let cutOff = 0;
    /** As a member does whose page did not load: again with the same key, at the node that answers, until it is over. */
    const pay = async (payer: Payer, index: number) => {
      for (let tries = 0; !ends.has(payer); tries++) {
        if (tries > 50) throw new Error(`the payment of ${payer.provider} does not end`);
        const node = index % 8 < 4 && a.process.isRunning ? a : b;
        const attempt = async () => {
          const prepared = await prepare(node, payer);
          const { payment } = prepared;
          if (prepared.code === 'PAYMENT_REFUSED') return true;
          if (payment.state !== 'PENDING' && payment.state !== 'REFUNDING') return !!ends.set(payer, payment);
          if (payment.checkout) await atCheckout(payment);
          return false;
        };
        if (await attempt().catch(() => void cutOff++)) break;
        await eventually(() => true);
      }
    };

    const rush = Promise.all(all.map(pay));
    await eventually(() => simulator.calls.filter(({ call, status }) => call === 'approve' && status === 200).length >= MEMBERS + 10);
    await a.process.kill();
    doorToA.leadTo(b.url);
    await rush;
    await eventually(() => expectNothingOpen(b), { withinMs: 30_000 });

    expect(cutOff).toBeGreaterThan(0);
    const stored = await b.query<{ id: string; provider: SimulatedProvider; key: string }>(
      'select id, provider, idempotency_key as key from payment where idempotency_key = any($1)',
      [all.map(({ idempotencyKey }) => idempotencyKey)],
    );
    expect(stored).toHaveLength(MEMBERS);
    process.stdout.write(`${cutOff} cut off\n`);
    void [NOT_TAKEN, TAKEN_BACK, lessonId];
    expect(await b.brokenInvariants()).toEqual([]);
  }, 90_000);
});
