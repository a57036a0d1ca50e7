import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { isUuid } from '../../../platform/uuid.ts';
import type { Operation, RecordExchange } from '../exchange.ts';
import type {
  Approved,
  Authorization,
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
  UnknownReason,
  WebhookReply,
  WebhookRequest,
} from '../payment-provider.ts';
import { done, type Fields, objectOf, refused, textOf, unknown, webAddressOf, wholeOf } from './classified.ts';
import type { ProviderSettings, ProviderTimeouts } from './index.ts';
import { type Classified, type ProviderAnswer, ProviderHttp } from './provider-http.ts';

type Settings = NonNullable<ProviderSettings['TOSS']>;

/**
 * Toss Payments v1, cards. Verified from the vendor's pages, except for `prepare` (see there) and for what a repeated idempotency key answers after an error:
 * where the error is kept, an approval that failed for a moment stays failed, and its payment ends when the provider lets it expire.
 *
 * Webhooks about payments are not signed, so they are doorbells. The HTTP status does not say whether money moved; the tables at the foot do, and a code that
 * is not in them is unknown.
 */
export class Toss implements PaymentProvider {
  readonly name = 'TOSS';
  readonly capabilities = {
    idempotencyKey: true,
    statusQuery: true,
    webhook: 'UNSIGNED',
    partialRefundGuard: false,
    capturesByItself: false,
  } as const;
  private readonly http: ProviderHttp;

  constructor(
    private readonly settings: Settings,
    timeouts: ProviderTimeouts,
    record: RecordExchange,
  ) {
    this.http = new ProviderHttp({
      provider: this.name,
      baseUrl: settings.baseUrl,
      connectTimeoutMs: timeouts.connectTimeoutMs,
      answerTimeoutMs: timeouts.answerTimeoutMs ?? ANSWER_TIMEOUT_MS,
      record,
    });
  }

  close(): Promise<void> {
    return this.http.close();
  }

  /**
   * Creates the payment, and answers the address of its page. That this call exists for ordinary merchants and answers `checkout.url` is corroborated by the
   * vendor's samples, not verified: most integrations open the page with the vendor's browser SDK. Moves no money, so any client error is a refusal.
   */
  async prepare(order: PaymentOrder): Promise<Prepared> {
    if (order.currency !== 'KRW') return { outcome: 'REFUSED', code: 'CURRENCY_NOT_SUPPORTED' };
    const body = {
      method: 'CARD',
      amount: order.amountMinor,
      orderId: order.paymentId,
      orderName: order.title,
      successUrl: order.returnUrls.paid,
      failUrl: order.returnUrls.failed,
    };
    return this.post<Prepared>('PREPARE', order, '/v1/payments', body, `prepare-${order.paymentId}`, ({ status, json }) => {
      if (status !== 200)
        return codeOf(json) === null || UNDECIDED.has(codeOf(json)!) || status === 429 ? unknown('UNLISTED') : refused(codeOf(json)!);
      const problem = this.differs(order, json);
      if (problem) return unknown(problem);
      const url = webAddressOf(objectOf(json.checkout).url);
      if (url === null) return unknown('GARBAGE');
      return done({ outcome: 'DONE', reference: paymentKeyOf(json), checkout: { url, method: 'GET', fields: {} } });
    });
  }

  /**
   * The order and the amount must be ours. A payment key that is not the prepared one is no reason to refuse, because that is unverified, but neither to use it:
   * with a made-up key somebody else could make the approval of a waiting payment fail. Toss is asked which one it has.
   */
  readReturn(order: PaymentOrder, { kind, query }: ReturnRequest): ReadReturn {
    if (kind !== 'paid') return { outcome: 'ASK' };
    const paymentKey = textOf(query.paymentKey, PAYMENT_KEY_LENGTH_MAX);
    if (paymentKey === null) return forged('no paymentKey');
    if (query.orderId !== order.paymentId) return forged('another order');
    if (query.amount !== String(order.amountMinor)) return forged('another amount');
    if (order.reference !== null && order.reference !== paymentKey) return { outcome: 'ASK' };
    return { outcome: 'AUTHORIZED', authorization: { paymentKey } };
  }

