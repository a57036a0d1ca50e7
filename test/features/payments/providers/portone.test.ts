import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Webhook } from 'standardwebhooks';
import type { Exchange, PaymentOrder, RefundOrder, WebhookRequest } from '../../../../src/features/payments/index.ts';
import { PortOne } from '../../../../src/features/payments/providers/portone.ts';
import { payAs } from '../../../../src/simulator/customer.ts';
import { Simulator } from '../../../../src/simulator/simulator.ts';
import { eventually } from '../../../support/wait.ts';

const PAYMENT_ID = '0196d2a0-1111-7222-8333-444455556666';
const STORE = 'store-of-ours';
const API_SECRET = 'portone-api-secret-of-ours';
const WEBHOOK_SECRET = `whsec_${Buffer.from('a webhook secret of thirty-two b').toString('base64')}`;
const TOKEN = 'payment-token-nobody-may-read';
const TRANSACTION = '0196d2a0-9999-7222-8333-444455556666';

const order: PaymentOrder = {
  paymentId: PAYMENT_ID,
  customerRef: 'c0ffee',
  title: '아침 수영 8월반',
  amountMinor: 30_000,
  currency: 'KRW',
  locale: 'ko',
  returnUrls: { paid: 'https://us.example/paid', cancelled: 'https://us.example/cancelled', failed: 'https://us.example/failed' },
  reference: null,
};
const refund: RefundOrder = {
  refundId: '0196d2a0-2222-7222-8333-444455556666',
  amountMinor: 10_000,
  capturedMinor: 30_000,
  refundedMinor: 5_000,
  reason: '개인 사정',
};
const authorization = { paymentToken: TOKEN, txId: TRANSACTION };
const unknown = (reason: string) => ({ outcome: 'UNKNOWN', reason });

/** A payment as PortOne describes it. */
const payment = (changed: Record<string, unknown> = {}, cancelled = 0) => ({
  status: cancelled === 0 ? 'PAID' : cancelled === 30_000 ? 'CANCELLED' : 'PARTIAL_CANCELLED',
  id: PAYMENT_ID,
  transactionId: TRANSACTION,
  storeId: STORE,
  amount: { total: 30_000, taxFree: 0, discount: 0, paid: 30_000 - cancelled, cancelled, cancelledTaxFree: 0 },
  currency: 'KRW',
  ...changed,
});
const withAmount = (changed: Record<string, unknown>) => payment({ amount: { ...payment().amount, ...changed } });
const problem = (type: string, more: Record<string, unknown> = {}) => ({ status: 400, body: { type, ...more } });
const bankRefusal = { status: 502, body: { type: 'PG_PROVIDER', pgCode: 'REJECT_CARD', pgMessage: '한도 초과' } };
const confirmed = { body: { pgTxId: 'pg-1', paidAt: '2026-11-21T12:00:00Z' } };
const cancelled = (changed: Record<string, unknown> = {}) => ({
  body: { cancellation: { status: 'SUCCEEDED', id: 'c-1', totalAmount: 10_000, ...changed } },
});

interface Scripted {
  status?: number;
  body?: unknown;
  text?: string;
}
type Behaviour = Scripted | ((request: IncomingMessage, response: ServerResponse) => void);

const running: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of running.splice(0)) await stop();
});

