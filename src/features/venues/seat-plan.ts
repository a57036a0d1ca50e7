import type pg from 'pg';
import { neighboursOf } from './neighbours.ts';

export const SEAT_SALES = ['SALE', 'HOUSE', 'KILL'] as const;
/** `SALE`: can be bought. `HOUSE`: kept back by the house, and can be put on sale later. `KILL`: never sold, for example behind a pillar. */
export type SeatSale = (typeof SEAT_SALES)[number];

export interface PlanSeat {
  /** Its place in the plan, from 0 without gaps, section by section, row by row, from left to right: what claims and live maps call it. */
  number: number;
  section: string;
  row: string;
  /** What is printed on it, within its row. */
  label: string;
  /** Metres, in the plane of the plan; y grows away from the stage. Neighbours in a row are less than 1.5 times the usual pitch apart. */
  x: number;
  y: number;
  /** Which tier of a performance prices it. */
  zone: string;
  isAccessible: boolean;
  isCompanion: boolean;
  sale: SeatSale;
}

/** The seats of a venue for one way of using it. It never changes: whoever wants another one imports another one. */
export interface SeatPlan {
  id: string;
  venueId: string;
  name: string;
  /** Where everybody looks: the nearer the better. */
  focus: { x: number; y: number };
  /** The index of a seat is its number. */
  seats: readonly PlanSeat[];
  /** In the order of their first seats; the numbers of one section follow each other. */
  sections: readonly { name: string; from: number; to: number }[];
  /** By seat number: the number of the seat to its right, -1 at the end of a row and before an aisle. */
  rightOf: Int32Array;
}

/** Some 1 MB for each thousand seats. */
const PLANS_KEPT_MAX = 100;

/** Seat plans by id, kept because they never change. */
export class SeatPlans {
  private readonly kept = new Map<string, Promise<SeatPlan | null>>();

  constructor(private readonly pool: pg.Pool) {}

  /** Null for an id nobody knows. */
  planOf(id: string): Promise<SeatPlan | null> {
    const kept = this.kept.get(id);
    if (kept !== undefined) return kept;
    const reading = this.read(id);
    if (this.kept.size >= PLANS_KEPT_MAX) this.kept.delete(this.kept.keys().next().value as string);
    this.kept.set(id, reading);
    const forget = () => void (this.kept.get(id) === reading && this.kept.delete(id));
    reading.then((plan) => plan ?? forget(), forget);
    return reading;
  }

  /** For a plan that was deleted. */
  forget(id: string): void {
    this.kept.delete(id);
  }

  private async read(id: string): Promise<SeatPlan | null> {
    const { rows } = await this.pool.query<SeatPlan & { seats: PlanSeat[] }>({ name: 'seat_plan', text: PLAN, values: [id] });
    const row = rows[0];
    return row ? { ...row, sections: sectionsOf(row.seats), rightOf: neighboursOf(row.seats) } : null;
  }
}

const PLAN = `
  select p.id, p.venue_id as "venueId", p.name, json_build_object('x', p.focus_x, 'y', p.focus_y) as focus,
    (select coalesce(json_agg(json_build_object('number', s.number, 'section', s.section, 'row', s.row, 'label', s.label, 'x', s.x, 'y', s.y, 'zone', s.zone,
       'isAccessible', s.is_accessible, 'isCompanion', s.is_companion, 'sale', s.sale) order by s.number), '[]')
     from plan_seat s where s.plan_id = p.id) as seats
  from seat_plan p where p.id = $1`;

/** Of seats in the order of their numbers. */
export function sectionsOf(seats: readonly PlanSeat[]): SeatPlan['sections'] {
  const sections: { name: string; from: number; to: number }[] = [];
  for (const { section, number } of seats) {
    const last = sections.at(-1);
    if (last?.name === section) last.to = number;
    else sections.push({ name: section, from: number, to: number });
  }
  return sections;
}
