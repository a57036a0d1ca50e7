import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Exchange, PaymentOrder, RecordExchange, ReturnKind, ReturnRequest } from '../../../../src/features/payments/index.ts';

/** What to answer to one request. */
export type Answer = { status: number; json: unknown } | { status: number; text: string; headers?: Record<string, string> } | Misbehaviour;
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse) => void;

export interface Received {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
  body: string;
}

/** A server that answers what it is told to, one answer for each request; without any it answers 404 and an empty object. */
export class Vendor implements AsyncDisposable {
  readonly received: Received[] = [];
  private readonly answers: Answer[] = [];

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Vendor> {
    const server = createServer();
    const vendor = new Vendor(server);
    server.on('request', (request, response) => void vendor.serve(request, response));
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return vendor;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  answer(...answers: Answer[]): void {
    this.answers.push(...answers);
  }

  async close(): Promise<void> {
    if (!this.server.listening) return;
    const closed = once(this.server.close(), 'close');
    this.server.closeAllConnections();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    this.received.push({
      method: request.method ?? '',
      url: request.url ?? '',
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    });
    const answer = this.answers.shift() ?? { status: 404, json: {} };
    if (typeof answer === 'function') return answer(request, response);
    const isJson = 'json' in answer;
    response.writeHead(answer.status, isJson ? { 'content-type': 'application/json' } : answer.headers);
    response.end(isJson ? JSON.stringify(answer.json) : answer.text);
  }
}

export const hang: Misbehaviour = () => undefined;

export const reset: Misbehaviour = (request) => request.socket.resetAndDestroy();

/** The head of an answer and some of its body, then the connection is cut. */
export const breakOff: Misbehaviour = (request, response) => {
  response.writeHead(200, { 'content-length': '1000' });
  response.write('{"half": ', () => request.socket.destroy());
};

/** A byte every few milliseconds, for as long as somebody listens. */
export const drip: Misbehaviour = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.write('{');
  const drops = setInterval(() => response.write(' '), 5);
  response.once('close', () => clearInterval(drops));
};

/** What was recorded so far. */
export function recorder(): { exchanges: Exchange[]; record: RecordExchange } {
  const exchanges: Exchange[] = [];
  return { exchanges, record: async (exchange) => void exchanges.push(exchange) };
}

export function orderOf(overrides: Partial<PaymentOrder> = {}, shopUrl = 'http://127.0.0.1:9'): PaymentOrder {
  const paymentId = overrides.paymentId ?? randomUUID();
  return {
    paymentId,
    customerRef: 'c'.repeat(32),
    title: '수영 강습',
    amountMinor: 11_000,
    currency: 'KRW',
    locale: 'ko',
    returnUrls: { paid: `${shopUrl}/paid`, cancelled: `${shopUrl}/cancelled`, failed: `${shopUrl}/failed` },
    reference: null,
    ...overrides,
  };
}

/** The browser's way back, as our return address would read it. */
export function returnOf(url: string | undefined): ReturnRequest {
  const { pathname, searchParams } = new URL(url ?? '', 'http://shop.invalid');
  return { kind: pathname.slice(1) as ReturnKind, query: Object.fromEntries(searchParams), body: {} };
}
