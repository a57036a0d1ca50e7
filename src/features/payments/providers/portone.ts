import assert from 'node:assert/strict';
import { PaymentClient, PaymentError } from '@portone/server-sdk/payment';
import { verify, WebhookVerificationError } from '@portone/server-sdk/webhook';
import type { Pool } from 'undici';
import { z } from 'zod';
import { isUuid } from '../../../platform/uuid.ts';
import type { Exchange, Operation, RecordExchange } from '../exchange.ts';
import type {
  Approved,
  Authorization,
  Captured,
  Found,
  PaymentOrder,
  PaymentProvider,
  Prepared,
  ReadReturn,
  ReadWebhook,
  Refunded,
  RefundOrder,
  Refused,
  ReturnRequest,
  Unknown,
  WebhookReply,
  WebhookRequest,
} from '../payment-provider.ts';
import { Breaker, isBreakdown } from './breaker.ts';
import { done, refused, unknown } from './classified.ts';
import type { ProviderSettings, ProviderTimeouts } from './index.ts';
import { Wire } from './portone-wire.ts';
import type { Classified } from './provider-http.ts';
import { redact } from './redact.ts';
import { providerPool } from './send-once.ts';

type Settings = NonNullable<ProviderSettings['PORTONE']>;

/**
 * PortOne V2, through the vendor's own SDK.
 *
 * What the SDK answers is typed and not checked, so everything that a conclusion rests on is checked here. Its calls have no time-out and no limit of their
 * own: they go out over a `Wire`, which has both.
 *
 * A customer may try again with the same payment id after a failed try; only a success is final ("several tries are possible for one paymentId, only one can
 * succeed", says PortOne's guide). So for `find` a FAILED payment is still waiting, and so is one that PortOne does not know yet because nobody has
 * opened the checkout. It ends when the caller's own time for paying is over; money that comes after that is found by looking again.
 */
export class PortOne implements PaymentProvider {
  readonly name = 'PORTONE';
  readonly capabilities = {
    idempotencyKey: false,
    statusQuery: true,
    webhook: 'SIGNED',
    partialRefundGuard: true,
    capturesByItself: true,
  } as const;
  private readonly sdk: PaymentClient;
  private readonly pool: Pool;
  private readonly answerTimeoutMs: number;
  private readonly breaker = new Breaker<Classified<unknown>>(isBreakdown);

  constructor(
    private readonly settings: Settings,
    private readonly timeouts: ProviderTimeouts,
    private readonly recordExchange: RecordExchange,
  ) {
    const { baseUrl, apiSecret: secret, storeId } = settings;
    this.sdk = PaymentClient({ baseUrl, secret, storeId });
    this.pool = providerPool(new URL(baseUrl).origin, timeouts.connectTimeoutMs);
    this.answerTimeoutMs = timeouts.answerTimeoutMs ?? ANSWER_TIMEOUT_MS;
  }

  close(): Promise<void> {
    return this.pool.destroy();
  }

  /** Fixes the amount at PortOne, so that a checkout with another one is refused there. */
  async prepare(order: PaymentOrder): Promise<Prepared> {
    const { paymentId, amountMinor: totalAmount, currency } = order;
    const body = { paymentId, totalAmount, currency };
    const registered = await this.call<Refused | typeof DONE>(
      { operation: 'PREPARE', order, name: 'preRegisterPayment', body, answerBy: this.answerBy() },
      () => this.sdk.preRegisterPayment(body),
      (said) =>
        said.isAnswer ? done(DONE) : said.type === 'INVALID_REQUEST' || said.type === 'FORBIDDEN' ? refused(said.type) : unlisted(said),
    );
    if (registered.outcome !== 'DONE') return registered;
    const { storeId, channelKey, checkoutUrl } = this.settings;
    const fields = {
      storeId,
      channelKey,
      paymentId,
      orderName: order.title,
      totalAmount: String(totalAmount),
      currency,
      redirectUrl: order.returnUrls.paid,
    };
    return { outcome: 'DONE', reference: null, checkout: { url: checkoutUrl, method: 'GET', fields } };
  }

