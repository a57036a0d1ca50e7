import type { SeatPlan } from '../venues/index.ts';

export interface SeatsAsked {
  /** How many seats a group has, 1 to 50. */
  count: number;
  /** Only seats of these zones; null: of any. */
  zones: ReadonlySet<string> | null;
  /** At least so many of them are accessible. 0: none is, and none is for a companion either. */
  accessible: number;
  /** Nearest to this place is best; what the plan looks at unless given. */
  near?: { x: number; y: number };
  /** Seats that are not to be taken, whatever their state says. */
  avoid?: readonly number[];
  /** Groups to find. */
  groups: number;
}

export interface SeatGroup {
  /** Ascending. */
  numbers: number[];
  /** Whether they are next to each other in one row. */
  isTogether: boolean;
  /** Whether a free seat that had a free neighbour is left without one. */
  leavesSingle: boolean;
}

/**
 * The best groups of free seats, best first, no seat in two of them. The same question has the same answer.
 *
 * Seats next to each other in one row come first; only where there are none, the fewest parts within neighbouring rows of one section. Among those, in this
 * order: no accessible seat more than is needed, no single seat left over, the nearest to the focus on average, the most central, the lowest numbers.
 * Accessible seats are given only where they are asked for, seats for companions only next to those.
 *
 * @param states by seat number, 0 is free: those of a seat map
 */
export function findBestSeats(plan: SeatPlan, states: Uint8Array, asked: SeatsAsked): SeatGroup[] {
  const search = new Search(plan, states, asked);
  const together = search.together();
  if (together.length > 0) return together.map((part) => groupOf([part], true));
  return search.apart().map((parts) => groupOf(parts, false));

  function groupOf(parts: Part[], isTogether: boolean): SeatGroup {
    return { numbers: numbersOf(parts), isTogether, leavesSingle: search.leaveSingle(parts) };
  }
}

/** Seats next to each other: from this number to that one. */
interface Part {
  from: number;
  to: number;
}

interface Row extends Part {
  section: number;
}

const ORDINARY = 0;
const ACCESSIBLE = 1;
const COMPANION = 2;
const FREE = 0;
/** Neighbouring rows, while that is enough. */
const ROWS_NEAR = 2;

/** What of a plan never changes, as numbers. Places are in millimetres: whole numbers, so that what is as far is exactly as far. */
interface Shape {
  kinds: Uint8Array;
  zones: Uint16Array;
  zoneNames: string[];
  rows: Row[];
  /** By seat number: the index of its row. */
  rowOf: Uint16Array;
  xs: Float64Array;
  ys: Float64Array;
  toFocus: Distances;
}

/** By seat number, in millimetres. */
interface Distances {
  straight: Int32Array;
  /** To the left (negative) or to the right. */
  sideways: Int32Array;
}

const shapes = new WeakMap<SeatPlan, Shape>();

function shapeOf(plan: SeatPlan): Shape {
  const known = shapes.get(plan);
  if (known) return known;
  const zoneNames = [...new Set(plan.seats.map(({ zone }) => zone))];
  const indexOf = new Map(zoneNames.map((name, index) => [name, index]));
  const rows = rowsOf(plan);
  const rowOf = new Uint16Array(plan.seats.length);
  for (const [index, { from, to }] of rows.entries()) rowOf.fill(index, from, to + 1);
  const xs = Float64Array.from(plan.seats, ({ x }) => x);
  const ys = Float64Array.from(plan.seats, ({ y }) => y);
  const shape: Shape = {
    kinds: Uint8Array.from(plan.seats, ({ isAccessible, isCompanion }) => (isAccessible ? ACCESSIBLE : isCompanion ? COMPANION : ORDINARY)),
    zones: Uint16Array.from(plan.seats, ({ zone }) => indexOf.get(zone) as number),
    zoneNames,
    rows,
    rowOf,
    xs,
    ys,
    toFocus: distancesOf(xs, ys, plan.focus),
  };
  shapes.set(plan, shape);
  return shape;
}