  /** 401 says that our key is wrong: nothing was carried out, and nobody can pay this way until it is right, so it is a refusal. */
  approve(order: PaymentOrder, { paymentKey }: Authorization): Promise<Approved> {
    assert(paymentKey, 'An authorization of Toss has a paymentKey.');
    const body = { paymentKey, orderId: order.paymentId, amount: order.amountMinor };
    return this.post<Approved>('APPROVE', order, '/v1/payments/confirm', body, `approve-${order.paymentId}`, ({ status, json }) => {
      if (status !== 200) return refusedOrUnknown(json, APPROVAL_REFUSALS);
      const problem = this.differs(order, json) ?? (json.paymentKey === paymentKey ? null : 'MISMATCH');
      if (problem) return unknown(problem);
      // Not an error and not money: whatever it is, `find` knows it.
      if (json.status !== 'DONE') return unknown('UNLISTED');
      return done({ outcome: 'DONE', captured: { reference: paymentKey, amountMinor: order.amountMinor, currency: order.currency } });
    });
  }

  /** By our id, so that it also finds what a lost answer to `prepare` has made. */
  find(order: PaymentOrder): Promise<Found> {
    const path = `/v1/payments/orders/${encodeURIComponent(order.paymentId)}`;
    return this.call<Found>({ operation: 'FIND', order, method: 'GET', path, headers: {} }, ({ status, json }) => {
      if (status === 404 && json.code === 'NOT_FOUND_PAYMENT') return none(json.code);
      if (status !== 200) return unknown('UNLISTED');
      const problem = this.differs(order, json);
      return problem ? unknown(problem) : foundOf(order, json);
    });
  }

  /** A refusal is believed only when the payment shows that nothing more went back; when it shows that this much did, the refund is done. */
  async refund(order: PaymentOrder, refund: RefundOrder): Promise<Refunded> {
    assert(order.reference, `Payment ${order.paymentId} is refunded and has no payment key.`);
    const path = `/v1/payments/${encodeURIComponent(order.reference)}/cancel`;
    const body = { cancelReason: refund.reason, cancelAmount: refund.amountMinor };
    const answer = await this.post<Refunded>('REFUND', order, path, body, refund.refundId, ({ status, json }) => {
      if (status !== 200) return refusedOrUnknown(json, REFUND_REFUSALS);
      const problem = this.differs(order, json) ?? (json.paymentKey === order.reference ? null : 'MISMATCH');
      if (problem) return unknown(problem);
      if (json.status !== 'CANCELED' && json.status !== 'PARTIAL_CANCELED') return unknown('MISMATCH');
      const leftMinor = refund.capturedMinor - refund.refundedMinor - refund.amountMinor;
      return wholeOf(json.balanceAmount) === leftMinor ? done({ outcome: 'DONE' }) : unknown('MISMATCH');
    });
    return answer.outcome === 'REFUSED' ? this.proven(order, refund, answer) : answer;
  }

  /**
   * Events about payments and deposits ring. Unsigned: the merchant's id and the moment it was sent keep out nothing but mistakes and old copies. The event of a
   * deposit has neither the merchant's id nor, in the vendor's samples, a header of its own.
   */
  async readWebhook({ headers, rawBody, now }: WebhookRequest): Promise<ReadWebhook> {
    const event = eventOf(rawBody);
    if (event === null) return forged('not JSON');
    const sentAt = headers['tosspayments-webhook-transmission-time'];
    if (sentAt !== undefined && !isFresh(sentAt, now)) return forged('outside the replay window');
    if (event.eventType === undefined) return depositRing(event);
    if (event.eventType !== 'PAYMENT_STATUS_CHANGED') return { outcome: 'IGNORED', reason: 'another kind of event' };
    const eventId = textOf(headers['tosspayments-webhook-transmission-id'], TRANSMISSION_ID_LENGTH_MAX);
    if (eventId === null || sentAt === undefined) return forged('no transmission id or time');
    const { mId, orderId, status } = objectOf(event.data);
    if (mId !== this.settings.merchantId) return forged('another merchant');
    return ring(eventId, orderId, status === 'DONE');
  }

