import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { SIMULATED_PROVIDERS, type SimulatedProvider } from './faults.ts';
import type { Journal } from './journal.ts';

/** What the simulator's books say of one order: the oracle of the tests. */
export interface SimulatedPayment {
  provider: SimulatedProvider;
  orderId: string;
  /** tid, paymentKey, transaction id; empty before there is one. */
  reference: string;
  amountMinor: number;
  currency: string;
  capturedMinor: number;
  refundedMinor: number;
  /** One for each capture and refund, in order: a second capture of an order would show here. */
  entries: { kind: 'CAPTURE' | 'REFUND'; amountMinor: number; at: Date }[];
}

const entrySchema = z.object({
  kind: z.enum(['CAPTURE', 'REFUND']),
  amountMinor: z.int().positive(),
  at: z.coerce.date(),
  /** Of a refund: the provider's name of it, and the reason the merchant gave. */
  reference: z.string(),
  reason: z.string(),
});
export type Entry = z.infer<typeof entrySchema>;

const attemptSchema = z.object({
  reference: z.string(),
  /** Names the customer's page in its URL: cannot be guessed. */
  pageToken: z.string(),
  amountMinor: z.int(),
  currency: z.string(),
  title: z.string(),
  /** `VOIDED`: the merchant gave it up before it was approved. */
  state: z.enum(['PREPARED', 'OPENED', 'AUTHORIZED', 'CAPTURED', 'FAILED', 'QUIT', 'VOIDED']),
  /** Where the customer may be sent from the page: nowhere else. */
  returnUrls: z.object({ paid: z.string(), cancelled: z.string(), failed: z.string() }),
  /** What else the merchant said of it, in the provider's words. */
  terms: z.record(z.string(), z.string()),
  /** Proves to the provider that the customer agreed: pg_token, paymentToken. */
  proof: z.string(),
  failureCode: z.string().nullable(),
  preparedAt: z.coerce.date(),
  authorizedAt: z.coerce.date().nullable(),
  capturedAt: z.coerce.date().nullable(),
});
/** One try to pay an order: KakaoPay's tid, Toss's paymentKey, PortOne's transaction, KISPG's tid. */
export type Attempt = z.infer<typeof attemptSchema>;

const orderSchema = z.object({
  provider: z.enum(SIMULATED_PROVIDERS),
  orderId: z.string(),
  amountMinor: z.int(),
  currency: z.string(),
  attempts: z.array(attemptSchema),
  entries: z.array(entrySchema),
});
export type Order = z.infer<typeof orderSchema>;

const lineSchema = z.union([
  z.object({ order: orderSchema }),
  z.object({ answer: z.object({ scope: z.string(), status: z.int(), body: z.string() }) }),
]);

/** An answer that a provider gives again when it is asked again with the same idempotency key. */
export interface KeptAnswer {
  status: number;
  body: string;
}

/** An attempt and its order. */
export interface Paying {
  order: Order;
  attempt: Attempt;
}

type NewAttempt = Pick<Attempt, 'amountMinor' | 'currency' | 'title' | 'returnUrls' | 'terms'> & { reference: string };

/**
 * The simulator's own double of the money: what was captured and what went back, per order. An order is captured at most once, whatever the number of
 * attempts, and never gives back more than was captured; whoever is about to break that has not checked, which is a bug here and throws.
 *
 * Everything is in memory, and in the journal when there is one. It is bounded: of orders without a capture the last 10,000 are kept, of
 * captured ones the last 100,000, of answers to idempotency keys the last 10,000, and of one order's attempts the last 20.
 */
export class Books {
  readonly #uncaptured = new Map<string, Order>();
  readonly #captured = new Map<string, Order>();
  readonly #byReference = new Map<string, Paying>();
  readonly #byPage = new Map<string, Paying>();
  readonly #answers = new Map<string, KeptAnswer>();
  readonly #now: () => Date;
  readonly #journal: Journal | null;

