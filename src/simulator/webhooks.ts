import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { SimulatedProvider } from './faults.ts';

/** A webhook as it goes over the wire: forge one by changing it. */
export interface SimulatedWebhook {
  provider: SimulatedProvider;
  orderId: string;
  headers: Record<string, string>;
  body: string;
}

/** Something that a provider tells the merchant's server. */
export interface Announcement {
  provider: SimulatedProvider;
  orderId: string;
  body: string;
  /** The headers of one try: some name the moment or the number of the try, 0 the first. */
  headers(tries: number): Record<string, string>;
  /** Whether this answer is the one that the provider's contract takes for "received". */
  isTaken(status: number, answer: string): boolean;
}

/**
 * The webhooks of all providers. A provider tries again for minutes or days; the simulator five times within some twenty seconds, so that a person
 * at the sandbox sees it. What waits to be sent is forgotten when the simulator stops.
 */
export class Webhooks {
  readonly #registered = new Map<SimulatedProvider, string>();
  readonly #sent = new Map<string, SimulatedWebhook[]>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #agent = new Agent({ connect: { timeout: ANSWER_WITHIN_MS } });
  readonly #areSentByThemselves: () => boolean;

  constructor(areSentByThemselves: () => boolean) {
    this.#areSentByThemselves = areSentByThemselves;
  }

  register(provider: SimulatedProvider, url: string | null): void {
    if (url === null) this.#registered.delete(provider);
    else this.#registered.set(provider, new URL(url).toString());
  }

  registered(): Partial<Record<SimulatedProvider, string>> {
    return Object.fromEntries(this.#registered);
  }

  of(orderId: string): SimulatedWebhook[] {
    return [...(this.#sent.get(orderId) ?? [])];
  }

  /** Notes a webhook, and sends it when one is registered. Returns at once. */
  announce(announcement: Announcement): void {
    const { provider, orderId, body } = announcement;
    const first = { provider, orderId, headers: announcement.headers(0), body };
    this.#note(first);
    if (!this.#isSending(provider)) return;
    const underWay = this.#sendUntilTaken(announcement, first).finally(() => this.#underWay.delete(underWay));
    this.#underWay.add(underWay);
  }

  /** Sends one webhook now, as it is, to the registered URL, and answers the status. Rejects when nobody listens there. */
  async deliver(webhook: SimulatedWebhook): Promise<number> {
    return (await this.#post(webhook)).status;
  }

  async close(): Promise<void> {
    this.#stopping.abort();
    await Promise.allSettled(this.#underWay);
    await this.#agent.destroy();
  }

  #isSending(provider: SimulatedProvider): boolean {
    return this.#areSentByThemselves() && this.#registered.has(provider) && !this.#stopping.signal.aborted;
  }

  async #sendUntilTaken(announcement: Announcement, first: SimulatedWebhook): Promise<void> {
    const { provider } = announcement;
    for (const [tries, pauseMs] of PAUSES_MS.entries()) {
      await delay(pauseMs, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (!this.#isSending(provider)) return;
      // Nobody there, or no answer in time, is an answer that was not the one wanted.
      const webhook = tries === 0 ? first : { ...first, headers: announcement.headers(tries) };
      const answer = await this.#post(webhook).catch(() => null);
      if (answer !== null && announcement.isTaken(answer.status, answer.text)) return;
    }
  }

  async #post({ provider, headers, body }: SimulatedWebhook): Promise<{ status: number; text: string }> {
    const url = this.#registered.get(provider);
    if (url === undefined) throw new Error(`${provider} has nowhere to send its webhooks. Call registerWebhook first.`);
    const { statusCode, body: answer } = await request(url, {
      method: 'POST',
      headers,
      body,
      dispatcher: this.#agent,
      signal: this.#stopping.signal,
      headersTimeout: ANSWER_WITHIN_MS,
      bodyTimeout: ANSWER_WITHIN_MS,
    });
    return { status: statusCode, text: await answer.text() };
  }

  #note(webhook: SimulatedWebhook): void {
    const earlier = this.#sent.get(webhook.orderId) ?? [];
    this.#sent.set(webhook.orderId, [...earlier, webhook].slice(-WEBHOOKS_OF_AN_ORDER_MAX));
    const [oldest] = this.#sent.keys();
    if (this.#sent.size > ORDERS_MAX && oldest !== undefined) this.#sent.delete(oldest);
  }
}

/** Before each try. */
const PAUSES_MS = [0, 200, 1_000, 4_000, 15_000];

/** Toss waits that long; the others say nothing. */
const ANSWER_WITHIN_MS = 10_000;

const WEBHOOKS_OF_AN_ORDER_MAX = 100;
const ORDERS_MAX = 10_000;
