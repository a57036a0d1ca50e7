import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { expect } from '@jest/globals';
import type { FollowUp } from '../../src/features/bookings/index.ts';
import type { IfPaidLate } from '../../src/inventory/claim.ts';
import type { SimulatedCall } from '../../src/simulator/simulator.ts';
import { type TestApp, type TestMember, testApp, uuidIn } from './app.ts';
import type { RootOf, TestClient } from './client.ts';
import { atCheckout } from './payments.ts';
import { eventually } from './wait.ts';

/** Trials of one race. */
export const TRIALS = 200;
/** Trials that run beside each other, each with members of its own. */
const ABREAST = 8;

/** How a trial ended, before anything comes to rest: the hold it was about, and what the rivals were told. */
export interface Raced {
  holdId: string;
  /** Asked once everything has come to rest. */
  said?: () => string | Promise<string>;
}

/** How a hold for 80,000 may end. */
const ENDS: Record<string, Outcome> = {
  booked: { hold: 'CONFIRMED', payments: ['APPROVED'], captures: 1, keptMinor: 80_000, followUps: 1 },
  'booked late': { hold: 'RELEASED', payments: ['APPROVED'], captures: 1, keptMinor: 80_000, followUps: 1 },
  'booked and cancelled': { hold: 'RETURNED', payments: ['REFUNDED'], captures: 1, keptMinor: 0, followUps: 1 },
  'given up': { hold: 'RELEASED', payments: ['ABANDONED'], captures: 0, keptMinor: 0, followUps: 0 },
  'taken and given back': { hold: 'RELEASED', payments: ['REFUNDED'], captures: 1, keptMinor: 0, followUps: 0 },
  'booked and lost': { hold: 'RELEASED', payments: ['ABANDONED'], captures: 1, keptMinor: 80_000, followUps: 1 },
  'taken for nothing': { hold: 'RELEASED', payments: ['ABANDONED'], captures: 1, keptMinor: 80_000, followUps: 0 },
};

/** The name of an end, or the end itself where it has none. */
export const endOf = (outcome: Outcome): string =>
  Object.keys(ENDS).find((end) => isDeepStrictEqual(ENDS[end], outcome)) ?? JSON.stringify(outcome);

/** A member with a hold. */
export interface Holder {
  client: TestClient;
  /** The same member at the other node. */
  elsewhere: TestClient;
  holdId: string;
}

/** What became of a hold and of all the money that was paid for it. */
export interface Outcome {
  /** The hold that was to be paid. */
  hold: string;
  /** The states of its payments, in the order they were opened. */
  payments: string[];
  /** How often a provider took money for it, and how much of that it did not give back. */
  captures: number;
  keptMinor: number;
  /** How often what belongs to a confirmed booking was done. */
  followUps: number;
}

/**
 * Two nodes on one database and one simulator, whose PortOne takes the money at its page. Returns and mutations go to whichever node a test sends them to,
 * webhooks to the second. Nobody reconciles by itself: the rounds are rivals of their own. Each confirmed booking leaves a row in
 * `followed_up`, in its own transaction.
 */
export class RacingNodes implements AsyncDisposable {
  private constructor(
    readonly one: TestApp,
    readonly other: TestApp,
  ) {}

  static async open(): Promise<RacingNodes> {
    const one = await testApp({ simulator: { portoneCapture: 'AT_ONCE' }, extra });
    await one.query('create table followed_up (payment_id uuid not null, hold_id uuid not null)');
    const other = await testApp({ databaseUrl: one.databaseUrl, simulator: one.simulator, extra });
    return new RacingNodes(one, other);
  }

  get nodes(): readonly TestApp[] {
    return [this.one, this.other];
  }

