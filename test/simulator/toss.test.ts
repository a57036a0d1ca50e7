import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { payAs } from '../../src/simulator/customer.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { eventually } from '../support/wait.ts';
import { agreed, booked, duringLatency, paidByToss, startWorld } from './merchant.ts';

failOnLeaks();

const PAID_ONCE = { captured: 12_000, refunded: 0, entries: [['CAPTURE', 12_000]] };
const UNPAID = { captured: 0, refunded: 0, entries: [] };

describe('Toss, simulated', () => {
  test('an order is created, agreed to, confirmed, and given back in two parts', async () => {
    await using world = await startWorld();

    const { orderId, named, confirmed } = await paidByToss(world);
    const part = await world.vendors.toss('POST', `/${named.paymentKey}/cancel`, { cancelReason: '비가 옴', cancelAmount: 5_000 });
    const rest = await world.vendors.toss('POST', `/${named.paymentKey}/cancel`, { cancelReason: '비가 옴' });
    const found = await world.vendors.toss('GET', `/${named.paymentKey}`);
    const foundByOrder = await world.vendors.toss('GET', `/orders/${orderId}`);

    expect(confirmed.json).toMatchObject({
      status: 'DONE',
      version: '2022-11-16',
      mId: 'tsimulated',
      paymentKey: named.paymentKey,
      orderId,
      currency: 'KRW',
      totalAmount: 12_000,
      balanceAmount: 12_000,
      suppliedAmount: 10_909,
      vat: 1_091,
      cancels: null,
      failure: null,
    });
    expect(confirmed.json.approvedAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+09:00$/);
    expect(part.json).toMatchObject({
      status: 'PARTIAL_CANCELED',
      balanceAmount: 7_000,
      cancels: [{ cancelAmount: 5_000, cancelReason: '비가 옴', refundableAmount: 7_000 }],
    });
    expect(rest.json).toMatchObject({ status: 'CANCELED', balanceAmount: 0, cancels: [{ cancelAmount: 5_000 }, { cancelAmount: 7_000 }] });
    expect(found.json).toEqual(rest.json);
    expect(foundByOrder.json).toEqual(rest.json);
    expect(booked(world, orderId)).toEqual({
      captured: 12_000,
      refunded: 12_000,
      entries: [
        ['CAPTURE', 12_000],
        ['REFUND', 5_000],
        ['REFUND', 7_000],
      ],
    });
  });

  test('the customer comes back with the key, the order and the amount', async () => {
    await using world = await startWorld();
    const prepared = await world.merchant.toss();

    const back = await agreed(world, prepared);

    expect(back).toEqual({ paymentType: 'NORMAL', orderId: prepared.orderId, paymentKey: prepared.named.paymentKey, amount: '12000' });
    expect((await world.vendors.toss('GET', `/orders/${prepared.orderId}`)).json.status).toBe('IN_PROGRESS');
  });

  test('a customer who cancels comes back without an order id, and the payment is aborted', async () => {
    await using world = await startWorld();
    const { orderId, checkout } = await world.merchant.toss();

    await payAs(checkout, 'refuse');

    expect(world.server.received.map(({ path, query }) => [path, query.code, query.orderId])).toEqual([
      ['/failed', 'PAY_PROCESS_CANCELED', undefined],
    ]);
    expect((await world.vendors.toss('GET', `/orders/${orderId}`)).json).toMatchObject({
      status: 'ABORTED',
      failure: { code: 'PAY_PROCESS_CANCELED' },
    });
  });

  test('a customer the card company refuses comes back with code and order id', async () => {
    await using world = await startWorld();
    const { orderId, checkout } = await world.merchant.toss();
    world.simulator.order({ provider: 'TOSS', call: 'auth', fault: 'REFUSE', code: 'REJECT_CARD_COMPANY' });

    await payAs(checkout, 'approve');

    expect(world.server.received.map(({ path, query }) => [path, query.code, query.orderId])).toEqual([
      ['/failed', 'REJECT_CARD_COMPANY', orderId],
    ]);
  });

  test('closing the window sends nothing and changes nothing', async () => {
    await using world = await startWorld();
    const { orderId, checkout } = await world.merchant.toss();

    await payAs(checkout, 'close');

    expect(world.server.received).toEqual([]);
    expect((await world.vendors.toss('GET', `/orders/${orderId}`)).json.status).toBe('READY');
  });

  test.each([
    ['method', { method: '' }, 'INVALID_REQUEST'],
    ['orderId', { orderId: 'short' }, 'INVALID_REQUEST'],
    ['orderId', { orderId: 'with a blank' }, 'INVALID_REQUEST'],
    ['orderName', { orderName: 'x'.repeat(101) }, 'INVALID_REQUEST'],
    ['successUrl', { successUrl: '/paid' }, 'INVALID_REQUEST'],
    ['amount', { amount: -1 }, 'INVALID_REQUEST'],
    ['amount', { amount: 99 }, 'BELOW_MINIMUM_AMOUNT'],
  ])('creating without a valid %s is refused: %j', async (_name, change, code) => {
    await using world = await startWorld();

    const { status, json } = await world.vendors.toss('POST', '', { ...world.merchant.createFields(randomUUID(), 12_000), ...change });

    expect([status, json.code]).toEqual([400, code]);
    expect(world.simulator.payments()).toEqual([]);
  });

  test.each([
    ['an unknown key', { paymentKey: 'nobodys' }, 404, 'NOT_FOUND_PAYMENT'],
    ['another order', { orderId: randomUUID() }, 400, 'INVALID_REQUEST'],
    ['another amount', { amount: 11_999 }, 400, 'INVALID_REQUEST'],
    ['no amount', { amount: undefined }, 400, 'INVALID_REQUEST'],
  ])('confirming with %s is refused and takes nothing', async (_name, change, status, code) => {
    await using world = await startWorld();
    const prepared = await world.merchant.toss();
    await agreed(world, prepared);

    const refused = await world.vendors.toss('POST', '/confirm', { ...prepared.named, ...change });

    expect([refused.status, refused.json.code]).toEqual([status, code]);
    expect(booked(world, prepared.orderId)).toEqual(UNPAID);
  });

  test('confirming before the customer agreed is refused', async () => {
    await using world = await startWorld();
    const { orderId, named } = await world.merchant.toss();

    const { status, json } = await world.vendors.toss('POST', '/confirm', named);

    expect([status, json.code]).toEqual([404, 'NOT_FOUND_PAYMENT_SESSION']);
    expect(booked(world, orderId)).toEqual(UNPAID);
  });

  test('an agreement expires after ten minutes, a page after thirty', async () => {
    let passedMs = 0;
    const began = Date.now();
    await using world = await startWorld({ now: () => new Date(began + passedMs) });
    const [left, agreeing] = [await world.merchant.toss(), await world.merchant.toss()];
    await agreed(world, agreeing);

    passedMs = 10 * 60_000 + 1;
    const late = await world.vendors.toss('POST', '/confirm', agreeing.named);
    const stillReady = await world.vendors.toss('GET', `/orders/${left.orderId}`);
    passedMs = 30 * 60_000 + 1;
    const expired = await world.vendors.toss('GET', `/orders/${left.orderId}`);
    const page = await world.vendors.call('GET', new URL(left.checkout.url).pathname);

    expect([late.status, late.json.code]).toEqual([404, 'NOT_FOUND_PAYMENT_SESSION']);
    expect([stillReady.json.status, expired.json.status, page.status]).toEqual(['READY', 'EXPIRED', 409]);
  });

  test('a second confirmation without a key is the "already" error, and no second capture', async () => {
    await using world = await startWorld();
    const { orderId, named } = await paidByToss(world);

    const { status, json } = await world.vendors.toss('POST', '/confirm', named);

    expect([status, json.code]).toEqual([400, 'ALREADY_PROCESSED_PAYMENT']);
    expect(booked(world, orderId)).toEqual(PAID_ONCE);
  });

  test('an order that was paid by one key is refused with another', async () => {
    await using world = await startWorld();
    const { orderId } = await paidByToss(world);
    const again = await world.merchant.toss(12_000, orderId);
    const page = await world.vendors.call('POST', new URL(again.checkout.url).pathname, { body: 'act=approve' });

    const { json } = await world.vendors.toss('POST', '/confirm', again.named);

    expect(page.status).toBe(409);
    expect(json.code).toBe('DUPLICATED_ORDER_ID');
    expect(booked(world, orderId)).toEqual(PAID_ONCE);
  });

  test.each([
    ['more than is left', { cancelAmount: 12_001 }, 403, 'NOT_CANCELABLE_AMOUNT'],
    ['nothing', { cancelAmount: 0 }, 403, 'NOT_CANCELABLE_AMOUNT'],
    ['no reason', { cancelReason: undefined }, 400, 'INVALID_REQUEST'],
  ])('cancelling %s is refused and gives nothing back', async (_name, change, status, code) => {
    await using world = await startWorld();
    const { orderId, named } = await paidByToss(world);

    const refused = await world.vendors.toss('POST', `/${named.paymentKey}/cancel`, { cancelReason: '비가 옴', ...change });

    expect([refused.status, refused.json.code]).toEqual([status, code]);
    expect(booked(world, orderId)).toEqual(PAID_ONCE);
  });

  test('cancelling what was given back, what was never paid and what nobody knows have a code each', async () => {
    await using world = await startWorld();
    const [paid, unpaid] = [await paidByToss(world), await world.merchant.toss()];
    const cancel = async (paymentKey: string) =>
      (await world.vendors.toss('POST', `/${paymentKey}/cancel`, { cancelReason: '비가 옴' })).json.code;
    await cancel(paid.named.paymentKey);

    const codes = [await cancel(paid.named.paymentKey), await cancel(unpaid.named.paymentKey), await cancel('nobodys')];

    expect(codes).toEqual(['ALREADY_CANCELED_PAYMENT', 'NOT_CANCELABLE_PAYMENT', 'NOT_FOUND_PAYMENT']);
  });

  test('who does not know the secret key is refused', async () => {
    await using world = await startWorld();

    const { status, json } = await world.vendors.call('POST', '/v1/payments', {
      headers: { authorization: `Basic ${Buffer.from('another:').toString('base64')}` },
      body: world.merchant.createFields(randomUUID(), 12_000),
    });

    expect([status, json.code]).toEqual([401, 'UNAUTHORIZED_KEY']);
    expect(world.simulator.payments()).toEqual([]);
  });

  test('the test header forces its error, without the effect', async () => {
    await using world = await startWorld();
    const prepared = await world.merchant.toss();
    await agreed(world, prepared);

    const { status, json } = await world.vendors.toss('POST', '/confirm', prepared.named, { 'tosspayments-test-code': 'FDS_ERROR' });

    expect([status, json.code]).toEqual([403, 'FDS_ERROR']);
    expect(booked(world, prepared.orderId)).toEqual(UNPAID);
  });

  test('a refused card ends the payment; a code that says nothing does not', async () => {
    await using world = await startWorld();
    const [refused, unsure] = [await world.merchant.toss(), await world.merchant.toss()];
    for (const prepared of [refused, unsure]) await agreed(world, prepared);
    world.simulator.order({ provider: 'TOSS', call: 'approve', fault: 'REFUSE', orderId: refused.orderId });
    world.simulator.order({ provider: 'TOSS', call: 'approve', fault: 'REFUSE', code: 'PROVIDER_ERROR', orderId: unsure.orderId });

    const answers = [
      await world.vendors.toss('POST', '/confirm', refused.named),
      await world.vendors.toss('POST', '/confirm', unsure.named),
    ];
    const statuses = [
      await world.vendors.toss('GET', `/orders/${refused.orderId}`),
      await world.vendors.toss('GET', `/orders/${unsure.orderId}`),
    ];

    expect(answers.map(({ status, json }) => [status, json.code])).toEqual([
      [403, 'REJECT_CARD_COMPANY'],
      [400, 'PROVIDER_ERROR'],
    ]);
    expect(statuses.map(({ json }) => json.status)).toEqual(['ABORTED', 'IN_PROGRESS']);
  });
});

