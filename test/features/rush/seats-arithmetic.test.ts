import { describe, expect, test } from '@jest/globals';
import { shippedPlanFile } from '../../../src/features/venues/shipped-plans.ts';
import type { Audit } from '../../../src/rush/invariants.ts';
import { houseOf, orphansOf, type PlanFile, partyOf, pickSeats, randomOf } from '../../../src/rush/seats/house.ts';
import { AVAILABLE, BLOCKED, HELD, type MapMessage, MapView, SOLD, statesOf } from '../../../src/rush/seats/map-view.ts';
import { watchedOf } from '../../../src/rush/seats/map-watcher.ts';
import type { SeatCrowdResult } from '../../../src/rush/seats/seat-crowd.ts';
import { SeatOwners } from '../../../src/rush/seats/seat-owners.ts';
import { type HouseFacts, houseReportOf, houseTextOf, isSettled, judgeSeats } from '../../../src/rush/seats/seat-report.ts';
import { Counter } from '../../../src/rush/tally.ts';

/** Four seats a byte, the first in the lowest bits. */
function packed(states: readonly number[]): string {
  const bytes = Buffer.alloc(Math.ceil(states.length / 4));
  for (const [seat, state] of states.entries()) bytes[seat >> 2] = (bytes[seat >> 2] as number) | (state << ((seat % 4) * 2));
  return bytes.toString('base64');
}

const whole = (version: number, ...sections: number[][]): MapMessage => {
  let from = 0;
  return {
    ...{ version, since: null, available: [], held: [], sold: [], blocked: [] },
    sections: sections.map((states) => {
      const section = { from, count: states.length, states: packed(states) };
      from += states.length;
      return section;
    }),
  };
};
const change = (since: number, version: number, seats: Partial<MapMessage>): MapMessage => ({
  ...{ version, since, sections: [], available: [], held: [], sold: [], blocked: [] },
  ...seats,
});

describe('the states of a map', () => {
  test('are unpacked as a client packs them seat by seat, whatever the lengths of the sections', () => {
    const random = randomOf(1);
    for (let round = 0; round < 200; round++) {
      const sections = Array.from({ length: 1 + Math.floor(random() * 4) }, () =>
        Array.from({ length: 1 + Math.floor(random() * 9) }, () => Math.floor(random() * 4)),
      );

      expect([...statesOf(whole(1, ...sections).sections)]).toEqual(sections.flat());
    }
  });
});

describe('a map that is watched', () => {
  test('is the first message, and then what each further one changes', () => {
    const view = new MapView();

    view.apply(whole(3, [AVAILABLE, HELD], [SOLD, BLOCKED, AVAILABLE]));
    view.apply(change(3, 5, { held: [0, 4], sold: [1] }));
    view.apply(change(5, 6, { available: [4], blocked: [0] }));

    expect([...view.states]).toEqual([BLOCKED, SOLD, SOLD, BLOCKED, AVAILABLE]);
    expect(view).toMatchObject({ version: 6, messages: 3, gaps: 0, versionsDown: 0 });
  });

  test('a whole map in between replaces everything', () => {
    const view = new MapView();

    view.apply(whole(1, [HELD, HELD]));
    view.apply(whole(9, [AVAILABLE, SOLD]));

    expect([...view.states]).toEqual([AVAILABLE, SOLD]);
    expect(view).toMatchObject({ version: 9, gaps: 0, versionsDown: 0 });
  });

  test('counts a change since a version it has not come to as a gap, and one that begins earlier as none', () => {
    const view = new MapView();

    view.apply(whole(3, [AVAILABLE]));
    view.apply(change(2, 4, { held: [0] }));
    view.apply(change(5, 6, { sold: [0] }));

    expect(view).toMatchObject({ version: 6, gaps: 1, versionsDown: 0 });
  });

  test('counts a version that goes down', () => {
    const view = new MapView();

    view.apply(whole(7, [AVAILABLE]));
    view.apply(whole(6, [AVAILABLE]));
    view.apply(whole(6, [AVAILABLE]));

    expect(view).toMatchObject({ version: 6, gaps: 0, versionsDown: 1 });
  });
});

