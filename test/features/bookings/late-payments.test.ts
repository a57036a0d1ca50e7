import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { nextMonth, type TestApp, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, ended, heldLesson, PROVIDERS } from '../../support/payments.ts';
import { eventually } from '../../support/wait.ts';
import { visit } from './browser.ts';
import { balances, stored } from './stored.ts';

failOnLeaks();

const NO_MONEY = { captured: 0, refunded: 0 };
const TIMED_OUT = { hold: 'RELEASED', payment: 'ABANDONED', because: 'TIMED_OUT', ...NO_MONEY };

let app: TestApp;

/** Lets the time to pay pass, and the reconciler look. */
async function letTimePass(paymentId: string): Promise<void> {
  await app.query(
    "update payment set pay_by = clock_timestamp() - interval '1 second', next_look_at = clock_timestamp() - interval '1 second' where id = $1",
    [uuidIn(paymentId)],
  );
  await app.app.bookings.reconciler.round();
}

const moved = (paymentId: string) =>
  (app.simulator.payment(uuidIn(paymentId))?.entries ?? []).map(({ kind, amountMinor }) => [kind, amountMinor]);

/** Takes the places of a lesson that are left. */
async function takeAll(lessonId: string): Promise<void> {
  const { capacity, held, sold } = await app.counters(lessonId);
  for (const { client } of await app.members(capacity - held - sold))
    await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
}

/** The holds of a member, newest first. */
const holdsOf = (client: TestClient) => client.run('TestMyEnrollments').then(({ nodes }) => nodes);

