import type { SeatSale } from './seat-plan.ts';
import type { PlanFile, PlanFileSeat } from './seat-plan-file.ts';

export const SHIPPED_PLANS = ['black-box', 'hall', 'arena'] as const;
export type ShippedPlan = (typeof SHIPPED_PLANS)[number];

/** A plan that comes with the product, as its file. */
export function shippedPlanFile(name: ShippedPlan): PlanFile {
  switch (name) {
    case 'black-box':
      return blackBox();
    case 'hall':
      return hall();
    case 'arena':
      return arena();
    default:
      return name satisfies never;
  }
}

/** Between the middles of two seats, and the additional width of an aisle, in metres. */
const PITCH = 0.55;
const AISLE = 1.1;

/** 120 seats: eight straight rows with two aisles, wheelchairs at the level of the entrance in the last one. */
function blackBox(): PlanFile {
  const blocks = [4, 7, 4];
  const rows = [...'ABCDEFGH'].map((name, r) => ({
    name,
    seats: offsetsOf(blocks).map((x, index): PlanFileSeat => {
      const label = index + 1;
      return {
        ...seatAt(label, x, 2 + r * 0.95, r < 5 ? 'R' : 'S', name === 'D' && (label === 7 || label === 8) ? 'HOUSE' : 'SALE'),
        ...(name === 'H' && accessOf(label, [1, 15], [2, 14])),
      };
    }),
  }));
  return { name: '블랙박스 120석', focus: { x: 0, y: 0 }, sections: [{ name: '객석', rows }] };
}

/** 1,200 seats: curved stalls, two balconies, and six boxes on each side. Pillars under the first balcony stand before four seats. */
function hall(): PlanFile {
  /** Where the circles of the rows have their middle, behind the front of the stage. */
  const behind = 12;
  const curved = (row: number, radius: number, blocks: readonly number[], zone: string): { name: string; seats: PlanFileSeat[] } => ({
    name: String(row),
    seats: offsetsOf(blocks).map((offset, index) =>
      seatAt(index + 1, radius * Math.sin(offset / radius), radius * Math.cos(offset / radius) - behind, zone),
    ),
  });
  const depth = 0.95;
  const stalls = times(20, (r) => curved(r + 1, behind + 4 + r * depth, r < 5 ? [8, 12, 8] : [10, 14, 10], r < 10 ? 'VIP' : 'R'));
  const first = times(8, (r) => curved(r + 1, behind + 26 + r * depth, [10, 16, 10], r < 3 ? 'R' : 'S'));
  const second = times(6, (r) => curved(r + 1, behind + 37 + r * depth, r < 5 ? [11, 16, 11] : [10, 16, 10], 'A'));
  const boxes = times(12, (box) => {
    const side = box < 6 ? -1 : 1;
    const seats = times(3, (n) => seatAt(n + 1, side * 14, 5 + (box % 6) * 2.6 + n * 0.6, 'R'));
    return { name: `박스 ${box + 1}`, rows: [{ name: '1', seats }] };
  });
  for (const { name, seats } of stalls)
    for (const seat of seats) {
      const label = Number(seat.label);
      if (name === '8' && label >= 16 && label <= 19) seat.sale = 'HOUSE';
      if ((name === '18' || name === '19') && (label === 5 || label === 30)) seat.sale = 'KILL';
      if (name === '20') Object.assign(seat, accessOf(label, [1, 3, 32, 34], [2, 4, 31, 33]));
    }
  const floors = [stalls, first, second].map((rows, floor) => ({ name: `${floor + 1}층`, rows }));
  return { name: '콘서트홀 1,200석', focus: { x: 0, y: 0 }, sections: [...floors, ...boxes] };
}

/** 5,000 seats: six blocks on the floor, and two tiers of twenty sections around three sides of it. */
function arena(): PlanFile {
  const floor = times(6, (block) => {
    const middle = ((block % 3) - 1) * (15 * PITCH + 1.5);
    const front = block < 3 ? 8 : 21;
    const rows = times(12, (r) => ({
      name: String(r + 1),
      seats: offsetsOf([15]).map((x, index): PlanFileSeat => {
        const label = index + 1;
        return {
          ...seatAt(
            label,
            middle + x,
            front + r * 0.9,
            block < 3 ? 'VIP' : 'R',
            block === 1 && r === 0 && label > 5 && label <= 10 ? 'HOUSE' : 'SALE',
          ),
          ...((block === 3 || block === 5) && r === 11 && accessOf(label, [1, 3, 5], [2, 4, 6])),
        };
      }),
    }));
    return { name: `F${block + 1}`, rows };
  });
  const lower = times(20, (n) => stand(101 + n, n, { across: 30, along: 36, rows: 8, seats: 12, zone: 'S' }));
  const upper = times(20, (n) => stand(201 + n, n, { across: 41, along: 47, rows: 10, seats: 10, zone: 'A' }));
  // From the sections beside the stage its wings hide it.
  for (const { seats } of lower[0]?.rows ?? []) for (const seat of seats.slice(0, 3)) seat.sale = 'KILL';
  for (const { seats } of lower.at(-1)?.rows ?? []) for (const seat of seats.slice(-3)) seat.sale = 'KILL';
  return { name: '아레나 5,000석', focus: { x: 0, y: 0 }, sections: [...floor, ...lower, ...upper] };
}

interface Stand {
  /** The half axes of the oval of its first row, in metres. */
  across: number;
  along: number;
  rows: number;
  seats: number;
  zone: string;
}

/** The nth of twenty sections on an oval around the floor, 12 degrees each, from the left of the stage around the back to its right. */
function stand(name: number, n: number, { across, along, rows, seats, zone }: Stand) {
  const angle = ((n - 9.5) * 12 * Math.PI) / 180;
  return {
    name: String(name),
    rows: times(rows, (r) => {
      const [a, b] = [across + r * 0.85, along + r * 0.85];
      /** Metres along the row for each radian. */
      const speed = Math.hypot(a * Math.cos(angle), b * Math.sin(angle));
      return {
        name: String(r + 1),
        seats: offsetsOf([seats], 0.5).map((offset, index) => {
          const at = angle + offset / speed;
          return seatAt(index + 1, a * Math.sin(at), 18 + b * Math.cos(at), zone);
        }),
      };
    }),
  };
}

/** How far the seats of a row are from its middle, block by block with an aisle between them. */
function offsetsOf(blocks: readonly number[], pitch = PITCH): number[] {
  const offsets = blocks.flatMap((count, block) => times(count, (n) => block * AISLE + (sum(blocks.slice(0, block)) + n) * pitch));
  const middle = (offsets.at(-1) as number) / 2;
  return offsets.map((offset) => offset - middle);
}

const seatAt = (label: number, x: number, y: number, zone: string, sale: SeatSale = 'SALE'): PlanFileSeat => ({
  label: String(label),
  x: Math.round(x * 1_000) / 1_000,
  y: Math.round(y * 1_000) / 1_000,
  zone,
  ...(sale !== 'SALE' && { sale }),
});

const accessOf = (label: number, accessible: readonly number[], companion: readonly number[]) => ({
  ...(accessible.includes(label) && { accessible: true }),
  ...(companion.includes(label) && { companion: true }),
});

const times = <Item>(count: number, make: (index: number) => Item): Item[] => Array.from({ length: count }, (_, index) => make(index));

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);
