import type { Feature } from '../feature.ts';
import { BookingsResolver, PreparePaymentSuccessResolver } from './bookings.resolver.ts';
import type { BookingsService } from './bookings.service.ts';

/** Binds holds to payments. The only folder that touches both. */
export const bookings: Feature = { name: 'bookings', resolvers: [BookingsResolver, PreparePaymentSuccessResolver] };

export const bookingsResolvers = (bookingsService: BookingsService): object[] => [new BookingsResolver(bookingsService)];

export { type AddSettleJob, BookingsService } from './bookings.service.ts';
export { addSettleJob, settlePaymentTask } from './bookings.tasks.ts';
