import type pg from 'pg';
import { PERFORMANCE_DAYS_MAX } from './event-rules.ts';
import type { EventFilter, PerformanceFilter } from './events.inputs.ts';

/** Conditions with their values. What is not asked for is left out of the text, so that each question gets a plan of its own. */
class Where {
  readonly values: unknown[] = [];
  private readonly conditions: string[] = [];

  /** `?` stands for the value; nothing is asked of a value that is absent. */
  and(condition: string, value?: unknown): this {
    if (condition.includes('?') && value == null) return this;
    this.conditions.push(condition.replaceAll('?', () => this.value(value)));
    return this;
  }

  /** Where the last row was, in the order of these columns. */
  after(columns: string, types: readonly string[], row: readonly unknown[] | null): this {
    if (row) this.conditions.push(`(${columns}) > (${row.map((value, index) => `${this.value(value)}::${types[index]}`).join(', ')})`);
    return this;
  }

  value(value: unknown): string {
    return `$${this.values.push(value)}`;
  }

  get sql(): string {
    return this.conditions.length > 0 ? `where ${this.conditions.join(' and ')}` : '';
  }
}

/** Korea has no daylight saving: a day there is from midnight to midnight, and `date` knows how long a month is. */
const MIDNIGHT = (day: string) => `(${day})::timestamp at time zone 'Asia/Seoul'`;

function performancesWhere(filter: PerformanceFilter): { where: Where; from: string } {
  const where = new Where()
    .and(`p.starts_at >= ${MIDNIGHT('?::date')} and p.starts_at < ${MIDNIGHT('?::date + 1')}`, filter.day)
    .and('p.starts_at >= ?::timestamptz', filter.from)
    .and('p.starts_at < ?::timestamptz', filter.to)
    .and('p.event_id = ?::uuid', filter.eventId)
    .and('e.category = ?', filter.category)
    .and('e.venue_id = ?::uuid', filter.venueId);
  // A sale closes at the latest when its performance ends: what is over, or began longer ago than any performance lasts, need not be looked at.
  if (filter.onSaleOnly)
    where.and(
      `(o.opens_at is null or o.opens_at <= now()) and (o.closes_at is null or o.closes_at > now())
       and p.ends_at > now() and p.starts_at > now() - interval '${PERFORMANCE_DAYS_MAX} days'`,
    );
  const ofEvent = filter.category != null || filter.venueId != null ? 'join event e on e.id = p.event_id' : '';
  return { where, from: `performance p ${ofEvent} ${filter.onSaleOnly ? 'join pool o on o.id = p.id' : ''}` };
}

/** By their beginning and id; `after`: the last of the page before. */
export async function readPerformances(
  pool: pg.Pool,
  filter: PerformanceFilter,
  after: readonly [string, string] | null,
  limit: number,
): Promise<object[]> {
  const { where, from } = performancesWhere(filter);
  where.after('p.starts_at, p.id', ['timestamptz', 'uuid'], after);
  const size = where.value(limit);
  const { rows } = await pool.query(`select p.* from ${from} ${where.sql} order by p.starts_at, p.id limit ${size}`, where.values);
  return rows;
}

export async function countPerformances(pool: pg.Pool, filter: PerformanceFilter): Promise<number> {
  const { where, from } = performancesWhere(filter);
  const { rows } = await pool.query(`select count(*)::int as count from ${from} ${where.sql}`, where.values);
  return rows[0].count;
}

function eventsWhere(filter: EventFilter): Where {
  const where = new Where()
    .and('e.category = ?', filter.category)
    .and('e.venue_id = ?::uuid', filter.venueId)
    .and('e.organizer_id = ?::uuid', filter.organizerId);
  const begins = [
    ...(filter.from ? [`p.starts_at >= ${where.value(filter.from)}::timestamptz`] : []),
    ...(filter.to ? [`p.starts_at < ${where.value(filter.to)}::timestamptz`] : []),
  ];
  return begins.length > 0 ? where.and(`exists (select 1 from performance p where p.event_id = e.id and ${begins.join(' and ')})`) : where;
}

/** Newest first; `before`: only events older than this id (ids grow with time). */
export async function readEvents(pool: pg.Pool, filter: EventFilter, before: string | null, limit: number): Promise<object[]> {
  const where = eventsWhere(filter).and('e.id < ?::uuid', before);
  const size = where.value(limit);
  const { rows } = await pool.query(`select e.* from event e ${where.sql} order by e.id desc limit ${size}`, where.values);
  return rows;
}

export async function countEvents(pool: pg.Pool, filter: EventFilter): Promise<number> {
  const where = eventsWhere(filter);
  const { rows } = await pool.query(`select count(*)::int as count from event e ${where.sql}`, where.values);
  return rows[0].count;
}