describe('idempotency keys at Toss, simulated', () => {
  test('the same key gets the first answer, whatever the body, and one effect', async () => {
    await using world = await startWorld();
    const { orderId, named, confirmed } = await paidByToss(world, 12_000, { 'idempotency-key': 'confirm-1' });

    const again = await world.vendors.toss('POST', '/confirm', { ...named, amount: 1 }, { 'idempotency-key': 'confirm-1' });
    const path = `/${named.paymentKey}/cancel`;
    const refunds = await Promise.all(
      [1, 2, 3].map(() => world.vendors.toss('POST', path, { cancelReason: '비', cancelAmount: 1_000 }, { 'idempotency-key': 'refund-1' })),
    );
    const late = await world.vendors.toss('POST', path, { cancelReason: '비', cancelAmount: 1_000 }, { 'idempotency-key': 'refund-1' });

    expect([again.status, again.json]).toEqual([200, confirmed.json]);
    expect(refunds.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(1);
    expect(refunds.filter(({ status, json }) => status !== 200 && json.code !== 'IDEMPOTENT_REQUEST_PROCESSING')).toEqual([]);
    expect(late.json).toMatchObject({ balanceAmount: 11_000 });
    expect(booked(world, orderId)).toEqual({
      captured: 12_000,
      refunded: 1_000,
      entries: [
        ['CAPTURE', 12_000],
        ['REFUND', 1_000],
      ],
    });
  });

  test('the same key at another URL is another key', async () => {
    await using world = await startWorld();
    const { named } = await paidByToss(world, 12_000, { 'idempotency-key': 'one' });

    const cancelled = await world.vendors.toss('POST', `/${named.paymentKey}/cancel`, { cancelReason: '비' }, { 'idempotency-key': 'one' });

    expect(cancelled.json.status).toBe('CANCELED');
  });

  test('a refusal is remembered too', async () => {
    await using world = await startWorld();
    const prepared = await world.merchant.toss();
    const early = await world.vendors.toss('POST', '/confirm', prepared.named, { 'idempotency-key': 'early' });
    await agreed(world, prepared);

    const again = await world.vendors.toss('POST', '/confirm', prepared.named, { 'idempotency-key': 'early' });

    expect([again.status, again.json]).toEqual([404, early.json]);
    expect(booked(world, prepared.orderId)).toEqual(UNPAID);
  });

  test('while the first request is under way, a second one is told so', async () => {
    await duringLatency(async (milliseconds) => {
      await using world = await startWorld();
      const prepared = await world.merchant.toss();
      await agreed(world, prepared);
      const key = { 'idempotency-key': 'slow' };
      world.simulator.order({ provider: 'TOSS', call: 'approve', fault: 'LATENCY', milliseconds });

      const began = performance.now();
      const first = world.vendors.toss('POST', '/confirm', prepared.named, key);
      await eventually(() => world.simulator.calls.some(({ call }) => call === 'approve'));
      const second = await world.vendors.toss('POST', '/confirm', prepared.named, key);
      const waitedMs = performance.now() - began;
      const answered = await first;
      const third = await world.vendors.toss('POST', '/confirm', prepared.named, key);

      expect([answered.status, third.json]).toEqual([200, answered.json]);
      expect(booked(world, prepared.orderId)).toEqual(PAID_ONCE);
      return { waitedMs, check: () => expect([second.status, second.json.code]).toEqual([409, 'IDEMPOTENT_REQUEST_PROCESSING']) };
    });
  });

  test('after a lost answer, the same key gets it', async () => {
    await using world = await startWorld();
    const prepared = await world.merchant.toss();
    await agreed(world, prepared);
    world.simulator.order({ provider: 'TOSS', call: 'approve', fault: 'RESET_AFTER' });

    const lost = await world.vendors
      .toss('POST', '/confirm', prepared.named, { 'idempotency-key': 'lost' })
      .catch((error: { code: string }) => error.code);
    const again = await world.vendors.toss('POST', '/confirm', prepared.named, { 'idempotency-key': 'lost' });

    expect(lost).toBe('ECONNRESET');
    expect([again.status, again.json.status]).toEqual([200, 'DONE']);
    expect(booked(world, prepared.orderId)).toEqual(PAID_ONCE);
  });

  test('a key of more than 300 characters is refused', async () => {
    await using world = await startWorld();

    const { status, json } = await world.vendors.toss('POST', '', world.merchant.createFields(randomUUID(), 12_000), {
      'idempotency-key': 'x'.repeat(301),
    });

    expect([status, json.code]).toEqual([400, 'INVALID_IDEMPOTENCY_KEY']);
    expect(world.simulator.payments()).toEqual([]);
  });
});
