import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, ended, heldLesson, PROVIDERS } from '../../support/payments.ts';
import { onTwoNodes } from '../../support/two-nodes.ts';
import { eventually } from '../../support/wait.ts';
import { BookingWatch } from './booking-watch.ts';

failOnLeaks();

describe('bookingChanged', () => {
  let app: TestApp;
  /** Another node on the same database: it hears of nothing but by reading again. */
  let other: TestApp;
  onTwoNodes((...nodes) => {
    [app, other] = nodes;
  });

  async function watched(by: Pick<TestMember, 'accessToken'>, holdId: string, at: TestApp = app): Promise<BookingWatch> {
    const watch = new BookingWatch(at.url, holdId, by.accessToken);
    await eventually(() => watch.last !== undefined);
    return watch;
  }
  const sees = (watch: BookingWatch, hold: string, payment: string | null) =>
    eventually(() => expect([watch.last?.holdState, watch.last?.paymentState]).toEqual([hold, payment]), { withinMs: 20_000 });

  function expectInOrder(watch: BookingWatch): void {
    const versions = watch.states.map(({ version }) => version);
    expect(versions).toEqual([...versions].sort((one, two) => one - two));
    expect(watch.errors).toEqual([]);
  }

  test.each(PROVIDERS.map((provider) => [provider] as const))(
    'says where it is, then every change in order: begun at %s, paid, given back',
    async (provider) => {
      const { client, accessToken, holdId } = await heldLesson(app);
      await using watch = await watched({ accessToken }, holdId);
      expect(watch.states).toEqual([
        { holdId, holdState: 'HELD', paymentState: null, payment: null, version: expect.any(Number), at: expect.any(String) },
      ]);

      const payment = await begin(client, holdId, provider);
      await sees(watch, 'PAYING', 'PENDING');
      await atCheckout(payment);
      await sees(watch, 'CONFIRMED', 'APPROVED');
      await client.run('TestCancelBooking', { input: { holdId } });
      await sees(watch, 'RETURNED', 'REFUNDED');

      // Whoever reads again in that moment sees that money is on its way back, or that a payment is opened and the deadline not yet stopped.
      const isBetween = (hold: string, state: string | null) => state === 'REFUNDING' || (hold === 'HELD' && state === 'PENDING');
      expect(watch.course.filter(([hold, state]) => !isBetween(hold, state))).toEqual([
        ['HELD', null],
        ['PAYING', 'PENDING'],
        ['CONFIRMED', 'APPROVED'],
        ['RETURNED', 'REFUNDED'],
      ]);
      expect(watch.last?.payment).toEqual({ id: payment.id, state: 'REFUNDED', lateOutcome: null });
      expectInOrder(watch);
      expect(new Set(watch.states.map(({ version }) => version)).size).toBeGreaterThanOrEqual(4);
    },
  );

  test('on another node the same, at most some seconds later', async () => {
    const { client, accessToken, holdId } = await heldLesson(app);
    await using watch = await watched({ accessToken }, holdId, other);

    const payment = await begin(client, holdId, 'KAKAOPAY');
    await sees(watch, 'PAYING', 'PENDING');
    await atCheckout(payment);
    await sees(watch, 'CONFIRMED', 'APPROVED');

    expectInOrder(watch);
  });

  test('a refusal, and a deadline that passes with nobody tidying', async () => {
    const refusing = await heldLesson(app);
    await using refused = await watched(refusing, refusing.holdId);
    const late = await heldLesson(app);
    await using expired = await watched(late, late.holdId);

    await atCheckout(await begin(refusing.client, refusing.holdId), 'refuse');
    await app.expire(late.holdId);

    await sees(refused, 'RELEASED', 'REFUSED');
    await sees(expired, 'EXPIRED', null);
    expectInOrder(refused);
    expectInOrder(expired);
  });

  test('a payment that takes the place of another: the watcher follows the new one', async () => {
    const { client, accessToken, holdId } = await heldLesson(app);
    const first = await begin(client, holdId, 'TOSS');
    await using watch = await watched({ accessToken }, holdId);
    expect(watch.last?.payment).toMatchObject({ id: first.id });

    const second = await begin(client, holdId, 'KAKAOPAY');

    await eventually(() => expect(watch.last?.payment).toMatchObject({ id: second.id, state: 'PENDING' }));
    expectInOrder(watch);
  });

  test('parts of the money that go back raise the version, though no state is another', async () => {
    const { client, accessToken, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId);
    await atCheckout(payment);
    await ended(client, payment.id);
    await using watch = await watched({ accessToken }, holdId);
    const before = watch.last?.version ?? 0;
    const { client: admin } = await app.admin();

    await admin.run('TestRefundPayment', {
      input: { paymentId: payment.id, amountMinor: 1, cancelsBooking: false, reason: 'x', idempotencyKey: randomUUID() },
    });

    await eventually(() => expect(watch.last?.version).toBeGreaterThan(before));
    expect([watch.last?.holdState, watch.last?.paymentState]).toEqual(['CONFIRMED', 'APPROVED']);
    expectInOrder(watch);
  });

  test('a late payment: watchers of the hold that was lost learn of the payment, and which hold it is for now', async () => {
    const { client, accessToken, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId);
    await using watch = await watched({ accessToken }, holdId);
    await app.query(
      "update payment set pay_by = clock_timestamp() - interval '1 second', next_look_at = clock_timestamp() - interval '1 second' where id = $1",
      [uuidIn(payment.id)],
    );
    await app.app.bookings.reconciler.round();
    await sees(watch, 'RELEASED', 'ABANDONED');

    await atCheckout(payment);

    await sees(watch, 'RELEASED', 'APPROVED');
    expect(watch.last?.payment).toEqual({ id: payment.id, state: 'APPROVED', lateOutcome: 'SAME' });
    expectInOrder(watch);
  });

  test('two watchers and the query end at the same', async () => {
    const { client, accessToken, holdId } = await heldLesson(app);
    await using here = await watched({ accessToken }, holdId);
    await using there = await watched({ accessToken }, holdId, other);

    await atCheckout(await begin(client, holdId, 'KISPG'));
    await sees(here, 'CONFIRMED', 'APPROVED');
    await sees(there, 'CONFIRMED', 'APPROVED');

    await eventually(() => expect(there.last?.version).toBe(here.last?.version));
    const enrollment = (await client.run('TestMyEnrollments')).nodes[0];
    expect(enrollment).toMatchObject({ id: holdId, state: here.last?.holdState });
  });

  test('is not for strangers, and says the same to them as of a hold that does not exist', async () => {
    const { holdId } = await heldLesson(app);
    const stranger = await app.member();
    const organizer = await app.member('ORGANIZER');
    const watches = [
      new BookingWatch(app.url, holdId, stranger.accessToken),
      new BookingWatch(app.url, holdId, organizer.accessToken),
      new BookingWatch(app.url, toNodeId('Enrollment', '00000000-0000-7000-8000-000000000000'), stranger.accessToken),
    ];

    for (const watch of watches)
      await eventually(() =>
        expect(watch.errors).toMatchObject([
          { message: '`holdId` is not the id of a hold of yours.', extensions: { code: 'BAD_USER_INPUT' } },
        ]),
      );

    expect(watches.flatMap(({ states }) => states)).toEqual([]);
    for (const watch of watches) await watch[Symbol.asyncDispose]();
  });

  test.each([
    ['of a lesson', toNodeId('Lesson', '00000000-0000-7000-8000-000000000000')],
    ['of nothing', 'x'],
  ])('an id %s is bad input', async (_, holdId) => {
    const { accessToken } = await app.member();
    await using watch = new BookingWatch(app.url, holdId, accessToken);

    await eventually(() => expect(watch.errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]));
    expect(watch.states).toEqual([]);
  });

  test('is not for who has not signed in', async () => {
    const { holdId } = await heldLesson(app);
    await using watch = new BookingWatch(app.url, holdId);

    await eventually(() => expect(watch.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]));
    expect(watch.states).toEqual([]);
  });

  test('administrators may watch, and see no checkout', async () => {
    const { client, holdId } = await heldLesson(app);
    await using watch = await watched(await app.admin(), holdId);

    await begin(client, holdId);

    await sees(watch, 'PAYING', 'PENDING');
  });

  test('ends when its member signs out, here at once and on the other node soon; what happens then is not told', async () => {
    const { client, accessToken, holdId } = await heldLesson(app);
    await using here = await watched({ accessToken }, holdId);
    await using there = await watched({ accessToken }, holdId, other);
    const payment = await begin(client, holdId);
    await sees(here, 'PAYING', 'PENDING');
    await sees(there, 'PAYING', 'PENDING');

    await client.run('TestSignOut', { input: {} });
    await eventually(() => expect(here.closes).toMatchObject([{ code: 4403, reason: 'Session ended' }]));
    await eventually(() => expect(there.closes).toMatchObject([{ code: 4403, reason: 'Session ended' }]));
    await atCheckout(payment);
    await eventually(
      async () => (await app.query('select state from payment where id = $1', [uuidIn(payment.id)]))[0]?.state === 'APPROVED',
    );

    for (const watch of [here, there]) expect(watch.last).toMatchObject({ holdState: 'PAYING', paymentState: 'PENDING' });
  });
});
