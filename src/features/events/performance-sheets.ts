import type pg from 'pg';
import type { CancellationStep } from '../holds/index.ts';

/** What selling a performance needs to know of it. */
export interface PerformanceSheet {
  id: string;
  eventId: string;
  organizerId: string;
  title: string;
  startsAt: Date;
  endsAt: Date;
  cancellation: CancellationStep[];
  /** Null: no numbered seats. */
  planId: string | null;
  /** In their order. `zone` null: places without numbers, whose pool has the tier's id. */
  tiers: { id: string; name: string; zone: string | null; priceMinor: number }[];
}

/** How long a change of a title or a time may go unnoticed here. Which tiers and seats there are cannot change once something is sold. */
const FRESH_MS = 1_000;
const SHEETS_KEPT_MAX = 1_000;

/** Performances by id, each read at most once a second. */
export class PerformanceSheets {
  private readonly kept = new Map<string, { at: number; sheet: Promise<PerformanceSheet | null> }>();

  constructor(private readonly pool: pg.Pool) {}

  /** Null for an id nobody knows. */
  of(id: string): Promise<PerformanceSheet | null> {
    const kept = this.kept.get(id);
    if (kept && performance.now() - kept.at < FRESH_MS) return kept.sheet;
    const sheet = this.read(id);
    this.kept.delete(id);
    if (this.kept.size >= SHEETS_KEPT_MAX) this.kept.delete(this.kept.keys().next().value as string);
    this.kept.set(id, { at: performance.now(), sheet });
    sheet.then(
      (found) => found ?? this.kept.delete(id),
      () => this.kept.delete(id),
    );
    return sheet;
  }

  private async read(id: string): Promise<PerformanceSheet | null> {
    const { rows } = await this.pool.query({ name: 'performance_sheet', text: SHEET, values: [id] });
    const row = rows[0];
    return row ? { ...row, startsAt: new Date(row.startsAt), endsAt: new Date(row.endsAt) } : null;
  }
}

const SHEET = `
  select p.id, p.event_id as "eventId", e.organizer_id as "organizerId", e.title, p.starts_at as "startsAt", p.ends_at as "endsAt", p.cancellation,
    p.plan_id as "planId",
    (select coalesce(json_agg(json_build_object('id', t.id, 'name', t.name, 'zone', t.zone, 'priceMinor', t.price_minor) order by t.position), '[]')
     from tier t where t.performance_id = p.id) as tiers
  from performance p join event e on e.id = p.event_id where p.id = $1`;
