import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import type { Exchange, PaymentOrder, RefundOrder } from '../../../../src/features/payments/index.ts';
import { Kispg } from '../../../../src/features/payments/providers/kispg.ts';
import { payAs } from '../../../../src/simulator/customer.ts';
import { Simulator } from '../../../../src/simulator/simulator.ts';

const PAYMENT_ID = '0196d2a0-1111-7222-8333-444455556666';
const OTHER_PAYMENT_ID = '0196d2a0-7777-7222-8333-444455556666';
const MID = 'kistest00m';
const KEY = 'bWVyY2hhbnQga2V5IG9mIG91cnM=';
const TID = 'kistest00m01012611212130001234';
/** 03:04:05 on the 22nd in Korea. */
const NOW = new Date('2026-11-21T18:04:05Z');
const EDI_DATE = '20261122030405';

const order: PaymentOrder = {
  paymentId: PAYMENT_ID,
  customerRef: 'c0ffee',
  title: '아침 수영 8월반',
  amountMinor: 30_000,
  currency: 'KRW',
  locale: 'ko',
  returnUrls: { paid: 'https://us.example/paid', cancelled: 'https://us.example/cancelled', failed: 'https://us.example/failed' },
  reference: TID,
};
const refund: RefundOrder = {
  refundId: '0196d2a0-2222-7222-8333-444455556666',
  amountMinor: 10_000,
  capturedMinor: 30_000,
  refundedMinor: 0,
  reason: '개인 사정',
};
const authorization = { tid: TID };
const unknown = (reason: string) => ({ outcome: 'UNKNOWN', reason });
const hash = (ediDate: string, amount: string, { mid = MID, key = KEY } = {}) =>
  createHash('sha256').update(`${mid}${ediDate}${amount}${key}`).digest('hex');

/** An approval as the vendor answers it. */
const approval = (changed: Record<string, unknown> = {}) => ({
  body: { resultCd: '0000', tid: TID, ordNo: PAYMENT_ID, amt: '30000', ...changed },
});
const code = (resultCd: unknown, more: Record<string, unknown> = {}) => ({ body: { resultCd, resultMsg: '...', ...more } });

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