  constructor(now: () => Date, journal: Journal | null) {
    this.#now = now;
    this.#journal = journal;
    for (const line of journal?.read() ?? []) this.#replay(line);
    journal?.rewrite(this.#lines());
  }

  /** Orders in the order they were first prepared, captured ones first. */
  payments(): SimulatedPayment[] {
    return [...this.#captured.values(), ...this.#uncaptured.values()].map(paymentOf);
  }

  /** Of several providers' orders with this id: the one that was captured, else the one prepared last. */
  payment(orderId: string): SimulatedPayment | undefined {
    const orders = SIMULATED_PROVIDERS.map((provider) => this.order(provider, orderId)).filter((order) => order !== undefined);
    const found = orders.find(isCaptured) ?? orders.toSorted((one, other) => lastMoment(other) - lastMoment(one))[0];
    return found && paymentOf(found);
  }

  order(provider: SimulatedProvider, orderId: string): Order | undefined {
    const key = keyOf(provider, orderId);
    return this.#captured.get(key) ?? this.#uncaptured.get(key);
  }

  attempt(provider: SimulatedProvider, reference: string): Paying | undefined {
    return this.#byReference.get(keyOf(provider, reference));
  }

  page(pageToken: string): Paying | undefined {
    return this.#byPage.get(pageToken);
  }

  /** Notes an order, or its new amount: the last one counts until it is captured. */
  register(provider: SimulatedProvider, orderId: string, amountMinor: number, currency: string): Order {
    const known = this.order(provider, orderId);
    const order = known ?? { provider, orderId, amountMinor, currency, attempts: [], entries: [] };
    if (!isCaptured(order)) Object.assign(order, { amountMinor, currency });
    this.#keep(order);
    return order;
  }

  begin(provider: SimulatedProvider, orderId: string, { reference, ...terms }: NewAttempt): Paying {
    const order = this.register(provider, orderId, terms.amountMinor, terms.currency);
    const attempt: Attempt = {
      reference,
      pageToken: randomBytes(24).toString('base64url'),
      ...terms,
      state: 'PREPARED',
      proof: randomBytes(10).toString('hex'),
      failureCode: null,
      preparedAt: this.#now(),
      authorizedAt: null,
      capturedAt: null,
    };
    order.attempts.push(attempt);
    const forgotten = order.attempts.length > ATTEMPTS_MAX ? order.attempts.find(({ state }) => state !== 'CAPTURED') : undefined;
    if (forgotten !== undefined) this.#forgetAttempt(order, forgotten);
    this.#index(order);
    this.#keep(order);
    return { order, attempt };
  }

  /** Moves an attempt to another state. Money moves by `capture` only. */
  move({ order, attempt }: Paying, state: Exclude<Attempt['state'], 'CAPTURED'>, failureCode: string | null = null): void {
    assert.notEqual(attempt.state, 'CAPTURED', `${attempt.reference} was captured and cannot become ${state}.`);
    attempt.state = state;
    attempt.failureCode = failureCode;
    if (state === 'AUTHORIZED') attempt.authorizedAt = this.#now();
    this.#keep(order);
  }

  capture({ order, attempt }: Paying): void {
    assert(!isCaptured(order), `${order.orderId} is captured already: the protocol must refuse before it comes here.`);
    const at = this.#now();
    attempt.state = 'CAPTURED';
    attempt.capturedAt = at;
    Object.assign(order, { amountMinor: attempt.amountMinor, currency: attempt.currency });
    order.entries.push({ kind: 'CAPTURE', amountMinor: attempt.amountMinor, at, reference: attempt.reference, reason: '' });
    const key = keyOf(order.provider, order.orderId);
    this.#uncaptured.delete(key);
    this.#captured.set(key, order);
    this.#keep(order);
  }

  refund(order: Order, amountMinor: number, reason: string): Entry {
    assert(
      amountMinor > 0 && amountMinor <= leftMinor(order),
      `${order.orderId} has ${leftMinor(order)} left: the protocol must refuse ${amountMinor}.`,
    );
    const entry: Entry = { kind: 'REFUND', amountMinor, at: this.#now(), reference: randomBytes(16).toString('hex'), reason };
    order.entries.push(entry);
    this.#keep(order);
    return entry;
  }

  answerTo(scope: string): KeptAnswer | undefined {
    return this.#answers.get(scope);
  }

  keepAnswer(scope: string, answer: KeptAnswer): void {
    this.#answers.set(scope, answer);
    this.#dropOldest();
    this.#journal?.append({ answer: { scope, ...answer } });
  }

  close(): void {
    this.#journal?.close();
  }

  #keep(order: Order): void {
    const orders = isCaptured(order) ? this.#captured : this.#uncaptured;
    orders.set(keyOf(order.provider, order.orderId), order);
    this.#dropOldest();
    this.#journal?.append({ order });
  }

  #dropOldest(): void {
    if (this.#uncaptured.size > UNCAPTURED_MAX) this.#forget(oldestOutOf(this.#uncaptured));
    if (this.#captured.size > CAPTURED_MAX) this.#forget(oldestOutOf(this.#captured));
    if (this.#answers.size > ANSWERS_MAX) oldestOutOf(this.#answers);
  }

  #index(order: Order): void {
    for (const attempt of order.attempts) {
      this.#byReference.set(keyOf(order.provider, attempt.reference), { order, attempt });
      this.#byPage.set(attempt.pageToken, { order, attempt });
    }
  }

  #forget(order: Order): void {
    for (const attempt of [...order.attempts]) this.#forgetAttempt(order, attempt);
  }

  #forgetAttempt(order: Order, attempt: Attempt): void {
    order.attempts = order.attempts.filter((other) => other !== attempt);
    this.#byReference.delete(keyOf(order.provider, attempt.reference));
    this.#byPage.delete(attempt.pageToken);
  }

  #replay(line: unknown): void {
    const read = lineSchema.parse(line);
    if ('order' in read) this.#replayOrder(read.order);
    else this.#answers.set(read.answer.scope, { status: read.answer.status, body: read.answer.body });
    this.#dropOldest();
  }

