import { type Dispatcher, errors, Pool } from 'undici';

/** So many calls at once in one process; at 200 ms each, 600 a second. The next wait for a connection, and are not sent if none is free in time. */
const CONNECTIONS_MAX = 128;
/** Below the five seconds after which many servers close a silent connection: a request on a closed one may have been sent, for all we know. */
const IDLE_MS_MAX = 4_000;

/** The connections to one provider. */
export const providerPool = (origin: string, connectTimeoutMs: number): Pool =>
  new Pool(origin, {
    connections: CONNECTIONS_MAX,
    connect: { timeout: connectTimeoutMs },
    keepAliveTimeout: IDLE_MS_MAX,
    keepAliveMaxTimeout: IDLE_MS_MAX,
    pipelining: 1,
    allowH2: false,
  });

export interface OneRequest {
  method: 'GET' | 'POST';
  origin: string;
  path: string;
  headers: Record<string, string>;
  body?: string;
}

export interface SendLimits {
  /** To have a connection, new or free. */
  connectTimeoutMs: number;
  /** From the first byte of the request to the last byte of the answer. */
  answerTimeoutMs: number;
  answerBytesMax: number;
}

/** What became of a request. */
export type Delivery =
  | { isAnswered: true; status: number; body: Buffer }
  | {
      isAnswered: false;
      /** `NOT_SENT`: certainly not a byte of it. `GARBAGE`: the answer is too long or not HTTP. The others: it may have been carried out. */
      reason: 'NOT_SENT' | 'TIMEOUT' | 'RESET' | 'GARBAGE';
      /** Of an answer that began. */
      status: number | null;
      body: Buffer;
    };

/**
 * Sends a request at most once, whatever happens to the connection, and follows no redirect. Never rejects.
 *
 * Whether it was sent is not guessed from the kind of error: undici says when it is about to write a request to a connection that stands. What fails before
 * (names, refused connections, TLS, no free connection in time) was not sent; anything after may have been, also when a kept connection turns out to be dead.
 */
export function sendOnce(dispatcher: Dispatcher, request: OneRequest, limits: SendLimits): Promise<Delivery> {
  return new Promise((resolve) => {
    const delivery = new OneDelivery(limits, resolve);
    try {
      // The deadlines are ours: undici's own begin anew with every byte.
      dispatcher.dispatch({ ...request, body: request.body ?? null, headersTimeout: 0, bodyTimeout: 0 }, delivery);
    } catch (error) {
      delivery.onResponseError(null, error as Error);
    }
  });
}

class OneDelivery implements Dispatcher.DispatchHandler {
  private readonly chunks: Buffer[] = [];
  private status: number | null = null;
  private bytes = 0;
  private wasSent = false;
  private isOver = false;
  private controller: Dispatcher.DispatchController | null = null;
  private deadline: NodeJS.Timeout;

  constructor(
    private readonly limits: SendLimits,
    private readonly resolve: (delivery: Delivery) => void,
  ) {
    this.deadline = setTimeout(() => this.fail('NOT_SENT'), limits.connectTimeoutMs);
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Nothing was written yet, and nothing will be: we have given up meanwhile, or undici is about to send it a second time.
    if (this.isOver || this.wasSent) {
      controller.abort(new Error('A request to a provider is sent once, or not at all.'));
      return;
    }
    this.wasSent = true;
    this.controller = controller;
    clearTimeout(this.deadline);
    this.deadline = setTimeout(() => this.fail('TIMEOUT'), this.limits.answerTimeoutMs);
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number): void {
    this.status = status;
  }

  onResponseData(_controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.bytes += chunk.length;
    if (this.bytes > this.limits.answerBytesMax) this.fail('GARBAGE');
    else this.chunks.push(Buffer.from(chunk));
  }

  onResponseEnd(): void {
    if (this.status === null) this.fail('GARBAGE');
    else this.settle({ isAnswered: true, status: this.status, body: Buffer.concat(this.chunks) });
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (!this.wasSent) this.fail('NOT_SENT');
    else this.fail(NOT_HTTP.some((kind) => error instanceof kind) ? 'GARBAGE' : 'RESET');
  }

  private fail(reason: 'NOT_SENT' | 'TIMEOUT' | 'RESET' | 'GARBAGE'): void {
    this.settle({ isAnswered: false, reason, status: this.status, body: Buffer.concat(this.chunks) });
    this.controller?.abort(new Error(`Given up: ${reason}.`));
  }

  private settle(delivery: Delivery): void {
    if (this.isOver) return;
    this.isOver = true;
    clearTimeout(this.deadline);
    this.resolve(delivery);
  }
}

const NOT_HTTP = [errors.HTTPParserError, errors.HeadersOverflowError, errors.ResponseContentLengthMismatchError];
