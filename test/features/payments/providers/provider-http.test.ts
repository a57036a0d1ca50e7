import { once } from 'node:events';
import { createServer as createTcpServer, type Socket } from 'node:net';
import { runInThisContext } from 'node:vm';
import { afterEach, describe, expect, test } from '@jest/globals';
import { Pool } from 'undici';
import type { Exchange, PaymentOrder } from '../../../../src/features/payments/index.ts';
import {
  type Classified,
  ProviderHttp,
  type ProviderHttpOptions,
  type ProviderRequest,
} from '../../../../src/features/payments/providers/provider-http.ts';
import { sendOnce } from '../../../../src/features/payments/providers/send-once.ts';
import { failOnLeaks } from '../../../support/leaks.ts';
import { eventually } from '../../../support/wait.ts';
import { breakOff, drip, hang, type Misbehaviour, orderOf, recorder, reset, Vendor } from './vendor.ts';

type Done = { outcome: 'DONE'; status: number };

const order: PaymentOrder = orderOf();
const request: ProviderRequest = {
  operation: 'APPROVE',
  order,
  method: 'POST',
  path: '/approve',
  headers: { authorization: 'Basic c2VjcmV0', 'content-type': 'application/json' },
  body: JSON.stringify({ pg_token: 'abc', amount: 11_000 }),
};
const unknown = (reason: string) => ({ outcome: 'UNKNOWN', reason });
const done = ({ status }: { status: number }): Classified<Done> => ({ result: { outcome: 'DONE', status }, outcome: 'DONE', code: null });
const closing: (() => unknown)[] = [];

failOnLeaks();

