import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { PaymentOrder, RefundOrder } from '../../../../src/features/payments/index.ts';
import { Toss } from '../../../../src/features/payments/providers/toss.ts';
import { payAs } from '../../../../src/simulator/customer.ts';
import { type Fault, Simulator } from '../../../../src/simulator/simulator.ts';
import { failOnLeaks } from '../../../support/leaks.ts';
import { type Answer, orderOf, recorder, returnOf, Vendor } from './vendor.ts';

const KEY = 'tviva20261121210000ABcd1';
const MID = 'tvivarepublica';
const order: PaymentOrder = orderOf({ reference: KEY });
const refund: RefundOrder = {
  refundId: '0196d2a0-2222-7222-8333-444455556666',
  amountMinor: 1_000,
  capturedMinor: 11_000,
  refundedMinor: 4_000,
  reason: '개인 사정',
};
const done = { outcome: 'DONE' };
const unknown = (reason: string) => ({ outcome: 'UNKNOWN', reason });
const TIMED_OUT = unknown('TIMEOUT');
const PATIENT = { connectTimeoutMs: 20_000, answerTimeoutMs: 30_000 };
const refused = (code: string) => ({ outcome: 'REFUSED', code });
const none = (code: string) => ({ outcome: 'NONE', code });
const forged = (reason: string) => ({ outcome: 'FORGED', reason });
const taken = { reference: KEY, amountMinor: 11_000, currency: 'KRW' };
const captured = (refundedMinor: number) => ({ outcome: 'CAPTURED', captured: taken, refundedMinor });

const error = (status: number, code: unknown): Answer => ({ status, json: { code, message: '...' } });
const payment = (changed: Record<string, unknown> = {}): Answer => ({
  status: 200,
  json: {
    mId: MID,
    paymentKey: KEY,
    orderId: order.paymentId,
    status: 'DONE',
    currency: 'KRW',
    totalAmount: 11_000,
    balanceAmount: 11_000,
    card: { number: '43301234****123*' },
    secret: 'ps_secret',
    ...changed,
  },
});

failOnLeaks();