function rowsOf({ seats, sections }: SeatPlan): Row[] {
  const rows: Row[] = [];
  for (const [section, { from, to }] of sections.entries()) {
    for (let number = from; number <= to; number++) {
      const last = rows.at(-1);
      if (number > from && last && seats[last.from]?.row === seats[number]?.row) last.to = number;
      else rows.push({ section, from: number, to: number });
    }
  }
  return rows;
}

function distancesOf(xs: Float64Array, ys: Float64Array, { x, y }: { x: number; y: number }): Distances {
  const straight = new Int32Array(xs.length);
  const sideways = new Int32Array(xs.length);
  for (let number = 0; number < xs.length; number++) {
    const [dx, dy] = [(xs[number] as number) - x, (ys[number] as number) - y];
    straight[number] = Math.round(Math.sqrt(dx * dx + dy * dy) * 1_000);
    sideways[number] = Math.round(dx * 1_000);
  }
  return { straight, sideways };
}

class Search {
  private readonly shape: Shape;
  private readonly rightOf: Int32Array;
  private readonly distances: Distances;
  /** Whether a group may have the seat. */
  private readonly usable: Uint8Array;
  /** Whether the seat is free and for anybody: what is left of these must not be single. */
  private readonly loose: Uint8Array;

  constructor(
    plan: SeatPlan,
    states: Uint8Array,
    private readonly asked: SeatsAsked,
  ) {
    const { zones, accessible, avoid = [], near } = asked;
    const size = plan.seats.length;
    const shape = shapeOf(plan);
    const usable = new Uint8Array(size);
    const loose = new Uint8Array(size);
    const isWanted = shape.zoneNames.map((name) => zones?.has(name) ?? true);
    for (let number = 0; number < size; number++) {
      if (states[number] !== FREE) continue;
      const isOrdinary = shape.kinds[number] === ORDINARY;
      if (isOrdinary) loose[number] = 1;
      if (isWanted[shape.zones[number] as number] && (isOrdinary || accessible > 0)) usable[number] = 1;
    }
    for (const number of avoid) usable[number] = loose[number] = 0;
    this.shape = shape;
    this.rightOf = plan.rightOf;
    this.distances = near ? distancesOf(shape.xs, shape.ys, near) : shape.toFocus;
    this.usable = usable;
    this.loose = loose;
  }

  /** The best groups in one part. */
  together(): Part[] {
    const { count, groups } = this.asked;
    const { keys, offsets } = this.windows(count);
    const best: Part[] = [];
    while (best.length < groups) {
      let first = 0;
      for (let from = 1; from < keys.length; from++) {
        const key = keys[from] as number;
        const least = keys[first] as number;
        if (key < least || (key === least && (offsets[from] as number) < (offsets[first] as number))) first = from;
      }
      if ((keys[first] ?? NONE) === NONE) break;
      best.push({ from: first, to: first + count - 1 });
      keys.fill(NONE, Math.max(0, first - count + 1), first + count);
    }
    return best;
  }

  /** The best groups in several parts. */
  apart(): Part[][] {
    const candidates = this.asked.accessible > 0 ? this.apartAround() : this.apartWithin();
    candidates.sort((one, other) => (isBetter(one, other) ? -1 : 1));
    const best: Part[][] = [];
    for (const { parts } of candidates) {
      if (best.length === this.asked.groups) break;
      if (!best.some((other) => other.some((one) => parts.some((part) => overlap(one, part))))) best.push(parts);
    }
    return best;
  }

  /** Whether taking all of these leaves a seat single that was not. */
  leaveSingle(parts: readonly Part[]): boolean {
    return this.without(parts, () => parts.some((part) => this.leavesSingle(part.from, part.to)));
  }