/** Rows as drawn: `.` a seat, `w` for a wheelchair, `c` for a companion, a blank an aisle. The focus is before the middle of the first row. */
function drawn(...rows: string[]): PlanFile {
  const width = Math.max(...rows.map((row) => row.length));
  return {
    name: 'Drawn',
    focus: { x: (width - 1) / 2, y: -1 },
    sections: [
      {
        name: 'A',
        rows: rows.map((row, y) => ({
          name: String(y + 1),
          seats: [...row].flatMap((seat, x) =>
            seat === ' '
              ? []
              : [
                  {
                    label: String(x + 1),
                    x,
                    y,
                    zone: 'Z',
                    ...(seat === 'w' && { accessible: true }),
                    ...(seat === 'c' && { companion: true }),
                  },
                ],
          ),
        })),
      },
    ],
  };
}

/** `.` free, `x` taken, `#` blocked. */
const statesDrawn = (states: string) =>
  Uint8Array.from(states.replaceAll(' ', ''), (state) => (state === '.' ? AVAILABLE : state === 'x' ? HELD : BLOCKED));

describe('seats that members pick', () => {
  const house = houseOf(drawn('.... ....', '....w....', '..c......'));
  const rowOf = (seat: number) => (seat < 8 ? 0 : seat < 17 ? 1 : 2);

  test('are free, for all, beside each other, and as many as the party', () => {
    const random = randomOf(7);
    for (let round = 0; round < 500; round++) {
      const states = Uint8Array.from({ length: 26 }, () => (random() < 0.5 ? AVAILABLE : 1 + Math.floor(random() * 3)));
      const count = 1 + (round % 4);

      const seats = pickSeats(house, states, count, random);

      if (!seats) continue;
      expect(seats).toHaveLength(count);
      expect(seats.map((seat) => states[seat])).toEqual(seats.map(() => AVAILABLE));
      expect(seats).toEqual(seats.map((_, index) => (seats[0] as number) + index));
      expect(new Set(seats.map(rowOf)).size).toBe(1);
      // Neither over the aisle, nor a place for a wheelchair (12) or a companion (19).
      expect(seats.includes(3) && seats.includes(4)).toBe(false);
      expect(seats.filter((seat) => seat === 12 || seat === 19)).toEqual([]);
    }
  });

  test('are found wherever there are some, and null where there are none', () => {
    const states = new Uint8Array(26).fill(HELD);
    states[12] = states[13] = states[25] = states[3] = states[4] = AVAILABLE;

    expect(pickSeats(house, states, 2, randomOf(1))).toBeNull();
    states[24] = AVAILABLE;
    expect(pickSeats(house, states, 2, randomOf(1))).toEqual([24, 25]);
  });

  test('are rather in front: half of the members want the nearest quarter', () => {
    const arena = houseOf(shippedPlanFile('arena'));
    const empty = new Uint8Array(5_000);
    const rank = new Map(arena.byDistance.map((seat, index) => [seat, index]));

    const picked = Array.from({ length: 2_000 }, (_, member) => (pickSeats(arena, empty, 1, randomOf(member)) as number[])[0] as number);

    const inFront = picked.filter((seat) => (rank.get(seat) as number) < arena.byDistance.length / 4).length;
    expect(inFront / 2_000).toBeCloseTo(0.5, 1);
    expect(new Set(picked).size).toBeGreaterThan(1_000);
  });
});

test('a house sells what its plan has for sale', () => {
  expect(
    (['black-box', 'hall', 'arena'] as const)
      .map((name) => houseOf(shippedPlanFile(name)))
      .map(({ forSale, rightOf }) => [forSale, rightOf.length]),
  ).toEqual([
    [118, 120],
    [1_192, 1_200],
    [4_947, 5_000],
  ]);
});

