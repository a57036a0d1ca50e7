import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { PaymentOrder, RefundOrder } from '../../../../src/features/payments/index.ts';
import { KakaoPay } from '../../../../src/features/payments/providers/kakaopay.ts';
import { payAs } from '../../../../src/simulator/customer.ts';
import { type Fault, Simulator } from '../../../../src/simulator/simulator.ts';
import { failOnLeaks } from '../../../support/leaks.ts';
import { type Answer, orderOf, recorder, returnOf, Vendor } from './vendor.ts';

const TID = 'T1234567890123456789';
const CID = 'TC0ONETIME';
const order: PaymentOrder = orderOf({ reference: TID });
const refund: RefundOrder = {
  refundId: '0196d2a0-2222-7222-8333-444455556666',
  amountMinor: 1_000,
  capturedMinor: 11_000,
  refundedMinor: 4_000,
  reason: '개인 사정',
};
const unknown = (reason: string) => ({ outcome: 'UNKNOWN', reason });
const TIMED_OUT = unknown('TIMEOUT');
const PATIENT = { connectTimeoutMs: 20_000, answerTimeoutMs: 30_000 };
const refused = (code: string) => ({ outcome: 'REFUSED', code });
const waiting = { outcome: 'WAITING' };
const captured = (refundedMinor: number) => ({
  outcome: 'CAPTURED',
  captured: { reference: TID, amountMinor: 11_000, currency: 'KRW' },
  refundedMinor,
});

const error = (code: unknown, methodCode?: string, status = 400): Answer => ({
  status,
  json: {
    error_code: code,
    error_message: '...',
    ...(methodCode && { extras: { method_result_code: methodCode, method_result_message: '...' } }),
  },
});
const described = (changed: Record<string, unknown> = {}) => ({
  tid: TID,
  cid: CID,
  partner_order_id: order.paymentId,
  partner_user_id: order.customerRef,
  amount: { total: 11_000, tax_free: 0, vat: 1_000 },
  ...changed,
});
const approval = (changed: Record<string, unknown> = {}): Answer => ({ status: 200, json: { aid: 'A1', ...described(changed) } });
const orderInquiry = (status: string, canceled = 0, changed: Record<string, unknown> = {}): Answer => ({
  status: 200,
  json: described({ status, canceled_amount: { total: canceled }, cancel_available_amount: { total: 11_000 - canceled }, ...changed }),
});
const cancellation = (changed: Record<string, unknown> = {}): Answer => ({
  status: 200,
  json: described({
    status: 'PART_CANCEL_PAYMENT',
    approved_cancel_amount: { total: 1_000 },
    canceled_amount: { total: 5_000 },
    cancel_available_amount: { total: 6_000 },
    ...changed,
  }),
});

failOnLeaks();

