import { stringify } from 'csv-stringify/sync';
import { rowsOf } from './neighbours.ts';
import type { PlanSeat, SeatPlan, SeatSale } from './seat-plan.ts';

export const PLAN_FORMATS = ['JSON', 'CSV'] as const;
export type PlanFormat = (typeof PLAN_FORMATS)[number];

/** A seat plan as JSON. The seats are numbered from 0 in the order of the file. */
export interface PlanFile {
  name: string;
  focus: { x: number; y: number };
  sections: { name: string; rows: { name: string; seats: PlanFileSeat[] }[] }[];
}

export interface PlanFileSeat {
  label: string;
  x: number;
  y: number;
  zone: string;
  /** Absent: false. */
  accessible?: boolean;
  companion?: boolean;
  /** Absent: `SALE`. */
  sale?: SeatSale;
}

/** The columns of a plan as CSV, one line for each seat in the order of their numbers. The focus stands in the line of the first seat. */
export const CSV_COLUMNS = ['section', 'row', 'label', 'x', 'y', 'zone', 'accessible', 'companion', 'sale', 'focus_x', 'focus_y'] as const;
export type CsvColumn = (typeof CSV_COLUMNS)[number];

type Exported = Pick<SeatPlan, 'name' | 'focus' | 'seats'>;

export function planFileOf({ name, focus, seats }: Exported): PlanFile {
  const sections: PlanFile['sections'] = [];
  for (const { section, name: row, from, to } of rowsOf(seats)) {
    let last = sections.at(-1);
    if (last?.name !== section) {
      last = { name: section, rows: [] };
      sections.push(last);
    }
    last.rows.push({ name: row, seats: seats.slice(from, to + 1).map(fileSeatOf) });
  }
  return { name, focus: { x: focus.x, y: focus.y }, sections };
}

const fileSeatOf = ({ label, x, y, zone, isAccessible, isCompanion, sale }: PlanSeat): PlanFileSeat => ({
  label,
  x,
  y,
  zone,
  ...(isAccessible && { accessible: true }),
  ...(isCompanion && { companion: true }),
  ...(sale !== 'SALE' && { sale }),
});

export const jsonOf = (plan: Exported): string => JSON.stringify(planFileOf(plan));

/** With a byte order mark: without it Excel reads Korean as the code page of the machine. */
export function csvOf({ focus, seats }: Exported): string {
  const lines = seats.map(
    (seat, index): Record<CsvColumn, string | number> => ({
      section: inert(seat.section),
      row: inert(seat.row),
      label: inert(seat.label),
      x: seat.x,
      y: seat.y,
      zone: inert(seat.zone),
      accessible: String(seat.isAccessible),
      companion: String(seat.isCompanion),
      sale: seat.sale,
      focus_x: index === 0 ? focus.x : '',
      focus_y: index === 0 ? focus.y : '',
    }),
  );
  return stringify(lines, { bom: true, header: true, columns: [...CSV_COLUMNS] });
}

/** What spreadsheets would run as a formula, in ASCII and in the full width of East Asian keyboards. Quotes before it are those of earlier rounds. */
const FORMULA = /^'*[=+\-@＝＋－＠]/;

/** A text that no spreadsheet takes for a formula. Numbers are not texts: `-3.5` stays a number. */
const inert = (text: string) => (FORMULA.test(text) ? `'${text}` : text);

/** The text that {@link csvOf} made inert. */
export const revived = (cell: string) => (cell.startsWith("'") && FORMULA.test(cell) ? cell.slice(1) : cell);
