import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Connection } from '../../platform/graphql/connections.ts';
import { enumOf } from '../../platform/graphql/enums.ts';
import { Money } from '../../platform/graphql/money.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { LocalTime, YearMonth } from '../../platform/graphql/scalars.ts';
import { type Gender, GenderEnum } from '../accounts/index.ts';
import { AvailabilityType, type CancellationStep, CancellationStepType } from '../holds/index.ts';
import { LEVELS, type Lesson, type Level, type LockerStock, WEEKDAYS, type Weekday } from './lesson.entity.ts';

export const LevelEnum = enumOf(LEVELS);
registerEnumType(LevelEnum, {
  name: 'LessonLevel',
  description: 'Whom a lesson is for.',
  valuesConfig: {
    BEGINNER: { description: 'First strokes; no experience needed.' },
    INTERMEDIATE: { description: 'Swims 25 m in two strokes.' },
    ADVANCED: { description: 'Swims 100 m in all four strokes.' },
    MASTERS: { description: 'Trains for meets.' },
    AQUA_AEROBICS: { description: 'Exercise in shallow water; no swimming needed.' },
  },
});

export const WeekdayEnum = enumOf(WEEKDAYS);
registerEnumType(WeekdayEnum, {
  name: 'Weekday',
  description: 'A day of the week in Asia/Seoul.',
  valuesConfig: Object.fromEntries(WEEKDAYS.map((day) => [day, { description: `${day[0]}${day.slice(1).toLowerCase()}.` }])),
});

@ObjectType('Instructor', { implements: Node, description: 'Who teaches.' })
export class InstructorType {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => String, { description: 'The name, as the pool announces it.' })
  name!: string;
}

@ObjectType('LessonSession', { description: 'One session of a lesson.' })
export class LessonSessionType {
  @Field(() => Date, { description: 'When it starts.' })
  startsAt!: Date;

  @Field(() => Date, { description: 'When it ends.' })
  endsAt!: Date;
}

@ObjectType('Lesson', { implements: Node, description: 'A swimming course of one month on fixed weekdays. Times are in Asia/Seoul.' })
export class LessonType
  implements Pick<Lesson, 'title' | 'level' | 'month' | 'weekdays' | 'startsAt' | 'endsAt' | 'lane' | 'cancellation'>
{
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => String, { description: 'What it is called, at most 200 characters.' })
  title!: string;

  @Field(() => LevelEnum, { description: 'Whom it is for.' })
  level!: Level;

  @Field(() => YearMonth, { description: 'The month it runs in, for example `2026-12`.' })
  month!: string;

  @Field(() => [WeekdayEnum], { description: 'The weekdays it meets on, at most 7.' })
  weekdays!: Weekday[];

  @Field(() => LocalTime, { description: 'When each session starts, in Asia/Seoul.' })
  startsAt!: string;

  @Field(() => LocalTime, { description: 'When each session ends, in Asia/Seoul.' })
  endsAt!: string;

  @Field(() => Int, { description: 'The lane of the pool, from 1.' })
  lane!: number;

  @Price(1)
  @Field(() => InstructorType, { nullable: true, description: 'Who teaches it. Null if the instructor has left.' })
  instructor?: InstructorType;

  @Price(1)
  @Field(() => Money, { description: 'The price of the whole month. A hold keeps the price it was placed at.' })
  price?: Money;

  @Price(1)
  @Field(() => Date, { nullable: true, description: 'When enrolment opens. Null: it is open until it closes.' })
  onSaleFrom?: Date | null;

  @Price(1)
  @Field(() => Date, { nullable: true, description: 'When enrolment closes. Null: it does not close by itself.' })
  onSaleUntil?: Date | null;

  @Price(1)
  @Field(() => AvailabilityType, { description: 'How many places are left now. Watch it with `availabilityChanged(ids: [<this id>])`.' })
  availability?: AvailabilityType;

  @Price(1, { size: 31 })
  @Field(() => [LessonSessionType], { description: 'Every session of the month in order, at most 31.' })
  sessions?: LessonSessionType[];

  @Price(1, { size: 5 })
  @Field(() => [CancellationStepType], {
    description:
      'What you get back when you cancel after paying, from the longest notice to the shortest, at most 5 steps. The start is that of the first session. ' +
      'Empty: what is paid cannot be cancelled. A payment keeps the policy it was begun under.',
  })
  cancellation!: CancellationStep[];
}

@ObjectType('LockerStock', { implements: Node, description: 'The lockers of one changing room for one month.' })
export class LockerStockType implements Pick<LockerStock, 'month' | 'gender'> {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => YearMonth, { description: 'The month they are for.' })
  month!: string;

  @Field(() => GenderEnum, { description: 'Whose changing room they are in.' })
  gender!: Gender;

  @Price(1)
  @Field(() => AvailabilityType, { description: 'How many are left now.' })
  availability?: AvailabilityType;
}

export const { ConnectionType: LessonConnection, EdgeType: LessonEdge } = Connection('Lesson', LessonType);
