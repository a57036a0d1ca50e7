import type pg from 'pg';
import type { PoolRow } from './decide-claims.ts';

/** At most so many holds in one statement, so that a long backlog is tidied in short transactions. */
const SWEEP_MAX = 500;

/**
 * Tidies holds that have run out: their state, their units, the counters. Only tidies: availability is computed without them and every claim takes
 * back by itself what it needs. Any number of processes may sweep at once. Resolves to the pools that changed.
 */
export async function expireHolds(pool: pg.Pool): Promise<PoolRow[]> {
  const changed = new Map<string, PoolRow>();
  for (;;) {
    const { rows } = await pool.query<PoolRow>({ name: 'expire_holds', text: 'select * from expire_holds($1)', values: [SWEEP_MAX] });
    for (const row of rows) changed.set(row.id, row);
    if (rows.length === 0) return [...changed.values()];
  }
}
