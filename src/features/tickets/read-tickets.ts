import type pg from 'pg';
import type { TicketState } from './ticket-states.ts';

/** A ticket with what is derived of it. */
export interface TicketView {
  id: string;
  holdId: string;
  /** Whose hold it came from: who paid. */
  buyerId: string;
  ownerId: string;
  performanceId: string;
  tierId: string;
  /** Null: a place without a number. */
  seatNumber: number | null;
  generation: number;
  state: TicketState;
  issuedAt: Date;
  usedAt: Date | null;
  /** Until when the link its owner made last can be accepted; null when there is none. */
  offerExpiresAt: Date | null;
}

const TICKETS = `
  select t.id, t.hold_id as "holdId", h.claimant_id as "buyerId", t.owner_id as "ownerId", t.performance_id as "performanceId", t.tier_id as "tierId",
    t.seat_number as "seatNumber", t.generation, s.state, t.issued_at as "issuedAt", t.used_at as "usedAt", o.expires_at as "offerExpiresAt"
  from ticket t join hold h on h.id = t.hold_id join ticket_state s on s.id = t.id
  left join ticket_transfer o on o.ticket_id = t.id and o.accepted_at is null and o.cancelled_at is null and o.expires_at > clock_timestamp()`;

/** $1: the owner; $2: only of performances to come, and only those that were not refunded. */
const OWNED = `
  t.owner_id = $1 and (not $2 or s.state <> 'REFUNDED' and exists (select 1 from performance p where p.id = t.performance_id and p.ends_at > clock_timestamp()))`;

const BY_IDS = `${TICKETS} where t.id = any ($1::uuid[])`;
const OF_OWNER = `${TICKETS} where ${OWNED} and ($3::uuid is null or t.id < $3) order by t.id desc limit $4`;
const COUNT_OF_OWNER = `select count(*)::int as count from ticket t join ticket_state s on s.id = t.id where ${OWNED}`;
/** As many of each hold as its readers are promised at most. */
const OF_HOLDS = `
  select t.* from unnest($1::uuid[]) as asked(id)
  cross join lateral (${TICKETS} where t.hold_id = asked.id order by t.position, t.ordinal limit $2) t`;

const read = async (pool: pg.Pool, name: string, text: string, values: unknown[]): Promise<TicketView[]> => {
  const { rows } = await pool.query({ name, text, values });
  const moment = (at: string | null) => at && new Date(at);
  return rows.map((row) => ({
    ...row,
    issuedAt: new Date(row.issuedAt),
    usedAt: moment(row.usedAt),
    offerExpiresAt: moment(row.offerExpiresAt),
  }));
};

/** Unknown ids are left out. */
export const ticketsByIds = (pool: pg.Pool, ids: readonly string[]) => read(pool, 'tickets_by_ids', BY_IDS, [ids]);

/** Of several holds, each in the order of its items. */
export const ticketsOfHolds = (pool: pg.Pool, holdIds: readonly string[], limit: number) =>
  read(pool, 'tickets_of_holds', OF_HOLDS, [holdIds, limit]);

/** Newest first; `before`: only those older than this id (ids grow with time). */
export const ticketsOfOwner = (pool: pg.Pool, ownerId: string, upcomingOnly: boolean, before: string | null, limit: number) =>
  read(pool, 'tickets_of_owner', OF_OWNER, [ownerId, upcomingOnly, before, limit]);

export async function countTicketsOfOwner(pool: pg.Pool, ownerId: string, upcomingOnly: boolean): Promise<number> {
  const { rows } = await pool.query({ name: 'count_tickets_of_owner', text: COUNT_OF_OWNER, values: [ownerId, upcomingOnly] });
  return rows[0].count;
}