  /** With a token, the channel waits for our confirmation. Without one, the page took the money itself or the customer gave up: only PortOne knows. */
  readReturn(order: PaymentOrder, { query }: ReturnRequest): ReadReturn {
    if (query.paymentId !== order.paymentId) return forged('another payment');
    const { code, paymentToken, txId } = query;
    if (code || !paymentToken) return { outcome: 'ASK' };
    return { outcome: 'AUTHORIZED', authorization: txId ? { paymentToken, txId } : { paymentToken } };
  }

  /**
   * Confirms, and then reads the payment: the answer to a confirmation says neither what was taken nor from whom. A refusal by the customer's bank
   * is believed when PortOne shows the try as failed; before that, an earlier confirmation may still be under way. Both calls share one time-out.
   */
  async approve(order: PaymentOrder, authorization: Authorization): Promise<Approved> {
    const { paymentId, amountMinor: totalAmount, currency } = order;
    const { paymentToken, txId } = authorization;
    assert(paymentToken, 'An authorization of PortOne has a paymentToken.');
    const answerBy = this.answerBy();
    const body = { paymentId, paymentToken, ...(txId && { txId }), totalAmount, currency };
    const confirmed = await this.call<Refused | typeof DONE | ToBeProven>(
      { operation: 'APPROVE', order, name: 'confirmPayment', body, answerBy },
      () => this.sdk.confirmPayment(body),
      (said) => {
        if (said.isAnswer) return done(DONE);
        if (CONFIRMATION_REFUSALS.has(said.type)) return refused(said.type);
        return said.type === 'PG_PROVIDER' || said.type === 'INVALID_PAYMENT_TOKEN' ? toBeProven(said.code) : unlisted(said);
      },
    );
    if (confirmed.outcome === 'REFUSED' || confirmed.outcome === 'UNKNOWN') return confirmed;
    const seen = await this.lookAfter(order, answerBy);
    if (seen.outcome === 'UNKNOWN') return seen;
    if (confirmed.outcome === 'TO_BE_PROVEN')
      return seen.outcome === 'FAILED' ? { outcome: 'REFUSED', code: confirmed.code } : { outcome: 'UNKNOWN', reason: 'UNLISTED' };
    if (seen.outcome !== 'CAPTURED') return { outcome: 'UNKNOWN', reason: 'MISMATCH' };
    // Given back already: not the plain success it looks like, and `find` tells it all.
    return seen.refundedMinor === 0 ? { outcome: 'DONE', captured: seen.captured } : { outcome: 'UNKNOWN', reason: 'UNLISTED' };
  }

  async find(order: PaymentOrder): Promise<Found> {
    const seen = await this.look(order, this.answerBy());
    return seen.outcome === 'FAILED' || seen.outcome === 'OPEN' ? { outcome: 'WAITING' } : seen;
  }

  /**
   * Names what can still be given back before this refund, so that a second one like it is refused by PortOne. That refusal says nothing about the first one:
   * what went back in all proves it.
   */
  async refund(order: PaymentOrder, refund: RefundOrder): Promise<Refunded> {
    const { paymentId } = order;
    const { amountMinor: amount, capturedMinor, refundedMinor, reason } = refund;
    const answerBy = this.answerBy();
    const body = { paymentId, amount, currentCancellableAmount: capturedMinor - refundedMinor, reason, requester: 'ADMIN' };
    const cancelled = await this.call<Refunded | ToBeProven>(
      { operation: 'REFUND', order, name: 'cancelPayment', body, answerBy },
      () => this.sdk.cancelPayment(body),
      (said) => {
        if (said.isAnswer) return cancellationOf(said.answer, amount);
        if (CANCELLATION_REFUSALS.has(said.type)) return refused(said.type);
        return CANCELLATION_TO_BE_PROVEN.has(said.type) ? toBeProven(said.code) : unlisted(said);
      },
    );
    if (cancelled.outcome !== 'TO_BE_PROVEN') return cancelled;
    const seen = await this.lookAfter(order, answerBy);
    if (seen.outcome === 'UNKNOWN') return seen;
    if (seen.outcome !== 'CAPTURED' || seen.refundedMinor < refundedMinor) return { outcome: 'UNKNOWN', reason: 'MISMATCH' };
    return seen.refundedMinor >= refundedMinor + amount ? DONE : { outcome: 'REFUSED', code: cancelled.code };
  }