  /**
   * Every run of so many usable seats with as many accessible ones as are asked for, by its first seat: a number that is less the better it is (infinite
   * where there is none), and how far it is to the side. Arrays, because an empty arena has thousands: objects took five times as long.
   */
  private windows(count: number): { keys: Float64Array; offsets: Float64Array } {
    const { usable, rightOf } = this;
    const { straight, sideways } = this.distances;
    const { kinds } = this.shape;
    const { accessible } = this.asked;
    const keys = new Float64Array(usable.length).fill(NONE);
    const offsets = new Float64Array(usable.length);
    let run = 0;
    let distance = 0;
    let offset = 0;
    let accessibles = 0;
    for (let number = 0; number < usable.length; number++) {
      if (!usable[number]) {
        run = 0;
        continue;
      }
      if (run === 0 || rightOf[number - 1] !== number) run = distance = offset = accessibles = 0;
      run++;
      distance += straight[number] as number;
      offset += sideways[number] as number;
      if (kinds[number] === ACCESSIBLE) accessibles++;
      const first = number - count + 1;
      if (run > count) {
        distance -= straight[first - 1] as number;
        offset -= sideways[first - 1] as number;
        if (kinds[first - 1] === ACCESSIBLE) accessibles--;
      }
      if (run < count || accessibles < accessible) continue;
      keys[first] = ((accessibles - accessible) * 2 + (this.leavesSingle(first, number) ? 1 : 0)) * FARTHER + distance;
      offsets[first] = Math.abs(offset);
    }
    return { keys, offsets };
  }

  /** Parts within one row or neighbouring ones; where no section has that, within as few rows as it takes. */
  private apartWithin(): Apart[] {
    const { count } = this.asked;
    const { rows } = this.shape;
    const seats = rows.map((row) => this.runs(row.from, row.to).reduce((sum, run) => sum + sizeOf(run), 0));
    const candidates: Apart[] = [];
    const near = (index: number, more: number) => rows[index + more]?.section === rows[index]?.section;
    const add = (index: number, more: number) => {
      const parts = this.fill((rows[index] as Row).from, (rows[index + more] as Row).to, count);
      if (parts) candidates.push(this.apartOf(parts));
    };
    for (let index = 0; index < rows.length; index++) {
      let total = 0;
      for (let more = 0; more < ROWS_NEAR && near(index, more); more++) {
        total += seats[index + more] as number;
        if (total >= count) add(index, more);
      }
    }
    if (candidates.length > 0) return candidates;
    for (let index = 0; index < rows.length; index++) {
      let total = 0;
      for (let more = 0; total < count && near(index, more); more++) {
        total += seats[index + more] as number;
        if (total >= count) add(index, more);
      }
    }
    return candidates;
  }

  /** As many seats as possible with the accessible ones, the others in the same row or those beside it. */
  private apartAround(): Apart[] {
    const { count, accessible } = this.asked;
    const { rows, rowOf } = this.shape;
    for (let size = count - 1; size >= accessible; size--) {
      const candidates: Apart[] = [];
      const { keys } = this.windows(size);
      for (let from = 0; from < keys.length; from++) {
        const key = keys[from] as number;
        if (key === NONE) continue;
        const part = { from, to: from + size - 1 };
        const index = rowOf[from] as number;
        const near = [rows[index - 1], rows[index], rows[index + 1]].filter((row) => row?.section === rows[index]?.section) as Row[];
        const others = this.without([part], () => this.fill((near[0] as Row).from, (near.at(-1) as Row).to, count - size));
        if (others) candidates.push(this.apartOf([part, ...others], Math.floor(key / (2 * FARTHER))));
      }
      if (candidates.length > 0) return candidates;
    }
    return [];
  }

  /**
   * So many ordinary seats in few parts: the longest runs, and of the last one only what is needed. Where that leaves a single seat, each other run is
   * tried as the first one. Null where there are too few.
   */
  private fill(from: number, to: number, count: number): Part[] | null {
    const runs = this.runs(from, to);
    if (runs.reduce((sum, run) => sum + sizeOf(run), 0) < count) return null;
    const parts = this.fillFrom(runs, count);
    if (!this.leaveSingle(parts)) return parts;
    for (const run of runs) {
      if (sizeOf(run) >= count) continue;
      const others = this.fillFrom(
        runs.filter((other) => other !== run),
        count - sizeOf(run),
      );
      if (others.length + 1 === parts.length && !this.leaveSingle([run, ...others])) return [run, ...others];
    }
    return parts;
  }

