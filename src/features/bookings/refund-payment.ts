import type { Database } from '../../platform/database/database.ts';
import { IdempotencyKeyReusedError, requestHash } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { Payment, Refund } from '../payments/index.ts';
import {
  PaymentNotFoundError,
  PaymentNotRefundableError,
  ReconciliationNotNeededError,
  RefundExceedsPaymentError,
} from './bookings.errors.ts';
import type { Conclusions } from './conclusions.ts';
import { lockPayment, type PaymentSaga, type Taken } from './payment-saga.ts';

export interface RefundRequest {
  paymentId: string;
  /** Null: all that is left. */
  amountMinor: number | null;
  /** Whether the places go back too. Giving back all that is left always does. */
  cancelsBooking: boolean;
  reason: string;
  askedBy: { memberId: string; isAdministrator: boolean };
  idempotencyKey: string;
}

export interface RefundParts {
  database: Database;
  saga: PaymentSaga;
  conclusions: Conclusions;
}

/** Money back by the organizer or an administrator, whatever the cancellation policy says. */
export class RefundPayment {
  constructor(private readonly parts: RefundParts) {}

  async refund(request: RefundRequest): Promise<Refund | Refusal> {
    const { paymentId, amountMinor, cancelsBooking, reason, askedBy, idempotencyKey } = request;
    const hash = requestHash('refundPayment', { paymentId, amountMinor, cancelsBooking, reason });
    const opened = await this.parts.database.transact<{ refund: Refund; taken: Taken | null } | Refusal>(
      async (em) => {
        const locked = (await em.count(Payment, { id: paymentId })) ? await lockPayment(em, paymentId) : null;
        const payment = locked?.payment;
        if (!payment || !(askedBy.isAdministrator || payment.organizerId === askedBy.memberId)) return new PaymentNotFoundError();
        const repeated = await em.findOne(Refund, { askedBy: askedBy.memberId, idempotencyKey });
        if (repeated) {
          const isSame = repeated.requestHash && Buffer.from(repeated.requestHash).equals(hash);
          return isSame ? { refund: repeated, taken: null } : new IdempotencyKeyReusedError();
        }
        const leftMinor = payment.capturedMinor - payment.refundedMinor;
        if (payment.state !== 'APPROVED' || leftMinor === 0) return new PaymentNotRefundableError(payment.state);
        const wanted = amountMinor ?? leftMinor;
        if (wanted < 1 || wanted > leftMinor) return new RefundExceedsPaymentError(leftMinor, payment.currency);
        const refund = this.parts.conclusions.openRefund(em, payment, {
          amountMinor: wanted,
          cause: 'GRANTED',
          reason,
          givesBack: cancelsBooking || wanted === leftMinor,
          askedBy: askedBy.memberId,
          idempotencyKey,
          requestHash: hash,
        });
        return { refund, taken: this.parts.saga.takeRefund(payment, refund, locked.now) };
      },
      { name: 'open-refund' },
    );
    if (opened instanceof Refusal) return opened;
    await (opened.taken ? this.parts.saga.send(opened.taken) : this.parts.saga.advance(paymentId));
    return this.parts.database.fork().findOneOrFail(Refund, { id: opened.refund.id });
  }

  /**
   * Says for an operator, who looked in the provider's console, what became of a refund that nobody can ask about. Refused while it can still be asked
   * about or sent again.
   */
  async conclude(paymentId: string, wasRefunded: boolean): Promise<Payment | Refusal> {
    const refused = await this.parts.database.transact<Refusal | undefined>(
      async (em) => {
        if (!(await em.count(Payment, { id: paymentId }))) return new PaymentNotFoundError();
        const { payment, now } = await lockPayment(em, paymentId);
        const refund = payment.state === 'REFUNDING' ? await em.findOneOrFail(Refund, { paymentId, state: 'OPEN' }) : null;
        if (!refund?.sentAt || !this.parts.saga.isStranded(payment, refund, now)) return new ReconciliationNotNeededError();
        if (wasRefunded) await this.parts.conclusions.refunded(em, payment, refund);
        else {
          // Certainly not done: it is sent again.
          refund.sentAt = null;
          payment.nextLookAt = now;
        }
        return undefined;
      },
      { name: 'conclude-stranded-refund' },
    );
    if (refused) return refused;
    return this.parts.saga.advance(paymentId);
  }
}
