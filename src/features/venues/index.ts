import type { Feature } from '../feature.ts';
import { SeatPlanHeadSchema } from './seat-plan-outline.ts';
import { VenueSchema } from './venue.entity.ts';
import { VenueType } from './venue.types.ts';
import * as resolvers from './venues.resolver.ts';
import type { VenuesService } from './venues.service.ts';

/** Places, and their seat plans. */
export const venues: Feature = {
  name: 'venues',
  entities: [VenueSchema, SeatPlanHeadSchema],
  resolvers: Object.values(resolvers),
  orphanedTypes: [VenueType],
};

export const venuesResolvers = (venuesService: VenuesService): object[] => [
  new resolvers.VenuesResolver(venuesService),
  new resolvers.SeatPlanResolver(venuesService),
];

export { neighboursOf } from './neighbours.ts';
export { type PlanSeat, type SeatPlan, SeatPlans, type SeatSale, sectionsOf } from './seat-plan.ts';
export type { SeatPlanHead } from './seat-plan-outline.ts';
export { SHIPPED_PLANS, type ShippedPlan } from './shipped-plans.ts';
export { Venue } from './venue.entity.ts';
export { SeatPlanType, SeatType, VenueType } from './venue.types.ts';
export { SeatPlanNotFoundError, VenueNotFoundError } from './venues.errors.ts';
export { registerVenuesHttp } from './venues.http.ts';
export { seatPlanById, venueById } from './venues.loaders.ts';
export { type SeededVenues, seedVenues } from './venues.seed.ts';
export { VenuesService } from './venues.service.ts';
