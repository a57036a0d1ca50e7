import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Connection } from '../../platform/graphql/connections.ts';
import { enumOf } from '../../platform/graphql/enums.ts';
import { Money } from '../../platform/graphql/money.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { HoldType } from '../holds/index.ts';
import { OPERATIONS } from './exchange.ts';
import { ABANDON_CAUSES, LATE_OUTCOMES, PAYMENT_STATES, type PaymentState } from './payment.entity.ts';
import { PROVIDERS, type ProviderName } from './payment-provider.ts';
import { REFUND_CAUSES, REFUND_STATES, type RefundCause, type RefundState } from './refund.entity.ts';

export const PaymentStateEnum = enumOf(PAYMENT_STATES);
registerEnumType(PaymentStateEnum, {
  name: 'PaymentState',
  description: 'Where a payment is.',
  valuesConfig: {
    PENDING: { description: 'The customer may pay, or the outcome is not known yet. It never says failed while money could have moved.' },
    APPROVED: { description: 'The money was taken and the booking is confirmed. A part of it may have gone back since.' },
    REFUSED: { description: 'The provider refused. No money was taken and the place went back.' },
    ABANDONED: { description: 'Nobody paid: the time ran out, the member gave up, or began another payment. No money was taken.' },
    REFUNDING: { description: 'Money is on its way back.' },
    REFUNDED: { description: 'Everything that was to go back has gone back, and the booking has ended.' },
  },
});

export const PaymentProviderEnum = enumOf(PROVIDERS);
registerEnumType(PaymentProviderEnum, {
  name: 'PaymentProvider',
  description: 'Who takes the money. Which of them a server offers is its operator’s choice: see `paymentProviders`.',
  valuesConfig: {
    KAKAOPAY: { description: 'KakaoPay, single payment.' },
    TOSS: { description: 'Toss Payments.' },
    PORTONE: { description: 'PortOne V2.' },
    KISPG: { description: 'KISPG V2.' },
  },
});

const AbandonCauseEnum = enumOf(ABANDON_CAUSES);
registerEnumType(AbandonCauseEnum, {
  name: 'AbandonCause',
  description: 'Why a payment was abandoned.',
  valuesConfig: {
    TIMED_OUT: { description: 'It was not paid by `payBy`.' },
    GIVEN_UP: { description: 'The member cancelled.' },
    REPLACED: { description: 'The member began another payment of the same hold.' },
    NOT_PREPARED: { description: 'The provider never learned of it.' },
  },
});

const LateOutcomeEnum = enumOf(LATE_OUTCOMES);
registerEnumType(LateOutcomeEnum, {
  name: 'LateOutcome',
  description: 'What became of money that came after the place was lost.',
  valuesConfig: {
    SAME: { description: 'The same place was still free and is booked.' },
    EQUAL: { description: 'An equal one was free and is booked.' },
    REFUND: { description: 'The money goes back.' },
  },
});

const RefundStateEnum = enumOf(REFUND_STATES);
registerEnumType(RefundStateEnum, {
  name: 'RefundState',
  description: 'Where a refund is.',
  valuesConfig: {
    OPEN: { description: 'The provider has been asked, or will be. It is asked until the outcome is known.' },
    DONE: { description: 'The money went back.' },
    REFUSED: { description: 'The provider refused; the booking stays as it was.' },
  },
});

const RefundCauseEnum = enumOf(REFUND_CAUSES);
registerEnumType(RefundCauseEnum, {
  name: 'RefundCause',
  description: 'Why money goes back.',
  valuesConfig: {
    CANCELLED: { description: 'The member cancelled, within the cancellation policy.' },
    PAID_LATE: { description: 'It was paid after the place was lost.' },
    GRANTED: { description: 'The organizer or an administrator gave it back.' },
    AT_PROVIDER: { description: 'It was given back at the provider, and found there.' },
  },
});

const OperationEnum = enumOf(OPERATIONS);
registerEnumType(OperationEnum, {
  name: 'ProviderOperation',
  description: 'What a provider was asked to do.',
  valuesConfig: {
    PREPARE: { description: 'To expect a payment. Moves no money.' },
    APPROVE: { description: 'To take the money.' },
    FIND: { description: 'What became of it.' },
    VOID: { description: 'To take back an approval whose answer was lost.' },
    REFUND: { description: 'To give money back.' },
  },
});

@ObjectType('CheckoutField', { description: 'One field of the form that leads to the provider.' })
export class CheckoutFieldType {
  @Field(() => String, { description: 'Its name.' })
  name!: string;

  @Field(() => String, { description: 'Its value.' })
  value!: string;
}

@ObjectType('Checkout', { description: "Where the customer pays: the provider's own page." })
export class CheckoutType {
  @Field(() => String, { description: 'Its address. With `GET` it is complete and can be opened as it is.' })
  url!: string;

