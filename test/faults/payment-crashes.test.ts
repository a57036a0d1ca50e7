import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { WAYPOINTS, type Waypoint } from '../../src/features/bookings/waypoints.ts';
import { toNodeId } from '../../src/platform/graphql/node-ids.ts';
import { type SimulatedProvider, Simulator } from '../../src/simulator/simulator.ts';
import { testEnvironment, uuidIn } from '../support/app.ts';
import { testDatabaseUrl } from '../support/database.ts';
import { type FrontDoor, frontDoor } from '../support/front-door.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, ended, heldLesson } from '../support/payments.ts';
import { type ServerNode, startNode } from '../support/process.ts';
import { expectBooksToAgree, expectNothingOpen, type Outcome, outcomeOf } from '../support/provider-books.ts';
import { query } from '../support/sql.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();
jest.setTimeout(180_000);

const PRICE = 80_000;

const OPENED: Outcome = { hold: 'HELD', payment: 'PENDING', captures: 0, keptMinor: 0 };
const NEVER_BEGUN: Outcome = { hold: 'HELD', payment: 'ABANDONED', captures: 0, keptMinor: 0 };
const PAYING: Outcome = { hold: 'PAYING', payment: 'PENDING', captures: 0, keptMinor: 0 };
const TAKEN: Outcome = { ...PAYING, captures: 1, keptMinor: PRICE };
const TAKEN_BACK: Outcome = { hold: 'RELEASED', payment: 'REFUNDED', captures: 1, keptMinor: 0 };
const NOT_TAKEN: Outcome = { hold: 'RELEASED', payment: 'REFUSED', captures: 0, keptMinor: 0 };
const NOT_PAID: Outcome = { hold: 'RELEASED', payment: 'ABANDONED', captures: 0, keptMinor: 0 };
const BOOKED: Outcome = { hold: 'CONFIRMED', payment: 'APPROVED', captures: 1, keptMinor: PRICE };
const GIVING_BACK: Outcome = { hold: 'CONFIRMED', payment: 'REFUNDING', captures: 1, keptMinor: PRICE };
const GIVEN_BACK: Outcome = { ...GIVING_BACK, keptMinor: 0 };
const RETURNED: Outcome = { hold: 'RETURNED', payment: 'REFUNDED', captures: 1, keptMinor: 0 };
const HALF_GIVEN_BACK: Outcome = { ...GIVING_BACK, keptMinor: PRICE / 2 };
const HALF_BOOKED: Outcome = { ...BOOKED, keptMinor: PRICE / 2 };

/** The customer at the other process: goes on with the same key, only repeats it when all is over, or never comes and lets every deadline pass. */
type Customer = 'goes on' | 'repeats' | 'is gone';

interface Crash {
  provider: SimulatedProvider;
  at: Waypoint;
  /** The provider carries out the approval and its answer is lost. */
  losesAnswer?: boolean;
  /** An administrator gives half of it back, instead of the member who cancels. */
  givesHalfBack?: boolean;
  customer: Customer;
  /** What the dead process leaves. */
  left: Outcome;
  end: Outcome;
}

const CRASHES: Crash[] = [
  { provider: 'TOSS', at: 'payment-opened', customer: 'goes on', left: OPENED, end: BOOKED },
  { provider: 'TOSS', at: 'payment-opened', customer: 'is gone', left: OPENED, end: NEVER_BEGUN },
  { provider: 'TOSS', at: 'prepare-answered', customer: 'goes on', left: OPENED, end: BOOKED },
  { provider: 'TOSS', at: 'prepare-answered', customer: 'is gone', left: OPENED, end: NEVER_BEGUN },
  { provider: 'TOSS', at: 'paying-started', customer: 'goes on', left: PAYING, end: BOOKED },
  { provider: 'TOSS', at: 'paying-started', customer: 'is gone', left: PAYING, end: NOT_PAID },
  { provider: 'TOSS', at: 'approval-recorded', customer: 'repeats', left: PAYING, end: BOOKED },
  { provider: 'TOSS', at: 'approval-answered', customer: 'repeats', left: TAKEN, end: BOOKED },
  { provider: 'TOSS', at: 'find-answered', losesAnswer: true, customer: 'repeats', left: TAKEN, end: BOOKED },
  { provider: 'TOSS', at: 'payment-concluded', customer: 'repeats', left: BOOKED, end: BOOKED },
  { provider: 'TOSS', at: 'refund-recorded', customer: 'repeats', left: GIVING_BACK, end: RETURNED },
  { provider: 'TOSS', at: 'refund-answered', customer: 'repeats', left: GIVEN_BACK, end: RETURNED },
  { provider: 'TOSS', at: 'refund-concluded', customer: 'repeats', left: RETURNED, end: RETURNED },
  // Without an idempotency key.
  { provider: 'KAKAOPAY', at: 'approval-recorded', customer: 'repeats', left: PAYING, end: BOOKED },
  { provider: 'KAKAOPAY', at: 'approval-answered', customer: 'repeats', left: TAKEN, end: BOOKED },
  { provider: 'KAKAOPAY', at: 'refund-answered', customer: 'repeats', left: GIVEN_BACK, end: RETURNED },
  { provider: 'KAKAOPAY', at: 'refund-answered', givesHalfBack: true, customer: 'repeats', left: HALF_GIVEN_BACK, end: HALF_BOOKED },
  { provider: 'PORTONE', at: 'approval-recorded', customer: 'repeats', left: PAYING, end: BOOKED },
  { provider: 'PORTONE', at: 'approval-answered', customer: 'repeats', left: TAKEN, end: BOOKED },
  // Nobody can ask it what became of an approval, so each is taken back.
  { provider: 'KISPG', at: 'approval-recorded', customer: 'repeats', left: PAYING, end: NOT_TAKEN },
  { provider: 'KISPG', at: 'approval-answered', customer: 'repeats', left: TAKEN, end: TAKEN_BACK },
  { provider: 'KISPG', at: 'void-answered', losesAnswer: true, customer: 'repeats', left: { ...TAKEN, keptMinor: 0 }, end: TAKEN_BACK },
  { provider: 'KISPG', at: 'refund-answered', customer: 'repeats', left: GIVEN_BACK, end: RETURNED },
];

