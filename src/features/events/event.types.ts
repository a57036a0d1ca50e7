import { Field, ID, ObjectType } from 'type-graphql';
import { Money } from '../../platform/graphql/money.ts';
import { Node } from '../../platform/graphql/node-ids.ts';

@ObjectType('Event', { implements: Node, description: 'Something that is shown, once or often. Anyone may read it.' })
export class EventType {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => String, { description: 'What it is called, at most 200 characters.' })
  title!: string;
}

@ObjectType('Performance', { implements: Node, description: 'One showing of an event. Anyone may read it.' })
export class PerformanceType {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => Date, { description: 'When it begins.' })
  startsAt!: Date;
}

@ObjectType('Tier', {
  implements: Node,
  description: 'One price of a performance: for the seats of a zone, or for places without numbers.',
})
export class TierType {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => String, { description: 'What it is called, at most 50 characters.' })
  name!: string;

  @Field(() => Money, { description: 'The price of one seat or place.' })
  price?: Money;
}
