import type { Payment, ProviderCapabilities, Refund } from '../payments/index.ts';

/** What to do for a payment next. `ABANDON` asks nobody. */
export type Step = 'APPROVE' | 'FIND' | 'VOID' | 'REFUND' | 'ABANDON';

export interface Situation {
  payment: Payment;
  /** The open refund; null where there is none. */
  refund: Refund | null;
  capabilities: ProviderCapabilities;
  /** Somebody rang: a webhook, the browser, an operator. */
  isAsked: boolean;
  now: Date;
}

/** Somebody is asking the provider about it, for as long as a call can take. */
export const isBusy = ({ busyUntil }: Payment, now: Date): boolean => busyUntil != null && busyUntil > now;

/** The customer has agreed, or the provider is being asked: it can neither be given up nor replaced now. */
export const isUnderWay = (payment: Payment, now: Date): boolean =>
  payment.customerAuthorization != null || payment.approvingAt != null || isBusy(payment, now);

/** What is left to do for a payment at this moment, or null. It looks at what is stored and at nothing else, so any process comes to the same. */
export function nextStep({ payment, refund, capabilities, isAsked, now }: Situation): Step | null {
  if (isBusy(payment, now)) return null;
  if (!payment.provider) return null;
  const isDue = payment.nextLookAt != null && payment.nextLookAt <= now;
  switch (payment.state) {
    case 'PENDING': {
      if (!payment.isCurrent) return isDue ? 'ABANDON' : null;
      // Sent once, it is not sent again before it is known what became of it.
      if (payment.approvingAt) return capabilities.statusQuery ? 'FIND' : 'VOID';
      if (payment.customerAuthorization) return 'APPROVE';
      const isOver = payment.payBy != null && payment.payBy <= now;
      if (capabilities.statusQuery) return isAsked || isOver ? 'FIND' : null;
      return isOver ? 'ABANDON' : null;
    }
    case 'REFUNDING':
      if (!refund) throw new Error(`Payment ${payment.id} is REFUNDING and has no open refund.`);
      if (!refund.sentAt) return 'REFUND';
      if (capabilities.statusQuery) return 'FIND';
      return isRepeatable(payment, refund, capabilities) ? 'REFUND' : null;
    case 'APPROVED':
    case 'REFUNDED':
      return isAsked && capabilities.statusQuery ? 'FIND' : null;
    case 'REFUSED':
    case 'ABANDONED':
      // The customer came back after the time was over; whoever stored the authorization has seen that there is a place again.
      if (payment.endedBecause === 'TIMED_OUT' && payment.customerAuthorization && !payment.approvingAt) return 'APPROVE';
      if (!isAsked && !isDue) return null;
      if (capabilities.statusQuery) return payment.checkout ? 'FIND' : null;
      return payment.approvingAt ? 'VOID' : null;
    default:
      return payment.state satisfies never;
  }
}

/** Whether a refund without an answer may be sent again. Where nothing guards against two, only one that gives everything back: the second is refused. */
export const isRepeatable = (payment: Payment, refund: Refund, capabilities: ProviderCapabilities): boolean =>
  capabilities.idempotencyKey || capabilities.partialRefundGuard || refund.amountMinor === payment.capturedMinor;

/** The customer agreed and the provider never carried it out: our own refusal code, for what the provider did not refuse. */
export const NOT_APPROVED = 'NOT_APPROVED';

/** Whether money may still come for a payment that has ended without any: then it is looked at again for a day. */
export const mayBePaidLate = (payment: Payment, capabilities: ProviderCapabilities): boolean =>
  payment.checkout !== null &&
  capabilities.statusQuery &&
  (payment.state === 'ABANDONED' ? capabilities.capturesByItself : payment.refusalCode === NOT_APPROVED);