  /**
   * Runs a race so many times, {@link TRIALS} unless said otherwise, lets everything come to rest, and counts the ends by the names of {@link endOf}, or of its own.
   * The trials are checked together: an invariant that one of them breaks stays broken.
   */
  async race(
    run: (number: number) => Promise<Raced>,
    nameOf: (outcome: Outcome) => string = endOf,
    trials = TRIALS,
  ): Promise<Record<string, number>> {
    const raced: Raced[] = [];
    let next = 0;
    const lane = async () => {
      for (let number = next++; number < trials; number = next++) raced.push(await run(number));
    };
    // Every lane comes to its end before a failure goes further: what it left running would fail the next test.
    const lanes = await Promise.allSettled(Array.from({ length: ABREAST }, lane));
    for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason;

    await this.rest();
    await this.expectSound();
    const ends: Record<string, number> = {};
    for (const { holdId, said } of raced) {
      const outcome = await this.outcomeOf(holdId);
      const end = [await said?.(), nameOf(outcome)].filter(Boolean).join(', ');
      ends[end] = (ends[end] ?? 0) + 1;
    }
    return ends;
  }

  /** Members enough for a race, each of whom takes a place of one lesson when asked to. */
  async members(choiceOf: (number: number) => IfPaidLate = () => 'SAME_OR_EQUAL'): Promise<(number: number) => Promise<Holder>> {
    const lessonId = await this.one.lesson({ capacity: TRIALS });
    const members = await this.one.members(TRIALS);
    return async (number) => {
      const member = members[number] as TestMember;
      const input = { lessonId, ifPaidLate: choiceOf(number), idempotencyKey: randomUUID() };
      const { enrollment } = await member.client.run('TestEnroll', { input: input as never });
      return { client: member.client, elsewhere: this.other.anonymous.as(member.accessToken), holdId: enrollment.id };
    };
  }

  /** Begins one rival up to 20 ms before or after the other, spread over the trials, so that they meet at every point of each other. */
  async apart<One, Other>(number: number, one: () => Promise<One>, other: () => Promise<Other>): Promise<[One, Other]> {
    const headStartMs = ((number * 7) % 41) - 20;
    const later = async <T>(milliseconds: number, rival: () => Promise<T>) => {
      if (milliseconds > 0) await this.other.app.database.pool.query('select pg_sleep($1 / 1000.0)', [milliseconds]);
      return rival();
    };
    return Promise.all([later(-headStartMs, one), later(headStartMs, other)]);
  }

  /** Ends the time for paying, and lets one node look at what is due. */
  async timeOut(paymentId: string): Promise<void> {
    const pool = this.other.app.database.pool;
    await pool.query('update payment set pay_by = clock_timestamp(), next_look_at = clock_timestamp() where id = $1', [uuidIn(paymentId)]);
    await this.other.app.bookings.reconciler.round();
  }

  /** Both nodes look at a payment as if it were due. */
  async lookNow(paymentId: string): Promise<void> {
    await this.other.app.database.pool.query('update payment set next_look_at = clock_timestamp() where id = $1', [uuidIn(paymentId)]);
    await Promise.all(this.nodes.map(({ app }) => app.bookings.reconciler.round()));
  }

  /** The provider sends every webhook about a payment once more. */
  async ringAgain(paymentId: string): Promise<void> {
    const { simulator } = this.one;
    await Promise.all(simulator.webhooksOf(uuidIn(paymentId)).map((webhook) => simulator.deliver(webhook)));
  }

  async outcomeOf(holdId: string): Promise<Outcome> {
    const { rows } = await this.one.app.database.pool.query<{ id: string; hold: string; payment: string; followUps: number }>(
      `select p.id, h.state as hold, p.state as payment, (select count(*) from followed_up f where f.payment_id = p.id)::int as "followUps"
       from hold h join payment p on p.original_hold_id = h.id where h.id = $1 order by p.id`,
      [uuidIn(holdId)],
    );
    const books = rows.map(({ id }) => this.one.simulator.payment(id)).filter((payment) => payment !== undefined);
    return {
      hold: rows[0]?.hold ?? 'no payment',
      payments: rows.map(({ payment }) => payment),
      captures: books.flatMap(({ entries }) => entries).filter(({ kind }) => kind === 'CAPTURE').length,
      keptMinor: books.reduce((kept, { capturedMinor, refundedMinor }) => kept + capturedMinor - refundedMinor, 0),
      followUps: rows.reduce((sum, row) => sum + row.followUps, 0),
    };
  }

