/** What a provider is asked about: our payment, whose id it must treat as an idempotency key. */
export interface PaymentOrder {
  paymentId: string;
  amountMinor: number;
  currency: string;
  /** What the member chose at this provider; its shape is the provider's own. */
  request: Record<string, unknown>;
}

/** `UNKNOWN`: nobody can say yet whether money moved. It is asked again, never guessed. */
export type ProviderAnswer =
  | { outcome: 'APPROVED' }
  | { outcome: 'REFUSED'; code: string }
  | { outcome: 'REFUNDED' }
  | { outcome: 'UNKNOWN' };

/**
 * The seam to a payment provider. Each call may be repeated for the same payment, by another process, after a crash: it has one effect and the same
 * answer. Anything that is not a definite answer is `UNKNOWN`; it does not throw for what the outside world does.
 */
export interface PaymentProvider {
  readonly name: string;
  /** Charges the order, or tells what became of the charge. */
  approve(order: PaymentOrder): Promise<ProviderAnswer>;
  /** Gives the whole amount back. */
  refund(order: PaymentOrder): Promise<ProviderAnswer>;
}