  /** Only 200 counts as received; anything else brings it again for almost four days. */
  webhookReply(how: 'TAKEN' | 'LATER' | 'REFUSED'): WebhookReply {
    const contentType = 'text/plain; charset=utf-8';
    switch (how) {
      case 'TAKEN':
        return { status: 200, contentType, body: 'OK' };
      case 'LATER':
        return { status: 503, contentType, body: 'LATER' };
      case 'REFUSED':
        return { status: 401, contentType, body: 'REFUSED' };
      default:
        return how satisfies never;
    }
  }

  private async proven(order: PaymentOrder, refund: RefundOrder, refusal: Refused): Promise<Refunded> {
    const found = await this.find(order);
    if (found.outcome === 'UNKNOWN') return found;
    if (found.outcome !== 'CAPTURED') return { outcome: 'UNKNOWN', reason: 'MISMATCH' };
    return found.refundedMinor >= refund.refundedMinor + refund.amountMinor ? { outcome: 'DONE' } : refusal;
  }

  private post<Result>(
    operation: Operation,
    order: PaymentOrder,
    path: string,
    body: Fields,
    idempotencyKey: string,
    classify: (answer: ProviderAnswer) => Classified<Result | Unknown>,
  ): Promise<Result | Unknown> {
    const headers = { 'content-type': 'application/json', 'idempotency-key': idempotencyKey };
    return this.call<Result>({ operation, order, method: 'POST', path, headers, body: JSON.stringify(body), recordedBody: body }, classify);
  }

  private call<Result>(
    request: Parameters<ProviderHttp['call']>[0],
    classify: (answer: ProviderAnswer) => Classified<Result | Unknown>,
  ): Promise<Result | Unknown> {
    const authorization = `Basic ${Buffer.from(`${this.settings.secretKey}:`).toString('base64')}`;
    return this.http.call<Result | Unknown>({ ...request, headers: { ...request.headers, authorization } }, (answer) =>
      // Whatever the code: with 500 the vendor says that it does not know itself.
      answer.status >= 500 ? unknown('SERVER_ERROR') : classify(answer),
    );
  }

  /** Whether a Payment object is about something else than was asked. */
  private differs(order: PaymentOrder, json: Fields): UnknownReason | null {
    const totalMinor = wholeOf(json.totalAmount);
    if (paymentKeyOf(json) === null || typeof json.orderId !== 'string' || totalMinor === null) return 'GARBAGE';
    const isOurs =
      json.mId === this.settings.merchantId &&
      json.orderId === order.paymentId &&
      totalMinor === order.amountMinor &&
      json.currency === order.currency;
    return isOurs ? null : 'MISMATCH';
  }
}

function foundOf(order: PaymentOrder, json: Fields): Classified<Found> | Classified<Unknown> {
  const status = String(json.status);
  const paymentKey = String(json.paymentKey);
  switch (status) {
    case 'READY':
    case 'WAITING_FOR_DEPOSIT':
      return done({ outcome: 'WAITING' });
    case 'IN_PROGRESS':
      return done({ outcome: 'AUTHORIZED', authorization: { paymentKey } });
    case 'ABORTED':
    case 'EXPIRED':
      return none(textOf(objectOf(json.failure).code, CODE_LENGTH_MAX) ?? status);
    case 'DONE':
    case 'PARTIAL_CANCELED':
    case 'CANCELED': {
      const leftMinor = wholeOf(json.balanceAmount);
      if (leftMinor === null) return unknown('GARBAGE');
      const refundedMinor = order.amountMinor - leftMinor;
      // The status and the amounts say the same thing twice.
      const isConsistent =
        refundedMinor >= 0 && (status === 'DONE') === (refundedMinor === 0) && (status === 'CANCELED') === (leftMinor === 0);
      if (!isConsistent) return unknown('MISMATCH');
      const captured = { reference: paymentKey, amountMinor: order.amountMinor, currency: order.currency };
      return done({ outcome: 'CAPTURED', captured, refundedMinor });
    }
    default:
      return unknown('UNLISTED');
  }
}

