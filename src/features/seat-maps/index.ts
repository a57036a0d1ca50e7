import type { Feature } from '../feature.ts';
import * as availabilityResolvers from './performance-availability.resolver.ts';
import type { PerformanceAvailabilities } from './performance-availability.ts';
import { SeatMapResolver } from './seat-maps.resolver.ts';
import type { SeatMaps } from './seat-maps.ts';

/** What is free in a performance, seat by seat, live. */
export const seatMaps: Feature = { name: 'seat-maps', resolvers: [SeatMapResolver, ...Object.values(availabilityResolvers)] };

export const seatMapsResolvers = (maps: SeatMaps, availabilities: PerformanceAvailabilities): object[] => [
  new SeatMapResolver(maps),
  new availabilityResolvers.PerformanceAvailabilityResolver(availabilities),
];

export { PerformanceAvailabilities } from './performance-availability.ts';
export { SEAT_STATES, type SeatMap, type SeatState, type SectionedSeatMap } from './seat-map.ts';
export { SeatMaps, type SeatMapsOptions } from './seat-maps.ts';
export { seatsChangedSource } from './seats-changed.ts';
