import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { payAs } from '../../src/simulator/customer.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { agreed, booked, paidByKispg, startWorld, type World } from './merchant.ts';

failOnLeaks();

const PAID_ONCE = { captured: 12_000, refunded: 0, entries: [['CAPTURE', 12_000]] };
const UNPAID = { captured: 0, refunded: 0, entries: [] };

const cancelFields = (tid: string, canAmt: string, partCanFlg: '0' | '1') => ({
  payMethod: 'card',
  tid,
  canAmt,
  canId: 'shop',
  canNm: '상점',
  canMsg: '비가 옴',
  partCanFlg,
});

function hashOf(world: World, ediDate: string, amount: string): string {
  const { merchantId, merchantKey } = world.simulator.settings.KISPG;
  return createHash('sha256').update(`${merchantId}${ediDate}${amount}${merchantKey}`).digest('hex');
}

describe('KISPG, simulated', () => {
  test('a form is shown, agreed to, approved, and given back in two parts', async () => {
    await using world = await startWorld();

    const { orderId, tid, approved } = await paidByKispg(world);
    const part = await world.vendors.kispg('/v2/cancel', cancelFields(tid, '5000', '1'));
    const rest = await world.vendors.kispg('/v2/cancelTrans.do', cancelFields(tid, '7000', '0'));

    expect(approved.json).toMatchObject({
      resultCd: '0000',
      tid,
      ordNo: orderId,
      amt: '12000',
      payMethod: 'card',
      goodsName: '일일 강습권',
      ordNm: '회원',
    });
    expect(approved.json.appDtm).toMatch(/^\d{14}$/);
    expect(part.json).toMatchObject({ resultCd: '0000', tid, amt: '5000', remainAmt: '7000' });
    expect(rest.json).toMatchObject({ resultCd: '0000', tid, amt: '7000', remainAmt: '0' });
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

  test('the browser brings back a form signed over merchant, moment and amount', async () => {
    await using world = await startWorld();
    const prepared = world.merchant.kispg();

    const back = await agreed(world, prepared);

    expect(world.server.received.map(({ method, path }) => [method, path])).toEqual([['POST', '/paid']]);
    expect(back).toMatchObject({
      resultCd: '0000',
      ordNo: prepared.orderId,
      amt: '12000',
      mid: 'kistest00m',
      mbsReserved: 'kept',
      payMethod: 'card',
    });
    expect(back.tid).toMatch(/^kistest00m[0-9a-f]{16}$/);
    expect(back.encData).toBe(hashOf(world, back.ediDate!, '12000'));
    expect(booked(world, prepared.orderId)).toEqual(UNPAID);
  });

  test('a customer who cancels brings back another code, and the tid cannot be approved', async () => {
    await using world = await startWorld();
    const { orderId, checkout } = world.merchant.kispg();

    await payAs(checkout, 'refuse');
    const { resultCd, tid = '' } = Object.fromEntries(new URLSearchParams(world.server.received[0]?.body));
    const { json } = await world.vendors.kispg('/v2/payment', { tid, goodsAmt: '12000' });

    expect([resultCd, json.resultCd]).toEqual(['9302', '9302']);
    expect(booked(world, orderId)).toEqual(UNPAID);
  });

  test.each([
    ['ordNo', { ordNo: 'x'.repeat(41) }],
    ['goodsNm', { goodsNm: '' }],
    ['goodsAmt', { goodsAmt: '12000.5' }],
    ['payMethod', { payMethod: 'gold' }],
    ['trxCd', { trxCd: '1' }],
    ['returnUrl', { returnUrl: 'javascript:alert(1)' }],
    ['mid', { mid: 'another' }],
    ['encData', { encData: '0'.repeat(64) }],
    ['ediDate', { ediDate: '2026-11-21' }],
    ['amount that was signed', { goodsAmt: '11999' }],
  ])('a form without a valid %s shows an error page', async (_name, change) => {
    await using world = await startWorld();
    const { checkout } = world.merchant.kispg();

    const paying = payAs({ ...checkout, fields: { ...checkout.fields, ...change } }, 'approve');

    await expect(paying).rejects.toThrow(' 400: ');
    expect(world.simulator.payments()).toEqual([]);
  });

  test.each([
    ['a tid of nobody', { tid: 'kistest00m0000000000000000' }, '9101'],
    ['another amount, rightly signed', { goodsAmt: '11999' }, '9103'],
    ['another merchant', { mid: 'another' }, '9002'],
    ['a wrong hash', { encData: '0'.repeat(64) }, '9003'],
    ['no hash', { encData: '' }, '9003'],
    ['no amount', { goodsAmt: '' }, '9001'],
  ])('approving with %s is refused and takes nothing', async (_name, change, code) => {
    await using world = await startWorld();
    const prepared = world.merchant.kispg();
    const { tid = '' } = await agreed(world, prepared);

    const { status, json } = await world.vendors.kispg('/v2/payment', { tid, goodsAmt: '12000', ...change });

    expect([status, json.resultCd]).toEqual([200, code]);
    expect(booked(world, prepared.orderId)).toEqual(UNPAID);
  });

  test('a form-encoded approval is understood as well as JSON', async () => {
    await using world = await startWorld();
    const prepared = world.merchant.kispg();
    const { tid = '' } = await agreed(world, prepared);

    const { json } = await world.vendors.call('POST', '/v2/payment', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ ...world.vendors.kispgSigned('12000'), tid, goodsAmt: '12000', charset: 'utf-8' }).toString(),
    });

    expect(json.resultCd).toBe('0000');
    expect(booked(world, prepared.orderId)).toEqual(PAID_ONCE);
  });

  test('a second approval is the "already" error, and no second capture', async () => {
    await using world = await startWorld();
    const { orderId, tid } = await paidByKispg(world);

    const { json } = await world.vendors.kispg('/v2/payment', { tid, goodsAmt: '12000' });

    expect(json.resultCd).toBe('2201');
    expect(booked(world, orderId)).toEqual(PAID_ONCE);
  });

  test('approval before the customer agreed is refused', async () => {
    await using world = await startWorld();
    const { orderId, checkout } = world.merchant.kispg();
    await payAs(checkout, 'close');

    const { json } = await world.vendors.kispg('/v2/payment', { tid: world.simulator.payment(orderId)!.reference, goodsAmt: '12000' });

    expect(json.resultCd).toBe('9102');
  });

  test('an order that was paid with one tid is refused with another', async () => {
    await using world = await startWorld();
    const prepared = world.merchant.kispg();
    const tids = [(await agreed(world, prepared)).tid!, (await agreed(world, prepared)).tid!];

    const codes = [];
    for (const tid of tids) codes.push((await world.vendors.kispg('/v2/payment', { tid, goodsAmt: '12000' })).json.resultCd);

    expect(codes).toEqual(['0000', '9105']);
    expect(booked(world, prepared.orderId)).toEqual(PAID_ONCE);
  });

  test('cancelling a tid that was never approved says so, and closes it', async () => {
    await using world = await startWorld();
    const prepared = world.merchant.kispg();
    const { tid = '' } = await agreed(world, prepared);

    const cancelled = await world.vendors.kispg('/v2/cancel', cancelFields(tid, '12000', '0'));
    const again = await world.vendors.kispg('/v2/cancel', cancelFields(tid, '12000', '0'));
    const approved = await world.vendors.kispg('/v2/payment', { tid, goodsAmt: '12000' });

    expect([cancelled.json.resultCd, again.json.resultCd, approved.json.resultCd]).toEqual(['2012', '2012', '9106']);
    expect(booked(world, prepared.orderId)).toEqual(UNPAID);
  });

  test('cancelling what was given back already says so', async () => {
    await using world = await startWorld();
    const { orderId, tid } = await paidByKispg(world);
    await world.vendors.kispg('/v2/cancel', cancelFields(tid, '12000', '0'));

    const { json } = await world.vendors.kispg('/v2/cancel', cancelFields(tid, '12000', '0'));

    expect(json.resultCd).toBe('2013');
    expect(booked(world, orderId)?.refunded).toBe(12_000);
  });

  test.each([
    ['more than is left', '12001', '1' as const, '2032'],
    ['a part, called all', '5000', '0' as const, '2011'],
    ['nothing', '0', '1' as const, '2010'],
    ['no amount', '', '1' as const, '9001'],
  ])('cancelling %s is refused and gives nothing back', async (_name, canAmt, partCanFlg, code) => {
    await using world = await startWorld();
    const { orderId, tid } = await paidByKispg(world);

    const { json } = await world.vendors.kispg('/v2/cancel', cancelFields(tid, canAmt, partCanFlg));

    expect(json.resultCd).toBe(code);
    expect(booked(world, orderId)).toEqual(PAID_ONCE);
  });

  test('a refused card answers a code and ends the payment', async () => {
    await using world = await startWorld();
    const prepared = world.merchant.kispg();
    const { tid = '' } = await agreed(world, prepared);
    world.simulator.order({ provider: 'KISPG', call: 'approve', fault: 'REFUSE' });

    const refused = await world.vendors.kispg('/v2/payment', { tid, goodsAmt: '12000' });
    const again = await world.vendors.kispg('/v2/payment', { tid, goodsAmt: '12000' });

    expect([refused.json.resultCd, again.json.resultCd]).toEqual(['3095', '3095']);
    expect(booked(world, prepared.orderId)).toEqual(UNPAID);
  });
});
