import type { Feature } from '../feature.ts';
import type { SeatPlans } from '../venues/index.ts';
import { TicketType } from './ticket.types.ts';
import type { TicketCodes } from './ticket-codes.ts';
import { ticketsChecks } from './tickets.checks.ts';
import * as resolvers from './tickets.resolver.ts';
import type { TicketsService } from './tickets.service.ts';

/** Tickets of paid bookings: issued once, shown as codes, handed on by links. */
export const tickets: Feature = {
  name: 'tickets',
  resolvers: [
    resolvers.TicketsResolver,
    resolvers.OfferTicketSuccessResolver,
    resolvers.AcceptTicketSuccessResolver,
    resolvers.WithdrawTicketOfferSuccessResolver,
    resolvers.TicketHoldTicketsResolver,
    resolvers.TicketResolver,
  ],
  orphanedTypes: [TicketType],
  checks: ticketsChecks,
};

export const ticketsResolvers = (ticketsService: TicketsService, plans: SeatPlans, codes: TicketCodes): object[] => [
  new resolvers.TicketsResolver(ticketsService),
  new resolvers.TicketResolver(plans, codes),
];

export { mayCancelTickets } from './may-cancel.ts';
export { type TicketView, ticketsByIds } from './read-tickets.ts';
export { TicketStateEnum, TicketType } from './ticket.types.ts';
export { type TicketClaims, TicketCodes } from './ticket-codes.ts';
export { TICKET_STATES, type TicketState } from './ticket-states.ts';
export { TicketsHandedOnError, TicketsUsedError } from './tickets.errors.ts';
export { registerTicketsHttp } from './tickets.http.ts';
export { visibleTicket } from './tickets.loaders.ts';
export { TicketsService } from './tickets.service.ts';
export { issueLater, issueTicketsTask } from './tickets.tasks.ts';
export { TransferTokens } from './transfer-tokens.ts';
