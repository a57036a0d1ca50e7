import type { Feature } from '../feature.ts';
import { BookingsResolver, PreparePaymentSuccessResolver } from './bookings.resolver.ts';

/** Binds holds to payments. The only folder that touches both. */
export const bookings: Feature = { name: 'bookings', resolvers: [BookingsResolver, PreparePaymentSuccessResolver] };

export { type AddSettleJob, BookingsService } from './bookings.service.ts';
