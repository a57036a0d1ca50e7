import { GraphQLError } from 'graphql';
import {
  Arg,
  Args,
  Ctx,
  createUnionType,
  Field,
  FieldResolver,
  ID,
  InputType,
  Int,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
  Subscription,
} from 'type-graphql';
import { allKinds } from '../../inventory/kind.ts';
import type { HoldView } from '../../inventory/read-holds.ts';
import { atLeast, mayReadOf, RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import { Connection, ConnectionArgs, pageOf, toConnection } from '../../platform/graphql/connections.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { Money } from '../../platform/graphql/money.ts';
import { uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { checkedIdempotencyKey, IdempotencyKeyReusedError } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { HoldExpiredError, HoldNotFoundError, HoldNotOpenError, HoldStateEnum, HoldType, holdById, holdNodeId } from '../holds/index.ts';
import {
  type Payment,
  PaymentProviderEnum,
  PaymentStateEnum,
  PaymentType,
  type ProviderName,
  paymentById,
  type Refund,
  RefundType,
  visiblePayment,
} from '../payments/index.ts';
import { TicketsHandedOnError, TicketsUsedError } from '../tickets/index.ts';
import {
  CancellationClosedError,
  PaymentNotFoundError,
  PaymentNotRefundableError,
  PaymentProviderUnavailableError,
  PaymentRefusedError,
  ReconciliationNotNeededError,
  RefundExceedsPaymentError,
  ReturnAddressNotAllowedError,
  TooManyPaymentsError,
} from './bookings.errors.ts';
import type { BookingsService } from './bookings.service.ts';
import type { BookingState } from './live-bookings.ts';
import type { Reconciliation, ReconciliationItem } from './reconciler.ts';

const REASON_MAX = 100;

@InputType('PreparePaymentInput', { description: 'What to pay, and with whom.' })
class PreparePaymentInput {
  @Field(() => ID, { description: 'The id of the hold: for example of an enrolment.' })
  holdId!: string;

  @Field(() => PaymentProviderEnum, {
    description: 'Who shall take the money: one of `paymentProviders`. Ignored where there is nothing to pay.',
  })
  provider!: ProviderName;

  @Field(() => String, {
    nullable: true,
    description:
      "Where the customer's browser ends, with `?paymentId=` added: an address of an origin the operator allows, up to 1,000 characters. Null: a page of this server.",
  })
  returnTo?: string | null;

  @Field(() => String, {
    description:
      'Made by you before the first try, 1 to 200 visible ASCII characters. Sending the same again answers with the same payment.',
  })
  idempotencyKey!: string;
}

@InputType('CancelBookingInput', { description: 'What to cancel.' })
class CancelBookingInput {
  @Field(() => ID, { description: 'The id of the hold: for example of an enrolment.' })
  holdId!: string;
}

@InputType('RefundPaymentInput', { description: 'What to give back.' })
class RefundPaymentInput {
  @Field(() => ID, { description: 'The id of the payment.' })
  paymentId!: string;

  @Field(() => Int, { nullable: true, description: 'How much, in minor units, at least 1. Null: all that is left of it.' })
  amountMinor?: number | null;

  @Field(() => Boolean, {
    defaultValue: false,
    description: 'Whether the booking ends and its places go back. Giving back all that is left always ends it.',
  })
  cancelsBooking!: boolean;

  @Field(() => String, { description: `What the customer reads about it, 1 to ${REASON_MAX} characters.` })
  reason!: string;

  @Field(() => String, {
    description:
      'Made by you before the first try, 1 to 200 visible ASCII characters. Sending the same again answers with the same refund.',
  })
  idempotencyKey!: string;
}

@InputType('ConcludeRefundInput', { description: 'What became of a refund that nobody can ask about.' })
class ConcludeRefundInput {
  @Field(() => ID, { description: 'The id of the payment whose refund is open.' })
  paymentId!: string;

  @Field(() => Boolean, {
    description: "True: the provider's console shows that the money went back. False: it shows that it did not; it is then sent again.",
  })
  wasRefunded!: boolean;
}

@ObjectType('PreparePaymentSuccess', {
  description:
    'The payment has begun: send the customer to `payment.checkout`. Where there is nothing to pay the booking is confirmed already.',
})
export class PreparePaymentSuccess {
  constructor(payment: Payment) {
    this.payment = payment as never;
  }
  @Price(0)
  @Field(() => PaymentType, { description: 'The payment. Watch `bookingChanged`, or read it again, to learn how it ends.' })
  readonly payment: PaymentType;

  @Price(1)
  @Field(() => HoldType, { description: 'What is being paid.' })
  hold?: HoldType;
}

@ObjectType('CancelBookingSuccess', {
  description:
    'It is given up: the place and everything with it went back, and so did the share of the price that the cancellation policy gives.',
})
class CancelBookingSuccess {
  constructor(hold: HoldView) {
    this.hold = hold as never;
  }
  @Price(0)
  @Field(() => HoldType, { description: 'What was cancelled. While the refund is under way it still reads `CONFIRMED`.' })
  readonly hold: HoldType;
}

@ObjectType('RefundPaymentSuccess', { description: 'The refund is decided, and done if its state says so.' })
class RefundPaymentSuccess {
  constructor(refund: Refund) {
    this.refund = refund as never;
  }
  @Price(0)
  @Field(() => RefundType, { description: 'The refund.' })
  readonly refund: RefundType;
}

@ObjectType('ReconcileSuccess', { description: 'The payment as it is now.' })
class ReconcileSuccess {
  constructor(payment: Payment) {
    this.payment = payment as never;
  }
  @Price(0)
  @Field(() => PaymentType, { description: 'The payment.' })
  readonly payment: PaymentType;
}

const PreparePaymentResult = createUnionType({
  name: 'PreparePaymentResult',
  description:
    'The payment, or why there is none. The first that applies is answered, in this order: HoldNotFoundError, ReturnAddressNotAllowedError, ' +
    'IdempotencyKeyReusedError, HoldExpiredError, HoldNotOpenError, TooManyPaymentsError, PaymentProviderUnavailableError, PaymentRefusedError.',
  types: () =>
    [
      PreparePaymentSuccess,
      HoldNotFoundError,
      ReturnAddressNotAllowedError,
      IdempotencyKeyReusedError,
      HoldExpiredError,
      HoldNotOpenError,
      TooManyPaymentsError,
      PaymentProviderUnavailableError,
      PaymentRefusedError,
    ] as const,
});

const CancelBookingResult = createUnionType({
  name: 'CancelBookingResult',
  description:
    'What was cancelled, or why it could not be. The first that applies is answered, in this order: HoldNotFoundError, HoldExpiredError, HoldNotOpenError, ' +
    'CancellationClosedError, TicketsUsedError, TicketsHandedOnError.',
  types: () =>
    [
      CancelBookingSuccess,
      HoldNotFoundError,
      HoldExpiredError,
      HoldNotOpenError,
      CancellationClosedError,
      TicketsUsedError,
      TicketsHandedOnError,
    ] as const,
});

const RefundPaymentResult = createUnionType({
  name: 'RefundPaymentResult',
  description: 'The refund, or why nothing goes back.',
  types: () =>
    [RefundPaymentSuccess, PaymentNotFoundError, IdempotencyKeyReusedError, PaymentNotRefundableError, RefundExceedsPaymentError] as const,
});

const ReconcilePaymentResult = createUnionType({
  name: 'ReconcilePaymentResult',
  description: 'The payment after its provider was asked, or why it was not.',
  types: () => [ReconcileSuccess, PaymentNotFoundError] as const,
});

const ConcludeRefundResult = createUnionType({
  name: 'ConcludeRefundResult',
  description: 'The payment with its refund concluded, or why that is not for a person to say.',
  types: () => [ReconcileSuccess, PaymentNotFoundError, ReconciliationNotNeededError] as const,
});

@ObjectType('BookingChange', { description: 'Where the booking of a hold is: the hold and the payment that was begun last.' })
class BookingChangeType {
  @Field(() => ID, { description: 'The id of the hold that is watched.' })
  holdId?: string;

  @Field(() => HoldStateEnum, { description: 'The state of the hold.' })
  holdState?: string;

  @Field(() => PaymentStateEnum, { nullable: true, description: 'The state of its payment. Null before there is one.' })
  paymentState!: string | null;

  @Price(1)
  @Field(() => PaymentType, {
    nullable: true,
    description:
      'Its payment, read at this moment. Null before there is one. Its `hold` is another one where a late payment was given an equal place.',
  })
  payment?: PaymentType | null;

  @Field(() => Int, { description: 'Grows with every change: the larger is the newer.' })
  version!: number;

  @Field(() => Date, { description: 'When this was true, by the database clock.' })
  at?: Date;
}

@ObjectType('ReconciliationItem', { description: 'A payment whose money and booking do not agree yet.' })
class ReconciliationItemType {
  @Price(1)
  @Field(() => PaymentType, { description: 'The payment.' })
  payment?: PaymentType;

  @Field(() => Date, { description: 'Since when its outcome has been unknown, or its refund open.' })
  since!: Date;

  @Field(() => Date, { nullable: true, description: 'When it is looked at next. Null: by nobody but you.' })
  nextLookAt!: Date | null;

  @Field(() => Int, { description: 'How often in a row it was looked at without an answer.' })
  looks!: number;

  @Field(() => Boolean, { description: 'Whether it has been open for longer than it may: look at it yourself.' })
  isOverdue!: boolean;
}

const { ConnectionType: ReconciliationItemConnection } = Connection('ReconciliationItem', ReconciliationItemType);

@ObjectType('Reconciliation', { description: 'Everything that is not at its end, for operators.' })
class ReconciliationType {
  @Field(() => Int, { description: 'Open payments.' })
  open!: number;

  @Field(() => Int, { description: 'How many of them are overdue. Anything but 0 needs a person.' })
  overdue!: number;

  @Field(() => Date, { nullable: true, description: 'Since when the oldest has been open. Null: nothing is open.' })
  oldestSince!: Date | null;

  @Field(() => Money, { description: 'Money that was taken and is neither booked nor back. 0 at rest.' })
  deposits?: Money;

  @Price(1, { multipliedBy: 'first' })
  @Field(() => ReconciliationItemConnection, { description: 'The open payments, oldest first.' })
  items?: object;
}

const holdUuidOf = (id: string) =>
  uuidOf(id, ...(allKinds().flatMap((kind) => (kind.holdType ? [kind.holdType] : [])) as [string, ...string[]]));

@Resolver()
export class BookingsResolver {
  constructor(private readonly bookingsService: BookingsService) {}

  @RequiresRole()
  @Price(10)
  @Mutation(() => PreparePaymentResult, {
    nullable: true,
    description:
      'Begins to pay a hold of yours before its deadline; from then on the deadline no longer runs, and you have until `payBy`. Beginning again with another ' +
      'provider replaces a payment the customer has not agreed to yet. Needs a signed-in member. Safe to repeat with the same key.',
  })
  async preparePayment(
    @Arg('input', () => PreparePaymentInput, { description: 'What to pay.' }) input: PreparePaymentInput,
    @Ctx() context: RequestContext,
  ) {
    const result = await this.bookingsService.preparing.prepare({
      memberId: viewerOf(context).memberId,
      holdId: holdUuidOf(input.holdId),
      provider: input.provider,
      locale: context.locale,
      returnTo: input.returnTo ?? null,
      idempotencyKey: checkedIdempotencyKey(input.idempotencyKey),
    });
    return result instanceof Refusal ? result : new PreparePaymentSuccess(result);
  }

  @RequiresRole()
  @Price(10)
  @Mutation(() => CancelBookingResult, {
    nullable: true,
    description:
      'Gives up a hold of yours, unpaid or paid; of what was paid the share goes back that its cancellation policy gives at this moment. Repeating it answers ' +
      'the same and has one effect. Needs a signed-in member.',
  })
  async cancelBooking(
    @Arg('input', () => CancelBookingInput, { description: 'What to cancel.' }) input: CancelBookingInput,
    @Ctx() context: RequestContext,
  ) {
    const result = await this.bookingsService.cancelling.cancel(viewerOf(context).memberId, holdUuidOf(input.holdId));
    return result instanceof Refusal ? result : new CancelBookingSuccess(result);
  }

  @RequiresRole('ORGANIZER')
  @Price(10)
  @Mutation(() => RefundPaymentResult, {
    nullable: true,
    description:
      'Gives back a part or all of a payment, whatever the cancellation policy says. Needs the role ADMIN, or ORGANIZER for payments of what you sell. ' +
      'Safe to repeat with the same key.',
  })
  async refundPayment(
    @Arg('input', () => RefundPaymentInput, { description: 'What to give back.' }) input: RefundPaymentInput,
    @Ctx() context: RequestContext,
  ) {
    const { memberId, role } = viewerOf(context);
    const reason = input.reason.trim();
    if (reason.length < 1 || reason.length > REASON_MAX) throw badInput(`\`reason\` must have 1 to ${REASON_MAX} characters.`);
    const result = await this.bookingsService.refunding.refund({
      paymentId: uuidOf(input.paymentId, 'Payment'),
      amountMinor: input.amountMinor ?? null,
      cancelsBooking: input.cancelsBooking,
      reason,
      askedBy: { memberId, isAdministrator: atLeast(role, 'ADMIN') },
      idempotencyKey: checkedIdempotencyKey(input.idempotencyKey),
    });
    return result instanceof Refusal ? result : new RefundPaymentSuccess(result);
  }

  @RequiresRole('ADMIN')
  @Price(10)
  @Query(() => ReconciliationType, {
    description: 'Payments whose outcome is not known or whose money is on its way back. Needs the role ADMIN.',
  })
  reconciliation(): Promise<Reconciliation> {
    return this.bookingsService.reconciler.summary();
  }

  @RequiresRole('ADMIN')
  @Price(10)
  @Mutation(() => ReconcilePaymentResult, {
    nullable: true,
    description: 'Asks the provider about a payment now, and does what follows from its answer. Safe to repeat. Needs the role ADMIN.',
  })
  async reconcilePayment(
    @Arg('paymentId', () => ID, { description: 'The id of the payment.' }) paymentId: string,
    @Ctx() context: RequestContext,
  ) {
    const id = uuidOf(paymentId, 'Payment');
    if (!(await visiblePayment(context, id))) return new PaymentNotFoundError();
    return new ReconcileSuccess(await this.bookingsService.saga.advance(id, { isAsked: true }));
  }

  @RequiresRole('ADMIN')
  @Price(10)
  @Mutation(() => ConcludeRefundResult, {
    nullable: true,
    description:
      "Says what became of a refund whose answer was lost, at a provider that can neither be asked nor told twice, after you looked in the provider's console. " +
      'Needs the role ADMIN.',
  })
  async concludeRefund(
    @Arg('input', () => ConcludeRefundInput, { description: 'What you saw.' }) { paymentId, wasRefunded }: ConcludeRefundInput,
  ) {
    const result = await this.bookingsService.refunding.conclude(uuidOf(paymentId, 'Payment'), wasRefunded);
    return result instanceof Refusal ? result : new ReconcileSuccess(result);
  }

  @RequiresRole()
  @Price(5)
  @Subscription(() => BookingChangeType, {
    description:
      'How the booking of a hold of yours goes on, live: first where it is now, then every change, with versions that never go down. Needs a signed-in ' +
      'member; a hold of somebody else is refused as bad input, as one that does not exist is.',
    subscribe: async ({ args, context }) => {
      const id = holdUuidOf((args as { holdId: string }).holdId);
      const hold = await holdById(context as RequestContext).load(id);
      if (!hold || !mayReadOf((context as RequestContext).viewer, hold.claimantId))
        throw badInput('`holdId` is not the id of a hold of yours.');
      return (context as RequestContext).watch('bookingChanged', [id]);
    },
  })
  bookingChanged(
    @Root() state: BookingState,
    @Arg('holdId', () => ID, { description: 'The id of the hold: for example of an enrolment.' }) _holdId: string,
  ): BookingChangeType {
    return state as never;
  }
}

@Resolver(() => PreparePaymentSuccess)
export class PreparePaymentSuccessResolver {
  @FieldResolver(() => HoldType)
  hold(@Root() { payment }: PreparePaymentSuccess, @Ctx() context: RequestContext) {
    return holdById(context).load((payment as unknown as Payment).holdId);
  }
}

@Resolver(() => BookingChangeType)
export class BookingChangeResolver {
  @FieldResolver(() => ID)
  holdId(@Root() state: BookingState): string {
    return holdNodeId(state);
  }

  @FieldResolver(() => HoldStateEnum)
  holdState(@Root() { state }: BookingState): string {
    return state;
  }

  @FieldResolver(() => PaymentType, { nullable: true })
  payment(@Root() { paymentId }: BookingState, @Ctx() context: RequestContext) {
    return paymentId ? visiblePayment(context, paymentId) : null;
  }

  @FieldResolver(() => Date)
  at(@Root() { at }: BookingState): Date {
    return new Date(at);
  }
}

@Resolver(() => ReconciliationType)
export class ReconciliationResolver {
  constructor(private readonly bookingsService: BookingsService) {}

  @FieldResolver(() => Money)
  deposits(@Root() { depositsMinor }: Reconciliation): Money {
    return { amountMinor: depositsMinor, currency: 'KRW' };
  }

  @FieldResolver(() => ReconciliationItemConnection)
  async items(@Root() { open }: Reconciliation, @Args(() => ConnectionArgs) args: ConnectionArgs) {
    const page = pageOf(args, ['instant', 'uuid'] as const);
    const after = page.after && { since: new Date(page.after[0]), paymentId: page.after[1] };
    const rows = await this.bookingsService.reconciler.items(after, page.limit);
    return toConnection(rows, {
      page,
      cursorOf: ({ since, paymentId }: ReconciliationItem) => [since.toISOString(), paymentId],
      totalCount: async () => open,
    });
  }
}

@Resolver(() => ReconciliationItemType)
export class ReconciliationItemResolver {
  @FieldResolver(() => PaymentType)
  payment(@Root() { paymentId }: ReconciliationItem, @Ctx() context: RequestContext) {
    return paymentById(context).load(paymentId);
  }
}

const badInput = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });
