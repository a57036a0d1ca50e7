import { neighboursOf } from '../../features/venues/neighbours.ts';
import type { PlanFile } from '../../features/venues/seat-plan-file.ts';

export type { PlanFile };

export function houseOf({ name, focus, sections }: PlanFile): House {
  const seats = sections.flatMap((section) =>
    section.rows.flatMap((row) => row.seats.map((seat) => ({ ...seat, section: section.name, row: row.name }))),
  );
  const distanceOf = ({ x, y }: { x: number; y: number }) => Math.hypot(x - focus.x, y - focus.y);
  return {
    name,
    forSale: seats.filter(({ sale = 'SALE' }) => sale === 'SALE').length,
    rightOf: neighboursOf(seats),
    byDistance: seats
      .map((seat, number) => ({ number, distance: distanceOf(seat), isForAll: !seat.accessible && !seat.companion }))
      .filter(({ isForAll }) => isForAll)
      .sort((a, b) => a.distance - b.distance)
      .map(({ number }) => number),
  };
}

/** Where seats are beside each other, for members who pick. */
export interface House {
  name: string;
  /** Seats that can be bought. */
  forSale: number;
  /** By seat number: the number of its right neighbour, or -1. */
  rightOf: Int32Array;
  /** Seat numbers, those nearest to where everybody looks first; without places for wheelchairs and their companions. */
  byDistance: readonly number[];
}

/** A random number from 0 to 1 of a member's own, the same in every rehearsal. */
export function randomOf(seed: number): () => number {
  let state = (seed + 1) * 0x9e3779b1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Friends who come together, from the shares that box offices tell. */
export function partyOf(random: () => number): number {
  const share = random();
  return share < 0.25 ? 1 : share < 0.75 ? 2 : share < 0.85 ? 3 : 4;
}

/** How many of the nearest free groups a member looks at before choosing: the fewer, the more members want the same seats. */
const LOOKED_AT = 60;

/** Seats beside each other that look free, rather in front; null when there are none for so many. */
export function pickSeats(house: House, states: Uint8Array, count: number, random: () => number): number[] | null {
  const groups: number[] = [];
  for (const first of house.byDistance) {
    if (!isFree(house, states, first, count)) continue;
    groups.push(first);
    if (groups.length === LOOKED_AT) break;
  }
  const first = groups[Math.floor(random() * groups.length)];
  if (first === undefined) return null;
  const seats = [first];
  while (seats.length < count) seats.push(house.rightOf[seats.at(-1) as number] as number);
  return seats;
}

function isFree(house: House, states: Uint8Array, first: number, count: number): boolean {
  if (states[first] !== 0) return false;
  let seat = first;
  for (let more = count - 1; more > 0; more--) {
    seat = house.rightOf[seat] ?? -1;
    if (seat < 0 || states[seat] !== 0) return false;
  }
  return true;
}

/** Free seats with no free neighbour though they have one: nobody who comes in company can use them. */
export function orphansOf(house: House, states: Uint8Array): number {
  const leftOf = new Int32Array(house.rightOf.length).fill(-1);
  for (const [seat, right] of house.rightOf.entries()) if (right >= 0) leftOf[right] = seat;
  let orphans = 0;
  for (let seat = 0; seat < states.length; seat++) {
    const neighbours = [leftOf[seat] ?? -1, house.rightOf[seat] ?? -1].filter((neighbour) => neighbour >= 0);
    if (states[seat] === 0 && neighbours.length > 0 && neighbours.every((neighbour) => states[neighbour] !== 0)) orphans++;
  }
  return orphans;
}
