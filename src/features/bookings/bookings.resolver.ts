import { Arg, Ctx, createUnionType, Field, FieldResolver, ID, InputType, Mutation, ObjectType, Resolver, Root } from 'type-graphql';
import { allKinds } from '../../inventory/kind.ts';
import type { HoldView } from '../../inventory/read-holds.ts';
import { RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { checkedIdempotencyKey, IdempotencyKeyReusedError } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { HoldExpiredError, HoldNotFoundError, HoldNotOpenError, HoldType, holdById } from '../holds/index.ts';
import { type Payment, PaymentProviderEnum, PaymentType, type SandboxOutcome, SandboxOutcomeEnum } from '../payments/index.ts';
import { PaymentProviderUnavailableError, PaymentRefusedError } from './bookings.errors.ts';
import type { BookingsService } from './bookings.service.ts';

@InputType('PreparePaymentInput', { description: 'What to pay, and with whom.' })
class PreparePaymentInput {
  @Field(() => ID, { description: 'The id of the hold: for example of an enrolment.' })
  holdId!: string;

  @Field(() => PaymentProviderEnum, { description: 'Who shall take the money.' })
  provider!: string;

  @Field(() => SandboxOutcomeEnum, { defaultValue: 'APPROVE', description: 'What the sandbox shall answer; other providers ignore it.' })
  sandboxOutcome!: SandboxOutcome;

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

@ObjectType('PreparePaymentSuccess', { description: 'The payment has begun; the sandbox ends it at once.' })
export class PreparePaymentSuccess {
  constructor(payment: Payment) {
    this.payment = payment as never;
  }
  @Price(0)
  @Field(() => PaymentType, { description: 'The payment. While it is `PENDING`, read it again.' })
  readonly payment: PaymentType;

  @Price(1)
  @Field(() => HoldType, { description: 'What is being paid.' })
  hold?: HoldType;
}

@ObjectType('CancelBookingSuccess', {
  description: 'It is given up: the place and everything with it went back, and so did the money if it was paid.',
})
class CancelBookingSuccess {
  constructor(hold: HoldView) {
    this.hold = hold as never;
  }
  @Price(0)
  @Field(() => HoldType, { description: 'What was cancelled. While a refund is under way it still reads `CONFIRMED`.' })
  readonly hold: HoldType;
}

const PreparePaymentResult = createUnionType({
  name: 'PreparePaymentResult',
  description: 'The payment, or why there is none.',
  types: () =>
    [
      PreparePaymentSuccess,
      PaymentProviderUnavailableError,
      HoldNotFoundError,
      IdempotencyKeyReusedError,
      HoldExpiredError,
      HoldNotOpenError,
      PaymentRefusedError,
    ] as const,
});

const CancelBookingResult = createUnionType({
  name: 'CancelBookingResult',
  description: 'What was cancelled, or why it could not be.',
  types: () => [CancelBookingSuccess, HoldNotFoundError, HoldExpiredError, HoldNotOpenError] as const,
});

const holdUuidOf = (id: string) =>
  uuidOf(id, ...(allKinds().flatMap((kind) => (kind.holdType ? [kind.holdType] : [])) as [string, ...string[]]));

@Resolver()
export class BookingsResolver {
  constructor(private readonly bookingsService: BookingsService) {}

  @RequiresRole()
  @Mutation(() => PreparePaymentResult, {
    nullable: true,
    description:
      'Starts to pay a hold of yours before its deadline; from then on the deadline no longer runs. Needs a signed-in member. Safe to repeat with the same key.',
  })
  async preparePayment(
    @Arg('input', () => PreparePaymentInput, { description: 'What to pay.' }) input: PreparePaymentInput,
    @Ctx() context: RequestContext,
  ) {
    const result = await this.bookingsService.pay({
      memberId: viewerOf(context).memberId,
      holdId: holdUuidOf(input.holdId),
      provider: input.provider,
      request: { outcome: input.sandboxOutcome },
      idempotencyKey: checkedIdempotencyKey(input.idempotencyKey),
    });
    return result instanceof Refusal ? result : new PreparePaymentSuccess(result);
  }

  @RequiresRole()
  @Mutation(() => CancelBookingResult, {
    nullable: true,
    description:
      'Gives up a hold of yours, unpaid or paid; what was paid is refunded in full. Repeating it answers the same and has one effect. Needs a signed-in member.',
  })
  async cancelBooking(
    @Arg('input', () => CancelBookingInput, { description: 'What to cancel.' }) input: CancelBookingInput,
    @Ctx() context: RequestContext,
  ) {
    const result = await this.bookingsService.cancel(viewerOf(context).memberId, holdUuidOf(input.holdId));
    return result instanceof Refusal ? result : new CancelBookingSuccess(result);
  }
}

@Resolver(() => PreparePaymentSuccess)
export class PreparePaymentSuccessResolver {
  @FieldResolver(() => HoldType)
  hold(@Root() { payment }: PreparePaymentSuccess, @Ctx() context: RequestContext) {
    return holdById(context).load((payment as unknown as Payment).holdId);
  }
}
