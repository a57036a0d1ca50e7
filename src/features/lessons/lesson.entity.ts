import { defineEntity, p } from '@mikro-orm/postgresql';
import { GENDERS } from '../accounts/index.ts';
import type { CancellationStep } from '../holds/index.ts';

export const LEVELS = ['BEGINNER', 'INTERMEDIATE', 'ADVANCED', 'MASTERS', 'AQUA_AEROBICS'] as const;
export type Level = (typeof LEVELS)[number];

export const WEEKDAYS = ['MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'] as const;
export type Weekday = (typeof WEEKDAYS)[number];

export const InstructorSchema = defineEntity({
  name: 'Instructor',
  tableName: 'instructor',
  properties: {
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    name: p.string().columnType('text'),
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

export class Instructor extends InstructorSchema.class {}
InstructorSchema.setClass(Instructor);

export const LessonSchema = defineEntity({
  name: 'Lesson',
  tableName: 'lesson',
  properties: {
    /** The id of the pool that counts its places. */
    id: p.uuid().primary(),
    title: p.string().columnType('text'),
    level: p.enum(LEVELS),
    month: p.string().columnType('char(7)'),
    weekdays: p.array<Weekday>().columnType('text[]'),
    startsAt: p.string().columnType('char(5)'),
    endsAt: p.string().columnType('char(5)'),
    lane: p.integer(),
    instructorId: p.uuid(),
    /** From the longest notice to the shortest, at most 5 steps; the start is that of its first session. */
    cancellation: p.json<CancellationStep[]>(),
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

/** A course of one month on fixed weekdays, at one time and lane of the pool, in the time zone Asia/Seoul. Its month never changes. */
export class Lesson extends LessonSchema.class {}
LessonSchema.setClass(Lesson);

export const LockerStockSchema = defineEntity({
  name: 'LockerStock',
  tableName: 'locker_stock',
  properties: {
    /** The id of the pool that counts them. */
    id: p.uuid().primary(),
    month: p.string().columnType('char(7)'),
    gender: p.enum(GENDERS),
  },
});

/** The lockers of one gender for one month. */
export class LockerStock extends LockerStockSchema.class {}
LockerStockSchema.setClass(LockerStock);