/** A vendor that answers each function of its API as it is told, and our adapter for it. */
async function vendor(
  behaviours: Partial<Record<'register' | 'confirm' | 'get' | 'cancel', Behaviour>>,
  timeouts = { answerTimeoutMs: 30_000 },
) {
  const requests: { method: string; path: string; authorization: string | undefined; body: unknown }[] = [];
  let openSockets = 0;
  const server = createServer(async (request, response) => {
    const path = request.url ?? '';
    const chunks = await request.toArray();
    const text = Buffer.concat(chunks).toString();
    requests.push({ method: request.method ?? '', path, authorization: request.headers.authorization, body: text && JSON.parse(text) });
    const name = path.endsWith('/pre-register')
      ? 'register'
      : path.endsWith('/confirm')
        ? 'confirm'
        : path.endsWith('/cancel')
          ? 'cancel'
          : 'get';
    const behaviour = behaviours[name] ?? { status: 500, body: {} };
    if (typeof behaviour === 'function') return behaviour(request, response);
    response.writeHead(behaviour.status ?? 200).end(behaviour.text ?? JSON.stringify(behaviour.body));
  });
  server.on('connection', (socket) => {
    openSockets += 1;
    socket.once('close', () => {
      openSockets -= 1;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const stop = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((closed) => server.close(closed));
  };
  running.push(stop);
  const exchanges: Exchange[] = [];
  return { adapter: adapterAt(baseUrl, exchanges, timeouts), requests, exchanges, stop, openSockets: () => openSockets };
}

function adapterAt(baseUrl: string, exchanges: Exchange[] = [], timeouts = { answerTimeoutMs: 30_000 }): PortOne {
  const settings = {
    baseUrl,
    apiSecret: API_SECRET,
    storeId: STORE,
    channelKey: 'channel-key-of-ours',
    webhookSecret: WEBHOOK_SECRET,
    checkoutUrl: 'https://us.example/portone',
  };
  return new PortOne(settings, { connectTimeoutMs: 20_000, ...timeouts }, async (exchange) => void exchanges.push(exchange));
}

describe('prepare', () => {
  test('registers the amount and hands out a checkout for the browser SDK', async () => {
    const { adapter, requests } = await vendor({ register: { body: {} } });

    const prepared = await adapter.prepare(order);

    expect(prepared).toEqual({
      outcome: 'DONE',
      reference: null,
      checkout: {
        url: 'https://us.example/portone',
        method: 'GET',
        fields: {
          storeId: STORE,
          channelKey: 'channel-key-of-ours',
          paymentId: PAYMENT_ID,
          orderName: '아침 수영 8월반',
          totalAmount: '30000',
          currency: 'KRW',
          redirectUrl: 'https://us.example/paid',
        },
      },
    });
    expect(requests).toEqual([
      {
        method: 'POST',
        path: `/payments/${PAYMENT_ID}/pre-register`,
        authorization: `PortOne ${API_SECRET}`,
        body: { storeId: STORE, totalAmount: 30_000, currency: 'KRW' },
      },
    ]);
  });

  test.each([
    ['INVALID_REQUEST', { outcome: 'REFUSED', code: 'INVALID_REQUEST' }],
    ['FORBIDDEN', { outcome: 'REFUSED', code: 'FORBIDDEN' }],
    ['UNAUTHORIZED', unknown('UNLISTED')],
    ['ALREADY_PAID', unknown('UNLISTED')],
    ['NEVER_HEARD_OF', unknown('UNLISTED')],
  ])('the error %s is %j', async (type, outcome) => {
    const { adapter } = await vendor({ register: problem(type) });

    const prepared = await adapter.prepare(order);

    expect(prepared).toEqual(outcome);
  });
});

describe('readReturn', () => {
  const adapter = adapterAt('http://127.0.0.1:1');
  const read = (query: Record<string, string>) => adapter.readReturn(order, { kind: 'paid', query, body: {} });

  test.each([
    [
      'a token waits for our confirmation',
      { paymentId: PAYMENT_ID, paymentToken: TOKEN, txId: TRANSACTION },
      { outcome: 'AUTHORIZED', authorization },
    ],
    [
      'a token without txId too',
      { paymentId: PAYMENT_ID, paymentToken: TOKEN },
      { outcome: 'AUTHORIZED', authorization: { paymentToken: TOKEN } },
    ],
    ['no token: the page may have taken the money', { paymentId: PAYMENT_ID, txId: TRANSACTION }, { outcome: 'ASK' }],
    ['a failure is not believed', { paymentId: PAYMENT_ID, code: 'FAILURE_TYPE_PG' }, { outcome: 'ASK' }],
    ['a failure with a token neither', { paymentId: PAYMENT_ID, code: 'X', paymentToken: TOKEN }, { outcome: 'ASK' }],
    ['another payment', { paymentId: TRANSACTION, paymentToken: TOKEN }, { outcome: 'FORGED', reason: 'another payment' }],
    ['nothing at all', {}, { outcome: 'FORGED', reason: 'another payment' }],
  ])('%s', (_name, query, outcome) => {
    expect(read(query as Record<string, string>)).toEqual(outcome);
  });
});

describe('approve', () => {
  test('confirms with everything PortOne can compare, and reads what was taken', async () => {
    const { adapter, requests } = await vendor({ confirm: confirmed, get: { body: payment() } });

    const approved = await adapter.approve(order, authorization);

    expect(approved).toEqual({ outcome: 'DONE', captured: { reference: TRANSACTION, amountMinor: 30_000, currency: 'KRW' } });
    expect(requests.map(({ method, path, body }) => ({ method, path, body }))).toEqual([
      {
        method: 'POST',
        path: `/payments/${PAYMENT_ID}/confirm`,
        body: { storeId: STORE, paymentToken: TOKEN, txId: TRANSACTION, currency: 'KRW', totalAmount: 30_000 },
      },
      { method: 'GET', path: `/payments/${PAYMENT_ID}?storeId=${STORE}`, body: '' },
    ]);
  });

  test.each<[string, Scripted, Scripted, object]>([
    ['confirmed, another amount was taken', confirmed, { body: withAmount({ total: 300 }) }, unknown('MISMATCH')],
    ['confirmed, another payment is shown', confirmed, { body: payment({ id: TRANSACTION }) }, unknown('MISMATCH')],
    ['confirmed, nothing was taken', confirmed, { body: payment({ status: 'READY' }) }, unknown('MISMATCH')],
    [
      'confirmed, an account number was issued instead',
      confirmed,
      { body: payment({ status: 'VIRTUAL_ACCOUNT_ISSUED' }) },
      unknown('MISMATCH'),
    ],
    ['confirmed, a part is back already', confirmed, { body: payment({}, 1_000) }, unknown('UNLISTED')],
    ['confirmed, and the payment cannot be read', confirmed, { status: 500, text: 'oops' }, unknown('SERVER_ERROR')],
    ['the bank refused', bankRefusal, { body: payment({ status: 'FAILED' }) }, { outcome: 'REFUSED', code: 'REJECT_CARD' }],
    [
      'the bank refused, without a code',
      problem('PG_PROVIDER'),
      { body: payment({ status: 'FAILED' }) },
      { outcome: 'REFUSED', code: 'PG_PROVIDER' },
    ],
    [
      'the bank refused a second confirmation; the first is under way',
      bankRefusal,
      { body: payment({ status: 'PAY_PENDING' }) },
      unknown('UNLISTED'),
    ],
    ['the bank refused a second confirmation; the first took the money', bankRefusal, { body: payment() }, unknown('UNLISTED')],
    [
      'the token is used up and the try failed',
      problem('INVALID_PAYMENT_TOKEN'),
      { body: payment({ status: 'FAILED' }) },
      { outcome: 'REFUSED', code: 'INVALID_PAYMENT_TOKEN' },
    ],
    [
      'the token is used up and nobody knows why',
      problem('INVALID_PAYMENT_TOKEN'),
      { body: payment({ status: 'READY' }) },
      unknown('UNLISTED'),
    ],
    ['the customer agreed to another amount', problem('INFORMATION_MISMATCH'), {}, { outcome: 'REFUSED', code: 'INFORMATION_MISMATCH' }],
    ['there is no such payment', problem('PAYMENT_NOT_FOUND'), {}, { outcome: 'REFUSED', code: 'PAYMENT_NOT_FOUND' }],
    ['it is paid already', problem('ALREADY_PAID'), {}, unknown('UNLISTED')],
    ['our key is wrong', problem('UNAUTHORIZED'), {}, unknown('UNLISTED')],
    ['an error nobody has heard of', problem('BRAND_NEW'), {}, unknown('UNLISTED')],
    ['an error without a type', { status: 400, body: { message: 'no' } }, {}, unknown('GARBAGE')],
    ['an error that is not even an object', { status: 400, body: 'no' }, {}, unknown('GARBAGE')],
  ])('%s', async (_name, confirm, get, outcome) => {
    const { adapter } = await vendor({ confirm, get });

    const approved = await adapter.approve(order, authorization);

    expect(approved).toEqual(outcome);
  });
});

describe('find', () => {
  const captured = { reference: TRANSACTION, amountMinor: 30_000, currency: 'KRW' };

  test.each<[string, Scripted, object]>([
    ['READY', { body: payment({ status: 'READY' }) }, { outcome: 'WAITING' }],
    ['PENDING', { body: payment({ status: 'PENDING' }) }, { outcome: 'WAITING' }],
    ['PAY_PENDING', { body: payment({ status: 'PAY_PENDING' }) }, { outcome: 'WAITING' }],
    ['VIRTUAL_ACCOUNT_ISSUED', { body: payment({ status: 'VIRTUAL_ACCOUNT_ISSUED' }) }, { outcome: 'WAITING' }],
    ['FAILED, because the customer may try again', { body: payment({ status: 'FAILED' }) }, { outcome: 'WAITING' }],
    ['not known yet, because nobody opened the checkout', { status: 404, body: { type: 'PAYMENT_NOT_FOUND' } }, { outcome: 'WAITING' }],
    ['PAID', { body: payment() }, { outcome: 'CAPTURED', captured, refundedMinor: 0 }],
    ['PARTIAL_CANCELLED', { body: payment({}, 12_000) }, { outcome: 'CAPTURED', captured, refundedMinor: 12_000 }],
    ['CANCELLED', { body: payment({}, 30_000) }, { outcome: 'CAPTURED', captured, refundedMinor: 30_000 }],
    ['a status nobody has heard of', { body: payment({ status: 'DISPUTED' }) }, unknown('UNLISTED')],
    [
      'a cancellation the bank has not decided',
      { body: payment({ cancellations: [{ status: 'SUCCEEDED' }, { status: 'REQUESTED' }] }) },
      unknown('UNLISTED'),
    ],
    ['another payment', { body: payment({ id: TRANSACTION }) }, unknown('MISMATCH')],
    ['another store', { body: payment({ storeId: 'store-of-others' }) }, unknown('MISMATCH')],
    ['another amount', { body: withAmount({ total: 30_001 }) }, unknown('MISMATCH')],
    ['another currency', { body: payment({ currency: 'USD' }) }, unknown('MISMATCH')],
    ['PAID with something back', { body: withAmount({ cancelled: 1 }) }, unknown('MISMATCH')],
    ['CANCELLED with nothing back', { body: payment({ status: 'CANCELLED' }) }, unknown('MISMATCH')],
    ['PARTIAL_CANCELLED with all back', { body: payment({ status: 'PARTIAL_CANCELLED' }, 30_000) }, unknown('MISMATCH')],
    ['an amount that is text', { body: withAmount({ total: '30000' }) }, unknown('GARBAGE')],
    ['no transaction', { body: payment({ transactionId: '' }) }, unknown('GARBAGE')],
    ['an array', { body: [payment()] }, unknown('GARBAGE')],
    ['our key is wrong', problem('UNAUTHORIZED'), unknown('UNLISTED')],
  ])('%s', async (_name, get, outcome) => {
    const { adapter } = await vendor({ get });

    const found = await adapter.find(order);

    expect(found).toEqual(outcome);
  });
});

describe('refund', () => {
  test('names what can still be given back, so that a second one is refused', async () => {
    const { adapter, requests } = await vendor({ cancel: cancelled() });

    const refunded = await adapter.refund(order, refund);

    expect(refunded).toEqual({ outcome: 'DONE' });
    expect(requests.map(({ path, body }) => ({ path, body }))).toEqual([
      {
        path: `/payments/${PAYMENT_ID}/cancel`,
        body: { storeId: STORE, amount: 10_000, currentCancellableAmount: 25_000, reason: '개인 사정', requester: 'ADMIN' },
      },
    ]);
  });

  const broken = { status: 409, body: { type: 'CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN' } };
  test.each<[string, Scripted, Scripted, object]>([
    ['it failed', cancelled({ status: 'FAILED' }), {}, { outcome: 'REFUSED', code: 'FAILED' }],
    ['the bank decides later', cancelled({ status: 'REQUESTED' }), {}, unknown('UNLISTED')],
    ['a status nobody has heard of', cancelled({ status: 'HALFWAY' }), {}, unknown('UNLISTED')],
    ['another amount went back', cancelled({ totalAmount: 11_000 }), {}, unknown('MISMATCH')],
    ['an answer of another shape', { body: {} }, {}, unknown('GARBAGE')],
    ['a first one like it was done', broken, { body: payment({}, 15_000) }, { outcome: 'DONE' }],
    [
      'nothing more than before went back',
      broken,
      { body: payment({}, 5_000) },
      { outcome: 'REFUSED', code: 'CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN' },
    ],
    [
      'somebody else gave back something smaller',
      broken,
      { body: payment({}, 6_000) },
      { outcome: 'REFUSED', code: 'CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN' },
    ],
    ['less than before went back, which cannot be', broken, { body: payment() }, unknown('MISMATCH')],
    ['a first one is not decided', broken, { body: payment({ cancellations: [{ status: 'REQUESTED' }] }, 5_000) }, unknown('UNLISTED')],
    ['what went back cannot be read', broken, { status: 503, text: '' }, unknown('SERVER_ERROR')],
    ['all is back', problem('PAYMENT_ALREADY_CANCELLED'), { body: payment({}, 30_000) }, { outcome: 'DONE' }],
    [
      'more than is left',
      problem('CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT'),
      { body: payment({}, 5_000) },
      { outcome: 'REFUSED', code: 'CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT' },
    ],
    ['the bank refused', bankRefusal, { body: payment({}, 5_000) }, { outcome: 'REFUSED', code: 'REJECT_CARD' }],
    ['nothing was ever paid', problem('PAYMENT_NOT_PAID'), {}, { outcome: 'REFUSED', code: 'PAYMENT_NOT_PAID' }],
    ['our key is wrong', problem('UNAUTHORIZED'), {}, unknown('UNLISTED')],
  ])('%s', async (_name, cancel, get, outcome) => {
    const { adapter } = await vendor({ cancel, get });

    const refunded = await adapter.refund(order, refund);

    expect(refunded).toEqual(outcome);
  });
});

describe('what can happen on the way', () => {
  const drip = (_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const drops = setInterval(() => response.write(' '), 20);
    response.once('close', () => clearInterval(drops));
  };
  const ways: [string, Behaviour, string][] = [
    ['no answer', () => undefined, 'TIMEOUT'],
    ['an answer that never ends', drip, 'TIMEOUT'],
    ['a reset', (request) => request.socket.resetAndDestroy(), 'RESET'],
    [
      'a reset in the middle of the answer',
      (request, response) => response.writeHead(200, { 'content-length': 100 }).write('{', () => request.socket.resetAndDestroy()),
      'RESET',
    ],
    ['an error of the server', { status: 500, body: { type: 'INTERNAL_SERVER_ERROR' } }, 'SERVER_ERROR'],
    ['the error page of a proxy', { status: 502, text: '<html>Bad gateway' }, 'SERVER_ERROR'],
    ['an error page with 200', { text: '<html>Maintenance' }, 'GARBAGE'],
    ['an empty answer', { text: '' }, 'GARBAGE'],
    ['no content', (_request, response) => response.writeHead(204).end(), 'GARBAGE'],
    ['a redirect, which is not followed', (_request, response) => response.writeHead(307, { location: '/elsewhere' }).end(), 'GARBAGE'],
    ['an answer without an end', { text: `"${'x'.repeat(1_100_000)}"` }, 'GARBAGE'],
    ['something that is not HTTP', (request) => request.socket.end('SSH-2.0-OpenSSH_9.6\r\n'), 'GARBAGE'],
  ];

  test.each(ways)('%s leaves every function unknown', async (_name, behaviour, reason) => {
    const { adapter, exchanges } = await vendor(
      { register: behaviour, confirm: behaviour, get: behaviour, cancel: behaviour },
      { answerTimeoutMs: reason === 'TIMEOUT' ? 1_000 : 30_000 },
    );

    const outcomes = [
      await adapter.prepare(order),
      await adapter.approve(order, authorization),
      await adapter.find(order),
      await adapter.refund(order, refund),
    ];

    expect(outcomes).toEqual(Array(4).fill(unknown(reason)));
    expect(exchanges.map(({ operation, outcome, code }) => [operation, outcome, code])).toEqual(
      ['PREPARE', 'APPROVE', 'FIND', 'REFUND'].map((operation) => [operation, 'UNKNOWN', reason]),
    );
  });

  test('a refused connection was certainly not sent', async () => {
    const { adapter, exchanges, stop } = await vendor({});
    await stop();

    const approved = await adapter.approve(order, authorization);

    expect(approved).toEqual(unknown('NOT_SENT'));
    expect(exchanges.map(({ status, responseBody }) => ({ status, responseBody }))).toEqual([{ status: null, responseBody: null }]);
  });

  test('a confirmation that was sent is never said not to have been, even when nothing can be read any more', async () => {
    const { adapter, stop } = await vendor({
      confirm: (_request, response) => {
        response.end(JSON.stringify(confirmed.body));
        void stop();
      },
    });

    const approved = await adapter.approve(order, authorization);

    expect(approved).toEqual(unknown('UNLISTED'));
  });

  test('ten breakdowns in a row open the circuit: the next call is not sent, and recorded', async () => {
    const { adapter, requests, exchanges } = await vendor({ get: { status: 500, text: 'oops' } });
    for (const _ of Array(10).keys()) await adapter.find(order);

    const approved = await adapter.approve(order, authorization);

    expect(approved).toEqual(unknown('NOT_SENT'));
    expect(requests.length).toBe(10);
    expect(exchanges.at(-1)).toMatchObject({
      operation: 'APPROVE',
      outcome: 'UNKNOWN',
      code: 'NOT_SENT',
      status: null,
      responseBody: null,
    });
  });

  test('refusals do not open the circuit', async () => {
    const { adapter, requests } = await vendor({ get: problem('UNAUTHORIZED') });

    for (const _ of Array(12).keys()) await adapter.find(order);

    expect(requests.length).toBe(12);
  });

  test('a host that does not exist was certainly not sent', async () => {
    const adapter = adapterAt('http://portone.invalid');

    const found = await adapter.find(order);

    expect(found).toEqual(unknown('NOT_SENT'));
  });

  test.each([
    ['a silent server', () => undefined],
    ['a dripping server', drip],
  ])('%s costs no socket after the time-out, and the global fetch is the same', async (_name, behaviour) => {
    const { fetch } = globalThis;
    const { adapter, requests, openSockets } = await vendor({ get: behaviour }, { answerTimeoutMs: 1_000 });

    const found = await Promise.all([adapter.find(order), adapter.find(order), adapter.find(order)]);

    expect(found).toEqual(Array(3).fill(unknown('TIMEOUT')));
    expect(requests.length).toBe(3);
    // The HTTP client opens a fresh idle connection for each one it cut, and closes it after some seconds without use.
    await eventually(() => expect(openSockets()).toBe(0));
    expect(globalThis.fetch).toBe(fetch);
  });
});

describe('exchanges', () => {
  test('every call is recorded as it went, without secrets', async () => {
    const { adapter, exchanges } = await vendor({
      confirm: confirmed,
      get: { body: payment({ method: { card: { number: '4330123412341234' } } }) },
    });

    await adapter.approve(order, authorization);

    expect(exchanges.map(({ latencyMs: _, ...exchange }) => exchange)).toMatchObject([
      {
        provider: 'PORTONE',
        operation: 'APPROVE',
        paymentId: PAYMENT_ID,
        request: '@portone/server-sdk confirmPayment',
        requestBody: { paymentId: PAYMENT_ID, totalAmount: 30_000, currency: 'KRW' },
        status: 200,
        responseBody: confirmed.body,
        outcome: 'DONE',
        code: null,
      },
      {
        operation: 'FIND',
        request: '@portone/server-sdk getPayment',
        requestBody: { paymentId: PAYMENT_ID, storeId: STORE },
        status: 200,
        responseBody: { status: 'PAID', transactionId: TRANSACTION },
        outcome: 'DONE',
        code: null,
      },
    ]);
    const recorded = JSON.stringify(exchanges);
    expect(recorded).not.toContain(TOKEN);
    expect(recorded).not.toContain(API_SECRET);
    expect(recorded).not.toContain('4330123412341234');
  });

  test('a refusal is filed with its code, and text that is not JSON is cut', async () => {
    const { adapter, exchanges } = await vendor({ confirm: problem('INFORMATION_MISMATCH'), get: { text: 'x'.repeat(5_000) } });

    await adapter.approve(order, authorization);
    await adapter.find(order);

    expect(exchanges.map(({ outcome, code, status, responseBody }) => ({ outcome, code, status, responseBody }))).toEqual([
      { outcome: 'REFUSED', code: 'INFORMATION_MISMATCH', status: 400, responseBody: { type: 'INFORMATION_MISMATCH' } },
      { outcome: 'UNKNOWN', code: 'GARBAGE', status: 200, responseBody: `${'x'.repeat(3_995)}[cut]` },
    ]);
  });
});

describe('with the simulator', () => {
  /** Our side: where the customer's browser comes back. */
  async function shop(portoneCapture: 'BY_HAND' | 'AT_ONCE') {
    const simulator = await Simulator.start({ portoneCapture });
    const queries: Record<string, string>[] = [];
    const server = createServer((request, response) => {
      queries.push(Object.fromEntries(new URL(request.url ?? '', 'http://us').searchParams));
      response.end();
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    running.push(async () => {
      server.closeAllConnections();
      await new Promise((closed) => server.close(closed));
      await simulator.close();
    });
    const paid = `http://127.0.0.1:${(server.address() as AddressInfo).port}/paid`;
    const adapterOf = (answerTimeoutMs: number) =>
      new PortOne(simulator.settings.PORTONE, { connectTimeoutMs: 20_000, answerTimeoutMs }, async () => undefined);
    /** The second gives up early: for calls that hang. */
    const [adapter, hasty] = [adapterOf(30_000), adapterOf(1_000)];
    const ours = { ...order, returnUrls: { ...order.returnUrls, paid } };
    const prepared = await adapter.prepare(ours);
    if (prepared.outcome !== 'DONE') throw new Error('not prepared');
    const returned = () => adapter.readReturn(ours, { kind: 'paid', query: queries.at(-1) ?? {}, body: {} });
    const movements = () => simulator.payment(PAYMENT_ID)?.entries.map(({ kind, amountMinor }) => [kind, amountMinor]);
    return { simulator, adapter, hasty, ours, checkout: prepared.checkout, returned, movements };
  }
  const captured = { amountMinor: 30_000, currency: 'KRW', reference: expect.stringMatching(/./) };

  test('a payment is taken by our confirmation and given back in two parts, each once though sent twice', async () => {
    const { simulator, adapter, ours, checkout, returned, movements } = await shop('BY_HAND');
    expect(await adapter.find(ours)).toEqual({ outcome: 'WAITING' });

    await payAs(checkout, 'approve');
    const read = returned();
    if (read.outcome !== 'AUTHORIZED') throw new Error(`the return was ${read.outcome}`);
    const approved = await adapter.approve(ours, read.authorization);
    const part = { ...refund, refundedMinor: 0 };
    const rest = { ...refund, amountMinor: 20_000, refundedMinor: 10_000 };
    const refunded = [
      await adapter.refund(ours, part),
      await adapter.refund(ours, part),
      await adapter.refund(ours, rest),
      await adapter.refund(ours, rest),
    ];
    const found = await adapter.find(ours);

    expect(approved).toEqual({ outcome: 'DONE', captured });
    expect(refunded).toEqual(Array(4).fill({ outcome: 'DONE' }));
    expect(found).toEqual({ outcome: 'CAPTURED', captured, refundedMinor: 30_000 });
    expect(movements()).toEqual([
      ['CAPTURE', 30_000],
      ['REFUND', 10_000],
      ['REFUND', 20_000],
    ]);
    const rings = await Promise.all(
      simulator
        .webhooksOf(PAYMENT_ID)
        .map(({ headers, body }) => adapter.readWebhook({ headers, rawBody: Buffer.from(body), now: new Date() })),
    );
    expect(rings.map((ring) => ring.outcome === 'DOORBELL' && ring.paymentId)).toEqual(Array(4).fill(PAYMENT_ID));
  });

  test.each(['RESET_AFTER', 'HANG_AFTER', 'ERROR_AFTER', 'GARBAGE'] as const)(
    'a confirmation with the fault %s took the money, and find says so',
    async (fault) => {
      const { simulator, adapter, hasty, ours, checkout, returned, movements } = await shop('BY_HAND');
      await payAs(checkout, 'approve');
      const read = returned();
      if (read.outcome !== 'AUTHORIZED') throw new Error(`the return was ${read.outcome}`);
      simulator.order({ provider: 'PORTONE', call: 'approve', fault });

      const approved = await (fault === 'HANG_AFTER' ? hasty : adapter).approve(ours, read.authorization);
      const found = await adapter.find(ours);

      expect(approved.outcome).toBe('UNKNOWN');
      expect(found).toEqual({ outcome: 'CAPTURED', captured, refundedMinor: 0 });
      expect(movements()).toEqual([['CAPTURE', 30_000]]);
    },
  );

  test('a refusal by the bank is one, and takes nothing', async () => {
    const { simulator, adapter, ours, checkout, returned, movements } = await shop('BY_HAND');
    await payAs(checkout, 'approve');
    const read = returned();
    if (read.outcome !== 'AUTHORIZED') throw new Error(`the return was ${read.outcome}`);
    simulator.order({ provider: 'PORTONE', call: 'approve', fault: 'REFUSE' });

    const approved = await adapter.approve(ours, read.authorization);

    expect(approved).toEqual({ outcome: 'REFUSED', code: 'REJECT_CARD_COMPANY' });
    expect(movements()).toEqual([]);
  });

  test.each(['WRONG_AMOUNT', 'WRONG_ORDER'] as const)('a payment shown with the fault %s is not taken for ours', async (fault) => {
    const { simulator, adapter, ours, checkout } = await shop('AT_ONCE');
    await payAs(checkout, 'approve');
    simulator.order({ provider: 'PORTONE', call: 'find', fault });

    const found = await adapter.find(ours);

    expect(found).toEqual(unknown('MISMATCH'));
  });

  test('a channel that takes the money itself: the return is asked about, and a customer who failed may try again', async () => {
    const { adapter, ours, checkout, returned } = await shop('AT_ONCE');

    await payAs(checkout, 'refuse');
    const afterRefusal = [returned(), await adapter.find(ours)];
    await payAs(checkout, 'approve');
    const afterSuccess = [returned(), await adapter.find(ours)];

    expect(afterRefusal).toEqual([{ outcome: 'ASK' }, { outcome: 'WAITING' }]);
    expect(afterSuccess).toEqual([{ outcome: 'ASK' }, { outcome: 'CAPTURED', captured, refundedMinor: 0 }]);
  });
});

describe('webhooks', () => {
  const adapter = adapterAt('http://127.0.0.1:1');
  const body = JSON.stringify({
    type: 'Transaction.Paid',
    timestamp: '2026-11-21T12:00:00Z',
    data: { paymentId: PAYMENT_ID, storeId: STORE, transactionId: TRANSACTION },
  });
  const minutesFromNow = (minutes: number) => new Date(Date.now() + minutes * 60_000);

  function sent({ id = 'whk_1', at = new Date(), text = body, secret = WEBHOOK_SECRET } = {}): WebhookRequest {
    const headers = {
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)),
      'webhook-signature': new Webhook(secret).sign(id, at, text),
    };
    return { headers, rawBody: Buffer.from(text), now: new Date() };
  }
  const changed = (headers: Record<string, string>, rawBody?: string): WebhookRequest => {
    const genuine = sent();
    return {
      ...genuine,
      headers: { ...genuine.headers, ...headers },
      rawBody: rawBody === undefined ? genuine.rawBody : Buffer.from(rawBody),
    };
  };
  const doorbell = { outcome: 'DOORBELL', eventId: 'whk_1', paymentId: PAYMENT_ID, saysCaptured: expect.any(Boolean) };

  test('a genuine one rings, and so does an exact replay: the caller knows the id', async () => {
    const webhook = sent();

    const first = await adapter.readWebhook(webhook);
    const replayed = await adapter.readWebhook(webhook);

    expect([first, replayed]).toEqual([doorbell, doorbell]);
  });

  test('one of several signatures is enough, as after a change of secrets', async () => {
    const { headers } = sent();

    const read = await adapter.readWebhook(changed({ 'webhook-signature': `v1,${'A'.repeat(43)}= ${headers['webhook-signature']}` }));

    expect(read.outcome).toBe('DOORBELL');
  });

  test.each<[string, () => WebhookRequest, string]>([
    ['signed by another', () => sent({ secret: `whsec_${Buffer.from('another').toString('base64')}` }), 'NO_MATCHING_SIGNATURE'],
    ['serialised again', () => changed({}, JSON.stringify(JSON.parse(body), null, 1)), 'NO_MATCHING_SIGNATURE'],
    ['about another payment', () => changed({}, body.replace(PAYMENT_ID, TRANSACTION)), 'NO_MATCHING_SIGNATURE'],
    ['under another id', () => changed({ 'webhook-id': 'whk_2' }), 'NO_MATCHING_SIGNATURE'],
    [
      'with a later timestamp',
      () => changed({ 'webhook-timestamp': String(Math.floor(Date.now() / 1_000) + 60) }),
      'NO_MATCHING_SIGNATURE',
    ],
    ['6 minutes old', () => sent({ at: minutesFromNow(-6) }), 'TIMESTAMP_TOO_OLD'],
    ['6 minutes from the future', () => sent({ at: minutesFromNow(6) }), 'TIMESTAMP_TOO_NEW'],
    ['without a signature', () => changed({ 'webhook-signature': '' }), 'MISSING_REQUIRED_HEADERS'],
    ['without headers', () => ({ ...sent(), headers: {} }), 'MISSING_REQUIRED_HEADERS'],
    ['signed, and not JSON', () => sent({ text: 'paid!' }), 'not JSON'],
    ['signed, and of no format', () => sent({ text: '[1]' }), 'not the format of a webhook'],
  ])('one %s is forged', async (_name, webhook, reason) => {
    const read = await adapter.readWebhook(webhook());

    expect(read).toEqual({ outcome: 'FORGED', reason });
  });

  const about = (type: string, data: object) => sent({ text: JSON.stringify({ type, timestamp: '2026-11-21T12:00:00Z', data }) });
  test.each<[string, () => WebhookRequest, string]>([
    ['a billing key', () => about('BillingKey.Issued', { storeId: STORE, billingKey: 'b' }), 'not about a payment'],
    ['another store', () => about('Transaction.Paid', { storeId: 'store-of-others', paymentId: PAYMENT_ID }), 'another store'],
    [
      'a payment that is not an order of ours',
      () => about('Transaction.Paid', { storeId: STORE, paymentId: 'invoice-7' }),
      'not an order of ours',
    ],
    ['no payment', () => about('Transaction.Paid', { storeId: STORE }), 'not an order of ours'],
  ])('one about %s is ignored', async (_name, webhook, reason) => {
    const read = await adapter.readWebhook(webhook());

    expect(read).toEqual({ outcome: 'IGNORED', reason });
  });

  test('is answered by status', () => {
    const statuses = (['TAKEN', 'LATER', 'REFUSED'] as const).map((how) => adapter.webhookReply(how).status);

    expect(statuses).toEqual([200, 503, 401]);
  });
});
