import { randomUUID } from 'node:crypto';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Database } from '../../platform/database/database.ts';
import { idempotently } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { countTicketsOfOwner, type TicketView, ticketsOfOwner } from './read-tickets.ts';
import type { TicketState } from './ticket-states.ts';
import {
  HandOverClosedError,
  OwnTicketError,
  TicketNotFoundError,
  TicketOfferAcceptedError,
  TicketOfferNotFoundError,
  TicketRefundedError,
  TicketUsedError,
  TooManyOffersError,
} from './tickets.errors.ts';
import { hashOfGiven, type TransferTokens, tokenHashOf } from './transfer-tokens.ts';

/** A link lives that long, and never past the start of the performance. */
export const OFFER_DAYS = 7;
/** Links one owner makes for one ticket: more than anybody loses, and each is a row for ever. */
export const OFFERS_MAX = 20;

export interface Offered {
  ticketId: string;
  token: string;
  expiresAt: Date;
}

interface LockedTicket {
  ownerId: string;
  state: TicketState;
  hasBegun: boolean;
}

/**
 * Whose tickets are whose, and how they change hands.
 *
 * Rivals meet at rows, locked in one order everywhere: the payment, its hold, the ticket, its offers. Whoever acts on what a ticket is worth has its hold FOR
 * SHARE: cancelling has it FOR UPDATE. Whoever changes a ticket has the ticket: two who accept, who withdraws, and who lets somebody in.
 */
export class TicketsService {
  constructor(
    private readonly database: Database,
    private readonly tokens: TransferTokens,
  ) {}

  /** Newest first. */
  ticketsOf(ownerId: string, upcomingOnly: boolean, before: string | null, limit: number): Promise<TicketView[]> {
    return ticketsOfOwner(this.database.pool, ownerId, upcomingOnly, before, limit);
  }

  countTicketsOf(ownerId: string, upcomingOnly: boolean): Promise<number> {
    return countTicketsOfOwner(this.database.pool, ownerId, upcomingOnly);
  }

  /** Makes a link that hands a ticket on; the one made before it ends. The ticket stays its owner's until somebody accepts. */
  async offer(memberId: string, ticketId: string, idempotencyKey: string): Promise<Offered | Refusal> {
    const offered = await this.database.transact(
      (em) =>
        idempotently(em, { memberId, key: idempotencyKey, operation: 'offerTicket', request: { ticketId } }, () =>
          this.open(em, memberId, ticketId),
        ),
      { name: 'offer-ticket' },
    );
    if (offered instanceof Refusal) return offered;
    const { transferId, tokenHash, expiresAt } = offered;
    return { ticketId, token: this.tokens.again(transferId, tokenHash), expiresAt: new Date(expiresAt) };
  }

  private async open(em: EntityManager, memberId: string, ticketId: string) {
    const ticket = await lockTicket(em, ticketId);
    if (ticket?.ownerId !== memberId) return new TicketNotFoundError();
    const refusal = refusalOf(ticket);
    if (refusal) return refusal;
    const [made] = await em.execute<{ offers: number }[]>(
      'select count(*)::int as offers from ticket_transfer where ticket_id = ? and from_id = ?',
      [ticketId, memberId],
    );
    if (made && made.offers >= OFFERS_MAX) return new TooManyOffersError(OFFERS_MAX);
    await endOffer(em, ticketId);
    const transferId = randomUUID();
    const tokenHash = tokenHashOf(this.tokens.of(transferId));
    const [opened] = await em.execute<{ expiresAt: string }[]>(OPEN_OFFER, [transferId, memberId, tokenHash, OFFER_DAYS, ticketId]);
    return { transferId, tokenHash, expiresAt: new Date(opened?.expiresAt ?? '').toISOString() };
  }