  /** How often a provider was asked for something of a payment. */
  callsOf(paymentId: string, call: SimulatedCall['call']): number {
    return this.one.simulator.calls.filter((made) => made.call === call && made.orderId === uuidIn(paymentId)).length;
  }

  /** Nothing is left to do, and nobody is at anything. */
  async rest(): Promise<void> {
    await eventually(
      async () => {
        for (const node of this.nodes) await node.app.bookings.saga.drained();
        await this.one.app.bookings.reconciler.round();
        const { open } = await this.one.app.bookings.reconciler.summary();
        expect(open).toBe(0);
        expect(await this.kept()).toEqual(this.keptAtProviders());
      },
      { withinMs: 60_000 },
    );
  }

  /** All invariants, the providers' books, and our books beside them: one capture at most, refunds within it, and money is kept exactly for what is booked. */
  async expectSound(): Promise<void> {
    for (const { orderId, capturedMinor, refundedMinor, entries } of this.one.simulator.payments()) {
      expect({ orderId, captures: entries.filter(({ kind }) => kind === 'CAPTURE').length }).toEqual({
        orderId,
        captures: capturedMinor > 0 ? 1 : 0,
      });
      expect(refundedMinor).toBeLessThanOrEqual(capturedMinor);
    }
    expect(await this.kept()).toEqual(this.keptAtProviders());
    expect(await this.one.query(MONEY_WITHOUT_BOOKING)).toEqual([]);
    expect(await this.one.query(FOLLOWED_UP_WRONGLY)).toEqual([]);
    expect(await this.one.brokenInvariants()).toEqual([]);
    expect(this.nodes.flatMap(({ logged }) => logged.filter(({ level }) => Number(level) >= 50))).toEqual([]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.other.close();
    await this.one.close();
  }

  /** What our books say is still with the providers, by payment. */
  private async kept(): Promise<Record<string, number>> {
    const rows = await this.one.query<{ id: string; kept: number }>(
      'select id, (captured_minor - refunded_minor)::int as kept from payment where captured_minor > 0 order by id',
    );
    return Object.fromEntries(rows.map(({ id, kept }) => [id, kept]));
  }

  private keptAtProviders(): Record<string, number> {
    const captured = this.one.simulator.payments().filter(({ capturedMinor }) => capturedMinor > 0);
    return Object.fromEntries(captured.map(({ orderId, capturedMinor, refundedMinor }) => [orderId, capturedMinor - refundedMinor]));
  }
}

const extra = {
  features: [],
  resolvers: () => [],
  followUps: [
    (async (em, bookings) => {
      for (const { paymentId, holdId } of bookings)
        await em.execute('insert into followed_up (payment_id, hold_id) values (?, ?)', [paymentId, holdId]);
    }) satisfies FollowUp,
  ],
};

const MONEY_WITHOUT_BOOKING = `
  select p.id, p.state, h.state as hold from payment p join hold h on h.id = p.hold_id
  where (p.captured_minor > p.refunded_minor) <> (p.is_current and h.state = 'CONFIRMED')`;

const FOLLOWED_UP_WRONGLY = `
  select h.id, h.state, count(f.hold_id) from hold h left join followed_up f on f.hold_id = h.id
  group by h.id having count(f.hold_id) <> case when h.state in ('CONFIRMED', 'RETURNED') then 1 else 0 end`;

/** The customer's browser, whose page may be over by the time it gets there. */
export const browse = (payment: Pick<RootOf<'TestPreparePayment'>['payment'], 'checkout'>): Promise<unknown> =>
  atCheckout(payment).catch((error: Error) => {
    if (!error.message.includes('answered the customer 409')) throw error;
  });
