import { Field, Int, ObjectType } from 'type-graphql';
import { Money } from '../../platform/graphql/money.ts';
import { Price } from '../../platform/graphql/price.ts';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';
import type { CancellationPolicy } from '../holds/index.ts';

@ObjectType('PaymentRefusedError', {
  implements: Refusal,
  description: 'The provider refused to begin the payment. No money was taken and the hold is as it was.',
})
export class PaymentRefusedError extends Refusal {
  readonly code = 'PAYMENT_REFUSED';
  constructor(providerCode: string) {
    super();
    this.providerCode = providerCode;
  }
  @Field(() => String, { description: "The provider's own code for the reason." })
  readonly providerCode: string;
  text(locale: Locale) {
    return locale === 'ko'
      ? '결제사가 결제를 시작하지 못했습니다. 금액은 청구되지 않았습니다. 새 키로 다시 시도하거나 다른 결제 수단을 선택해 주세요.'
      : 'The provider would not begin this payment and nothing was charged. Try again with a new key, or choose another provider.';
  }
}

@ObjectType('PaymentProviderUnavailableError', {
  implements: Refusal,
  description: 'This provider is not set up on this server, or does not answer at the moment. The hold is as it was.',
})
export class PaymentProviderUnavailableError extends Refusal {
  readonly code = 'PAYMENT_PROVIDER_UNAVAILABLE';
  constructor(provider: string) {
    super();
    this.provider = provider;
  }
  @Field(() => String, { description: 'The provider that was asked for.' })
  readonly provider: string;
  text(locale: Locale) {
    return locale === 'ko'
      ? '현재 사용할 수 없는 결제 수단입니다. 신청은 그대로 유지됩니다. 다른 결제 수단을 선택하거나 잠시 후 다시 시도해 주세요.'
      : 'This provider cannot be used right now and your hold was not touched. Choose another one, or send the same request again in a moment.';
  }
}

@ObjectType('TooManyPaymentsError', {
  implements: Refusal,
  description: 'So many payments have been begun for this hold that no more are. The hold, and the payment begun last, are as they were.',
})
export class TooManyPaymentsError extends Refusal {
  readonly code = 'TOO_MANY_PAYMENTS';
  constructor(max: number) {
    super();
    this.max = max;
  }
  @Field(() => Int, { description: 'How many payments may be begun for one hold.' })
  readonly max: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `한 신청에 대해 결제는 ${this.max}번까지만 시작할 수 있습니다. 마지막으로 시작한 결제를 완료하거나 신청을 취소해 주세요.`
      : `At most ${this.max} payments can be begun for one hold. Finish the one you began last, or cancel the hold.`;
  }
}

@ObjectType('ReturnAddressNotAllowedError', {
  implements: Refusal,
  description: 'The address to return to is not of an origin that this server allows. Nothing was begun.',
})
export class ReturnAddressNotAllowedError extends Refusal {
  readonly code = 'RETURN_ADDRESS_NOT_ALLOWED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '허용되지 않은 복귀 주소입니다. 등록된 도메인의 주소를 사용해 주세요.'
      : 'This address to return to is not allowed here. Use one of an origin the operator has listed, or leave it out.';
  }
}

@ObjectType('CancellationClosedError', {
  implements: Refusal,
  description: 'The cancellation policy gives nothing back any more. The booking stays as it is.',
})
export class CancellationClosedError extends Refusal {
  readonly code = 'CANCELLATION_CLOSED';
  constructor(policy: CancellationPolicy, startsAt: Date | null) {
    super();
    const last = policy.length > 0 ? Math.min(...policy.map(({ hoursBefore }) => hoursBefore)) : null;
    this.closedAt = last !== null && startsAt ? new Date(startsAt.getTime() - last * 3_600_000) : null;
  }
  @Field(() => Date, { nullable: true, description: 'Until when it could be cancelled. Null: it never could.' })
  readonly closedAt: Date | null;
  text(locale: Locale) {
    return locale === 'ko'
      ? '취소 가능 기간이 지났습니다. 예약은 그대로 유지됩니다. 환불이 필요하면 주최자에게 문의해 주세요.'
      : 'The time to cancel is over and your booking stays as it is. Ask the organizer if you need your money back.';
  }
}

@ObjectType('PaymentNotFoundError', { implements: Refusal, description: 'There is no such payment, or it is not yours to give back.' })
export class PaymentNotFoundError extends Refusal {
  readonly code = 'PAYMENT_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko' ? '해당 결제를 찾을 수 없습니다.' : 'There is no such payment that you may give back.';
  }
}

@ObjectType('PaymentNotRefundableError', {
  implements: Refusal,
  description: 'Nothing of this payment can be given back now: it holds no money, or a refund of it is under way.',
})
export class PaymentNotRefundableError extends Refusal {
  readonly code = 'PAYMENT_NOT_REFUNDABLE';
  constructor(state: string) {
    super();
    this.state = state;
  }
  @Field(() => String, { description: 'The state it is in, a `PaymentState`.' })
  readonly state: string;
  text(locale: Locale) {
    return locale === 'ko'
      ? `지금은 환불할 수 없는 결제입니다(${this.state}). 진행 중인 환불이 있다면 끝난 뒤 다시 시도해 주세요.`
      : `This payment is ${this.state}: there is nothing to give back, or a refund is under way. Read it again when that has ended.`;
  }
}

@ObjectType('RefundExceedsPaymentError', {
  implements: Refusal,
  description: 'More was asked for than is left of the payment. Nothing was given back.',
})
export class RefundExceedsPaymentError extends Refusal {
  readonly code = 'REFUND_EXCEEDS_PAYMENT';
  constructor(leftMinor: number, currency: string) {
    super();
    this.left = { amountMinor: leftMinor, currency };
  }
  @Price(0)
  @Field(() => Money, { description: 'What is left of it.' })
  readonly left: Money;
  text(locale: Locale) {
    return locale === 'ko'
      ? `환불 가능한 금액은 ${this.left.amountMinor} ${this.left.currency}입니다.`
      : `At most ${this.left.amountMinor} ${this.left.currency} can be given back, and at least 1.`;
  }
}

@ObjectType('ReconciliationNotNeededError', {
  implements: Refusal,
  description: 'This refund can still be asked about or sent again by itself: nobody needs to say what became of it.',
})
export class ReconciliationNotNeededError extends Refusal {
  readonly code = 'RECONCILIATION_NOT_NEEDED';
  @Field(() => Int, { description: 'Wait so many seconds before looking again.' })
  readonly retryAfterSeconds: number = 60;
  text(locale: Locale) {
    return locale === 'ko'
      ? '자동으로 처리되는 환불입니다. 잠시 후 다시 확인해 주세요.'
      : 'No refund of this payment waits for a person. Look at it again in a minute.';
  }
}
