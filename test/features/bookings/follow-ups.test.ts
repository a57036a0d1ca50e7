import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import type { FollowUp } from '../../../src/features/bookings/index.ts';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, ended, heldLesson, PROVIDERS } from '../../support/payments.ts';
import { balances, stored } from './stored.ts';

failOnLeaks();

const BOOKED = { hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 };
const PAYING = { hold: 'PAYING', payment: 'PENDING', because: null, captured: 0, refunded: 0 };

/** A server that hands out a ticket with each booking, and what decides whether it can. */
async function ticketing(): Promise<{ app: TestApp; printer: { isBroken: boolean } }> {
  const printer = { isBroken: false };
  const handOut: FollowUp = async (em, bookings) => {
    for (const { holdId, paymentId, memberId } of bookings)
      await em.execute('insert into print_out (hold_id, payment_id, member_id) values (?, ?, ?)', [holdId, paymentId, memberId]);
    if (printer.isBroken) throw new Error('the printer has no paper');
  };
  const app = await testApp({ extra: { features: [], resolvers: () => [], followUps: [handOut] } });
  // Without a key: a second one would show.
  await app.query('create table print_out (hold_id uuid, payment_id uuid, member_id uuid)');
  return { app, printer };
}

test.each(PROVIDERS.map((provider) => [provider] as const))('what follows a booking with %s is there with it, once', async (provider) => {
  const { app } = await ticketing();
  await using _ = app;
  const { client, uuid, holdId } = await heldLesson(app);
  const payment = await begin(client, holdId, provider);
  const { client: admin } = await app.admin();

  await atCheckout(payment);
  await ended(client, payment.id);
  await admin.run('TestReconcilePayment', { paymentId: payment.id });

  expect(await app.query('select * from print_out')).toEqual([
    { hold_id: uuidIn(holdId), payment_id: uuidIn(payment.id), member_id: uuid },
  ]);
});

test('one that breaks leaves no booking behind: nothing of it is true, the payment is open, and a later look ends it', async () => {
  const { app, printer } = await ticketing();
  await using _ = app;
  const { client, holdId, lessonId } = await heldLesson(app);
  const payment = await begin(client, holdId, 'TOSS');
  const { client: admin } = await app.admin();
  printer.isBroken = true;

  const landed = await atCheckout(payment);
  const broken = {
    stored: await stored(app, holdId),
    tickets: await app.query('select * from print_out'),
    books: await balances(app),
    counters: await app.counters(lessonId),
    invariants: await app.brokenInvariants(),
  };
  printer.isBroken = false;
  // The one who was at it said for how long; nobody waits that long here.
  await app.query('update payment set busy_until = null where id = $1', [uuidIn(payment.id)]);
  await admin.run('TestReconcilePayment', { paymentId: payment.id });

  expect(landed).toMatchObject({ status: 303 });
  expect(broken).toEqual({ stored: [PAYING], tickets: [], books: {}, counters: { capacity: 3, held: 1, sold: 0 }, invariants: [] });
  expect(app.logged).toContainEqual(
    expect.objectContaining({ paymentId: uuidIn(payment.id), err: expect.objectContaining({ message: 'the printer has no paper' }) }),
  );
  expect(await stored(app, holdId)).toEqual([BOOKED]);
  expect(await app.query('select hold_id from print_out')).toEqual([{ hold_id: uuidIn(holdId) }]);
  expect(app.simulator.payment(uuidIn(payment.id))?.entries).toHaveLength(1);
  expect(await app.brokenInvariants()).toEqual([]);
});

test('where there is nothing to pay too: no booking without what follows, and the same request again books', async () => {
  const { app, printer } = await ticketing();
  await using _ = app;
  const { client, holdId, lessonId } = await heldLesson(app, { priceMinor: 0 });
  const input = { holdId, provider: 'TOSS', idempotencyKey: randomUUID() };
  printer.isBroken = true;

  const failed = await client.send('TestPreparePayment', { input });
  const between = { holds: await app.query('select state from hold'), tickets: await app.query('select * from print_out') };
  printer.isBroken = false;
  const again = await client.send('TestPreparePayment', { input });

  expect(failed.errors.map(({ extensions }) => extensions.code)).toEqual(['INTERNAL_SERVER_ERROR']);
  expect(between).toEqual({ holds: [{ state: 'HELD' }], tickets: [] });
  expect(again.data.preparePayment).toMatchObject({ __typename: 'PreparePaymentSuccess', hold: { state: 'CONFIRMED' } });
  expect(await app.query('select hold_id from print_out')).toEqual([{ hold_id: uuidIn(holdId) }]);
  expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
  expect(await app.brokenInvariants()).toEqual([]);
});

test('a late payment that is given another place follows up for that one', async () => {
  const { app } = await ticketing();
  await using _ = app;
  const { client, holdId } = await heldLesson(app);
  const payment = await begin(client, holdId, 'KAKAOPAY');
  await app.query(
    "update payment set pay_by = clock_timestamp() - interval '1 second', next_look_at = clock_timestamp() - interval '1 second'",
  );
  await app.app.bookings.reconciler.round();

  await atCheckout(payment);

  const { hold } = await ended(client, payment.id);
  expect(hold?.id).not.toBe(holdId);
  expect(await app.query('select hold_id from print_out')).toEqual([{ hold_id: uuidIn(hold?.id ?? '') }]);
});
