import assert from 'node:assert/strict';
import { createHash, timingSafeEqual } from 'node:crypto';
import { isUuid } from '../../../platform/uuid.ts';
import type { RecordExchange } from '../exchange.ts';
import type {
  Approved,
  Authorization,
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
  Voided,
  WebhookReply,
  WebhookRequest,
} from '../payment-provider.ts';
import { done, refused, unknown } from './classified.ts';
import type { ProviderSettings, ProviderTimeouts } from './index.ts';
import { type Classified, type ProviderAnswer, ProviderHttp } from './provider-http.ts';

type Settings = NonNullable<ProviderSettings['KISPG']>;

/**
 * KISPG v2, card payments in won. Simulated contract, unverified: the forms, paths and the hash follow the vendor's samples and several integrations, the
 * rest nobody could be asked about. Each place that rests on less than the samples says so.
 *
 * What makes it different from the others: nothing can be asked. An approval without an answer is voided (`void`), and a PARTIAL refund without an answer
 * stays unknown for ever: neither a query nor a guard tells a second one from the first, so the caller must not repeat it and a person looks in the
 * vendor's console. Only a partial refund that was `NOT_SENT`, and a refund of everything (the second is answered "cancelled already"), may be repeated.
 *
 * The vendor's hash covers merchant, date, amount and nothing else. It proves neither the order nor the tid, so an answer is compared with what was asked,
 * and a notification is a doorbell. It has no separators either: date and amount are taken only in their exact formats, so that no digit can move from one
 * to the other.
 */
export class Kispg implements PaymentProvider {
  readonly name = 'KISPG';
  readonly capabilities = {
    idempotencyKey: false,
    statusQuery: false,
    webhook: 'UNSIGNED',
    partialRefundGuard: false,
    capturesByItself: false,
  } as const;
  private readonly http: ProviderHttp;

