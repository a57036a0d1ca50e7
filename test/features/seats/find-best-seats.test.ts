import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { findBestSeats, type SeatGroup, type SeatsAsked } from '../../../src/features/seats/index.ts';
import type { PlanSeat, SeatPlan } from '../../../src/features/venues/index.ts';
import { arena, drawn, planOf } from './plans.ts';

const asked = (more: Partial<SeatsAsked>): SeatsAsked => ({ count: 2, zones: null, accessible: 0, groups: 1, ...more });
const numbers = (groups: readonly SeatGroup[]) => groups.map((group) => group.numbers);

/** The numbers found in a drawn plan. */
const found = (rows: string[], more: Partial<SeatsAsked> = {}) => {
  const { plan, states } = drawn(...rows);
  return findBestSeats(plan, states, asked(more));
};

describe('the best seats', () => {
  test('are next to each other, in the middle of the first row', () => {
    expect(found(['......', '......'])).toEqual([{ numbers: [2, 3], isTogether: true, leavesSingle: false }]);
  });

  test('leave no single seat, even if they are farther away for that', () => {
    expect(found(['#...#', '.....'])).toEqual([{ numbers: [5, 6], isTogether: true, leavesSingle: false }]);
    expect(found(['#...#', '#####'])).toEqual([{ numbers: [1, 2], isTogether: true, leavesSingle: true }]);
  });

  test('may be beside a seat that was single before', () => {
    expect(found(['.#..#.'])).toEqual([{ numbers: [2, 3], isTogether: true, leavesSingle: false }]);
  });

  test('are not across an aisle', () => {
    expect(found(['#. .#', '#..##'])).toEqual([{ numbers: [5, 6], isTogether: true, leavesSingle: false }]);
  });

  test('are those with the lower numbers where nothing else tells them apart', () => {
    expect(numbers(found(['..##..'], { groups: 2 }))).toEqual([
      [0, 1],
      [4, 5],
    ]);
  });

  test('are the more central ones of those that are as far', () => {
    const plan = planOf([
      { x: -4, y: 3, row: '1' },
      { x: 3, y: 4, row: '2' },
    ]);

    expect(numbers(findBestSeats(plan, new Uint8Array(2), asked({ count: 1, groups: 2 })))).toEqual([[1], [0]]);
  });

  test('are nearest to whatever place is said', () => {
    expect(numbers(found(['......', '......'], { near: { x: 5, y: 6 } }))).toEqual([[10, 11]]);
  });

  test('are of the zones asked for', () => {
    expect(numbers(found(['....', '', '....'], { zones: new Set(['B']) }))).toEqual([[4, 5]]);
    expect(found(['....', '', '....'], { zones: new Set() })).toEqual([]);
  });

  test('are none of those to avoid', () => {
    expect(numbers(found(['......'], { avoid: [2], groups: 5 }))).toEqual([
      [0, 1],
      [3, 4],
    ]);
  });

  test('are in groups without a common seat', () => {
    expect(numbers(found(['......'], { groups: 5 }))).toEqual([
      [2, 3],
      [0, 1],
      [4, 5],
    ]);
  });

  describe('where there are none together', () => {
    test('are in the fewest parts, in the same row or the next', () => {
      expect(found(['..#.#', '#.#..'], { count: 3 })).toEqual([{ numbers: [0, 1, 3], isTogether: false, leavesSingle: false }]);
    });

    test('leave no single seat if another choice of as many parts leaves none', () => {
      // The longest run and a part of another would leave one.
      expect(found(['....#...#...'], { count: 6 })).toMatchObject([{ numbers: [5, 6, 7, 9, 10, 11], leavesSingle: false }]);
    });

    test('are in rows farther apart only where no neighbouring rows have enough, and never in two sections', () => {
      expect(found(['.##', '###', '##.'])).toMatchObject([{ numbers: [0, 8], isTogether: false }]);
      expect(found(['.##', '', '##.'])).toEqual([]);
    });

    test('are none where a section has too few', () => {
      expect(found(['..#', '###'], { count: 3 })).toEqual([]);
    });
  });

  describe('accessible seats', () => {
    test('and those for companions are for nobody else', () => {
      expect(numbers(found(['.wc.', '#..#']))).toEqual([[5, 6]]);
      expect(found(['#wc#'])).toEqual([]);
    });

    test('are given where they are asked for, no more than needed, with the seats beside them', () => {
      expect(numbers(found(['...', 'wcw'], { accessible: 1 }))).toEqual([[3, 4]]);
      expect(numbers(found(['....', 'ww.c'], { accessible: 1 }))).toEqual([[5, 6]]);
      expect(numbers(found(['....', 'ww.c'], { accessible: 2 }))).toEqual([[4, 5]]);
      expect(found(['....', 'c..c'], { accessible: 1 })).toEqual([]);
    });

    test('are not company for whoever sits alone', () => {
      expect(found(['w..#'], { count: 1 })).toMatchObject([{ numbers: [1], leavesSingle: true }]);
      expect(found(['w.#.'], { count: 1, accessible: 1 })).toEqual([{ numbers: [0], isTogether: true, leavesSingle: false }]);
    });

    test('keep as many of the party beside them as they can, the others in the rows beside', () => {
      expect(found(['#...#', '#wc##', '#....'], { count: 4, accessible: 1 })).toEqual([
        { numbers: [6, 7, 11, 12], isTogether: false, leavesSingle: false },
      ]);
    });
  });
});

