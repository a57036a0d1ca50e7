import { randomBytes, randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isCaptured, leftMinor, type Paying, refundsOf, speakingAttempt } from './books.ts';
import { type Answer, bodyOf, json, type Lie } from './calls.ts';
import type { CallName } from './faults.ts';
import { koreanZoned } from './korean-time.ts';
import { type Protocol, type Surroundings, toldOf, type WayBack } from './protocol.ts';
import { amountOf, type Fields, jsonFields, textOf, webAddressOf, withQuery } from './request-fields.ts';

/** Toss's error codes with their HTTP statuses. A code that is not here is answered with 400. */
export const TOSS_CODES: ReadonlyMap<string, number> = new Map([
  ['INVALID_REQUEST', 400],
  ['INVALID_IDEMPOTENCY_KEY', 400],
  ['IDEMPOTENT_REQUEST_PROCESSING', 409],
  ['UNAUTHORIZED_KEY', 401],
  ['BELOW_MINIMUM_AMOUNT', 400],
  ['ALREADY_PROCESSED_PAYMENT', 400],
  ['DUPLICATED_ORDER_ID', 400],
  ['ALREADY_CANCELED_PAYMENT', 400],
  ['PROVIDER_ERROR', 400],
  ['CARD_PROCESSING_ERROR', 400],
  ['INVALID_STOPPED_CARD', 400],
  ['INVALID_CARD_LOST_OR_STOLEN', 400],
  ['EXCEED_MAX_DAILY_PAYMENT_COUNT', 400],
  ['REJECT_CARD_COMPANY', 403],
  ['REJECT_CARD_PAYMENT', 403],
  ['FDS_ERROR', 403],
  ['NOT_CANCELABLE_AMOUNT', 403],
  ['NOT_CANCELABLE_PAYMENT', 403],
  ['NOT_FOUND_PAYMENT', 404],
  ['NOT_FOUND_PAYMENT_SESSION', 404],
  ['FAILED_INTERNAL_SYSTEM_PROCESSING', 500],
  ['FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING', 500],
  ['FAILED_REFUND_PROCESS', 500],
  ['UNKNOWN_PAYMENT_ERROR', 500],
]);

/**
 * Toss Payments v1. What is UNVERIFIED: which code answers an order id or amount that differs from the payment's (INVALID_REQUEST here), and that a
 * customer who cancels at the page leaves the payment ABORTED. As at the vendor, such a customer comes back without an order id.
 */
export class Toss implements Protocol {
  readonly provider = 'TOSS';
  readonly #around: Surroundings;
  /** Keys whose first request has no answer yet. */
  readonly #inFlight = new Set<string>();

  constructor(around: Surroundings) {
    this.#around = around;
  }