describe('a call of a provider', () => {
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  async function vendorAnd(options: Partial<ProviderHttpOptions> = {}) {
    const vendor = await Vendor.start();
    closing.push(() => vendor.close());
    const { exchanges, record } = recorder();
    const http = new ProviderHttp({
      provider: 'TOSS',
      baseUrl: vendor.url,
      connectTimeoutMs: 20_000,
      answerTimeoutMs: 30_000,
      record,
      ...options,
    });
    return { vendor, http, exchanges };
  }

  /** A server that speaks no HTTP. */
  async function tcp(greet: (socket: Socket) => void): Promise<{ port: number; connections: Socket[] }> {
    const connections: Socket[] = [];
    const server = createTcpServer((socket) => {
      connections.push(socket.on('error', () => undefined));
      greet(socket);
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    closing.push(() => {
      for (const socket of connections) socket.destroy();
      return once(server.close(), 'close');
    });
    return { port: (server.address() as { port: number }).port, connections };
  }

  test.each([200, 201, 400, 404, 409, 500, 503])(
    'hands a JSON object with status %i to the adapter, and answers what it makes of it',
    async (status) => {
      const { vendor, http } = await vendorAnd();
      vendor.answer({ status, json: { a: 1 } });

      const result = await http.call(request, done);

      expect(result).toEqual({ outcome: 'DONE', status });
      expect(vendor.received).toHaveLength(1);
      expect(vendor.received[0]).toMatchObject({ method: 'POST', url: '/approve', body: request.body });
      expect(vendor.received[0]?.headers.authorization).toBe('Basic c2VjcmV0');
    },
  );

  test('appends the path to a base URL that has one', async () => {
    const { vendor } = await vendorAnd();
    const { record } = recorder();
    const http = new ProviderHttp({
      provider: 'TOSS',
      baseUrl: `${vendor.url}/proxy/toss`,
      connectTimeoutMs: 20_000,
      answerTimeoutMs: 30_000,
      record,
    });

    await http.call({ ...request, path: '/v1/payments?a=1' }, done);

    expect(vendor.received[0]?.url).toBe('/proxy/toss/v1/payments?a=1');
  });

  const twice = 'x'.repeat(65_536);
  test.each<[string, Parameters<Vendor['answer']>[0], string, number | null]>([
    ['text with status 200', { status: 200, text: '<html>' }, 'GARBAGE', 200],
    ['nothing with status 200', { status: 200, text: '' }, 'GARBAGE', 200],
    ['a list', { status: 200, json: [{}] }, 'GARBAGE', 200],
    ['null', { status: 200, json: null }, 'GARBAGE', 200],
    ['a number', { status: 200, json: 1 }, 'GARBAGE', 200],
    ['text with status 400', { status: 400, text: 'no' }, 'GARBAGE', 400],
    ['the error page of a proxy', { status: 502, text: '<h1>502' }, 'SERVER_ERROR', 502],
    ['a redirect, even with JSON', { status: 302, text: '{"status":"DONE"}', headers: { location: '/elsewhere' } }, 'GARBAGE', 302],
    ['more than 64 KiB', { status: 200, json: { twice, again: twice } }, 'GARBAGE', 200],
    ['silence', hang, 'TIMEOUT', null],
    ['a byte now and then', drip, 'TIMEOUT', 200],
    ['a reset connection', reset, 'RESET', null],
    ['an answer that breaks off', breakOff, 'RESET', 200],
  ])('%s is unknown', async (_name, answer, reason, status) => {
    const { vendor, http, exchanges } = await vendorAnd(reason === 'TIMEOUT' ? { answerTimeoutMs: 1_000 } : {});
    vendor.answer(answer);

    const result = await http.call(request, done);

    expect(result).toEqual(unknown(reason));
    expect(exchanges).toHaveLength(1);
    expect(exchanges[0]).toMatchObject({ outcome: 'UNKNOWN', code: reason, status });
    expect(vendor.received).toHaveLength(1);
  });

  test('what is not HTTP is garbage', async () => {
    const { port } = await tcp((socket) => void socket.once('data', () => socket.end('220 mail.example ESMTP\r\n')));
    const { http } = await vendorAnd({ baseUrl: `http://127.0.0.1:${port}` });

    const result = await http.call(request, done);

    expect(result).toEqual(unknown('GARBAGE'));
  });

  test('is certainly not sent when nobody listens, when the name is unknown, and when TLS fails', async () => {
    const plain = await vendorAnd();
    const gone = await Vendor.start();
    const baseUrls = [gone.url, 'http://provider.invalid', plain.vendor.url.replace('http:', 'https:')];
    await gone.close();

    const results = await Promise.all(baseUrls.map(async (baseUrl) => (await vendorAnd({ baseUrl })).http.call(request, done)));

    expect(results).toEqual([unknown('NOT_SENT'), unknown('NOT_SENT'), unknown('NOT_SENT')]);
    expect(plain.vendor.received).toEqual([]);
  });

  test('is certainly not sent when there is no connection in time', async () => {
    // It accepts, and never says a word of the TLS handshake.
    const { port } = await tcp(() => undefined);
    const { http, exchanges } = await vendorAnd({ baseUrl: `https://127.0.0.1:${port}`, connectTimeoutMs: 200 });

    const result = await http.call(request, done);

    expect(result).toEqual(unknown('NOT_SENT'));
    expect(exchanges[0]).toMatchObject({ status: null, responseBody: null, code: 'NOT_SENT' });
  });

  test('that was given up while it waited for a connection is not sent later', async () => {
    const { vendor } = await vendorAnd();
    const pool = new Pool(vendor.url, { connections: 1, pipelining: 1 });
    closing.unshift(() => pool.destroy());
    const held: Parameters<Misbehaviour>[1][] = [];
    vendor.answer((_request, response) => void held.push(response));
    const send = (path: string, connectTimeoutMs: number) =>
      sendOnce(
        pool,
        { method: 'POST', origin: vendor.url, path, headers: {}, body: '{}' },
        { connectTimeoutMs, answerTimeoutMs: 30_000, answerBytesMax: 1_000 },
      );
    const first = send('/first', 20_000);
    await eventually(() => held.length === 1);

    const second = await send('/second', 100);
    const third = send('/third', 20_000);
    held[0]?.end('{}');
    await Promise.all([first, third]);

    expect(second).toEqual({ isAnswered: false, reason: 'NOT_SENT', status: null, body: Buffer.alloc(0) });
    expect(vendor.received.map(({ url }) => url)).toEqual(['/first', '/third']);
  });

  test.each(['GET', 'POST'] as const)(
    'a %s on a kept connection that dies is not sent again by itself, and is not called unsent',
    async (method) => {
      const { vendor, http } = await vendorAnd();
      vendor.answer({ status: 200, json: {} }, reset);
      const { body: _, ...withoutBody } = request;
      const call = { ...(method === 'GET' ? withoutBody : request), method };
      await http.call(call, done);

      const result = await http.call(call, done);

      expect(result).toEqual(unknown('RESET'));
      expect(vendor.received).toHaveLength(2);
    },
  );

  test('after the provider closed the kept connections goes over a new one', async () => {
    const { vendor, http } = await vendorAnd();
    const sockets: Socket[] = [];
    vendor.answer(
      (incoming, response) => {
        sockets.push(incoming.socket);
        response.end('{}');
      },
      { status: 200, json: {} },
    );
    await http.call(request, done);
    const closed = once(sockets[0] as Socket, 'close');
    sockets[0]?.end();
    await closed;

    const result = await http.call(request, done);

    expect(result).toEqual({ outcome: 'DONE', status: 200 });
  });

  test('is recorded before it is answered, without secrets', async () => {
    const stored: Exchange[] = [];
    let store = (): void => undefined;
    const { vendor, http } = await vendorAnd({
      record: (exchange) =>
        new Promise((resolve) => {
          stored.push(exchange);
          store = resolve;
        }),
    });
    vendor.answer({ status: 400, json: { code: 'NO', card: { number: '43301234****123*' }, customerName: '김하나' } });
    let isAnswered = false;

    const call = http.call({ ...request, path: '/approve?pg_token=abc' }, () => ({
      result: { outcome: 'REFUSED', code: 'NO' } as const,
      outcome: 'REFUSED',
      code: 'NO',
    }));
    void call.then(() => {
      isAnswered = true;
    });
    await eventually(() => stored.length === 1);

    expect(isAnswered).toBe(false);
    store();
    expect(await call).toEqual({ outcome: 'REFUSED', code: 'NO' });
    expect(stored).toEqual([
      {
        provider: 'TOSS',
        operation: 'APPROVE',
        paymentId: order.paymentId,
        request: `POST ${vendor.url}/approve?pg_token=[redacted]`,
        requestBody: { pg_token: '[redacted]', amount: 11_000 },
        status: 400,
        responseBody: { code: 'NO', card: { number: '[redacted]' }, customerName: '[redacted]' },
        code: 'NO',
        outcome: 'REFUSED',
        latencyMs: expect.any(Number),
      },
    ]);
    expect(JSON.stringify(stored)).not.toContain('c2VjcmV0');
  });

  test('records text that is not JSON cut at 4,000 characters and redacted', async () => {
    const { vendor, http, exchanges } = await vendorAnd();
    vendor.answer({ status: 200, text: `token=abc hana@example.com ${'.'.repeat(10_000)}` });

    await http.call(request, done);

    const text = exchanges[0]?.responseBody as string;
    expect(text).toHaveLength(4_000);
    expect(text.startsWith('token=[redacted] [redacted] ...')).toBe(true);
  });

  test('whose record fails is answered all the same, and the failure is a warning of the process', async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => void warnings.push(warning);
    // Jest's `process` is a copy, which hears nothing.
    const { process } = runInThisContext('globalThis') as typeof globalThis;
    process.on('warning', note);
    closing.push(() => process.off('warning', note));
    const { vendor, http } = await vendorAnd({ record: () => Promise.reject(new Error('the disk is full')) });
    vendor.answer({ status: 200, json: {} });

    const result = await http.call(request, done);

    expect(result).toEqual({ outcome: 'DONE', status: 200 });
    const warning = await eventually(() => warnings.find(({ name }) => name === 'PaymentProviderWarning') ?? null);
    expect(warning.message).toMatch(`An exchange with TOSS about payment ${order.paymentId} was not recorded. Error: the disk is full`);
  });

  test('whose answer the adapter cannot read is garbage, recorded as such', async () => {
    const { vendor, http, exchanges } = await vendorAnd();
    vendor.answer({ status: 200, json: { amount: null } });

    const result = await http.call<Done>(request, ({ json }) => {
      throw new TypeError(`no total in ${String(json.amount)}`);
    });

    expect(result).toEqual(unknown('GARBAGE'));
    expect(exchanges[0]).toMatchObject({ outcome: 'UNKNOWN', code: 'GARBAGE', status: 200 });
  });

  test('is not sent while the circuit is open after breakdowns in a row, and is recorded', async () => {
    const { vendor, http, exchanges } = await vendorAnd({ breaker: { breakdownsMax: 3, pauseMs: 60_000 } });
    vendor.answer(reset, reset, { status: 400, json: {} }, reset, { status: 503, text: 'down' }, reset);

    const results: unknown[] = [];
    for (let calls = 0; calls < 8; calls++) results.push(await http.call(request, done));

    expect(results).toEqual([
      unknown('RESET'),
      unknown('RESET'),
      { outcome: 'DONE', status: 400 },
      unknown('RESET'),
      unknown('SERVER_ERROR'),
      unknown('RESET'),
      unknown('NOT_SENT'),
      unknown('NOT_SENT'),
    ]);
    expect(vendor.received).toHaveLength(6);
    expect(exchanges).toHaveLength(8);
    expect(exchanges[7]).toMatchObject({ status: null, responseBody: null, code: 'NOT_SENT', outcome: 'UNKNOWN', operation: 'APPROVE' });
  });

  test('garbage and unlisted codes do not open the circuit', async () => {
    const { vendor, http } = await vendorAnd({ breaker: { breakdownsMax: 2, pauseMs: 60_000 } });
    vendor.answer(...Array.from({ length: 5 }, () => ({ status: 200, text: 'garbage' })), { status: 200, json: {} });

    for (let calls = 0; calls < 5; calls++) await http.call(request, done);
    const result = await http.call(request, done);

    expect(result).toEqual({ outcome: 'DONE', status: 200 });
  });

  test('may try again after the pause, whichever operation it is, alone; a success closes the circuit', async () => {
    const { vendor, http } = await vendorAnd({ breaker: { breakdownsMax: 1, pauseMs: 100 } });
    const held: Parameters<Misbehaviour>[1][] = [];
    vendor.answer(reset, (_request, response) => void held.push(response), { status: 200, json: {} });
    await http.call(request, done);

    let trying: Promise<unknown> = Promise.resolve();
    await eventually(async () => {
      trying = http.call({ ...request, operation: 'FIND' }, done);
      await Promise.race([trying, eventually(() => held.length === 1)]);
      return held.length === 1;
    });
    const meanwhile = await http.call(request, done);
    held[0]?.end('{}');
    const tried = await trying;
    const afterwards = await http.call(request, done);

    expect([meanwhile, tried, afterwards]).toEqual([
      unknown('NOT_SENT'),
      { outcome: 'DONE', status: 200 },
      { outcome: 'DONE', status: 200 },
    ]);
    expect(vendor.received).toHaveLength(3);
  });

  test('that tries and breaks down opens the circuit for another pause', async () => {
    const { now } = Date;
    let hasPassedMs = 0;
    Date.now = () => now() + hasPassedMs;
    closing.push(() => {
      Date.now = now;
    });
    const { vendor, http } = await vendorAnd({ breaker: { breakdownsMax: 1, pauseMs: 3_600_000 } });
    vendor.answer(reset, reset, { status: 200, json: {} });
    const letThePausePass = () => {
      hasPassedMs += 3_600_000;
    };
    await http.call(request, done);

    const results = [await http.call(request, done)];
    letThePausePass();
    results.push(await http.call(request, done), await http.call(request, done));
    letThePausePass();
    results.push(await http.call(request, done));

    expect(results).toEqual([unknown('NOT_SENT'), unknown('RESET'), unknown('NOT_SENT'), { outcome: 'DONE', status: 200 }]);
    expect(vendor.received).toHaveLength(3);
  });
});
