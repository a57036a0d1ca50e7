import { Field, Int, ObjectType } from 'type-graphql';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';

@ObjectType('HoldNotFoundError', { implements: Refusal, description: 'There is no such hold, or it is not yours.' })
export class HoldNotFoundError extends Refusal {
  readonly code = 'HOLD_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 신청을 찾을 수 없습니다. 내 신청 목록을 확인해 주세요.'
      : 'There is no such hold of yours. Look at your own list for its id.';
  }
}

@ObjectType('HoldExpiredError', { implements: Refusal, description: 'The deadline passed before payment began. Claim again.' })
export class HoldExpiredError extends Refusal {
  readonly code = 'HOLD_EXPIRED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '결제 시간이 지나 자리가 반환되었습니다. 다시 신청해 주세요.'
      : 'The deadline to pay has passed and the place went back. Claim again.';
  }
}

@ObjectType('HoldNotOpenError', {
  implements: Refusal,
  description: 'The hold is in a state from which this step cannot be taken: already paid, being paid, released or returned.',
})
export class HoldNotOpenError extends Refusal {
  readonly code = 'HOLD_NOT_OPEN';
  constructor(state: string) {
    super();
    this.state = state;
  }
  @Field(() => String, { description: 'The state it is in, a `HoldState`.' })
  readonly state: string;
  text(locale: Locale) {
    return locale === 'ko'
      ? `이미 처리된 신청입니다(${this.state}). 화면을 새로 고쳐 현재 상태를 확인해 주세요.`
      : `This hold is ${this.state}: the step was taken already or cannot be taken any more. Read it again.`;
  }
}

@ObjectType('CapacityBelowTakenError', {
  implements: Refusal,
  description: 'Capacity may not fall below what is held and sold. Nothing was changed.',
})
export class CapacityBelowTakenError extends Refusal {
  readonly code = 'CAPACITY_BELOW_TAKEN';
  constructor({ held, sold }: Pick<CapacityBelowTakenError, 'held' | 'sold'>) {
    super();
    this.held = held;
    this.sold = sold;
  }
  @Field(() => Int, { description: 'Places held and not yet paid; they come back at their deadline or become sold.' })
  readonly held: number;
  @Field(() => Int, { description: 'Places paid for.' })
  readonly sold: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `${this.held + this.sold}자리 아래로 줄일 수 없습니다(결제 ${this.sold}, 대기 ${this.held}). 환불하거나 대기가 끝난 뒤 다시 시도해 주세요.`
      : `Capacity cannot go below ${this.held + this.sold}: ${this.sold} paid and ${this.held} held. Refund first, or wait for holds to end.`;
  }
}

@ObjectType('BusyError', {
  implements: Refusal,
  description:
    'Too many claims are waiting, or others had what this one needs for seconds. Nothing was taken; send the same request again.',
})
export class BusyError extends Refusal {
  readonly code = 'BUSY';
  @Field(() => Int, { description: 'Wait this many seconds before sending the same request with the same idempotency key again.' })
  readonly retryAfterSeconds: number = 1;
  text(locale: Locale) {
    return locale === 'ko'
      ? `신청이 몰려 있습니다. ${this.retryAfterSeconds}초 뒤 같은 요청을 다시 보내 주세요.`
      : `Too many claims are waiting. Send the same request again in ${this.retryAfterSeconds} second.`;
  }
}
