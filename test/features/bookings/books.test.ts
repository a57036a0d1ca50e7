import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, ended, heldLesson, PROVIDERS, payFor } from '../../support/payments.ts';
import { balances, entries } from './stored.ts';

failOnLeaks();

describe('with a fee of 5 %', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp({ environment: { PLATFORM_FEE_BASIS_POINTS: '500' } });
  });
  afterAll(() => app.close());

  /** What the books say now more than then. */
  async function since(before: Record<string, number>): Promise<Record<string, number>> {
    const now = await balances(app);
    return Object.fromEntries(Object.entries(now).map(([kind, balance]) => [kind, balance - (before[kind] ?? 0)]));
  }
  async function booked(lesson: Record<string, unknown>) {
    const before = await balances(app);
    const held = await heldLesson(app, lesson);
    const paymentId = await payFor(held.client, held.holdId, 'KISPG');
    await ended(held.client, paymentId);
    return { ...held, paymentId, before };
  }
  const giveBack = async (paymentId: string, amountMinor: number | null) =>
    (await app.admin()).client.run('TestRefundPayment', {
      input: { paymentId, amountMinor, cancelsBooking: false, reason: 'The water was cold', idempotencyKey: randomUUID() },
    });

  test('a booking is captured into the deposits, and from there to the organizer less our fee, rounded down', async () => {
    const { paymentId, before } = await booked({ priceMinor: 33_333 });

    expect(await entries(app, paymentId)).toEqual([
      ['capture', 'CUSTOMER_DEPOSITS', 33_333],
      ['capture', 'PROVIDER_CLEARING', -33_333],
      ['booking', 'CUSTOMER_DEPOSITS', -33_333],
      ['booking', 'ORGANIZER_PAYABLE', 31_667],
      ['booking', 'PLATFORM_FEES', 1_666],
    ]);
    expect(await since(before)).toEqual({
      CUSTOMER_DEPOSITS: 0,
      ORGANIZER_PAYABLE: 31_667,
      PLATFORM_FEES: 1_666,
      PROVIDER_CLEARING: -33_333,
    });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test.each([
    [1, 0, 1],
    [19, 0, 19],
    [20, 1, 19],
    [39, 1, 38],
    [40, 2, 38],
    [99_999_999, 4_999_999, 95_000_000],
  ])('of %i the fee is %i', async (priceMinor, fee, payable) => {
    const { before } = await booked({ priceMinor });

    const { PLATFORM_FEES: fees = 0, ORGANIZER_PAYABLE } = await since(before);
    expect([fees, ORGANIZER_PAYABLE]).toEqual([fee, payable]);
  });

  test('parts that go back take the fee along that is no longer due: whatever the way, what is left has the fee of what is left', async () => {
    const { paymentId, before } = await booked({ priceMinor: 33_333 });

    await giveBack(paymentId, 10_000);
    const afterPart = await since(before);
    await giveBack(paymentId, 1);
    const afterOne = await since(before);
    await giveBack(paymentId, 13);
    const afterLittle = await since(before);
    await giveBack(paymentId, null);

    // Of 23,333 the fee is 1,166, of 23,332 it still is, of 23,319 it is 1,165; of 1 and of 13 alone it would be nothing.
    expect(afterPart).toEqual({ CUSTOMER_DEPOSITS: 0, ORGANIZER_PAYABLE: 22_167, PLATFORM_FEES: 1_166, PROVIDER_CLEARING: -23_333 });
    expect(afterOne).toEqual({ CUSTOMER_DEPOSITS: 0, ORGANIZER_PAYABLE: 22_166, PLATFORM_FEES: 1_166, PROVIDER_CLEARING: -23_332 });
    expect(afterLittle).toEqual({ CUSTOMER_DEPOSITS: 0, ORGANIZER_PAYABLE: 22_154, PLATFORM_FEES: 1_165, PROVIDER_CLEARING: -23_319 });
    expect((await entries(app, paymentId)).slice(5)).toEqual([
      ['refund', 'ORGANIZER_PAYABLE', -9_500],
      ['refund', 'PLATFORM_FEES', -500],
      ['refund', 'PROVIDER_CLEARING', 10_000],
      ['refund', 'ORGANIZER_PAYABLE', -1],
      ['refund', 'PROVIDER_CLEARING', 1],
      ['refund', 'ORGANIZER_PAYABLE', -12],
      ['refund', 'PLATFORM_FEES', -1],
      ['refund', 'PROVIDER_CLEARING', 13],
      ['refund', 'ORGANIZER_PAYABLE', -22_154],
      ['refund', 'PLATFORM_FEES', -1_165],
      ['refund', 'PROVIDER_CLEARING', 23_319],
    ]);
    expect(await since(before)).toEqual({ CUSTOMER_DEPOSITS: 0, ORGANIZER_PAYABLE: 0, PLATFORM_FEES: 0, PROVIDER_CLEARING: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a cancellation at half the price leaves half of the money and the fee of that half', async () => {
    const { client, holdId, before } = await booked({ priceMinor: 33_333, cancellation: [{ hoursBefore: 0, percent: 50 }] });

    await client.run('TestCancelBooking', { input: { holdId } });

    expect(await since(before)).toEqual({
      CUSTOMER_DEPOSITS: 0,
      ORGANIZER_PAYABLE: 15_834,
      PLATFORM_FEES: 833,
      PROVIDER_CLEARING: -16_667,
    });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('the income is that of whose lesson it is', async () => {
    const organizer = await app.member('ORGANIZER');
    const { client, holdId } = await heldLesson(app, { priceMinor: 33_333 });
    const payment = await begin(client, holdId, 'KAKAOPAY');
    await app.query('update payment set organizer_id = $2 where id = $1', [uuidIn(payment.id), organizer.uuid]);

    await atCheckout(payment);

    const [owned] = await app.query(
      `select sum(e.amount_minor)::int as payable from ledger_entry e join ledger_account a on a.id = e.account_id
       where a.kind = 'ORGANIZER_PAYABLE' and a.owner = $1`,
      [organizer.uuid],
    );
    expect(owned).toEqual({ payable: 31_667 });
  });

  test('each provider has an account of its own for what it owes us', async () => {
    const clearing = () =>
      app.query<{ owner: string; balance: number }>(
        `select a.owner, sum(e.amount_minor)::int as balance from ledger_entry e join ledger_account a on a.id = e.account_id
         where a.kind = 'PROVIDER_CLEARING' group by a.owner`,
      );
    const before = await clearing();
    for (const provider of PROVIDERS) {
      const { client, holdId } = await heldLesson(app, { priceMinor: 10_000 });
      await ended(client, await payFor(client, holdId, provider));
    }

    const after = await clearing();

    const owed = (owner: string) =>
      (after.find((row) => row.owner === owner)?.balance ?? 0) - (before.find((row) => row.owner === owner)?.balance ?? 0);
    expect(PROVIDERS.map(owed)).toEqual([-10_000, -10_000, -10_000, -10_000]);
  });

  test('an approval that was taken back has both movements, and no fee', async () => {
    const before = await balances(app);
    const { client, holdId } = await heldLesson(app, { priceMinor: 33_333 });
    const payment = await begin(client, holdId, 'KISPG');
    app.simulator.order({ provider: 'KISPG', call: 'approve', fault: 'RESET_AFTER', orderId: uuidIn(payment.id) });

    await atCheckout(payment);
    await ended(client, payment.id);

    expect(await entries(app, payment.id)).toEqual([
      ['capture', 'CUSTOMER_DEPOSITS', 33_333],
      ['capture', 'PROVIDER_CLEARING', -33_333],
      ['refund', 'CUSTOMER_DEPOSITS', -33_333],
      ['refund', 'PROVIDER_CLEARING', 33_333],
    ]);
    expect(Object.values(await since(before)).every((difference) => difference === 0)).toBe(true);
  });

  test('what cost nothing, was refused or was given up is not in the books', async () => {
    const before = await balances(app);
    const free = await heldLesson(app, { priceMinor: 0 });
    await free.client.run('TestPreparePayment', { input: { holdId: free.holdId, provider: 'TOSS', idempotencyKey: randomUUID() } });
    const refused = await heldLesson(app);
    await atCheckout(await begin(refused.client, refused.holdId), 'refuse');
    const givenUp = await heldLesson(app);
    await begin(givenUp.client, givenUp.holdId);
    await givenUp.client.run('TestCancelBooking', { input: { holdId: givenUp.holdId } });

    expect(await balances(app)).toEqual(before);
  });
});

test.each([
  ['0', 80_000, undefined],
  ['10000', undefined, 80_000],
])('with a fee of %s basis points an account that gets nothing gets no entry', async (basisPoints, payable, fees) => {
  await using app = await testApp({ environment: { PLATFORM_FEE_BASIS_POINTS: basisPoints } });
  const { client, holdId } = await heldLesson(app);

  await payFor(client, holdId, 'KAKAOPAY');

  const { ORGANIZER_PAYABLE, PLATFORM_FEES } = await balances(app);
  expect([ORGANIZER_PAYABLE, PLATFORM_FEES]).toEqual([payable, fees]);
  expect(await app.brokenInvariants()).toEqual([]);
});
