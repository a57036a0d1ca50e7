import type { Feature } from '../feature.ts';
import { VenueSchema } from './venue.entity.ts';
import { VenueType } from './venue.types.ts';
import * as resolvers from './venues.resolver.ts';
import type { VenuesService } from './venues.service.ts';

/** Places, and their seat plans. */
export const venues: Feature = {
  name: 'venues',
  entities: [VenueSchema],
  resolvers: Object.values(resolvers),
  orphanedTypes: [VenueType],
};

export const venuesResolvers = (_service: VenuesService): object[] => [];

export { neighboursOf } from './neighbours.ts';
export { type PlanSeat, type SeatPlan, SeatPlans, type SeatSale, sectionsOf } from './seat-plan.ts';
export { Venue } from './venue.entity.ts';
export { SeatType, VenueType } from './venue.types.ts';
export { venueById } from './venues.loaders.ts';
export { VenuesService } from './venues.service.ts';
