import {
  Arg,
  Args,
  ArgsType,
  Ctx,
  createUnionType,
  Field,
  FieldResolver,
  ID,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import type { HoldView } from '../../inventory/read-holds.ts';
import { atLeast, RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import { ConnectionArgs, connectionById } from '../../platform/graphql/connections.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { checkedIdempotencyKey, IdempotencyKeyReusedError } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { memberById } from '../accounts/index.ts';
import { eventById, PerformanceType, performanceById, TierType, tierById } from '../events/index.ts';
import { TicketHoldType } from '../seats/index.ts';
import { type PlanSeat, type SeatPlans, SeatType, venueById } from '../venues/index.ts';
import { qrSvg } from './qr-svg.ts';
import type { TicketView } from './read-tickets.ts';
import { TicketConnection, TicketType, TicketWalletFieldsType } from './ticket.types.ts';
import type { TicketCodes } from './ticket-codes.ts';
import {
  HandOverClosedError,
  OwnTicketError,
  TicketNotFoundError,
  TicketOfferAcceptedError,
  TicketOfferNotFoundError,
  TicketRefundedError,
  TicketUsedError,
  TooManyOffersError,
} from './tickets.errors.ts';
import { AcceptTicketInput, OfferTicketInput, WithdrawTicketOfferInput } from './tickets.inputs.ts';
import { isOwner, TICKETS_OF_HOLD_MAX, ticketById, ticketsOfHold, visibleTicket } from './tickets.loaders.ts';
import { OFFER_DAYS, type TicketsService } from './tickets.service.ts';

@ArgsType()
class MyTicketsArgs extends ConnectionArgs {
  @Field(() => Boolean, {
    defaultValue: false,
    description: 'Only of performances that are not over, and only tickets that are not `REFUNDED`.',
  })
  upcomingOnly!: boolean;
}

class TicketSuccess {
  constructor(readonly ticketId: string) {}
}

@ObjectType('OfferTicketSuccess', { description: 'The link is made. The ticket is yours until somebody accepts it.' })
export class OfferTicketSuccess extends TicketSuccess {
  constructor(ticketId: string, token: string, expiresAt: Date) {
    super(ticketId);
    this.token = token;
    this.expiresAt = expiresAt;
  }
  @Field(() => String, {
    description:
      'A secret of 43 characters: whoever signs in and brings it to `acceptTicket` first has the ticket. Put it behind the `#` of a link, where no server ' +
      'logs it. It is shown here and nowhere else.',
  })
  readonly token: string;

  @Field(() => Date, { description: `Until when it can be accepted: ${OFFER_DAYS} days, and not after the performance has begun.` })
  readonly expiresAt: Date;

  @Price(1)
  @Field(() => TicketType, { nullable: true, description: 'The ticket. Null once it is not yours, and you did not buy it.' })
  ticket?: TicketType | null;
}

@ObjectType('AcceptTicketSuccess', { description: 'The ticket is yours. Codes its former owner has let nobody in.' })
export class AcceptTicketSuccess extends TicketSuccess {
  @Price(1)
  @Field(() => TicketType, { nullable: true, description: 'The ticket. Null if you have handed it on since.' })
  ticket?: TicketType | null;
}

@ObjectType('WithdrawTicketOfferSuccess', { description: 'No link of the ticket can be accepted any more.' })
export class WithdrawTicketOfferSuccess extends TicketSuccess {
  @Price(1)
  @Field(() => TicketType, { nullable: true, description: 'The ticket, which is yours. Null only if it was handed on at this moment.' })
  ticket?: TicketType | null;
}

const OfferTicketResult = createUnionType({
  name: 'OfferTicketResult',
  description:
    'The link, or why there is none. The first that applies is answered, in this order: IdempotencyKeyReusedError, TicketNotFoundError, ' +
    'TicketRefundedError, TicketUsedError, HandOverClosedError, TooManyOffersError.',
  types: () =>
    [
      OfferTicketSuccess,
      IdempotencyKeyReusedError,
      TicketNotFoundError,
      TicketRefundedError,
      TicketUsedError,
      HandOverClosedError,
      TooManyOffersError,
    ] as const,
});

const AcceptTicketResult = createUnionType({
  name: 'AcceptTicketResult',
  description:
    'The ticket, or why it is not yours. The first that applies is answered, in this order: TicketOfferNotFoundError, OwnTicketError, TicketRefundedError, ' +
    'TicketUsedError, HandOverClosedError.',
  types: () =>
    [AcceptTicketSuccess, TicketOfferNotFoundError, OwnTicketError, TicketRefundedError, TicketUsedError, HandOverClosedError] as const,
});

const WithdrawTicketOfferResult = createUnionType({
  name: 'WithdrawTicketOfferResult',
  description: 'The ticket without an offer, or why it cannot be kept.',
  types: () => [WithdrawTicketOfferSuccess, TicketNotFoundError, TicketOfferAcceptedError] as const,
});

@Resolver()
export class TicketsResolver {
  constructor(private readonly ticketsService: TicketsService) {}

  @RequiresRole()
  @Price(1)
  @Query(() => TicketType, {
    nullable: true,
    description: 'A ticket of yours, or one you bought; null if there is none with this id. Needs a signed-in member.',
  })
  ticket(@Arg('id', () => ID, { description: 'The id of the ticket.' }) id: string, @Ctx() context: RequestContext) {
    viewerOf(context);
    return visibleTicket(context, uuidOf(id, 'Ticket'));
  }

  @RequiresRole()
  @Price(1, { multipliedBy: 'first' })
  @Query(() => TicketConnection, {
    description: 'The tickets that are yours now, bought or accepted, those issued last first. Needs a signed-in member.',
  })
  async myTickets(@Args(() => MyTicketsArgs) { upcomingOnly, ...args }: MyTicketsArgs, @Ctx() context: RequestContext) {
    const { memberId } = viewerOf(context);
    return connectionById(
      args,
      (after, limit) => this.ticketsService.ticketsOf(memberId, upcomingOnly, after, limit),
      () => this.ticketsService.countTicketsOf(memberId, upcomingOnly),
    );
  }

  @RequiresRole()
  @Price(10)
  @Mutation(() => OfferTicketResult, {
    nullable: true,
    description:
      'Makes a link that hands a ticket of yours on to whoever accepts it first; a link made before ends. Needs a signed-in member. Safe to repeat with the same key.',
  })
  async offerTicket(
    @Arg('input', () => OfferTicketInput, { description: 'Which ticket.' }) input: OfferTicketInput,
    @Ctx() context: RequestContext,
  ) {
    const offered = await this.ticketsService.offer(
      viewerOf(context).memberId,
      uuidOf(input.ticketId, 'Ticket'),
      checkedIdempotencyKey(input.idempotencyKey),
    );
    return offered instanceof Refusal ? offered : new OfferTicketSuccess(offered.ticketId, offered.token, offered.expiresAt);
  }

  @RequiresRole()
  @Price(10)
  @Mutation(() => AcceptTicketResult, {
    nullable: true,
    description: 'Takes a ticket that somebody offered you. Needs a signed-in member. Repeating it answers the same and has one effect.',
  })
  async acceptTicket(
    @Arg('input', () => AcceptTicketInput, { description: 'The token of the link.' }) input: AcceptTicketInput,
    @Ctx() context: RequestContext,
  ) {
    const accepted = await this.ticketsService.accept(viewerOf(context).memberId, input.token);
    return accepted instanceof Refusal ? accepted : new AcceptTicketSuccess(accepted);
  }

  @RequiresRole()
  @Price(10)
  @Mutation(() => WithdrawTicketOfferResult, {
    nullable: true,
    description:
      'Ends the link of a ticket of yours, if it has one: nobody can accept it any more. Needs a signed-in member. Repeating it answers the same.',
  })
  async withdrawTicketOffer(
    @Arg('input', () => WithdrawTicketOfferInput, { description: 'Which ticket.' }) input: WithdrawTicketOfferInput,
    @Ctx() context: RequestContext,
  ) {
    const withdrawn = await this.ticketsService.withdraw(viewerOf(context).memberId, uuidOf(input.ticketId, 'Ticket'));
    return withdrawn instanceof Refusal ? withdrawn : new WithdrawTicketOfferSuccess(withdrawn);
  }
}

/** The ticket as the mutation left it: one read before it, in the same request, is old. */
function ticketAfter({ ticketId }: TicketSuccess, context: RequestContext) {
  ticketById(context).clear(ticketId);
  return visibleTicket(context, ticketId);
}

@Resolver(() => OfferTicketSuccess)
export class OfferTicketSuccessResolver {
  @FieldResolver(() => TicketType, { nullable: true })
  ticket(@Root() success: TicketSuccess, @Ctx() context: RequestContext) {
    return ticketAfter(success, context);
  }
}

@Resolver(() => AcceptTicketSuccess)
export class AcceptTicketSuccessResolver {
  @FieldResolver(() => TicketType, { nullable: true })
  ticket(@Root() success: TicketSuccess, @Ctx() context: RequestContext) {
    return ticketAfter(success, context);
  }
}

@Resolver(() => WithdrawTicketOfferSuccess)
export class WithdrawTicketOfferSuccessResolver {
  @FieldResolver(() => TicketType, { nullable: true })
  ticket(@Root() success: TicketSuccess, @Ctx() context: RequestContext) {
    return ticketAfter(success, context);
  }
}

@Resolver(() => TicketHoldType)
export class TicketHoldTicketsResolver {
  @Price(1, { size: 8 })
  @FieldResolver(() => [TicketType], {
    description:
      `Its tickets in the order they were claimed, at most ${TICKETS_OF_HOLD_MAX}. They are issued some moments after it was paid: until then it is empty, so ` +
      'read it again.',
  })
  tickets(@Root() hold: HoldView, @Ctx() context: RequestContext) {
    return ticketsOfHold(context).load(hold.id);
  }
}

@Resolver(() => TicketType)
export class TicketResolver {
  constructor(
    private readonly plans: SeatPlans,
    private readonly codes: TicketCodes,
  ) {}

  @FieldResolver(() => ID)
  id(@Root() ticket: TicketView): string {
    return toNodeId('Ticket', ticket.id);
  }

  @FieldResolver(() => PerformanceType)
  performance(@Root() ticket: TicketView, @Ctx() context: RequestContext) {
    return performanceById(context).load(ticket.performanceId);
  }

  @FieldResolver(() => TierType)
  tier(@Root() ticket: TicketView, @Ctx() context: RequestContext) {
    return tierById(context).load(ticket.tierId);
  }

  @FieldResolver(() => SeatType, { nullable: true })
  async seat(@Root() ticket: TicketView, @Ctx() context: RequestContext): Promise<PlanSeat | null> {
    if (ticket.seatNumber === null) return null;
    const performance = await performanceById(context).load(ticket.performanceId);
    const plan = performance?.planId ? await this.plans.planOf(performance.planId) : null;
    return plan?.seats[ticket.seatNumber] ?? null;
  }

  @FieldResolver(() => String, { nullable: true })
  async holderName(@Root() ticket: TicketView, @Ctx() context: RequestContext): Promise<string | null> {
    if (!isOwner(context.viewer, ticket)) return null;
    return (await memberById(context).load(ticket.ownerId))?.displayName ?? null;
  }

  @FieldResolver(() => String, { nullable: true })
  async code(@Root() ticket: TicketView, @Ctx() context: RequestContext): Promise<string | null> {
    if (!isOwner(context.viewer, ticket) || ticket.state === 'REFUNDED') return null;
    return this.codes.sign({ ticketId: ticket.id, performanceId: ticket.performanceId, generation: ticket.generation });
  }

  @FieldResolver(() => String, { nullable: true })
  async qrSvg(@Root() ticket: TicketView, @Ctx() context: RequestContext): Promise<string | null> {
    const code = await this.code(ticket, context);
    return code && qrSvg(code);
  }

  @FieldResolver(() => TicketWalletFieldsType, { nullable: true })
  async walletFields(@Root() ticket: TicketView, @Ctx() context: RequestContext): Promise<TicketWalletFieldsType | null> {
    const code = await this.code(ticket, context);
    if (!code) return null;
    const [performance, tier, seat, holderName] = await Promise.all([
      performanceById(context).load(ticket.performanceId),
      tierById(context).load(ticket.tierId),
      this.seat(ticket, context),
      this.holderName(ticket, context),
    ]);
    const event = performance && (await eventById(context).load(performance.eventId));
    const venue = event && (await venueById(context).load(event.venueId));
    if (!performance || !tier || !venue) throw new Error(`Ticket ${ticket.id} is for a performance that is not there.`);
    return {
      serialNumber: `${ticket.id}.${ticket.generation}`,
      title: event.title,
      venueName: venue.name,
      venueAddress: venue.address,
      // Doubles come as text where they have more digits than a number keeps.
      latitude: Number(venue.latitude),
      longitude: Number(venue.longitude),
      timeZone: venue.timeZone,
      startsAt: performance.startsAt,
      endsAt: performance.endsAt,
      tierName: tier.name,
      seatText: seat && `${seat.section} ${seat.row}-${seat.label}`,
      holderName: holderName ?? '',
      barcodeFormat: 'QR',
      barcodeMessage: code,
      barcodeAltText: ticket.id.slice(-8).toUpperCase(),
    };
  }

  @FieldResolver(() => Date, { nullable: true })
  usedAt(@Root() ticket: TicketView, @Ctx() { viewer }: RequestContext): Date | null {
    return isOwner(viewer, ticket) || (viewer && atLeast(viewer.role, 'ADMIN')) ? ticket.usedAt : null;
  }

  @FieldResolver(() => Date, { nullable: true })
  offerExpiresAt(@Root() ticket: TicketView, @Ctx() { viewer }: RequestContext): Date | null {
    return isOwner(viewer, ticket) ? ticket.offerExpiresAt : null;
  }
}
