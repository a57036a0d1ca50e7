import type { Feature } from '../feature.ts';
import * as resolvers from './seats.resolver.ts';
import type { SeatsService } from './seats.service.ts';
import { TicketHoldType } from './ticket-hold.types.ts';

/** Holding seats and places of a performance. */
export const seats: Feature = { name: 'seats', resolvers: Object.values(resolvers), orphanedTypes: [TicketHoldType] };

export const seatsResolvers = (seatsService: SeatsService): object[] => [
  new resolvers.SeatsResolver(seatsService),
  new resolvers.SeatTakenErrorResolver(seatsService),
];

export { findBestSeats, type SeatGroup, type SeatsAsked } from './find-best-seats.ts';
export { type PerformanceSeat, PerformanceSeatType } from './performance-seat.types.ts';
export { SeatsService } from './seats.service.ts';
export { TicketHoldType } from './ticket-hold.types.ts';
export { ticketsProduct } from './tickets.product.ts';