  @Field(() => String, { description: '`GET`: open `url`. `POST`: submit a form with `fields` to it.' })
  method!: 'GET' | 'POST';

  @Price(0, { size: 20 })
  @Field(() => [CheckoutFieldType], { description: 'The fields of the form, in order; empty with `GET`. At most 30.' })
  fields!: CheckoutFieldType[];
}

@ObjectType('Refund', { description: 'Money of a payment on its way back, or back.' })
export class RefundType {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => RefundStateEnum, { description: 'Where it is.' })
  state!: RefundState;

  @Field(() => RefundCauseEnum, { description: 'Why it goes back.' })
  cause!: RefundCause;

  @Field(() => String, { description: 'What was said about it, as its author wrote it.' })
  reason!: string;

  @Field(() => Money, { description: 'How much.' })
  amount?: Money;

  @Field(() => Boolean, { description: 'Whether the booking ends with it and the places go back.' })
  givesBack!: boolean;

  @Field(() => Date, { description: 'When it was decided.' })
  createdAt!: Date;

  @Field(() => Date, { nullable: true, description: 'When its outcome was known. Null while it is open.' })
  concludedAt!: Date | null;
}

@ObjectType('ProviderExchange', { description: 'One request to a provider and its answer, without secrets.' })
export class ProviderExchangeType {
  @Field(() => OperationEnum, { description: 'What was asked.' })
  operation!: string;

  @Field(() => String, { description: '`DONE`, `REFUSED` or `UNKNOWN`.' })
  outcome!: string;

  @Field(() => String, {
    nullable: true,
    description: "The provider's code of a refusal, or why the outcome is unknown. Null when it was done.",
  })
  code!: string | null;

  @Field(() => Int, { nullable: true, description: 'The HTTP status. Null when no answer came.' })
  status!: number | null;

  @Field(() => String, { description: 'Method and address, or the function of the vendor’s SDK.' })
  request!: string;

  @Field(() => String, { nullable: true, description: 'What was sent, as JSON. Null for nothing.' })
  requestBody!: string | null;

  @Field(() => String, { nullable: true, description: 'What came back, as JSON. Null for nothing.' })
  responseBody!: string | null;

  @Field(() => Int, { description: 'Milliseconds until the answer.' })
  latencyMs!: number;

  @Field(() => Date, { description: 'When it ended.' })
  at!: Date;
}

@ObjectType('Payment', {
  implements: Node,
  description: 'One try to pay a hold. Readable by its member and by administrators.',
})
export class PaymentType {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => PaymentStateEnum, { description: 'Where it is.' })
  state!: PaymentState;

  @Field(() => PaymentProviderEnum, { nullable: true, description: 'Who takes the money. Null where there was nothing to pay.' })
  provider!: ProviderName | null;

  @Field(() => Money, { description: 'The price that was fixed when the hold was placed.' })
  amount?: Money;

  @Field(() => Money, { description: 'What the provider took; 0 until then.' })
  captured?: Money;

  @Field(() => Money, { description: 'What of it went back.' })
  refunded?: Money;

  @Price(0)
  @Field(() => CheckoutType, {
    nullable: true,
    description: 'Where to send the customer. Null once there is nothing to do there any more, and for anyone but the member.',
  })
  checkout?: CheckoutType | null;

  @Field(() => Date, {
    nullable: true,
    description: 'Until when the customer can pay. Null before payment began and where nothing is to be paid.',
  })
  payBy!: Date | null;

  @Field(() => String, {
    nullable: true,
    description: "Of a refused payment the provider's code; `NOT_APPROVED` where it never carried it out.",
  })
  refusalCode!: string | null;

  @Field(() => AbandonCauseEnum, { nullable: true, description: 'Why nobody paid. Null unless it was abandoned.' })
  endedBecause!: string | null;

  @Field(() => LateOutcomeEnum, {
    nullable: true,
    description: 'What became of money that came too late. Null for everybody who paid in time.',
  })
  lateOutcome!: string | null;

  @Price(1)
  @Field(() => HoldType, { nullable: true, description: 'What is paid: the hold this payment stands for now.' })
  hold?: HoldType | null;

  @Price(1, { size: 10 })
  @Field(() => [RefundType], { description: 'Its refunds, oldest first, at most 100.' })
  refunds?: RefundType[];

  @Price(1, { size: 20 })
  @Field(() => [ProviderExchangeType], {
    nullable: true,
    description: 'What was said to the provider, newest first, at most 20. Needs the role ADMIN: null, with an error, for others.',
  })
  exchanges?: ProviderExchangeType[] | null;

  @Field(() => Date, { description: 'When it was begun.' })
  createdAt!: Date;
}

export const { ConnectionType: PaymentConnection, EdgeType: PaymentEdge } = Connection('Payment', PaymentType);
