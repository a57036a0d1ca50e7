import { Field, Int, ObjectType } from 'type-graphql';
import type { Locale } from '../../platform/locale.ts';
import { InputRefusal, Refusal } from '../../platform/refusal.ts';

@ObjectType('EventNotFoundError', { implements: Refusal, description: 'There is no such event, or it is not yours to change.' })
export class EventNotFoundError extends Refusal {
  readonly code = 'EVENT_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 공연을 찾을 수 없습니다. 내 공연 목록에서 다시 선택해 주세요.'
      : 'There is no such event of yours. Choose one from `myEvents`.';
  }
}

@ObjectType('PerformanceNotFoundError', {
  implements: Refusal,
  description: 'There is no such performance, or what you want to do with it is not yours to do.',
})
export class PerformanceNotFoundError extends Refusal {
  readonly code = 'PERFORMANCE_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 회차를 찾을 수 없습니다. 목록에서 다시 선택해 주세요.'
      : 'There is no such performance. Choose one from `performances`.';
  }
}

@ObjectType('TierNotFoundError', { implements: Refusal, description: 'There is no such tier, or it is not yours to change.' })
export class TierNotFoundError extends Refusal {
  readonly code = 'TIER_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 등급을 찾을 수 없습니다. 회차의 등급 목록에서 다시 선택해 주세요.'
      : 'There is no such tier. Choose one from the `tiers` of its performance.';
  }
}

@ObjectType('EventInputError', {
  implements: Refusal,
  description: 'What was given does not make an event, a performance, a tier or door staff. Nothing was changed.',
})
export class EventInputError extends InputRefusal {
  readonly code = 'EVENT_INPUT';
  @Field(() => String, { description: 'The input field to correct, for example `title` or `tiers[2].zone`.' })
  declare readonly field: string;
}

@ObjectType('TierZonesError', {
  implements: Refusal,
  description: 'The tiers do not price each zone of the seat plan exactly once. Nothing was made.',
})
export class TierZonesError extends Refusal {
  readonly code = 'TIER_ZONES';
  constructor({ missing, unknown, repeated }: Pick<TierZonesError, 'missing' | 'unknown' | 'repeated'>) {
    super();
    this.missing = missing.slice(0, ZONES_NAMED_MAX);
    this.unknown = unknown;
    this.repeated = repeated;
  }
  @Field(() => [String], { description: 'Zones of the plan that no tier names, the first 100.' })
  readonly missing: string[];
  @Field(() => [String], { description: 'Zones that the plan does not have, at most 20.' })
  readonly unknown: string[];
  @Field(() => [String], { description: 'Zones that more than one tier names, at most 10.' })
  readonly repeated: string[];
  text(locale: Locale) {
    return locale === 'ko'
      ? `좌석 배치도의 구역마다 등급을 정확히 하나씩 정해 주세요(${this.wrong('빠진 구역', '없는 구역', '중복된 구역')}).`
      : `Give each zone of the seat plan exactly one tier (${this.wrong('missing', 'unknown', 'more than once')}).`;
  }
  private wrong(missing: string, unknown: string, repeated: string): string {
    return [
      [missing, this.missing],
      [unknown, this.unknown],
      [repeated, this.repeated],
    ]
      .filter(([, zones]) => (zones as string[]).length > 0)
      .map(([what, zones]) => `${what}: ${(zones as string[]).join(', ')}`)
      .join('; ');
  }
}

/** A plan with more zones than a performance has tiers can still be told about. */
const ZONES_NAMED_MAX = 100;

@ObjectType('HasSalesError', {
  implements: Refusal,
  description: 'Something of it is held or was paid for, so it must stay. Nothing was deleted.',
})
export class HasSalesError extends Refusal {
  readonly code = 'HAS_SALES';
  constructor({ open, sold, past }: Pick<HasSalesError, 'open' | 'sold' | 'past'>) {
    super();
    this.open = open;
    this.sold = sold;
    this.past = past;
  }
  @Field(() => Int, { description: 'Holds that can still be paid or are being paid.' })
  readonly open: number;
  @Field(() => Int, { description: 'Holds that are paid for.' })
  readonly sold: number;
  @Field(() => Int, {
    description: 'Holds for which a payment was begun and that are over: refunded, or not paid after all. They stay in the books.',
  })
  readonly past: number;
  text(locale: Locale) {
    if (this.open + this.sold === 0)
      return locale === 'ko'
        ? `결제 기록이 있는 예매가 ${this.past}건 있어 삭제할 수 없습니다. 판매를 종료하면 더 이상 판매되지 않습니다.`
        : `${this.past} holds that are over have payments in the books, so it cannot be deleted. Close the sale: nothing more is sold.`;
    return locale === 'ko'
      ? `진행 중인 예매 ${this.open}건, 결제된 예매 ${this.sold}건이 있어 삭제할 수 없습니다. 판매를 종료하고 결제된 예매를 환불해 주세요.`
      : `${this.open} holds are open and ${this.sold} are paid for, so it cannot be deleted. Close the sale and refund what is paid.`;
  }
}

