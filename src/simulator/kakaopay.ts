import { randomBytes } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { capturedMinor, type Entry, isCaptured, leftMinor, type Order, type Paying, refundedMinor, refundsOf } from './books.ts';
import { type Answer, bodyOf, json, type Lie } from './calls.ts';
import type { CallName } from './faults.ts';
import { koreanLocal } from './korean-time.ts';
import { type Protocol, type Surroundings, toldOf, type WayBack } from './protocol.ts';
import { amountOf, type Fields, jsonFields, textOf, webAddressOf, withQuery } from './request-fields.ts';

/**
 * KakaoPay's error codes. -780 with its `extras` is the vendor's documented answer to a refused approval; the other numbers are those that
 * integrations list, and their meaning at the current API is UNVERIFIED. How long a tid and a pg_token live is UNVERIFIED too, so they live for ever here.
 */
export const KAKAOPAY_CODES = {
  INTERNAL: -1,
  INVALID_PARAMETER: -2,
  UNAUTHORIZED: -401,
  NOT_AUTHENTICATED: -701,
  ALREADY_APPROVED: -702,
  AMOUNT_DIFFERS: -705,
  ORDER_DIFFERS: -706,
  USER_DIFFERS: -707,
  WRONG_PG_TOKEN: -708,
  CANCEL_EXCEEDS_AVAILABLE: -710,
  UNKNOWN_TID: -721,
  WRONG_AMOUNT: -722,
  UNKNOWN_CID: -731,
  APPROVAL_FAILED: -780,
  CANCEL_FAILED: -781,
} as const;

/**
 * KakaoPay Online v1: single payments. No webhooks, no idempotency key. That an order paid with one tid is refused with another is the simulator's
 * rule; the vendor documents none about order ids (UNVERIFIED), so nobody may rely on it.
 */
export class KakaoPay implements Protocol {
  readonly provider = 'KAKAOPAY';
  readonly #around: Surroundings;

  constructor(around: Surroundings) {
    this.#around = around;
  }

