import { createHash } from 'node:crypto';
import type { AccountName, Transfer } from '../../ledger/ledger.ts';
import type { Payment, Refund } from '../payments/index.ts';

/** The house sells what no organizer owns. */
const HOUSE = '';

/**
 * What each step of a payment writes into the ledger. Credits are positive: what we owe or have earned. Money that was captured waits in the deposits until it
 * is booked or goes back, so at rest the deposits are empty.
 */
export class Books {
  constructor(
    /** Our share of what is booked, in hundredths of a percent. */
    private readonly feeBasisPoints: number,
  ) {}

  captured(payment: Payment): Transfer {
    return {
      id: derivedId('capture', payment.id),
      kind: 'capture',
      subjectId: payment.id,
      entries: [
        { account: clearing(payment), amountMinor: -payment.capturedMinor },
        { account: deposits(payment), amountMinor: payment.capturedMinor },
      ],
    };
  }

  /** What was captured becomes the organizer's, less our fee. */
  booked(payment: Payment): Transfer {
    const kept = payment.capturedMinor - payment.refundedMinor;
    return {
      id: derivedId('booking', payment.id),
      kind: 'booking',
      subjectId: payment.id,
      entries: withoutZeros([
        { account: deposits(payment), amountMinor: -kept },
        { account: payable(payment), amountMinor: kept - this.fee(kept) },
        { account: fees(payment), amountMinor: this.fee(kept) },
      ]),
    };
  }

  /** Money that went back, before `payment.refundedMinor` counts it: out of the organizer's share and our fee, or out of the deposits if it was never booked. */
  refunded(payment: Payment, refund: Pick<Refund, 'id' | 'amountMinor'>, wasBooked: boolean): Transfer {
    const kept = payment.capturedMinor - payment.refundedMinor;
    // Of every rest the fee is the same whatever way led to it, so rounding never adds up.
    const fee = this.fee(kept) - this.fee(kept - refund.amountMinor);
    return {
      id: refund.id,
      kind: 'refund',
      subjectId: payment.id,
      entries: withoutZeros([
        { account: clearing(payment), amountMinor: refund.amountMinor },
        ...(wasBooked
          ? [
              { account: payable(payment), amountMinor: fee - refund.amountMinor },
              { account: fees(payment), amountMinor: -fee },
            ]
          : [{ account: deposits(payment), amountMinor: -refund.amountMinor }]),
      ]),
    };
  }

  private fee(amountMinor: number): number {
    return Math.floor((amountMinor * this.feeBasisPoints) / 10_000);
  }
}

const withoutZeros = <Entry extends { amountMinor: number }>(entries: Entry[]) => entries.filter(({ amountMinor }) => amountMinor !== 0);

const clearing = ({ provider, currency }: Payment): AccountName => ({ kind: 'PROVIDER_CLEARING', owner: provider ?? '', currency });
const deposits = ({ currency }: Payment): AccountName => ({ kind: 'CUSTOMER_DEPOSITS', owner: '', currency });
const payable = ({ organizerId, currency }: Payment): AccountName => ({ kind: 'ORGANIZER_PAYABLE', owner: organizerId ?? HOUSE, currency });
const fees = ({ currency }: Payment): AccountName => ({ kind: 'PLATFORM_FEES', owner: '', currency });

/** The same UUID (version 8) for the same step of the same thing, in whatever process: a transfer posts once however often the step is taken. */
export function derivedId(step: string, id: string): string {
  const digest = createHash('sha256').update(`${step} ${id}`).digest();
  digest[6] = ((digest[6] as number) & 0x0f) | 0x80;
  digest[8] = ((digest[8] as number) & 0x3f) | 0x80;
  const hex = digest.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}