describe('KakaoPay', () => {
  let vendor: Vendor;
  let adapter: KakaoPay;
  let recorded: ReturnType<typeof recorder>;

  afterEach(() => vendor.close());

  /** A vendor with these answers, and an adapter whose circuit is closed. */
  async function whenAnswered(...answers: Answer[]): Promise<KakaoPay> {
    vendor = await Vendor.start();
    vendor.answer(...answers);
    recorded = recorder();
    adapter = new KakaoPay({ baseUrl: vendor.url, secretKey: 'DEV1234', cid: CID }, PATIENT, recorded.record);
    return adapter;
  }

  const sent = () => vendor.received.map(({ body }) => JSON.parse(body) as Record<string, unknown>);

  test('prepares an order with nothing of the person in it, and answers its tid and its page', async () => {
    const checkoutUrl = 'https://mockup-pg-web.kakao.com/v1/abc/info';
    await whenAnswered({ status: 200, json: { tid: TID, next_redirect_pc_url: checkoutUrl, created_at: '2026-11-21T21:00:00' } });

    const prepared = await adapter.prepare({ ...order, reference: null });

    expect(prepared).toEqual({ outcome: 'DONE', reference: TID, checkout: { url: checkoutUrl, method: 'GET', fields: {} } });
    expect(vendor.received[0]).toMatchObject({ method: 'POST', url: '/online/v1/payment/ready' });
    expect(vendor.received[0]?.headers.authorization).toBe('SECRET_KEY DEV1234');
    expect(sent()).toEqual([
      {
        cid: CID,
        partner_order_id: order.paymentId,
        partner_user_id: order.customerRef,
        item_name: '수영 강습',
        quantity: 1,
        total_amount: 11_000,
        tax_free_amount: 0,
        approval_url: order.returnUrls.paid,
        cancel_url: order.returnUrls.cancelled,
        fail_url: order.returnUrls.failed,
      },
    ]);
  });

  test.each<[string, Answer, unknown]>([
    ['an error code', error(-2), refused('-2')],
    ['a wrong key', error(-401, undefined, 401), refused('-401')],
    ['too many calls', error(-429, undefined, 429), unknown('UNLISTED')],
    ['an error without a code', { status: 400, json: {} }, unknown('UNLISTED')],
    ['no tid', { status: 200, json: { next_redirect_pc_url: 'https://a.example' } }, unknown('GARBAGE')],
    ['a tid that is too long', { status: 200, json: { tid: `${TID}0`, next_redirect_pc_url: 'https://a.example' } }, unknown('GARBAGE')],
    ['a page that is no web address', { status: 200, json: { tid: TID, next_redirect_pc_url: 'javascript:alert(1)' } }, unknown('GARBAGE')],
    ['an error of the server', error(-1, undefined, 500), unknown('SERVER_ERROR')],
  ])('a preparation that is answered with %s', async (_name, answer, expected) => {
    await whenAnswered(answer);

    expect(await adapter.prepare(order)).toEqual(expected);
  });

  test('refuses another currency without asking anybody', async () => {
    await whenAnswered();

    expect(await adapter.prepare({ ...order, currency: 'USD' })).toEqual(refused('CURRENCY_NOT_SUPPORTED'));
    expect(vendor.received).toEqual([]);
  });

  test.each([
    ['/paid?pg_token=abc', { outcome: 'AUTHORIZED', authorization: { pgToken: 'abc' } }],
    ['/paid', { outcome: 'FORGED', reason: 'no pg_token' }],
    ['/paid?pg_token=', { outcome: 'FORGED', reason: 'no pg_token' }],
    [`/paid?pg_token=${'a'.repeat(201)}`, { outcome: 'FORGED', reason: 'no pg_token' }],
    ['/cancelled?pg_token=abc', { outcome: 'ASK' }],
    ['/failed', { outcome: 'ASK' }],
  ])('the browser comes back to %s', async (url, expected) => {
    await whenAnswered();

    expect(adapter.readReturn(order, returnOf(url))).toEqual(expected);
  });

  test.each<[string, Answer, unknown]>([
    ['a success', approval(), { outcome: 'DONE', captured: { reference: TID, amountMinor: 11_000, currency: 'KRW' } }],
    ['a success about another tid', approval({ tid: 'T0' }), unknown('MISMATCH')],
    ['a success about another merchant', approval({ cid: 'TC0OTHER' }), unknown('MISMATCH')],
    ['a success about another order', approval({ partner_order_id: 'other' }), unknown('MISMATCH')],
    ['a success about another member', approval({ partner_user_id: 'other' }), unknown('MISMATCH')],
    ['a success about another amount', approval({ amount: { total: 11_001 } }), unknown('MISMATCH')],
    ['a success without an amount', approval({ amount: undefined }), unknown('GARBAGE')],
    ['a success with half a won', approval({ amount: { total: 11_000.5 } }), unknown('GARBAGE')],
    ['a success without an order', approval({ partner_order_id: undefined }), unknown('GARBAGE')],
    ['a success with another status', { status: 202, json: described() }, unknown('UNLISTED')],
    ['the refusal of the payment method', error(-780, 'USER_LOCKED'), refused('USER_LOCKED')],
    ['a refusal that does not know', error(-780, 'BANK_FIRM_UNKNOWN'), unknown('UNLISTED')],
    ['a refusal without what the method said', error(-780), unknown('UNLISTED')],
    ...[-2, -701, -703, -704, -705, -706, -707, -708, -721, -722, -723, -724, -725, -726, -730, -731, -732, -733].map(
      (code): [string, Answer, unknown] => [`the code ${code}`, error(code), refused(String(code))],
    ),
    ...[-1, -500, -702, -781, -785, -9_999, '-2', null].map((code): [string, Answer, unknown] => [
      `the code ${code}`,
      error(code),
      unknown('UNLISTED'),
    ]),
    ['a wrong key', error(-401, undefined, 401), refused('-401')],
    ['a forbidden key without a code', { status: 403, json: {} }, refused('HTTP_403')],
    ['too many calls', error(-429, undefined, 429), unknown('UNLISTED')],
    ['a refusal with status 500', error(-780, 'USER_LOCKED', 500), unknown('SERVER_ERROR')],
    ['text', { status: 200, text: 'OK' }, unknown('GARBAGE')],
  ])('an approval that is answered with %s', async (_name, answer, expected) => {
    await whenAnswered(answer);

    const approved = await adapter.approve(order, { pgToken: 'abc' });

    expect(approved).toEqual(expected);
    expect(sent()).toEqual([
      {
        cid: CID,
        tid: TID,
        partner_order_id: order.paymentId,
        partner_user_id: order.customerRef,
        pg_token: 'abc',
        total_amount: 11_000,
      },
    ]);
  });

  test('records the exchange without the key and the token', async () => {
    await whenAnswered(error(-780, 'USER_LOCKED'));

    await adapter.approve(order, { pgToken: 'abc-token' });

    expect(recorded.exchanges).toMatchObject([
      {
        provider: 'KAKAOPAY',
        operation: 'APPROVE',
        request: `POST ${vendor.url}/online/v1/payment/approve`,
        requestBody: { tid: TID, pg_token: '[redacted]', total_amount: 11_000 },
        status: 400,
        responseBody: { error_code: -780, extras: { method_result_code: 'USER_LOCKED' } },
        outcome: 'REFUSED',
        code: 'USER_LOCKED',
      },
    ]);
    expect(JSON.stringify(recorded.exchanges)).not.toMatch(/DEV1234|abc-token/);
  });

  test.each<[string, Answer, unknown]>([
    ['SUCCESS_PAYMENT', orderInquiry('SUCCESS_PAYMENT'), captured(0)],
    ['SUCCESS_PAYMENT without what was cancelled', orderInquiry('SUCCESS_PAYMENT', 0, { canceled_amount: null }), captured(0)],
    ['PART_CANCEL_PAYMENT', orderInquiry('PART_CANCEL_PAYMENT', 4_000), captured(4_000)],
    ['CANCEL_PAYMENT', orderInquiry('CANCEL_PAYMENT', 11_000), captured(11_000)],
    ['CANCEL_PAYMENT of a part', orderInquiry('CANCEL_PAYMENT', 4_000), unknown('MISMATCH')],
    ['SUCCESS_PAYMENT with a cancelled part', orderInquiry('SUCCESS_PAYMENT', 4_000), unknown('MISMATCH')],
    [
      'amounts that do not add up',
      orderInquiry('PART_CANCEL_PAYMENT', 4_000, { cancel_available_amount: { total: 1 } }),
      unknown('MISMATCH'),
    ],
    ['PART_CANCEL_PAYMENT without amounts', orderInquiry('PART_CANCEL_PAYMENT', 0, { canceled_amount: null }), unknown('GARBAGE')],
    ['another amount', orderInquiry('SUCCESS_PAYMENT', 0, { amount: { total: 12_000 } }), unknown('MISMATCH')],
    ['another order', orderInquiry('SUCCESS_PAYMENT', 0, { partner_order_id: 'other' }), unknown('MISMATCH')],
    ['another order that failed', orderInquiry('FAIL_PAYMENT', 0, { partner_order_id: 'other' }), unknown('MISMATCH')],
    ...['QUIT_PAYMENT', 'FAIL_PAYMENT'].map((status): [string, Answer, unknown] => [
      status,
      orderInquiry(status),
      { outcome: 'NONE', code: status },
    ]),
    ...['READY', 'SEND_TMS', 'OPEN_PAYMENT', 'SELECT_METHOD', 'ARS_WAITING', 'AUTH_PASSWORD', 'ISSUED_SID', 'FAIL_AUTH_PASSWORD'].map(
      (status): [string, Answer, unknown] => [status, orderInquiry(status), waiting],
    ),
    ['a status that is new', orderInquiry('NEW_PAYMENT'), unknown('UNLISTED')],
    ['no such tid', error(-721), { outcome: 'NONE', code: '-721' }],
    ['a wrong key', error(-401, undefined, 401), unknown('UNLISTED')],
    ['an error of the server', error(-1, undefined, 500), unknown('SERVER_ERROR')],
  ])('an order that is found with %s', async (_name, answer, expected) => {
    await whenAnswered(answer);

    expect(await adapter.find(order)).toEqual(expected);
    expect(sent()).toEqual([{ cid: CID, tid: TID }]);
  });

  test('an order that was never prepared is none, and nobody is asked', async () => {
    await whenAnswered();

    expect(await adapter.find({ ...order, reference: null })).toEqual({ outcome: 'NONE', code: 'NOT_PREPARED' });
    expect(vendor.received).toEqual([]);
  });

  test.each<[string, Answer, unknown]>([
    ['a success', cancellation(), { outcome: 'DONE' }],
    ['a success with another amount', cancellation({ approved_cancel_amount: { total: 2_000 } }), unknown('MISMATCH')],
    ['a success that leaves another amount', cancellation({ cancel_available_amount: { total: 5_000 } }), unknown('MISMATCH')],
    ['a success about another order', cancellation({ partner_order_id: 'other' }), unknown('MISMATCH')],
    ['a success with another status', cancellation({ status: 'SUCCESS_PAYMENT' }), unknown('MISMATCH')],
    ['a success without amounts', cancellation({ approved_cancel_amount: null }), unknown('GARBAGE')],
    ['a wrong key', error(-401, undefined, 401), unknown('UNLISTED')],
    ['a code that is new', error(-799), unknown('UNLISTED')],
    ['the request being worked on', error(-785), unknown('UNLISTED')],
    ['a refusal that does not know', error(-781, 'BANK_FIRM_UNKNOWN'), unknown('UNLISTED')],
    ['an error of the server', error(-1, undefined, 500), unknown('SERVER_ERROR')],
  ])('a refund that is answered with %s', async (_name, answer, expected) => {
    await whenAnswered(answer);

    expect(await adapter.refund(order, refund)).toEqual(expected);
    expect(sent()).toEqual([{ cid: CID, tid: TID, cancel_amount: 1_000, cancel_tax_free_amount: 0, cancel_available_amount: 7_000 }]);
  });

  test.each<[string, Answer, unknown]>([
    ['nothing more went back: refused', orderInquiry('PART_CANCEL_PAYMENT', 4_000), refused('-722')],
    ['this much went back: done', orderInquiry('PART_CANCEL_PAYMENT', 5_000), { outcome: 'DONE' }],
    ['all went back: done', orderInquiry('CANCEL_PAYMENT', 11_000), { outcome: 'DONE' }],
    ['less than this went back: refused', orderInquiry('PART_CANCEL_PAYMENT', 4_999), refused('-722')],
    ['nothing was ever paid: unknown', orderInquiry('FAIL_PAYMENT'), unknown('MISMATCH')],
    ['no answer: unknown', { status: 503, text: '' }, unknown('SERVER_ERROR')],
  ])('a refund that is refused, where the order shows that %s', async (_name, found, expected) => {
    await whenAnswered(error(-722), found);

    expect(await adapter.refund(order, refund)).toEqual(expected);
    expect(recorded.exchanges.map(({ operation, outcome, code }) => [operation, outcome, code])[0]).toEqual(['REFUND', 'REFUSED', '-722']);
  });
});

