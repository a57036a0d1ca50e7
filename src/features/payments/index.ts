import type pg from 'pg';
import { ledgerChecks } from '../../ledger/ledger.checks.ts';
import type { Feature } from '../feature.ts';
import { PaymentSchema } from './payment.entity.ts';
import type { ProviderName } from './payment-provider.ts';
import { paymentsChecks } from './payments.checks.ts';
import { PaymentsResolver, RefundResolver } from './payments.resolver.ts';
import { RefundSchema } from './refund.entity.ts';

/** Payments, refunds, and the adapters of the providers. */
export const payments: Feature = {
  name: 'payments',
  entities: [PaymentSchema, RefundSchema],
  resolvers: [PaymentsResolver, RefundResolver],
  checks: [...paymentsChecks, ...ledgerChecks],
};

export const paymentsResolvers = (pool: pg.Pool, offered: readonly ProviderName[]): object[] => [new PaymentsResolver(pool, offered)];

export type { Exchange, Operation, OutcomeClass, RecordExchange } from './exchange.ts';
export { ExchangeLog } from './exchange-log.ts';
export { type AbandonCause, type LateOutcome, Payment, type PaymentState } from './payment.entity.ts';
export { PaymentProviderEnum, PaymentStateEnum, PaymentType, RefundType } from './payment.types.ts';
export * from './payment-provider.ts';
export { paymentById, visiblePayment } from './payments.resolver.ts';
export { type ProviderSettings, type ProviderTimeouts, paymentProviders } from './providers/index.ts';
export { paymentsOf } from './read-payments.ts';
export { Refund, type RefundCause, type RefundState } from './refund.entity.ts';
