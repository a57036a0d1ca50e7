import { Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import { enumOf } from '../../platform/graphql/enums.ts';
import { Money } from '../../platform/graphql/money.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import { PAYMENT_STATES, type PaymentState } from './payment.entity.ts';
import { SANDBOX_OUTCOMES, type SandboxOutcome } from './sandbox.ts';

export const PaymentStateEnum = enumOf(PAYMENT_STATES);
registerEnumType(PaymentStateEnum, {
  name: 'PaymentState',
  description: 'Where a payment is.',
  valuesConfig: {
    PENDING: { description: 'The provider has been asked and its answer is not known yet. It is asked again until it is known.' },
    APPROVED: { description: 'The money was taken.' },
    REFUSED: { description: 'The provider refused. No money was taken.' },
    REFUNDING: { description: 'The provider has been asked to give the money back.' },
    REFUNDED: { description: 'The money went back.' },
  },
});

export const PaymentProviderEnum = enumOf(['SANDBOX'] as const);
registerEnumType(PaymentProviderEnum, {
  name: 'PaymentProvider',
  description: 'Who takes the money.',
  valuesConfig: { SANDBOX: { description: 'Nobody: approves at once, or refuses on request. Not available in production.' } },
});

export const SandboxOutcomeEnum = enumOf(SANDBOX_OUTCOMES) satisfies { [O in SandboxOutcome]: O };
registerEnumType(SandboxOutcomeEnum, {
  name: 'SandboxOutcome',
  description: 'What the sandbox shall answer.',
  valuesConfig: { APPROVE: { description: 'The payment is approved.' }, REFUSE: { description: 'The payment is refused.' } },
});

@ObjectType('Payment', { implements: Node, description: 'The payment of one hold. Readable by its member and by administrators.' })
export class PaymentType {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => PaymentStateEnum, { description: 'Where it is.' })
  state!: PaymentState;

  @Field(() => PaymentProviderEnum, { description: 'Who takes the money.' })
  provider!: string;

  @Field(() => Money, { description: 'The price that was fixed when the hold was placed.' })
  amount?: Money;

  @Field(() => Date, { description: 'When payment began.' })
  createdAt!: Date;
}
