import type { Pool } from 'undici';
import type { Exchange, Operation, OutcomeClass, RecordExchange } from '../exchange.ts';
import type { PaymentOrder, ProviderName, Unknown } from '../payment-provider.ts';
import { Breaker, type BreakerLimits, isBreakdown } from './breaker.ts';
import { unknown } from './classified.ts';
import { REDACTED, redact, redactText } from './redact.ts';
import { type Delivery, providerPool, sendOnce } from './send-once.ts';

export interface ProviderHttpOptions {
  provider: ProviderName;
  /** Without a slash at its end. */
  baseUrl: string;
  /** To have a connection. */
  connectTimeoutMs: number;
  /** From sending the request to the last byte of the answer. */
  answerTimeoutMs: number;
  record: RecordExchange;
  /** Ten breakdowns and three seconds unless said otherwise. */
  breaker?: BreakerLimits;
}

export interface ProviderRequest {
  operation: Operation;
  order: PaymentOrder;
  method: 'GET' | 'POST';
  /** With a leading slash, appended to the base URL. */
  path: string;
  headers: Record<string, string>;
  /** Sent as it is. */
  body?: string;
  /** What is stored of the body: without secrets. Unless said otherwise, the body itself, which is redacted as well. */
  recordedBody?: unknown;
}

/** An answer with an HTTP status and a body in JSON. Any other answer is `Unknown` already. */
export interface ProviderAnswer {
  status: number;
  json: Record<string, unknown>;
}

/** What an adapter makes of an answer: its result, and how the exchange is filed. */
export interface Classified<Result> {
  result: Result;
  outcome: OutcomeClass;
  /** The reason of an unknown outcome, or the provider's code. */
  code: string | null;
}

/** What is known after a call, before it is recorded. */
interface Concluded<Result> extends Classified<Result> {
  status: number | null;
  responseBody: unknown;
}

/**
 * The one place that talks HTTP to providers: time-outs, a limit to what is read, the circuit breaker, and the record of every exchange. It never sends a
 * request twice by itself and follows no redirect.
 *
 * While the circuit is open a call answers `NOT_SENT` at once and is recorded like any other, with no status and no latency. Any call may be the one that
 * tries whether the provider is back.
 */
export class ProviderHttp {
  private readonly pool: Pool;
  private readonly base: URL;
  private readonly breaker: Breaker<Concluded<unknown>>;

  constructor(private readonly options: ProviderHttpOptions) {
    this.base = new URL(options.baseUrl);
    this.breaker = new Breaker(isBreakdown, options.breaker);
    this.pool = providerPool(this.base.origin, options.connectTimeoutMs);
  }

  /**
   * Sends, classifies and records. `classify` is called for answers with a JSON object only, whatever their status except redirects; everything else is
   * `Unknown` with its reason. Should it throw, the answer was garbage to us.
   *
   * Resolves after the exchange is recorded. A record that fails does not change the result, because the money may have moved by then; it is the recorder's
   * to report (ours logs it), and one that rejects nevertheless becomes a warning of the process.
   */
  async call<Result>(request: ProviderRequest, classify: (answer: ProviderAnswer) => Classified<Result>): Promise<Result | Unknown> {
    const startedAt = performance.now();
    const concluded: Concluded<Result | Unknown> = (await this.breaker.run(() => this.ask(request, classify))) ?? CIRCUIT_OPEN;
    await this.record(request, concluded, Math.round(performance.now() - startedAt));
    return concluded.result;
  }

  /** Ends its connections. What is still being asked is cut off, and unknown. */
  close(): Promise<void> {
    return this.pool.destroy();
  }

  private async ask<Result>(
    { method, path, headers, body }: ProviderRequest,
    classify: (answer: ProviderAnswer) => Classified<Result>,
  ): Promise<Concluded<Result | Unknown>> {
    const delivery = await sendOnce(
      this.pool,
      { method, origin: this.base.origin, path: this.pathOf(path), headers, ...(body !== undefined && { body }) },
      { connectTimeoutMs: this.options.connectTimeoutMs, answerTimeoutMs: this.options.answerTimeoutMs, answerBytesMax: ANSWER_BYTES_MAX },
    );
    const json = jsonObjectOf(delivery.body);
    const responseBody = json ? redact(json) : recordedText(delivery);
    return { ...this.classified(delivery, json, classify), status: delivery.status, responseBody };
  }

  private classified<Result>(
    delivery: Delivery,
    json: Record<string, unknown> | null,
    classify: (answer: ProviderAnswer) => Classified<Result>,
  ): Classified<Result | Unknown> {
    if (!delivery.isAnswered) return unknown(delivery.reason);
    const { status } = delivery;
    if (!json) return unknown(status >= 500 ? 'SERVER_ERROR' : 'GARBAGE');
    // What something in between sends us to is not the provider's answer.
    if (status < 200 || (status >= 300 && status < 400)) return unknown('GARBAGE');
    try {
      return classify({ status, json });
    } catch (error) {
      warn(`The answer of ${this.options.provider} to a request could not be read and counts as garbage.`, error);
      return unknown('GARBAGE');
    }
  }

  private async record(request: ProviderRequest, concluded: Concluded<unknown>, latencyMs: number): Promise<void> {
    const { operation, order, method, path, body, recordedBody } = request;
    const exchange: Exchange = {
      provider: this.options.provider,
      operation,
      paymentId: order.paymentId,
      request: redactText(`${method} ${this.base.origin}${this.pathOf(path)}`),
      requestBody: recordedBody === undefined ? recordedRequest(body) : redact(recordedBody),
      status: concluded.status,
      responseBody: concluded.responseBody,
      code: concluded.code,
      outcome: concluded.outcome,
      latencyMs,
    };
    try {
      await this.options.record(exchange);
    } catch (error) {
      warn(`An exchange with ${this.options.provider} about payment ${order.paymentId} was not recorded.`, error);
    }
  }

  private pathOf(path: string): string {
    return `${this.base.pathname === '/' ? '' : this.base.pathname}${path}`;
  }
}

function jsonObjectOf(body: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

/** Null when nothing came, not even a status. */
function recordedText({ status, body }: Delivery & { status: number | null }): string | null {
  return status === null ? null : (redact(body.toString('utf8')) as string);
}

function recordedRequest(body: string | undefined): unknown {
  if (body === undefined) return null;
  const json = jsonObjectOf(Buffer.from(body));
  // A form or something else, of which only its writer knows what is secret in it.
  return json ? redact(json) : REDACTED;
}

/** Into the log of errors of the process; without what was exchanged. */
function warn(message: string, cause: unknown): void {
  process.emitWarning(`${message} ${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}`, 'PaymentProviderWarning');
}

const CIRCUIT_OPEN: Concluded<Unknown> = { ...unknown('NOT_SENT'), status: null, responseBody: null };

/** The longest answers, a payment with all its cancellations, have some 10 KiB. */
const ANSWER_BYTES_MAX = 65_536;
