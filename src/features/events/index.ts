import type { Feature } from '../feature.ts';
import { EventSchema, PerformanceSchema, TierSchema } from './event.entity.ts';
import { EventType, PerformanceType, TierType } from './event.types.ts';
import * as resolvers from './events.resolver.ts';
import type { EventsService } from './events.service.ts';

/** Events, their performances, and what a performance sells. */
export const events: Feature = {
  name: 'events',
  entities: [EventSchema, PerformanceSchema, TierSchema],
  resolvers: Object.values(resolvers),
  orphanedTypes: [EventType, PerformanceType, TierType],
};

export const eventsResolvers = (_service: EventsService): object[] => [];

export { CATEGORIES, type Category, Event, Performance, Tier } from './event.entity.ts';
export { ABANDONED_MAX, COOL_DOWN_SECONDS, performanceKind, quotaKeyOf, tierKind } from './event.kind.ts';
export { EventType, PerformanceType, TierType } from './event.types.ts';
export { PerformanceNotFoundError } from './events.errors.ts';
export { eventById, performanceById, tierById } from './events.loaders.ts';
export { EventsService } from './events.service.ts';
export { type PerformanceSheet, PerformanceSheets } from './performance-sheets.ts';
