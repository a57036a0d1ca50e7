import type { Feature } from '../feature.ts';
import {
  BookingChangeResolver,
  BookingsResolver,
  PreparePaymentSuccessResolver,
  ReconciliationItemResolver,
  ReconciliationResolver,
} from './bookings.resolver.ts';
import type { BookingsService } from './bookings.service.ts';

/** Binds holds to payments. The only folder that touches both. */
export const bookings: Feature = {
  name: 'bookings',
  resolvers: [BookingsResolver, PreparePaymentSuccessResolver, BookingChangeResolver, ReconciliationResolver, ReconciliationItemResolver],
};

export const bookingsResolvers = (bookingsService: BookingsService): object[] => [
  new BookingsResolver(bookingsService),
  new ReconciliationResolver(bookingsService),
];

export { registerBookingsHttp } from './bookings.http.ts';
export { BookingsService } from './bookings.service.ts';
export type { Booked, FollowUp } from './conclusions.ts';
export { type BookingState, bookingStates, sameBooking } from './live-bookings.ts';
export { WAYPOINTS, type Waypoint } from './waypoints.ts';