function refusedOrUnknown(json: Fields, refusals: ReadonlySet<string>): Classified<Refused | Unknown> {
  const code = codeOf(json);
  return code !== null && refusals.has(code) ? refused(code) : unknown('UNLISTED');
}

function eventOf(rawBody: Buffer): Fields | null {
  try {
    const event: unknown = JSON.parse(rawBody.toString('utf8'));
    return typeof event === 'object' && event !== null && !Array.isArray(event) ? (event as Fields) : null;
  } catch {
    return null;
  }
}

/** `DEPOSIT_CALLBACK` has no type and no id: every copy of it has the same fields. */
function depositRing({ createdAt, secret, status, transactionKey, orderId }: Fields): ReadWebhook {
  if (![createdAt, secret, status, transactionKey].every((field) => textOf(field, DEPOSIT_FIELD_LENGTH_MAX) !== null))
    return forged('neither event');
  const event = JSON.stringify([createdAt, status, transactionKey, orderId]);
  return ring(createHash('sha256').update(event).digest('hex'), orderId, false);
}

function ring(eventId: string, orderId: unknown, saysCaptured: boolean): ReadWebhook {
  if (!isUuid(orderId)) return { outcome: 'IGNORED', reason: 'not an order of ours' };
  return { outcome: 'DOORBELL', eventId, paymentId: orderId, saysCaptured };
}

function isFresh(sentAt: string, now: Date): boolean {
  const [, moment, zone = KOREA] = MOMENT.exec(sentAt) ?? [];
  const ageMs = moment === undefined ? Number.NaN : now.getTime() - Date.parse(`${moment}${zone}`);
  return ageMs <= AGE_MS_MAX && ageMs >= -CLOCK_DIFFERENCE_MS_MAX;
}

const none = (code: string): Classified<Found> => ({ ...done<Found>({ outcome: 'NONE', code }), code });
const forged = (reason: string) => ({ outcome: 'FORGED', reason }) as const;
const codeOf = (json: Fields): string | null => textOf(json.code, CODE_LENGTH_MAX);
const paymentKeyOf = (json: Fields): string | null => textOf(json.paymentKey, PAYMENT_KEY_LENGTH_MAX);

/** Said to be the vendor's advice. */
const ANSWER_TIMEOUT_MS = 60_000;

const PAYMENT_KEY_LENGTH_MAX = 200;
const TRANSMISSION_ID_LENGTH_MAX = 200;
const DEPOSIT_FIELD_LENGTH_MAX = 200;
const CODE_LENGTH_MAX = 100;
const MOMENT = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?)(Z|[+-]\d\d:\d\d)?$/;
/** Some of the vendor's moments have no zone. */
const KOREA = '+09:00';
/** The last of seven tries comes after 3 days and 19 hours, should the time be that of the first; and a margin. */
const AGE_MS_MAX = 4 * 24 * 3_600_000;
const CLOCK_DIFFERENCE_MS_MAX = 5 * 60_000;

/*
 * The outcome tables. What is not here is unknown, among it: PROVIDER_ERROR and CARD_PROCESSING_ERROR (400), ALREADY_PROCESSED_PAYMENT (400, it may be our
 * own first try), DUPLICATED_ORDER_ID, IDEMPOTENT_REQUEST_PROCESSING (409), FORBIDDEN_CONSECUTIVE_REQUEST (403), and everything with 500.
 */

/** They ask us to wait or to look. */
const UNDECIDED: ReadonlySet<string> = new Set([
  ...['PROVIDER_ERROR', 'CARD_PROCESSING_ERROR', 'ALREADY_PROCESSED_PAYMENT', 'DUPLICATED_ORDER_ID'],
  ...['IDEMPOTENT_REQUEST_PROCESSING', 'FORBIDDEN_CONSECUTIVE_REQUEST'],
]);