describe('KakaoPay, at the simulator', () => {
  let simulator: Simulator;
  let shop: Vendor;

  beforeAll(async () => {
    simulator = await Simulator.start();
    shop = await Vendor.start();
  });
  afterAll(async () => {
    await simulator.close();
    await shop.close();
  });

  /** A prepared order, and the way back of its customer who agreed. */
  async function agreed() {
    const adapter = new KakaoPay(simulator.settings.KAKAOPAY, PATIENT, recorder().record);
    /** Gives up early: for calls that hang. */
    const hasty = new KakaoPay(simulator.settings.KAKAOPAY, { ...PATIENT, answerTimeoutMs: 1_000 }, recorder().record);
    const unprepared = orderOf({}, shop.url);
    const prepared = await adapter.prepare(unprepared);
    if (prepared.outcome !== 'DONE') throw new Error(`not prepared: ${JSON.stringify(prepared)}`);
    const order = { ...unprepared, reference: prepared.reference };
    await payAs(prepared.checkout, 'approve');
    const read = adapter.readReturn(order, returnOf(shop.received.at(-1)?.url));
    if (read.outcome !== 'AUTHORIZED') throw new Error(`not authorized: ${JSON.stringify(read)}`);
    return { adapter, hasty, order, checkout: prepared.checkout, authorization: read.authorization };
  }

  const refundOf = (amountMinor: number, refundedMinor: number): RefundOrder => ({
    ...refund,
    amountMinor,
    capturedMinor: 11_000,
    refundedMinor,
  });

  test('is prepared, agreed to, approved, found, and refunded in part and in full', async () => {
    const { adapter, order, authorization } = await agreed();
    const reference = order.reference as string;
    const taken = { reference, amountMinor: 11_000, currency: 'KRW' };

    const before = await adapter.find(order);
    const approved = await adapter.approve(order, authorization);
    const after = await adapter.find(order);
    const part = await adapter.refund(order, refundOf(4_000, 0));
    const again = await adapter.refund(order, refundOf(4_000, 0));
    const rest = await adapter.refund(order, refundOf(7_000, 4_000));
    const atTheEnd = await adapter.find(order);

    expect(before).toEqual(waiting);
    expect(approved).toEqual({ outcome: 'DONE', captured: taken });
    expect(after).toEqual({ outcome: 'CAPTURED', captured: taken, refundedMinor: 0 });
    expect([part, again, rest]).toEqual([{ outcome: 'DONE' }, { outcome: 'DONE' }, { outcome: 'DONE' }]);
    expect(atTheEnd).toEqual({ outcome: 'CAPTURED', captured: taken, refundedMinor: 11_000 });
    expect(simulator.payment(order.paymentId)?.entries.map(({ kind, amountMinor }) => [kind, amountMinor])).toEqual([
      ['CAPTURE', 11_000],
      ['REFUND', 4_000],
      ['REFUND', 7_000],
    ]);
  });

  test('tells of a customer who refuses or goes away', async () => {
    const { adapter, order } = await agreed();
    const second = await adapter.prepare(order);
    if (second.outcome !== 'DONE') throw new Error('not prepared');

    await payAs(second.checkout, 'refuse');

    const renewed = { ...order, reference: second.reference };
    expect(adapter.readReturn(renewed, returnOf(shop.received.at(-1)?.url))).toEqual({ outcome: 'ASK' });
    expect(await adapter.find(renewed)).toMatchObject({ outcome: 'NONE' });
  });

  test.each<[Fault, unknown, unknown]>([
    ['REFUSE', refused('USER_LOCKED'), 'NONE'],
    ['HANG_BEFORE', TIMED_OUT, 'WAITING'],
    ['HANG_AFTER', TIMED_OUT, 'CAPTURED'],
    ['RESET_BEFORE', unknown('RESET'), 'WAITING'],
    ['RESET_AFTER', unknown('RESET'), 'CAPTURED'],
    ['ERROR_BEFORE', unknown('SERVER_ERROR'), 'WAITING'],
    ['ERROR_AFTER', unknown('SERVER_ERROR'), 'CAPTURED'],
    ['GARBAGE', unknown('GARBAGE'), 'CAPTURED'],
    ['SLOW_DRIP', TIMED_OUT, 'CAPTURED'],
    ['WRONG_AMOUNT', unknown('MISMATCH'), 'CAPTURED'],
    ['WRONG_ORDER', unknown('MISMATCH'), 'CAPTURED'],
  ])('an approval that meets %s is never done by mistake, and is found afterwards', async (fault, expected, found) => {
    const { adapter, hasty, order, authorization } = await agreed();
    simulator.order({ provider: 'KAKAOPAY', call: 'approve', fault, orderId: order.paymentId });

    const approved = await (expected === TIMED_OUT ? hasty : adapter).approve(order, authorization);

    expect(approved).toEqual(expected);
    expect((await adapter.find(order)).outcome).toBe(found);
  });

  test.each<[Fault, unknown, number]>([
    ['REFUSE', refused('-781'), 0],
    ['HANG_AFTER', TIMED_OUT, 4_000],
    ['RESET_BEFORE', unknown('RESET'), 0],
    ['ERROR_AFTER', unknown('SERVER_ERROR'), 4_000],
    ['GARBAGE', unknown('GARBAGE'), 4_000],
    ['WRONG_AMOUNT', unknown('MISMATCH'), 4_000],
    ['WRONG_ORDER', unknown('MISMATCH'), 4_000],
  ])('a refund that meets %s, sent again, has one effect', async (fault, expected, refundedMinor) => {
    const { adapter, hasty, order, authorization } = await agreed();
    await adapter.approve(order, authorization);
    simulator.order({ provider: 'KAKAOPAY', call: 'cancel', fault, orderId: order.paymentId });

    const first = await (expected === TIMED_OUT ? hasty : adapter).refund(order, refundOf(4_000, 0));
    const refundedOnce = simulator.payment(order.paymentId)?.refundedMinor;
    const second = await adapter.refund(order, refundOf(4_000, 0));

    expect(first).toEqual(expected);
    expect(refundedOnce).toBe(refundedMinor);
    expect(second).toEqual({ outcome: 'DONE' });
    expect(simulator.payment(order.paymentId)?.refundedMinor).toBe(4_000);
  });

  test('nothing is sent to a provider that is down', async () => {
    const { adapter, order, authorization } = await agreed();
    await simulator.goDown();

    const approved = await adapter.approve(order, authorization);
    const refunded = await adapter.refund(order, refundOf(4_000, 0));
    const found = await adapter.find(order);
    await simulator.comeUp();

    expect([approved, refunded, found]).toEqual([unknown('NOT_SENT'), unknown('NOT_SENT'), unknown('NOT_SENT')]);
    expect(await adapter.approve(order, authorization)).toMatchObject({ outcome: 'DONE' });
  });
});
