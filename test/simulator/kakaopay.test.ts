import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { payAs } from '../../src/simulator/customer.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { agreed, booked, paidByKakaopay, startWorld } from './merchant.ts';

failOnLeaks();

describe('KakaoPay, simulated', () => {
  test('an order is prepared, agreed to, approved, and given back in two parts', async () => {
    await using world = await startWorld();

    const { orderId, named, approved } = await paidByKakaopay(world);
    const part = await world.vendors.kakaopay('cancel', { tid: named.tid, cancel_amount: 5_000, cancel_tax_free_amount: 0 });
    const partly = await world.vendors.kakaopay('order', { tid: named.tid });
    const rest = await world.vendors.kakaopay('cancel', {
      tid: named.tid,
      cancel_amount: '7000',
      cancel_tax_free_amount: '0',
      cancel_available_amount: '7000',
    });
    const wholly = await world.vendors.kakaopay('order', { tid: named.tid });

    expect(approved.json).toMatchObject({
      ...named,
      cid: 'TC0ONETIME',
      amount: { total: 12_000, tax_free: 0, vat: 1_091 },
      item_name: '일일 강습권',
    });
    expect(part.json).toMatchObject({
      status: 'PART_CANCEL_PAYMENT',
      approved_cancel_amount: { total: 5_000 },
      cancel_available_amount: { total: 7_000 },
    });
    expect(partly.json).toMatchObject({ status: 'PART_CANCEL_PAYMENT', canceled_amount: { total: 5_000 }, amount: { total: 12_000 } });
    expect(rest.json).toMatchObject({
      status: 'CANCEL_PAYMENT',
      approved_cancel_amount: { total: 7_000 },
      cancel_available_amount: { total: 0 },
    });
    expect(wholly.json).toMatchObject({ status: 'CANCEL_PAYMENT', canceled_amount: { total: 12_000 } });
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

  test('the answer to ready has the documented form', async () => {
    await using world = await startWorld();

    const { status, json } = await world.vendors.kakaopay('ready', world.merchant.readyFields(randomUUID(), 12_000));

    expect(status).toBe(200);
    expect(json.tid).toMatch(/^T[0-9a-f]{19}$/);
    expect(json.created_at).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/);
    expect(json.next_redirect_pc_url).toMatch(new RegExp(`^${world.simulator.url}/pay/`));
  });

  test('the status follows the customer, page by page', async () => {
    await using world = await startWorld();
    const statusOf = async (tid: string) => (await world.vendors.kakaopay('order', { tid })).json.status;
    const [untouched, closed, agreeing, declining] = await Promise.all([1, 2, 3, 4].map(() => world.merchant.kakaopay()));

    const closing = await payAs(closed!.checkout, 'close');
    await payAs(agreeing!.checkout, 'approve');
    await payAs(declining!.checkout, 'refuse');

    expect(closing).toBeNull();
    expect(world.server.received.map(({ path }) => path)).toEqual(['/paid', '/cancelled']);
    expect(await statusOf(untouched!.named.tid)).toBe('READY');
    expect(await statusOf(closed!.named.tid)).toBe('OPEN_PAYMENT');
    expect(await statusOf(agreeing!.named.tid)).toBe('AUTH_PASSWORD');
    expect(await statusOf(declining!.named.tid)).toBe('QUIT_PAYMENT');
  });

  test('a customer the provider refuses comes back to fail_url, and the order failed', async () => {
    await using world = await startWorld();
    const { named, checkout } = await world.merchant.kakaopay();
    world.simulator.order({ provider: 'KAKAOPAY', call: 'auth', fault: 'REFUSE' });

    await payAs(checkout, 'approve');

    expect(world.server.received.map(({ path, query }) => [path, query])).toEqual([['/failed', {}]]);
    expect((await world.vendors.kakaopay('order', { tid: named.tid })).json.status).toBe('FAIL_PAYMENT');
  });

  test.each([
    ['partner_order_id', { partner_order_id: '' }],
    ['partner_user_id', { partner_user_id: 'x'.repeat(101) }],
    ['item_name', { item_name: 'x'.repeat(101) }],
    ['quantity', { quantity: 0 }],
    ['total_amount', { total_amount: '12000.5' }],
    ['tax_free_amount', { tax_free_amount: 12_001 }],
    ['vat_amount', { vat_amount: 12_001 }],
    ['approval_url', { approval_url: 'javascript:alert(1)' }],
    ['cancel_url', { cancel_url: `https://merchant.test/${'x'.repeat(255)}` }],
    ['fail_url', { fail_url: undefined }],
  ])('ready without a valid %s is refused', async (_name, change) => {
    await using world = await startWorld();

    const { status, json } = await world.vendors.kakaopay('ready', { ...world.merchant.readyFields(randomUUID(), 12_000), ...change });

    expect([status, json.error_code]).toEqual([400, -2]);
    expect(world.simulator.payments()).toEqual([]);
  });

  test.each([
    ['a tid of nobody', { tid: 'T0000000000000000000' }, -721],
    ['another order', { partner_order_id: 'another' }, -706],
    ['another user', { partner_user_id: 'another' }, -707],
    ['another amount', { total_amount: 11_999 }, -705],
    ['a wrong pg_token', { pg_token: 'wrong' }, -708],
    ['another cid', { cid: 'TC0SUBSCRIP' }, -731],
    ['a payload that is too long', { payload: 'x'.repeat(201) }, -2],
  ])('approve with %s is refused and takes nothing', async (_name, change, code) => {
    await using world = await startWorld();
    const prepared = await world.merchant.kakaopay();
    const { pg_token } = await agreed(world, prepared);

    const { status, json } = await world.vendors.kakaopay('approve', { ...prepared.named, pg_token, ...change });

    expect([status, json.error_code]).toEqual([400, code]);
    expect(booked(world, prepared.orderId)).toEqual({ captured: 0, refunded: 0, entries: [] });
  });

  test('approve before the customer agreed is refused', async () => {
    await using world = await startWorld();
    const { orderId, named } = await world.merchant.kakaopay();

    const { json } = await world.vendors.kakaopay('approve', { ...named, pg_token: 'guessed' });

    expect(json.error_code).toBe(-701);
    expect(booked(world, orderId)?.captured).toBe(0);
  });

  test('a second approve of the same payment is the "already" error, and no second capture', async () => {
    await using world = await startWorld();
    const { orderId, named, pg_token } = await paidByKakaopay(world);

    const { status, json } = await world.vendors.kakaopay('approve', { ...named, pg_token });

    expect([status, json.error_code]).toEqual([400, -702]);
    expect(booked(world, orderId)?.entries).toEqual([['CAPTURE', 12_000]]);
  });

  test('an order prepared twice has two tids with a pg_token each, and is captured once', async () => {
    await using world = await startWorld();
    const orderId = randomUUID();
    const first = await world.merchant.kakaopay(12_000, orderId);
    const second = await world.merchant.kakaopay(12_000, orderId);
    const tokens = [await agreed(world, first), await agreed(world, second)].map(({ pg_token }) => pg_token);

    const crossed = await world.vendors.kakaopay('approve', { ...second.named, pg_token: tokens[0] });
    const approved = await world.vendors.kakaopay('approve', { ...second.named, pg_token: tokens[1] });
    const again = await world.vendors.kakaopay('approve', { ...first.named, pg_token: tokens[0] });

    expect([crossed.json.error_code, approved.status, again.json.error_code]).toEqual([-708, 200, -702]);
    expect(booked(world, orderId)?.entries).toEqual([['CAPTURE', 12_000]]);
    expect(world.simulator.payment(orderId)?.reference).toBe(second.named.tid);
  });

  test.each([
    ['more than was paid', { cancel_amount: 12_001 }, -710],
    ['a wrong idea of what is left', { cancel_amount: 2_000, cancel_available_amount: 11_000 }, -722],
    ['nothing', { cancel_amount: 0 }, -2],
    ['no tax-free part', { cancel_tax_free_amount: undefined }, -2],
    ['a tid of nobody', { tid: 'T0000000000000000000' }, -721],
  ])('cancel with %s is refused and gives nothing back', async (_name, change, code) => {
    await using world = await startWorld();
    const { orderId, named } = await paidByKakaopay(world);

    const { status, json } = await world.vendors.kakaopay('cancel', {
      tid: named.tid,
      cancel_amount: 2_000,
      cancel_tax_free_amount: 0,
      ...change,
    });

    expect([status, json.error_code]).toEqual([400, code]);
    expect(booked(world, orderId)?.entries).toEqual([['CAPTURE', 12_000]]);
  });

  test('cancel of what was never approved is refused', async () => {
    await using world = await startWorld();
    const { named } = await world.merchant.kakaopay();

    const { json } = await world.vendors.kakaopay('cancel', { tid: named.tid, cancel_amount: 12_000, cancel_tax_free_amount: 0 });

    expect(json.error_code).toBe(-721);
  });

  test('a refused approval has the documented body, ends the payment, and is refused again', async () => {
    await using world = await startWorld();
    const prepared = await world.merchant.kakaopay();
    const { pg_token } = await agreed(world, prepared);
    world.simulator.order({ provider: 'KAKAOPAY', call: 'approve', fault: 'REFUSE', code: 'USER_LOCKED' });

    const refused = await world.vendors.kakaopay('approve', { ...prepared.named, pg_token });
    const again = await world.vendors.kakaopay('approve', { ...prepared.named, pg_token });

    expect(refused.status).toBe(400);
    expect(refused.json).toMatchObject({
      error_code: -780,
      error_message: 'approval failure!',
      extras: { method_result_code: 'USER_LOCKED' },
    });
    expect(again.json).toEqual(refused.json);
    expect(booked(world, prepared.orderId)?.captured).toBe(0);
  });

  test('who does not know the secret key is refused', async () => {
    await using world = await startWorld();

    const { status, json } = await world.vendors.kakaopay('ready', world.merchant.readyFields(randomUUID(), 12_000), 'another');

    expect([status, json.error_code]).toEqual([401, -401]);
    expect(world.simulator.payments()).toEqual([]);
  });

  test('a body that is not JSON is refused', async () => {
    await using world = await startWorld();
    const { secretKey } = world.simulator.settings.KAKAOPAY;

    const { status, json } = await world.vendors.call('POST', '/online/v1/payment/ready', {
      headers: { authorization: `SECRET_KEY ${secretKey}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ cid: 'TC0ONETIME' }).toString(),
    });

    expect([status, json.error_code]).toEqual([400, -2]);
  });
});