  constructor(
    private readonly settings: Settings,
    timeouts: ProviderTimeouts,
    record: RecordExchange,
    private readonly now: () => Date = () => new Date(),
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

  /** Calls nobody: the order reaches the vendor with the customer's browser. Says nothing about the person. */
  async prepare(order: PaymentOrder): Promise<Prepared> {
    if (order.currency !== 'KRW') return { outcome: 'REFUSED', code: 'CURRENCY_NOT_SUPPORTED' };
    const fields = {
      payMethod: PAY_METHOD,
      trxCd: '0',
      ...this.signed('goodsAmt', order.amountMinor),
      goodsNm: cutToBytes(order.title, GOODS_NAME_BYTES_MAX),
      ordNo: order.paymentId,
      ...NOBODY,
      returnUrl: order.returnUrls.paid,
      model: 'WEB',
      charset: 'utf-8',
      currencyType: 'KRW',
      mbsReserved: '',
    };
    return { outcome: 'DONE', reference: null, checkout: { url: `${this.settings.baseUrl}/v2/auth`, method: 'POST', fields } };
  }

  /**
   * What the customer's browser posted: the customer agreed (money moves only by `approve`) or did not. A refusal is believed when it names our order,
   * because there is nobody to ask and nothing was taken; the vendor is not known to hash it.
   */
  readReturn(order: PaymentOrder, { body }: ReturnRequest): ReadReturn {
    const { resultCd = '', tid = '', ordNo, amt, mid } = body;
    if (!RESULT_CODE.test(resultCd)) return forged('no resultCd');
    if (ordNo !== order.paymentId) return forged('another order');
    if (mid !== undefined && mid !== this.settings.merchantId) return forged('another merchant');
    if (resultCd !== SUCCESS) return { outcome: 'DECLINED', code: resultCd };
    if (amt !== String(order.amountMinor)) return forged('another amount');
    if (!this.isHashed(body)) return forged('wrong encData');
    if (!TID.test(tid)) return forged('no tid');
    return { outcome: 'AUTHORIZED', authorization: { tid } };
  }

  /** Success is resultCd 0000 for this tid and amount, and nothing else: a tid in the answer says only that the vendor knows it. */
  approve(order: PaymentOrder, authorization: Authorization): Promise<Approved> {
    const tid = tidOf(authorization);
    const body = { tid, ...this.signed('goodsAmt', order.amountMinor), charset: 'utf-8' };
    return this.post<Approved>('APPROVE', order, '/v2/payment', body, ({ json }) => {
      if (json.resultCd !== SUCCESS) return refusedOrUnknown(json, APPROVAL_REFUSALS);
      const problem = this.differs(json, order, tid) ?? amountProblem(json, [order.amountMinor]);
      if (problem) return unknown(problem);
      return done({ outcome: 'DONE', captured: { reference: tid, amountMinor: order.amountMinor, currency: order.currency } });
    });
  }

  /**
   * Cancels the whole amount by its tid. That the vendor answers 2012 for a tid that was never approved, and then never approves it any more, is a simulated
   * contract, unverified. A notification about the order makes the caller void again.
   */
  void(order: PaymentOrder, authorization: Authorization): Promise<Voided> {
    const tid = tidOf(authorization);
    const body = this.cancellation(tid, order.amountMinor, false, VOID_MESSAGE[order.locale]);
    return this.post<Voided>('VOID', order, CANCEL_PATH, body, ({ json }) => {
      const code = json.resultCd;
      if (isOneOf(CANCELLED, code)) {
        const problem = this.differs(json, order, tid);
        return problem ? unknown(problem) : done({ outcome: 'VOIDED' });
      }
      if (isOneOf(CANCELLED_ALREADY, code)) return done({ outcome: 'VOIDED' });
      if (code === NO_SUCH_TRANSACTION) return done({ outcome: 'NONE' });
      return unknown(isResultCode(code) ? 'UNLISTED' : 'GARBAGE');
    });
  }

  /** Without an answer, a partial refund must not be repeated: see the class. */
  refund(order: PaymentOrder, refund: RefundOrder): Promise<Refunded> {
    assert(order.reference, `Payment ${order.paymentId} is refunded and has no tid.`);
    const tid = order.reference;
    const isWhole = refund.amountMinor === refund.capturedMinor;
    const takesTheRest = refund.refundedMinor + refund.amountMinor === refund.capturedMinor;
    const body = this.cancellation(tid, refund.amountMinor, !isWhole, refund.reason);
    return this.post<Refunded>('REFUND', order, CANCEL_PATH, body, ({ json }) => {
      if (isOneOf(CANCELLED, json.resultCd)) {
        // Whether amt is what went back or what was paid is unverified: either is accepted, anything else is not.
        const problem =
          this.differs(json, order, tid) ?? (json.amt == null ? null : amountProblem(json, [refund.amountMinor, refund.capturedMinor]));
        return problem ? unknown(problem) : done({ outcome: 'DONE' });
      }
      // All of the payment has gone back, so this refund has, if it was the last of it; else somebody refunded in the vendor's console.
      if (isOneOf(CANCELLED_ALREADY, json.resultCd)) return takesTheRest ? done({ outcome: 'DONE' }) : unknown('MISMATCH');
      return refusedOrUnknown(json, REFUND_REFUSALS);
    });
  }

  /**
   * The result notification, a form or JSON. Simulated contract, unverified: the fields are those of integrations and of a sister platform. Whoever saw one
   * hash can replay it with another order, so it is a doorbell only.
   */
  async readWebhook({ rawBody }: WebhookRequest): Promise<ReadWebhook> {
    const fields = fieldsOf(rawBody);
    if (!fields) return forged('neither a form nor JSON');
    if (fields.mid !== this.settings.merchantId) return forged('another merchant');
    if (!this.isHashed(fields)) return forged('wrong encData');
    const { tid = '', cancelYN = '', amt = '' } = fields;
    if (!TID.test(tid)) return forged('no tid');
    const orderNumber = fields.moid ?? fields.ordNo ?? '';
    const resultCode = fields.resultCode ?? fields.resultCd ?? '';
    if (!isUuid(orderNumber)) return { outcome: 'IGNORED', reason: 'not an order of ours' };
    const event = JSON.stringify([tid, resultCode, cancelYN, amt, orderNumber]);
    return { outcome: 'DOORBELL', eventId: createHash('sha256').update(event).digest('hex'), paymentId: orderNumber, saysCaptured: false };
  }

  /** `OK` ends it. Simulated contract, unverified: that anything else makes the vendor send it again. */
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

  private post<Result>(
    operation: 'APPROVE' | 'VOID' | 'REFUND',
    order: PaymentOrder,
    path: string,
    body: Record<string, string>,
    classify: (answer: ProviderAnswer) => Classified<Result | Unknown>,
  ): Promise<Result | Unknown> {
    const request = {
      operation,
      order,
      method: 'POST',
      path,
      headers: { 'content-type': 'application/json; charset=utf-8' },
      body: JSON.stringify(body),
    } as const;
    return this.http.call<Result | Unknown>(request, (answer) => {
      if (answer.status >= 500) return unknown('SERVER_ERROR');
      // The vendor says everything with 200 and resultCd; another status comes from something in between.
      return answer.status === 200 ? classify(answer) : unknown('UNLISTED');
    });
  }

  private cancellation(tid: string, amountMinor: number, isPartial: boolean, message: string): Record<string, string> {
    return {
      payMethod: PAY_METHOD,
      tid,
      ...this.signed('canAmt', amountMinor),
      canId: 'lastseat',
      canNm: 'lastseat',
      canMsg: cutToBytes(message, CANCEL_MESSAGE_BYTES_MAX),
      partCanFlg: isPartial ? '1' : '0',
      charset: 'utf-8',
    };
  }

  private signed(amountName: 'goodsAmt' | 'canAmt', amountMinor: number): Record<string, string> {
    const ediDate = ediDateOf(this.now());
    const amount = String(amountMinor);
    return { mid: this.settings.merchantId, [amountName]: amount, ediDate, encData: this.hashOf(ediDate, amount) };
  }

  private isHashed(fields: Readonly<Record<string, string | undefined>>): boolean {
    const { ediDate = '', amt = '', encData = '' } = fields;
    if (!EDI_DATE.test(ediDate) || !AMOUNT.test(amt) || !HASH.test(encData)) return false;
    return timingSafeEqual(Buffer.from(encData.toLowerCase()), Buffer.from(this.hashOf(ediDate, amt)));
  }

  /** The merchant's key goes in as its base64 text. */
  private hashOf(ediDate: string, amount: string): string {
    const { merchantId, merchantKey } = this.settings;
    return createHash('sha256').update(`${merchantId}${ediDate}${amount}${merchantKey}`).digest('hex');
  }

  /** Whether a success is about something else than was asked. Fields the vendor may leave out count when they are there. */
  private differs(json: Record<string, unknown>, { paymentId }: PaymentOrder, tid: string): UnknownReason | null {
    if (typeof json.tid !== 'string') return 'GARBAGE';
    const isOurs =
      json.tid === tid &&
      [paymentId, undefined, null, ''].includes(json.ordNo as string) &&
      [this.settings.merchantId, undefined].includes(json.mid as string);
    return isOurs ? null : 'MISMATCH';
  }
}

function amountProblem({ amt }: Record<string, unknown>, accepted: readonly number[]): UnknownReason | null {
  const text = typeof amt === 'number' ? String(amt) : amt;
  if (typeof text !== 'string' || !AMOUNT.test(text)) return 'GARBAGE';
  return accepted.includes(Number(text)) ? null : 'MISMATCH';
}

function refusedOrUnknown({ resultCd }: Record<string, unknown>, refusals: ReadonlySet<string>): Classified<Refused | Unknown> {
  if (!isResultCode(resultCd)) return unknown('GARBAGE');
  return refusals.has(resultCd) ? refused(resultCd) : unknown('UNLISTED');
}

const forged = (reason: string) => ({ outcome: 'FORGED', reason }) as const;

const isResultCode = (code: unknown): code is string => typeof code === 'string' && RESULT_CODE.test(code);
const isOneOf = (codes: ReadonlySet<string>, code: unknown): boolean => typeof code === 'string' && codes.has(code);

function tidOf({ tid }: Authorization): string {
  assert(tid, 'An authorization of KISPG has a tid.');
  return tid;
}

/** Korea's clock, which has no summer time: yyyyMMddHHmmss. */
function ediDateOf(moment: Date): string {
  return new Date(moment.getTime() + 9 * 3_600_000).toISOString().slice(0, 19).replace(/\D/g, '');
}

/** As many whole characters as fit, because a character cut in half is an error at the vendor. */
function cutToBytes(text: string, bytesMax: number): string {
  let bytes = 0;
  let cut = '';
  for (const character of text) {
    bytes += Buffer.byteLength(character);
    if (bytes > bytesMax) break;
    cut += character;
  }
  return cut;
}

/** Text fields of a form or a JSON object, told apart by the first byte; numbers become their text. Null when it is neither. */
function fieldsOf(rawBody: Buffer): Record<string, string | undefined> | null {
  const text = rawBody.toString('utf8').trim();
  if (!text.startsWith('{')) return text.includes('=') ? Object.fromEntries(new URLSearchParams(text)) : null;
  try {
    const object = JSON.parse(text) as Record<string, unknown>;
    const fields = Object.entries(object).filter(([, value]) => typeof value === 'string' || typeof value === 'number');
    return Object.fromEntries(fields.map(([name, value]) => [name, String(value)]));
  } catch {
    return null;
  }
}

/** The vendor's JSP sample gives up reading after 25 s. */
const ANSWER_TIMEOUT_MS = 25_000;
/** The guide's path by the newest integration; an older sample has /v2/cancelTrans.do. */
const CANCEL_PATH = '/v2/cancel';
const PAY_METHOD = 'card';
/** What a buyer's fields must have in them, about nobody: the name, telephone and address are for the vendor's own notices, which we do not want. */
const NOBODY = { ordNm: 'lastseat', ordTel: '01000000000', ordEmail: 'nobody@example.invalid' };
const VOID_MESSAGE = { en: 'Approval without an answer', ko: '승인 응답 없음' } as const;

// Lengths in the sister platforms' manuals; in UTF-8, the longer of the two encodings the vendor takes.
const GOODS_NAME_BYTES_MAX = 40;
const CANCEL_MESSAGE_BYTES_MAX = 100;

const RESULT_CODE = /^[0-9A-Za-z_]{1,20}$/;
const TID = /^[0-9A-Za-z_-]{1,30}$/;
/** A date of this century, so that fourteen other digits are none. */
const EDI_DATE = /^20\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d[0-5]\d$/;
const AMOUNT = /^[1-9]\d{0,11}$/;
const HASH = /^[0-9a-f]{64}$/i;

const SUCCESS = '0000';

/*
 * Result codes. 0000, 2001 and 2211 are in integrations of this vendor. The others are those of the platform family it belongs to (the same form fields, hash
 * and success codes), whose list is public; that they mean the same here is unverified. Left out are codes that do not say whether money moved, such as
 * 2003 ("cancellation failed"), 2201 ("approved before") and 9999: an unlisted code is unknown, and the approval is voided.
 */
const APPROVAL_REFUSALS: ReadonlySet<string> = new Set([
  ...['3011', '3012', '3013', '3014'], // The card's number, or the merchant at the card company.
  ...['3021', '3022', '3023', '3024', '3031', '3032', '3033', '3034', '3041'], // Expiry, instalments, amount.
  ...['3051', '3052', '3053', '3055', '3056', '3057', '3061', '3091'], // The kind of card.
  '3095', // The card company said no.
]);
const CANCELLED: ReadonlySet<string> = new Set([SUCCESS, '2001', '2211']);
const CANCELLED_ALREADY: ReadonlySet<string> = new Set(['2013', '2015']);
const NO_SUCH_TRANSACTION = '2012';
const REFUND_REFUSALS: ReadonlySet<string> = new Set([
  NO_SUCH_TRANSACTION,
  ...['2010', '2011', '2023', '2032'], // The amount.
  ...['2014', '2016', '2017', '2018', '2019'], // Not this transaction, or not any more.
  ...['1534', '2028', '2029', '2030', '2031', '2033'], // Not in parts.
]);