  /** The SDK judges the age of a webhook by the machine's clock: five minutes either way. A second copy within them is as genuine as the first. */
  async readWebhook({ headers, rawBody }: WebhookRequest): Promise<ReadWebhook> {
    const webhook = await this.verified(headers, rawBody.toString('utf8'));
    if (typeof webhook === 'string') return forged(webhook);
    if (!webhook.type.startsWith('Transaction.')) return { outcome: 'IGNORED', reason: 'not about a payment' };
    if (webhook.data?.storeId !== this.settings.storeId) return { outcome: 'IGNORED', reason: 'another store' };
    const { paymentId = '' } = webhook.data;
    if (!isUuid(paymentId)) return { outcome: 'IGNORED', reason: 'not an order of ours' };
    return { outcome: 'DOORBELL', eventId: headers['webhook-id'] ?? '', paymentId, saysCaptured: webhook.type === 'Transaction.Paid' };
  }

  webhookReply(how: 'TAKEN' | 'LATER' | 'REFUSED'): WebhookReply {
    return { status: { TAKEN: 200, LATER: 503, REFUSED: 401 }[how], contentType: 'text/plain; charset=utf-8', body: '' };
  }

  /** The webhook, or why it is none. */
  private async verified(headers: WebhookRequest['headers'], body: string): Promise<z.infer<typeof webhookSchema> | string> {
    try {
      const webhook = webhookSchema.safeParse(await verify(this.settings.webhookSecret, body, { ...headers }));
      return webhook.success ? webhook.data : 'not the format of a webhook';
    } catch (error) {
      if (error instanceof WebhookVerificationError) return error.reason;
      if (error instanceof SyntaxError) return 'not JSON';
      throw error;
    }
  }

  /** Reads a payment after a call that was sent: that it could not be read for want of a connection must not look as if nothing had been sent at all. */
  private async lookAfter(order: PaymentOrder, answerBy: number): Promise<Seen> {
    const seen = await this.look(order, answerBy);
    return seen.outcome === 'UNKNOWN' && seen.reason === 'NOT_SENT' ? { outcome: 'UNKNOWN', reason: 'UNLISTED' } : seen;
  }

  private look(order: PaymentOrder, answerBy: number): Promise<Seen> {
    const { paymentId } = order;
    const { storeId } = this.settings;
    return this.call<Seen>(
      { operation: 'FIND', order, name: 'getPayment', body: { paymentId, storeId }, answerBy },
      () => this.sdk.getPayment({ paymentId, storeId }),
      (said) => {
        if (said.isAnswer) return this.seen(order, said.answer);
        // Registered, and no checkout was opened yet.
        return said.type === 'PAYMENT_NOT_FOUND' ? { result: { outcome: 'OPEN' }, outcome: 'DONE', code: said.type } : unlisted(said);
      },
    );
  }

  private seen(order: PaymentOrder, answer: unknown): Classified<Seen> {
    const payment = paymentSchema.safeParse(answer).data;
    if (!payment) return unknown('GARBAGE');
    if (payment.id !== order.paymentId || payment.storeId !== this.settings.storeId) return unknown('MISMATCH');
    switch (payment.status) {
      case 'READY':
      case 'PENDING':
      case 'PAY_PENDING':
      case 'VIRTUAL_ACCOUNT_ISSUED':
        return done({ outcome: 'OPEN' });
      case 'FAILED':
        return done({ outcome: 'FAILED' });
      case 'PAID':
      case 'PARTIAL_CANCELLED':
      case 'CANCELLED':
        return capturedOf(order, payment.status, answer);
      default:
        return unknown('UNLISTED');
    }
  }

