import { accounts } from './accounts/index.ts';
import { bookings } from './bookings/index.ts';
import { checkIns } from './check-ins/index.ts';
import { events } from './events/index.ts';
import type { Feature } from './feature.ts';
import { holds } from './holds/index.ts';
import { lessons } from './lessons/index.ts';
import { payments } from './payments/index.ts';
import { rehearsals } from './rehearsals/index.ts';
import { seatMaps } from './seat-maps/index.ts';
import { seatWatches } from './seat-watches/index.ts';
import { seats } from './seats/index.ts';
import { tickets } from './tickets/index.ts';
import { venues } from './venues/index.ts';

/** Every capability of the product. A new limited thing is one more line here. */
export const features: Feature[] = [
  accounts,
  holds,
  lessons,
  venues,
  events,
  seatMaps,
  seats,
  seatWatches,
  payments,
  bookings,
  tickets,
  checkIns,
];

/** Only where rehearsals are switched on: never in production. */
export const rehearsalFeatures: Feature[] = [rehearsals];