describe('an orphan is a free seat whose neighbours are all taken', () => {
  test.each([
    ['.... ....', '.... ....', 0],
    ['.... ....', 'x.x. ....', 2],
    ['.... ....', '.xx. x..x', 2],
    ['.... ....', 'xxxx xxxx', 0],
    // Beyond the aisle nobody is beside it.
    ['.. ..', '.x x.', 2],
    ['. ..', '. xx', 0],
    // What was never on sale takes no seat.
    ['...', '#.#', 0],
    ['...', '#.x', 1],
  ])('%j as %j has the right number', (rows, states, orphans) => {
    expect(orphansOf(houseOf(drawn(rows)), statesDrawn(states))).toBe(orphans);
  });
});

describe('chance', () => {
  test('of a member is the same in every rehearsal, and of each member another one', () => {
    const of = (member: number) => Array.from({ length: 5 }, randomOf(member));

    expect(of(3)).toEqual(of(3));
    expect(new Set(Array.from({ length: 1_000 }, (_, member) => of(member)[0])).size).toBe(1_000);
  });

  test('is spread evenly, within one member and over the first of all members', () => {
    const within = randomOf(0);
    for (const next of [
      within,
      (
        (member) => () =>
          randomOf(member++)()
      )(0),
    ]) {
      const tenths = new Array(10).fill(0);
      for (let n = 0; n < 20_000; n++) tenths[Math.floor(next() * 10)]++;
      for (const count of tenths) expect(Math.abs(count - 2_000)).toBeLessThan(200);
    }
  });

  test('makes parties as box offices see them', () => {
    const parties = [0, 0, 0, 0, 0];
    for (let member = 0; member < 20_000; member++) parties[partyOf(randomOf(member))] = (parties[partyOf(randomOf(member))] as number) + 1;

    expect(parties.map((count) => Math.round(count / 200) / 100)).toEqual([
      0,
      expect.closeTo(0.25, 1),
      expect.closeTo(0.5, 1),
      expect.closeTo(0.1, 1),
      expect.closeTo(0.15, 1),
    ]);
    expect([0.1, 0.25, 0.74, 0.75, 0.84, 0.85, 0.99].map((share) => partyOf(() => share))).toEqual([1, 2, 2, 3, 3, 4, 4]);
  });
});

describe('whose a seat is', () => {
  const from = (second: number) => ({ createdAt: at(second), expiresAt: at(second + 300) });
  const at = (second: number) => new Date(Date.UTC(2026, 11, 1, 0, 0, second)).toISOString();

  test.each<[string, (owners: SeatOwners) => unknown, number]>([
    ['one member after the other', (o) => [o.give(1, [5, 6], from(0)), o.giveUp(1, [5, 6]), o.give(2, [5], from(1))], 0],
    ['two at the same time', (o) => [o.give(1, [5, 6], from(0)), o.give(2, [6, 7], from(1))], 1],
    ['three at the same time are one seat', (o) => [o.give(1, [5], from(0)), o.give(2, [5], from(1)), o.give(3, [5], from(2))], 1],
    ['when the hold before has run out', (o) => [o.give(1, [5], from(0)), o.give(2, [5], from(300))], 0],
    ['just before it has', (o) => [o.give(1, [5], from(0)), o.give(2, [5], from(299))], 1],
    ['after it was paid, however late', (o) => [o.give(1, [5], from(0)), o.sell(1, [5]), o.give(2, [5], from(900))], 1],
    ['paid by who had lost it', (o) => [o.give(1, [5], from(0)), o.give(2, [5], from(300)), o.sell(1, [5])], 1],
    [
      'given up by who had lost it',
      (o) => [o.give(1, [5], from(0)), o.give(2, [5], from(300)), o.giveUp(1, [5]), o.give(3, [5], from(301))],
      1,
    ],
  ])('%s', (_, play, givenTwice) => {
    const owners = new SeatOwners();

    play(owners);

    expect(owners.givenTwice).toBe(givenTwice);
  });
});

