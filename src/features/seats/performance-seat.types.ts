import { Field, ObjectType } from 'type-graphql';
import { Money } from '../../platform/graphql/money.ts';
import { Price } from '../../platform/graphql/price.ts';
import { TierType } from '../events/index.ts';
import { type PlanSeat, SeatType } from '../venues/index.ts';

/** A numbered seat of one performance: what the plan says of it, and what it costs there. */
export interface PerformanceSeat {
  seat: PlanSeat;
  tierId: string;
  priceMinor: number;
}

@ObjectType('PerformanceSeat', { description: 'A numbered seat of one performance. Anyone may read it.' })
export class PerformanceSeatType implements Pick<PerformanceSeat, 'seat'> {
  @Price(0)
  @Field(() => SeatType, { description: 'The seat in the plan of the venue.' })
  seat!: PlanSeat;

  @Price(1)
  @Field(() => TierType, { description: 'The tier that prices it.' })
  tier?: TierType;

  @Price(0)
  @Field(() => Money, { description: 'What it costs now. A hold keeps the `amount` it was placed at.' })
  price?: Money;
}

/** Seats that make a good choice, as found for one question. */
export interface SeatChoice {
  seats: PerformanceSeat[];
  isTogether: boolean;
  leavesSingle: boolean;
}

@ObjectType('SeatGroup', {
  description: 'Free seats for a party. They are not kept: hold them with `holdTickets` before somebody else does.',
})
export class SeatGroupType implements Pick<SeatChoice, 'isTogether' | 'leavesSingle'> {
  @Price(0, { size: 10 })
  @Field(() => [PerformanceSeatType], { description: 'The seats by number, at most 50.' })
  seats!: PerformanceSeatType[];

  @Price(0)
  @Field(() => Money, { description: 'What they cost now, all together.' })
  total?: Money;

  @Field(() => Boolean, {
    description:
      'Whether they are next to each other in one row. False: in few parts, in rows of one section as near to each other as possible.',
  })
  isTogether!: boolean;

  @Field(() => Boolean, {
    description: 'Whether a free seat beside them is left with no free neighbour. True only where every group of the kind leaves one.',
  })
  leavesSingle!: boolean;
}
