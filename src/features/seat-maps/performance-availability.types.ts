import { Field, Int, ObjectType } from 'type-graphql';
import { Money } from '../../platform/graphql/money.ts';
import { Price } from '../../platform/graphql/price.ts';
import { TierType } from '../events/index.ts';
import type { SectionAvailability, TierAvailability } from './performance-availability.ts';

@ObjectType('TierAvailability', { description: 'How much of one tier of a performance is left.' })
export class TierAvailabilityType implements Pick<TierAvailability, 'capacity' | 'free'> {
  @Price(1)
  @Field(() => TierType, { nullable: true, description: 'The tier. Null if it was removed a moment ago.' })
  tier?: TierType | null;

  @Price(0)
  @Field(() => Money, { description: 'The price of one seat or place.' })
  price?: Money;

  @Field(() => Int, { description: 'Seats or places on sale in all, free or taken.' })
  capacity!: number;

  @Field(() => Int, {
    description:
      'Seats or places that can be taken now. A seat whose hold has run out counts from when it is tidied, about a second later.',
  })
  free!: number;
}

@ObjectType('SectionAvailability', { description: 'How much of one section with numbered seats is left.' })
export class SectionAvailabilityType implements Pick<SectionAvailability, 'section' | 'capacity' | 'free'> {
  @Field(() => String, { description: 'The name of the section.' })
  section!: string;

  @Price(0)
  @Field(() => Money, { nullable: true, description: 'The price of its cheapest seats, taken ones too. Null if none of them has a price.' })
  priceFrom?: Money | null;

  @Field(() => Int, { description: 'Seats on sale in all, free or taken.' })
  capacity!: number;

  @Field(() => Int, {
    description: 'Seats that can be taken now. One whose hold has run out counts from when it is tidied, about a second later.',
  })
  free!: number;
}