/** Our own fault: nothing was carried out. */
const OUR_FAULTS = [
  'INVALID_REQUEST',
  'INVALID_API_KEY',
  'UNAUTHORIZED_KEY',
  'FORBIDDEN_REQUEST',
  'INCORRECT_BASIC_AUTH_FORMAT',
  'INVALID_IDEMPOTENCY_KEY',
];

const APPROVAL_REFUSALS: ReadonlySet<string> = new Set([
  ...OUR_FAULTS,
  // The card company, the bank, or the vendor's detection of fraud said no.
  ...[
    'REJECT_CARD_COMPANY',
    'REJECT_CARD_PAYMENT',
    'REJECT_ACCOUNT_PAYMENT',
    'REJECT_TOSSPAY_INVALID_ACCOUNT',
    'FDS_ERROR',
    'RESTRICTED_TRANSFER_ACCOUNT',
  ],
  ...['INVALID_REJECT_CARD', 'INVALID_CARD_EXPIRATION', 'INVALID_STOPPED_CARD', 'INVALID_CARD_LOST_OR_STOLEN', 'INVALID_CARD_NUMBER'],
  ...['INVALID_AUTHORIZE_AUTH', 'INVALID_PASSWORD', 'INVALID_ACCOUNT_INFO_RE_REGISTER', 'NOT_AVAILABLE_BANK'],
  // Instalments and points.
  ...['INVALID_CARD_INSTALLMENT_PLAN', 'EXCEED_MAX_CARD_INSTALLMENT_PLAN', 'NOT_SUPPORTED_INSTALLMENT_PLAN_CARD_OR_MERCHANT'],
  ...['NOT_SUPPORTED_MONTHLY_INSTALLMENT_PLAN', 'NOT_ALLOWED_POINT_USE'],
  // Limits.
  ...[
    'BELOW_MINIMUM_AMOUNT',
    'EXCEED_MAX_AMOUNT',
    'EXCEED_MAX_PAYMENT_AMOUNT',
    'EXCEED_MAX_MONTHLY_PAYMENT_AMOUNT',
    'EXCEED_MAX_AUTH_COUNT',
  ],
  ...[
    'EXCEED_MAX_DAILY_PAYMENT_COUNT',
    'EXCEED_MAX_ONE_DAY_AMOUNT',
    'EXCEED_MAX_ONE_DAY_WITHDRAW_AMOUNT',
    'EXCEED_MAX_ONE_TIME_WITHDRAW_AMOUNT',
  ],
  // The merchant's contract.
  ...['NOT_FOUND_TERMINAL_ID', 'INVALID_UNREGISTERED_SUBMALL', 'NOT_REGISTERED_BUSINESS', 'NOT_AVAILABLE_PAYMENT', 'UNAPPROVED_ORDER_ID'],
  // No such payment, or its ten minutes are over.
  ...['NOT_FOUND_PAYMENT', 'NOT_FOUND_PAYMENT_SESSION'],
]);

/** Without our own faults: when our key is right again, the customer shall have the money. Each is believed only after the payment was read. */
const REFUND_REFUSALS: ReadonlySet<string> = new Set([
  ...[
    'ALREADY_CANCELED_PAYMENT',
    'ALREADY_REFUND_PAYMENT',
    'NOT_CANCELABLE_AMOUNT',
    'NOT_CANCELABLE_PAYMENT',
    'NOT_CANCELABLE_PAYMENT_FOR_DORMANT_USER',
  ],
  ...['NOT_MATCHES_REFUNDABLE_AMOUNT', 'EXCEED_CANCEL_AMOUNT_DISCOUNT_AMOUNT', 'EXCEED_MAX_REFUND_DUE', 'REFUND_REJECTED'],
  ...['NOT_ALLOWED_PARTIAL_REFUND', 'NOT_ALLOWED_PARTIAL_REFUND_WAITING_DEPOSIT', 'NOT_FOUND_PAYMENT'],
]);
