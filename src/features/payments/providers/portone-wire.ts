import type { Dispatcher } from 'undici';
import { redact } from './redact.ts';
import { type Delivery, sendOnce } from './send-once.ts';

export interface WireLimits {
  connectTimeoutMs: number;
  /** By the clock of `performance.now()`. */
  answerBy: number;
}

/**
 * One call of PortOne's SDK on its way. The SDK uses the global `fetch` and lets nobody hand it another, nor a signal. It uses it before it first awaits, so
 * for just that moment, in which nothing else can run, the global is ours.
 *
 * Tried instead: racing the SDK against a timer leaves its socket open, for 5 minutes when the server is silent and for ever when it drips (20 of 20 open
 * after 2 s). A global dispatcher, or a permanent `fetch` that looks for its caller in async storage, changes every other user of `fetch` too. If a later SDK
 * awaits something first, its call goes out without a time-out and without a record, which a test notices.
 */
export class Wire {
  /** What became of the request; null before. */
  delivery: Delivery | null = null;

  constructor(
    private readonly dispatcher: Dispatcher,
    private readonly limits: WireLimits,
  ) {}

  carry<Answer>(run: () => Promise<Answer>): Promise<Answer> {
    const { fetch } = globalThis;
    globalThis.fetch = (input, init) => this.fetch(new URL(String(input)), init);
    try {
      return run();
    } finally {
      globalThis.fetch = fetch;
    }
  }

  get status(): number | null {
    return this.delivery?.status ?? null;
  }

  /** As received, without secrets; null when not even a status came. */
  get recordedBody(): unknown {
    if (this.delivery?.status == null) return null;
    const text = this.delivery.body.toString('utf8');
    try {
      return redact(JSON.parse(text));
    } catch {
      return redact(text);
    }
  }

  private async fetch({ origin, pathname, search }: URL, init: RequestInit = {}): Promise<Response> {
    this.delivery = await sendOnce(
      this.dispatcher,
      {
        method: init.method === 'POST' ? 'POST' : 'GET',
        origin,
        path: `${pathname}${search}`,
        headers: Object.fromEntries(new Headers(init.headers)),
        ...(typeof init.body === 'string' && { body: init.body }),
      },
      {
        connectTimeoutMs: this.limits.connectTimeoutMs,
        answerTimeoutMs: Math.max(1, this.limits.answerBy - performance.now()),
        answerBytesMax: ANSWER_BYTES_MAX,
      },
    );
    if (!this.delivery.isAnswered) throw new Error(`PortOne did not answer: ${this.delivery.reason}.`);
    return new Response(this.delivery.body.toString('utf8'), { status: this.delivery.status });
  }
}

/** A payment carries its cancellations and every webhook about it with their bodies: some 10 KiB, and more for one that was retried often. */
const ANSWER_BYTES_MAX = 262_144;
