import type pg from 'pg';
import { GatheredNews } from '../../platform/subscriptions/gathered-news.ts';
import type { LiveObjects } from '../../platform/subscriptions/live-objects.ts';

/** How far a performance has come at its doors. */
export interface DoorStatus {
  /** The performance. */
  id: string;
  /** The length of the scan log: only committed rows count and none is ever deleted, so of two states the longer one is the later. */
  version: number;
  issued: number;
  checkedIn: number;
  refused: number;
  duplicates: number;
  at: string;
}

/** One statement for all ids; unknown ones are left out. */
export async function doorStatuses(pool: pg.Pool, ids: readonly string[]): Promise<DoorStatus[]> {
  const { rows } = await pool.query({ name: 'door_statuses', text: STATUSES, values: [ids] });
  return rows;
}

const STATUSES = `
  select p.id, scans.version, tickets.issued, tickets.checked_in as "checkedIn", scans.refused, scans.duplicates,
    to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as at
  from performance p
  cross join lateral (
    select count(*)::int as version, count(*) filter (where result = 'DUPLICATE')::int as duplicates,
      count(*) filter (where result in ('ALREADY_USED', 'WRONG_PERFORMANCE', 'REPLACED', 'REFUNDED', 'FORGED'))::int as refused
    from scan where performance_id = p.id) scans
  cross join lateral (
    select count(*) filter (where h.state = 'CONFIRMED')::int as issued, count(t.used_at)::int as checked_in
    from ticket t join hold h on h.id = t.hold_id where t.performance_id = p.id) tickets
  where p.id = any ($1::uuid[])`;

export const sameDoorStatus = (a: DoorStatus, b: DoorStatus): boolean =>
  a.issued === b.issued && a.checkedIn === b.checkedIn && a.refused === b.refused && a.duplicates === b.duplicates;

/** The counts are taken anew for each message, over all tickets of a performance: five times a second is fast enough for a person. */
const GATHER_MS = 200;

/** Tells every node's watchers what committed scans left behind. */
export const doorNews = (pool: pg.Pool, live: LiveObjects<DoorStatus>): GatheredNews<DoorStatus> =>
  new GatheredNews({ gatherMs: GATHER_MS, read: (ids) => doorStatuses(pool, ids), publish: (status) => live.publish(status) });
