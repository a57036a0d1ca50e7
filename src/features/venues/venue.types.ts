import { Field, Float, ID, Int, ObjectType } from 'type-graphql';
import { Node } from '../../platform/graphql/node-ids.ts';
import type { PlanSeat } from './seat-plan.ts';

@ObjectType('Seat', { description: 'A numbered seat of a seat plan.' })
export class SeatType
  implements Pick<PlanSeat, 'number' | 'section' | 'row' | 'label' | 'x' | 'y' | 'zone' | 'isAccessible' | 'isCompanion'>
{
  @Field(() => Int, { description: 'Its number in the plan, from 0: what mutations and live seat maps call it.' })
  number!: number;

  @Field(() => String, { description: 'The section it is in.' })
  section!: string;

  @Field(() => String, { description: 'The row within the section.' })
  row!: string;

  @Field(() => String, { description: 'What is printed on it, within its row.' })
  label!: string;

  @Field(() => Float, { description: 'Metres to the right of the origin of the plan.' })
  x!: number;

  @Field(() => Float, { description: 'Metres away from the stage.' })
  y!: number;

  @Field(() => String, { description: 'The zone of the plan; the tier of a performance for this zone says the price.' })
  zone!: string;

  @Field(() => Boolean, { description: 'Whether a wheelchair can stand there.' })
  isAccessible!: boolean;

  @Field(() => Boolean, { description: 'Whether it is for the companion of somebody in an accessible place.' })
  isCompanion!: boolean;
}

@ObjectType('Venue', { implements: Node, description: 'A place where something is shown. Anyone may read it.' })
export class VenueType {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => String, { description: 'Its name, at most 200 characters.' })
  name!: string;
}
