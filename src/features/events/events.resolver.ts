import { Arg, Args, Ctx, createUnionType, Field, FieldResolver, ID, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { mayReadOf, RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import { ConnectionArgs, connectionById, pageOf, toConnection } from '../../platform/graphql/connections.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { Money } from '../../platform/graphql/money.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { checkedIdempotencyKey, IdempotencyKeyReusedError } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { memberById, RateLimitedError } from '../accounts/index.ts';
import { AvailabilityType, availabilityById, CapacityBelowTakenError } from '../holds/index.ts';
import { VenueType, venueById } from '../venues/index.ts';
import type { DoorStaff } from './door-staff.ts';
import type { Event, Performance, Tier } from './event.entity.ts';
import { DoorStaffType, EventConnection, EventType, PerformanceConnection, PerformanceType, TierType } from './event.types.ts';
import {
  EventInputError,
  EventNotFoundError,
  HasSalesError,
  MemberLimitBelowTakenError,
  NoSuchAccountError,
  NoSuchSeatsError,
  PerformanceNotFoundError,
  SeatsHeldOrSoldError,
  SeatsNeverSoldError,
  TierNotFoundError,
  TierZonesError,
  TooManyDoorStaffError,
  TooManyPerformancesError,
} from './events.errors.ts';
import {
  AddDoorStaffInput,
  BlockSeatsInput,
  ChangeTierCapacityInput,
  ClosePerformanceSaleInput,
  CreateEventInput,
  CreatePerformanceInput,
  DeleteEventInput,
  DeletePerformanceInput,
  EventFilter,
  PerformanceFilter,
  ReleaseHouseSeatsInput,
  RemoveDoorStaffInput,
  UpdateEventInput,
  UpdatePerformanceInput,
  UpdateTierInput,
} from './events.inputs.ts';
import {
  type DoorStaffRow,
  doorStaffOf,
  eventById,
  pageKeyOf,
  performanceById,
  performanceCountOf,
  performancesOf,
  poolById,
  tierById,
  tiersOf,
} from './events.loaders.ts';
import type { EventsService } from './events.service.ts';
import type { Organizer } from './organizer.ts';
import type { PerformancesService } from './performances.service.ts';

/** Said of every mutation that changes what there is. */
const OWNERS = 'Needs the role ORGANIZER; organizers change what is theirs, administrators anything.';

@ObjectType('EventSuccess', { description: 'The event as it is now.' })
class EventSuccess {
  constructor(readonly eventId: string) {}
  @Price(1)
  @Field(() => EventType, { nullable: true, description: 'The event. Null when it was deleted since.' })
  event?: EventType | null;
}

@ObjectType('PerformanceSuccess', { description: 'The performance as it is now.' })
class PerformanceSuccess {
  constructor(readonly performanceId: string) {}
  @Price(1)
  @Field(() => PerformanceType, { nullable: true, description: 'The performance. Null when it was deleted since.' })
  performance?: PerformanceType | null;
}

@ObjectType('TierSuccess', { description: 'The tier as it is now.' })
class TierSuccess {
  constructor(readonly tierId: string) {}
  @Price(1)
  @Field(() => TierType, { nullable: true, description: 'The tier. Null when it was deleted since.' })
  tier?: TierType | null;
}

@ObjectType('DeleteEventSuccess', { description: 'The event is gone, with its performances.' })
class DeleteEventSuccess {
  constructor(eventId: string) {
    this.deletedId = toNodeId('Event', eventId);
  }
  @Field(() => ID, { description: 'The id it had.' })
  readonly deletedId: string;
}

@ObjectType('DeletePerformanceSuccess', { description: 'The performance is gone, with everything it sold.' })
class DeletePerformanceSuccess {
  constructor(performanceId: string) {
    this.deletedId = toNodeId('Performance', performanceId);
  }
  @Field(() => ID, { description: 'The id it had.' })
  readonly deletedId: string;
}

// biome-ignore lint/complexity/noBannedTypes: type-graphql knows types as constructors of any signature.
const resultOf = (name: string, description: string, success: Function, ...errors: (new (...args: never[]) => Refusal)[]) =>
  createUnionType({
    name,
    description: `${description} The first that applies is answered, in this order: ${errors.map(({ name: error }) => error).join(', ')}.`,
    types: () => [success, ...errors] as never,
  });

const CreateEventResult = resultOf(
  'CreateEventResult',
  'The new event, or what is wrong with it.',
  EventSuccess,
  EventInputError,
  IdempotencyKeyReusedError,
);
const UpdateEventResult = resultOf(
  'UpdateEventResult',
  'The changed event, or why not.',
  EventSuccess,
  EventNotFoundError,
  EventInputError,
);
const DeleteEventResult = resultOf(
  'DeleteEventResult',
  'That the event is gone, or why not.',
  DeleteEventSuccess,
  EventNotFoundError,
  TooManyPerformancesError,
  HasSalesError,
);
const CreatePerformanceResult = resultOf(
  'CreatePerformanceResult',
  'The new performance, or what is wrong with it.',
  PerformanceSuccess,
  EventInputError,
  EventNotFoundError,
  TierZonesError,
  IdempotencyKeyReusedError,
);
const UpdatePerformanceResult = resultOf(
  'UpdatePerformanceResult',
  'The changed performance, or why not.',
  PerformanceSuccess,
  PerformanceNotFoundError,
  EventInputError,
  MemberLimitBelowTakenError,
);
const DeletePerformanceResult = resultOf(
  'DeletePerformanceResult',
  'That the performance is gone, or why not.',
  DeletePerformanceSuccess,
  PerformanceNotFoundError,
  HasSalesError,
);
const ClosePerformanceSaleResult = resultOf(
  'ClosePerformanceSaleResult',
  'The performance with its closed sale, or why not.',
  PerformanceSuccess,
  PerformanceNotFoundError,
);
const ReleaseHouseSeatsResult = resultOf(
  'ReleaseHouseSeatsResult',
  'The performance with the seats on sale, or why not.',
  PerformanceSuccess,
  EventInputError,
  PerformanceNotFoundError,
  NoSuchSeatsError,
  SeatsNeverSoldError,
);
const BlockSeatsResult = resultOf(
  'BlockSeatsResult',
  'The performance without the seats, or why not.',
  PerformanceSuccess,
  EventInputError,
  PerformanceNotFoundError,
  NoSuchSeatsError,
  SeatsHeldOrSoldError,
);
const UpdateTierResult = resultOf('UpdateTierResult', 'The changed tier, or why not.', TierSuccess, EventInputError, TierNotFoundError);
const ChangeTierCapacityResult = resultOf(
  'ChangeTierCapacityResult',
  'The tier with its new capacity, or why not.',
  TierSuccess,
  EventInputError,
  TierNotFoundError,
  CapacityBelowTakenError,
);
const AddDoorStaffResult = resultOf(
  'AddDoorStaffResult',
  'The event with its door staff, or why not.',
  EventSuccess,
  EventInputError,
  RateLimitedError,
  EventNotFoundError,
  NoSuchAccountError,
  TooManyDoorStaffError,
);
const RemoveDoorStaffResult = resultOf(
  'RemoveDoorStaffResult',
  'The event with its door staff, or why not.',
  EventSuccess,
  EventNotFoundError,
);

@Resolver()
export class EventsResolver {
  constructor(
    private readonly eventsService: EventsService,
    private readonly performancesService: PerformancesService,
    private readonly doorStaff: DoorStaff,
  ) {}

  @Price(1)
  @Query(() => EventType, { nullable: true, description: 'One event; null if there is none with this id. Anyone may read it.' })
  event(@Arg('id', () => ID, { description: 'The id of the event.' }) id: string, @Ctx() context: RequestContext) {
    return eventById(context).load(uuidOf(id, 'Event'));
  }

  @Price(1, { multipliedBy: 'first' })
  @Query(() => EventConnection, { description: 'Events, newest first. Anyone may read them.' })
  async events(
    @Arg('filter', () => EventFilter, { nullable: true, description: 'Which events; absent or null: all.' })
    given: EventFilter | null | undefined,
    @Args(() => ConnectionArgs) args: ConnectionArgs,
    @Ctx() context: RequestContext,
  ) {
    return this.pageOfEvents(context, args, {
      ...given,
      venueId: optionalUuid(given?.venueId, 'Venue'),
      organizerId: optionalUuid(given?.organizerId, 'Member'),
    });
  }

  @RequiresRole('ORGANIZER')
  @Price(1, { multipliedBy: 'first' })
  @Query(() => EventConnection, { description: 'Your own events, newest first. Needs the role ORGANIZER.' })
  async myEvents(@Args(() => ConnectionArgs) args: ConnectionArgs, @Ctx() context: RequestContext) {
    return this.pageOfEvents(context, args, { organizerId: viewerOf(context).memberId });
  }

  private async pageOfEvents(context: RequestContext, args: ConnectionArgs, filter: EventFilter) {
    return connectionById(
      args,
      (after, limit) => this.eventsService.events(context.em, filter, after, limit),
      () => this.eventsService.countEvents(filter),
    );
  }

  @Price(1)
  @Query(() => PerformanceType, { nullable: true, description: 'One performance; null if there is none with this id. Anyone may read it.' })
  performance(@Arg('id', () => ID, { description: 'The id of the performance.' }) id: string, @Ctx() context: RequestContext) {
    return performanceById(context).load(uuidOf(id, 'Performance'));
  }

  @Price(1, { multipliedBy: 'first' })
  @Query(() => PerformanceConnection, { description: 'The timetable: performances by their beginning and id. Anyone may read it.' })
  async performances(
    @Arg('filter', () => PerformanceFilter, { nullable: true, description: 'Which performances; absent or null: all.' })
    given: PerformanceFilter | null | undefined,
    @Args(() => ConnectionArgs) args: ConnectionArgs,
    @Ctx() context: RequestContext,
  ) {
    const filter: PerformanceFilter = {
      onSaleOnly: false,
      ...given,
      venueId: optionalUuid(given?.venueId, 'Venue'),
      eventId: optionalUuid(given?.eventId, 'Event'),
    };
    const page = pageOf(args, ['instant', 'uuid'] as const);
    const rows = await this.eventsService.performances(context.em, filter, page.after, page.limit);
    return toConnection(rows, { page, cursorOf: cursorOfPerformance, totalCount: () => this.eventsService.countPerformances(filter) });
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => CreateEventResult, {
    nullable: true,
    description: 'Announces an event, which is yours. Needs the role ORGANIZER. Safe to repeat with the same key.',
  })
  async createEvent(
    @Arg('input', () => CreateEventInput, { description: 'The event.' }) input: CreateEventInput,
    @Ctx() context: RequestContext,
  ) {
    checkedIdempotencyKey(input.idempotencyKey);
    const made = await this.eventsService.create(organizerOf(context), { ...input, venueId: uuidOf(input.venueId, 'Venue') });
    return made instanceof Refusal ? made : new EventSuccess(made.eventId);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => UpdateEventResult, { nullable: true, description: `Changes an event. ${OWNERS}` })
  async updateEvent(
    @Arg('input', () => UpdateEventInput, { description: 'What to change.' }) input: UpdateEventInput,
    @Ctx() context: RequestContext,
  ) {
    const changed = await this.eventsService.update(organizerOf(context), {
      ...input,
      eventId: uuidOf(input.eventId, 'Event'),
      venueId: optionalUuid(input.venueId, 'Venue'),
    });
    return changed instanceof Refusal ? changed : new EventSuccess(changed);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => DeleteEventResult, {
    nullable: true,
    description: `Deletes an event with its performances, at most 50, if nothing of them is held or was paid for. ${OWNERS}`,
  })
  async deleteEvent(
    @Arg('input', () => DeleteEventInput, { description: 'The event.' }) input: DeleteEventInput,
    @Ctx() context: RequestContext,
  ) {
    const deleted = await this.eventsService.delete(organizerOf(context), uuidOf(input.eventId, 'Event'));
    return deleted instanceof Refusal ? deleted : new DeleteEventSuccess(deleted);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => CreatePerformanceResult, {
    nullable: true,
    description: `Adds a performance of an event, with its seats and places. ${OWNERS} Safe to repeat with the same key.`,
  })
  async createPerformance(
    @Arg('input', () => CreatePerformanceInput, { description: 'The performance.' }) input: CreatePerformanceInput,
    @Ctx() context: RequestContext,
  ) {
    checkedIdempotencyKey(input.idempotencyKey);
    const made = await this.performancesService.create(organizerOf(context), {
      ...input,
      eventId: uuidOf(input.eventId, 'Event'),
      planId: optionalUuid(input.planId, 'SeatPlan'),
    });
    return made instanceof Refusal ? made : new PerformanceSuccess(made.performanceId);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => UpdatePerformanceResult, {
    nullable: true,
    description: `Changes when a performance is, when and how it is sold, and what goes back. ${OWNERS}`,
  })
  async updatePerformance(
    @Arg('input', () => UpdatePerformanceInput, { description: 'What to change.' }) { performanceId, ...change }: UpdatePerformanceInput,
    @Ctx() context: RequestContext,
  ) {
    const changed = await this.performancesService.update(organizerOf(context), uuidOf(performanceId, 'Performance'), change);
    return changed instanceof Refusal ? changed : new PerformanceSuccess(changed);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => DeletePerformanceResult, {
    nullable: true,
    description: `Deletes a performance if nothing of it is held or was paid for. ${OWNERS}`,
  })
  async deletePerformance(
    @Arg('input', () => DeletePerformanceInput, { description: 'The performance.' }) input: DeletePerformanceInput,
    @Ctx() context: RequestContext,
  ) {
    const deleted = await this.performancesService.delete(organizerOf(context), uuidOf(input.performanceId, 'Performance'));
    return deleted instanceof Refusal ? deleted : new DeletePerformanceSuccess(deleted);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => ClosePerformanceSaleResult, {
    nullable: true,
    description: `Ends the sale of a performance now; what is held can still be paid. ${OWNERS}`,
  })
  async closePerformanceSale(
    @Arg('input', () => ClosePerformanceSaleInput, { description: 'The performance.' }) input: ClosePerformanceSaleInput,
    @Ctx() context: RequestContext,
  ) {
    const closed = await this.performancesService.closeSale(organizerOf(context), uuidOf(input.performanceId, 'Performance'));
    return closed instanceof Refusal ? closed : new PerformanceSuccess(closed);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => ReleaseHouseSeatsResult, {
    nullable: true,
    description: `Puts seats that the house kept back, or that were taken out of the sale, on sale: all of them or none. ${OWNERS}`,
  })
  async releaseHouseSeats(
    @Arg('input', () => ReleaseHouseSeatsInput, { description: 'The seats.' }) { performanceId, seats }: ReleaseHouseSeatsInput,
    @Ctx() context: RequestContext,
  ) {
    const changed = await this.performancesService.setBlocked(organizerOf(context), uuidOf(performanceId, 'Performance'), seats, false);
    return changed instanceof Refusal ? changed : new PerformanceSuccess(changed);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => BlockSeatsResult, {
    nullable: true,
    description: `Takes seats that nobody has out of the sale: all of them or none. ${OWNERS}`,
  })
  async blockSeats(
    @Arg('input', () => BlockSeatsInput, { description: 'The seats.' }) { performanceId, seats }: BlockSeatsInput,
    @Ctx() context: RequestContext,
  ) {
    const changed = await this.performancesService.setBlocked(organizerOf(context), uuidOf(performanceId, 'Performance'), seats, true);
    return changed instanceof Refusal ? changed : new PerformanceSuccess(changed);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => UpdateTierResult, { nullable: true, description: `Changes the name or the price of a tier. ${OWNERS}` })
  async updateTier(
    @Arg('input', () => UpdateTierInput, { description: 'What to change.' }) input: UpdateTierInput,
    @Ctx() context: RequestContext,
  ) {
    const changed = await this.performancesService.updateTier(organizerOf(context), { ...input, tierId: uuidOf(input.tierId, 'Tier') });
    return changed instanceof Refusal ? changed : new TierSuccess(changed);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => ChangeTierCapacityResult, {
    nullable: true,
    description: `Sets the number of places of a tier without numbered seats, up or down, while claims run. ${OWNERS}`,
  })
  async changeTierCapacity(
    @Arg('input', () => ChangeTierCapacityInput, { description: 'The new capacity.' }) { tierId, capacity }: ChangeTierCapacityInput,
    @Ctx() context: RequestContext,
  ) {
    const changed = await this.performancesService.changeTierCapacity(organizerOf(context), uuidOf(tierId, 'Tier'), capacity);
    return changed instanceof Refusal ? changed : new TierSuccess(changed);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => AddDoorStaffResult, {
    nullable: true,
    description: `Lets a member check the tickets of an event. ${OWNERS} At most 20 addresses without an account in 15 minutes. Adding somebody twice changes nothing.`,
  })
  async addDoorStaff(
    @Arg('input', () => AddDoorStaffInput, { description: 'Who.' }) { eventId, email }: AddDoorStaffInput,
    @Ctx() context: RequestContext,
  ) {
    const added = await this.doorStaff.add(organizerOf(context), uuidOf(eventId, 'Event'), email);
    return added instanceof Refusal ? added : new EventSuccess(added);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => RemoveDoorStaffResult, {
    nullable: true,
    description: `Ends that a member may check the tickets of an event. ${OWNERS} Removing somebody who is not there changes nothing.`,
  })
  async removeDoorStaff(
    @Arg('input', () => RemoveDoorStaffInput, { description: 'Who.' }) { eventId, memberId }: RemoveDoorStaffInput,
    @Ctx() context: RequestContext,
  ) {
    const removed = await this.doorStaff.remove(organizerOf(context), uuidOf(eventId, 'Event'), uuidOf(memberId, 'Member'));
    return removed instanceof Refusal ? removed : new EventSuccess(removed);
  }
}

@Resolver(() => EventType)
export class EventResolver {
  @FieldResolver(() => ID)
  id(@Root() event: Event): string {
    return toNodeId('Event', event.id);
  }

  @FieldResolver(() => VenueType)
  venue(@Root() event: Event, @Ctx() context: RequestContext) {
    return venueById(context).load(event.venueId);
  }

  @FieldResolver(() => ID)
  organizerId(@Root() event: Event): string {
    return toNodeId('Member', event.organizerId);
  }

  @FieldResolver(() => String)
  async organizerName(@Root() event: Event, @Ctx() context: RequestContext) {
    return (await memberById(context).load(event.organizerId))?.displayName;
  }

  @FieldResolver(() => PerformanceConnection)
  async performances(@Root() event: Event, @Args(() => ConnectionArgs) args: ConnectionArgs, @Ctx() context: RequestContext) {
    const page = pageOf(args, ['instant', 'uuid'] as const);
    const rows = await performancesOf(context).load(pageKeyOf({ eventId: event.id, after: page.after, limit: page.limit }));
    return toConnection(rows, { page, cursorOf: cursorOfPerformance, totalCount: () => performanceCountOf(context).load(event.id) });
  }

  @FieldResolver(() => [DoorStaffType], { nullable: true })
  async doorStaff(@Root() event: Event, @Ctx() context: RequestContext) {
    return mayReadOf(context.viewer, event.organizerId) ? doorStaffOf(context).load(event.id) : null;
  }
}

@Resolver(() => DoorStaffType)
export class DoorStaffResolver {
  @FieldResolver(() => ID)
  memberId(@Root() staff: DoorStaffRow): string {
    return toNodeId('Member', staff.memberId);
  }
}

@Resolver(() => PerformanceType)
export class PerformanceResolver {
  @FieldResolver(() => ID)
  id(@Root() performance: Performance): string {
    return toNodeId('Performance', performance.id);
  }

  @FieldResolver(() => EventType)
  event(@Root() performance: Performance, @Ctx() context: RequestContext) {
    return eventById(context).load(performance.eventId);
  }

  @FieldResolver(() => Date, { nullable: true })
  async onSaleFrom(@Root() performance: Performance, @Ctx() context: RequestContext) {
    return (await poolById(context).load(performance.id))?.opensAt ?? null;
  }

  @FieldResolver(() => Date, { nullable: true })
  async onSaleUntil(@Root() performance: Performance, @Ctx() context: RequestContext) {
    return (await poolById(context).load(performance.id))?.closesAt ?? null;
  }

  @FieldResolver(() => Int)
  async perMemberMax(@Root() performance: Performance, @Ctx() context: RequestContext) {
    return (await poolById(context).load(performance.id))?.quotaMax;
  }

  @FieldResolver(() => Int)
  async holdSeconds(@Root() performance: Performance, @Ctx() context: RequestContext) {
    return (await poolById(context).load(performance.id))?.holdSeconds;
  }

  @FieldResolver(() => ID, { nullable: true })
  seatPlanId(@Root() performance: Performance) {
    return performance.planId ? toNodeId('SeatPlan', performance.planId) : null;
  }

  @FieldResolver(() => [TierType])
  tiers(@Root() performance: Performance, @Ctx() context: RequestContext) {
    return tiersOf(context).load(performance.id);
  }

  @FieldResolver(() => AvailabilityType, { nullable: true })
  availability(@Root() performance: Performance, @Ctx() context: RequestContext) {
    return performance.planId ? availabilityById(context).load(performance.id) : null;
  }
}

@Resolver(() => TierType)
export class TierResolver {
  @FieldResolver(() => ID)
  id(@Root() tier: Tier): string {
    return toNodeId('Tier', tier.id);
  }

  @FieldResolver(() => Money)
  price(@Root() tier: Tier): Money {
    return { amountMinor: tier.priceMinor, currency: 'KRW' };
  }

  @FieldResolver(() => AvailabilityType, { nullable: true })
  availability(@Root() tier: Tier, @Ctx() context: RequestContext) {
    return tier.zone === null ? availabilityById(context).load(tier.id) : null;
  }
}

/** What results carry as an id is loaded only where it is selected. */
@Resolver(() => EventSuccess)
export class EventSuccessResolver {
  @FieldResolver(() => EventType, { nullable: true })
  event(@Root() { eventId }: EventSuccess, @Ctx() context: RequestContext) {
    return eventById(context).load(eventId);
  }
}

@Resolver(() => PerformanceSuccess)
export class PerformanceSuccessResolver {
  @FieldResolver(() => PerformanceType, { nullable: true })
  performance(@Root() { performanceId }: PerformanceSuccess, @Ctx() context: RequestContext) {
    return performanceById(context).load(performanceId);
  }
}

@Resolver(() => TierSuccess)
export class TierSuccessResolver {
  @FieldResolver(() => TierType, { nullable: true })
  tier(@Root() { tierId }: TierSuccess, @Ctx() context: RequestContext) {
    return tierById(context).load(tierId);
  }
}

const cursorOfPerformance = ({ startsAt, id }: Performance) => [startsAt.toISOString(), id];

function organizerOf(context: RequestContext): Organizer {
  const { memberId, role } = viewerOf(context);
  return { memberId, isAdmin: role === 'ADMIN' };
}

/** Absent and null stay so. */
const optionalUuid = (id: string | null | undefined, type: string): string | null => (id == null ? null : uuidOf(id, type));
