import { defineEntity, p } from '@mikro-orm/postgresql';
import type { CancellationStep } from '../holds/index.ts';

export const CATEGORIES = [
  'CONCERT',
  'MUSICAL',
  'PLAY',
  'CLASSICAL',
  'DANCE',
  'COMEDY',
  'EXHIBITION',
  'FESTIVAL',
  'SPORTS',
  'TALK',
] as const;
export type Category = (typeof CATEGORIES)[number];

export const EventSchema = defineEntity({
  name: 'Event',
  tableName: 'event',
  properties: {
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    organizerId: p.uuid(),
    venueId: p.uuid(),
    title: p.string().columnType('text'),
    body: p.string().columnType('text'),
    category: p.enum(CATEGORIES),
    createdAt: p.datetime().defaultRaw('now()'),
    changedAt: p.datetime().defaultRaw('now()'),
  },
});

/** Something that is shown, once or often. */
export class Event extends EventSchema.class {}
EventSchema.setClass(Event);

export const PerformanceSchema = defineEntity({
  name: 'Performance',
  tableName: 'performance',
  properties: {
    /** The id of the pool of its numbered seats, which also says its sale window, its limit for a member and how long a hold lives. */
    id: p.uuid().primary(),
    eventId: p.uuid(),
    /** Null: no numbered seats, and the capacity of its pool is 0. */
    planId: p.uuid().nullable(),
    startsAt: p.datetime(),
    endsAt: p.datetime(),
    cancellation: p.json<CancellationStep[]>(),
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

/** One showing of an event. */
export class Performance extends PerformanceSchema.class {}
PerformanceSchema.setClass(Performance);

export const TierSchema = defineEntity({
  name: 'Tier',
  tableName: 'tier',
  properties: {
    /** Without numbered seats also the id of the pool that counts its places. */
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    performanceId: p.uuid(),
    name: p.string().columnType('text'),
    /** The zone of the seat plan it prices; null: places without numbers. */
    zone: p.string().columnType('text').nullable(),
    priceMinor: p.integer(),
    position: p.smallint(),
  },
});

/** One price of a performance: for the seats of a zone, or for places without numbers. */
export class Tier extends TierSchema.class {}
TierSchema.setClass(Tier);