  /** As far as the runs reach. */
  private fillFrom(runs: readonly Part[], count: number): Part[] {
    const rest = [...runs];
    const parts: Part[] = [];
    let left = count;
    while (left > 0 && rest.length > 0) {
      const last = this.bestWithin(rest, left);
      if (last) return [...parts, last];
      const longest = rest.reduce((one, other) => (sizeOf(other) > sizeOf(one) ? other : one));
      rest.splice(rest.indexOf(longest), 1);
      parts.push(longest);
      left -= sizeOf(longest);
    }
    return left > 0 ? [] : parts;
  }

  /** The best place for so many seats next to each other. */
  private bestWithin(runs: readonly Part[], count: number): Part | undefined {
    let best: Apart | undefined;
    for (const run of runs)
      for (let from = run.from; from + count - 1 <= run.to; from++) {
        const candidate = this.apartOf([{ from, to: from + count - 1 }]);
        if (!best || isBetter(candidate, best)) best = candidate;
      }
    return best?.parts[0];
  }

  /** Ordinary seats that are next to each other, as many as there are. */
  private runs(from: number, to: number): Part[] {
    const runs: Part[] = [];
    for (let number = from; number <= to; number++) {
      if (!this.usable[number] || !this.loose[number]) continue;
      const last = runs.at(-1);
      if (last?.to === number - 1 && this.rightOf[number - 1] === number) last.to = number;
      else runs.push({ from: number, to: number });
    }
    return runs;
  }

  private apartOf(parts: Part[], wasted = 0): Apart {
    const { straight, sideways } = this.distances;
    let distance = 0;
    let offset = 0;
    for (const { from, to } of parts)
      for (let number = from; number <= to; number++) {
        distance += straight[number] as number;
        offset += sideways[number] as number;
      }
    const first = Math.min(...parts.map(({ from }) => from));
    return { parts, first, wasted, isSingleLeft: this.leaveSingle(parts), distance, offset: Math.abs(offset) };
  }

  /** Whether the seat before or after these is free, had a free neighbour among them, and has none on its other side. */
  private leavesSingle(from: number, to: number): boolean {
    const { loose, rightOf } = this;
    const before = from > 0 && rightOf[from - 1] === from && loose[from - 1] && this.shape.kinds[from] === ORDINARY;
    if (before && !(from > 1 && rightOf[from - 2] === from - 1 && loose[from - 2])) return true;
    const after = rightOf[to] as number;
    if (after < 0 || !loose[after] || this.shape.kinds[to] !== ORDINARY) return false;
    const beyond = rightOf[after] as number;
    return !(beyond >= 0 && loose[beyond]);
  }

  /** As if these were taken already. */
  private without<T>(parts: readonly Part[], work: () => T): T {
    const taken = numbersOf(parts).filter((number) => this.loose[number]);
    for (const number of taken) this.loose[number] = 0;
    const result = work();
    for (const number of taken) this.loose[number] = 1;
    return result;
  }
}

/** A group in several parts, with what decides between groups: first things first, less is better. */
interface Apart {
  parts: Part[];
  wasted: number;
  isSingleLeft: boolean;
  /** The sum over all seats: groups have as many. */
  distance: number;
  offset: number;
  first: number;
}

/** The key of a run that is none. */
const NONE = Number.POSITIVE_INFINITY;
/** Farther than the seats of a group can be from anywhere, all together: 50 of them, 10 km away. */
const FARTHER = 2 ** 29;

function isBetter(one: Apart, other: Apart): boolean {
  if (one.wasted !== other.wasted) return one.wasted < other.wasted;
  if (one.parts.length !== other.parts.length) return one.parts.length < other.parts.length;
  if (one.isSingleLeft !== other.isSingleLeft) return other.isSingleLeft;
  if (one.distance !== other.distance) return one.distance < other.distance;
  if (one.offset !== other.offset) return one.offset < other.offset;
  return one.first < other.first;
}

const sizeOf = ({ from, to }: Part) => to - from + 1;

const overlap = (one: Part, other: Part) => one.from <= other.to && other.from <= one.to;

function numbersOf(parts: readonly Part[]): number[] {
  const numbers: number[] = [];
  for (const { from, to } of parts) for (let number = from; number <= to; number++) numbers.push(number);
  return numbers.sort((one, other) => one - other);
}
