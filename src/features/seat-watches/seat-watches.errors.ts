import { Field, ID, Int, ObjectType } from 'type-graphql';
import { toNodeId } from '../../platform/graphql/node-ids.ts';
import type { Locale } from '../../platform/locale.ts';
import { InputRefusal, Refusal } from '../../platform/refusal.ts';

@ObjectType('SeatWatchInputError', {
  implements: Refusal,
  description: 'Something in the input is out of its limits. Nothing was followed.',
})
export class SeatWatchInputError extends InputRefusal {
  readonly code = 'SEAT_WATCH_INPUT';
  @Field(() => String, { description: 'The input field that is out of its limits.' })
  declare readonly field: string;
}

@ObjectType('SeatWatchTargetNotFoundError', {
  implements: Refusal,
  description:
    'There is no such performance, it has no such tier, or some of the seats are not in it or not for sale. Nothing was followed.',
})
export class SeatWatchTargetNotFoundError extends Refusal {
  readonly code = 'SEAT_WATCH_TARGET_NOT_FOUND';
  constructor(seats: readonly number[] = []) {
    super();
    this.seats = seats;
  }
  @Field(() => [Int], { description: 'The numbers that are not seats for sale, at most 10. Empty: it is the performance or the tier.' })
  readonly seats: readonly number[];
  text(locale: Locale) {
    if (this.seats.length > 0)
      return locale === 'ko'
        ? `판매하지 않는 좌석입니다(${this.seats.join(', ')}). 좌석 배치도에서 다시 선택해 주세요.`
        : `Not for sale: ${this.seats.join(', ')}. Choose seats from the map of the performance.`;
    return locale === 'ko'
      ? '해당 회차 또는 등급을 찾을 수 없습니다. 회차 정보를 다시 확인해 주세요.'
      : 'There is no such performance or tier. Read the performance again and choose one of its tiers.';
  }
}

@ObjectType('SeatWatchSaleClosedError', {
  implements: Refusal,
  description: 'The sale of the performance is over: what is given back now is not sold again.',
})
export class SeatWatchSaleClosedError extends Refusal {
  readonly code = 'SEAT_WATCH_SALE_CLOSED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '판매가 종료되어 취소 좌석 알림을 신청할 수 없습니다. 다른 회차를 선택해 주세요.'
      : 'The sale of this performance is over. Choose another performance.';
  }
}

@ObjectType('SeatFreeError', {
  implements: Refusal,
  description: 'Some of what you want to follow is free at this moment: hold it instead. Nothing was followed.',
})
export class SeatFreeError extends Refusal {
  readonly code = 'SEAT_FREE';
  constructor(
    seats: readonly number[],
    private readonly tierUuid: string | null,
  ) {
    super();
    this.seats = seats;
  }
  @Field(() => [Int], { description: 'The numbers of the free seats, at most 10. Empty when a tier was asked for.' })
  readonly seats: readonly number[];
  @Field(() => ID, { nullable: true, description: 'The tier that has something free. Null when seats were asked for.' })
  tierId(): string | null {
    return this.tierUuid && toNodeId('Tier', this.tierUuid);
  }
  text(locale: Locale) {
    return locale === 'ko'
      ? '지금 바로 선택할 수 있는 자리가 있습니다. 알림 신청 대신 바로 예매해 주세요.'
      : 'It is free right now: hold it instead of following it.';
  }
}

@ObjectType('SeatWatchLimitReachedError', {
  implements: Refusal,
  description: 'You follow as much of this performance as one member may. Nothing was followed.',
})
export class SeatWatchLimitReachedError extends Refusal {
  readonly code = 'SEAT_WATCH_LIMIT_REACHED';
  constructor(limit: number) {
    super();
    this.limit = limit;
  }
  @Field(() => Int, { description: 'How many seats and tiers of one performance a member may follow at once.' })
  readonly limit: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `한 회차에서 ${this.limit}개까지 알림을 신청할 수 있습니다. 다른 알림을 해제한 뒤 다시 시도해 주세요.`
      : `A member may follow ${this.limit} seats and tiers of one performance. Stop following another one first.`;
  }
}

@ObjectType('SeatOffersLapsedError', {
  implements: Refusal,
  description:
    'Too many offers of this performance that you had asked for ran out unpaid: a seat that goes from offer to offer is on sale for nobody. Nothing was followed.',
})
export class SeatOffersLapsedError extends Refusal {
  readonly code = 'SEAT_OFFERS_LAPSED';
  constructor(limit: number) {
    super();
    this.limit = limit;
  }
  @Field(() => Int, { description: 'After so many unpaid offers a member can follow nothing more of a performance.' })
  readonly limit: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `제안된 좌석을 ${this.limit}번 결제하지 않아 이 회차의 알림을 더 신청할 수 없습니다. 좌석 배치도에서 직접 예매해 주세요.`
      : `${this.limit} offers of this performance ran out unpaid, so you cannot follow more of it. Look at the map and hold what is free.`;
  }
}

@ObjectType('SeatWatchNotFoundError', {
  implements: Refusal,
  description: 'One of the ids is of no watch of yours. Nothing was changed.',
})
export class SeatWatchNotFoundError extends Refusal {
  readonly code = 'SEAT_WATCH_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 알림 신청을 찾을 수 없습니다. 내 알림 목록을 확인해 주세요.'
      : 'There is no such watch of yours. Read `mySeatWatches` for its id.';
  }
}
