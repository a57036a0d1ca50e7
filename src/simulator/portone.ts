import { randomBytes, randomUUID } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Webhook } from 'standardwebhooks';
import { localeOf } from '../platform/locale.ts';
import {
  type Attempt,
  type Entry,
  isCaptured,
  leftMinor,
  type Order,
  type Paying,
  refundedMinor,
  refundsOf,
  speakingAttempt,
} from './books.ts';
import { type Answer, bodyOf, json, type Lie } from './calls.ts';
import type { CallName } from './faults.ts';
import { paymentPage, problemPage } from './pages.ts';
import { type Protocol, pageOrderOf, type Surroundings, toldOf, type WayBack } from './protocol.ts';
import { amountOf, type Fields, jsonFields, textOf, webAddressOf, withQuery } from './request-fields.ts';

/** PortOne's error types with their HTTP statuses, as far as its SDK knows them. A type that is not here is answered with 400. */
export const PORTONE_TYPES: ReadonlyMap<string, number> = new Map([
  ['INVALID_REQUEST', 400],
  ['INVALID_PAYMENT_TOKEN', 400],
  ['INFORMATION_MISMATCH', 400],
  ['UNAUTHORIZED', 401],
  ['FORBIDDEN', 403],
  ['PAYMENT_NOT_FOUND', 404],
  ['WEBHOOK_NOT_FOUND', 404],
  ['ALREADY_PAID', 409],
  ['PAYMENT_NOT_PAID', 409],
  ['PAYMENT_ALREADY_CANCELLED', 409],
  ['CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN', 409],
  ['CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT', 409],
  ['PG_PROVIDER', 502],
  ['INTERNAL_SERVER_ERROR', 500],
]);

/** Whether the page takes the money itself, or hands back a token for the merchant's confirmation. */
export type PortoneCapture = 'BY_HAND' | 'AT_ONCE';

/**
 * PortOne V2, as its SDK speaks: the checkout stands for a page that calls the browser SDK, and each visit to it is a transaction of its own.
 * A pre-registered payment is not found before the customer opened the checkout. UNVERIFIED: the status of a payment that waits for
 * its confirmation (READY here), and the HTTP statuses of INVALID_PAYMENT_TOKEN and INFORMATION_MISMATCH. A confirmation's answer names neither amount
 * nor order, so no lie about them can be ordered there.
 */
export class PortOne implements Protocol {
  readonly provider = 'PORTONE';
  readonly #around: Surroundings;
  readonly #capture: PortoneCapture;

  constructor(around: Surroundings, capture: PortoneCapture) {
    this.#around = around;
    this.#capture = capture;
  }

