import { GraphQLError } from 'graphql';
import { Arg, Args, Ctx, createUnionType, Field, FieldResolver, ID, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import type { HoldView } from '../../inventory/read-holds.ts';
import { RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import { ConnectionArgs, connectionById } from '../../platform/graphql/connections.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { Money } from '../../platform/graphql/money.ts';
import { uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { checkedIdempotencyKey, IdempotencyKeyReusedError } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { PerformanceNotFoundError, PerformanceType, performanceById, TierType, tierById } from '../events/index.ts';
import { BusyError } from '../holds/index.ts';
import { type PerformanceSeat, PerformanceSeatType, type SeatChoice, SeatGroupType } from './performance-seat.types.ts';
import {
  CompanionSeatAloneError,
  CoolingDownError,
  SeatTakenError,
  TicketInputError,
  TicketLimitReachedError,
  TicketSaleClosedError,
  TicketsNotYetOnSaleError,
  TierSoldOutError,
} from './seats.errors.ts';
import { HoldTicketsInput } from './seats.inputs.ts';
import { seatsOfHold } from './seats.loaders.ts';
import type { SeatsService, TicketHoldView } from './seats.service.ts';
import { HeldPlacesType, TicketHoldConnection, TicketHoldType } from './ticket-hold.types.ts';

const COUNT_MAX = 10;
const GROUPS_MAX = 5;
const TIERS_MAX = 20;

@ObjectType('HoldTicketsSuccess', { description: 'Everything that was asked for is held.' })
class HoldTicketsSuccess {
  constructor(hold: HoldView) {
    this.hold = hold as never;
  }
  @Price(0)
  @Field(() => TicketHoldType, {
    description: 'What you hold now. Pay it before `expiresAt` with `preparePayment`, or give it up with `cancelBooking`.',
  })
  readonly hold: TicketHoldType;
}

const HoldTicketsResult = createUnionType({
  name: 'HoldTicketsResult',
  description:
    'Held tickets, or why there are none. The first that applies is answered, in this order: PerformanceNotFoundError, TicketInputError, ' +
    'CompanionSeatAloneError, IdempotencyKeyReusedError, TicketsNotYetOnSaleError, TicketSaleClosedError, CoolingDownError, TicketLimitReachedError, ' +
    'SeatTakenError, TierSoldOutError, BusyError. What is wrong with the places is said after what is wrong with the seats.',
  types: () =>
    [
      HoldTicketsSuccess,
      PerformanceNotFoundError,
      TicketInputError,
      CompanionSeatAloneError,
      IdempotencyKeyReusedError,
      TicketsNotYetOnSaleError,
      TicketSaleClosedError,
      CoolingDownError,
      TicketLimitReachedError,
      SeatTakenError,
      TierSoldOutError,
      BusyError,
    ] as const,
});

@Resolver()
export class SeatsResolver {
  constructor(private readonly seatsService: SeatsService) {}

  @RequiresRole()
  @Mutation(() => HoldTicketsResult, {
    nullable: true,
    description:
      'Takes seats and places of a performance for some minutes: all of them or nothing. Needs a signed-in member. Safe to repeat with the same key.',
  })
  async holdTickets(
    @Arg('input', () => HoldTicketsInput, { description: 'What to hold.' }) input: HoldTicketsInput,
    @Ctx() context: RequestContext,
  ) {
    const result = await this.seatsService.hold(
      { memberId: viewerOf(context).memberId, clientIp: context.clientIp },
      {
        performanceId: uuidOf(input.performanceId, 'Performance'),
        seats: input.seats,
        places: input.places.map(({ tierId, quantity }) => ({ tierId: uuidOf(tierId, 'Tier'), quantity })),
        ifPaidLate: input.ifPaidLate,
      },
      checkedIdempotencyKey(input.idempotencyKey),
    );
    return result instanceof Refusal ? result : new HoldTicketsSuccess(result);
  }

  @RequiresRole()
  @Price(1, { multipliedBy: 'first' })
  @Query(() => TicketHoldConnection, {
    description: 'Your own holds of tickets, paid and unpaid, newest first, ended ones too. Needs a signed-in member.',
  })
  async myTicketHolds(@Args(() => ConnectionArgs) args: ConnectionArgs, @Ctx() context: RequestContext) {
    const { memberId } = viewerOf(context);
    return connectionById(
      args,
      (after, limit) => this.seatsService.holdsOf(memberId, after, limit),
      () => this.seatsService.countHoldsOf(memberId),
    );
  }

  @Price(5, { multipliedBy: 'first' })
  @Query(() => [SeatGroupType], {
    nullable: true,
    description:
      'The best free seats for a party, best first; no seat is in two groups. Seats next to each other in one row come first, in few parts of one section only ' +
      'where there are none; then those that leave no single seat beside them, then the nearest to what the plan looks at, then the most central. ' +
      'Companion seats are given only next to accessible ones. Nothing is kept. Null: there is no such performance. Empty: no group is free, or no seat is numbered. ' +
      'Anyone may ask.',
  })
  async findBestSeats(
    @Arg('performanceId', () => ID, { description: 'The id of the performance.' }) performanceId: string,
    @Arg('count', () => Int, { description: `Seats of a group, 1 to ${COUNT_MAX}.` }) count: number,
    @Arg('tierIds', () => [ID], {
      nullable: true,
      description: `Only seats of these tiers of the performance, 1 to ${TIERS_MAX}. Absent or null: of any.`,
    })
    tierIds: string[] | null | undefined,
    @Arg('priceMaxMinor', () => Int, {
      nullable: true,
      description: 'Only seats that cost at most so much, in KRW, each. Absent or null: whatever they cost.',
    })
    priceMaxMinor: number | null | undefined,
    @Arg('accessible', () => Boolean, {
      defaultValue: false,
      description: 'Whether one of the seats must be a place for a wheelchair. False: none is one.',
    })
    isAccessible: boolean,
    @Arg('first', () => Int, { defaultValue: 1, description: `How many groups at most, 1 to ${GROUPS_MAX}.` }) first: number,
  ) {
    if (count < 1 || count > COUNT_MAX) throw badInput(`\`count\` must be from 1 to ${COUNT_MAX}.`);
    if (first < 1 || first > GROUPS_MAX) throw badInput(`\`first\` must be from 1 to ${GROUPS_MAX}.`);
    if (tierIds && (tierIds.length < 1 || tierIds.length > TIERS_MAX)) throw badInput(`\`tierIds\` must name 1 to ${TIERS_MAX} tiers.`);
    if (priceMaxMinor != null && priceMaxMinor < 0) throw badInput('`priceMaxMinor` must be at least 0.');
    const found = await this.seatsService.best(uuidOf(performanceId, 'Performance'), {
      count,
      tierIds: tierIds?.map((id) => uuidOf(id, 'Tier')) ?? null,
      priceMaxMinor: priceMaxMinor ?? null,
      isAccessible,
      groups: first,
    });
    if (found === 'UNKNOWN_TIER') throw badInput('`tierIds` names a tier that this performance does not have.');
    return found;
  }
}

const badInput = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });

@Resolver(() => TicketHoldType)
export class TicketHoldResolver {
  @FieldResolver(() => PerformanceType)
  async performance(@Root() { items }: TicketHoldView, @Ctx() context: RequestContext) {
    const seat = items.find(({ unitId }) => unitId !== null);
    const performanceId = seat ? seat.poolId : (await tierById(context).load(items[0]?.poolId ?? ''))?.performanceId;
    return performanceById(context).load(performanceId ?? '');
  }

  @FieldResolver(() => [PerformanceSeatType])
  seats(@Root() hold: TicketHoldView, @Ctx() context: RequestContext) {
    if (hold.seats) return hold.seats;
    return hold.items.some(({ unitId }) => unitId !== null) ? seatsOfHold(context).load(hold.id) : [];
  }

  @FieldResolver(() => [HeldPlacesType])
  places(@Root() { items }: TicketHoldView) {
    return items.filter(({ unitId }) => unitId === null);
  }
}

@Resolver(() => HeldPlacesType)
export class HeldPlacesResolver {
  @FieldResolver(() => TierType)
  tier(@Root() { poolId }: HoldView['items'][number], @Ctx() context: RequestContext) {
    return tierById(context).load(poolId);
  }
}

@Resolver(() => PerformanceSeatType)
export class PerformanceSeatResolver {
  @FieldResolver(() => TierType)
  tier(@Root() { tierId }: PerformanceSeat, @Ctx() context: RequestContext) {
    return tierById(context).load(tierId);
  }

  @FieldResolver(() => Money)
  price(@Root() { priceMinor }: PerformanceSeat): Money {
    return { amountMinor: priceMinor, currency: 'KRW' };
  }
}

@Resolver(() => SeatGroupType)
export class SeatGroupResolver {
  @FieldResolver(() => Money)
  total(@Root() { seats }: SeatChoice): Money {
    return { amountMinor: seats.reduce((sum, { priceMinor }) => sum + priceMinor, 0), currency: 'KRW' };
  }
}

/** What refusals carry as an id is loaded only where it is selected. */
@Resolver(() => TicketsNotYetOnSaleError)
export class TicketsNotYetOnSaleErrorResolver {
  @FieldResolver(() => PerformanceType)
  performance(@Root() { performanceId }: TicketsNotYetOnSaleError, @Ctx() context: RequestContext) {
    return performanceById(context).load(performanceId);
  }
}

@Resolver(() => TierSoldOutError)
export class TierSoldOutErrorResolver {
  @FieldResolver(() => TierType)
  tier(@Root() { tierId }: TierSoldOutError, @Ctx() context: RequestContext) {
    return tierById(context).load(tierId);
  }
}

@Resolver(() => SeatTakenError)
export class SeatTakenErrorResolver {
  constructor(private readonly seatsService: SeatsService) {}

  @FieldResolver(() => [SeatGroupType])
  alternatives(@Root() refused: SeatTakenError) {
    return this.seatsService.alternativesTo(refused);
  }
}
