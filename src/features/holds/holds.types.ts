import { Field, ID, Int, InterfaceType, ObjectType, registerEnumType } from 'type-graphql';
import type { Availability } from '../../inventory/availability.ts';
import { IF_PAID_LATE, type IfPaidLate } from '../../inventory/claim.ts';
import { HOLD_STATES, type HoldState } from '../../inventory/hold-states.ts';
import { kindOf } from '../../inventory/kind.ts';
import type { HoldView } from '../../inventory/read-holds.ts';
import { enumOf } from '../../platform/graphql/enums.ts';
import { Money } from '../../platform/graphql/money.ts';
import { toNodeId } from '../../platform/graphql/node-ids.ts';

export const HoldStateEnum = enumOf(HOLD_STATES);

registerEnumType(HoldStateEnum, {
  name: 'HoldState',
  description: 'Where a hold is in its life. It moves forward only, and each step is taken once.',
  valuesConfig: {
    HELD: { description: 'Yours until `expiresAt`. Pay before that, or the place goes to somebody else.' },
    PAYING: { description: 'The payment provider has been asked and its answer is awaited. The deadline no longer runs.' },
    CONFIRMED: { description: 'Paid. The place is yours.' },
    RELEASED: { description: 'Given up before payment, or the payment was refused. Nothing was charged.' },
    EXPIRED: { description: 'Not paid by the deadline. Nothing was charged.' },
    RETURNED: { description: 'Cancelled after payment; the money went back.' },
  },
});

export const LatePaymentChoiceEnum = enumOf(IF_PAID_LATE);

registerEnumType(LatePaymentChoiceEnum, {
  name: 'LatePaymentChoice',
  description:
    'What happens if your payment comes through only after the place was given up: your bank took too long, or the connection broke.',
  valuesConfig: {
    SAME_OR_EQUAL: {
      description: 'You get the same again if it is still free, else an equal one at the same price, else all your money back.',
    },
    SAME: { description: 'You get the same again if it is still free, else all your money back.' },
    REFUND: { description: 'You get all your money back, even if the same is still free.' },
  },
});

@InterfaceType('Hold', {
  description: 'Something limited that is kept for one member until a deadline. Only that member (and administrators) may read it.',
  resolveType: (hold: HoldView) => kindOf(hold.kind).holdType ?? undefined,
})
export abstract class HoldType {
  @Field(() => ID, { description: 'The opaque id of the concrete type; every mutation that takes a hold takes this id.' })
  id!: string;

  @Field(() => HoldStateEnum, { description: 'Where it is in its life.' })
  state!: HoldState;

  @Field(() => Money, { description: 'The price of everything in it, fixed when it was placed.' })
  amount!: Money;

  @Field(() => Date, { description: 'The deadline to start paying, by the database clock. Says nothing once the state is not `HELD`.' })
  expiresAt!: Date;

  @Field(() => Date, { description: 'When it was placed.' })
  createdAt!: Date;

  @Field(() => LatePaymentChoiceEnum, { description: 'What was chosen for a payment that comes through too late.' })
  ifPaidLate!: IfPaidLate;

  @Field(() => Int, { description: 'Grows with every change: of two states of one hold the one with the larger version is newer.' })
  version!: number;
}

/** The opaque id of a hold, of its concrete type. */
export const holdNodeId = (hold: Pick<HoldView, 'kind' | 'id'>) => toNodeId(kindOf(hold.kind).holdType ?? 'Hold', hold.id);

@ObjectType('Availability', {
  description:
    'How much of a limited thing is left. Free = capacity − sold − held, where unpaid holds past their deadline count for nothing.',
})
export class AvailabilityType implements Omit<Availability, 'kind'> {
  @Field(() => ID, { description: 'The id of the thing this is about, for example of the lesson.' })
  id!: string;

  @Field(() => Int, { description: 'Places in all.' })
  capacity!: number;

  @Field(() => Int, { description: 'Places that can be claimed now.' })
  free!: number;

  @Field(() => Int, { description: 'Places held and not yet paid.' })
  held!: number;

  @Field(() => Int, { description: 'Places paid for.' })
  sold!: number;

  @Field(() => Int, { description: 'Grows with every change: of two states of one thing the one with the larger version is newer.' })
  version!: number;

  @Field(() => Date, { description: 'When this was true, by the database clock.' })
  at!: Date;
}
