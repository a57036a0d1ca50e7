import { Field, Int, ObjectType } from 'type-graphql';
import { Connection } from '../../platform/graphql/connections.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { PerformanceType, TierType } from '../events/index.ts';
import { HoldType } from '../holds/index.ts';
import { PerformanceSeatType } from './performance-seat.types.ts';

@ObjectType('HeldPlaces', { description: 'Places without numbers of one tier, in a hold.' })
export class HeldPlacesType {
  @Price(1)
  @Field(() => TierType, { description: 'The tier.' })
  tier?: TierType;

  @Field(() => Int, { description: 'How many places, at most 50.' })
  quantity!: number;
}

@ObjectType('TicketHold', {
  implements: [Node, HoldType],
  description: 'Seats and places of one performance, from the moment they are held. Readable by its member and by administrators.',
})
export class TicketHoldType extends HoldType {
  @Price(1)
  @Field(() => PerformanceType, { description: 'The performance.' })
  performance?: PerformanceType;

  @Price(0, { size: 10 })
  @Field(() => [PerformanceSeatType], { description: 'The numbered seats by number, at most 50. Empty: only places without numbers.' })
  seats?: PerformanceSeatType[];

  @Price(0, { size: 3 })
  @Field(() => [HeldPlacesType], { description: 'Places without numbers, an entry for each tier, at most 20. Empty: only numbered seats.' })
  places?: HeldPlacesType[];
}

export const { ConnectionType: TicketHoldConnection, EdgeType: TicketHoldEdge } = Connection('TicketHold', TicketHoldType);
