import type { Feature } from '../feature.ts';

export const tickets: Feature = { name: 'tickets' };
