import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { nextMonth, type TestApp, tally, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, ended, heldLesson, PROVIDERS, payFor } from '../../support/payments.ts';
import { browse } from '../../support/races.ts';
import { onTwoNodes } from '../../support/two-nodes.ts';
import { eventually } from '../../support/wait.ts';
import { balances, stored, unpaid } from './stored.ts';

failOnLeaks();

const cancel = (client: TestClient, holdId: string) => client.run('TestCancelBooking', { input: { holdId } });

const NO_MONEY = { captured: 0, refunded: 0 };
const BOOKED = { hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 };
const RETURNED = { hold: 'RETURNED', payment: 'REFUNDED', because: null, captured: 80_000, refunded: 80_000 };

describe('cancelBooking', () => {
  let app: TestApp;
  let other: TestApp;
  onTwoNodes((...nodes) => {
    [app, other] = nodes;
  });

  async function booked(lesson: object = {}, enroll: object = {}) {
    const held = await heldLesson(app, { capacity: 1, ...lesson }, enroll as Record<string, unknown>);
    const paymentId = await payFor(held.client, held.holdId);
    return { ...held, paymentId };
  }
  const moved = (paymentId: string) =>
    app.simulator.payment(uuidIn(paymentId))?.entries.map(({ kind, amountMinor }) => [kind, amountMinor]);
  /** Lets so much time pass that the booking begins in this many hours, by the clock of the database. */
  const startsIn = (paymentId: string, hours: number) =>
    app.query('update payment set starts_at = clock_timestamp() + make_interval(secs => $2) where id = $1', [
      uuidIn(paymentId),
      hours * 3_600,
    ]);

  test('unpaid: the place goes back, and cancelling again answers the same', async () => {
    const { client, holdId, lessonId } = await heldLesson(app);

    const answers = [await cancel(client, holdId), await cancel(client, holdId)];

    expect(answers).toEqual(
      Array(2).fill({ __typename: 'CancelBookingSuccess', hold: { __typename: 'Enrollment', id: holdId, state: 'RELEASED' } }),
    );
    expect(await stored(app, holdId)).toEqual([unpaid('RELEASED')]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
  });

  test.each(PROVIDERS.map((provider) => [provider] as const))(
    'paid with %s: place, locker and money go back, and cancelling again answers the same',
    async (provider) => {
      const month = nextMonth();
      const lockerId = await app.lockers(month, 'FEMALE', 1);
      const { client, holdId, lessonId } = await heldLesson(app, { month, capacity: 1 }, { withLocker: true });
      const paymentId = await payFor(client, holdId, provider);
      await ended(client, paymentId);

      const answers = [await cancel(client, holdId), await cancel(client, holdId)];
      const next = await app.member();
      const claimed = await next.client.run('TestEnroll', { input: { lessonId, withLocker: true, idempotencyKey: randomUUID() } });

      expect(answers).toEqual(
        Array(2).fill({ __typename: 'CancelBookingSuccess', hold: { __typename: 'Enrollment', id: holdId, state: 'RETURNED' } }),
      );
      expect(await stored(app, holdId)).toEqual([RETURNED]);
      expect(moved(paymentId)).toEqual([
        ['CAPTURE', 80_000],
        ['REFUND', 80_000],
      ]);
      expect((await client.run('TestPayment', { id: paymentId })).refunds).toMatchObject([
        { state: 'DONE', cause: 'CANCELLED', givesBack: true, amount: { amountMinor: 80_000, currency: 'KRW' } },
      ]);
      expect(claimed).toMatchObject({ __typename: 'EnrollSuccess' });
      expect([await app.counters(lessonId), await app.counters(lockerId)]).toEqual(Array(2).fill({ capacity: 1, held: 1, sold: 0 }));
      expect(await app.brokenInvariants()).toEqual([]);
    },
  );

  test.each(PROVIDERS.map((provider) => [provider] as const))(
    'begun with %s and not agreed to: the place goes back, and the checkout takes no money any more',
    async (provider) => {
      const { client, holdId, lessonId } = await heldLesson(app);
      const payment = await begin(client, holdId, provider);

      const cancelled = await cancel(client, holdId);
      await atCheckout(payment);

      expect(cancelled).toMatchObject({ hold: { state: 'RELEASED' } });
      expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({
        state: 'ABANDONED',
        endedBecause: 'GIVEN_UP',
        checkout: null,
      });
      expect(await stored(app, holdId)).toEqual([{ hold: 'RELEASED', payment: 'ABANDONED', because: 'GIVEN_UP', ...NO_MONEY }]);
      expect(app.simulator.payment(uuidIn(payment.id))?.capturedMinor ?? 0).toBe(0);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    },
  );

  test.each([
    ['unpaid', false, unpaid('RELEASED')],
    ['paid', true, RETURNED],
  ])('%s, four times at once on two nodes: one effect', async (_, paid, end) => {
    const { client, accessToken, holdId, lessonId } = await heldLesson(app);
    const paymentId = paid ? await payFor(client, holdId) : null;
    const elsewhere = other.anonymous.as(accessToken);

    const answers = await Promise.all([client, elsewhere, client, elsewhere].map((node) => cancel(node, holdId)));

    expect(tally(answers)).toEqual({ CancelBookingSuccess: 4 });
    if (paymentId) await ended(client, paymentId);
    expect(await stored(app, holdId)).toEqual([end]);
    if (paymentId)
      expect(moved(paymentId)).toEqual([
        ['CAPTURE', 80_000],
        ['REFUND', 80_000],
      ]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test.each([
    ['unpaid', false, unpaid('HELD')],
    ['paid', true, BOOKED],
  ])('%s, by somebody else, also an administrator: not found, and nothing changed', async (_, paid, still) => {
    const { client: owner, holdId, lessonId } = await heldLesson(app);
    if (paid) await payFor(owner, holdId);
    const before = await app.counters(lessonId);

    for (const { client } of [await app.member(), await app.admin()])
      expect(await cancel(client, holdId)).toMatchObject({ __typename: 'HoldNotFoundError', code: 'HOLD_NOT_FOUND' });

    expect(await stored(app, holdId)).toEqual([still]);
    expect(await app.counters(lessonId)).toEqual(before);
  });

  test('coming back from the provider and cancelling at once ends booked, or with nothing kept', async () => {
    const ends = [BOOKED, RETURNED, { hold: 'RELEASED', payment: 'ABANDONED', because: 'GIVEN_UP', ...NO_MONEY }];

    for (const provider of [...PROVIDERS, 'TOSS', 'KAKAOPAY'] as const) {
      const { client, accessToken, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId, provider);
      await Promise.all([browse(payment), cancel(other.anonymous.as(accessToken), holdId)]);
      await ended(client, payment.id);

      const [end] = await stored(app, holdId);
      expect(ends).toContainEqual(end);
      const kept = app.simulator.payment(uuidIn(payment.id));
      expect((kept?.capturedMinor ?? 0) - (kept?.refundedMinor ?? 0)).toBe(end?.hold === 'CONFIRMED' ? 80_000 : 0);
    }
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('an expired hold cannot be cancelled, swept or not', async () => {
    await using quiet = await testApp();
    await quiet.stopSweeping();
    const { client, holdId } = await heldLesson(quiet);
    await quiet.expire(holdId);

    expect(await cancel(client, holdId)).toMatchObject({ __typename: 'HoldExpiredError', code: 'HOLD_EXPIRED' });
    expect((await client.run('TestMyEnrollments')).nodes).toMatchObject([{ state: 'EXPIRED' }]);
  });

  describe('by the policy of the lesson', () => {
    const MUNICIPAL = [
      { hoursBefore: 72, percent: 100 },
      { hoursBefore: 24, percent: 50 },
      { hoursBefore: 0, percent: 10 },
    ];

    test.each([
      ['long before', 1_000, 80_000],
      ['a minute before the first step ends', 72 + 1 / 60, 80_000],
      ['a minute after it', 72 - 1 / 60, 40_000],
      ['a minute before the second step ends', 24 + 1 / 60, 40_000],
      ['a minute after it', 24 - 1 / 60, 8_000],
      ['a minute before the start', 1 / 60, 8_000],
    ])('%s: exactly the share of that step goes back, and the place always', async (_, hours, backMinor) => {
      const { client, holdId, lessonId, paymentId } = await booked({ cancellation: MUNICIPAL });
      await startsIn(paymentId, hours);

      const cancelled = await cancel(client, holdId);

      expect(cancelled).toMatchObject({ hold: { state: 'RETURNED' } });
      expect(await stored(app, holdId)).toEqual([{ ...RETURNED, refunded: backMinor }]);
      expect(moved(paymentId)).toEqual([
        ['CAPTURE', 80_000],
        ['REFUND', backMinor],
      ]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test.each(PROVIDERS.map((provider) => [provider] as const))('a share goes back at %s too', async (provider) => {
      const { client, holdId } = await heldLesson(app, { cancellation: MUNICIPAL });
      const paymentId = await payFor(client, holdId, provider);
      await ended(client, paymentId);
      await startsIn(paymentId, 25);

      await cancel(client, holdId);

      expect(await stored(app, holdId)).toEqual([{ ...RETURNED, refunded: 40_000 }]);
      expect(moved(paymentId)).toEqual([
        ['CAPTURE', 80_000],
        ['REFUND', 40_000],
      ]);
    });

    test('a share that is no whole amount is rounded down', async () => {
      const { client, holdId, paymentId } = await booked({ priceMinor: 33_333, cancellation: [{ hoursBefore: 0, percent: 50 }] });

      await cancel(client, holdId);

      expect(moved(paymentId)).toEqual([
        ['CAPTURE', 33_333],
        ['REFUND', 16_666],
      ]);
    });

    test.each([
      ['after the start', MUNICIPAL, -1 / 60, 'start'],
      ['after the last step of one that ends before the start', [{ hoursBefore: 48, percent: 80 }], 47, 'last step'],
      ['never', [], 1_000, null],
    ] as const)('%s it is closed: nothing changes, and nobody is asked', async (_, cancellation, hours, closes) => {
      const { client, holdId, lessonId, paymentId } = await booked({ cancellation });
      await startsIn(paymentId, hours);
      const before = await app.query('select * from payment where id = $1', [uuidIn(paymentId)]);
      const books = await balances(app);
      const calls = () => app.simulator.calls.filter(({ orderId }) => orderId === uuidIn(paymentId)).length;
      const called = calls();

      const refused = await cancel(client, holdId);

      const startsAt = (before[0] as { starts_at: Date }).starts_at.getTime();
      const closedAt = closes && new Date(startsAt - (closes === 'start' ? 0 : 48 * 3_600_000)).toISOString();
      expect(refused).toMatchObject({ __typename: 'CancellationClosedError', code: 'CANCELLATION_CLOSED', closedAt });
      expect(await stored(app, holdId)).toEqual([BOOKED]);
      expect(await app.query('select * from payment where id = $1', [uuidIn(paymentId)])).toEqual(before);
      expect(await balances(app)).toEqual(books);
      expect(calls()).toBe(called);
      expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 1 });
    });

    test('what an organizer gave back before counts: the rest of the share goes back', async () => {
      const { client, holdId, paymentId } = await booked({ cancellation: MUNICIPAL });
      const { client: admin } = await app.admin();
      await admin.run('TestRefundPayment', {
        input: { paymentId, amountMinor: 15_000, cancelsBooking: false, reason: 'The water was cold', idempotencyKey: randomUUID() },
      });
      await startsIn(paymentId, 25);

      await cancel(client, holdId);

      expect(moved(paymentId)).toEqual([
        ['CAPTURE', 80_000],
        ['REFUND', 15_000],
        ['REFUND', 25_000],
      ]);
      expect(await stored(app, holdId)).toEqual([{ ...RETURNED, refunded: 40_000 }]);
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('what went back before may be more than the share: the place goes back, and no money moves', async () => {
      const { client, holdId, lessonId, paymentId } = await booked({ cancellation: MUNICIPAL });
      const { client: admin } = await app.admin();
      await admin.run('TestRefundPayment', {
        input: { paymentId, amountMinor: 40_000, cancelsBooking: false, reason: 'The water was cold', idempotencyKey: randomUUID() },
      });
      await startsIn(paymentId, 25);

      const answers = [await cancel(client, holdId), await cancel(client, holdId)];

      expect(answers.map(({ hold }) => hold.state)).toEqual(['RETURNED', 'RETURNED']);
      expect(moved(paymentId)).toEqual([
        ['CAPTURE', 80_000],
        ['REFUND', 40_000],
      ]);
      expect(await stored(app, holdId)).toEqual([{ ...RETURNED, refunded: 40_000 }]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('the policy is that of the moment it was paid, whatever the lesson says later', async () => {
      const { client, holdId, lessonId, paymentId } = await booked({ cancellation: MUNICIPAL });
      await app.query("update lesson set cancellation = '[]' where id = $1", [uuidIn(lessonId)]);
      await startsIn(paymentId, 25);

      await cancel(client, holdId);

      expect(await stored(app, holdId)).toEqual([{ ...RETURNED, refunded: 40_000 }]);
    });
  });

  test.each([
    ['KAKAOPAY', '-781'],
    ['TOSS', 'NOT_CANCELABLE_PAYMENT'],
    ['PORTONE', 'REJECT_CARD_COMPANY'],
    ['KISPG', '2014'],
  ] as const)('a refund that %s refuses leaves the booking as it was, and it can be tried again', async (provider, code) => {
    const { client, holdId, lessonId } = await heldLesson(app);
    const paymentId = await payFor(client, holdId, provider);
    await ended(client, paymentId);
    const books = await balances(app);
    app.simulator.order({ provider, call: 'cancel', fault: 'REFUSE', orderId: uuidIn(paymentId) });

    const refused = await cancel(client, holdId);
    const [refund] = await app.query('select state, refusal_code from refund where payment_id = $1', [uuidIn(paymentId)]);
    const after = { stored: await stored(app, holdId), books: await balances(app) };
    const again = await cancel(client, holdId);

    expect(refused).toMatchObject({ __typename: 'CancelBookingSuccess', hold: { state: 'CONFIRMED' } });
    expect(refund).toEqual({ state: 'REFUSED', refusal_code: code });
    expect(after).toEqual({ stored: [BOOKED], books });
    expect(again).toMatchObject({ hold: { state: 'RETURNED' } });
    expect((await client.run('TestPayment', { id: paymentId })).refunds.map(({ state }) => state)).toEqual(['REFUSED', 'DONE']);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('while the provider does not answer the booking reads confirmed and the payment refunding; nobody waits for ever', async () => {
    const environment = { PAYMENT_ANSWER_TIMEOUT_MS: '1000' };
    await using hasty = await testApp({ databaseUrl: app.databaseUrl, simulator: app.simulator, environment });
    const { client, accessToken, holdId, paymentId } = await booked();
    const { client: admin } = await app.admin();
    app.simulator.order({ provider: 'TOSS', call: 'cancel', fault: 'HANG_AFTER', orderId: uuidIn(paymentId) });
    app.simulator.order({ provider: 'TOSS', call: 'find', fault: 'RESET_BEFORE', orderId: uuidIn(paymentId), times: 100 });

    const impatient = hasty.anonymous.as(accessToken);
    const answers = [await cancel(impatient, holdId), await cancel(impatient, holdId)];
    const meanwhile = await client.run('TestPayment', { id: paymentId });
    app.simulator.clearFaults();
    await eventually(async () => {
      await admin.run('TestReconcilePayment', { paymentId });
      return (await client.run('TestPayment', { id: paymentId })).state === 'REFUNDED';
    });

    expect(answers.map(({ hold }) => hold.state)).toEqual(['CONFIRMED', 'CONFIRMED']);
    expect(meanwhile).toMatchObject({ state: 'REFUNDING', refunds: [{ state: 'OPEN' }] });
    expect(await stored(app, holdId)).toEqual([RETURNED]);
    expect(moved(paymentId)).toEqual([
      ['CAPTURE', 80_000],
      ['REFUND', 80_000],
    ]);
  });
});
