import type pg from 'pg';
import type { Availability } from '../../inventory/availability.ts';
import type { LiveObjects } from '../../platform/subscriptions/live-objects.ts';
import type { SeatMap } from './seat-map.ts';

/** The maps of performances: read by version, kept while somebody watches. */
export class SeatMaps {
  constructor(
    private readonly pool: pg.Pool,
    readonly live: LiveObjects<Availability>,
  ) {}

  /** The map as it is now, read from the database; null for a performance nobody knows or one without numbered seats. */
  async read(performanceId: string): Promise<SeatMap | null> {
    const { rows } = await this.pool.query<{ version: number; states: string; changed: number[] }>({
      name: 'seat_map',
      text: SEAT_MAP,
      values: [performanceId],
    });
    const row = rows[0];
    if (!row || row.changed.length === 0) return null;
    return {
      id: performanceId,
      version: row.version,
      states: Uint8Array.from(row.states, Number),
      changedIn: Int32Array.from(row.changed),
    };
  }
}

const SEAT_MAP = `
  select p.version, coalesce(string_agg(case u.state when 'AVAILABLE' then '0' when 'SOLD' then '2' when 'BLOCKED' then '3' else '1' end, '' order by u.number), '') as states,
    coalesce(array_agg(u.version order by u.number) filter (where u.id is not null), '{}') as changed
  from pool p left join unit u on u.pool_id = p.id and u.number is not null where p.id = $1 group by p.id, p.version`;
