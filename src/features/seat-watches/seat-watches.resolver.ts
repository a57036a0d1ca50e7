import {
  Arg,
  Args,
  Ctx,
  createUnionType,
  Field,
  FieldResolver,
  ID,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
  Subscription,
} from 'type-graphql';
import { RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import { ConnectionArgs, connectionById } from '../../platform/graphql/connections.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { checkedIdempotencyKey, IdempotencyKeyReusedError } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { PerformanceType, performanceById, TierType, tierById } from '../events/index.ts';
import { holdById } from '../holds/index.ts';
import { TicketHoldType } from '../seats/index.ts';
import { SeatType } from '../venues/index.ts';
import { type FollowedByMember, watchByWatch } from './live-watches.ts';
import type { SeatWatch } from './seat-watch.ts';
import { SeatWatchConnection, SeatWatchType } from './seat-watch.types.ts';
import {
  SeatFreeError,
  SeatOffersLapsedError,
  SeatWatchInputError,
  SeatWatchLimitReachedError,
  SeatWatchNotFoundError,
  SeatWatchSaleClosedError,
  SeatWatchTargetNotFoundError,
} from './seat-watches.errors.ts';
import { SEATS_MAX, UNWATCHED_MAX, UnwatchSeatsInput, WatchSeatsInput } from './seat-watches.inputs.ts';
import { followedSeatOf, positionOf } from './seat-watches.loaders.ts';
import type { SeatWatchesService } from './seat-watches.service.ts';

@ObjectType('WatchSeatsSuccess', { description: 'You follow what you asked for.' })
class WatchSeatsSuccess {
  constructor(watches: readonly SeatWatch[]) {
    this.watches = watches as never;
  }
  @Price(1, { size: SEATS_MAX })
  @Field(() => [SeatWatchType], {
    description: `One for each seat in the order of \`seats\`, or one for the tier; at most ${SEATS_MAX}. What you followed already is the watch it was.`,
  })
  readonly watches: SeatWatchType[];
}

const WatchSeatsResult = createUnionType({
  name: 'WatchSeatsResult',
  description:
    'What you follow now, or why you do not. The first that applies is answered, in this order: SeatWatchInputError, SeatWatchTargetNotFoundError, ' +
    'IdempotencyKeyReusedError, SeatWatchSaleClosedError, SeatFreeError, SeatOffersLapsedError, SeatWatchLimitReachedError. A seat that is there but not ' +
    'for sale, and a quantity above what a member may buy, are looked at after SeatWatchSaleClosedError.',
  types: () =>
    [
      WatchSeatsSuccess,
      IdempotencyKeyReusedError,
      SeatWatchInputError,
      SeatWatchTargetNotFoundError,
      SeatWatchSaleClosedError,
      SeatFreeError,
      SeatOffersLapsedError,
      SeatWatchLimitReachedError,
    ] as const,
});

@ObjectType('UnwatchSeatsSuccess', { description: 'You no longer wait for them.' })
class UnwatchSeatsSuccess {
  constructor(watches: readonly SeatWatch[]) {
    this.watches = watches as never;
  }
  @Price(1, { size: UNWATCHED_MAX })
  @Field(() => [SeatWatchType], {
    description: `The watches in the order of \`watchIds\`, at most ${UNWATCHED_MAX}. One whose offer was made before stays OFFERED: give up its \`hold\` if you do not want it.`,
  })
  readonly watches: SeatWatchType[];
}

const UnwatchSeatsResult = createUnionType({
  name: 'UnwatchSeatsResult',
  description: 'The watches as they are now, or why nothing was changed. SeatWatchInputError comes before SeatWatchNotFoundError.',
  types: () => [UnwatchSeatsSuccess, SeatWatchInputError, SeatWatchNotFoundError] as const,
});

@Resolver()
export class SeatWatchesResolver {
  constructor(private readonly seatWatches: SeatWatchesService) {}

  @RequiresRole()
  @Price(1, { multipliedBy: 'first' })
  @Query(() => SeatWatchConnection, { description: 'What you follow and followed, newest first. Needs a signed-in member.' })
  async mySeatWatches(@Args(() => ConnectionArgs) args: ConnectionArgs, @Ctx() context: RequestContext) {
    const { memberId } = viewerOf(context);
    return connectionById(
      args,
      (after, limit) => this.seatWatches.watchesOf(memberId, after, limit),
      () => this.seatWatches.countOf(memberId),
    );
  }

  @RequiresRole()
  @Mutation(() => WatchSeatsResult, {
    nullable: true,
    description:
      'Follows taken seats or a taken tier: when they are given back, they are held for their followers one after the other, for 120 seconds each, before ' +
      'anybody else can have them. Needs a signed-in member. Safe to repeat with the same key.',
  })
  async watchSeats(
    @Arg('input', () => WatchSeatsInput, { description: 'What to follow.' }) input: WatchSeatsInput,
    @Ctx() context: RequestContext,
  ) {
    const wish = {
      performanceId: uuidOf(input.performanceId, 'Performance'),
      seats: input.seats ?? null,
      tierId: input.tierId == null ? null : uuidOf(input.tierId, 'Tier'),
      quantity: input.quantity ?? 1,
    };
    const followed = await this.seatWatches.watch(viewerOf(context).memberId, wish, checkedIdempotencyKey(input.idempotencyKey));
    return followed instanceof Refusal ? followed : new WatchSeatsSuccess(followed);
  }

  @RequiresRole()
  @Mutation(() => UnwatchSeatsResult, {
    nullable: true,
    description: 'Stops following. All of the watches must be yours. Needs a signed-in member. Repeating it changes nothing more.',
  })
  async unwatchSeats(
    @Arg('input', () => UnwatchSeatsInput, { description: 'What to stop following.' }) { watchIds }: UnwatchSeatsInput,
    @Ctx() context: RequestContext,
  ) {
    const ids = watchIds.map((id) => uuidOf(id, 'SeatWatch'));
    const ended = await this.seatWatches.unwatch(viewerOf(context).memberId, ids);
    return ended instanceof Refusal ? ended : new UnwatchSeatsSuccess(ended);
  }

  @RequiresRole()
  @Price(5)
  @Subscription(() => SeatWatchType, {
    description:
      'What you follow, live: first each watch that waits or is offered, if there is any, then every change of one, new ones too, with versions that never go ' +
      'down. A change of the position alone is not told. Needs a signed-in member; tells of nobody else.',
    subscribe: ({ context }) => {
      const { memberId } = viewerOf(context as RequestContext);
      const followed = (context as RequestContext).watch('seatWatchChanged', [memberId]);
      return watchByWatch(followed as AsyncIterableIterator<FollowedByMember>);
    },
  })
  seatWatchChanged(@Root() watch: SeatWatch): SeatWatchType {
    return watch as never;
  }
}

@Resolver(() => SeatWatchType)
export class SeatWatchResolver {
  @FieldResolver(() => ID)
  id(@Root() watch: SeatWatch): string {
    return toNodeId('SeatWatch', watch.id);
  }

  @FieldResolver(() => PerformanceType)
  performance(@Root() watch: SeatWatch, @Ctx() context: RequestContext) {
    return performanceById(context).load(watch.performanceId);
  }

  @FieldResolver(() => SeatType, { nullable: true })
  seat(@Root() watch: SeatWatch, @Ctx() context: RequestContext) {
    return watch.seatNumber === null ? null : followedSeatOf(context).load(watch.id);
  }

  @FieldResolver(() => TierType)
  tier(@Root() watch: SeatWatch, @Ctx() context: RequestContext) {
    return tierById(context).load(watch.tierId);
  }

  @FieldResolver(() => Int, { nullable: true })
  position(@Root() watch: SeatWatch, @Ctx() context: RequestContext) {
    return watch.state === 'WAITING' ? positionOf(context).load(watch.id) : null;
  }

  @FieldResolver(() => TicketHoldType, { nullable: true })
  hold(@Root() watch: SeatWatch, @Ctx() context: RequestContext) {
    return watch.holdId ? holdById(context).load(watch.holdId) : null;
  }

  @FieldResolver(() => Date)
  createdAt(@Root() watch: SeatWatch): Date {
    return new Date(watch.createdAt);
  }
}
