import type { Feature } from '../feature.ts';

/** What is free in a performance, seat by seat, live. */
export const seatMaps: Feature = { name: 'seat-maps' };

export { SEAT_STATES, type SeatMap, type SeatState, type SectionedSeatMap } from './seat-map.ts';
export { SeatMaps } from './seat-maps.ts';
