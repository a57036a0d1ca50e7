import type pg from 'pg';
import type { PaymentOrder, PaymentProvider, ProviderAnswer } from './payment-provider.ts';

export const SANDBOX_OUTCOMES = ['APPROVE', 'REFUSE'] as const;
export type SandboxOutcome = (typeof SANDBOX_OUTCOMES)[number];

const REFUSAL_CODE = 'SANDBOX_REFUSED';

/** A provider without money: approves at once, or refuses when asked to. Its ledger is a table of its own, outside the booking's transactions. */
export class SandboxProvider implements PaymentProvider {
  readonly name = 'SANDBOX';

  constructor(private readonly pool: pg.Pool) {}

  async approve(order: PaymentOrder): Promise<ProviderAnswer> {
    const wanted = order.request.outcome === 'REFUSE' ? 'REFUSED' : 'APPROVED';
    await this.pool.query(
      'insert into sandbox_charge (payment_id, state, amount_minor, currency) values ($1, $2, $3, $4) on conflict do nothing',
      [order.paymentId, wanted, order.amountMinor, order.currency],
    );
    return this.answerFor(order);
  }

  async refund(order: PaymentOrder): Promise<ProviderAnswer> {
    await this.pool.query("update sandbox_charge set state = 'REFUNDED' where payment_id = $1 and state = 'APPROVED'", [order.paymentId]);
    return this.answerFor(order);
  }

  private async answerFor(order: PaymentOrder): Promise<ProviderAnswer> {
    const { rows } = await this.pool.query('select state from sandbox_charge where payment_id = $1', [order.paymentId]);
    switch (rows[0]?.state) {
      case 'APPROVED':
        return { outcome: 'APPROVED' };
      case 'REFUNDED':
        return { outcome: 'REFUNDED' };
      case 'REFUSED':
        return { outcome: 'REFUSED', code: REFUSAL_CODE };
      default:
        return { outcome: 'UNKNOWN' };
    }
  }
}
