import type pg from 'pg';
import { atLeast } from '../../platform/graphql/authorization.ts';
import type { RequestContext, Viewer } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import { type TicketView, ticketsByIds, ticketsOfHolds } from './read-tickets.ts';

const poolOf = async (context: RequestContext) => (await context.em.getDriver().getConnection().getNativeClient()) as pg.Pool;

/** More than a performance sells one member at once. */
export const TICKETS_OF_HOLD_MAX = 100;

/** A ticket by its id, whoever's it is; null for an unknown one. Show it by {@link visibleTicket}. */
export const ticketById = loaderOf(async (context, ids: readonly string[]) =>
  inOrderOf(ids, await ticketsByIds(await poolOf(context), ids), (ticket) => ticket.id),
);

/** The tickets of a hold in the order of its items; none before they are issued. Its reader may read the hold. */
export const ticketsOfHold = loaderOf(async (context, holdIds: readonly string[]) => {
  const tickets = await ticketsOfHolds(await poolOf(context), holdIds, TICKETS_OF_HOLD_MAX);
  return holdIds.map((id) => tickets.filter(({ holdId }) => holdId === id));
});

/** Whose code it is. Administrators are nobody's stand-in at a door. */
export const isOwner = (viewer: Viewer | null, ticket: TicketView): boolean => viewer?.memberId === ticket.ownerId;

/** A ticket its reader may see: its owner, who bought it, or an administrator. */
export async function visibleTicket(context: RequestContext, id: string): Promise<TicketView | null> {
  const { viewer } = context;
  const ticket = viewer ? await ticketById(context).load(id) : null;
  const mayRead = ticket && viewer && (isOwner(viewer, ticket) || viewer.memberId === ticket.buyerId || atLeast(viewer.role, 'ADMIN'));
  return mayRead ? ticket : null;
}
