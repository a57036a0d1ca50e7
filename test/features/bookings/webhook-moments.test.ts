import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { type CallName, Simulator } from '../../../src/simulator/simulator.ts';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, heldLesson } from '../../support/payments.ts';
import { expectBooksToAgree, outcomeOf } from '../../support/provider-books.ts';
import { eventually } from '../../support/wait.ts';
import {
  about,
  answered,
  BOOKED,
  booked,
  eventOf,
  PART,
  PRICE,
  refundInConsole,
  refundsOf,
  ring,
  type Sender,
  silentApp,
  timesAsked,
} from '../../support/webhooks.ts';

failOnLeaks();

describe('a webhook that comes at the wrong moment', () => {
  let app: TestApp;
  let simulator: Simulator;
  beforeAll(async () => {
    app = await silentApp();
    simulator = app.simulator;
  });
  afterAll(() => app.close());

  /** Slows the next call of this kind down; the function waits until it is there. */
  const slowed = (provider: Sender, call: CallName, paymentId: string) => {
    simulator.order({ provider, call, fault: 'LATENCY', milliseconds: 300, orderId: uuidIn(paymentId) });
    return () => eventually(() => simulator.calls.some(({ fault, orderId }) => fault === 'LATENCY' && orderId === uuidIn(paymentId)));
  };

  test('while the payment is being asked about: the customer who comes back in that moment is not forgotten', async () => {
    const { capture } = await booked(app, 'PORTONE');
    const { client, holdId } = await heldLesson(app, { priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, 'PORTONE');
    const isAsked = slowed('PORTONE', 'find', paymentId);
    await ring(app, 'PORTONE', about(paymentId, capture, app));
    await isAsked();

    await atCheckout({ checkout });

    expect(await outcomeOf(app, simulator, paymentId)).toEqual(BOOKED);
  });

  test('while somebody has the payment for longer than a lock is waited for: it is kept, and the customer who comes back is not turned away', async () => {
    const { capture } = await booked(app, 'PORTONE');
    const { client, holdId } = await heldLesson(app, { priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, 'PORTONE');
    const keeper = new pg.Client({ connectionString: app.databaseUrl });
    await keeper.connect();
    await keeper.query('begin');
    await keeper.query('select 1 from payment where id = $1 for update', [uuidIn(paymentId)]);
    const impatient = async () => {
      const retries = await app.registry.getSingleMetric('lastseat_transaction_retries_total')?.get();
      return retries?.values.filter(({ labels }) => labels.cause === 'lock_timeout').map(({ labels }) => labels.name) ?? [];
    };

    const customer = atCheckout({ checkout });
    const rung = ring(app, 'PORTONE', about(paymentId, capture, app));
    await eventually(async () => expect(await impatient()).toEqual(expect.arrayContaining(['ring', 'take_approval'])));
    await keeper.query('rollback');
    await keeper.end();

    expect((await rung).status).toBe(200);
    await customer;
    await answered(app, paymentId);
    expect(await outcomeOf(app, simulator, paymentId)).toEqual(BOOKED);
    expect(app.logged.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });

  test.each([
    ['that the money was taken is not asked about: our answer says it', 'DONE', 0],
    ['anything else is asked about after it', 'PARTIAL_CANCELED', 1],
  ] as const)('while an approval is under way: %s', async (_, says, times) => {
    const { capture, webhook } = await booked(app, 'TOSS');
    const { client, holdId } = await heldLesson(app, { priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, 'TOSS');
    const early = about(paymentId, says === 'DONE' ? capture : webhook, app);
    expect(eventOf(early)).toBe(says);
    const isApproving = slowed('TOSS', 'approve', paymentId);
    const back = atCheckout({ checkout });
    await isApproving();

    await ring(app, 'TOSS', early);
    await back;

    await answered(app, paymentId);
    expect(timesAsked(simulator, paymentId)).toBe(times);
    expect(await outcomeOf(app, simulator, paymentId)).toEqual(BOOKED);
  });

  test('just before a refund is granted: the refund is sent when that has been asked about, and its answer says so', async () => {
    const { webhook } = await booked(app, 'TOSS');
    const { client, holdId } = await heldLesson(app, { priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, 'TOSS');
    await atCheckout({ checkout });
    const isAsked = slowed('TOSS', 'find', paymentId);
    await ring(app, 'TOSS', about(paymentId, webhook, app));
    await isAsked();

    const { refund } = await (await app.admin()).client.run('TestRefundPayment', {
      input: { paymentId, amountMinor: 5_000, reason: 'The water was cold', idempotencyKey: randomUUID() },
    });

    expect(refund).toMatchObject({ state: 'DONE' });
    expect(await outcomeOf(app, simulator, paymentId)).toEqual({ ...BOOKED, keptMinor: PRICE - 5_000 });
  });

  test('that money was taken, where nobody can be asked and the approval was given up: it is taken back once more', async () => {
    const { capture } = await booked(app, 'KISPG');
    const { client, holdId } = await heldLesson(app, { priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, 'KISPG');
    simulator.order({ provider: 'KISPG', call: 'approve', fault: 'RESET_BEFORE', orderId: uuidIn(paymentId) });
    await atCheckout({ checkout });
    const takenBack = () => simulator.calls.filter(({ call, orderId }) => call === 'cancel' && orderId === uuidIn(paymentId)).length;
    await eventually(() => takenBack() === 1);

    await ring(app, 'KISPG', about(paymentId, capture, app));

    await eventually(() => takenBack() === 2);
    await eventually(async () => (await client.run('TestPayment', { id: paymentId })).state === 'REFUSED');
    expect(app.logged.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });

  test('about a refund in the console while one of ours is under way: both are in our books, though our own refund tells nobody', async () => {
    const { client, holdId } = await heldLesson(app, { priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, 'TOSS');
    await atCheckout({ checkout });
    const isRefunding = slowed('TOSS', 'cancel', paymentId);
    const { client: administrator } = await app.admin();
    const input = { paymentId, amountMinor: 20_000, cancelsBooking: false, reason: 'Rain', idempotencyKey: randomUUID() };
    const ours = administrator.run('TestRefundPayment', { input });
    await isRefunding();

    await refundInConsole(simulator, paymentId, PART);
    await ring(app, 'TOSS', simulator.webhooksOf(uuidIn(paymentId)).at(-1)!);
    await ours;

    await answered(app, paymentId);
    expect(await refundsOf(app, paymentId)).toEqual(['AT_PROVIDER 30000 DONE', 'GRANTED 20000 DONE']);
    expect(await outcomeOf(app, simulator, paymentId)).toEqual({ ...BOOKED, keptMinor: PRICE - 50_000 });
    await expectBooksToAgree(app, simulator, paymentId);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('about a refund in the console after a cancellation that kept a part: our books follow, and the place is given back once', async () => {
    const { client, holdId, lessonId } = await heldLesson(app, { priceMinor: PRICE, cancellation: [{ hoursBefore: 0, percent: 50 }] });
    const { id: paymentId, checkout } = await begin(client, holdId, 'TOSS');
    await atCheckout({ checkout });
    expect((await client.run('TestCancelBooking', { input: { holdId } })).hold).toMatchObject({ state: 'RETURNED' });
    expect(await outcomeOf(app, simulator, paymentId)).toMatchObject({ payment: 'REFUNDED', keptMinor: PRICE / 2 });

    await refundInConsole(simulator, paymentId, PRICE / 2);
    await ring(app, 'TOSS', simulator.webhooksOf(uuidIn(paymentId)).at(-1)!);
    await answered(app, paymentId);

    expect(await refundsOf(app, paymentId)).toEqual(['AT_PROVIDER 40000 DONE', 'CANCELLED 40000 DONE']);
    expect(await outcomeOf(app, simulator, paymentId)).toEqual({ hold: 'RETURNED', payment: 'REFUNDED', captures: 1, keptMinor: 0 });
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
    await expectBooksToAgree(app, simulator, paymentId);
    expect(await app.brokenInvariants()).toEqual([]);
  });
});

describe('a webhook that is the first we hear of money the provider’s page took', () => {
  let app: TestApp;
  let simulator: Simulator;
  beforeAll(async () => {
    simulator = await Simulator.start({ portoneCapture: 'AT_ONCE' });
    simulator.sendsWebhooks = false;
    app = await testApp({ simulator });
  });
  afterAll(async () => {
    await app.close();
    await simulator.close();
  });

  test('books it, though the browser never came back', async () => {
    const { client, holdId } = await heldLesson(app, { priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, 'PORTONE');
    await atCheckout({ checkout }, 'approve', { return: false });

    await ring(app, 'PORTONE', simulator.webhooksOf(uuidIn(paymentId)).at(-1)!);
    await answered(app, paymentId);

    expect(await outcomeOf(app, simulator, paymentId)).toEqual(BOOKED);
    await expectBooksToAgree(app, simulator, paymentId);
  });

  test('and says that a part went back already: both are booked', async () => {
    const { client, holdId } = await heldLesson(app, { priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, 'PORTONE');
    await atCheckout({ checkout }, 'approve', { return: false });
    await refundInConsole(simulator, paymentId, PART);

    await ring(app, 'PORTONE', simulator.webhooksOf(uuidIn(paymentId)).at(-1)!);
    await answered(app, paymentId);

    expect(await refundsOf(app, paymentId)).toEqual(['AT_PROVIDER 30000 DONE']);
    expect(await outcomeOf(app, simulator, paymentId)).toEqual({ ...BOOKED, keptMinor: PRICE - PART });
    await expectBooksToAgree(app, simulator, paymentId);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('and says that a part went back already, when the place is gone: the rest goes back', async () => {
    const { client, holdId } = await heldLesson(app, { priceMinor: PRICE }, { ifPaidLate: 'REFUND' });
    const { id: paymentId, checkout } = await begin(client, holdId, 'PORTONE');
    await app.query('update payment set pay_by = clock_timestamp(), next_look_at = clock_timestamp() where id = $1', [uuidIn(paymentId)]);
    await app.app.bookings.reconciler.round();
    expect(await outcomeOf(app, simulator, paymentId)).toMatchObject({ hold: 'RELEASED', payment: 'ABANDONED' });
    await atCheckout({ checkout }, 'approve', { return: false });
    await refundInConsole(simulator, paymentId, PART);

    await ring(app, 'PORTONE', simulator.webhooksOf(uuidIn(paymentId)).at(-1)!);
    await eventually(async () => expect(await refundsOf(app, paymentId)).toEqual(['AT_PROVIDER 30000 DONE', 'PAID_LATE 50000 DONE']));

    expect(await outcomeOf(app, simulator, paymentId)).toEqual({ hold: 'RELEASED', payment: 'REFUNDED', captures: 1, keptMinor: 0 });
    await expectBooksToAgree(app, simulator, paymentId);
    expect(await app.brokenInvariants()).toEqual([]);
  });
});
