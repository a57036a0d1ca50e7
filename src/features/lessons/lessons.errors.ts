import { Field, Int, ObjectType } from 'type-graphql';
import { Price } from '../../platform/graphql/price.ts';
import type { Locale } from '../../platform/locale.ts';
import { InputRefusal, Refusal } from '../../platform/refusal.ts';
import { type Gender, GenderEnum } from '../accounts/index.ts';
import { EnrollmentType } from './enrollment.types.ts';
import { LessonType } from './lesson.types.ts';

@ObjectType('LessonNotFoundError', { implements: Refusal, description: 'There is no such lesson.' })
export class LessonNotFoundError extends Refusal {
  readonly code = 'LESSON_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 강습을 찾을 수 없습니다. 목록에서 다시 선택해 주세요.'
      : 'There is no such lesson. Choose one from `lessons`.';
  }
}

@ObjectType('LessonNotYetOnSaleError', { implements: Refusal, description: 'Enrolment has not opened. Nothing was taken.' })
export class LessonNotYetOnSaleError extends Refusal {
  readonly code = 'NOT_YET_ON_SALE';
  constructor(readonly lessonId: string) {
    super();
  }
  @Price(1)
  @Field(() => LessonType, { nullable: true, description: 'The lesson, whose `onSaleFrom` says when to come back.' })
  lesson?: LessonType;
  text(locale: Locale) {
    return locale === 'ko'
      ? '아직 접수 시작 전입니다. 접수 시작 시각에 다시 신청해 주세요.'
      : 'Enrolment has not opened yet. Come back at `lesson.onSaleFrom`.';
  }
}

@ObjectType('LessonSaleClosedError', { implements: Refusal, description: 'Enrolment is over.' })
export class LessonSaleClosedError extends Refusal {
  readonly code = 'SALE_CLOSED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '접수가 마감되었습니다. 다른 강습을 선택해 주세요.'
      : 'Enrolment for this lesson is over. Choose another lesson.';
  }
}

@ObjectType('AlreadyEnrolledError', {
  implements: Refusal,
  description: 'You have this lesson already: one enrolment per member and lesson.',
})
export class AlreadyEnrolledError extends Refusal {
  readonly code = 'ALREADY_ENROLLED';
  constructor(readonly lessonId: string) {
    super();
  }
  @Price(2)
  @Field(() => EnrollmentType, { nullable: true, description: 'The enrolment you have: pay it or cancel it. Null if it ended meanwhile.' })
  existing?: EnrollmentType;
  text(locale: Locale) {
    return locale === 'ko'
      ? '이미 신청한 강습입니다. 내 신청 목록에서 결제하거나 취소할 수 있습니다.'
      : 'You have this lesson already. Pay or cancel the enrolment you have.';
  }
}

@ObjectType('MonthlyLimitReachedError', {
  implements: Refusal,
  description: 'You have as many lessons of that month as one member may have.',
})
export class MonthlyLimitReachedError extends Refusal {
  readonly code = 'MONTHLY_LIMIT_REACHED';
  constructor(limit: number) {
    super();
    this.limit = limit;
  }
  @Field(() => Int, { description: 'Lessons a member may have in one month, paid and unpaid.' })
  readonly limit: number;
  text(locale: Locale) {
    return locale === 'ko'
      ? `한 달에 ${this.limit}개까지 신청할 수 있습니다. 다른 신청을 취소한 뒤 다시 시도해 주세요.`
      : `A member may have ${this.limit} lessons a month. Cancel another one of that month first.`;
  }
}

@ObjectType('NoPlaceLeftError', { implements: Refusal, description: 'Every place is paid for or held. Nothing was taken.' })
export class NoPlaceLeftError extends Refusal {
  readonly code = 'SOLD_OUT';
  constructor(readonly lessonId: string) {
    super();
  }
  @Price(3, { size: 5 })
  @Field(() => [LessonType], {
    description: 'Up to 5 lessons of the same month and level that have free places now, soonest in the day first.',
  })
  alternatives?: LessonType[];
  text(locale: Locale) {
    return locale === 'ko'
      ? '남은 자리가 없습니다. 결제되지 않은 자리는 5분 안에 반환되니 실시간 현황을 확인하거나 다른 강습을 선택해 주세요.'
      : 'No place is left. Unpaid places come back within 5 minutes: watch `availabilityChanged`, or take one of the alternatives.';
  }
}

@ObjectType('NoLockerLeftError', { implements: Refusal, description: 'No locker is left, so nothing was taken: not the lesson either.' })
export class NoLockerLeftError extends Refusal {
  readonly code = 'NO_LOCKER_LEFT';
  constructor(gender: Gender) {
    super();
    this.gender = gender;
  }
  @Field(() => GenderEnum, { description: 'Whose lockers have run out.' })
  readonly gender: Gender;
  text(locale: Locale) {
    return locale === 'ko'
      ? '남은 사물함이 없어 신청되지 않았습니다. 사물함 없이 다시 신청해 주세요.'
      : 'No locker is left, so the place was not taken either. Enrol again without a locker.';
  }
}

@ObjectType('LockerGenderUnknownError', {
  implements: Refusal,
  description: 'Lockers are in changing rooms, and your account names no gender.',
})
export class LockerGenderUnknownError extends Refusal {
  readonly code = 'LOCKER_GENDER_UNKNOWN';
  text(locale: Locale) {
    return locale === 'ko'
      ? '회원 정보에 성별이 없어 사물함을 배정할 수 없습니다. 사물함 없이 신청해 주세요.'
      : 'Your account names no gender, so no locker can be given. Enrol without one.';
  }
}

@ObjectType('LessonInputError', { implements: Refusal, description: 'What was given does not make a lesson. Nothing was changed.' })
export class LessonInputError extends InputRefusal {
  readonly code = 'LESSON_INPUT';
  @Field(() => String, { description: 'The input field to correct.' })
  declare readonly field: string;
}