  serve(server: FastifyInstance): void {
    const path = '/online/v1/payment';
    const serve = (name: string, call: CallName, act: (fields: Fields, lie: Lie) => Answer) =>
      server.post(`${path}/${name}`, (request, reply) => {
        const fields = jsonFields(bodyOf(request));
        return this.#around.answer(request, reply, {
          provider: this.provider,
          call,
          orderId: this.#orderIdOf(fields),
          act: (lie) => this.#denied(request, fields) ?? act(fields!, lie),
          refuse: (code) => this.#refused(call, fields, code),
          breakDown: () => problem(KAKAOPAY_CODES.INTERNAL, 'internal server error', 500),
        });
      });
    serve('ready', 'prepare', (fields) => this.#ready(fields));
    serve('approve', 'approve', (fields, lie) => this.#approve(fields, lie));
    serve('cancel', 'cancel', (fields, lie) => this.#cancel(fields, lie));
    serve('order', 'find', (fields, lie) => this.#order(fields, lie));
  }

  agree(paying: Paying): WayBack {
    if (paying.attempt.state !== 'AUTHORIZED') this.#around.books.move(paying, 'AUTHORIZED');
    return { redirect: withQuery(paying.attempt.returnUrls.paid, { pg_token: paying.attempt.proof }) };
  }

  decline(paying: Paying, code: string | undefined): WayBack {
    const { cancelled, failed } = paying.attempt.returnUrls;
    this.#around.books.move(paying, code === undefined ? 'QUIT' : 'FAILED', code ?? null);
    return { redirect: code === undefined ? cancelled : failed };
  }

  #ready(fields: Fields): Answer {
    const { books, url } = this.#around;
    const orderId = textOf(fields, 'partner_order_id', 100);
    const userId = textOf(fields, 'partner_user_id', 100);
    const title = textOf(fields, 'item_name', 100);
    const quantity = amountOf(fields, 'quantity');
    const total = amountOf(fields, 'total_amount');
    const taxFree = amountOf(fields, 'tax_free_amount');
    const paid = webAddressOf(fields, 'approval_url', 255);
    const cancelled = webAddressOf(fields, 'cancel_url', 255);
    const failed = webAddressOf(fields, 'fail_url', 255);
    if (orderId === null || userId === null || title === null) return invalid('partner_order_id, partner_user_id or item_name');
    if (!quantity || !total || taxFree === null || taxFree > total) return invalid('quantity, total_amount or tax_free_amount');
    if (paid === null || cancelled === null || failed === null) return invalid('approval_url, cancel_url or fail_url');
    const vat = fields.vat_amount === undefined ? vatOf(total, taxFree) : amountOf(fields, 'vat_amount');
    if (vat === null || vat > total - taxFree) return invalid('vat_amount');
    const { attempt } = books.begin(this.provider, orderId, {
      reference: `T${randomBytes(10).toString('hex').slice(0, 19)}`,
      amountMinor: total,
      currency: 'KRW',
      title,
      returnUrls: { paid, cancelled, failed },
      terms: { userId, quantity: String(quantity), taxFree: String(taxFree), vat: String(vat) },
    });
    const page = `${url}/pay/${attempt.pageToken}`;
    return json(200, {
      tid: attempt.reference,
      tms_result: false,
      next_redirect_app_url: page,
      next_redirect_mobile_url: page,
      next_redirect_pc_url: page,
      android_app_scheme: 'kakaotalk://kakaopay/simulated',
      ios_app_scheme: 'kakaotalk://kakaopay/simulated',
      created_at: koreanLocal(attempt.preparedAt),
    });
  }

  #approve(fields: Fields, lie: Lie): Answer {
    const paying = this.#paying(fields);
    if (paying === null) return problem(KAKAOPAY_CODES.UNKNOWN_TID, 'tid not found!');
    const { order, attempt } = paying;
    if (fields.partner_order_id !== order.orderId) return problem(KAKAOPAY_CODES.ORDER_DIFFERS, 'partner_order_id differs from ready');
    if (fields.partner_user_id !== attempt.terms.userId) return problem(KAKAOPAY_CODES.USER_DIFFERS, 'partner_user_id differs from ready');
    if (fields.total_amount !== undefined && amountOf(fields, 'total_amount') !== attempt.amountMinor) {
      return problem(KAKAOPAY_CODES.AMOUNT_DIFFERS, 'total_amount differs from ready');
    }
    if (fields.payload !== undefined && textOf(fields, 'payload', 200, 0) === null) return invalid('payload');
    if (isCaptured(order)) return problem(KAKAOPAY_CODES.ALREADY_APPROVED, 'payment is already done!');
    if (attempt.state === 'FAILED') return refusal(attempt.failureCode ?? undefined);
    if (attempt.state !== 'AUTHORIZED') return problem(KAKAOPAY_CODES.NOT_AUTHENTICATED, 'payment is not authenticated');
    if (fields.pg_token !== attempt.proof) return problem(KAKAOPAY_CODES.WRONG_PG_TOKEN, 'pg_token is wrong');
    this.#around.books.capture(paying);
    return json(200, { aid: aid(), ...this.#described(paying, lie), amount: amounts(toldOf(paying, lie).amountMinor, attempt.terms) });
  }

  #cancel(fields: Fields, lie: Lie): Answer {
    const paying = this.#paying(fields);
    if (paying?.attempt.state !== 'CAPTURED') return problem(KAKAOPAY_CODES.UNKNOWN_TID, 'no approved payment has this tid!');
    const { order } = paying;
    const amount = amountOf(fields, 'cancel_amount');
    const taxFree = amountOf(fields, 'cancel_tax_free_amount');
    if (!amount || taxFree === null || taxFree > amount) return invalid('cancel_amount or cancel_tax_free_amount');
    if (amount > leftMinor(order)) return problem(KAKAOPAY_CODES.CANCEL_EXCEEDS_AVAILABLE, 'cancel_amount exceeds what can be cancelled');
    if (fields.cancel_available_amount !== undefined && amountOf(fields, 'cancel_available_amount') !== leftMinor(order)) {
      return problem(KAKAOPAY_CODES.WRONG_AMOUNT, 'cancel_available_amount is not what can be cancelled');
    }
    if (fields.payload !== undefined && textOf(fields, 'payload', 200, 0) === null) return invalid('payload');
    const refund = this.#around.books.refund(order, amount, '');
    const told = lie === 'AMOUNT' ? amount + 1_000 : amount;
    return json(200, {
      aid: aid(),
      ...this.#described(paying, lie),
      amount: amounts(toldOf(paying, null).amountMinor, paying.attempt.terms),
      status: statusOf(paying),
      approved_cancel_amount: amounts(told, {}),
      canceled_amount: amounts(refundedMinor(order), {}),
      cancel_available_amount: amounts(leftMinor(order), {}),
      canceled_at: koreanLocal(refund.at),
    });
  }

  #order(fields: Fields, lie: Lie): Answer {
    const paying = this.#paying(fields);
    if (paying === null) return problem(KAKAOPAY_CODES.UNKNOWN_TID, 'tid not found!');
    const { order, attempt } = paying;
    const isPaid = attempt.state === 'CAPTURED';
    const refunds = isPaid ? refundsOf(order) : [];
    const lastRefund = refunds.at(-1);
    return json(200, {
      ...this.#described(paying, lie),
      status: statusOf(paying),
      amount: amounts(toldOf(paying, lie).amountMinor, attempt.terms),
      canceled_amount: amounts(isPaid ? refundedMinor(order) : 0, {}),
      cancel_available_amount: amounts(isPaid ? leftMinor(order) : 0, {}),
      ...(lastRefund && { canceled_at: koreanLocal(lastRefund.at) }),
      payment_action_details: isPaid ? actions(order) : [],
    });
  }

  #described(paying: Paying, lie: Lie) {
    const { attempt } = paying;
    return {
      tid: attempt.reference,
      cid: this.#around.settings.KAKAOPAY.cid,
      partner_order_id: toldOf(paying, lie).orderId,
      partner_user_id: attempt.terms.userId,
      payment_method_type: 'MONEY',
      item_name: attempt.title,
      quantity: Number(attempt.terms.quantity),
      created_at: koreanLocal(attempt.preparedAt),
      ...(attempt.capturedAt && { approved_at: koreanLocal(attempt.capturedAt) }),
    };
  }

  /** Who may not call, and what is not KakaoPay's format. */
  #denied(request: FastifyRequest, fields: Fields | null): Answer | null {
    const { secretKey, cid } = this.#around.settings.KAKAOPAY;
    if (request.headers.authorization !== `SECRET_KEY ${secretKey}`) return problem(KAKAOPAY_CODES.UNAUTHORIZED, 'invalid secret key', 401);
    if (fields === null || !request.headers['content-type']?.startsWith('application/json')) return invalid('the body, which must be JSON');
    return fields.cid === cid ? null : problem(KAKAOPAY_CODES.UNKNOWN_CID, 'cid not found');
  }

  #refused(call: CallName, fields: Fields | null, code: string | undefined): Answer {
    // A number is an error code; a word is what the payment method said of an approval or a cancellation.
    if (code !== undefined && /^-\d+$/.test(code)) return problem(Number(code), 'refused');
    if (call === 'prepare') return invalid('the order');
    if (call === 'find') return problem(KAKAOPAY_CODES.UNKNOWN_TID, 'tid not found!');
    if (call === 'cancel') return problem(KAKAOPAY_CODES.CANCEL_FAILED, 'cancellation failure!');
    const paying = fields && this.#paying(fields);
    if (paying && !isCaptured(paying.order)) this.#around.books.move(paying, 'FAILED', code ?? null);
    return refusal(code);
  }

  #paying(fields: Fields): Paying | null {
    const tid = textOf(fields, 'tid', 20);
    return (tid !== null && this.#around.books.attempt(this.provider, tid)) || null;
  }

  #orderIdOf(fields: Fields | null): string | null {
    if (fields === null) return null;
    return this.#paying(fields)?.order.orderId ?? textOf(fields, 'partner_order_id', 100);
  }
}

