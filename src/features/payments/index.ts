import type { Feature } from '../feature.ts';
import { PaymentSchema } from './payment.entity.ts';
import { PaymentsResolver } from './payments.resolver.ts';

/** Payments and the seam to the providers. */
export const payments: Feature = {
  name: 'payments',
  entities: [PaymentSchema],
  resolvers: [PaymentsResolver],
  checks: [
    {
      name: 'payment-agrees-with-hold',
      promise: 'A confirmed hold has an approved payment, a returned one has its money back, and no money is kept for a hold that is gone.',
      sql: `
        select h.id, h.state, p.state as payment from hold h left join payment p on p.hold_id = h.id
        where h.state = 'CONFIRMED' and p.state not in ('APPROVED', 'REFUNDING')
           or h.state = 'CONFIRMED' and p.id is null
           or h.state = 'RETURNED' and p.state is distinct from 'REFUNDED'
           or h.state = 'PAYING' and p.state is distinct from 'PENDING'
           or h.state in ('HELD', 'EXPIRED') and p.id is not null
           or h.state = 'RELEASED' and p.id is not null and p.state <> 'REFUSED'`,
    },
  ],
};

export { Payment, type PaymentState } from './payment.entity.ts';
export { PaymentProviderEnum, PaymentType, SandboxOutcomeEnum } from './payment.types.ts';
export type { PaymentOrder, PaymentProvider, ProviderAnswer } from './payment-provider.ts';
export { visiblePayment } from './payments.resolver.ts';
export { type SandboxOutcome, SandboxProvider } from './sandbox.ts';