describe('Toss Payments', () => {
  let vendor: Vendor;
  let adapter: Toss;
  let recorded: ReturnType<typeof recorder>;

  afterEach(() => vendor.close());

  async function whenAnswered(...answers: Answer[]): Promise<void> {
    vendor = await Vendor.start();
    vendor.answer(...answers);
    recorded = recorder();
    adapter = new Toss({ baseUrl: vendor.url, secretKey: 'test_sk_1234', merchantId: MID }, PATIENT, recorded.record);
  }

  const sent = () => vendor.received.map(({ method, url, body }) => [method, url, body === '' ? null : (JSON.parse(body) as unknown)]);

  test('prepares an order under an idempotency key, and answers its payment key and its page', async () => {
    await whenAnswered(payment({ status: 'READY', checkout: { url: 'https://pay.example/1' } }));

    const prepared = await adapter.prepare({ ...order, reference: null });

    expect(prepared).toEqual({ outcome: 'DONE', reference: KEY, checkout: { url: 'https://pay.example/1', method: 'GET', fields: {} } });
    expect(sent()).toEqual([
      [
        'POST',
        '/v1/payments',
        {
          method: 'CARD',
          amount: 11_000,
          orderId: order.paymentId,
          orderName: '수영 강습',
          successUrl: order.returnUrls.paid,
          failUrl: order.returnUrls.failed,
        },
      ],
    ]);
    expect(vendor.received[0]?.headers).toMatchObject({
      authorization: `Basic ${Buffer.from('test_sk_1234:').toString('base64')}`,
      'idempotency-key': `prepare-${order.paymentId}`,
    });
  });

  test.each<[string, Answer, unknown]>([
    ['an error of ours', error(400, 'INVALID_REQUEST'), refused('INVALID_REQUEST')],
    ['a wrong key', error(401, 'UNAUTHORIZED_KEY'), refused('UNAUTHORIZED_KEY')],
    ['a code that is new', error(400, 'NEW_CODE'), refused('NEW_CODE')],
    ['a passing error', error(400, 'PROVIDER_ERROR'), unknown('UNLISTED')],
    ['the same request under way', error(409, 'IDEMPOTENT_REQUEST_PROCESSING'), unknown('UNLISTED')],
    ['too many calls', error(429, 'TOO_MANY_REQUESTS'), unknown('UNLISTED')],
    ['no code', { status: 400, json: {} }, unknown('UNLISTED')],
    ['no page', payment({ status: 'READY' }), unknown('GARBAGE')],
    ['another amount', payment({ totalAmount: 12_000, checkout: { url: 'https://pay.example/1' } }), unknown('MISMATCH')],
    ['an error of the server', error(500, 'FAILED_INTERNAL_SYSTEM_PROCESSING'), unknown('SERVER_ERROR')],
  ])('a preparation that is answered with %s', async (_name, answer, expected) => {
    await whenAnswered(answer);

    expect(await adapter.prepare(order)).toEqual(expected);
  });

  test('refuses another currency without asking anybody', async () => {
    await whenAnswered();

    expect(await adapter.prepare({ ...order, currency: 'USD' })).toEqual(refused('CURRENCY_NOT_SUPPORTED'));
    expect(vendor.received).toEqual([]);
  });

  const paid = (changed: Record<string, string> = {}) =>
    `/paid?${new URLSearchParams({ paymentType: 'NORMAL', paymentKey: KEY, orderId: order.paymentId, amount: '11000', ...changed })}`;
  test.each([
    ['what it should', paid(), { outcome: 'AUTHORIZED', authorization: { paymentKey: KEY } }],
    ['another order', paid({ orderId: 'other' }), forged('another order')],
    ['another amount', paid({ amount: '11001' }), forged('another amount')],
    ['the amount spelt in another way', paid({ amount: '11000.0' }), forged('another amount')],
    ['no payment key', paid({ paymentKey: '' }), forged('no paymentKey')],
    ['a payment key that was not prepared', paid({ paymentKey: 'made-up' }), { outcome: 'ASK' }],
    ['a failure', '/failed?code=PAY_PROCESS_CANCELED', { outcome: 'ASK' }],
    ['a failure with all of a success', paid().replace('/paid', '/cancelled'), { outcome: 'ASK' }],
  ])('the browser comes back with %s', async (_name, url, expected) => {
    await whenAnswered();

    expect(adapter.readReturn(order, returnOf(url))).toEqual(expected);
  });

  test.each<[string, Answer, unknown]>([
    ['a success', payment(), { outcome: 'DONE', captured: taken }],
    ['a success about another order', payment({ orderId: 'other' }), unknown('MISMATCH')],
    ['a success about another payment', payment({ paymentKey: 'other' }), unknown('MISMATCH')],
    ['a success about another amount', payment({ totalAmount: 10_999 }), unknown('MISMATCH')],
    ['a success in another currency', payment({ currency: 'USD' }), unknown('MISMATCH')],
    ['a success of another merchant', payment({ mId: 'other' }), unknown('MISMATCH')],
    ['a success without an amount', payment({ totalAmount: null }), unknown('GARBAGE')],
    ['an error with status 200', error(200, 'REJECT_CARD_COMPANY'), unknown('GARBAGE')],
    ...['READY', 'IN_PROGRESS', 'WAITING_FOR_DEPOSIT', 'ABORTED', 'EXPIRED', 'CANCELED', 'NEW'].map((status): [string, Answer, unknown] => [
      `a payment that is ${status}`,
      payment({ status }),
      unknown('UNLISTED'),
    ]),
    ...(
      [
        [400, 'INVALID_REQUEST'],
        [400, 'BELOW_MINIMUM_AMOUNT'],
        [400, 'INVALID_STOPPED_CARD'],
        [400, 'INVALID_CARD_LOST_OR_STOLEN'],
        [400, 'EXCEED_MAX_DAILY_PAYMENT_COUNT'],
        [401, 'UNAUTHORIZED_KEY'],
        [403, 'REJECT_CARD_COMPANY'],
        [403, 'REJECT_CARD_PAYMENT'],
        [403, 'FDS_ERROR'],
        [404, 'NOT_FOUND_PAYMENT'],
        [404, 'NOT_FOUND_PAYMENT_SESSION'],
      ] as const
    ).map(([status, code]): [string, Answer, unknown] => [code, error(status, code), refused(code)]),
    ...(
      [
        [400, 'ALREADY_PROCESSED_PAYMENT'],
        [400, 'PROVIDER_ERROR'],
        [400, 'CARD_PROCESSING_ERROR'],
        [400, 'DUPLICATED_ORDER_ID'],
        [409, 'IDEMPOTENT_REQUEST_PROCESSING'],
        [403, 'FORBIDDEN_CONSECUTIVE_REQUEST'],
        [400, 'NEW_CODE'],
        [400, 42],
      ] as const
    ).map(([status, code]): [string, Answer, unknown] => [String(code), error(status, code), unknown('UNLISTED')]),
    ...[
      'FAILED_INTERNAL_SYSTEM_PROCESSING',
      'FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING',
      'UNKNOWN_PAYMENT_ERROR',
      'REJECT_CARD_COMPANY',
    ].map((code): [string, Answer, unknown] => [`${code} with status 500`, error(500, code), unknown('SERVER_ERROR')]),
  ])('an approval that is answered with %s', async (_name, answer, expected) => {
    await whenAnswered(answer);

    const approved = await adapter.approve(order, { paymentKey: KEY });

    expect(approved).toEqual(expected);
    expect(sent()).toEqual([['POST', '/v1/payments/confirm', { paymentKey: KEY, orderId: order.paymentId, amount: 11_000 }]]);
    expect(vendor.received[0]?.headers['idempotency-key']).toBe(`approve-${order.paymentId}`);
  });

  test('records the exchange without the key, the card and the secret of the payment', async () => {
    await whenAnswered(payment());

    await adapter.approve(order, { paymentKey: KEY });

    expect(recorded.exchanges).toMatchObject([
      {
        provider: 'TOSS',
        operation: 'APPROVE',
        request: `POST ${vendor.url}/v1/payments/confirm`,
        requestBody: { paymentKey: KEY, orderId: order.paymentId, amount: 11_000 },
        status: 200,
        responseBody: { status: 'DONE', card: { number: '[redacted]' }, secret: '[redacted]' },
        outcome: 'DONE',
        code: null,
      },
    ]);
    expect(JSON.stringify(recorded.exchanges)).not.toMatch(/test_sk_1234|43301234|ps_secret/);
  });

  test.each<[string, Answer, unknown]>([
    ['READY', payment({ status: 'READY' }), { outcome: 'WAITING' }],
    ['WAITING_FOR_DEPOSIT', payment({ status: 'WAITING_FOR_DEPOSIT' }), { outcome: 'WAITING' }],
    ['IN_PROGRESS', payment({ status: 'IN_PROGRESS' }), { outcome: 'AUTHORIZED', authorization: { paymentKey: KEY } }],
    ['DONE', payment(), captured(0)],
    ['PARTIAL_CANCELED', payment({ status: 'PARTIAL_CANCELED', balanceAmount: 7_000 }), captured(4_000)],
    ['CANCELED', payment({ status: 'CANCELED', balanceAmount: 0 }), captured(11_000)],
    ['ABORTED', payment({ status: 'ABORTED', failure: { code: 'REJECT_CARD_COMPANY' } }), none('REJECT_CARD_COMPANY')],
    ['EXPIRED', payment({ status: 'EXPIRED', failure: null }), none('EXPIRED')],
    ['no payment', error(404, 'NOT_FOUND_PAYMENT'), none('NOT_FOUND_PAYMENT')],
    ['no page', { status: 404, json: { message: 'no route' } }, unknown('UNLISTED')],
    ['DONE without all of the money', payment({ balanceAmount: 7_000 }), unknown('MISMATCH')],
    ['CANCELED with money left', payment({ status: 'CANCELED', balanceAmount: 1 }), unknown('MISMATCH')],
    ['PARTIAL_CANCELED of nothing', payment({ status: 'PARTIAL_CANCELED' }), unknown('MISMATCH')],
    ['more left than was paid', payment({ balanceAmount: 12_000 }), unknown('MISMATCH')],
    ['DONE without a balance', payment({ balanceAmount: null }), unknown('GARBAGE')],
    ['another order', payment({ orderId: 'other' }), unknown('MISMATCH')],
    ['another merchant', payment({ mId: 'other' }), unknown('MISMATCH')],
    ['a status that is new', payment({ status: 'NEW' }), unknown('UNLISTED')],
    ['a wrong key', error(401, 'UNAUTHORIZED_KEY'), unknown('UNLISTED')],
    ['an error of the server', error(500, 'FAILED_INTERNAL_SYSTEM_PROCESSING'), unknown('SERVER_ERROR')],
  ])('an order that is found with %s', async (_name, answer, expected) => {
    await whenAnswered(answer);

    expect(await adapter.find({ ...order, reference: null })).toEqual(expected);
    expect(sent()).toEqual([['GET', `/v1/payments/orders/${order.paymentId}`, null]]);
  });

  test.each<[string, Answer, unknown]>([
    ['a success', payment({ status: 'PARTIAL_CANCELED', balanceAmount: 6_000 }), done],
    ['a success that leaves another amount', payment({ status: 'PARTIAL_CANCELED', balanceAmount: 7_000 }), unknown('MISMATCH')],
    [
      'a success about another payment',
      payment({ status: 'PARTIAL_CANCELED', balanceAmount: 6_000, paymentKey: 'x' }),
      unknown('MISMATCH'),
    ],
    ['a payment that is not cancelled', payment(), unknown('MISMATCH')],
    ['a wrong key', error(401, 'UNAUTHORIZED_KEY'), unknown('UNLISTED')],
    ['the same request under way', error(409, 'IDEMPOTENT_REQUEST_PROCESSING'), unknown('UNLISTED')],
    ['a passing error', error(400, 'PROVIDER_ERROR'), unknown('UNLISTED')],
    ['an error of the server', error(500, 'FAILED_REFUND_PROCESS'), unknown('SERVER_ERROR')],
  ])('a refund that is answered with %s', async (_name, answer, expected) => {
    await whenAnswered(answer);

    expect(await adapter.refund(order, refund)).toEqual(expected);
    expect(sent()).toEqual([['POST', `/v1/payments/${KEY}/cancel`, { cancelReason: '개인 사정', cancelAmount: 1_000 }]]);
    expect(vendor.received[0]?.headers['idempotency-key']).toBe(refund.refundId);
  });

  const partly = (refundedMinor: number) => payment({ status: 'PARTIAL_CANCELED', balanceAmount: 11_000 - refundedMinor });
  test.each<[string, string, Answer, unknown]>([
    ['NOT_CANCELABLE_AMOUNT', 'nothing more went back', partly(4_000), refused('NOT_CANCELABLE_AMOUNT')],
    ['NOT_CANCELABLE_PAYMENT', 'this much went back', partly(5_000), done],
    ['ALREADY_CANCELED_PAYMENT', 'all went back', payment({ status: 'CANCELED', balanceAmount: 0 }), done],
    ['ALREADY_CANCELED_PAYMENT', 'nothing went back', payment(), refused('ALREADY_CANCELED_PAYMENT')],
    ['ALREADY_CANCELED_PAYMENT', 'nothing was ever paid', payment({ status: 'ABORTED' }), unknown('MISMATCH')],
    ['ALREADY_CANCELED_PAYMENT', 'nothing, because it does not answer', { status: 503, text: '' }, unknown('SERVER_ERROR')],
  ])('a refund that is refused with %s, where the payment shows that %s', async (code, _shown, found, expected) => {
    await whenAnswered(error(403, code), found);

    expect(await adapter.refund(order, refund)).toEqual(expected);
    expect(recorded.exchanges.map(({ operation }) => operation)).toEqual(['REFUND', 'FIND']);
  });

  test('escapes what it puts into addresses', async () => {
    await whenAnswered();

    await adapter.refund({ ...order, reference: '../orders/x?y' }, refund);

    expect(vendor.received[0]?.url).toBe('/v1/payments/..%2Forders%2Fx%3Fy/cancel');
  });

  describe('webhooks', () => {
    const now = new Date('2026-11-21T12:00:00Z');
    const event = (changed: Record<string, unknown> = {}, data: Record<string, unknown> = {}) => ({
      eventType: 'PAYMENT_STATUS_CHANGED',
      createdAt: '2026-11-21T21:00:00.000000',
      data: { mId: MID, paymentKey: KEY, orderId: order.paymentId, status: 'DONE', ...data },
      ...changed,
    });
    const deposit = (changed: Record<string, unknown> = {}) => ({
      createdAt: '2026-11-21T21:00:00.000000',
      secret: 'ps_1',
      status: 'DONE',
      transactionKey: 'txn_1',
      orderId: order.paymentId,
      ...changed,
    });
    const headersOf = (time: string | undefined = '2026-11-21T21:00:00+09:00', id: string | undefined = 'transmission-1') => ({
      ...(time !== undefined && { 'tosspayments-webhook-transmission-time': time }),
      ...(id !== undefined && { 'tosspayments-webhook-transmission-id': id }),
    });
    const bell = { outcome: 'DOORBELL', eventId: 'transmission-1', paymentId: order.paymentId, saysCaptured: expect.any(Boolean) };
    const late = forged('outside the replay window');

    test.each<[string, unknown, Record<string, string>, unknown]>([
      ['an event of ours', event(), headersOf(), bell],
      ['a copy after almost four days', event(), headersOf('2026-11-18T02:00:00+09:00'), bell],
      ['a moment without a zone', event(), headersOf('2026-11-21T21:00:00.123456'), bell],
      ['a copy that is too old', event(), headersOf('2026-11-17T20:59:59+09:00'), late],
      ['an event from a clock five minutes ahead', event(), headersOf('2026-11-21T12:05:00Z'), bell],
      ['an event from the future', event(), headersOf('2026-11-21T12:05:01Z'), late],
      ['a moment that is none', event(), headersOf('yesterday'), late],
      ['no moment', event(), { 'tosspayments-webhook-transmission-id': 'transmission-1' }, forged('no transmission id or time')],
      ['no id', event(), { 'tosspayments-webhook-transmission-time': '2026-11-21T21:00:00+09:00' }, forged('no transmission id or time')],
      ['another merchant', event({}, { mId: 'other' }), headersOf(), forged('another merchant')],
      ['no payment', event({ data: null }), headersOf(), forged('another merchant')],
      [
        'an order that is not ours',
        event({}, { orderId: 'a4CWyWY5m89PNh7xJwhk1' }),
        headersOf(),
        { outcome: 'IGNORED', reason: 'not an order of ours' },
      ],
      [
        'another kind of event',
        event({ eventType: 'METHOD_UPDATED' }),
        headersOf(),
        { outcome: 'IGNORED', reason: 'another kind of event' },
      ],
      ['a list', [], headersOf(), forged('not JSON')],
      ['an object of something else', {}, {}, forged('neither event')],
      ['a deposit about an order that is not ours', deposit({ orderId: 'x' }), {}, { outcome: 'IGNORED', reason: 'not an order of ours' }],
      ['an old deposit', deposit(), headersOf('2026-11-01T21:00:00+09:00'), late],
    ])('%s', async (_name, body, headers, expected) => {
      await whenAnswered();

      expect(await adapter.readWebhook({ headers, rawBody: Buffer.from(JSON.stringify(body)), now })).toEqual(expected);
    });

    test('text is not its format', async () => {
      await whenAnswered();

      expect(await adapter.readWebhook({ headers: headersOf(), rawBody: Buffer.from('{"eventType":'), now })).toEqual(forged('not JSON'));
    });

    test('the copies of a deposit are one event, and its changes are several', async () => {
      await whenAnswered();
      const read = (body: unknown) => adapter.readWebhook({ headers: {}, rawBody: Buffer.from(JSON.stringify(body)), now });

      const events = await Promise.all([read(deposit()), read(deposit()), read(deposit({ status: 'WAITING_FOR_DEPOSIT' }))]);

      const ids = events.map((one) => (one.outcome === 'DOORBELL' && one.paymentId === order.paymentId ? one.eventId : null));
      expect(ids[0]).toMatch(/^[0-9a-f]{64}$/);
      expect(ids[1]).toBe(ids[0]);
      expect(ids[2]).toMatch(/^[0-9a-f]{64}$/);
      expect(ids[2]).not.toBe(ids[0]);
    });

    test('only what was taken is answered with 200', async () => {
      await whenAnswered();

      expect((['TAKEN', 'LATER', 'REFUSED'] as const).map((how) => adapter.webhookReply(how).status)).toEqual([200, 503, 401]);
    });
  });
});

