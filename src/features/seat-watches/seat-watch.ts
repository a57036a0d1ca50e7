import type { EntityManager } from '@mikro-orm/postgresql';
import type pg from 'pg';
import type { PlanSeat } from '../venues/index.ts';

export const SEAT_WATCH_STATES = ['WAITING', 'OFFERED', 'ENDED'] as const;
export type SeatWatchState = (typeof SEAT_WATCH_STATES)[number];

export const SEAT_WATCH_ENDS = ['TAKEN', 'LAPSED', 'UNWATCHED', 'LIMIT_REACHED', 'COOLING_DOWN', 'NOT_ON_SALE'] as const;
export type SeatWatchEnd = (typeof SEAT_WATCH_ENDS)[number];

/** A watch as its member sees it: one whose offered hold is over reads ENDED, written down or not. */
export interface SeatWatch {
  id: string;
  memberId: string;
  performanceId: string;
  tierId: string;
  /** Null: any seat or place of the tier. */
  seatNumber: number | null;
  quantity: number;
  state: SeatWatchState;
  /** Null while it has not ended. */
  endedBecause: SeatWatchEnd | null;
  /** What was offered; null before there was an offer. */
  holdId: string | null;
  /** As text, because it travels between nodes. */
  createdAt: string;
  /** Raised by every change of the watch or of what was offered; an offer that runs out raises it when that is written down. */
  version: number;
}

/** A watch of the view `seat_watch_now` named `w`, as JSON. */
export const WATCH_JSON = `json_build_object('id', w.id, 'memberId', w.member_id, 'performanceId', w.performance_id, 'tierId', w.tier_id,
  'seatNumber', w.seat_number, 'quantity', w.quantity, 'state', w.state, 'endedBecause', w.ended_because, 'holdId', w.hold_id,
  'createdAt', to_char(w.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), 'version', w.version)`;

/** Unknown ids are left out. */
export async function watchesByIds(pool: pg.Pool, ids: readonly string[]): Promise<SeatWatch[]> {
  const { rows } = await pool.query<{ watch: SeatWatch }>({
    name: 'seat_watches_by_ids',
    text: `select ${WATCH_JSON} as watch from seat_watch_now w where w.id = any ($1::uuid[])`,
    values: [ids],
  });
  return rows.map(({ watch }) => watch);
}

/** Newest first; `before`: only watches older than this id (ids grow with time). */
export async function watchesOfMember(pool: pg.Pool, memberId: string, before: string | null, limit: number): Promise<SeatWatch[]> {
  const { rows } = await pool.query<{ watch: SeatWatch }>({
    name: 'seat_watches_of_member',
    text: `select ${WATCH_JSON} as watch from seat_watch_now w
           where w.member_id = $1 and ($2::uuid is null or w.id < $2) order by w.id desc limit $3`,
    values: [memberId, before, limit],
  });
  return rows.map(({ watch }) => watch);
}

/** How many come before each waiting watch for what it follows, and itself; watches that do not wait are left out. */
export async function positionsOf(pool: pg.Pool, ids: readonly string[]): Promise<{ id: string; position: number }[]> {
  const { rows } = await pool.query({ name: 'seat_watch_positions', text: POSITIONS, values: [ids] });
  return rows;
}

const POSITIONS = `
  select w.id, 1 + (
    select count(*)::int from seat_watch o
    where o.pool_id = w.pool_id and o.tier_id = w.tier_id and o.state = 'WAITING' and (o.created_at, o.id) < (w.created_at, w.id)
      and (o.seat_number is null or o.seat_number = w.seat_number)) as position
  from seat_watch w where w.id = any ($1::uuid[]) and w.state = 'WAITING'`;

/** The seats that watches follow; watches of a tier are left out. From the tables, because watches of many performances would read as many plans. */
export async function seatsOf(pool: pg.Pool, watchIds: readonly string[]): Promise<(PlanSeat & { watchId: string })[]> {
  const { rows } = await pool.query({ name: 'seat_watch_seats', text: SEATS, values: [watchIds] });
  return rows;
}

const SEATS = `
  select w.id as "watchId", s.number, s.section, s.row, s.label, s.x, s.y, s.zone, s.is_accessible as "isAccessible", s.is_companion as "isCompanion", s.sale
  from seat_watch w join performance f on f.id = w.performance_id join plan_seat s on s.plan_id = f.plan_id and s.number = w.seat_number
  where w.id = any ($1::uuid[])`;

const lockName = (poolId: string) => `seat watches of ${poolId}`;

/**
 * Until the transaction ends nobody concludes that nothing of a pool is followed. Any number of new followers have this at once: they meet neither each other
 * nor the claims, which the lock of the pool would make them do.
 */
export async function beginFollowing(em: EntityManager, poolId: string): Promise<void> {
  await em.execute('select pg_advisory_xact_lock_shared(hashtextextended(?, 0))', [lockName(poolId)]);
}

/** Waits for everybody who is about to follow something of a pool, and keeps others from it: what the next statement does not see is not followed. */
export async function stopFollowing(em: EntityManager, poolId: string): Promise<void> {
  await em.execute('select pg_advisory_xact_lock(hashtextextended(?, 0))', [lockName(poolId)]);
}
