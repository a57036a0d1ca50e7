import type pg from 'pg';
import type { PoolRow } from './decide-claims.ts';

/**
 * How much of a pool is left. `free` = capacity − sold − held, where holds that have run out count for nothing from that instant; of a pool without numbers that
 * is followed also less what is kept for its followers.
 */
export interface Availability {
  /** The pool's id. */
  id: string;
  kind: string;
  capacity: number;
  free: number;
  held: number;
  sold: number;
  /** Grows with every change of the counters. */
  version: number;
  /** When it was true, by the database's clock. */
  at: Date;
}

const AVAILABILITY_OF = 'select *, clock_timestamp() as at from pool_availability where id = any ($1::uuid[])';

/** Reads the availability of many pools in one statement. Unknown ids are left out. */
export async function availabilityOf(pool: pg.Pool, poolIds: readonly string[]): Promise<Availability[]> {
  const { rows } = await pool.query({ name: 'availability_of', text: AVAILABILITY_OF, values: [poolIds] });
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    capacity: row.capacity,
    free: row.free,
    held: row.held,
    sold: row.sold,
    version: row.version,
    at: new Date(row.at),
  }));
}

/** The availability that a just committed change left behind. */
export const availabilityAfter = (row: PoolRow): Availability => ({
  id: row.id,
  kind: row.kind,
  capacity: row.capacity,
  free: Math.max(row.capacity - row.held - row.sold - keptAfter(row), 0),
  held: row.held,
  sold: row.sold,
  version: row.version,
  at: new Date(row.changed_at),
});

/** Times are text or not, as the row came. */
const keptAfter = ({ kept, kept_until, changed_at }: PoolRow) => (kept_until && new Date(kept_until) > new Date(changed_at) ? kept : 0);

/** Holds may run out without any change of the row: two states of one version can differ. */
export const sameAvailability = (a: Availability, b: Availability) =>
  a.version === b.version && a.free === b.free && a.held === b.held && a.capacity === b.capacity;

/** Makes an availability of what travelled between nodes as JSON. */
export const reviveAvailability = (message: unknown): Availability => {
  const availability = message as Omit<Availability, 'at'> & { at: string };
  return { ...availability, at: new Date(availability.at) };
};