describe('the verdict on a rush for seats', () => {
  const house = houseOf(drawn('....', '....'));
  const answered = (granted: number, refused: number, failed: { errors?: number; unanswered?: number } = {}) => {
    const { errors = 0, unanswered = 0 } = failed;
    const counter = new Counter(granted + refused + errors + unanswered);
    const times = { sentAt: 0, endedAt: 1 };
    for (let n = 0; n < granted; n++) counter.count({ granted: {} }, times, 0);
    for (let n = 0; n < refused; n++) counter.count({ refused: 'SEAT_TAKEN' }, times, 0);
    for (let n = 0; n < errors; n++) counter.count({ error: 'HTTP 500' }, times, 0);
    for (let n = 0; n < unanswered; n++) counter.count(undefined, times, 0);
    return counter.result();
  };
  /** Three paid, two held, two blocked, one free. */
  const states = Uint8Array.of(SOLD, SOLD, SOLD, HELD, HELD, BLOCKED, BLOCKED, AVAILABLE);
  const map = { version: 9, states, at: '2026-12-01T00:00:10.000Z' };
  const watcher = (change: Partial<MapView> = {}, failure: string | null = null) =>
    watchedOf({ view: Object.assign(new MapView(), { version: 9, states, messages: 4, ...change }), reconnects: 0, failure }, map);
  const result: SeatCrowdResult = {
    holds: answered(4, 3),
    payments: answered(2, 0),
    searches: answered(1, 0),
    cancellations: answered(1, 0),
    ends: { paid: 2, unpaid: 1, gaveUp: 1, foundNothing: 2, lostPatience: 1, refused: 0, failed: 0 },
    alternatives: { offered: 2, tried: 1, got: 0 },
    givenTwice: 0,
    seats: { given: 6, paid: 3, givenUp: 1, unsure: 0 },
    toSeats: Float64Array.of(10, 20, 30, 40),
    lastGivenMs: 40,
    lastAnswerMs: 70,
    tookMs: 100,
    firstExpiresAt: '2026-12-01T00:05:00.000Z',
    transportFailures: 0,
    sentAgain: 0,
  };
  const audit: Audit = { at: map.at, oversold: 0, ok: true, checks: [{ name: 'one', promise: 'One.', violations: 0 }] };
  const good: HouseFacts = { house, result, map, watchers: [watcher(), watcher()], audit };
  const brokenBy = (change: Partial<HouseFacts>) =>
    judgeSeats({ ...good, ...change })
      .filter(({ kept }) => !kept)
      .map(({ name }) => name);

  test('is kept all along when everything is right', () => {
    expect(judgeSeats(good).map(({ name, kept }) => [name, kept])).toEqual(
      [
        'everybody-answered',
        'no-seat-given-twice',
        'sold-equals-paid',
        'nothing-oversold',
        'audit-kept',
        'map-equals-answers',
        'watchers-know-the-truth',
        'no-gap-in-the-versions',
      ].map((name) => [name, true]),
    );
  });

  const seats = result.seats;
  test.each<[string, Partial<HouseFacts>, string[]]>([
    ['a seat given twice', { result: { ...result, givenTwice: 1 } }, ['no-seat-given-twice']],
    ['a payment the map does not know', { result: { ...result, seats: { ...seats, paid: 4 } } }, ['sold-equals-paid']],
    ['a sale nobody paid', { result: { ...result, seats: { ...seats, paid: 2 } } }, ['sold-equals-paid']],
    ['a taken seat nobody was given', { result: { ...result, seats: { ...seats, given: 5 } } }, ['map-equals-answers']],
    ['a seat that was given and is free', { result: { ...result, seats: { ...seats, given: 7 } } }, ['map-equals-answers']],
    [
      'other refusals excuse nothing',
      { result: { ...result, seats: { ...seats, given: 7 }, ends: { ...result.ends, refused: 3 } } },
      ['map-equals-answers'],
    ],
    [
      'an attempt without an answer, done',
      { result: { ...result, holds: answered(4, 3, { unanswered: 1 }), seats: { ...seats, given: 5, unsure: 1 } } },
      ['everybody-answered'],
    ],
    [
      'no more than it asked for',
      { result: { ...result, holds: answered(4, 3, { unanswered: 1 }), seats: { ...seats, given: 3, unsure: 1 } } },
      ['everybody-answered', 'map-equals-answers'],
    ],
    ['a payment without an answer', { result: { ...result, seats: { ...seats, paid: 1, unsure: 2 } } }, []],
    ['a search with an error', { result: { ...result, searches: answered(0, 0, { errors: 1 }) } }, ['everybody-answered']],
    ['an oversold pool', { audit: { ...audit, oversold: 1 } }, ['nothing-oversold']],
    ['a broken check', { audit: { ...audit, checks: [{ name: 'one', promise: 'One.', violations: 2 }] } }, ['audit-kept']],
    ['no audit from after the rush', { audit: null }, ['nothing-oversold', 'audit-kept']],
    ['a watcher of an older version', { watchers: [watcher(), watcher({ version: 8 })] }, ['watchers-know-the-truth']],
    ['a watcher with one seat wrong', { watchers: [watcher({ states: states.with(7, SOLD) })] }, ['watchers-know-the-truth']],
    ['a watcher who stopped', { watchers: [watcher({}, 'closed with 1013')] }, ['watchers-know-the-truth']],
    ['a gap', { watchers: [watcher({ gaps: 1 })] }, ['no-gap-in-the-versions']],
    ['a version that went down', { watchers: [watcher({ versionsDown: 1 })] }, ['no-gap-in-the-versions']],
  ])('%s', (_, change, names) => {
    expect(brokenBy(change)).toEqual(names);
  });

  test('from the first deadline on the map may show fewer', () => {
    const late = { ...good, map: { ...map, at: '2026-12-01T00:05:00.000Z' }, result: { ...result, seats: { ...seats, given: 8 } } };

    expect(judgeSeats(late).map(({ name, kept }) => [name, kept])).not.toContainEqual(['map-equals-answers', expect.anything()]);
    expect(brokenBy(late)).toEqual([]);
  });

  test('waits for a map that has come to what members were told', () => {
    const told = (seats: Partial<SeatCrowdResult['seats']>) => ({ ...result, seats: { ...result.seats, ...seats } });

    expect(isSettled(result, map)).toBe(true);
    expect(isSettled(told({ paid: 4 }), map)).toBe(false);
    expect(isSettled(told({ given: 7 }), map)).toBe(false);
    expect(isSettled(told({ given: 7 }), { ...map, at: '2026-12-01T00:05:00.000Z' })).toBe(true);
  });

  test('stands in a report for a person, with the numbers it was judged by', () => {
    const report = houseReportOf(good, { performanceId: 'P', members: 7, server: null, serverProblem: 'no metrics' });

    expect(report).toMatchObject({
      ok: true,
      house: { name: 'Drawn', seats: 8, performanceId: 'P' },
      toSeatsMs: { p50: 20, p95: 40, p99: 40, max: 40 },
      map: { sold: 3, held: 2, free: 1, freeForFew: 0, orphans: 0 },
      holds: { granted: 4, refused: { SEAT_TAKEN: 3 }, perSecond: 100 },
      watchers: { count: 2, messages: 8, reconnects: 0 },
    });
    const text = houseTextOf(report);
    expect(text).toContain('Drawn: 7 members for 8 seats\n');
    expect(text).toContain('Seats         6 given, of them 3 paid and 1 given up again\n');
    expect(text).toContain('Last attempt  answered after 70 ms, 100 a second\n');
    expect(text).toContain('  kept    The map shows as sold exactly as many seats as members were told are paid. (3 sold, 3 paid)\n');
    expect(text).toContain('Every invariant was kept.\n');
  });
});
