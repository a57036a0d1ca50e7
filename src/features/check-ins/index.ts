import type { Feature } from '../feature.ts';

export const checkIns: Feature = { name: 'check-ins' };
