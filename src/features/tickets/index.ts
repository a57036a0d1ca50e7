import type { Feature } from '../feature.ts';

export const tickets: Feature = { name: 'tickets' };

export { type TicketClaims, TicketCodes } from './ticket-codes.ts';
