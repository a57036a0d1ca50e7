import { Arg, FieldResolver, ID, Int, Query, Resolver, Root, Subscription } from 'type-graphql';
import { toNodeId } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { SeatMapChangeType } from './seat-map.types.ts';
import { changeSince, type SeatMapChange } from './seat-map-change.ts';
import type { SeatMaps } from './seat-maps.ts';
import { afterOf, performanceOf } from './seats-changed.ts';

const PERFORMANCE = 'The id of the performance.';

@Resolver(() => SeatMapChangeType)
export class SeatMapResolver {
  constructor(private readonly maps: SeatMaps) {}

  @FieldResolver(() => ID)
  performanceId(@Root() { performanceId }: SeatMapChange): string {
    return toNodeId('Performance', performanceId);
  }

  @Price(5)
  @Query(() => SeatMapChangeType, {
    nullable: true,
    description:
      'The seats of a performance now, for clients that cannot watch `seatsChanged`. Anyone may ask. Null for a performance that nobody knows or that has no ' +
      'numbered seats.',
  })
  async seatMap(
    @Arg('performanceId', () => ID, { description: PERFORMANCE }) performanceId: string,
    @Arg('after', () => Int, {
      nullable: true,
      description: 'The version you have, at least 1, to be told what has changed since. Null: the whole map.',
    })
    after: number | null | undefined,
  ): Promise<SeatMapChange | null> {
    const id = performanceOf({ performanceId });
    const since = afterOf({ after });
    const map = await this.maps.atLeast(id, since ?? 0);
    // A version that the truth has not come to is none of this map.
    return map && changeSince(map, since !== undefined && since <= map.version ? since : undefined);
  }

  @Price(5)
  @Subscription(() => SeatMapChangeType, {
    description:
      'The seats of a performance, live: first the whole map, then what changes, at most 20 times a second, each change beginning where the one before ended. ' +
      'If you read too slowly you get one change for all you missed, or the whole map where that is shorter. After a lost connection give the version you have ' +
      'as `after`: the first message leads on from there. Anyone may watch. A performance that nobody knows or that has no numbered seats says nothing.',
    // Never called: the field is in the hub's list of shared sources, which follows the map and executes the selection once for everybody.
    subscribe: () => {
      throw new Error('seatsChanged must be registered as a shared source of the subscription hub.');
    },
  })
  seatsChanged(
    @Root() change: SeatMapChange,
    @Arg('performanceId', () => ID, { description: PERFORMANCE }) _performanceId: string,
    @Arg('after', () => Int, {
      nullable: true,
      description: 'The version you have, at least 1. Best a variable used for nothing else. Null: you have none.',
    })
    _after: number | null | undefined,
  ): SeatMapChange {
    return change;
  }
}
