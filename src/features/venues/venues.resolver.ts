import { GraphQLError } from 'graphql';
import { Arg, Args, Ctx, createUnionType, Field, FieldResolver, ID, Int, Mutation, ObjectType, Query, Resolver, Root } from 'type-graphql';
import { RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import { ConnectionArgs, pageOf, toConnection } from '../../platform/graphql/connections.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { checkedIdempotencyKey, IdempotencyKeyReusedError } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import type { PlanSeat } from './seat-plan.ts';
import type { PlanFormat } from './seat-plan-file.ts';
import type { SeatPlanHead } from './seat-plan-outline.ts';
import { SeatPlanInvalidError } from './seat-plan-problems.ts';
import type { Venue } from './venue.entity.ts';
import {
  PlanPointType,
  PlanSectionType,
  PlanZoneType,
  SeatConnection,
  SeatPlanConnection,
  SeatPlanType,
  VenueConnection,
  VenueType,
} from './venue.types.ts';
import { SeatPlanInUseError, SeatPlanNotFoundError, VenueInputError, VenueInUseError, VenueNotFoundError } from './venues.errors.ts';
import { downloadPathOf } from './venues.http.ts';
import {
  CreateVenueInput,
  DeleteSeatPlanInput,
  DeleteVenueInput,
  ImportSeatPlanInput,
  PlanFormatEnum,
  UpdateVenueInput,
} from './venues.inputs.ts';
import { seatPlanById, sectionsByPlan, venueById, zonesByPlan } from './venues.loaders.ts';
import type { VenuesService } from './venues.service.ts';

const SEARCH_MAX = 100;

@ObjectType('VenueSuccess', { description: 'The venue as it is now.' })
class VenueSuccess {
  constructor(readonly venueId: string) {}
  @Price(1)
  @Field(() => VenueType, { description: 'The venue.' })
  venue?: VenueType;
}

@ObjectType('DeleteVenueSuccess', { description: 'The venue is gone.' })
class DeleteVenueSuccess {
  constructor(deletedId: string) {
    this.deletedId = deletedId;
  }
  @Field(() => ID, { description: 'The id it had.' })
  readonly deletedId: string;
}

@ObjectType('SeatPlanSuccess', { description: 'The seat plan is imported.' })
class SeatPlanSuccess {
  constructor(readonly planId: string) {}
  @Price(1)
  @Field(() => SeatPlanType, { description: 'The seat plan.' })
  seatPlan?: SeatPlanType;
}

@ObjectType('DeleteSeatPlanSuccess', { description: 'The seat plan is gone, with its seats.' })
class DeleteSeatPlanSuccess {
  constructor(deletedId: string) {
    this.deletedId = deletedId;
  }
  @Field(() => ID, { description: 'The id it had.' })
  readonly deletedId: string;
}

const CreateVenueResult = createUnionType({
  name: 'CreateVenueResult',
  description: 'The new venue, or what is wrong with it.',
  types: () => [VenueSuccess, VenueInputError, IdempotencyKeyReusedError] as const,
});
const UpdateVenueResult = createUnionType({
  name: 'UpdateVenueResult',
  description: 'The changed venue, or why not.',
  types: () => [VenueSuccess, VenueNotFoundError, VenueInputError] as const,
});
const DeleteVenueResult = createUnionType({
  name: 'DeleteVenueResult',
  description: 'That the venue is gone, or why not.',
  types: () => [DeleteVenueSuccess, VenueNotFoundError, VenueInUseError] as const,
});
const ImportSeatPlanResult = createUnionType({
  name: 'ImportSeatPlanResult',
  description:
    'The imported plan, or why there is none. The first that applies is answered, in this order: VenueNotFoundError, VenueInputError for a `name` that is ' +
    'none, SeatPlanInvalidError, VenueInputError for a missing `name`, IdempotencyKeyReusedError.',
  types: () => [SeatPlanSuccess, VenueNotFoundError, VenueInputError, SeatPlanInvalidError, IdempotencyKeyReusedError] as const,
});
const DeleteSeatPlanResult = createUnionType({
  name: 'DeleteSeatPlanResult',
  description: 'That the seat plan is gone, or why not.',
  types: () => [DeleteSeatPlanSuccess, SeatPlanNotFoundError, SeatPlanInUseError] as const,
});

@Resolver()
export class VenuesResolver {
  constructor(private readonly venuesService: VenuesService) {}

  @Price(1, { multipliedBy: 'first' })
  @Query(() => VenueConnection, { description: 'Venues by name. Anyone may read them.' })
  async venues(
    @Arg('search', () => String, {
      nullable: true,
      description: `Only venues with this in their name or address, whatever its case; at most ${SEARCH_MAX} characters. Absent, null or empty: all.`,
    })
    given: string | null | undefined,
    @Args(() => ConnectionArgs) args: ConnectionArgs,
    @Ctx() context: RequestContext,
  ) {
    const search = given?.trim().normalize('NFC') || null;
    if (search && search.length > SEARCH_MAX) throw badInput(`\`search\` must have at most ${SEARCH_MAX} characters.`);
    const page = pageOf(args, ['text', 'uuid'] as const);
    const rows = await this.venuesService.venues(context.em, search, page.after, page.limit);
    return toConnection(rows, {
      page,
      cursorOf: (venue: Venue) => [venue.name, venue.id],
      totalCount: () => this.venuesService.countVenues(search),
    });
  }

  @Price(1)
  @Query(() => VenueType, { nullable: true, description: 'One venue; null if there is none with this id. Anyone may read it.' })
  venue(@Arg('id', () => ID, { description: 'The id of the venue.' }) id: string, @Ctx() context: RequestContext) {
    return venueById(context).load(uuidOf(id, 'Venue'));
  }

  @Price(1, { multipliedBy: 'first' })
  @Query(() => SeatPlanConnection, {
    description: 'The seat plans of a venue by name; none for a venue that does not exist. Anyone may read them.',
  })
  async seatPlans(
    @Arg('venueId', () => ID, { description: 'The id of the venue.' }) venueId: string,
    @Args(() => ConnectionArgs) args: ConnectionArgs,
    @Ctx() context: RequestContext,
  ) {
    const id = uuidOf(venueId, 'Venue');
    const page = pageOf(args, ['text', 'uuid'] as const);
    const rows = await this.venuesService.plansOf(context.em, id, page.after, page.limit);
    return toConnection(rows, {
      page,
      cursorOf: (plan: SeatPlanHead) => [plan.name, plan.id],
      totalCount: () => this.venuesService.countPlansOf(id),
    });
  }

  @Price(1)
  @Query(() => SeatPlanType, { nullable: true, description: 'One seat plan; null if there is none with this id. Anyone may read it.' })
  seatPlan(@Arg('id', () => ID, { description: 'The id of the seat plan.' }) id: string, @Ctx() context: RequestContext) {
    return seatPlanById(context).load(uuidOf(id, 'SeatPlan'));
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => CreateVenueResult, { nullable: true, description: 'Adds a venue, which is yours. Needs the role ORGANIZER.' })
  async createVenue(
    @Arg('input', () => CreateVenueInput, { description: 'The venue.' }) input: CreateVenueInput,
    @Ctx() context: RequestContext,
  ) {
    checkedIdempotencyKey(input.idempotencyKey);
    const made = await this.venuesService.createVenue(viewerOf(context), input);
    return made instanceof Refusal ? made : new VenueSuccess(made.venueId);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => UpdateVenueResult, {
    nullable: true,
    description: 'Changes a venue of yours, or any as an administrator. Needs the role ORGANIZER.',
  })
  async updateVenue(
    @Arg('input', () => UpdateVenueInput, { description: 'What to change.' }) { venueId, ...change }: UpdateVenueInput,
    @Ctx() context: RequestContext,
  ) {
    const changed = await this.venuesService.updateVenue(viewerOf(context), uuidOf(venueId, 'Venue'), change);
    return changed instanceof Refusal ? changed : new VenueSuccess(changed.id);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => DeleteVenueResult, {
    nullable: true,
    description:
      'Deletes a venue of yours, or any as an administrator, that has neither events nor seat plans. Needs the role ORGANIZER. Repeated, it answers ' +
      'VenueNotFoundError.',
  })
  async deleteVenue(
    @Arg('input', () => DeleteVenueInput, { description: 'Which one.' }) { venueId }: DeleteVenueInput,
    @Ctx() context: RequestContext,
  ) {
    const deleted = await this.venuesService.deleteVenue(viewerOf(context), uuidOf(venueId, 'Venue'));
    return deleted instanceof Refusal ? deleted : new DeleteVenueSuccess(venueId);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => ImportSeatPlanResult, {
    nullable: true,
    description:
      'Imports a seat plan into a venue of yours, or any as an administrator. It never changes afterwards: for another arrangement import another one. ' +
      'Needs the role ORGANIZER.',
  })
  async importSeatPlan(
    @Arg('input', () => ImportSeatPlanInput, { description: 'The plan.' }) input: ImportSeatPlanInput,
    @Ctx() context: RequestContext,
  ) {
    const imported = await this.venuesService.importPlan(viewerOf(context), {
      venueId: uuidOf(input.venueId, 'Venue'),
      name: input.name ?? null,
      format: input.format,
      content: Buffer.from(input.content),
      idempotencyKey: checkedIdempotencyKey(input.idempotencyKey),
    });
    return imported instanceof Refusal ? imported : new SeatPlanSuccess(imported.planId);
  }

  @RequiresRole('ORGANIZER')
  @Mutation(() => DeleteSeatPlanResult, {
    nullable: true,
    description:
      'Deletes a seat plan of a venue of yours, or any as an administrator, that no performance uses. Needs the role ORGANIZER. Repeated, it answers ' +
      'SeatPlanNotFoundError.',
  })
  async deleteSeatPlan(
    @Arg('input', () => DeleteSeatPlanInput, { description: 'Which one.' }) { seatPlanId }: DeleteSeatPlanInput,
    @Ctx() context: RequestContext,
  ) {
    const deleted = await this.venuesService.deletePlan(viewerOf(context), uuidOf(seatPlanId, 'SeatPlan'));
    return deleted instanceof Refusal ? deleted : new DeleteSeatPlanSuccess(seatPlanId);
  }
}

@Resolver(() => VenueType)
export class VenueResolver {
  @FieldResolver(() => ID)
  id(@Root() venue: Venue): string {
    return toNodeId('Venue', venue.id);
  }
}

@Resolver(() => SeatPlanType)
export class SeatPlanResolver {
  constructor(private readonly venuesService: VenuesService) {}

  @FieldResolver(() => ID)
  id(@Root() plan: SeatPlanHead): string {
    return toNodeId('SeatPlan', plan.id);
  }

  @FieldResolver(() => VenueType)
  venue(@Root() plan: SeatPlanHead, @Ctx() context: RequestContext) {
    return venueById(context).load(plan.venueId);
  }

  @FieldResolver(() => PlanPointType)
  focus(@Root() plan: SeatPlanHead): PlanPointType {
    return { x: plan.focusX, y: plan.focusY };
  }

  @FieldResolver(() => Int)
  async seatCount(@Root() plan: SeatPlanHead, @Ctx() context: RequestContext): Promise<number> {
    return sum((await zonesByPlan(context).load(plan.id)).map(({ seatCount }) => seatCount));
  }

  @FieldResolver(() => Int)
  async capacity(@Root() plan: SeatPlanHead, @Ctx() context: RequestContext): Promise<number> {
    return sum((await zonesByPlan(context).load(plan.id)).map(({ capacity }) => capacity));
  }

  @FieldResolver(() => [PlanSectionType])
  sections(@Root() plan: SeatPlanHead, @Ctx() context: RequestContext) {
    return sectionsByPlan(context).load(plan.id);
  }

  @FieldResolver(() => [PlanZoneType])
  zones(@Root() plan: SeatPlanHead, @Ctx() context: RequestContext) {
    return zonesByPlan(context).load(plan.id);
  }

  @FieldResolver(() => SeatConnection)
  async seats(
    @Arg('section', () => String, { nullable: true, description: 'Only seats of this section. Absent or null: all.' })
    section: string | null | undefined,
    @Args(() => ConnectionArgs) args: ConnectionArgs,
    @Root() plan: SeatPlanHead,
  ) {
    const page = pageOf(args, ['integer'] as const);
    const { seats, from, to } = await this.venuesService.seatsOf(plan.id, section ?? null);
    const start = Math.max(from, (page.after?.[0] ?? -1) + 1);
    return toConnection(seats.slice(start, Math.min(to + 1, start + page.limit)), {
      page,
      cursorOf: (seat: PlanSeat) => [seat.number],
      totalCount: async () => to + 1 - from,
    });
  }

  @FieldResolver(() => String)
  downloadUrl(
    @Arg('format', () => PlanFormatEnum, { defaultValue: 'JSON', description: 'How the file is written.' }) format: PlanFormat,
    @Root() plan: SeatPlanHead,
  ): string {
    return downloadPathOf(plan.id, format);
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

const badInput = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });

/** What results carry as an id is loaded only where it is selected. */
@Resolver(() => VenueSuccess)
export class VenueSuccessResolver {
  @FieldResolver(() => VenueType)
  venue(@Root() { venueId }: VenueSuccess, @Ctx() context: RequestContext) {
    return venueById(context).load(venueId);
  }
}

@Resolver(() => SeatPlanSuccess)
export class SeatPlanSuccessResolver {
  @FieldResolver(() => SeatPlanType)
  seatPlan(@Root() { planId }: SeatPlanSuccess, @Ctx() context: RequestContext) {
    return seatPlanById(context).load(planId);
  }
}
