import { neighboursOf } from '../../features/venues/neighbours.ts';
import type { PlanFile } from '../../features/venues/seat-plan-file.ts';
import { AVAILABLE, BLOCKED } from './map-view.ts';

export type { PlanFile };

/** @param plan as its file: seats are numbered in the order in which it lists them */
export function houseOf({ name, focus, sections }: PlanFile): House {
  const seats = sections.flatMap((section) =>
    section.rows.flatMap((row) => row.seats.map((seat) => ({ ...seat, section: section.name, row: row.name }))),
  );
  const isForAll = Uint8Array.from(seats, ({ accessible, companion }) => Number(!accessible && !companion));
  const distanceOf = ({ x, y }: { x: number; y: number }) => Math.hypot(x - focus.x, y - focus.y);
  return {
    name,
    forSale: seats.filter(({ sale = 'SALE' }) => sale === 'SALE').length,
    rightOf: neighboursOf(seats),
    isForAll,
    byDistance: seats
      .map((seat, number) => ({ number, distance: distanceOf(seat) }))
      .filter(({ number }) => isForAll[number])
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
  /** By seat number: 0 for places for wheelchairs and their companions, which nobody here asks for. */
  isForAll: Uint8Array;
  /** The numbers of the seats for all, those nearest to where everybody looks first. */
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

/**
 * Seats beside each other that look free, rather in front: every second member wants one of the nearest quarter. Null when there are none for so many. Not
 * everybody among the nearest few: 2,000 members at 60 groups needed 40 attempts for each that was granted, and a hall was sold out by patience.
 */
export function pickSeats(house: House, states: Uint8Array, count: number, random: () => number): number[] | null {
  const groups = house.byDistance.filter((first) => isFree(house, states, first, count));
  const first = groups[Math.floor(random() ** 2 * groups.length)];
  if (first === undefined) return null;
  const seats = [first];
  while (seats.length < count) seats.push(house.rightOf[seats.at(-1) as number] as number);
  return seats;
}

/** Whether so many seats from this one to the right are free, and for all. */
function isFree({ rightOf, isForAll }: House, states: Uint8Array, first: number, count: number): boolean {
  let seat = first;
  for (let left = count; left > 0; left--) {
    if (seat < 0 || !isForAll[seat] || states[seat] !== AVAILABLE) return false;
    seat = rightOf[seat] as number;
  }
  return true;
}

/** Free seats whose neighbours are all taken: nobody who comes in company can use them. One that never had a neighbour on sale is none. */
export function orphansOf({ rightOf }: House, states: Uint8Array): number {
  const free = new Uint8Array(states.length);
  const onSale = new Uint8Array(states.length);
  const note = (seat: number, neighbour: number) => {
    if (states[neighbour] !== BLOCKED) onSale[seat] = 1;
    if (states[neighbour] === AVAILABLE) free[seat] = 1;
  };
  for (const [seat, right] of rightOf.entries()) {
    if (right < 0) continue;
    note(seat, right);
    note(right, seat);
  }
  return states.reduce((orphans, state, seat) => orphans + Number(state === AVAILABLE && onSale[seat] === 1 && free[seat] === 0), 0);
}
