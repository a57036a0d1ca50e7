import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type SimulatedProvider, type SimulatedWebhook, Simulator } from '../../../src/simulator/simulator.ts';
import { nextMonth, type TestApp, type TestMember, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin } from '../../support/payments.ts';
import { expectBooksToAgree } from '../../support/provider-books.ts';
import { answered, eventOf, PRICE, permutations, refundInConsole } from '../../support/webhooks.ts';

failOnLeaks();

/** Payments under way at once. */
const AT_ONCE = 10;

/** What happens to an order, and after each step the webhooks of it that there are by then. */
interface Life {
  provider: SimulatedProvider;
  /** Of five webhooks that are delivered, which is a copy of an earlier one. */
  events: readonly string[];
  /** Whether the browser comes back, so that we take the money ourselves. */
  returns: boolean;
  /** How much the merchant gives back in the provider's console, one after the other. */
  refunds: readonly number[];
}

const LIVES: Life[] = [
  // The page takes the money, the browser dies: only webhooks tell of it.
  {
    provider: 'PORTONE',
    events: ['Transaction.Ready', 'Transaction.Paid', 'Transaction.PartialCancelled', 'Transaction.Cancelled', 'Transaction.Paid'],
    returns: false,
    refunds: [30_000, 50_000],
  },
  {
    provider: 'TOSS',
    events: ['DONE', 'PARTIAL_CANCELED', 'PARTIAL_CANCELED', 'CANCELED', 'PARTIAL_CANCELED'],
    returns: true,
    refunds: [30_000, 20_000, 30_000],
  },
];

/** The states of a payment and of a hold, in the only order they may come in. */
const PAYMENT_STATES = ['PENDING', 'APPROVED', 'REFUNDED'];
const HOLD_STATES = ['HELD', 'PAYING', 'CONFIRMED', 'RELEASED', 'RETURNED'];

interface Line {
  state: string;
  captured: number;
  refunded: number;
}

describe('webhooks of one order’s life, in every order they can come in', () => {
  let app: TestApp;
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await Simulator.start({ portoneCapture: 'AT_ONCE' });
    simulator.sendsWebhooks = false;
    app = await testApp({ simulator });
    // Every state that is ever committed, in the order of the commits that made it.
    await app.query(`
      create table seen (id bigint generated always as identity, subject_id uuid, state text, captured bigint, refunded bigint);
      create function note_payment() returns trigger language plpgsql as $$ begin
        insert into seen (subject_id, state, captured, refunded) values (new.id, new.state, new.captured_minor, new.refunded_minor); return new; end $$;
      create trigger note after update on payment for each row execute function note_payment();
      create function note_hold() returns trigger language plpgsql as $$ begin
        insert into seen (subject_id, state) values (new.id, new.state); return new; end $$;
      create trigger note after update on hold for each row execute function note_hold();
    `);
  });
  afterAll(async () => {
    await app.close();
    await simulator.close();
  });

  const seen = (id: string) =>
    app.query<Line & Record<string, unknown>>('select state, captured::int, refunded::int from seen where subject_id = $1 order by id', [
      uuidIn(id),
    ]);

  /** The states without repeats: as often as they changed. */
  const changes = (states: readonly string[]) => states.filter((state, index) => state !== states[index - 1]);

  /** What has become of one order: not of when it was heard of, but of what it came to. */
  async function comeTo(paymentId: string): Promise<unknown> {
    const [payment] = await app.query(
      `select p.state, p.captured_minor::int as captured, p.refunded_minor::int as refunded, h.state in ('RELEASED', 'RETURNED') as "isPlaceFree"
       from payment p join hold h on h.id = p.hold_id where p.id = $1`,
      [uuidIn(paymentId)],
    );
    return payment;
  }

  /** Plays a life and delivers its webhooks in this order, each as early as it can be there. */
  async function play({ provider, events, returns, refunds }: Life, order: readonly number[], member: TestMember, lessonId: string) {
    const { enrollment } = await member.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    const payment = await begin(member.client, enrollment.id, provider);
    await atCheckout(payment, 'approve', { return: returns });
    const steps = [...refunds];
    const there = () => simulator.webhooksOf(uuidIn(payment.id));
    const originals = events.length - 1;
    for (const index of order) {
      // The last one is a copy of the first of its name.
      const wanted = index < originals ? index : events.indexOf(events[index]!);
      let webhook: SimulatedWebhook | undefined = there()[wanted];
      for (; !webhook; webhook = there()[wanted]) await refundInConsole(simulator, payment.id, steps.shift()!);
      expect(eventOf(webhook)).toBe(events[index]);
      expect(await simulator.deliver(webhook)).toBe(200);
      await answered(app, payment.id);
    }
    return { paymentId: payment.id, holdId: enrollment.id, isOver: steps.length === 0 };
  }

  async function playAll(life: Life, orders: readonly number[][]) {
    const lessonId = await app.lesson({ capacity: 130, priceMinor: PRICE, month: nextMonth() });
    const members = await app.members(orders.length);
    const waiting = orders.map((order, index) => ({ order, member: members[index]! }));
    const played: { order: readonly number[]; paymentId: string; holdId: string; isOver: boolean }[] = [];
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let next = waiting.shift(); next; next = waiting.shift())
          played.push({ order: next.order, ...(await play(life, next.order, next.member, lessonId)) });
      }),
    );
    return { lessonId, played };
  }

  test.each(LIVES)('$provider: all 120 lead to the state of one copy each in order, and no state moves backwards', async (life) => {
    const inOrder = { state: 'REFUNDED', captured: PRICE, refunded: PRICE, isPlaceFree: true };

    const { lessonId, played } = await playAll(life, permutations([0, 1, 2, 3, 4]));

    expect(played).toHaveLength(120);
    for (const { order, paymentId, holdId, isOver } of played) {
      expect({ order, isOver, end: await comeTo(paymentId) }).toEqual({ order, isOver: true, end: inOrder });
      const lines = await seen(paymentId);
      const payment = changes(lines.map(({ state }) => state));
      const hold = changes((await seen(holdId)).map(({ state }) => state));
      expect({ order, payment }).toEqual({ order, payment: PAYMENT_STATES.filter((state) => payment.includes(state)) });
      expect({ order, hold }).toEqual({ order, hold: HOLD_STATES.filter((state) => hold.includes(state)) });
      const refunded = lines.map((line) => line.refunded);
      expect({ order, refunded }).toEqual({ order, refunded: refunded.toSorted((a, b) => a - b) });
    }
    expect(await app.counters(lessonId)).toEqual({ capacity: 130, held: 0, sold: 0 });
    await expectBooksToAgree(app, simulator);
    expect(await app.brokenInvariants()).toEqual([]);
  });
});