/** What a crash leaves behind. */
interface Wreck {
  left: Outcome;
  endedBy: string | null;
  accessToken: string;
  holdId: string;
  lessonId: string;
  paymentId: string;
  idempotencyKey: string;
}

/** How many processes start at once on the two cores of a small machine. */
const AT_ONCE = 3;

/** One database and one set of providers, for processes that come one after the other. */
class Scene implements AsyncDisposable {
  private readonly doors: FrontDoor[] = [];
  private survivor: ServerNode | undefined;

  private constructor(
    readonly simulator: Simulator,
    private readonly database: Awaited<ReturnType<typeof testDatabaseUrl>>,
  ) {
    // A doorbell would help the reconciler, who must do it alone.
    simulator.sendsWebhooks = false;
  }

  get databaseUrl(): string {
    return this.database.url;
  }

  static async set(): Promise<Scene> {
    return new Scene(await Simulator.start(), await testDatabaseUrl());
  }

  /** Drives a process through a payment and what gives it back, until it is dead. */
  async wreckOf({ provider, at, losesAnswer, givesHalfBack }: Crash): Promise<Wreck> {
    const { node: victim, door } = await this.start(['--role', 'api'], { PAYMENT_KILL_AT: at });
    door.leadTo(victim.url);
    const { client, accessToken, holdId, lessonId } = await heldLesson(victim, { capacity: 1, priceMinor: PRICE });
    const idempotencyKey = randomUUID();
    const drive = async () => {
      const { payment } = await client.run('TestPreparePayment', { input: { holdId, provider, idempotencyKey } });
      if (losesAnswer) this.simulator.order({ provider, call: 'approve', fault: 'RESET_AFTER', orderId: uuidIn(payment.id) });
      await atCheckout(payment);
      if (givesHalfBack) await this.giveHalfBack(victim, payment.id);
      else await client.run('TestCancelBooking', { input: { holdId } });
    };
    const cutShort = await drive().then(
      () => null,
      (error: unknown) => error,
    );
    if (cutShort === null) throw new Error(`Nothing came by ${at} at ${provider}.`);
    await eventually(() => !victim.process.isRunning, { withinMs: 60_000 }).catch(() => {
      throw new Error(`What cut the customer short was not that the server died at ${at} at ${provider}.`, { cause: cutShort });
    });
    const { signal } = await victim.process.ended();
    await victim.stop();
    const [payment] = await victim.query<{ id: string }>('select id from payment where idempotency_key = $1', [idempotencyKey]);
    const paymentId = toNodeId('Payment', payment?.id ?? '');
    const left = await outcomeOf(victim, this.simulator, paymentId);
    return { left, endedBy: signal, accessToken, holdId, lessonId, paymentId, idempotencyKey };
  }

  /** The process that comes after the dead ones, at their addresses, with the reconciler. */
  async survive(): Promise<ServerNode> {
    // The dead said for how long they would be at it; nobody waits that long here.
    await query(
      this.databaseUrl,
      'update payment set busy_until = clock_timestamp(), next_look_at = clock_timestamp() where busy_until > clock_timestamp()',
    );
    const { node } = await this.start(['--role', 'all']);
    this.survivor = node;
    for (const door of this.doors) door.leadTo(node.url);
    return node;
  }

  private async start(args: string[], environment: Record<string, string> = {}) {
    const door = await frontDoor();
    this.doors.push(door);
    const addresses = { PAYMENT_SIMULATOR_URL: this.simulator.url, PUBLIC_URL: door.url };
    return { door, node: await startNode(testEnvironment(this.database.url, { ...addresses, ...environment }), ...args) };
  }