describe('whoever pays late, where we approve', () => {
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  test.each(PROVIDERS.map((provider) => [provider] as const))(
    'when the time to pay at %s is over, place and locker go back, and the checkout is gone',
    async (provider) => {
      const month = nextMonth();
      const lockerId = await app.lockers(month, 'FEMALE', 1);
      const { client, holdId, lessonId } = await heldLesson(app, { month }, { withLocker: true });
      const payment = await begin(client, holdId, provider);

      await letTimePass(payment.id);

      expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({
        state: 'ABANDONED',
        endedBecause: 'TIMED_OUT',
        checkout: null,
        refusalCode: null,
        hold: { state: 'RELEASED' },
      });
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
      expect(await app.counters(lockerId)).toEqual({ capacity: 1, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    },
  );

  test.each([['KAKAOPAY'], ['TOSS'], ['PORTONE']] as const)(
    'but a customer who agreed at %s in time and lost the way back is found, where that can be asked',
    async (provider) => {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId, provider);
      await atCheckout(payment, 'approve', { return: false });

      const { client: admin } = await app.admin();
      const found = await admin.run('TestReconcilePayment', { paymentId: payment.id });

      // Only Toss hands out what an approval needs; the others wait for the browser that has it.
      expect(found).toMatchObject({ payment: { state: provider === 'TOSS' ? 'APPROVED' : 'PENDING' } });
      expect(moved(payment.id)).toEqual(provider === 'TOSS' ? [['CAPTURE', 80_000]] : []);
    },
  );

  test.each(PROVIDERS.map((provider) => [provider] as const))(
    'comes back from %s while the place is still free: it is the same place, paid',
    async (provider) => {
      const { client, holdId, lessonId } = await heldLesson(app);
      const payment = await begin(client, holdId, provider);
      await letTimePass(payment.id);

      const landed = await atCheckout(payment);
      const end = await ended(client, payment.id);

      expect(end).toMatchObject({ state: 'APPROVED', lateOutcome: 'SAME', endedBecause: 'TIMED_OUT', captured: { amountMinor: 80_000 } });
      expect(end.hold?.id).not.toBe(holdId);
      expect(await holdsOf(client)).toMatchObject([
        { id: end.hold?.id, state: 'CONFIRMED', lesson: { id: lessonId }, amount: { amountMinor: 80_000 } },
        { id: holdId, state: 'RELEASED' },
      ]);
      expect((await visit(landed?.location ?? '')).text).toContain('there was still a place');
      expect(moved(payment.id)).toEqual([['CAPTURE', 80_000]]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
      expect(await app.brokenInvariants()).toEqual([]);
    },
  );

  test.each(PROVIDERS.map((provider) => [provider] as const))(
    'comes back from %s when nothing is free: no money is taken, which is better than giving it back',
    async (provider) => {
      const { client, holdId, lessonId } = await heldLesson(app, { capacity: 1 });
      const payment = await begin(client, holdId, provider);
      await letTimePass(payment.id);
      await takeAll(lessonId);

      const landed = await atCheckout(payment);

      expect((await visit(landed?.location ?? '')).text).toContain('nothing was charged');
      expect(moved(payment.id)).toEqual([]);
      expect(await stored(app, holdId)).toEqual([TIMED_OUT]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 1, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    },
  );

  test('who asked for the money back in that case is not charged, though the place is free', async () => {
    const { client, holdId, lessonId } = await heldLesson(app, {}, { ifPaidLate: 'REFUND' });
    const payment = await begin(client, holdId, 'TOSS');
    await letTimePass(payment.id);

    await atCheckout(payment);

    expect(moved(payment.id)).toEqual([]);
    expect(await stored(app, holdId)).toEqual([TIMED_OUT]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
  });

  test('gets an equal lesson when the same is full, with the locker, at the price that was paid', async () => {
    const month = nextMonth();
    const lockerId = await app.lockers(month, 'FEMALE', 2);
    const { client, holdId, lessonId } = await heldLesson(app, { month, capacity: 1 }, { withLocker: true });
    const equalId = await app.lesson({ month, capacity: 1, startsAt: '07:00', endsAt: '07:50' });
    const payment = await begin(client, holdId, 'KAKAOPAY');
    await letTimePass(payment.id);
    await takeAll(lessonId);

    await atCheckout(payment);
    const end = await ended(client, payment.id);

    expect(end).toMatchObject({ state: 'APPROVED', lateOutcome: 'EQUAL', hold: { state: 'CONFIRMED' } });
    expect(await holdsOf(client)).toMatchObject([
      { state: 'CONFIRMED', lesson: { id: equalId }, locker: { id: lockerId }, amount: { amountMinor: 80_000 } },
      { id: holdId, state: 'RELEASED' },
    ]);
    expect(await app.counters(equalId)).toEqual({ capacity: 1, held: 0, sold: 1 });
    expect(await app.counters(lockerId)).toEqual({ capacity: 2, held: 0, sold: 1 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('gets no equal lesson if only the same was wanted', async () => {
    const month = nextMonth();
    const { client, holdId, lessonId } = await heldLesson(app, { month, capacity: 1 }, { ifPaidLate: 'SAME' });
    const equalId = await app.lesson({ month, capacity: 1, startsAt: '07:00', endsAt: '07:50' });
    const payment = await begin(client, holdId, 'TOSS');
    await letTimePass(payment.id);
    await takeAll(lessonId);

    await atCheckout(payment);

    expect(moved(payment.id)).toEqual([]);
    expect(await stored(app, holdId)).toEqual([TIMED_OUT]);
    expect(await app.counters(equalId)).toEqual({ capacity: 1, held: 0, sold: 0 });
  });

  test('a late booking is cancelled like any other', async () => {
    const { client, holdId, lessonId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'KISPG');
    await letTimePass(payment.id);
    await atCheckout(payment);
    const { hold } = await ended(client, payment.id);

    const cancelled = await client.run('TestCancelBooking', { input: { holdId: hold?.id ?? '' } });

    expect(cancelled).toMatchObject({ hold: { id: hold?.id, state: 'RETURNED' } });
    expect(moved(payment.id)).toEqual([
      ['CAPTURE', 80_000],
      ['REFUND', 80_000],
    ]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  describe.each([['KAKAOPAY'], ['TOSS'], ['PORTONE']] as const)('agreed in time at %s, which broke', (provider) => {
    async function agreedWhileBroken(findsAnswer: boolean) {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId, provider);
      app.simulator.sendsWebhooks = false;
      app.simulator.order({ provider, call: 'approve', fault: 'ERROR_BEFORE', orderId: uuidIn(payment.id) });
      if (!findsAnswer) app.simulator.order({ provider, call: 'find', fault: 'ERROR_BEFORE', orderId: uuidIn(payment.id) });
      await atCheckout(payment);
      app.simulator.sendsWebhooks = true;
      expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({ state: 'PENDING', checkout: null });
      await app.query("update payment set pay_by = clock_timestamp() - interval '1 hour' where id = $1", [uuidIn(payment.id)]);
      return { client, holdId, payment };
    }

    test('and had not carried it out: it is approved after the time, as the place is still theirs', async () => {
      const { holdId, payment } = await agreedWhileBroken(true);
      const { client: admin } = await app.admin();

      await admin.run('TestReconcilePayment', { paymentId: payment.id });

      expect(await stored(app, holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 }]);
      expect(moved(payment.id)).toEqual([['CAPTURE', 80_000]]);
    });

    test('and was asked only long after: nothing was taken, so it is given up and the place goes back', async () => {
      const { holdId, payment } = await agreedWhileBroken(false);
      const { client: admin } = await app.admin();

      await admin.run('TestReconcilePayment', { paymentId: payment.id });

      expect(await stored(app, holdId)).toEqual([{ hold: 'RELEASED', payment: 'REFUSED', because: 'NOT_APPROVED', ...NO_MONEY }]);
      expect(moved(payment.id)).toEqual([]);
      expect(await app.brokenInvariants()).toEqual([]);
    });
  });
});

describe('whoever pays late, where the page itself takes the money', () => {
  beforeAll(async () => {
    app = await testApp({ simulator: { portoneCapture: 'AT_ONCE' } });
  });
  afterAll(() => app.close());

  test('in time: found by the webhook or the return, whichever comes, once', async () => {
    const { client, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'PORTONE');

    await atCheckout(payment, 'approve', { return: false });
    await ended(client, payment.id);

    expect(await stored(app, holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 }]);
    expect(moved(payment.id)).toEqual([['CAPTURE', 80_000]]);
  });

  test.each([
    ['the same place', false, 'SAME'],
    ['an equal place', true, 'EQUAL'],
  ])('gets %s', async (_, isFull, outcome) => {
    const month = nextMonth();
    const { client, holdId, lessonId } = await heldLesson(app, { month, capacity: 1 });
    await app.lesson({ month, capacity: 1, startsAt: '07:00', endsAt: '07:50' });
    const payment = await begin(client, holdId, 'PORTONE');
    await letTimePass(payment.id);
    if (isFull) await takeAll(lessonId);

    await atCheckout(payment, 'approve', { return: false });
    await eventually(async () => (await client.run('TestPayment', { id: payment.id })).state === 'APPROVED');

    expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({ lateOutcome: outcome, hold: { state: 'CONFIRMED' } });
    expect(moved(payment.id)).toEqual([['CAPTURE', 80_000]]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('gets the money back when nothing is free, all of it, and is told so', async () => {
    const { client, holdId, lessonId } = await heldLesson(app, { capacity: 1 });
    const payment = await begin(client, holdId, 'PORTONE');
    await letTimePass(payment.id);
    await takeAll(lessonId);

    const landed = await atCheckout(payment);
    await eventually(async () => (await client.run('TestPayment', { id: payment.id })).state === 'REFUNDED');

    expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({
      lateOutcome: 'REFUND',
      captured: { amountMinor: 80_000 },
      refunded: { amountMinor: 80_000 },
      refunds: [{ state: 'DONE', cause: 'PAID_LATE', reason: 'Paid after the place had gone', givesBack: false }],
      hold: { id: holdId, state: 'RELEASED' },
    });
    expect((await visit(landed?.location ?? '')).text).toContain('Your money went back');
    expect(moved(payment.id)).toEqual([
      ['CAPTURE', 80_000],
      ['REFUND', 80_000],
    ]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 1, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test.each([
    ['asked for that', { ifPaidLate: 'REFUND' }, false],
    ['gave the hold up', {}, true],
  ])('gets it back though the place is free, who %s', async (_, enroll, givesUp) => {
    const { client, holdId, lessonId } = await heldLesson(app, {}, enroll);
    const payment = await begin(client, holdId, 'PORTONE');
    if (givesUp) await client.run('TestCancelBooking', { input: { holdId } });
    else await letTimePass(payment.id);

    await atCheckout(payment, 'approve', { return: false });
    await eventually(async () => (await client.run('TestPayment', { id: payment.id })).state === 'REFUNDED');

    expect(moved(payment.id)).toEqual([
      ['CAPTURE', 80_000],
      ['REFUND', 80_000],
    ]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('pays the one that was replaced, and the other too: one booking, and the first goes back', async () => {
    const { client, holdId, lessonId } = await heldLesson(app);
    const replaced = await begin(client, holdId, 'PORTONE');
    const chosen = await begin(client, holdId, 'TOSS');

    await atCheckout(replaced, 'approve', { return: false });
    await atCheckout(chosen);
    await eventually(async () => (await client.run('TestPayment', { id: replaced.id })).state === 'REFUNDED');

    expect(await stored(app, holdId)).toEqual([
      { hold: 'CONFIRMED', payment: 'REFUNDED', because: 'REPLACED', captured: 80_000, refunded: 80_000 },
      { hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 },
    ]);
    expect([moved(replaced.id), moved(chosen.id)]).toEqual([
      [
        ['CAPTURE', 80_000],
        ['REFUND', 80_000],
      ],
      [['CAPTURE', 80_000]],
    ]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('pays the one that was replaced, after giving the other up: it goes back, though the place is free', async () => {
    const { client, holdId, lessonId } = await heldLesson(app);
    const replaced = await begin(client, holdId, 'PORTONE');
    await begin(client, holdId, 'TOSS');
    await client.run('TestCancelBooking', { input: { holdId } });

    await atCheckout(replaced, 'approve', { return: false });
    await eventually(async () => (await client.run('TestPayment', { id: replaced.id })).state === 'REFUNDED');

    expect(await client.run('TestPayment', { id: replaced.id })).toMatchObject({ endedBecause: 'REPLACED', lateOutcome: 'REFUND' });
    expect(moved(replaced.id)).toEqual([
      ['CAPTURE', 80_000],
      ['REFUND', 80_000],
    ]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('is found without any webhook, when the reconciler looks again', async () => {
    const { client, holdId, lessonId } = await heldLesson(app, { capacity: 1 });
    const payment = await begin(client, holdId, 'PORTONE');
    await letTimePass(payment.id);
    await takeAll(lessonId);
    app.simulator.sendsWebhooks = false;
    await atCheckout(payment, 'approve', { return: false });
    const [due] = await app.query('select next_look_at is not null as is_due from payment where id = $1', [uuidIn(payment.id)]);

    await app.query('update payment set next_look_at = clock_timestamp() where id = $1', [uuidIn(payment.id)]);
    await app.app.bookings.reconciler.round();
    app.simulator.sendsWebhooks = true;

    expect(due).toEqual({ is_due: true });
    expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({ state: 'REFUNDED', lateOutcome: 'REFUND' });
  });

  test('is not looked for any more after a day', async () => {
    const { client, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'PORTONE');
    await letTimePass(payment.id);
    await app.query("update payment set changed_at = changed_at - interval '25 hours', next_look_at = clock_timestamp() where id = $1", [
      uuidIn(payment.id),
    ]);

    await app.app.bookings.reconciler.round();

    expect(await app.query('select state, next_look_at from payment where id = $1', [uuidIn(payment.id)])).toEqual([
      { state: 'ABANDONED', next_look_at: null },
    ]);
  });

  test('money that the provider will not take back stays an open item, and is tried again in an hour', async () => {
    const { client, holdId, lessonId } = await heldLesson(app, { capacity: 1 });
    const { client: admin } = await app.admin();
    const payment = await begin(client, holdId, 'PORTONE');
    await letTimePass(payment.id);
    await takeAll(lessonId);
    app.simulator.order({ provider: 'PORTONE', call: 'cancel', fault: 'REFUSE', orderId: uuidIn(payment.id) });

    await atCheckout(payment, 'approve', { return: false });
    await eventually(async () => {
      const [refund] = await app.query('select refusal_code from refund where payment_id = $1', [uuidIn(payment.id)]);
      return refund?.refusal_code !== undefined && refund.refusal_code !== null;
    });
    const [open] = await app.query(
      `select p.state, r.state as refund, r.refusal_code, round(extract(epoch from p.next_look_at - clock_timestamp()) / 600) * 10 as minutes
       from payment p join refund r on r.payment_id = p.id where p.id = $1`,
      [uuidIn(payment.id)],
    );
    const reported = await admin.run('TestReconciliation');
    const deposits = (await balances(app)).CUSTOMER_DEPOSITS;
    await app.query('update payment set next_look_at = clock_timestamp() where id = $1', [uuidIn(payment.id)]);
    await app.app.bookings.reconciler.round();

    expect(open).toEqual({ state: 'REFUNDING', refund: 'OPEN', refusal_code: 'REJECT_CARD_COMPANY', minutes: '60' });
    expect(reported).toMatchObject({ open: 1, deposits: { amountMinor: 80_000, currency: 'KRW' } });
    expect(deposits).toBe(80_000);
    expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({ state: 'REFUNDED', refunded: { amountMinor: 80_000 } });
    expect((await admin.run('TestReconciliation')).deposits).toEqual({ amountMinor: 0, currency: 'KRW' });
    expect(await app.brokenInvariants()).toEqual([]);
  });
});