  serve(server: FastifyInstance): void {
    const post = (path: string, call: CallName, act: (fields: Fields, lie: Lie) => Answer) =>
      server.post<{ Params: { paymentKey?: string } }>(path, (request, reply) => {
        const fields = jsonFields(bodyOf(request));
        const named = fields === null ? null : { ...fields, ...request.params };
        const busy = this.#begin(request, reply);
        return this.#around.answer(request, reply, {
          provider: this.provider,
          call,
          orderId: this.#orderIdOf(named),
          act: (lie) => busy ?? this.#once(request, named, lie, act),
          refuse: (code) => busy ?? this.#once(request, named, null, () => this.#refused(call, named, code)),
          breakDown: () => problem('FAILED_INTERNAL_SYSTEM_PROCESSING'),
        });
      });
    const get = (path: string, find: (name: string) => Paying | undefined) =>
      server.get<{ Params: { name: string } }>(path, (request, reply) => {
        const paying = find(request.params.name);
        return this.#around.answer(request, reply, {
          provider: this.provider,
          call: 'find',
          orderId: paying?.order.orderId ?? null,
          act: (lie) => this.#denied(request) ?? (paying ? json(200, this.#described(paying, lie)) : problem('NOT_FOUND_PAYMENT')),
          refuse: (code) => problem(code ?? 'NOT_FOUND_PAYMENT'),
          breakDown: () => problem('FAILED_INTERNAL_SYSTEM_PROCESSING'),
        });
      });
    post('/v1/payments', 'prepare', (fields, lie) => this.#create(fields, lie));
    post('/v1/payments/confirm', 'approve', (fields, lie) => this.#confirm(fields, lie));
    post('/v1/payments/:paymentKey/cancel', 'cancel', (fields, lie) => this.#cancel(fields, lie));
    get('/v1/payments/orders/:name', (orderId) => this.#byOrder(orderId));
    get('/v1/payments/:name', (paymentKey) => this.#around.books.attempt(this.provider, paymentKey));
  }

  agree(paying: Paying, lie: Lie): WayBack {
    if (paying.attempt.state !== 'AUTHORIZED') this.#around.books.move(paying, 'AUTHORIZED');
    const { orderId, amountMinor } = toldOf(paying, lie);
    const { reference, returnUrls } = paying.attempt;
    return { redirect: withQuery(returnUrls.paid, { paymentType: 'NORMAL', orderId, paymentKey: reference, amount: String(amountMinor) }) };
  }

  decline(paying: Paying, code: string | undefined): WayBack {
    this.#fail(paying, code ?? 'PAY_PROCESS_CANCELED');
    const cancelled = { code: 'PAY_PROCESS_CANCELED', message: '사용자에 의해 결제가 취소되었습니다.' };
    const refused = { code: code ?? '', message: '결제가 거절되었습니다. (모의)', orderId: paying.order.orderId };
    return { redirect: withQuery(paying.attempt.returnUrls.failed, code === undefined ? cancelled : refused) };
  }

  isExpired(paying: Paying): boolean {
    return this.#statusOf(paying) === 'EXPIRED';
  }

  #create(fields: Fields, lie: Lie): Answer {
    const method = textOf(fields, 'method', 20);
    const orderId = textOf(fields, 'orderId', 64, 6);
    const title = textOf(fields, 'orderName', 100);
    const amount = amountOf(fields, 'amount');
    const paid = webAddressOf(fields, 'successUrl', 2_000);
    const failed = webAddressOf(fields, 'failUrl', 2_000);
    if (method === null || title === null || amount === null || paid === null || failed === null) return problem('INVALID_REQUEST');
    if (orderId === null || !/^[\w=-]+$/.test(orderId)) return problem('INVALID_REQUEST');
    if (amount < MINIMUM_AMOUNT) return problem('BELOW_MINIMUM_AMOUNT');
    const paying = this.#around.books.begin(this.provider, orderId, {
      reference: `tsim_${randomBytes(18).toString('base64url')}`,
      amountMinor: amount,
      currency: 'KRW',
      title,
      returnUrls: { paid, cancelled: failed, failed },
      terms: {},
    });
    return json(200, this.#described(paying, lie));
  }

  #confirm(fields: Fields, lie: Lie): Answer {
    const paymentKey = textOf(fields, 'paymentKey', 200);
    const orderId = textOf(fields, 'orderId', 64, 6);
    const amount = amountOf(fields, 'amount');
    if (paymentKey === null || orderId === null || amount === null) return problem('INVALID_REQUEST');
    const paying = this.#around.books.attempt(this.provider, paymentKey);
    if (paying === undefined) return problem('NOT_FOUND_PAYMENT');
    if (paying.order.orderId !== orderId || paying.attempt.amountMinor !== amount) return problem('INVALID_REQUEST');
    if (['CAPTURED', 'FAILED', 'QUIT', 'VOIDED'].includes(paying.attempt.state)) return problem('ALREADY_PROCESSED_PAYMENT');
    if (isCaptured(paying.order)) return problem('DUPLICATED_ORDER_ID');
    if (this.#statusOf(paying) !== 'IN_PROGRESS') return problem('NOT_FOUND_PAYMENT_SESSION');
    this.#around.books.capture(paying);
    this.#announce(paying);
    return json(200, this.#described(paying, lie));
  }

  #cancel(fields: Fields, lie: Lie): Answer {
    const paying = this.#around.books.attempt(this.provider, String(fields.paymentKey));
    if (paying === undefined) return problem('NOT_FOUND_PAYMENT');
    const { order, attempt } = paying;
    const reason = textOf(fields, 'cancelReason', 200);
    const amount = fields.cancelAmount === undefined ? leftMinor(order) : amountOf(fields, 'cancelAmount');
    if (reason === null || amount === null) return problem('INVALID_REQUEST');
    if (attempt.state !== 'CAPTURED') return problem('NOT_CANCELABLE_PAYMENT');
    if (leftMinor(order) === 0) return problem('ALREADY_CANCELED_PAYMENT');
    if (amount === 0 || amount > leftMinor(order)) return problem('NOT_CANCELABLE_AMOUNT');
    this.#around.books.refund(order, amount, reason);
    this.#announce(paying);
    return json(200, this.#described(paying, lie));
  }

  #refused(call: CallName, fields: Fields | null, code: string | undefined): Answer {
    const ordinary = call === 'approve' ? 'REJECT_CARD_COMPANY' : call === 'cancel' ? 'NOT_CANCELABLE_PAYMENT' : 'INVALID_REQUEST';
    const refusal = problem(code ?? ordinary);
    const paying = call === 'approve' && fields ? this.#around.books.attempt(this.provider, String(fields.paymentKey)) : undefined;
    // The refusal of a card ends the payment; what may still turn out well (409, 5xx, PROVIDER_ERROR) or was our own mistake does not.
    if (paying !== undefined && !isCaptured(paying.order) && isFinal(code ?? ordinary)) this.#fail(paying, code ?? ordinary);
    return refusal;
  }

  #fail(paying: Paying, code: string): void {
    this.#around.books.move(paying, 'FAILED', code);
    this.#announce(paying);
  }

  /** The Payment object. */
  #described(paying: Paying, lie: Lie) {
    const { order, attempt } = paying;
    const { orderId, amountMinor } = toldOf(paying, lie);
    const isPaid = attempt.state === 'CAPTURED';
    const refunds = isPaid ? refundsOf(order) : [];
    const vat = Math.round(amountMinor / 11);
    let left = amountMinor;
    const cancels = refunds.map((refund) => {
      left -= refund.amountMinor;
      return {
        transactionKey: refund.reference,
        cancelReason: refund.reason,
        taxExemptionAmount: 0,
        canceledAt: koreanZoned(refund.at),
        cancelAmount: refund.amountMinor,
        taxFreeAmount: 0,
        refundableAmount: left,
        cancelStatus: 'DONE',
        cancelRequestId: null,
      };
    });
    return {
      version: '2022-11-16',
      mId: this.#around.settings.TOSS.merchantId,
      lastTransactionKey: refunds.at(-1)?.reference ?? (isPaid ? `txn_${attempt.proof}` : null),
      paymentKey: attempt.reference,
      orderId,
      orderName: attempt.title,
      type: 'NORMAL',
      status: this.#statusOf(paying),
      requestedAt: koreanZoned(attempt.preparedAt),
      approvedAt: attempt.capturedAt && koreanZoned(attempt.capturedAt),
      currency: attempt.currency,
      country: 'KR',
      totalAmount: amountMinor,
      balanceAmount: left,
      suppliedAmount: amountMinor - vat,
      vat,
      taxFreeAmount: 0,
      taxExemptionAmount: 0,
      isPartialCancelable: true,
      useEscrow: false,
      cultureExpense: false,
      method: attempt.authorizedAt ? '카드' : null,
      card: attempt.authorizedAt && { ...CARD, amount: amountMinor },
      cancels: refunds.length === 0 ? null : cancels,
      secret: `ps_${attempt.proof}`,
      checkout: { url: `${this.#around.url}/pay/${attempt.pageToken}` },
      receipt: null,
      virtualAccount: null,
      transfer: null,
      mobilePhone: null,
      giftCertificate: null,
      easyPay: null,
      cashReceipt: null,
      cashReceipts: null,
      discount: null,
      failure: attempt.failureCode === null ? null : { code: attempt.failureCode, message: MESSAGE },
    };
  }

  /** A payment expires by itself, without a call, when its page or its agreement was left alone for too long. */
  #statusOf({ order, attempt }: Paying): string {
    const age = (since: Date) => this.#around.now().getTime() - since.getTime();
    switch (attempt.state) {
      case 'PREPARED':
      case 'OPENED':
        return age(attempt.preparedAt) > PAGE_MS ? 'EXPIRED' : 'READY';
      case 'AUTHORIZED':
        return age(attempt.authorizedAt ?? attempt.preparedAt) > CONFIRM_MS ? 'EXPIRED' : 'IN_PROGRESS';
      case 'CAPTURED':
        if (refundsOf(order).length === 0) return 'DONE';
        return leftMinor(order) === 0 ? 'CANCELED' : 'PARTIAL_CANCELED';
      case 'QUIT':
      case 'FAILED':
      case 'VOIDED':
        return 'ABORTED';
      default:
        return attempt.state satisfies never;
    }
  }

  /** Answers a request whose key is known as the first time, whatever its body; keeps the answer of a first one. */
  #once(request: FastifyRequest, fields: Fields | null, lie: Lie, act: (fields: Fields, lie: Lie) => Answer): Answer {
    const denied = this.#denied(request) ?? (isJson(request) && fields !== null ? null : problem('INVALID_REQUEST'));
    if (denied !== null || fields === null) return denied ?? problem('INVALID_REQUEST');
    const key = request.headers['idempotency-key'];
    if (typeof key !== 'string') return act(fields, lie);
    if (key.length === 0 || key.length > 300) return problem('INVALID_IDEMPOTENCY_KEY');
    const kept = this.#around.books.answerTo(scopeOf(request, key));
    if (kept !== undefined) return json(kept.status, JSON.parse(kept.body) as object);
    const answer = act(fields, null);
    // What broke is tried again, not remembered.
    if (answer.status < 500) this.#around.books.keepAnswer(scopeOf(request, key), { status: answer.status, body: answer.body });
    return lie === null ? answer : json(answer.status, this.#lied(answer, lie));
  }

  /** The answer that is kept is the true one; the lie is told once. */
  #lied(answer: Answer, lie: Lie): object {
    const { paymentKey } = JSON.parse(answer.body) as { paymentKey?: string };
    const paying = paymentKey === undefined ? undefined : this.#around.books.attempt(this.provider, paymentKey);
    return paying === undefined ? (JSON.parse(answer.body) as object) : this.#described(paying, lie);
  }

  /** Notes a key as being worked on until the connection is done with it; answers a second request that comes meanwhile. */
  #begin(request: FastifyRequest, reply: FastifyReply): Answer | null {
    const key = request.headers['idempotency-key'];
    if (typeof key !== 'string' || this.#denied(request) !== null) return null;
    const scope = scopeOf(request, key);
    if (this.#inFlight.has(scope)) return problem('IDEMPOTENT_REQUEST_PROCESSING');
    this.#inFlight.add(scope);
    reply.raw.once('close', () => this.#inFlight.delete(scope));
    return null;
  }

  /** Who may not call; with test keys, a header that names an error is answered with it. */
  #denied(request: FastifyRequest): Answer | null {
    const expected = `Basic ${Buffer.from(`${this.#around.settings.TOSS.secretKey}:`).toString('base64')}`;
    if (request.headers.authorization !== expected) return problem('UNAUTHORIZED_KEY');
    const code = request.headers['tosspayments-test-code'];
    return typeof code === 'string' ? problem(code) : null;
  }

  #announce(paying: Paying): void {
    const id = randomUUID();
    const moment = this.#around.now();
    const body = JSON.stringify({
      eventType: 'PAYMENT_STATUS_CHANGED',
      createdAt: koreanZoned(moment).replace('+09:00', '.000000'),
      data: this.#described(paying, null),
    });
    this.#around.webhooks.announce({
      provider: this.provider,
      orderId: paying.order.orderId,
      body,
      headers: (tries) => ({
        'content-type': 'application/json; charset=utf-8',
        'tosspayments-webhook-transmission-time': koreanZoned(this.#around.now()),
        'tosspayments-webhook-transmission-id': id,
        'tosspayments-webhook-transmission-retried-count': String(tries),
      }),
      isTaken: (status) => status === 200,
    });
  }

  #byOrder(orderId: string): Paying | undefined {
    const order = this.#around.books.order(this.provider, orderId);
    const attempt = order && speakingAttempt(order);
    return order && attempt && { order, attempt };
  }

  #orderIdOf(fields: Fields | null): string | null {
    if (fields === null) return null;
    return textOf(fields, 'orderId', 64) ?? this.#around.books.attempt(this.provider, String(fields.paymentKey))?.order.orderId ?? null;
  }
}

