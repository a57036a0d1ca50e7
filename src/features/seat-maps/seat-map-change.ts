import { AVAILABLE, BLOCKED, SEAT_STATES, type SectionedSeatMap } from './seat-map.ts';

/** A part of the plan with the states of its seats, packed. */
export interface SectionStates {
  section: string;
  /** The number of its first seat. */
  from: number;
  count: number;
  free: number;
  /** Base64 of two bits for each seat: seat `i` of the section at bits `2i` and `2i + 1`, counted from the least significant bit of the first byte. */
  states: string;
}

/** What leads from one version of a map to another. */
export interface SeatMapChange {
  performanceId: string;
  version: number;
  /** Null: this is the whole map. */
  since: number | null;
  sections: SectionStates[];
  /** Numbers of seats that have changed, by what they are now. */
  available: number[];
  held: number[];
  sold: number[];
  blocked: number[];
  at: Date;
}

/** What somebody with version `since` needs to have this map; everything, if that is shorter or `since` is undefined. */
export function changeSince(map: SectionedSeatMap, since: number | undefined): SeatMapChange {
  const { id, version, at } = map;
  const numbers = since === undefined ? undefined : changedSince(map, since);
  const told = { performanceId: id, version, at };
  if (since === undefined || !numbers || isLonger(numbers.length, map))
    return { ...told, since: null, sections: packed(map), available: [], held: [], sold: [], blocked: [] };
  const [available, held, sold, blocked] = SEAT_STATES.map((_, code) => numbers.filter((number) => map.states[number] === code)) as Four;
  return { ...told, since, sections: [], available, held, sold, blocked };
}

type Four = [number[], number[], number[], number[]];

function changedSince({ changedIn }: SectionedSeatMap, since: number): number[] {
  const numbers: number[] = [];
  for (let number = 0; number < changedIn.length; number++) if ((changedIn[number] as number) > since) numbers.push(number);
  return numbers;
}

/** Whether so many numbers are a longer message than the whole map. For 5,000 seats that is from some 400 on, for a small hall from some 20. */
const isLonger = (changes: number, { states, sections }: SectionedSeatMap) =>
  changes * NUMBER_BYTES > states.length * BYTES_PER_SEAT + sections.length * SECTION_BYTES;

/** Of a section by itself: its name and what JSON needs. */
const SECTION_BYTES = 80;
/** Two bits, in base64. */
const BYTES_PER_SEAT = 1 / 3;
/** Four digits and a comma. */
const NUMBER_BYTES = 5;

const packed = ({ states, sections }: SectionedSeatMap): SectionStates[] =>
  sections.map(({ name, from, to }) => {
    const bytes = Buffer.alloc(Math.ceil((to - from + 1) / 4));
    let free = 0;
    for (let number = from; number <= to; number++) {
      const code = states[number] ?? BLOCKED;
      const place = number - from;
      bytes[place >> 2] = (bytes[place >> 2] as number) | (code << (2 * (place & 3)));
      if (code === AVAILABLE) free++;
    }
    return { section: name, from, count: to - from + 1, free, states: bytes.toString('base64') };
  });
