import assert from 'node:assert/strict';
import type { Operation, RecordExchange } from '../exchange.ts';
import type {
  Approved,
  Authorization,
  Found,
  PaymentOrder,
  PaymentProvider,
  Prepared,
  ReadReturn,
  Refunded,
  RefundOrder,
  Refused,
  ReturnRequest,
  Unknown,
  UnknownReason,
} from '../payment-provider.ts';
import { done, type Fields, objectOf, refused, textOf, unknown, webAddressOf, wholeOf } from './classified.ts';
import type { ProviderSettings, ProviderTimeouts } from './index.ts';
import { type Classified, type ProviderAnswer, ProviderHttp } from './provider-http.ts';

type Settings = NonNullable<ProviderSettings['KAKAOPAY']>;

/**
 * KakaoPay Online v1, single payments in won. `ready` and `approve` are verified from the vendor's pages; `cancel`, `order` and the numbers of the error codes
 * are corroborated by several integrations. Unverified: how long a tid and a pg_token live, and what a second approval is answered.
 *
 * There is no idempotency key and no webhook. An approval or a cancellation without an answer is settled by asking for the order by its tid, and each partial
 * refund names what can be cancelled before it, so that a second one is refused.
 */
export class KakaoPay implements PaymentProvider {
  readonly name = 'KAKAOPAY';
  readonly capabilities = {
    idempotencyKey: false,
    statusQuery: true,
    webhook: 'NONE',
    partialRefundGuard: true,
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

  /** Each repetition makes another tid. Since it moves no money, any error code that KakaoPay gives it is a refusal. */
  async prepare(order: PaymentOrder): Promise<Prepared> {
    if (order.currency !== 'KRW') return { outcome: 'REFUSED', code: 'CURRENCY_NOT_SUPPORTED' };
    const body = {
      partner_order_id: order.paymentId,
      partner_user_id: order.customerRef,
      item_name: order.title,
      quantity: 1,
      total_amount: order.amountMinor,
      tax_free_amount: 0,
      approval_url: order.returnUrls.paid,
      cancel_url: order.returnUrls.cancelled,
      fail_url: order.returnUrls.failed,
    };
    return this.post<Prepared>('PREPARE', order, 'ready', body, ({ status, json }) => {
      if (status !== 200) return errorCodeOf(json) === null || status === 429 ? unknown('UNLISTED') : refused(codeOf(json));
      const reference = textOf(json.tid, TID_LENGTH_MAX);
      const url = webAddressOf(json.next_redirect_pc_url);
      if (reference === null || url === null) return unknown('GARBAGE');
      return done({ outcome: 'DONE', reference, checkout: { url, method: 'GET', fields: {} } });
    });
  }

  /** A return to the cancel or fail address proves nothing, because anybody can go there: the vendor's guide has us ask for the order. */
  readReturn(_order: PaymentOrder, { kind, query }: ReturnRequest): ReadReturn {
    if (kind !== 'paid') return { outcome: 'ASK' };
    const pgToken = textOf(query.pg_token, PG_TOKEN_LENGTH_MAX);
    return pgToken === null ? { outcome: 'FORGED', reason: 'no pg_token' } : { outcome: 'AUTHORIZED', authorization: { pgToken } };
  }

  /** 401 and 403 say that our key is wrong: nothing was carried out, and nobody can pay this way until it is right, so they are refusals. */
  approve(order: PaymentOrder, { pgToken }: Authorization): Promise<Approved> {
    const tid = tidOf(order);
    assert(pgToken, 'An authorization of KakaoPay has a pgToken.');
    const body = {
      tid,
      partner_order_id: order.paymentId,
      partner_user_id: order.customerRef,
      pg_token: pgToken,
      total_amount: order.amountMinor,
    };
    return this.post<Approved>('APPROVE', order, 'approve', body, ({ status, json }) => {
      if (status !== 200) return refusedApproval(status, json);
      const problem = this.differs(order, json) ?? amountProblem(json.amount, order.amountMinor);
      if (problem) return unknown(problem);
      return done({ outcome: 'DONE', captured: { reference: tid, amountMinor: order.amountMinor, currency: 'KRW' } });
    });
  }

  async find(order: PaymentOrder): Promise<Found> {
    if (order.reference === null) return { outcome: 'NONE', code: 'NOT_PREPARED' };
    return this.post<Found>('FIND', order, 'order', { tid: order.reference }, ({ status, json }) => {
      const code = errorCodeOf(json);
      if (status === 400 && code === UNKNOWN_TID) return { ...done<Found>({ outcome: 'NONE', code: String(code) }), code: String(code) };
      if (status !== 200) return unknown('UNLISTED');
      const problem = this.differs(order, json) ?? amountProblem(json.amount, order.amountMinor);
      return problem ? unknown(problem) : foundOf(order, json);
    });
  }

  /**
   * Names what can be cancelled before it, the cancelled part included. A refusal is believed only when the order shows that nothing more went back; when it
   * shows that this much did, an earlier try had its effect and the refund is done.
   */
  async refund(order: PaymentOrder, refund: RefundOrder): Promise<Refunded> {
    const leftMinor = refund.capturedMinor - refund.refundedMinor;
    const body = {
      tid: tidOf(order),
      cancel_amount: refund.amountMinor,
      cancel_tax_free_amount: 0,
      cancel_available_amount: leftMinor,
    };
    const answer = await this.post<Refunded>('REFUND', order, 'cancel', body, ({ status, json }) => {
      if (status !== 200) return refusedRefund(status, json);
      if (json.status !== 'CANCEL_PAYMENT' && json.status !== 'PART_CANCEL_PAYMENT') return unknown('MISMATCH');
      const problem =
        this.differs(order, json) ??
        amountProblem(json.approved_cancel_amount, refund.amountMinor) ??
        amountProblem(json.cancel_available_amount, leftMinor - refund.amountMinor);
      return problem ? unknown(problem) : done({ outcome: 'DONE' });
    });
    return answer.outcome === 'REFUSED' ? this.proven(order, refund, answer) : answer;
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
    name: 'ready' | 'approve' | 'order' | 'cancel',
    fields: Fields,
    classify: (answer: ProviderAnswer) => Classified<Result | Unknown>,
  ): Promise<Result | Unknown> {
    const body = { cid: this.settings.cid, ...fields };
    return this.http.call<Result | Unknown>(
      {
        operation,
        order,
        method: 'POST',
        path: `/online/v1/payment/${name}`,
        headers: { authorization: `SECRET_KEY ${this.settings.secretKey}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
        recordedBody: body,
      },
      (answer) => (answer.status >= 500 ? unknown('SERVER_ERROR') : classify(answer)),
    );
  }

  /** Whether a well-formed answer is about something else than was asked. */
  private differs(order: PaymentOrder, json: Fields): UnknownReason | null {
    if (typeof json.tid !== 'string' || typeof json.partner_order_id !== 'string') return 'GARBAGE';
    const isOurs =
      json.tid === order.reference &&
      json.cid === this.settings.cid &&
      json.partner_order_id === order.paymentId &&
      json.partner_user_id === order.customerRef;
    return isOurs ? null : 'MISMATCH';
  }
}

function foundOf(order: PaymentOrder, json: Fields): Classified<Found> | Classified<Unknown> {
  const status = String(json.status);
  if (ENDED.has(status)) return { ...done<Found>({ outcome: 'NONE', code: status }), code: status };
  if (WAITING.has(status)) return done({ outcome: 'WAITING' });
  if (!CAPTURED.has(status)) return unknown('UNLISTED');
  const refundedMinor = json.canceled_amount == null && status === 'SUCCESS_PAYMENT' ? 0 : totalOf(json.canceled_amount);
  if (refundedMinor === null) return unknown('GARBAGE');
  // The three statuses and the three amounts say the same thing twice.
  const isConsistent =
    refundedMinor <= order.amountMinor &&
    (status === 'SUCCESS_PAYMENT') === (refundedMinor === 0) &&
    (status === 'CANCEL_PAYMENT') === (refundedMinor === order.amountMinor) &&
    (json.cancel_available_amount == null || totalOf(json.cancel_available_amount) === order.amountMinor - refundedMinor);
  if (!isConsistent) return unknown('MISMATCH');
  const captured = { reference: tidOf(order), amountMinor: order.amountMinor, currency: 'KRW' };
  return done({ outcome: 'CAPTURED', captured, refundedMinor });
}

function refusedApproval(status: number, json: Fields): Classified<Refused | Unknown> {
  const code = errorCodeOf(json);
  if (status === 401 || status === 403) return refused(code === null ? `HTTP_${status}` : codeOf(json));
  if (status !== 400 || code === null) return unknown('UNLISTED');
  if (code === APPROVAL_FAILED) return isDefinite(methodCodeOf(json)) ? refused(codeOf(json)) : unknown('UNLISTED');
  return APPROVAL_REFUSALS.has(code) ? refused(codeOf(json)) : unknown('UNLISTED');
}

/** A wrong key of ours leaves a refund open, unlike an approval: the customer shall have the money when the key is right again. */
function refusedRefund(status: number, json: Fields): Classified<Refused | Unknown> {
  const code = errorCodeOf(json);
  if (status !== 400 || code === null || !REFUND_REFUSALS.has(code)) return unknown('UNLISTED');
  return methodCodeOf(json) === null || isDefinite(methodCodeOf(json)) ? refused(codeOf(json)) : unknown('UNLISTED');
}

/** Some codes of a bank or card company say that it does not know itself, such as `BANK_FIRM_UNKNOWN`. */
const isDefinite = (methodCode: string | null): boolean => methodCode !== null && !/UNKNOWN|TIME_?OUT|PROCESSING|PENDING/i.test(methodCode);

const errorCodeOf = (json: Fields): number | null =>
  typeof json.error_code === 'number' && Number.isSafeInteger(json.error_code) ? json.error_code : null;

const methodCodeOf = (json: Fields): string | null => textOf(objectOf(json.extras).method_result_code, METHOD_CODE_LENGTH_MAX);

/** What the payment method said, else KakaoPay's own number. */
const codeOf = (json: Fields): string => methodCodeOf(json) ?? String(errorCodeOf(json));

const totalOf = (amount: unknown): number | null => wholeOf(objectOf(amount).total);

function amountProblem(amount: unknown, expectedMinor: number): UnknownReason | null {
  const totalMinor = totalOf(amount);
  if (totalMinor === null) return 'GARBAGE';
  return totalMinor === expectedMinor ? null : 'MISMATCH';
}

function tidOf({ paymentId, reference }: PaymentOrder): string {
  assert(reference, `Payment ${paymentId} was not prepared at KakaoPay: it has no tid.`);
  return reference;
}

/** The vendor says nothing of it. Twice what a slow bank takes. */
const ANSWER_TIMEOUT_MS = 30_000;

const TID_LENGTH_MAX = 20;
/** Those seen have 20 characters; the vendor promises nothing. */
const PG_TOKEN_LENGTH_MAX = 200;
const METHOD_CODE_LENGTH_MAX = 100;

const CAPTURED: ReadonlySet<string> = new Set(['SUCCESS_PAYMENT', 'PART_CANCEL_PAYMENT', 'CANCEL_PAYMENT']);
const ENDED: ReadonlySet<string> = new Set(['QUIT_PAYMENT', 'FAIL_PAYMENT']);
/** Whoever mistyped the password may try again, so FAIL_AUTH_PASSWORD is no end. ISSUED_SID is of subscriptions, which we have none of. */
const WAITING: ReadonlySet<string> = new Set([
  ...['READY', 'SEND_TMS', 'OPEN_PAYMENT', 'SELECT_METHOD', 'ARS_WAITING', 'AUTH_PASSWORD', 'ISSUED_SID', 'FAIL_AUTH_PASSWORD'],
]);

/*
 * Error codes, corroborated by the lists that several integrations copied from the vendor's older pages. Not in these lists, so unknown and asked about:
 * -702 (the tid is paid already), -785 (the same request is being worked on), and whatever is new.
 */
const UNKNOWN_TID = -721;
const APPROVAL_FAILED = -780;
const APPROVAL_REFUSALS: ReadonlySet<number> = new Set([
  -2, // An invalid parameter.
  -701, // The customer has not agreed.
  ...[-703, -704, -705, -706, -707, -708], // An amount, the method, the order, the user or the pg_token is not that of the preparation.
  ...[UNKNOWN_TID, -722, -723, -724, -725, -726], // No such tid; the amount; too late; the order.
  ...[-730, -731, -732, -733], // The merchant.
]);
const REFUND_REFUSALS: ReadonlySet<number> = new Set([
  -2,
  ...[-710, -711], // More than can be cancelled, more than was paid.
  ...[UNKNOWN_TID, -722, -726], // No such tid; the amounts, among them what can be cancelled; the order.
  ...[-730, -731, -732, -733],
  -781, // The payment method refused the cancellation.
]);
