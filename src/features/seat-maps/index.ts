import type { Feature } from '../feature.ts';
import * as resolvers from './seat-maps.resolver.ts';
import type { SeatMaps } from './seat-maps.ts';

/** What is free in a performance, seat by seat, live. */
export const seatMaps: Feature = { name: 'seat-maps', resolvers: [resolvers.SeatMapResolver] };

export const seatMapsResolvers = (maps: SeatMaps): object[] => [new resolvers.SeatMapResolver(maps)];

export { SEAT_STATES, type SeatMap, type SeatState, type SectionedSeatMap } from './seat-map.ts';
export { SeatMaps } from './seat-maps.ts';
export { seatsChangedSource } from './seats-changed.ts';
