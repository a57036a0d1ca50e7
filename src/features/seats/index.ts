import type { Feature } from '../feature.ts';
import { TicketHoldType } from './ticket-hold.types.ts';

/** Holding seats and places of a performance. */
export const seats: Feature = { name: 'seats', orphanedTypes: [TicketHoldType] };

export { TicketHoldType } from './ticket-hold.types.ts';
