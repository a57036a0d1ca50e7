import type { Feature } from '../feature.ts';
import type { DoorStaff } from './door-staff.ts';
import { EventSchema, PerformanceSchema, TierSchema } from './event.entity.ts';
import { eventsChecks } from './events.checks.ts';
import * as resolvers from './events.resolver.ts';
import type { EventsService } from './events.service.ts';
import type { PerformancesService } from './performances.service.ts';

/** Events, their performances, and what a performance sells. */
export const events: Feature = {
  name: 'events',
  entities: [EventSchema, PerformanceSchema, TierSchema],
  resolvers: Object.values(resolvers),
  checks: eventsChecks,
};

export const eventsResolvers = (eventsService: EventsService, performancesService: PerformancesService, doorStaff: DoorStaff): object[] => [
  new resolvers.EventsResolver(eventsService, performancesService, doorStaff),
];

export { DoorStaff } from './door-staff.ts';
export { CATEGORIES, type Category, Event, Performance, Tier } from './event.entity.ts';
export { ABANDONED_MAX, COOL_DOWN_SECONDS, performanceKind, quotaKeyOf, tierKind } from './event.kind.ts';
export { EventType, PerformanceConnection, PerformanceType, TierType } from './event.types.ts';
export { EventNotFoundError, PerformanceNotFoundError, TierNotFoundError } from './events.errors.ts';
export { eventById, performanceById, tierById } from './events.loaders.ts';
export { seedEvents } from './events.seed.ts';
export { EventsService } from './events.service.ts';
export { type PerformanceSheet, PerformanceSheets } from './performance-sheets.ts';
export { PerformancesService } from './performances.service.ts';
