/** What a ticket is worth. Never stored but for its use: the view `ticket_state` derives it from its hold, the open refund of it, and its use. */
export const TICKET_STATES = ['VALID', 'USED', 'REFUNDED'] as const;
export type TicketState = (typeof TICKET_STATES)[number];
