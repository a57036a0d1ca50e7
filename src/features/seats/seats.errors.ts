import { Field, Int, ObjectType } from 'type-graphql';
import { Price } from '../../platform/graphql/price.ts';
import type { Locale } from '../../platform/locale.ts';
import { InputRefusal, Refusal } from '../../platform/refusal.ts';
import { ABANDONED_MAX, PerformanceType, TierType } from '../events/index.ts';
import { type PerformanceSeat, PerformanceSeatType, SeatGroupType } from './performance-seat.types.ts';

@ObjectType('TicketInputError', { implements: Refusal, description: 'What was asked for cannot be held by anybody. Nothing was taken.' })
export class TicketInputError extends InputRefusal {
  readonly code = 'TICKET_INPUT';
  @Field(() => String, { description: 'The input field to correct.' })
  declare readonly field: string;
}

@ObjectType('CompanionSeatAloneError', {
  implements: Refusal,
  description: 'A companion seat is held only together with an accessible seat. Nothing was taken.',
})
export class CompanionSeatAloneError extends Refusal {
  readonly code = 'COMPANION_SEAT_ALONE';
  constructor(seats: PerformanceSeat[]) {
    super();
    this.seats = seats as never;
  }
  @Price(0, { size: 10 })
  @Field(() => [PerformanceSeatType], { description: 'The companion seats that were asked for, at most 50.' })
  readonly seats: PerformanceSeatType[];
  text(locale: Locale) {
    return locale === 'ko'
      ? '동반자석은 휠체어석과 함께만 선택할 수 있습니다. 휠체어석을 함께 선택하거나 다른 좌석을 골라 주세요.'
      : 'Companion seats go with an accessible seat. Add an accessible seat, or choose other seats.';
  }
}

@ObjectType('TicketsNotYetOnSaleError', { implements: Refusal, description: 'The sale has not opened. Nothing was taken.' })
export class TicketsNotYetOnSaleError extends Refusal {
  readonly code = 'NOT_YET_ON_SALE';
  constructor(readonly performanceId: string) {
    super();
  }
  @Price(1)
  @Field(() => PerformanceType, {
    nullable: true,
    description: 'The performance, whose `onSaleFrom` says when to come back. Null if it was deleted.',
  })
  performance?: PerformanceType;
  text(locale: Locale) {
    return locale === 'ko'
      ? '아직 예매 시작 전입니다. 예매 시작 시각에 다시 시도해 주세요.'
      : 'The sale has not opened yet. Come back at `performance.onSaleFrom`.';
  }
}

@ObjectType('TicketSaleClosedError', { implements: Refusal, description: 'The sale of this performance is over.' })
export class TicketSaleClosedError extends Refusal {
  readonly code = 'SALE_CLOSED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '예매가 마감되었습니다. 다른 회차를 선택해 주세요.'
      : 'The sale of this performance is over. Choose another performance.';
  }
}

@ObjectType('CoolingDownError', {
  implements: Refusal,
  description: `You gave up or let run out too many holds of this performance (${ABANDONED_MAX} unless its organizer says otherwise) within a short time.`,
})
export class CoolingDownError extends Refusal {
  readonly code = 'COOLING_DOWN';
  constructor(retryAfterSeconds: number) {
    super();
    this.retryAfterSeconds = retryAfterSeconds;
  }
  @Field(() => Int, { description: 'Wait this many seconds, at least 1, then hold again. What you have paid and hold is not touched.' })
  readonly retryAfterSeconds: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `결제하지 않은 선점이 반복되어 잠시 예매할 수 없습니다. ${this.retryAfterSeconds}초 뒤에 다시 시도해 주세요.`
      : `You gave up too many holds of this performance without paying. Try again in ${this.retryAfterSeconds} seconds.`;
  }
}

@ObjectType('TicketLimitReachedError', {
  implements: Refusal,
  description: 'With these you would have more tickets of the performance than one member may have. Nothing was taken.',
})
export class TicketLimitReachedError extends Refusal {
  readonly code = 'TICKET_LIMIT_REACHED';
  constructor(limit: number) {
    super();
    this.limit = limit;
  }
  @Field(() => Int, { description: 'Tickets a member may have of the performance, paid and unpaid.' })
  readonly limit: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `한 회차에 1인당 ${this.limit}매까지 예매할 수 있습니다. 매수를 줄이거나 다른 예매를 취소해 주세요.`
      : `A member may have ${this.limit} tickets of a performance. Ask for fewer, or cancel others of it first.`;
  }
}

@ObjectType('SeatTakenError', {
  implements: Refusal,
  description: 'Some of the seats belong to somebody else by now or are not for sale. Nothing was taken, not the others either.',
})
export class SeatTakenError extends Refusal {
  readonly code = 'SEAT_TAKEN';
  constructor(
    readonly performanceId: string,
    /** All that were asked for. */
    readonly asked: readonly PerformanceSeat[],
    readonly taken: readonly PerformanceSeat[],
  ) {
    super();
    this.seats = taken as never;
  }
  @Price(0, { size: 10 })
  @Field(() => [PerformanceSeatType], { description: 'The seats that cannot be had, every one of those asked for, at most 50.' })
  readonly seats: PerformanceSeatType[];
  @Price(5, { size: 5 })
  @Field(() => [SeatGroupType], {
    description:
      'Up to 5 groups of as many free seats in the zones of those asked for, nearest to them first; no seat is in two groups. As of some milliseconds ago.',
  })
  alternatives?: SeatGroupType[];
  text(locale: Locale) {
    const labels = this.taken
      .slice(0, LABELS_MAX)
      .map(({ seat }) =>
        locale === 'ko' ? `${seat.section} ${seat.row}열 ${seat.label}번` : `${seat.section} row ${seat.row} seat ${seat.label}`,
      );
    const which = labels.join(', ') + (this.taken.length > LABELS_MAX ? ' …' : '');
    return locale === 'ko'
      ? `이미 선택된 좌석이 있습니다(${which}). 추천 좌석이나 다른 좌석을 선택해 주세요.`
      : `Taken meanwhile: ${which}. Choose one of the alternatives, or other seats.`;
  }
}

/** Seats that a message names. */
const LABELS_MAX = 3;

@ObjectType('TierSoldOutError', {
  implements: Refusal,
  description: 'A tier has fewer places left than were asked for. Nothing was taken.',
})
export class TierSoldOutError extends Refusal {
  readonly code = 'TIER_SOLD_OUT';
  constructor(
    readonly tierId: string,
    left: number,
  ) {
    super();
    this.left = left;
  }
  @Price(1)
  @Field(() => TierType, { nullable: true, description: 'The tier. Null if it was deleted.' })
  tier?: TierType;
  @Field(() => Int, { description: 'Places that were left at that moment.' })
  readonly left: number;
  text(locale: Locale) {
    if (this.left > 0)
      return locale === 'ko'
        ? `남은 자리가 ${this.left}석뿐입니다. 매수를 줄이거나 다른 등급을 선택해 주세요.`
        : `Only ${this.left} left. Ask for fewer, or choose another tier.`;
    return locale === 'ko'
      ? '매진되었습니다. 결제되지 않은 자리는 곧 반환되니 잠시 뒤 다시 시도하거나 다른 등급을 선택해 주세요.'
      : 'No place is left. Unpaid places come back within minutes: try again then, or choose another tier.';
  }
}