/** A small theatre: two sections of up to three rows, with everything in it. */
const theatre = fc
  .array(
    fc.array(fc.constantFrom('.', '.', '.', '.', '#', '#', ' ', 'w', 'c'), { minLength: 1, maxLength: 6 }).map((cells) => cells.join('')),
    { minLength: 1, maxLength: 4 },
  )
  .chain((rows) => fc.nat(rows.length).map((at) => [...rows.slice(0, at), ...(at > 0 && at < rows.length ? [''] : []), ...rows.slice(at)]))
  .filter((rows) => /[.#wc]/.test(rows.join('')));

describe('found in any small theatre', () => {
  test('together: what trying everything finds, in the same order', () => {
    fc.assert(
      fc.property(theatre, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 2 }), (rows, count, accessible) => {
        const { plan, states } = drawn(...rows);
        const question = asked({ count, accessible, groups: 5 });
        const best = findBestSeats(plan, states, question);
        const expected = everyGroup(plan, states, question).filter((group) => partsOf(plan, group).length === 1);

        if (expected.length > 0) expect(numbers(best)).toEqual(disjoint(expected.sort(byRank(plan, states, question)), 5));
        else expect(best.every(({ isTogether }) => !isTogether)).toBe(true);
        for (const group of best) expect(group.leavesSingle).toBe(leavesSingle(plan, states, group.numbers));
      }),
      { numRuns: 1_500 },
    );
  }, 120_000);

  test('apart: the fewest parts of one section that trying everything finds, and no single seat that could be saved', () => {
    fc.assert(
      fc.property(theatre, fc.integer({ min: 2, max: 4 }), (rows, count) => {
        const { plan, states } = drawn(...rows);
        const question = asked({ count, groups: 5 });
        const [best] = findBestSeats(plan, states, question);
        const every = everyGroup(plan, states, question).filter(
          (group) => new Set(group.map((number) => plan.seats[number]?.section)).size === 1,
        );
        fc.pre(every.every((group) => partsOf(plan, group).length > 1));

        const near = every.filter((group) => spread(plan, group) <= 1);
        const candidates = near.length > 0 ? near : every;
        if (candidates.length === 0) return expect(best).toBeUndefined();
        const parts = (group: number[]) => partsOf(plan, group).length;
        expect(best?.isTogether).toBe(false);
        expect(candidates).toContainEqual(best?.numbers);
        if (near.length > 0) expect(parts(best?.numbers ?? [])).toBe(Math.min(...near.map(parts)));
        const spare = near.filter((group) => parts(group) === 2 && !leavesSingle(plan, states, group));
        if (spare.length > 0) expect(best?.leavesSingle).toBe(false);
      }),
      { numRuns: 1_500 },
    );
  }, 120_000);
});

describe('an arena of 5,000 seats', () => {
  const plan = arena();
  const load = fc.record({
    seed: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
    taken: fc.double({ min: 0, max: 1, noNaN: true }),
    count: fc.integer({ min: 1, max: 10 }),
    accessible: fc.integer({ min: 0, max: 1 }),
  });

  test('under any load: free, adjacent, without a common seat, no single seat that could be spared, the same every time', () => {
    fc.assert(
      fc.property(load, ({ seed, taken, count, accessible }) => {
        const states = statesOf(plan, seed, taken);
        const question = asked({ count, accessible, groups: 5 });

        const best = findBestSeats(plan, states, question);

        const all = best.flatMap((group) => group.numbers);
        expect(new Set(all).size).toBe(all.length);
        for (const group of best) {
          const seats = group.numbers.map((number) => plan.seats[number] as PlanSeat);
          expect(group.numbers).toHaveLength(count);
          expect(group.numbers.every((number) => states[number] === 0)).toBe(true);
          expect(partsOf(plan, group.numbers).length === 1).toBe(group.isTogether);
          expect(seats.some((seat) => seat.isAccessible)).toBe(accessible === 1);
          if (accessible === 0) expect(seats.some((seat) => seat.isCompanion)).toBe(false);
          expect(new Set(seats.map(({ section }) => section)).size).toBe(1);
          expect(group.leavesSingle).toBe(leavesSingle(plan, states, group.numbers));
        }
        if (best[0]?.isTogether && best[0].leavesSingle && accessible === 0)
          for (let from = 0; from + count <= plan.seats.length; from++) {
            const other = Array.from({ length: count }, (_, index) => from + index);
            const isChoice = other.every((number) => states[number] === 0 && isOrdinary(plan, number)) && partsOf(plan, other).length === 1;
            if (isChoice) expect(leavesSingle(plan, states, other)).toBe(true);
          }
        expect(findBestSeats(plan, states.slice(), question)).toEqual(best);
      }),
      { numRuns: 300 },
    );
  }, 180_000);

  test('are looked at some times each, whatever the load: who compared them with each other would look thousands of times', () => {
    const ask = looking(plan);
    fc.assert(
      fc.property(load, ({ seed, taken, count, accessible }) => {
        const { looks } = ask(statesOf(plan, seed, taken), asked({ count, accessible, groups: 5 }));

        expect(looks).toBeGreaterThanOrEqual(plan.seats.length);
        expect(looks).toBeLessThan(50 * plan.seats.length);
      }),
      { numRuns: 50 },
    );
  });
});

