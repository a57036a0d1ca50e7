import { createHash, randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { localeOf } from '../platform/locale.ts';
import { type Entry, isCaptured, leftMinor, type Paying, refundsOf } from './books.ts';
import { type Answer, bodyOf, json, type Lie } from './calls.ts';
import type { CallName } from './faults.ts';
import { koreanDigits } from './korean-time.ts';
import { paymentPage, problemPage } from './pages.ts';
import { type Protocol, pageOrderOf, type Surroundings, toldOf, type WayBack } from './protocol.ts';
import { amountOf, type Fields, jsonOrFormFields, textOf, webAddressOf } from './request-fields.ts';

/**
 * The `resultCd` of KISPG's answers. `0000` is known. Codes that begin with 2 or 3 are those of the platform family it belongs to, whose list is public: that
 * they mean the same here is UNVERIFIED. Those that begin with 9 were chosen for the simulator and mean nothing elsewhere. UNVERIFIED too: that the
 * cancellation of a tid that was never approved closes it, so that an approval still under way can no longer take money.
 */
export const KISPG_CODES = {
  DONE: '0000',
  /** A field is missing or malformed. */
  INVALID_REQUEST: '9001',
  UNKNOWN_MERCHANT: '9002',
  WRONG_HASH: '9003',
  UNKNOWN_TID: '9101',
  /** The customer has not agreed. */
  NOT_AUTHENTICATED: '9102',
  /** The amount is not the one the customer agreed to. */
  AMOUNT_DIFFERS: '9103',
  /** The order was paid with another tid. */
  ORDER_ALREADY_PAID: '9105',
  /** The tid was given up by a cancellation before it was approved. */
  CLOSED: '9106',
  /** The customer cancelled at the page. */
  CUSTOMER_CANCELLED: '9302',
  /** Something broke; nobody knows what became of the call. */
  BROKEN: '9999',
  ALREADY_APPROVED: '2201',
  CARD_REFUSED: '3095',
  CANCEL_OF_NOTHING: '2010',
  /** A cancellation of everything whose amount is not all that is left. */
  CANCEL_AMOUNT_DIFFERS: '2011',
  /** Cancelling a tid that never took money, or that nobody knows. */
  NEVER_APPROVED: '2012',
  ALREADY_CANCELLED: '2013',
  CANCEL_REFUSED: '2014',
  CANCEL_EXCEEDS_LEFT: '2032',
} as const;

/** KISPG v2. The hash is CORROBORATED, the answers' fields mostly, the notification is UNVERIFIED. There is no way to ask what became of a payment. */
export class Kispg implements Protocol {
  readonly provider = 'KISPG';
  readonly #around: Surroundings;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  serve(server: FastifyInstance): void {
    server.post('/v2/auth', (request, reply) => this.#auth(request, reply));
    const serve = (path: string, call: CallName, act: (fields: Fields, lie: Lie) => Answer) =>
      server.post(path, (request, reply) => {
        const fields = jsonOrFormFields(bodyOf(request));
        return this.#around.answer(request, reply, {
          provider: this.provider,
          call,
          orderId: this.#paying(fields)?.order.orderId ?? null,
          act: (lie) => act(fields, lie),
          refuse: (code) => this.#refused(call, fields, code),
          breakDown: () => problem(KISPG_CODES.BROKEN, 500),
        });
      });
    serve('/v2/payment', 'approve', (fields, lie) => this.#approve(fields, lie));
    serve('/v2/cancel', 'cancel', (fields, lie) => this.#cancel(fields, lie));
    serve('/v2/cancelTrans.do', 'cancel', (fields, lie) => this.#cancel(fields, lie));
  }

  agree(paying: Paying, lie: Lie): WayBack {
    if (paying.attempt.state !== 'AUTHORIZED') this.#around.books.move(paying, 'AUTHORIZED');
    return this.#wayBack(paying, KISPG_CODES.DONE, lie);
  }

  decline(paying: Paying, code: string | undefined): WayBack {
    const resultCd = code ?? KISPG_CODES.CUSTOMER_CANCELLED;
    this.#around.books.move(paying, 'QUIT', resultCd);
    return this.#wayBack(paying, resultCd, null);
  }

  /** The browser's form: begins a payment and shows the page. */
  #auth(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const fields = jsonOrFormFields(bodyOf(request));
    const locale = localeOf(request.headers['accept-language']);
    return this.#around.answer(request, reply, {
      provider: this.provider,
      call: 'prepare',
      orderId: textOf(fields, 'ordNo', 40),
      act: () => {
        const begun = this.#begun(fields);
        return typeof begun === 'string' ? problemPage(400, 'mistaken', locale, begun) : paymentPage(pageOrderOf(begun), locale);
      },
      refuse: (code) => problemPage(400, 'mistaken', locale, code),
      breakDown: () => problemPage(500, 'broken', locale),
    });
  }

  /** A new attempt, or the code of why there is none. */
  #begun(fields: Fields): Paying | string {
    const orderId = textOf(fields, 'ordNo', 40);
    const title = textOf(fields, 'goodsNm', 100);
    const amount = amountOf(fields, 'goodsAmt');
    const returnUrl = webAddressOf(fields, 'returnUrl', 500);
    const payMethod = textOf(fields, 'payMethod', 10);
    const buyer = textOf(fields, 'ordNm', 30);
    if (orderId === null || title === null || !amount || returnUrl === null || buyer === null) return KISPG_CODES.INVALID_REQUEST;
    if (payMethod === null || !PAY_METHODS.includes(payMethod) || fields.trxCd !== '0') return KISPG_CODES.INVALID_REQUEST;
    const denied = this.#denied(fields, amount);
    if (denied !== null) return denied;
    const known = this.#around.books.order(this.provider, orderId);
    if (known !== undefined && isCaptured(known)) return KISPG_CODES.ORDER_ALREADY_PAID;
    const paying = this.#around.books.begin(this.provider, orderId, {
      reference: `${this.#around.settings.KISPG.merchantId}${randomBytes(8).toString('hex')}`.slice(0, 30),
      amountMinor: amount,
      currency: 'KRW',
      title,
      returnUrls: { paid: returnUrl, cancelled: returnUrl, failed: returnUrl },
      terms: { payMethod, buyer, mbsReserved: textOf(fields, 'mbsReserved', 500) ?? '' },
    });
    this.#around.books.move(paying, 'OPENED');
    return paying;
  }

  #approve(fields: Fields, lie: Lie): Answer {
    const amount = amountOf(fields, 'goodsAmt');
    if (amount === null) return problem(KISPG_CODES.INVALID_REQUEST);
    const denied = this.#denied(fields, amount);
    if (denied !== null) return problem(denied);
    const paying = this.#paying(fields);
    if (paying === null) return problem(KISPG_CODES.UNKNOWN_TID);
    const { order, attempt } = paying;
    if (attempt.state === 'CAPTURED') return problem(KISPG_CODES.ALREADY_APPROVED);
    if (isCaptured(order)) return problem(KISPG_CODES.ORDER_ALREADY_PAID);
    if (attempt.state === 'VOIDED') return problem(KISPG_CODES.CLOSED);
    if (attempt.state !== 'AUTHORIZED') return problem(attempt.failureCode ?? KISPG_CODES.NOT_AUTHENTICATED);
    if (amount !== attempt.amountMinor) return problem(KISPG_CODES.AMOUNT_DIFFERS);
    this.#around.books.capture(paying);
    this.#announce(paying, null);
    const told = toldOf(paying, lie);
    return json(200, {
      ...DONE,
      payMethod: attempt.terms.payMethod,
      tid: attempt.reference,
      ordNo: told.orderId,
      ordNm: attempt.terms.buyer,
      goodsName: attempt.title,
      amt: String(told.amountMinor),
      fnNm: '모의카드',
      quota: '00',
      appNo: APPROVAL_NUMBER,
      appDtm: koreanDigits(attempt.capturedAt!),
    });
  }

  #cancel(fields: Fields, lie: Lie): Answer {
    const amount = amountOf(fields, 'canAmt');
    const partial = textOf(fields, 'partCanFlg', 1);
    const hasFields =
      textOf(fields, 'payMethod', 10) !== null && textOf(fields, 'canNm', 30) !== null && textOf(fields, 'canMsg', 100) !== null;
    if (amount === null || partial === null || !['0', '1'].includes(partial) || !hasFields) return problem(KISPG_CODES.INVALID_REQUEST);
    const denied = this.#denied(fields, amount);
    if (denied !== null) return problem(denied);
    const paying = this.#paying(fields);
    if (paying === null) return problem(KISPG_CODES.NEVER_APPROVED);
    const { order, attempt } = paying;
    if (attempt.state !== 'CAPTURED') {
      if (attempt.state !== 'VOIDED') this.#around.books.move(paying, 'VOIDED', KISPG_CODES.CLOSED);
      return problem(KISPG_CODES.NEVER_APPROVED);
    }
    const left = leftMinor(order);
    if (left === 0) return problem(KISPG_CODES.ALREADY_CANCELLED);
    if (amount === 0) return problem(KISPG_CODES.CANCEL_OF_NOTHING);
    if (amount > left) return problem(KISPG_CODES.CANCEL_EXCEEDS_LEFT);
    if (partial === '0' && amount !== left) return problem(KISPG_CODES.CANCEL_AMOUNT_DIFFERS);
    const refund = this.#around.books.refund(order, amount, String(fields.canMsg));
    this.#announce(paying, refund);
    const told = toldOf(paying, lie);
    return json(200, {
      ...DONE,
      payMethod: attempt.terms.payMethod,
      tid: attempt.reference,
      ordNo: told.orderId,
      amt: String(lie === 'AMOUNT' ? amount + 1_000 : amount),
      remainAmt: String(leftMinor(order)),
      appDtm: koreanDigits(refund.at),
    });
  }

  #refused(call: CallName, fields: Fields, code: string | undefined): Answer {
    const refusal = code ?? (call === 'cancel' ? KISPG_CODES.CANCEL_REFUSED : KISPG_CODES.CARD_REFUSED);
    const paying = call === 'approve' ? this.#paying(fields) : null;
    if (paying !== null && !isCaptured(paying.order) && refusal !== KISPG_CODES.BROKEN) this.#around.books.move(paying, 'FAILED', refusal);
    return problem(refusal);
  }

  #wayBack(paying: Paying, resultCd: string, lie: Lie): WayBack {
    const { attempt } = paying;
    const { orderId, amountMinor } = toldOf(paying, lie);
    return {
      form: attempt.returnUrls.paid,
      fields: {
        resultCd,
        resultMsg: resultCd === KISPG_CODES.DONE ? '인증 성공 (모의)' : '인증 실패 (모의)',
        payMethod: attempt.terms.payMethod ?? '',
        tid: attempt.reference,
        ordNo: orderId,
        amt: String(amountMinor),
        mbsReserved: attempt.terms.mbsReserved ?? '',
        ...this.#signed(amountMinor),
      },
    };
  }

  /** The result notification: of the approval, or of a refund. */
  #announce(paying: Paying, refund: Entry | null): void {
    const { order, attempt } = paying;
    const amount = refund?.amountMinor ?? attempt.amountMinor;
    const fields = {
      resultCode: KISPG_CODES.DONE,
      resultMsg: '정상 처리 (모의)',
      payMethod: attempt.terms.payMethod ?? '',
      tid: attempt.reference,
      otid: attempt.reference,
      ordNo: order.orderId,
      moid: order.orderId,
      amt: String(amount),
      remainAmt: String(leftMinor(order)),
      cancelYN: refund === null ? 'N' : 'Y',
      partCanFlg: refund !== null && (refundsOf(order).length > 1 || leftMinor(order) > 0) ? '1' : '0',
      approveNo: APPROVAL_NUMBER,
      appNo: APPROVAL_NUMBER,
      appDtm: koreanDigits(attempt.capturedAt!),
      ccDnt: refund === null ? '' : koreanDigits(refund.at),
      quota: '00',
      mbsReserved: attempt.terms.mbsReserved ?? '',
      ...this.#signed(amount),
    };
    this.#around.webhooks.announce({
      provider: this.provider,
      orderId: order.orderId,
      body: new URLSearchParams(fields).toString(),
      headers: () => ({ 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }),
      isTaken: (status, answer) => status === 200 && answer.trim() === 'OK',
    });
  }

  /** The merchant, the moment, and the hash over both, an amount and the key: all that KISPG signs. */
  #signed(amountMinor: number): { mid: string; ediDate: string; encData: string } {
    const { merchantId: mid, merchantKey } = this.#around.settings.KISPG;
    const ediDate = koreanDigits(this.#around.now());
    return { mid, ediDate, encData: hashOf(mid, ediDate, amountMinor, merchantKey) };
  }

  /** The code of who may not call; null when the caller knows the key. */
  #denied(fields: Fields, amountMinor: number): string | null {
    const { merchantId, merchantKey } = this.#around.settings.KISPG;
    if (fields.mid !== merchantId) return KISPG_CODES.UNKNOWN_MERCHANT;
    const ediDate = textOf(fields, 'ediDate', 14, 14);
    if (ediDate === null || !/^\d{14}$/.test(ediDate)) return KISPG_CODES.WRONG_HASH;
    return fields.encData === hashOf(merchantId, ediDate, amountMinor, merchantKey) ? null : KISPG_CODES.WRONG_HASH;
  }

  #paying(fields: Fields): Paying | null {
    const tid = textOf(fields, 'tid', 30);
    return (tid !== null && this.#around.books.attempt(this.provider, tid)) || null;
  }
}

function hashOf(mid: string, ediDate: string, amountMinor: number, merchantKey: string): string {
  return createHash('sha256').update(`${mid}${ediDate}${amountMinor}${merchantKey}`).digest('hex');
}

/** KISPG says what went wrong in the body: HTTP 200 unless it broke. */
function problem(resultCd: string, status = 200): Answer {
  return json(status, { resultCd, resultMsg: '모의 결제 서버의 거절' });
}

const DONE = { resultCd: KISPG_CODES.DONE, resultMsg: '정상 처리 (모의)' };
const PAY_METHODS = ['card', 'bank', 'vacnt', 'hp'];
const APPROVAL_NUMBER = '00000000';