  private answerBy(): number {
    return performance.now() + this.answerTimeoutMs;
  }

  private async call<Result>(call: Call, run: () => Promise<unknown>, classify: Classify<Result>): Promise<Result | Unknown> {
    const startedAt = performance.now();
    const wire = new Wire(this.pool, { connectTimeoutMs: this.timeouts.connectTimeoutMs, answerBy: call.answerBy });
    const attempt = (): Promise<Classified<Result | Unknown>> =>
      wire.carry(run).then(
        (answer) => classify({ isAnswer: true, answer }),
        (error) => classifyFailure(error, wire, classify),
      );
    // While the circuit is open nothing is sent.
    const { result, outcome, code } = (await this.breaker.run(attempt)) ?? unknown('NOT_SENT');
    const latencyMs = Math.round(performance.now() - startedAt);
    await this.record(call, { status: wire.status, responseBody: wire.recordedBody, outcome, code, latencyMs });
    return result;
  }

  /** That it could not be recorded must not hide what became of the money. */
  private async record({ operation, order, name, body }: Call, answered: Answered): Promise<void> {
    const { paymentId } = order;
    const request = `@portone/server-sdk ${name}`;
    try {
      await this.recordExchange({ provider: this.name, operation, paymentId, request, requestBody: redact(body), ...answered });
    } catch (error) {
      process.emitWarning(
        `An exchange with PORTONE about payment ${paymentId} was not recorded. ${String(error)}`,
        'PaymentProviderWarning',
      );
    }
  }
}

type Answered = Pick<Exchange, 'status' | 'responseBody' | 'outcome' | 'code' | 'latencyMs'>;

interface Call {
  operation: Operation;
  order: PaymentOrder;
  /** Of the SDK's function. */
  name: string;
  body: Record<string, unknown>;
  /** By the clock of `performance.now()`. */
  answerBy: number;
}

/** An answer in JSON, or the type of an error; `code` is the bank's where there is one. */
type Said = { isAnswer: true; answer: unknown } | { isAnswer: false; type: string; code: string; status: number };
type Classify<Result> = (said: Said) => Classified<Result | Unknown>;

/** A payment as PortOne shows it. */
type Seen =
  | { readonly outcome: 'OPEN' }
  | { readonly outcome: 'FAILED' }
  | { readonly outcome: 'CAPTURED'; readonly captured: Captured; readonly refundedMinor: number }
  | Unknown;

/** A refusal that does not say what became of an earlier call like it. */
interface ToBeProven {
  readonly outcome: 'TO_BE_PROVEN';
  readonly code: string;
}

/** What the SDK threw: an error that PortOne named, or whatever else went wrong on the way. */
function classifyFailure<Result>(error: unknown, { delivery }: Wire, classify: Classify<Result>): Classified<Result | Unknown> {
  // The SDK threw before it sent anything: a mistake in how it is called, which nobody outside can cause.
  if (!delivery) throw error;
  if (!delivery.isAnswered) return unknown(delivery.reason);
  const { status } = delivery;
  const problem = error instanceof PaymentError ? problemSchema.safeParse((error as { data?: unknown }).data).data : undefined;
  if (problem) return classify({ isAnswer: false, type: problem.type, code: problem.pgCode || problem.type, status });
  // The SDK could not read the answer: an error page, an empty body, JSON of another shape.
  return unknown(status >= 500 ? 'SERVER_ERROR' : 'GARBAGE');
}