function statusOf({ order, attempt }: Paying): string {
  switch (attempt.state) {
    case 'PREPARED':
      return 'READY';
    case 'OPENED':
      return 'OPEN_PAYMENT';
    case 'AUTHORIZED':
      return 'AUTH_PASSWORD';
    case 'CAPTURED':
      if (refundedMinor(order) === 0) return 'SUCCESS_PAYMENT';
      return leftMinor(order) === 0 ? 'CANCEL_PAYMENT' : 'PART_CANCEL_PAYMENT';
    case 'QUIT':
      return 'QUIT_PAYMENT';
    case 'FAILED':
    case 'VOIDED':
      return 'FAIL_PAYMENT';
    default:
      return attempt.state satisfies never;
  }
}

function amounts(total: number, terms: Record<string, string>) {
  const taxFree = Number(terms.taxFree ?? 0);
  return { total, tax_free: taxFree, vat: Number(terms.vat ?? vatOf(total, taxFree)), point: 0, discount: 0, green_deposit: 0 };
}

function actions(order: Order) {
  const described = ({ kind, amountMinor, at, reference }: Entry) => ({
    aid: `A${reference.slice(0, 19)}`,
    payment_action_type: kind === 'CAPTURE' ? 'PAYMENT' : 'CANCEL',
    payment_method_type: 'MONEY',
    amount: amountMinor,
    point_amount: 0,
    discount_amount: 0,
    green_deposit: 0,
    approved_at: koreanLocal(at),
  });
  return capturedMinor(order) === 0 ? [] : order.entries.map(described);
}

function vatOf(total: number, taxFree: number): number {
  return Math.round((total - taxFree) / 11);
}

function aid(): string {
  return `A${randomBytes(10).toString('hex').slice(0, 19)}`;
}

function refusal(code = 'USER_LOCKED'): Answer {
  return json(400, {
    error_code: KAKAOPAY_CODES.APPROVAL_FAILED,
    error_message: 'approval failure!',
    extras: { method_result_code: code, method_result_message: 'The payment method refused (simulated).' },
  });
}

function invalid(what: string): Answer {
  return problem(KAKAOPAY_CODES.INVALID_PARAMETER, `invalid parameter: ${what}`);
}

function problem(code: number, message: string, status = 400): Answer {
  return json(status, { error_code: code, error_message: message });
}