  #replayOrder(order: Order): void {
    const key = keyOf(order.provider, order.orderId);
    const earlier = this.order(order.provider, order.orderId);
    if (earlier !== undefined) this.#forget(earlier);
    this.#uncaptured.delete(key);
    (isCaptured(order) ? this.#captured : this.#uncaptured).set(key, order);
    this.#index(order);
  }

  *#lines(): Iterable<unknown> {
    for (const order of [...this.#captured.values(), ...this.#uncaptured.values()]) yield { order };
    for (const [scope, answer] of this.#answers) yield { answer: { scope, ...answer } };
  }
}

export function isCaptured(order: Order): boolean {
  return order.entries.length > 0;
}

export function capturedMinor(order: Order): number {
  return sumOf(order, 'CAPTURE');
}

export function refundedMinor(order: Order): number {
  return sumOf(order, 'REFUND');
}

/** What can still be given back. */
export function leftMinor(order: Order): number {
  return capturedMinor(order) - refundedMinor(order);
}

/** The attempt that speaks for the order: the one that was captured, else the last. */
export function speakingAttempt(order: Order): Attempt | undefined {
  return order.attempts.find(({ state }) => state === 'CAPTURED') ?? order.attempts.at(-1);
}

export function refundsOf(order: Order): Entry[] {
  return order.entries.filter(({ kind }) => kind === 'REFUND');
}

function sumOf(order: Order, kind: Entry['kind']): number {
  return order.entries.filter((entry) => entry.kind === kind).reduce((sum, entry) => sum + entry.amountMinor, 0);
}

function paymentOf(order: Order): SimulatedPayment {
  return {
    provider: order.provider,
    orderId: order.orderId,
    reference: speakingAttempt(order)?.reference ?? '',
    amountMinor: order.amountMinor,
    currency: order.currency,
    capturedMinor: capturedMinor(order),
    refundedMinor: refundedMinor(order),
    entries: order.entries.map(({ kind, amountMinor, at }) => ({ kind, amountMinor, at })),
  };
}

function lastMoment(order: Order): number {
  return order.attempts.at(-1)?.preparedAt.getTime() ?? 0;
}

function keyOf(provider: SimulatedProvider, name: string): string {
  return `${provider} ${name}`;
}

function oldestOutOf<Value>(map: Map<string, Value>): Value {
  const [key, value] = map.entries().next().value!;
  map.delete(key);
  return value;
}

// A booking is some kilobytes here: these keep the whole below some hundred megabytes in the worst case, and a day of tests far below.
const UNCAPTURED_MAX = 10_000;
const CAPTURED_MAX = 100_000;
const ANSWERS_MAX = 10_000;
/** A customer who opens the checkout again and again. */
const ATTEMPTS_MAX = 20;
