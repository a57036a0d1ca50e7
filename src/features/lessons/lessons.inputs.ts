import { Field, ID, InputType, Int, registerEnumType } from 'type-graphql';
import type { IfPaidLate } from '../../inventory/claim.ts';
import { POLICIES, type Policy } from '../../inventory/pool.entity.ts';
import { enumOf } from '../../platform/graphql/enums.ts';
import { LocalTime, YearMonth } from '../../platform/graphql/scalars.ts';
import { type Gender, GenderEnum } from '../accounts/index.ts';
import { CancellationStepInput, LatePaymentChoiceEnum } from '../holds/index.ts';
import type { Level, Weekday } from './lesson.entity.ts';
import { LevelEnum, WeekdayEnum } from './lesson.types.ts';

const PolicyEnum = enumOf(POLICIES);
registerEnumType(PolicyEnum, {
  name: 'Policy',
  description: 'How rivals for the same places are kept apart. Both are exact; they differ in speed.',
  valuesConfig: {
    OPTIMISTIC: { description: 'For ordinary lessons: by version, with at most 3 retries, then under the lock.' },
    PESSIMISTIC: { description: 'For scarce lessons: under the row lock, claims combined into batches.' },
  },
});

@InputType('LessonFilter', { description: 'Which lessons to list. Absent and null mean: whatever.' })
export class LessonFilter {
  @Field(() => YearMonth, { nullable: true, description: 'Only lessons of this month.' })
  month?: string | null;

  @Field(() => [WeekdayEnum], { nullable: true, description: 'Only lessons that meet on at least one of these weekdays.' })
  weekdays?: Weekday[] | null;

  @Field(() => LevelEnum, { nullable: true, description: 'Only lessons of this level.' })
  level?: Level | null;

  @Field(() => Boolean, { defaultValue: false, description: 'Only lessons with a free place now.' })
  freeOnly!: boolean;
}

@InputType('EnrollInput', { description: 'What to enrol in.' })
export class EnrollInput {
  @Field(() => ID, { description: 'The id of the lesson.' })
  lessonId!: string;

  @Field(() => Boolean, { defaultValue: false, description: "Take a locker of your gender's changing room along. Both or nothing." })
  withLocker!: boolean;

  @Field(() => LatePaymentChoiceEnum, {
    defaultValue: 'SAME_OR_EQUAL',
    description:
      'What happens if your payment comes through only after the place was given up. An equal lesson has the same title, level, month and price, and may be ' +
      'on other days or at another time; a locker stays as it is. It cannot be changed later.',
  })
  ifPaidLate!: IfPaidLate;

  @Field(() => String, {
    description:
      'Made by you before the first try, 1 to 200 visible ASCII characters. Sending the same again answers with the same enrolment.',
  })
  idempotencyKey!: string;
}

@InputType('CreateLessonInput', { description: 'A new lesson.' })
export class CreateLessonInput {
  @Field(() => String, { description: 'What it is called, 1 to 200 characters.' })
  title!: string;

  @Field(() => LevelEnum, { description: 'Whom it is for.' })
  level!: Level;

  @Field(() => YearMonth, { description: 'The month it runs in; it cannot be changed later.' })
  month!: string;

  @Field(() => [WeekdayEnum], { description: 'The weekdays it meets on, 1 to 7 different ones.' })
  weekdays!: Weekday[];

  @Field(() => LocalTime, { description: 'When each session starts, in Asia/Seoul.' })
  startsAt!: string;

  @Field(() => LocalTime, { description: 'When each session ends, in Asia/Seoul, after it starts.' })
  endsAt!: string;

  @Field(() => Int, { description: 'The lane, 1 to 20.' })
  lane!: number;

  @Field(() => ID, { description: 'The id of the instructor.' })
  instructorId!: string;

  @Field(() => Int, { description: 'Places, 0 to 100,000.' })
  capacity!: number;

  @Field(() => Int, { description: 'The price of the month in KRW (won have no minor unit), 0 to 100,000,000.' })
  priceMinor!: number;

  @Field(() => PolicyEnum, {
    defaultValue: 'OPTIMISTIC',
    description: 'How rivals are kept apart: choose `PESSIMISTIC` for a lesson that will be fought for.',
  })
  policy!: Policy;

  @Field(() => Date, { nullable: true, description: 'When enrolment opens. Null: at once.' })
  onSaleFrom?: Date | null;

  @Field(() => Date, { nullable: true, description: 'When enrolment closes. Null: it does not close by itself.' })
  onSaleUntil?: Date | null;

  @Field(() => [CancellationStepInput], {
    nullable: true,
    description:
      'What goes back when a paid enrolment is cancelled, at most 5 steps in any order, counted from the first session. ' +
      'Absent or null: everything until the first session starts. Empty: nothing, it cannot be cancelled.',
  })
  cancellation?: CancellationStepInput[] | null;

  @Field(() => String, {
    description: 'Made by you before the first try, 1 to 200 visible ASCII characters: a double-submitted form makes one lesson.',
  })
  idempotencyKey!: string;
}

@InputType('UpdateLessonInput', {
  description: 'What to change. Absent: left as it is. Null is allowed only for the ends of the sale window, where it means none.',
})
export class UpdateLessonInput {
  @Field(() => ID, { description: 'The id of the lesson.' })
  lessonId!: string;

  @Field(() => String, { nullable: true, description: 'A new title, 1 to 200 characters.' })
  title?: string | null;

  @Field(() => Int, { nullable: true, description: 'A new lane, 1 to 20.' })
  lane?: number | null;

  @Field(() => ID, { nullable: true, description: 'Another instructor.' })
  instructorId?: string | null;

  @Field(() => Int, { nullable: true, description: 'A new price in KRW, 0 to 100,000,000. Holds keep the price they were placed at.' })
  priceMinor?: number | null;

  @Field(() => PolicyEnum, { nullable: true, description: 'Another way to keep rivals apart; safe at any moment.' })
  policy?: Policy | null;

  @Field(() => Date, { nullable: true, description: 'When enrolment opens; null: it is open.' })
  onSaleFrom?: Date | null;

  @Field(() => Date, { nullable: true, description: 'When enrolment closes; null: it does not close by itself.' })
  onSaleUntil?: Date | null;

  @Field(() => [CancellationStepInput], {
    nullable: true,
    description:
      'Another cancellation policy, at most 5 steps in any order. Empty: paid enrolments cannot be cancelled. ' +
      'Payments that have begun keep the policy they were begun under.',
  })
  cancellation?: CancellationStepInput[] | null;
}

@InputType('ChangeLessonCapacityInput', { description: 'A new number of places.' })
export class ChangeLessonCapacityInput {
  @Field(() => ID, { description: 'The id of the lesson.' })
  lessonId!: string;

  @Field(() => Int, { description: 'Places, from what is held and sold up to 100,000.' })
  capacity!: number;
}

@InputType('SetLockerCapacityInput', { description: 'How many lockers a changing room has in a month.' })
export class SetLockerCapacityInput {
  @Field(() => YearMonth, { description: 'The month.' })
  month!: string;

  @Field(() => GenderEnum, { description: 'Whose changing room.' })
  gender!: Gender;

  @Field(() => Int, { description: 'Lockers, from what is held and sold up to 100,000.' })
  capacity!: number;
}
