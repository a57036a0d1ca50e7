import type { PlanSeat } from './seat-plan.ts';

type Place = Pick<PlanSeat, 'section' | 'row' | 'x' | 'y'>;

/** Seats of a row are beside each other when they are less than this many usual pitches apart: an aisle is wider. */
const PITCHES_MAX = 1.5;

/**
 * For each seat, in the order of their numbers, the number of the seat to its right in its row: -1 at the end of the row and before an aisle.
 * Only seats whose numbers follow each other can be neighbours.
 */
export function neighboursOf(seats: readonly Place[]): Int32Array {
  const rightOf = new Int32Array(seats.length).fill(-1);
  for (const { from, to } of rowsOf(seats)) {
    const near = nearIn(seats.slice(from, to + 1));
    for (let number = from; number < to; number++)
      if (squared(seats[number] as Place, seats[number + 1] as Place) < near) rightOf[number] = number + 1;
  }
  return rightOf;
}

/** Rows in the order of their seats, with the numbers of their first and last one. */
export function rowsOf(seats: readonly Place[]): { section: string; name: string; from: number; to: number }[] {
  const rows: { section: string; name: string; from: number; to: number }[] = [];
  for (const [number, { section, row }] of seats.entries()) {
    const last = rows.at(-1);
    if (last?.section === section && last.name === row) last.to = number;
    else rows.push({ section, name: row, from: number, to: number });
  }
  return rows;
}

/**
 * What the squared distance of two seats beside each other in this row stays below. The usual pitch is the lower median of the distance of each seat to the
 * nearest other one. Not of the gaps between seats that follow each other: of a row in which every second gap is an aisle, half of those are aisles.
 */
function nearIn(row: readonly Place[]): number {
  if (row.length < 2) return 0;
  const nearest = row
    .map((seat) =>
      row.reduce((least, other) => {
        const distance = other === seat ? least : squared(seat, other);
        return distance < least ? distance : least;
      }, Number.POSITIVE_INFINITY),
    )
    .sort((a, b) => a - b);
  return PITCHES_MAX ** 2 * (nearest[(nearest.length - 1) >> 1] as number);
}

/**
 * The first seat of a row (as its place in the row) that is beside a later one, but not beside the one that follows it: such a row is not told from one
 * end to the other, and its neighbours would not be found. -1 for a row that is.
 */
export function strayIn(row: readonly Place[]): number {
  const near = nearIn(row);
  const isNear = (a: Place, b: Place | undefined) => b !== undefined && squared(a, b) < near;
  return row.findIndex(
    (seat, index) => !isNear(seat, row[index + 1]) && row.some((other, later) => later > index + 1 && isNear(seat, other)),
  );
}

/** Of metres. Squares compare as well as roots, and the largest plan compares some millions of them. */
const squared = (a: Place, b: Place) => (a.x - b.x) ** 2 + (a.y - b.y) ** 2;