/** A vendor that answers everything in one way, and our adapter for it. */
async function vendor(behaviour: Behaviour, timeouts = { answerTimeoutMs: 30_000 }) {
  const requests: { path: string; contentType: string | undefined; body: Record<string, unknown> }[] = [];
  const server = createServer(async (request, response) => {
    const text = Buffer.concat(await request.toArray()).toString();
    requests.push({ path: request.url ?? '', contentType: request.headers['content-type'], body: JSON.parse(text) });
    if (typeof behaviour === 'function') return behaviour(request, response);
    response.writeHead(behaviour.status ?? 200).end(behaviour.text ?? JSON.stringify(behaviour.body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async () => {
    server.closeAllConnections();
    if (server.listening) await new Promise((closed) => server.close(closed));
  };
  running.push(stop);
  const exchanges: Exchange[] = [];
  return {
    adapter: adapterAt(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, exchanges, timeouts),
    requests,
    exchanges,
    stop,
  };
}

function adapterAt(baseUrl: string, exchanges: Exchange[] = [], timeouts = { answerTimeoutMs: 30_000 }): Kispg {
  const settings = { baseUrl, merchantId: MID, merchantKey: KEY };
  return new Kispg(
    settings,
    { connectTimeoutMs: 20_000, ...timeouts },
    async (exchange) => void exchanges.push(exchange),
    () => NOW,
  );
}

describe('prepare', () => {
  const exchanges: Exchange[] = [];
  const adapter = adapterAt('https://testapi.kispg.example', exchanges);

  test('makes the form of the order, and calls nobody', async () => {
    const prepared = await adapter.prepare(order);

    expect(prepared).toEqual({
      outcome: 'DONE',
      reference: null,
      checkout: {
        url: 'https://testapi.kispg.example/v2/auth',
        method: 'POST',
        fields: {
          payMethod: 'card',
          trxCd: '0',
          mid: MID,
          goodsNm: '아침 수영 8월반',
          goodsAmt: '30000',
          ordNo: PAYMENT_ID,
          ordNm: 'lastseat',
          ordTel: '01000000000',
          ordEmail: 'nobody@example.invalid',
          returnUrl: 'https://us.example/paid',
          ediDate: EDI_DATE,
          encData: hash(EDI_DATE, '30000'),
          model: 'WEB',
          charset: 'utf-8',
          currencyType: 'KRW',
          mbsReserved: '',
        },
      },
    });
    expect(exchanges).toEqual([]);
  });

  test.each([
    ['three bytes a character', '가'.repeat(20), '가'.repeat(13)],
    ['four bytes a character', '🏊'.repeat(11), '🏊'.repeat(10)],
    ['as long as it may be', 'x'.repeat(40), 'x'.repeat(40)],
  ])('cuts the title to the bytes the vendor takes, never a character in half: %s', async (_name, title, goodsNm) => {
    const prepared = await adapter.prepare({ ...order, title });

    expect(prepared).toMatchObject({ checkout: { fields: { goodsNm } } });
  });

  test('takes won only', async () => {
    const prepared = await adapter.prepare({ ...order, currency: 'USD' });

    expect(prepared).toEqual({ outcome: 'REFUSED', code: 'CURRENCY_NOT_SUPPORTED' });
  });
});

describe('readReturn', () => {
  const adapter = adapterAt('http://127.0.0.1:1');
  const posted = (changed: Record<string, string> = {}) => {
    const { ediDate = '20261121215959', amt = '30000' } = changed;
    return {
      resultCd: '0000',
      resultMsg: 'ok',
      payMethod: 'card',
      tid: TID,
      ordNo: PAYMENT_ID,
      amt,
      ediDate,
      encData: hash(ediDate, amt),
      mbsReserved: '',
      ...changed,
    };
  };
  const read = (body: Record<string, string>) => adapter.readReturn(order, { kind: 'paid', query: {}, body });
  const without = (name: string) => Object.fromEntries(Object.entries(posted()).filter(([field]) => field !== name));
  const forged = (reason: string) => ({ outcome: 'FORGED', reason });

  test.each<[string, Record<string, string>, object]>([
    ['an agreement', posted(), { outcome: 'AUTHORIZED', authorization }],
    ['an agreement that names the merchant', posted({ mid: MID }), { outcome: 'AUTHORIZED', authorization }],
    ['a hash in capitals', posted({ encData: hash('20261121215959', '30000').toUpperCase() }), { outcome: 'AUTHORIZED', authorization }],
    ['a refusal', posted({ resultCd: '9302' }), { outcome: 'DECLINED', code: '9302' }],
    ['a refusal without hash', { resultCd: 'A110', ordNo: PAYMENT_ID }, { outcome: 'DECLINED', code: 'A110' }],
    ['a refusal of another order', posted({ resultCd: '9302', ordNo: OTHER_PAYMENT_ID }), forged('another order')],
    ['a refusal of no order', { resultCd: '9302' }, forged('another order')],
    ['another order with a genuine hash', posted({ ordNo: OTHER_PAYMENT_ID }), forged('another order')],
    ['another amount with a genuine hash', posted({ amt: '300' }), forged('another amount')],
    ['another merchant', posted({ mid: 'kistest01m' }), forged('another merchant')],
    ['a hash with another key', posted({ encData: hash('20261121215959', '30000', { key: 'guess' }) }), forged('wrong encData')],
    ['a hash that is too short', posted({ encData: 'abc' }), forged('wrong encData')],
    ['no hash', without('encData'), forged('wrong encData')],
    ['no date', without('ediDate'), forged('wrong encData')],
    ['no tid', without('tid'), forged('no tid')],
    ['a tid that is none', posted({ tid: 'x'.repeat(31) }), forged('no tid')],
    ['no code', without('resultCd'), forged('no resultCd')],
    ['a code that is text', posted({ resultCd: '<b>no</b>' }), forged('no resultCd')],
    ['nothing, as when a browser opens the address', {}, forged('no resultCd')],
  ])('%s', (_name, body, outcome) => {
    expect(read(body)).toEqual(outcome);
  });

  test('a digit cannot move between date and amount', () => {
    // One hash, because nothing separates the two: 2026112121595 + 930000, 20261121215959 + 30000, 202611212159593 + 0000.
    const encData = hash('20261121215959', '30000');

    const moved = [
      posted({ ediDate: '2026112121595', amt: '930000', encData }),
      posted({ ediDate: '202611212159593', amt: '0000', encData }),
    ];

    expect(moved.map(({ ediDate, amt }) => hash(ediDate, amt))).toEqual([encData, encData]);
    expect(moved.map((body) => read(body).outcome)).toEqual(['FORGED', 'FORGED']);
    expect(adapter.readReturn({ ...order, amountMinor: 930_000 }, { kind: 'paid', query: {}, body: moved[0]! })).toEqual(
      forged('wrong encData'),
    );
  });
});

describe('approve', () => {
  test('sends what the customer agreed to', async () => {
    const { adapter, requests } = await vendor(approval());

    const approved = await adapter.approve(order, authorization);

    expect(approved).toEqual({ outcome: 'DONE', captured: { reference: TID, amountMinor: 30_000, currency: 'KRW' } });
    expect(requests).toEqual([
      {
        path: '/v2/payment',
        contentType: 'application/json; charset=utf-8',
        body: { mid: MID, tid: TID, goodsAmt: '30000', ediDate: EDI_DATE, encData: hash(EDI_DATE, '30000'), charset: 'utf-8' },
      },
    ]);
  });

  test.each<[string, Scripted, object]>([
    [
      '0000 with a number for the amount',
      approval({ amt: 30_000 }),
      { outcome: 'DONE', captured: { reference: TID, amountMinor: 30_000, currency: 'KRW' } },
    ],
    [
      '0000 without an order number',
      approval({ ordNo: undefined }),
      { outcome: 'DONE', captured: { reference: TID, amountMinor: 30_000, currency: 'KRW' } },
    ],
    ['0000 for another order', approval({ ordNo: OTHER_PAYMENT_ID }), unknown('MISMATCH')],
    ['0000 for another tid', approval({ tid: `${TID.slice(0, -1)}5` }), unknown('MISMATCH')],
    ['0000 for another merchant', approval({ mid: 'kistest01m' }), unknown('MISMATCH')],
    ['0000 with another amount', approval({ amt: '31000' }), unknown('MISMATCH')],
    ['0000 without an amount', approval({ amt: undefined }), unknown('GARBAGE')],
    ['0000 with an amount that is none', approval({ amt: '30,000' }), unknown('GARBAGE')],
    ['0000 without a tid', approval({ tid: undefined }), unknown('GARBAGE')],
    ['a tid, an amount and another code', approval({ resultCd: '9999' }), unknown('UNLISTED')],
    ['the code 0000 as a number', approval({ resultCd: 0 }), unknown('GARBAGE')],
    ['a tid and no code', approval({ resultCd: undefined }), unknown('GARBAGE')],
    ['the card company refused', code('3095', { tid: TID }), { outcome: 'REFUSED', code: '3095' }],
    ['the card has expired', code('3021'), { outcome: 'REFUSED', code: '3021' }],
    ['it was approved before', code('2201'), unknown('UNLISTED')],
    ['success of the family, unverified here', code('3001', { tid: TID, amt: '30000' }), unknown('UNLISTED')],
    ['success with HTTP 500', { status: 500, ...approval() }, unknown('SERVER_ERROR')],
    ['success with HTTP 404', { status: 404, ...approval() }, unknown('UNLISTED')],
  ])('%s', async (_name, answer, outcome) => {
    const { adapter } = await vendor(answer);

    const approved = await adapter.approve(order, authorization);

    expect(approved).toEqual(outcome);
  });
});

describe('void', () => {
  test('cancels the whole amount by its tid', async () => {
    const { adapter, requests } = await vendor(approval());

    const voided = await adapter.void(order, authorization);

    expect(voided).toEqual({ outcome: 'VOIDED' });
    expect(requests.map(({ path, body }) => ({ path, body }))).toEqual([
      {
        path: '/v2/cancel',
        body: {
          payMethod: 'card',
          tid: TID,
          mid: MID,
          canAmt: '30000',
          ediDate: EDI_DATE,
          encData: hash(EDI_DATE, '30000'),
          canId: 'lastseat',
          canNm: 'lastseat',
          canMsg: '승인 응답 없음',
          partCanFlg: '0',
          charset: 'utf-8',
        },
      },
    ]);
  });

  test.each<[string, Scripted, object]>([
    ['cancelled, by the older code', code('2001', { tid: TID }), { outcome: 'VOIDED' }],
    ['cancelled already', code('2013'), { outcome: 'VOIDED' }],
    ['cancelled already, by the other code', code('2015'), { outcome: 'VOIDED' }],
    ['never approved', code('2012'), { outcome: 'NONE' }],
    ['another tid was cancelled', code('0000', { tid: 'another' }), unknown('MISMATCH')],
    ['cancellation failed, whatever that means', code('2003'), unknown('UNLISTED')],
    ['too late for it', code('2020'), unknown('UNLISTED')],
    ['no code', { body: {} }, unknown('GARBAGE')],
  ])('%s', async (_name, answer, outcome) => {
    const { adapter } = await vendor(answer);

    const voided = await adapter.void(order, authorization);

    expect(voided).toEqual(outcome);
  });
});

describe('refund', () => {
  const sent = async (changed: Partial<RefundOrder>) => {
    const { adapter, requests } = await vendor(approval({ amt: undefined }));
    expect(await adapter.refund(order, { ...refund, ...changed })).toEqual({ outcome: 'DONE' });
    return requests[0]?.body;
  };

  test('says whether it is a part', async () => {
    const whole = await sent({ amountMinor: 30_000 });
    const part = await sent({ amountMinor: 10_000 });
    const rest = await sent({ amountMinor: 20_000, refundedMinor: 10_000 });

    expect([whole, part, rest]).toMatchObject([
      { tid: TID, canAmt: '30000', partCanFlg: '0', encData: hash(EDI_DATE, '30000') },
      { tid: TID, canAmt: '10000', partCanFlg: '1', encData: hash(EDI_DATE, '10000') },
      { tid: TID, canAmt: '20000', partCanFlg: '1', encData: hash(EDI_DATE, '20000') },
    ]);
  });

  test('cuts the reason to the bytes the vendor takes', async () => {
    const body = await sent({ reason: '사'.repeat(100) });

    expect(body).toMatchObject({ canMsg: '사'.repeat(33) });
  });

  const whole = { amountMinor: 30_000 };
  const rest = { amountMinor: 20_000, refundedMinor: 10_000 };
  test.each<[string, Partial<RefundOrder>, Scripted, object]>([
    ['done, by the older code for cards', {}, code('2001', { tid: TID, amt: '10000' }), { outcome: 'DONE' }],
    ['done, by the older code for accounts', {}, code('2211', { tid: TID }), { outcome: 'DONE' }],
    ['done, and the amount is what was paid', {}, code('0000', { tid: TID, amt: '30000' }), { outcome: 'DONE' }],
    ['done, and the amount is another', {}, code('0000', { tid: TID, amt: '11000' }), unknown('MISMATCH')],
    ['done, and the order is another', {}, code('0000', { tid: TID, ordNo: OTHER_PAYMENT_ID }), unknown('MISMATCH')],
    ['done, without a tid', {}, code('0000'), unknown('GARBAGE')],
    ['everything was sent before', whole, code('2013'), { outcome: 'DONE' }],
    ['the rest was sent before', rest, code('2013'), { outcome: 'DONE' }],
    ['everything is back, though only a part was to go', {}, code('2013'), unknown('MISMATCH')],
    ['more than is left', {}, code('2032'), { outcome: 'REFUSED', code: '2032' }],
    ['too late for it', whole, code('2016'), { outcome: 'REFUSED', code: '2016' }],
    ['not in parts', {}, code('2028'), { outcome: 'REFUSED', code: '2028' }],
    ['no such transaction', whole, code('2012'), { outcome: 'REFUSED', code: '2012' }],
    ['cancellation failed, whatever that means', whole, code('2003'), unknown('UNLISTED')],
    ['no code', {}, { body: {} }, unknown('GARBAGE')],
  ])('%s', async (_name, changed, answer, outcome) => {
    const { adapter } = await vendor(answer);

    const refunded = await adapter.refund(order, { ...refund, ...changed });

    expect(refunded).toEqual(outcome);
  });
});

describe('what can happen on the way', () => {
  const drip = (_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const drops = setInterval(() => response.write(' '), 20);
    response.once('close', () => clearInterval(drops));
  };

  test.each<[string, Behaviour, string]>([
    ['no answer', () => undefined, 'TIMEOUT'],
    ['an answer that never ends', drip, 'TIMEOUT'],
    ['a reset', (request) => request.socket.resetAndDestroy(), 'RESET'],
    ['an error of the server', { status: 500, body: { resultCd: '9999' } }, 'SERVER_ERROR'],
    ['the error page of a proxy', { status: 502, text: '<html>Bad gateway' }, 'SERVER_ERROR'],
    ['an error page with 200', { text: '<html>Maintenance' }, 'GARBAGE'],
    ['an empty answer', { text: '' }, 'GARBAGE'],
    ['an array', { body: [approval().body] }, 'GARBAGE'],
  ])('%s leaves every function unknown', async (_name, behaviour, reason) => {
    const { adapter, exchanges } = await vendor(behaviour, { answerTimeoutMs: reason === 'TIMEOUT' ? 1_000 : 30_000 });

    const outcomes = [
      await adapter.approve(order, authorization),
      await adapter.void(order, authorization),
      await adapter.refund(order, refund),
    ];

    expect(outcomes).toEqual(Array(3).fill(unknown(reason)));
    expect(exchanges.map(({ operation, outcome, code }) => [operation, outcome, code])).toEqual(
      ['APPROVE', 'VOID', 'REFUND'].map((operation) => [operation, 'UNKNOWN', reason]),
    );
  });

  test('a refused connection was certainly not sent, so that even a part may be refunded again', async () => {
    const { adapter, stop } = await vendor({});
    await stop();

    const refunded = await adapter.refund(order, refund);

    expect(refunded).toEqual(unknown('NOT_SENT'));
  });
});

describe('exchanges', () => {
  test('every call is recorded as it went, without the hash', async () => {
    const { adapter, exchanges } = await vendor(approval());

    await adapter.approve(order, authorization);

    expect(exchanges).toMatchObject([
      {
        provider: 'KISPG',
        operation: 'APPROVE',
        paymentId: PAYMENT_ID,
        requestBody: { mid: MID, tid: TID, goodsAmt: '30000', ediDate: EDI_DATE },
        status: 200,
        responseBody: { resultCd: '0000', amt: '30000' },
        outcome: 'DONE',
        code: null,
      },
    ]);
    const recorded = JSON.stringify(exchanges);
    expect(recorded).not.toContain(hash(EDI_DATE, '30000'));
    expect(recorded).not.toContain(KEY);
  });
});

describe('notifications', () => {
  const adapter = adapterAt('http://127.0.0.1:1');
  const fields = (changed: Record<string, string> = {}) => {
    const { ediDate = '20261121215959', amt = '30000' } = changed;
    return {
      resultCode: '0000',
      tid: TID,
      moid: PAYMENT_ID,
      mid: MID,
      amt,
      cancelYN: 'N',
      ediDate,
      encData: hash(ediDate, amt),
      ...changed,
    };
  };
  const read = (body: string) => adapter.readWebhook({ headers: {}, rawBody: Buffer.from(body), now: NOW });
  const form = (changed?: Record<string, string>) => new URLSearchParams(fields(changed)).toString();
  const without = (name: string) => new URLSearchParams(Object.entries(fields()).filter(([field]) => field !== name)).toString();

  test('one rings, as a form and as JSON, and the same event has the same id', async () => {
    const { moid: ordNo, ...others } = fields();

    const asForm = await read(form());
    const asJson = await read(JSON.stringify(fields()));
    const withNumber = await read(JSON.stringify({ ...fields(), amt: 30_000 }));
    const withOtherName = await read(JSON.stringify({ ...others, ordNo }));

    expect(asForm).toEqual({
      outcome: 'DOORBELL',
      eventId: expect.stringMatching(/^[0-9a-f]{64}$/),
      paymentId: PAYMENT_ID,
      saysCaptured: expect.any(Boolean),
    });
    expect([asJson, withNumber, withOtherName]).toEqual([asForm, asForm, asForm]);
  });

  test('another event of the same payment has another id', async () => {
    const events = [
      await read(form()),
      await read(form({ cancelYN: 'Y' })),
      await read(form({ cancelYN: 'Y', amt: '1000' })),
      await read(form({ resultCode: '3095' })),
    ];

    const ids = events.map((event) => event.outcome === 'DOORBELL' && event.eventId);
    expect(new Set(ids).size).toBe(4);
  });

  test.each<[string, string, string]>([
    ['of another merchant', form({ mid: 'kistest01m' }), 'another merchant'],
    ['with another amount than was hashed', form({ encData: hash('20261121215959', '30001') }), 'wrong encData'],
    ['hashed with another key', form({ encData: hash('20261121215959', '30000', { key: 'guess' }) }), 'wrong encData'],
    ['whose digits moved to the amount', form({ ediDate: '2026112121595', amt: '930000' }), 'wrong encData'],
    ['whose digits moved to the date', form({ ediDate: '202611212159593', amt: '0000' }), 'wrong encData'],
    ['of a day that is none', form({ ediDate: '20261321215959' }), 'wrong encData'],
    ['without a hash', without('encData'), 'wrong encData'],
    ['without a tid', without('tid'), 'no tid'],
    ['of no format', 'hello', 'neither a form nor JSON'],
    ['of broken JSON', '{"mid":', 'neither a form nor JSON'],
  ])('one %s is forged', async (_name, body, reason) => {
    expect(await read(body)).toEqual({ outcome: 'FORGED', reason });
  });

  test('one about no order of ours is ignored', async () => {
    const answers = [await read(form({ moid: 'terminal-7' })), await read(without('moid'))];

    expect(answers).toEqual(Array(2).fill({ outcome: 'IGNORED', reason: 'not an order of ours' }));
  });

  test('is answered with OK in text, and only when it was taken', () => {
    const replies = (['TAKEN', 'LATER', 'REFUSED'] as const).map((how) => adapter.webhookReply(how));

    expect(replies.map(({ status, body }) => [status, body])).toEqual([
      [200, 'OK'],
      [503, 'LATER'],
      [401, 'REFUSED'],
    ]);
  });
});

describe('with the simulator', () => {
  /** Our side: where the customer's browser comes back with a form. */
  async function shop() {
    const simulator = await Simulator.start();
    const forms: Record<string, string>[] = [];
    const server = createServer(async (request, response) => {
      forms.push(Object.fromEntries(new URLSearchParams(Buffer.concat(await request.toArray()).toString())));
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
      new Kispg(simulator.settings.KISPG, { connectTimeoutMs: 20_000, answerTimeoutMs }, async () => undefined);
    /** The second gives up early: for calls that hang. */
    const [adapter, hasty] = [adapterOf(30_000), adapterOf(1_000)];
    const ours = { ...order, reference: null, returnUrls: { ...order.returnUrls, paid } };
    const prepared = await adapter.prepare(ours);
    if (prepared.outcome !== 'DONE') throw new Error('not prepared');
    const { checkout } = prepared;
    const returned = () => adapter.readReturn(ours, { kind: 'paid', query: {}, body: forms.at(-1) ?? {} });
    const agreed = async () => {
      await payAs(checkout, 'approve');
      const read = returned();
      if (read.outcome !== 'AUTHORIZED') throw new Error(`the return was ${read.outcome}`);
      return read.authorization;
    };
    const movements = () => simulator.payment(PAYMENT_ID)?.entries.map(({ kind, amountMinor }) => [kind, amountMinor]);
    return { simulator, adapter, hasty, ours, checkout, returned, agreed, movements };
  }

  test('a payment is approved and given back in parts', async () => {
    const { simulator, adapter, ours, agreed, movements } = await shop();

    const customerAgreed = await agreed();
    const approved = await adapter.approve(ours, customerAgreed);
    const captured = { ...ours, reference: customerAgreed.tid ?? null };
    const refunded = [
      await adapter.refund(captured, refund),
      await adapter.refund(captured, { ...refund, amountMinor: 20_000, refundedMinor: 10_000 }),
    ];

    expect(approved).toEqual({ outcome: 'DONE', captured: { reference: customerAgreed.tid, amountMinor: 30_000, currency: 'KRW' } });
    expect(refunded).toEqual([{ outcome: 'DONE' }, { outcome: 'DONE' }]);
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
    expect(rings.map((ring) => ring.outcome === 'DOORBELL' && ring.paymentId)).toEqual(Array(3).fill(PAYMENT_ID));
  });

  test('everything goes back once, though it is sent twice', async () => {
    const { simulator, adapter, ours, agreed, movements } = await shop();
    const customerAgreed = await agreed();
    await adapter.approve(ours, customerAgreed);
    const captured = { ...ours, reference: customerAgreed.tid ?? null };
    simulator.order({ provider: 'KISPG', call: 'cancel', fault: 'RESET_AFTER' });

    const lost = await adapter.refund(captured, { ...refund, amountMinor: 30_000 });
    const again = await adapter.refund(captured, { ...refund, amountMinor: 30_000 });

    expect([lost, again]).toEqual([unknown('RESET'), { outcome: 'DONE' }]);
    expect(movements()).toEqual([
      ['CAPTURE', 30_000],
      ['REFUND', 30_000],
    ]);
  });

  test.each(['RESET_AFTER', 'HANG_AFTER', 'ERROR_AFTER', 'GARBAGE', 'WRONG_AMOUNT', 'WRONG_ORDER'] as const)(
    'an approval with the fault %s is unknown, and voiding it twice gives the money back once',
    async (fault) => {
      const { simulator, adapter, hasty, ours, agreed, movements } = await shop();
      const customerAgreed = await agreed();
      simulator.order({ provider: 'KISPG', call: 'approve', fault });

      const approved = await (fault === 'HANG_AFTER' ? hasty : adapter).approve(ours, customerAgreed);
      const voided = [await adapter.void(ours, customerAgreed), await adapter.void(ours, customerAgreed)];

      expect(approved.outcome).toBe('UNKNOWN');
      expect(voided).toEqual([{ outcome: 'VOIDED' }, { outcome: 'VOIDED' }]);
      expect(movements()).toEqual([
        ['CAPTURE', 30_000],
        ['REFUND', 30_000],
      ]);
    },
  );

  test('an approval that never arrived is voided to nothing, and cannot take money any more', async () => {
    const { simulator, adapter, ours, agreed, movements } = await shop();
    const customerAgreed = await agreed();
    simulator.order({ provider: 'KISPG', call: 'approve', fault: 'RESET_BEFORE' });

    const lost = await adapter.approve(ours, customerAgreed);
    const voided = await adapter.void(ours, customerAgreed);
    const late = await adapter.approve(ours, customerAgreed);

    expect([lost, voided]).toEqual([unknown('RESET'), { outcome: 'NONE' }]);
    expect(late.outcome).toBe('UNKNOWN');
    expect(movements()).toEqual([]);
  });

  test('a refusal by the card company is one, and takes nothing', async () => {
    const { simulator, adapter, ours, agreed, movements } = await shop();
    const customerAgreed = await agreed();
    simulator.order({ provider: 'KISPG', call: 'approve', fault: 'REFUSE' });

    const approved = await adapter.approve(ours, customerAgreed);

    expect(approved.outcome).toBe('REFUSED');
    expect(movements()).toEqual([]);
  });

  test('a customer who cancels has declined', async () => {
    const { checkout, returned } = await shop();

    await payAs(checkout, 'refuse');

    expect(returned().outcome).toBe('DECLINED');
  });
});