describe('Toss Payments, at the simulator', () => {
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

  /** A prepared order whose customer agreed. */
  async function agreed() {
    const adapter = new Toss(simulator.settings.TOSS, PATIENT, recorder().record);
    /** Gives up early: for calls that hang. */
    const hasty = new Toss(simulator.settings.TOSS, { ...PATIENT, answerTimeoutMs: 1_000 }, recorder().record);
    const unprepared = orderOf({}, shop.url);
    const prepared = await adapter.prepare(unprepared);
    if (prepared.outcome !== 'DONE') throw new Error(`not prepared: ${JSON.stringify(prepared)}`);
    const order = { ...unprepared, reference: prepared.reference };
    await payAs(prepared.checkout, 'approve');
    const read = adapter.readReturn(order, returnOf(shop.received.at(-1)?.url));
    if (read.outcome !== 'AUTHORIZED') throw new Error(`not authorized: ${JSON.stringify(read)}`);
    return { adapter, hasty, order, prepared, authorization: read.authorization };
  }

  const refundOf = (refundId: string, amountMinor: number, refundedMinor: number): RefundOrder => ({
    refundId,
    amountMinor,
    capturedMinor: 11_000,
    refundedMinor,
    reason: '개인 사정',
  });

  test('is prepared, agreed to, approved, found, and refunded in part and in full', async () => {
    const { adapter, order, authorization } = await agreed();
    const captured = { reference: order.reference, amountMinor: 11_000, currency: 'KRW' };

    const before = await adapter.find(order);
    const approved = await adapter.approve(order, authorization);
    const after = await adapter.find(order);
    const part = await adapter.refund(order, refundOf('refund-1', 4_000, 0));
    const again = await adapter.refund(order, refundOf('refund-1', 4_000, 0));
    const rest = await adapter.refund(order, refundOf('refund-2', 7_000, 4_000));
    const otherwise = await adapter.refund(order, refundOf('refund-3', 7_000, 4_000));
    const atTheEnd = await adapter.find(order);

    expect(before).toEqual({ outcome: 'AUTHORIZED', authorization });
    expect(approved).toEqual({ outcome: 'DONE', captured });
    expect(after).toEqual({ outcome: 'CAPTURED', captured, refundedMinor: 0 });
    expect([part, again, rest, otherwise]).toEqual([done, done, done, done]);
    expect(atTheEnd).toEqual({ outcome: 'CAPTURED', captured, refundedMinor: 11_000 });
    expect(simulator.payment(order.paymentId)?.entries.map(({ kind, amountMinor }) => [kind, amountMinor])).toEqual([
      ['CAPTURE', 11_000],
      ['REFUND', 4_000],
      ['REFUND', 7_000],
    ]);
  });

  test('is prepared twice and is one payment', async () => {
    const { adapter, order, prepared } = await agreed();

    expect(await adapter.prepare({ ...order, reference: null })).toEqual(prepared);
  });

  test('tells of a customer who goes away', async () => {
    const adapter = new Toss(simulator.settings.TOSS, PATIENT, recorder().record);
    const order = orderOf({}, shop.url);
    const prepared = await adapter.prepare(order);
    if (prepared.outcome !== 'DONE') throw new Error('not prepared');
    const waiting = await adapter.find(order);

    await payAs(prepared.checkout, 'refuse');

    expect(waiting).toEqual({ outcome: 'WAITING' });
    expect(adapter.readReturn(order, returnOf(shop.received.at(-1)?.url))).toEqual({ outcome: 'ASK' });
    expect((await adapter.find(order)).outcome).toBe('NONE');
  });

  test('rings about its payments', async () => {
    const { adapter, order, authorization } = await agreed();
    await adapter.approve(order, authorization);

    const webhooks = simulator.webhooksOf(order.paymentId);
    const read = await Promise.all(
      webhooks.map(({ headers, body }) => adapter.readWebhook({ headers, rawBody: Buffer.from(body), now: new Date() })),
    );

    expect(read).toEqual([
      { outcome: 'DOORBELL', eventId: expect.any(String), paymentId: order.paymentId, saysCaptured: expect.any(Boolean) },
    ]);
  });

  test.each<[Fault, unknown, unknown]>([
    ['REFUSE', refused('REJECT_CARD_COMPANY'), 'NONE'],
    ['HANG_BEFORE', TIMED_OUT, 'AUTHORIZED'],
    ['HANG_AFTER', TIMED_OUT, 'CAPTURED'],
    ['RESET_BEFORE', unknown('RESET'), 'AUTHORIZED'],
    ['RESET_AFTER', unknown('RESET'), 'CAPTURED'],
    ['ERROR_BEFORE', unknown('SERVER_ERROR'), 'AUTHORIZED'],
    ['ERROR_AFTER', unknown('SERVER_ERROR'), 'CAPTURED'],
    ['GARBAGE', unknown('GARBAGE'), 'CAPTURED'],
    ['SLOW_DRIP', TIMED_OUT, 'CAPTURED'],
    ['WRONG_AMOUNT', unknown('MISMATCH'), 'CAPTURED'],
    ['WRONG_ORDER', unknown('MISMATCH'), 'CAPTURED'],
  ])('an approval that meets %s is never done by mistake, and is found afterwards', async (fault, expected, found) => {
    const { adapter, hasty, order, authorization } = await agreed();
    simulator.order({ provider: 'TOSS', call: 'approve', fault, orderId: order.paymentId });

    const approved = await (expected === TIMED_OUT ? hasty : adapter).approve(order, authorization);

    expect(approved).toEqual(expected);
    expect((await adapter.find(order)).outcome).toBe(found);
  });

  test.each<[Fault, unknown, number]>([
    ['HANG_AFTER', TIMED_OUT, 4_000],
    ['RESET_BEFORE', unknown('RESET'), 0],
    ['ERROR_AFTER', unknown('SERVER_ERROR'), 4_000],
    ['GARBAGE', unknown('GARBAGE'), 4_000],
    ['WRONG_AMOUNT', unknown('MISMATCH'), 4_000],
    ['WRONG_ORDER', unknown('MISMATCH'), 4_000],
  ])('a refund that meets %s, sent again, has one effect', async (fault, expected, refundedMinor) => {
    const { adapter, hasty, order, authorization } = await agreed();
    await adapter.approve(order, authorization);
    simulator.order({ provider: 'TOSS', call: 'cancel', fault, orderId: order.paymentId });

    const first = await (expected === TIMED_OUT ? hasty : adapter).refund(order, refundOf('refund-1', 4_000, 0));
    const refundedOnce = simulator.payment(order.paymentId)?.refundedMinor;
    const second = await adapter.refund(order, refundOf('refund-1', 4_000, 0));

    expect(first).toEqual(expected);
    expect(refundedOnce).toBe(refundedMinor);
    expect(second).toEqual(done);
    expect(simulator.payment(order.paymentId)?.refundedMinor).toBe(4_000);
  });

  test('nothing is sent to a provider that is down', async () => {
    const { adapter, order, authorization } = await agreed();
    await simulator.goDown();

    const approved = await adapter.approve(order, authorization);
    const found = await adapter.find(order);
    await simulator.comeUp();

    expect([approved, found]).toEqual([unknown('NOT_SENT'), unknown('NOT_SENT')]);
    expect(await adapter.approve(order, authorization)).toMatchObject({ outcome: 'DONE' });
  });
});