@ObjectType('TooManyPerformancesError', {
  implements: Refusal,
  description: 'The event has more performances than this step takes. Nothing was changed.',
})
export class TooManyPerformancesError extends Refusal {
  readonly code = 'TOO_MANY_PERFORMANCES';
  constructor(performances: number, limit: number) {
    super();
    this.performances = performances;
    this.limit = limit;
  }
  @Field(() => Int, { description: 'Performances it has.' })
  readonly performances: number;
  @Field(() => Int, { description: 'Performances it may have for this step.' })
  readonly limit: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `회차가 ${this.performances}개 있습니다. ${this.limit}개 이하여야 하니 먼저 회차를 삭제해 주세요.`
      : `It has ${this.performances} performances, and ${this.limit} are the most for this step. Delete performances first.`;
  }
}

@ObjectType('MemberLimitBelowTakenError', {
  implements: Refusal,
  description: 'A member has more of the performance already than the new limit allows. Nothing was changed.',
})
export class MemberLimitBelowTakenError extends Refusal {
  readonly code = 'MEMBER_LIMIT_BELOW_TAKEN';
  constructor(taken: number) {
    super();
    this.taken = taken;
  }
  @Field(() => Int, { description: 'The most that one member has now, held and paid: the lowest limit there can be.' })
  readonly taken: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `이미 ${this.taken}매를 예매한 회원이 있어 1인당 한도를 그보다 낮출 수 없습니다.`
      : `A member has ${this.taken} already, so the limit cannot go below that. Choose ${this.taken} or more.`;
  }
}

abstract class SeatsRefusal extends Refusal {
  constructor(seats: readonly number[]) {
    super();
    this.seats = [...seats];
  }
  readonly seats: number[];
  protected get listed() {
    return this.seats.join(', ');
  }
}

@ObjectType('NoSuchSeatsError', { implements: Refusal, description: 'The performance has no seats of these numbers. Nothing was changed.' })
export class NoSuchSeatsError extends SeatsRefusal {
  readonly code = 'NO_SUCH_SEATS';
  @Field(() => [Int], { description: 'The numbers it does not have, at most 100.' })
  declare readonly seats: number[];
  text(locale: Locale) {
    return locale === 'ko'
      ? `이 회차에 없는 좌석 번호입니다: ${this.listed}. 좌석 배치도를 확인해 주세요.`
      : `This performance has no seats ${this.listed}. Look at its seat plan.`;
  }
}

@ObjectType('SeatsHeldOrSoldError', {
  implements: Refusal,
  description: 'Somebody has these seats, so they cannot be taken out of the sale. Nothing was changed.',
})
export class SeatsHeldOrSoldError extends SeatsRefusal {
  readonly code = 'SEATS_HELD_OR_SOLD';
  @Field(() => [Int], {
    description: 'The numbers of the seats that are held, sold, or kept for a moment for somebody who follows them, at most 100.',
  })
  declare readonly seats: number[];
  text(locale: Locale) {
    return locale === 'ko'
      ? `이미 예매 중이거나 판매된 좌석입니다: ${this.listed}. 이 좌석을 빼고 다시 시도하거나 환불해 주세요.`
      : `Seats ${this.listed} are held or sold. Leave them out, wait for holds to end, or refund them.`;
  }
}

@ObjectType('SeatsNeverSoldError', {
  implements: Refusal,
  description: 'The seat plan says of these seats that they are never sold, for example behind a pillar. Nothing was changed.',
})
export class SeatsNeverSoldError extends SeatsRefusal {
  readonly code = 'SEATS_NEVER_SOLD';
  @Field(() => [Int], { description: 'The numbers of the seats that can never be sold, at most 100.' })
  declare readonly seats: number[];
  text(locale: Locale) {
    return locale === 'ko'
      ? `판매할 수 없는 좌석입니다: ${this.listed}. 이 좌석을 빼고 다시 시도해 주세요.`
      : `Seats ${this.listed} are never sold. Leave them out.`;
  }
}

@ObjectType('NoSuchAccountError', {
  implements: Refusal,
  description: 'No account has this e-mail address. Only organizers are told, and so many times only.',
})
export class NoSuchAccountError extends Refusal {
  readonly code = 'NO_SUCH_ACCOUNT';
  text(locale: Locale) {
    return locale === 'ko'
      ? '이 이메일로 가입한 회원이 없습니다. 먼저 회원 가입을 요청해 주세요.'
      : 'No account has this e-mail address. Ask them to sign up first.';
  }
}

@ObjectType('TooManyDoorStaffError', {
  implements: Refusal,
  description: 'The event has as many door staff as it may have. Nobody was added.',
})
export class TooManyDoorStaffError extends Refusal {
  readonly code = 'TOO_MANY_DOOR_STAFF';
  constructor(limit: number) {
    super();
    this.limit = limit;
  }
  @Field(() => Int, { description: 'Door staff an event may have.' })
  readonly limit: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `입장 확인 담당자는 ${this.limit}명까지 등록할 수 있습니다. 먼저 다른 담당자를 삭제해 주세요.`
      : `An event has at most ${this.limit} door staff. Remove somebody first.`;
  }
}