  private async giveHalfBack(node: ServerNode, paymentId: string): Promise<void> {
    const { client } = await node.admin();
    await client.run('TestRefundPayment', {
      input: { paymentId, amountMinor: PRICE / 2, cancelsBooking: false, reason: 'Half a month', idempotencyKey: randomUUID() },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.survivor?.stop();
    for (const door of this.doors) await door[Symbol.asyncDispose]();
    await this.simulator.close();
    await this.database.drop();
  }
}

describe('a process killed at', () => {
  let scene: Scene;
  let survivor: ServerNode;
  const wrecks = new Map<Crash, Wreck>();

  beforeAll(async () => {
    scene = await Scene.set();
    const waiting = [...CRASHES];
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let crash = waiting.shift(); crash; crash = waiting.shift()) wrecks.set(crash, await scene.wreckOf(crash));
      }),
    );
    survivor = await scene.survive();
  }, 600_000);
  afterAll(() => scene[Symbol.asyncDispose]());

  test.each(CRASHES)('$at at $provider, when the customer $customer: $end.hold and $end.payment', async (crash) => {
    const wreck = wrecks.get(crash)!;
    const { accessToken, holdId, lessonId, paymentId, idempotencyKey } = wreck;
    const { provider, customer, end } = crash;
    const client = survivor.anonymous.as(accessToken);
    const repeat = () => client.run('TestPreparePayment', { input: { holdId, provider, idempotencyKey } });
    expect({ left: wreck.left, endedBy: wreck.endedBy }).toEqual({ left: crash.left, endedBy: 'SIGKILL' });

    if (customer === 'goes on') {
      const { payment } = await repeat();
      expect(payment.id).toBe(paymentId);
      expect(await atCheckout(payment)).toMatchObject({ status: 303 });
    }
    if (customer === 'is gone')
      await survivor.query('update payment set pay_by = clock_timestamp(), next_look_at = clock_timestamp() where id = $1', [
        uuidIn(paymentId),
      ]);
    await ended(client, paymentId);

    expect(await outcomeOf(survivor, scene.simulator, paymentId)).toEqual(end);
    const { held, sold } = await survivor.counters(lessonId);
    expect({ held, sold }).toEqual({ held: end.hold === 'HELD' ? 1 : 0, sold: end.hold === 'CONFIRMED' ? 1 : 0 });
    expect(await repeat()).toMatchObject({ __typename: 'PreparePaymentSuccess', payment: { id: paymentId, state: end.payment } });
    if (end.hold === 'RETURNED')
      expect((await client.run('TestCancelBooking', { input: { holdId } })).hold).toMatchObject({ id: holdId, state: 'RETURNED' });
    expect(await outcomeOf(survivor, scene.simulator, paymentId)).toEqual(end);
    expect(await survivor.brokenInvariants()).toEqual([]);
  });

  test('every waypoint there is has been died at', () => {
    expect(new Set(CRASHES.map(({ at }) => at))).toEqual(new Set(WAYPOINTS));
  });

  test('nothing is open afterwards, our books agree with the providers’, and each member has one payment', async () => {
    await eventually(() => expectNothingOpen(survivor));

    await expectBooksToAgree(survivor, scene.simulator);
    expect(await survivor.query('select count(*)::int as payments from payment')).toEqual([{ payments: CRASHES.length }]);
    expect(await survivor.brokenInvariants()).toEqual([]);
  });
});

describe('a process killed after a refund of a part, at a provider that can neither be asked nor told the same twice', () => {
  const crash: Crash = {
    provider: 'KISPG',
    at: 'refund-answered',
    givesHalfBack: true,
    customer: 'repeats',
    left: HALF_GIVEN_BACK,
    end: HALF_BOOKED,
  };

  test('does not lead to a second one: it waits for an operator, who says what the provider’s console shows', async () => {
    await using scene = await Scene.set();
    const { paymentId, left } = await scene.wreckOf(crash);
    expect(left).toEqual(crash.left);

    const survivor = await scene.survive();
    await eventually(async () =>
      expect(
        await survivor.query("select 1 from payment where next_look_at > clock_timestamp() + interval '1 minute' and busy_until < now()"),
      ).toHaveLength(1),
    );
    expect(await outcomeOf(survivor, scene.simulator, paymentId)).toEqual(crash.left);
    const { client } = await survivor.admin();
    expect(await client.run('TestReconciliation')).toMatchObject({ open: 1 });
    await client.run('TestConcludeRefund', { input: { paymentId, wasRefunded: true } });

    expect(await outcomeOf(survivor, scene.simulator, paymentId)).toEqual(crash.end);
    await expectNothingOpen(survivor);
    await expectBooksToAgree(survivor, scene.simulator);
    expect(await survivor.brokenInvariants()).toEqual([]);
  });

  test('negative control: without the record that it was sent, the money goes back twice, and the provider’s books tell', async () => {
    await using scene = await Scene.set();
    const { paymentId, accessToken } = await scene.wreckOf(crash);
    await query(scene.databaseUrl, 'update refund set sent_at = null where payment_id = $1', [uuidIn(paymentId)]);

    const survivor = await scene.survive();
    await ended(survivor.anonymous.as(accessToken), paymentId);

    expect(await outcomeOf(survivor, scene.simulator, paymentId)).toEqual({ ...BOOKED, keptMinor: 0 });
    await expect(expectBooksToAgree(survivor, scene.simulator)).rejects.toThrow();
  });
});