function capturedOf(order: PaymentOrder, status: 'PAID' | 'PARTIAL_CANCELLED' | 'CANCELLED', answer: unknown): Classified<Seen> {
  const money = moneySchema.safeParse(answer).data;
  if (!money) return unknown('GARBAGE');
  const { transactionId: reference, currency, amount, cancellations } = money;
  const goneWith = {
    PAID: amount.cancelled === 0,
    PARTIAL_CANCELLED: amount.cancelled > 0 && amount.cancelled < amount.total,
    CANCELLED: amount.cancelled === amount.total,
  };
  if (amount.total !== order.amountMinor || currency !== order.currency || !goneWith[status]) return unknown('MISMATCH');
  // Until the bank has decided, nobody knows what went back; a refund sent meanwhile could be a second one.
  if (cancellations.some((cancellation) => cancellation.status === 'REQUESTED')) return unknown('UNLISTED');
  return done({ outcome: 'CAPTURED', captured: { reference, amountMinor: amount.total, currency }, refundedMinor: amount.cancelled });
}

function cancellationOf(answer: unknown, amountMinor: number): Classified<Refunded> {
  const cancellation = cancellationSchema.safeParse(answer).data?.cancellation;
  if (!cancellation) return unknown('GARBAGE');
  switch (cancellation.status) {
    case 'SUCCEEDED':
      return cancellation.totalAmount === amountMinor ? done(DONE) : unknown('MISMATCH');
    case 'FAILED':
      return refused('FAILED');
    default:
      // REQUESTED: the bank decides later, and the payment then tells.
      return unknown('UNLISTED');
  }
}

const DONE = { outcome: 'DONE' } as const;
const toBeProven = (code: string): Classified<ToBeProven> => ({ result: { outcome: 'TO_BE_PROVEN', code }, outcome: 'REFUSED', code });
const unlisted = ({ status }: { status: number }) => unknown(status >= 500 ? 'SERVER_ERROR' : 'UNLISTED');
const forged = (reason: string) => ({ outcome: 'FORGED', reason }) as const;

const problemSchema = z.object({ type: z.string().min(1).max(100), pgCode: z.string().max(100).optional() });
const paymentSchema = z.object({ status: z.string(), id: z.string(), storeId: z.string() });
const moneySchema = z.object({
  transactionId: z.string().min(1).max(200),
  currency: z.string(),
  amount: z.object({ total: z.int(), cancelled: z.int() }),
  cancellations: z.array(z.object({ status: z.string() })).default([]),
});
const cancellationSchema = z.object({ cancellation: z.object({ status: z.string(), totalAmount: z.int() }) });
const webhookSchema = z.object({ type: z.string(), data: z.object({ storeId: z.string(), paymentId: z.string() }).partial().optional() });

/*
 * Errors after which certainly nothing moved. UNAUTHORIZED, FORBIDDEN and INVALID_REQUEST are not among them: they are mistakes of ours in the settings or in
 * a release, and an earlier call like this one may have passed. ALREADY_PAID is none either: `find` tells what was paid.
 */
const CONFIRMATION_REFUSALS: ReadonlySet<string> = new Set(['INFORMATION_MISMATCH', 'PAYMENT_NOT_FOUND']);
const CANCELLATION_REFUSALS: ReadonlySet<string> = new Set([
  'PAYMENT_NOT_FOUND',
  'PAYMENT_NOT_PAID',
  'CANCEL_TAX_AMOUNT_EXCEEDS_CANCELLABLE_TAX_AMOUNT',
  'CANCEL_TAX_FREE_AMOUNT_EXCEEDS_CANCELLABLE_TAX_FREE_AMOUNT',
  'NEGATIVE_PROMOTION_ADJUSTED_CANCEL_AMOUNT',
  'SUM_OF_PARTS_EXCEEDS_CANCEL_AMOUNT',
]);
const CANCELLATION_TO_BE_PROVEN: ReadonlySet<string> = new Set([
  'PAYMENT_ALREADY_CANCELLED',
  'CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN',
  'CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT',
  'PG_PROVIDER',
]);

/** A bank behind PortOne takes seconds, seldom more than half a minute; PortOne itself names no limit. */
const ANSWER_TIMEOUT_MS = 60_000;
