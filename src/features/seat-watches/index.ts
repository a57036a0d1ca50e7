import type { Feature } from '../feature.ts';

export const seatWatches: Feature = { name: 'seat-watches' };