  /** Takes what was offered: the ticket is the caller's, and every code of it that was made before lets nobody in. Repeating it answers the same. */
  async accept(memberId: string, token: string): Promise<string | Refusal> {
    const tokenHash = hashOfGiven(token);
    if (!tokenHash) return new TicketOfferNotFoundError();
    return this.database.transact(
      async (em) => {
        const [found] = await em.execute<{ ticketId: string }[]>(
          `select ticket_id as "ticketId" from ticket_transfer where token_hash = decode(?, 'hex')`,
          [tokenHash],
        );
        if (!found) return new TicketOfferNotFoundError();
        const { ticketId } = found;
        const ticket = await lockTicket(em, ticketId);
        const [offer] = await em.execute<Offer[]>(OFFER, [tokenHash]);
        if (!ticket || !offer) throw new Error(`The offer of ticket ${ticketId} has gone: neither is ever deleted.`);
        if (offer.acceptedBy === memberId) return ticketId;
        if (!offer.isOpen) return new TicketOfferNotFoundError();
        if (ticket.ownerId === memberId) return new OwnTicketError();
        const refusal = refusalOf(ticket);
        if (refusal) return refusal;
        await em.execute('update ticket_transfer set accepted_at = clock_timestamp(), accepted_by = ? where id = ?', [memberId, offer.id]);
        await em.execute('update ticket set owner_id = ?, generation = generation + 1 where id = ?', [memberId, ticketId]);
        return ticketId;
      },
      { name: 'accept-ticket' },
    );
  }

  /** Ends the open offer of a ticket. Where there is none, nothing changes. */
  withdraw(memberId: string, ticketId: string): Promise<string | Refusal> {
    return this.database.transact(
      async (em) => {
        const ticket = await lockTicket(em, ticketId);
        if (ticket?.ownerId !== memberId) return this.gone(em, memberId, ticketId);
        await endOffer(em, ticketId);
        return ticketId;
      },
      { name: 'withdraw-ticket-offer' },
    );
  }

  /** Who offered a ticket that somebody took may know so; to everybody else it does not exist. */
  private async gone(em: EntityManager, memberId: string, ticketId: string): Promise<Refusal> {
    const taken = await em.execute<unknown[]>(
      'select 1 from ticket_transfer where ticket_id = ? and from_id = ? and accepted_at is not null limit 1',
      [ticketId, memberId],
    );
    return taken.length > 0 ? new TicketOfferAcceptedError() : new TicketNotFoundError();
  }
}

interface Offer {
  id: string;
  acceptedBy: string | null;
  isOpen: boolean;
}

const OFFER = `
  select id, accepted_by as "acceptedBy", accepted_at is null and cancelled_at is null and expires_at > clock_timestamp() as "isOpen"
  from ticket_transfer where token_hash = decode(?, 'hex')`;

const OPEN_OFFER = `
  insert into ticket_transfer (id, ticket_id, from_id, token_hash, expires_at)
  select ?, t.id, ?, decode(?, 'hex'), least(clock_timestamp() + make_interval(days => ?), p.starts_at)
  from ticket t join performance p on p.id = t.performance_id where t.id = ?
  returning expires_at as "expiresAt"`;

/**
 * A ticket with its hold, whose state cannot change until this transaction ends; null for an unknown one. Each row by a statement of its own, and what they
 * say by one more: a statement that waits for a row goes on with what it read of the others before.
 */
async function lockTicket(em: EntityManager, ticketId: string): Promise<LockedTicket | null> {
  await em.execute('select 1 from hold where id = (select hold_id from ticket where id = ?) for share', [ticketId]);
  await em.execute('select 1 from ticket where id = ? for no key update', [ticketId]);
  const [ticket] = await em.execute<LockedTicket[]>(
    `select t.owner_id as "ownerId", s.state, p.starts_at <= clock_timestamp() as "hasBegun"
     from ticket t join ticket_state s on s.id = t.id join performance p on p.id = t.performance_id where t.id = ?`,
    [ticketId],
  );
  return ticket ?? null;
}

const endOffer = (em: EntityManager, ticketId: string) =>
  em.execute(
    'update ticket_transfer set cancelled_at = clock_timestamp() where ticket_id = ? and accepted_at is null and cancelled_at is null',
    [ticketId],
  );

/** Why a ticket cannot change hands. */
function refusalOf({ state, hasBegun }: LockedTicket): Refusal | undefined {
  switch (state) {
    case 'REFUNDED':
      return new TicketRefundedError();
    case 'USED':
      return new TicketUsedError();
    case 'VALID':
      return hasBegun ? new HandOverClosedError() : undefined;
    default:
      return state satisfies never;
  }
}