/** Finds, and counts how often the states and the neighbours of seats are looked at for it: what it costs on a machine of any speed. */
function looking(plan: SeatPlan): (states: Uint8Array, question: SeatsAsked) => { looks: number } {
  let looks = 0;
  const counted = <Numbers extends object>(numbers: Numbers): Numbers =>
    new Proxy(numbers, {
      get: (target, key) => {
        looks++;
        return Reflect.get(target, key);
      },
    });
  const watched = { ...plan, rightOf: counted(plan.rightOf) };
  return (states, question) => {
    looks = 0;
    findBestSeats(watched, counted(states), question);
    return { looks };
  };
}

function statesOf(plan: SeatPlan, seed: number, taken: number): Uint8Array {
  let state = seed;
  return Uint8Array.from(plan.seats, () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647 < taken ? 2 : 0;
  });
}

// The same rules once more, each by itself and by trying everything.

const seatAt = (plan: SeatPlan, number: number) => plan.seats[number] as PlanSeat;
const isOrdinary = (plan: SeatPlan, number: number) => !seatAt(plan, number).isAccessible && !seatAt(plan, number).isCompanion;

function areNeighbours(plan: SeatPlan, one: number, other: number): boolean {
  const [a, b] = [seatAt(plan, one), seatAt(plan, other)];
  return a.section === b.section && a.row === b.row && Math.hypot(a.x - b.x, a.y - b.y) < 1.5;
}

/** Of seats in the order of their numbers. */
function partsOf(plan: SeatPlan, group: readonly number[]): number[][] {
  const parts: number[][] = [];
  for (const number of group) {
    const last = parts.at(-1);
    if (last && number - 1 === last.at(-1) && areNeighbours(plan, number - 1, number)) last.push(number);
    else parts.push([number]);
  }
  return parts;
}

function everyGroup(plan: SeatPlan, states: Uint8Array, { count, accessible }: SeatsAsked): number[][] {
  const usable = plan.seats.filter(({ number }) => states[number] === 0 && (accessible > 0 || isOrdinary(plan, number)));
  const groups: number[][] = [];
  const choose = (from: number, group: number[]) => {
    if (group.length === count) groups.push(group);
    else for (let index = from; index < usable.length; index++) choose(index + 1, [...group, (usable[index] as PlanSeat).number]);
  };
  choose(0, []);
  return groups.filter((group) => group.filter((number) => seatAt(plan, number).isAccessible).length >= accessible);
}

/** How many rows lie between the first and the last one. */
function spread(plan: SeatPlan, group: readonly number[]): number {
  const rows = [...new Set(plan.seats.map(({ section, row }) => `${section} ${row}`))];
  const indexes = group.map((number) => rows.indexOf(`${seatAt(plan, number).section} ${seatAt(plan, number).row}`));
  return Math.max(...indexes) - Math.min(...indexes);
}

function leavesSingle(plan: SeatPlan, states: Uint8Array, group: readonly number[]): boolean {
  const alone = (free: (number: number) => boolean) => (number: number) =>
    free(number) && ![number - 1, number + 1].some((other) => plan.seats[other] && free(other) && areNeighbours(plan, number, other));
  const before = (number: number) => states[number] === 0 && isOrdinary(plan, number);
  const after = (number: number) => before(number) && !group.includes(number);
  const near = group.flatMap((number) => [number - 1, number + 1]).filter((number) => plan.seats[number]);
  return near.some((number) => alone(after)(number) && !alone(before)(number));
}

function byRank(plan: SeatPlan, states: Uint8Array, { accessible }: SeatsAsked) {
  const rank = (group: number[]) => {
    const mm = (value: number) => Math.round(value * 1_000);
    const of = (measure: (seat: PlanSeat) => number) => group.reduce((sum, number) => sum + mm(measure(seatAt(plan, number))), 0);
    return [
      group.filter((number) => seatAt(plan, number).isAccessible).length - accessible,
      Number(leavesSingle(plan, states, group)),
      of(({ x, y }) => Math.sqrt((x - plan.focus.x) ** 2 + (y - plan.focus.y) ** 2)),
      Math.abs(of(({ x }) => x - plan.focus.x)),
      group[0] as number,
    ];
  };
  return (one: number[], other: number[]) => {
    const [a, b] = [rank(one), rank(other)];
    const at = a.findIndex((value, index) => value !== b[index]);
    return at < 0 ? 0 : (a[at] as number) - (b[at] as number);
  };
}

function disjoint(groups: number[][], max: number): number[][] {
  const chosen: number[][] = [];
  for (const group of groups) if (chosen.length < max && !chosen.flat().some((number) => group.includes(number))) chosen.push(group);
  return chosen;
}