  serve(server: FastifyInstance): void {
    const serve = (method: 'GET' | 'POST', suffix: string, call: CallName, act: (paymentId: string, fields: Fields, lie: Lie) => Answer) =>
      server.route<{ Params: { paymentId: string } }>({
        method,
        url: `/payments/:paymentId${suffix}`,
        handler: (request, reply) => {
          const { paymentId } = request.params;
          const fields = method === 'GET' ? (request.query as Fields) : jsonFields(bodyOf(request));
          return this.#around.answer(request, reply, {
            provider: this.provider,
            call,
            orderId: paymentId,
            act: (lie) => this.#denied(request, fields) ?? act(paymentId, fields!, lie),
            refuse: (type) => this.#refused(call, paymentId, type),
            breakDown: () => problem('INTERNAL_SERVER_ERROR'),
          });
        },
      });
    serve('GET', '', 'find', (paymentId, _fields, lie) => this.#find(paymentId, lie));
    serve('POST', '/pre-register', 'prepare', (paymentId, fields) => this.#preRegister(paymentId, fields));
    serve('POST', '/confirm', 'approve', (paymentId, fields) => this.#confirm(paymentId, fields));
    serve('POST', '/cancel', 'cancel', (paymentId, fields, lie) => this.#cancel(paymentId, fields, lie));
    server.post<{ Params: { paymentId: string } }>('/payments/:paymentId/resend-webhook', async (request, reply) => {
      const fields = jsonFields(bodyOf(request));
      const answer = this.#denied(request, fields) ?? this.#resendWebhook(request.params.paymentId, fields!);
      await reply.code(answer.status).headers(answer.headers).send(answer.body);
    });
    server.get('/portone/checkout', async (request, reply) => {
      const answer = this.#checkout(request.query as Fields, request.headers['accept-language']);
      await reply.code(answer.status).headers(answer.headers).send(answer.body);
    });
  }

  agree(paying: Paying, lie: Lie): WayBack {
    const { books } = this.#around;
    const { attempt } = paying;
    const back = { paymentId: toldOf(paying, lie).orderId, transactionType: 'PAYMENT', txId: attempt.reference };
    if (this.#capture === 'AT_ONCE') {
      books.capture(paying);
      this.#announce(paying.order, attempt, 'Transaction.Paid');
      return { redirect: withQuery(attempt.returnUrls.paid, back) };
    }
    if (attempt.state !== 'AUTHORIZED') books.move(paying, 'AUTHORIZED');
    return { redirect: withQuery(attempt.returnUrls.paid, { ...back, paymentToken: attempt.proof }) };
  }

  decline(paying: Paying, code: string | undefined): WayBack {
    const { order, attempt } = paying;
    const pgCode = code ?? 'PAY_PROCESS_CANCELED';
    this.#fail(paying, pgCode);
    const message = '결제가 취소되었습니다. (모의)';
    return {
      redirect: withQuery(attempt.returnUrls.failed, {
        paymentId: order.orderId,
        transactionType: 'PAYMENT',
        txId: attempt.reference,
        code: 'FAILURE_TYPE_PG',
        message,
        pgCode,
        pgMessage: message,
      }),
    };
  }

  #preRegister(paymentId: string, fields: Fields): Answer {
    const amount = amountOf(fields, 'totalAmount');
    const currency = fields.currency === undefined ? 'KRW' : textOf(fields, 'currency', 3, 3);
    const taxFree = fields.taxFreeAmount === undefined ? 0 : amountOf(fields, 'taxFreeAmount');
    if (paymentId.length > 64 || !amount || currency === null || taxFree === null || taxFree > amount) return problem('INVALID_REQUEST');
    const known = this.#around.books.order(this.provider, paymentId);
    if (known !== undefined && isCaptured(known)) return problem('ALREADY_PAID');
    this.#around.books.register(this.provider, paymentId, amount, currency);
    return json(200, {});
  }

  /** What the browser SDK does: opens a transaction for the payment, and shows the provider's page. */
  #checkout(query: Fields, acceptLanguage: string | undefined): Answer {
    const { books, settings } = this.#around;
    const locale = localeOf(acceptLanguage);
    const paymentId = textOf(query, 'paymentId', 64);
    const title = textOf(query, 'orderName', 100);
    const amount = amountOf(query, 'totalAmount');
    // The browser SDK writes `CURRENCY_KRW` where the server SDK writes `KRW`.
    const currency = textOf(query, 'currency', 12)?.replace('CURRENCY_', '');
    const redirectUrl = webAddressOf(query, 'redirectUrl', 2_000);
    if (query.storeId !== settings.PORTONE.storeId || query.channelKey !== settings.PORTONE.channelKey) {
      return problemPage(400, 'mistaken', locale, 'storeId, channelKey');
    }
    if (paymentId === null || title === null || !amount || currency?.length !== 3 || redirectUrl === null) {
      return problemPage(400, 'mistaken', locale, 'paymentId, orderName, totalAmount, currency, redirectUrl');
    }
    const order = books.order(this.provider, paymentId);
    if (order !== undefined && isCaptured(order)) return problemPage(409, 'over', locale);
    if (order !== undefined && (order.amountMinor !== amount || order.currency !== currency)) {
      return problemPage(400, 'mistaken', locale, 'totalAmount, currency');
    }
    const paying = books.begin(this.provider, paymentId, {
      reference: randomUUID(),
      amountMinor: amount,
      currency,
      title,
      returnUrls: { paid: redirectUrl, cancelled: redirectUrl, failed: redirectUrl },
      terms: {},
    });
    books.move(paying, 'OPENED');
    this.#announce(paying.order, paying.attempt, 'Transaction.Ready');
    return paymentPage(pageOrderOf(paying), locale);
  }

  #confirm(paymentId: string, fields: Fields): Answer {
    const order = this.#opened(paymentId);
    if (order === null) return problem('PAYMENT_NOT_FOUND');
    if (isCaptured(order)) return problem('ALREADY_PAID');
    const attempt = order.attempts.find(({ state, proof }) => state === 'AUTHORIZED' && proof === fields.paymentToken);
    if (attempt === undefined) return problem('INVALID_PAYMENT_TOKEN');
    const terms: [string, unknown][] = [
      ['txId', attempt.reference],
      ['totalAmount', attempt.amountMinor],
      ['currency', attempt.currency],
      ['taxFreeAmount', 0],
      ['isTest', true],
    ];
    if (terms.some(([name, value]) => fields[name] !== undefined && fields[name] !== value)) return problem('INFORMATION_MISMATCH');
    this.#around.books.capture({ order, attempt });
    this.#announce(order, attempt, 'Transaction.Paid');
    return json(200, { pgTxId: pgTxIdOf(attempt), paidAt: attempt.capturedAt });
  }

  #find(paymentId: string, lie: Lie): Answer {
    const order = this.#opened(paymentId);
    return order === null ? problem('PAYMENT_NOT_FOUND') : json(200, this.#described(order, lie));
  }

  #cancel(paymentId: string, fields: Fields, lie: Lie): Answer {
    const order = this.#opened(paymentId);
    if (order === null) return problem('PAYMENT_NOT_FOUND');
    const left = leftMinor(order);
    const amount = fields.amount === undefined ? left : amountOf(fields, 'amount');
    const reason = textOf(fields, 'reason', 1_000);
    if (reason === null || amount === null) return problem('INVALID_REQUEST');
    if (!isCaptured(order)) return problem('PAYMENT_NOT_PAID');
    if (left === 0) return problem('PAYMENT_ALREADY_CANCELLED');
    if (fields.currentCancellableAmount !== undefined && amountOf(fields, 'currentCancellableAmount') !== left) {
      return problem('CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN');
    }
    if (amount === 0) return problem('INVALID_REQUEST');
    if (amount > left) return problem('CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT');
    const refund = this.#around.books.refund(order, amount, reason);
    const type = leftMinor(order) === 0 ? 'Transaction.Cancelled' : 'Transaction.PartialCancelled';
    if (fields.skipWebhook !== true) this.#announce(order, speakingAttempt(order)!, type, refund);
    const cancellation = cancellationOf(refund);
    return json(200, { cancellation: lie === 'AMOUNT' ? { ...cancellation, totalAmount: amount + 1_000 } : cancellation });
  }

  #resendWebhook(paymentId: string, fields: Fields): Answer {
    const { webhooks } = this.#around;
    const order = this.#opened(paymentId);
    if (order === null) return problem('PAYMENT_NOT_FOUND');
    const sent = webhooks.of(paymentId).filter(({ provider }) => provider === this.provider);
    const webhook = fields.webhookId === undefined ? sent.at(-1) : sent.find(({ headers }) => headers['webhook-id'] === fields.webhookId);
    if (webhook === undefined) return problem('WEBHOOK_NOT_FOUND');
    this.#send(paymentId, webhook.headers['webhook-id']!, webhook.body);
    return json(200, {
      webhook: {
        id: webhook.headers['webhook-id'],
        url: webhooks.registered().PORTONE ?? '',
        trigger: 'MANUAL',
        request: { body: webhook.body },
        triggeredAt: this.#around.now(),
      },
    });
  }

  #refused(call: CallName, paymentId: string, code: string | undefined): Answer {
    if (call === 'prepare') return problem(code ?? 'FORBIDDEN');
    if (call === 'find') return problem(code ?? 'PAYMENT_NOT_FOUND');
    if (code !== undefined && code !== 'PG_PROVIDER' && PORTONE_TYPES.has(code)) return problem(code);
    // Any other word is what the payment provider behind PortOne says.
    const pgCode = code === undefined || code === 'PG_PROVIDER' ? 'REJECT_CARD_COMPANY' : code;
    const order = call === 'approve' ? this.#opened(paymentId) : null;
    const attempt = order?.attempts.findLast(({ state }) => state === 'AUTHORIZED');
    if (order && attempt && !isCaptured(order)) this.#fail({ order, attempt }, pgCode);
    return json(502, {
      type: 'PG_PROVIDER',
      message: 'simulated',
      pgCode,
      pgMessage: '승인이 거절되었습니다. (모의)',
    });
  }

  #fail(paying: Paying, code: string): void {
    this.#around.books.move(paying, 'FAILED', code);
    this.#announce(paying.order, paying.attempt, 'Transaction.Failed');
  }

  /** The payment as the SDK types it. */
  #described(order: Order, lie: Lie) {
    const { storeId, channelKey } = this.#around.settings.PORTONE;
    const attempt = speakingAttempt(order)!;
    const { orderId, amountMinor } = toldOf({ order, attempt }, lie);
    const refunds = refundsOf(order);
    const changedAt = refunds.at(-1)?.at ?? attempt.capturedAt ?? attempt.authorizedAt ?? attempt.preparedAt;
    const isPaid = attempt.state === 'CAPTURED';
    const vat = Math.round(amountMinor / 11);
    return {
      status: statusOf(order, attempt),
      id: orderId,
      transactionId: attempt.reference,
      merchantId: 'merchant-simulated',
      storeId,
      method: { type: 'PaymentMethodCard', card: { publisher: 'SIMULATED', number: '433012******123*' }, approvalNumber: '00000000' },
      channel: {
        type: 'TEST',
        id: 'channel-id-simulated',
        key: channelKey,
        name: 'simulated',
        pgProvider: 'TOSSPAYMENTS',
        pgMerchantId: 'simulated',
      },
      version: 'V2',
      requestedAt: attempt.preparedAt,
      updatedAt: changedAt,
      statusChangedAt: changedAt,
      orderName: attempt.title,
      amount: {
        total: amountMinor,
        taxFree: 0,
        vat,
        supply: amountMinor - vat,
        discount: 0,
        paid: isPaid ? amountMinor - refundedMinor(order) : 0,
        cancelled: refundedMinor(order),
        cancelledTaxFree: 0,
      },
      currency: attempt.currency,
      customer: {},
      ...(isPaid && { paidAt: attempt.capturedAt, pgTxId: pgTxIdOf(attempt), disputes: [] }),
      ...(refunds.length > 0 && { cancellations: refunds.map(cancellationOf), cancelledAt: changedAt }),
      ...(attempt.state === 'FAILED' && {
        failedAt: changedAt,
        failure: { reason: 'The payment method refused (simulated).', pgCode: attempt.failureCode ?? '', pgMessage: '결제 실패 (모의)' },
      }),
    };
  }

  #denied(request: FastifyRequest, fields: Fields | null): Answer | null {
    const { apiSecret, storeId } = this.#around.settings.PORTONE;
    if (request.headers.authorization !== `PortOne ${apiSecret}`) return problem('UNAUTHORIZED');
    if (fields === null) return problem('INVALID_REQUEST');
    return fields.storeId === undefined || fields.storeId === storeId ? null : problem('FORBIDDEN');
  }

  #announce(order: Order, attempt: Attempt, type: string, refund?: Entry): void {
    const data = {
      paymentId: order.orderId,
      storeId: this.#around.settings.PORTONE.storeId,
      transactionId: attempt.reference,
      ...(refund && { cancellationId: refund.reference }),
    };
    this.#send(order.orderId, `whk_${randomBytes(12).toString('hex')}`, JSON.stringify({ type, timestamp: this.#around.now(), data }));
  }

  #send(orderId: string, id: string, body: string): void {
    this.#around.webhooks.announce({
      provider: this.provider,
      orderId,
      body,
      headers: () => {
        const now = this.#around.now();
        return {
          'content-type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
          'webhook-signature': new Webhook(this.#around.settings.PORTONE.webhookSecret).sign(id, now, body),
        };
      },
      isTaken: (status) => status >= 200 && status < 300,
    });
  }

  #opened(paymentId: string): Order | null {
    const order = this.#around.books.order(this.provider, paymentId);
    return order !== undefined && order.attempts.length > 0 ? order : null;
  }
}

function statusOf(order: Order, { state }: Attempt): string {
  switch (state) {
    case 'PREPARED':
    case 'OPENED':
    case 'AUTHORIZED':
      return 'READY';
    case 'CAPTURED':
      if (refundedMinor(order) === 0) return 'PAID';
      return leftMinor(order) === 0 ? 'CANCELLED' : 'PARTIAL_CANCELLED';
    case 'FAILED':
    case 'QUIT':
    case 'VOIDED':
      return 'FAILED';
    default:
      return state satisfies never;
  }
}

function cancellationOf({ reference, amountMinor, reason, at }: Entry) {
  return {
    status: 'SUCCEEDED',
    id: reference,
    pgCancellationId: `pg_${reference}`,
    totalAmount: amountMinor,
    taxFreeAmount: 0,
    vatAmount: Math.round(amountMinor / 11),
    reason,
    requestedAt: at,
    cancelledAt: at,
    trigger: 'API',
  };
}

function pgTxIdOf(attempt: Attempt): string {
  return `pg_${attempt.reference}`;
}

function problem(type: string): Answer {
  return json(PORTONE_TYPES.get(type) ?? 400, { type, message: 'simulated' });
}
