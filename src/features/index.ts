import { accounts } from './accounts/index.ts';
import { bookings } from './bookings/index.ts';
import type { Feature } from './feature.ts';
import { holds } from './holds/index.ts';
import { lessons } from './lessons/index.ts';
import { payments } from './payments/index.ts';
import { rehearsals } from './rehearsals/index.ts';

/** Every capability of the product. A new limited thing is one more line here. */
export const features: Feature[] = [accounts, holds, lessons, payments, bookings];

/** Only where rehearsals are switched on: never in production. */
export const rehearsalFeatures: Feature[] = [rehearsals];