/** Whether a refusal with this code ends a payment. */
function isFinal(code: string): boolean {
  const mayStillTurnOut = [
    'PROVIDER_ERROR',
    'CARD_PROCESSING_ERROR',
    'INVALID_REQUEST',
    'INVALID_IDEMPOTENCY_KEY',
    'ALREADY_PROCESSED_PAYMENT',
  ];
  const status = TOSS_CODES.get(code);
  return (status === 400 || status === 403) && !mayStillTurnOut.includes(code);
}

function scopeOf(request: FastifyRequest, key: string): string {
  return `${request.method} ${request.url} ${key}`;
}

function isJson(request: FastifyRequest): boolean {
  return request.headers['content-type']?.startsWith('application/json') === true;
}

function problem(code: string): Answer {
  return json(TOSS_CODES.get(code) ?? 400, { code, message: MESSAGE });
}

const MESSAGE = '모의 결제 서버의 응답입니다.';

/** A card pays from 100 won. */
const MINIMUM_AMOUNT = 100;

/** The vendor's windows: half an hour for the page, ten minutes from the customer's agreement to the confirmation. */
const PAGE_MS = 30 * 60 * 1000;
const CONFIRM_MS = 10 * 60 * 1000;

const CARD = {
  issuerCode: '4V',
  acquirerCode: '21',
  number: '43301234****123*',
  installmentPlanMonths: 0,
  approveNo: '00000000',
  useCardPoint: false,
  cardType: '신용',
  ownerType: '개인',
  acquireStatus: 'READY',
  isInterestFree: false,
  interestPayer: null,
};
