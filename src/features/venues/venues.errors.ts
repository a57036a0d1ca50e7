import { Field, Int, ObjectType } from 'type-graphql';
import type { Locale } from '../../platform/locale.ts';
import { InputRefusal, Refusal } from '../../platform/refusal.ts';

@ObjectType('VenueNotFoundError', { implements: Refusal, description: 'There is no such venue, or it is not yours to change.' })
export class VenueNotFoundError extends Refusal {
  readonly code = 'VENUE_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 공연장을 찾을 수 없거나 변경할 권한이 없습니다. 내 공연장 중에서 선택해 주세요.'
      : 'There is no such venue of yours. Choose one that you made.';
  }
}

@ObjectType('VenueInputError', { implements: Refusal, description: 'What was given does not make a venue. Nothing was changed.' })
export class VenueInputError extends InputRefusal {
  readonly code = 'VENUE_INPUT';
  @Field(() => String, { description: 'The input field to correct.' })
  declare readonly field: string;
}

@ObjectType('VenueInUseError', {
  implements: Refusal,
  description: 'A venue with events or seat plans cannot be deleted. Nothing was changed.',
})
export class VenueInUseError extends Refusal {
  readonly code = 'VENUE_IN_USE';
  constructor(events: number, seatPlans: number) {
    super();
    this.events = events;
    this.seatPlans = seatPlans;
  }
  @Field(() => Int, { description: 'Events that are held there, past ones too.' })
  readonly events: number;
  @Field(() => Int, { description: 'Its seat plans: delete them first with `deleteSeatPlan`.' })
  readonly seatPlans: number;
  text(locale: Locale) {
    // Past events keep their venue for good: whoever has tickets of them must still read where it was.
    if (this.events > 0)
      return locale === 'ko'
        ? `이 공연장에는 공연이 ${this.events}건 있어 삭제할 수 없습니다. 공연을 먼저 삭제하거나, updateVenue로 공연장 정보를 수정해 주세요.`
        : `${this.events} event(s) are held at this venue, so it stays. Delete them first, or change the venue with \`updateVenue\`.`;
    return locale === 'ko'
      ? `이 공연장에는 좌석 배치도가 ${this.seatPlans}개 있습니다. deleteSeatPlan으로 먼저 삭제해 주세요.`
      : `The venue has ${this.seatPlans} seat plan(s). Delete them first with \`deleteSeatPlan\`.`;
  }
}

@ObjectType('SeatPlanNotFoundError', { implements: Refusal, description: 'There is no such seat plan, or it is not yours to change.' })
export class SeatPlanNotFoundError extends Refusal {
  readonly code = 'SEAT_PLAN_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 좌석 배치도를 찾을 수 없거나 변경할 권한이 없습니다. 공연장의 좌석 배치도 중에서 선택해 주세요.'
      : 'There is no such seat plan of yours. Choose one from `seatPlans` of your venue.';
  }
}

@ObjectType('SeatPlanInUseError', {
  implements: Refusal,
  description: 'A seat plan that a performance uses cannot be deleted. Nothing was changed.',
})
export class SeatPlanInUseError extends Refusal {
  readonly code = 'SEAT_PLAN_IN_USE';
  constructor(performances: number) {
    super();
    this.performances = performances;
  }
  @Field(() => Int, { description: 'Performances that use it, past ones too.' })
  readonly performances: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `공연 ${this.performances}회가 이 좌석 배치도를 사용합니다. 그대로 두고, 다음 공연에는 새 배치도를 등록해 사용해 주세요.`
      : `${this.performances} performance(s) use this plan, so it stays. Import another plan for the next ones.`;
  }
}
