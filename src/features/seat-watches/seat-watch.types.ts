import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Connection } from '../../platform/graphql/connections.ts';
import { enumOf } from '../../platform/graphql/enums.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { PerformanceType, TierType } from '../events/index.ts';
import { TicketHoldType } from '../seats/index.ts';
import { SeatType } from '../venues/index.ts';
import { SEAT_WATCH_ENDS, SEAT_WATCH_STATES, type SeatWatch, type SeatWatchEnd, type SeatWatchState } from './seat-watch.ts';

export const SeatWatchStateEnum = enumOf(SEAT_WATCH_STATES);

registerEnumType(SeatWatchStateEnum, {
  name: 'SeatWatchState',
  description: 'Where a watch is. It moves forward only.',
  valuesConfig: {
    WAITING: {
      description: 'What you follow is taken. When it is given back, it is offered to its followers one by one, first come first served.',
    },
    OFFERED: { description: 'It is held for you alone: pay `hold` before its deadline, or the next follower gets it.' },
    ENDED: { description: 'Over; `endedBecause` says why.' },
  },
});

export const SeatWatchEndEnum = enumOf(SEAT_WATCH_ENDS);

registerEnumType(SeatWatchEndEnum, {
  name: 'SeatWatchEnd',
  description: 'Why a watch has ended.',
  valuesConfig: {
    TAKEN: { description: 'You paid for what was offered.' },
    LAPSED: { description: 'The offered hold ran out, was given up, or its payment was refused; the next follower was asked.' },
    UNWATCHED: { description: 'You stopped following.' },
    LIMIT_REACHED: { description: 'It was your turn, but you had as many tickets of the performance as a member may have.' },
    COOLING_DOWN: { description: 'It was your turn, but you had let so many holds run out that you had to wait with the next one.' },
    NOT_ON_SALE: { description: 'The sale of the performance is over.' },
  },
});

@ObjectType('SeatWatch', {
  implements: Node,
  description:
    'A taken seat or tier that a member follows, to be offered it when it is given back. Readable by its member and by administrators.',
})
export class SeatWatchType implements Pick<SeatWatch, 'quantity' | 'state' | 'endedBecause' | 'version'> {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Price(1)
  @Field(() => PerformanceType, { description: 'The performance.' })
  performance?: PerformanceType;

  @Price(1)
  @Field(() => SeatType, { nullable: true, description: 'The seat that is followed. Null: whatever of the tier is given back.' })
  seat?: SeatType | null;

  @Price(1)
  @Field(() => TierType, { description: 'The tier that is followed, or that of the seat.' })
  tier?: TierType;

  @Field(() => Int, { description: 'How many places are offered at once: 1 for numbered seats, at most 10.' })
  quantity!: number;

  @Field(() => SeatWatchStateEnum, { description: 'Where it is.' })
  state!: SeatWatchState;

  @Field(() => SeatWatchEndEnum, { nullable: true, description: 'Why it has ended. Null while it has not.' })
  endedBecause!: SeatWatchEnd | null;

  @Price(1)
  @Field(() => Int, {
    nullable: true,
    description:
      'Your place in the queue, from 1, counted at the moment of asking: those who follow the same seat or its whole tier from before you, and you. Null unless `WAITING`.',
  })
  position?: number | null;

  @Price(1)
  @Field(() => TicketHoldType, {
    nullable: true,
    description: 'What was offered: a hold of yours, to be paid like any other, within 120 seconds. Null before there was an offer.',
  })
  hold?: TicketHoldType | null;

  @Field(() => Date, { description: 'Since when it is followed; whoever is earlier is asked earlier.' })
  createdAt!: Date;

  @Field(() => Int, { description: 'Grows with every change: of two states of one watch the one with the larger version is newer.' })
  version!: number;
}

export const { ConnectionType: SeatWatchConnection, EdgeType: SeatWatchEdge } = Connection('SeatWatch', SeatWatchType);
