import { neighboursOf, type PlanSeat, type SeatPlan, sectionsOf } from '../../../src/features/venues/index.ts';

/** A plan of these seats in their order; what is not said of a seat is usual. */
export function planOf(seats: readonly (Pick<PlanSeat, 'x' | 'y'> & Partial<PlanSeat>)[], focus = { x: 0, y: 0 }): SeatPlan {
  const whole = seats.map(
    (seat, number): PlanSeat => ({
      section: 'A',
      row: '1',
      label: String(number + 1),
      zone: 'A',
      isAccessible: false,
      isCompanion: false,
      sale: 'SALE',
      ...seat,
      number,
    }),
  );
  return { id: 'plan', venueId: 'venue', name: 'Plan', focus, seats: whole, sections: sectionsOf(whole), rightOf: neighboursOf(whole) };
}

/**
 * A plan as drawn, and what is free: a text is a row, `.` a free seat, `#` a taken one, `w` and `c` free accessible and companion seats, a space an aisle; an
 * empty text begins the next section. Seats are 1 m apart, rows too; the focus is 5 m before the middle of the first row.
 */
export function drawn(...rows: string[]): { plan: SeatPlan; states: Uint8Array } {
  const seats: (Pick<PlanSeat, 'x' | 'y'> & Partial<PlanSeat>)[] = [];
  const states: number[] = [];
  let section = 'A';
  for (const [y, row] of rows.entries()) {
    if (row === '') section = String.fromCharCode(section.charCodeAt(0) + 1);
    for (const [x, seat] of [...row].entries()) {
      if (seat === ' ') continue;
      seats.push({ x, y: y + 5, section, zone: section, row: String(y + 1), isAccessible: seat === 'w', isCompanion: seat === 'c' });
      states.push(seat === '#' ? 1 : 0);
    }
  }
  const width = Math.max(...rows.map((row) => row.length));
  const isBeside = (one: (typeof seats)[number], other: (typeof seats)[number] | undefined) =>
    other !== undefined && other.row === one.row && other.x === one.x + 1;
  // As drawn: a row of two seats with an aisle between them is told from one with a wide pitch only here.
  const rightOf = Int32Array.from(seats, (seat, number) => (isBeside(seat, seats[number + 1]) ? number + 1 : -1));
  return { plan: { ...planOf(seats, { x: (width - 1) / 2, y: 0 }), rightOf }, states: Uint8Array.from(states) };
}

/** 5,000 seats around a stage, as an arena has them: 20 blocks in two rings, 25 rows of 10 seats each on arcs, wheelchairs in the last rows of the lower ring. */
export function arena(): SeatPlan {
  const seats: (Pick<PlanSeat, 'x' | 'y'> & Partial<PlanSeat>)[] = [];
  for (let ring = 0; ring < 2; ring++)
    for (let block = 0; block < 10; block++)
      for (let row = 0; row < 25; row++)
        for (let seat = 0; seat < 10; seat++) {
          const radius = 12 + ring * 24 + row * 0.9;
          const angle = (Math.PI * (block + 0.5)) / 10 + ((seat - 4.5) * 0.55) / radius;
          const isLast = ring === 0 && row === 24;
          seats.push({
            x: -radius * Math.cos(angle),
            y: radius * Math.sin(angle),
            section: `${ring + 1}${String.fromCharCode(65 + block)}`,
            row: String(row + 1),
            label: String(seat + 1),
            zone: row < 8 && ring === 0 ? 'R' : ring === 0 ? 'S' : 'A',
            isAccessible: isLast && seat % 3 === 0,
            isCompanion: isLast && seat % 3 === 1,
          });
        }
  return planOf(seats);
}
