import { describe, expect, jest, test } from '@jest/globals';
import type { HouseReport } from '../../../src/rush/seats/seat-report.ts';
import type { SeatsReport } from '../../../src/rush/seats/seats-rush.ts';
import { TestStage, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { lyingProxy } from './lying-proxy.ts';
import { type RushRun, reportOf, runRush } from './rush-process.ts';

failOnLeaks();
/** Clients of their own processes, and each rush waits until everybody knows the truth. */
jest.setTimeout(180_000);

const rushForSeats = (stage: TestStage, members: number, ...args: string[]) =>
  runRush(stage, 'seats', '--house', 'black-box', '--members', String(members), '--watchers', '5', '--json', ...args);

function houseOf(run: RushRun): HouseReport {
  const [house, ...others] = reportOf<SeatsReport>(run).houses;
  if (!house || others.length > 0) throw new Error('not one house');
  return house;
}

const brokenOf = ({ invariants }: HouseReport) => invariants.filter(({ kept }) => !kept).map(({ name }) => name);

describe('npm run rush -- seats', () => {
  test('200 members for the 118 seats of a black box: no seat is sold twice, and every invariant is kept', async () => {
    await using app = await testApp();

    const run = await rushForSeats(app, 200);

    const house = houseOf(run);
    expect({ code: run.code, ok: house.ok, broken: brokenOf(house) }).toEqual({ code: 0, ok: true, broken: [] });
    expect(house.invariants).toHaveLength(8);
    const { ends, seats, map, holds, payments } = house;
    expect(Object.values(ends).reduce((sum, count) => sum + count, 0)).toBe(200);
    expect(ends).toMatchObject({ refused: 0, failed: 0 });
    expect(holds.granted).toBe(ends.paid + ends.unpaid + ends.gaveUp);
    expect(payments).toMatchObject({ granted: ends.paid, refused: {}, errors: {}, unanswered: 0 });
    expect(seats.unsure).toBe(0);
    // Two seats of the plan are the house's; all others are somebody's or free.
    expect(map.sold + map.held + map.free).toBe(118);
    expect(map.held).toBe(seats.given - seats.givenUp - seats.paid);
    expect(house.watchers).toMatchObject({ count: 5, reconnects: 0 });
    expect(house.server?.claims).toEqual({ GRANTED: holds.granted, UNIT_TAKEN: holds.refused.SEAT_TAKEN });

    const performanceId = uuidIn(house.house.performanceId);
    const [sold] = await app.query(
      `select count(*)::int as seats, count(distinct i.unit_id)::int as "distinct", count(distinct h.id)::int as holds
       from hold_item i join hold h on h.id = i.hold_id where i.pool_id = $1 and h.state = 'CONFIRMED'`,
      [performanceId],
    );
    expect(sold).toEqual({ seats: seats.paid, distinct: seats.paid, holds: ends.paid });
    const twice = `select unit_id from hold_item i join hold h on h.id = i.hold_id
      where i.pool_id = $1 and h.state in ('HELD', 'PAYING', 'CONFIRMED') group by unit_id having count(*) > 1`;
    expect(await app.query(twice, [performanceId])).toEqual([]);
    expect(await app.counters(house.house.performanceId)).toEqual({ capacity: 118, held: map.held, sold: map.sold });
    expect(await app.query('select closes_at <= clock_timestamp() as closed from pool where id = $1', [performanceId])).toEqual([
      { closed: true },
    ]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('without --json a person reads the same', async () => {
    await using app = await testApp();

    const { code, stdout } = await runRush(app, 'seats', '--house', 'black-box', '--members', '1', '--watchers', '1', '--pay', '1');

    expect(code).toBe(0);
    expect(stdout).toContain('블랙박스 120석: 1 members for 118 seats\n');
    expect(stdout).toContain('Attempts      1 got seats\n');
    expect(stdout).toContain('Every invariant was kept.\n');
  });
});

describe('a rush for seats that must not pass', () => {
  test('a server that gives taken seats again: exit code 1, and it says so', async () => {
    await using app = await testApp();
    await app.sabotage('claim_holds', 'v_is_taken := not v_unit_free[v_unit] or', 'v_is_taken :=');

    const run = await rushForSeats(app, 60, '--pay', '0', '--abandon', '0', '--settle', '1');

    const house = houseOf(run);
    expect(run.code).toBe(1);
    expect(brokenOf(house)).toEqual(expect.arrayContaining(['no-seat-given-twice', 'map-equals-answers']));
    const [given] = await app.query<{ seats: number; twice: number }>(
      `select sum(times)::int as seats, (count(*) filter (where times > 1))::int as twice
       from (select count(*) as times from hold_item where pool_id = $1 group by unit_id) as unit`,
      [uuidIn(house.house.performanceId)],
    );
    expect(given?.twice).toBeGreaterThan(0);
    const found = house.invariants.find(({ name }) => name === 'no-seat-given-twice')?.found;
    expect(found).toBe(`${given?.twice} given twice, of ${given?.seats} given`);
    // What it left behind is no leak but the point of the test.
    expect((await app.brokenInvariants()).length).toBeGreaterThan(0);
  });

  test('a watcher from whom one message is kept: exit code 1', async () => {
    await using app = await testApp();
    let isKept = false;
    // Of the first change one watcher is not told. A whole map is since nothing.
    const lie = (message: string) => {
      if (isKept || !message.includes('"seatsChanged"') || message.includes('"since":null')) return message;
      isKept = true;
      return null;
    };
    await using proxy = await lyingProxy(app.url, lie);

    // One after the other, so that there are further changes; nobody pays, so that none of them tells the lost seats again.
    const oneByOne = ['--at-once', '1', '--pay', '0', '--abandon', '0', '--settle', '1'];
    const run = await rushForSeats(new TestStage(proxy.url, app.databaseUrl), 40, ...oneByOne);

    const house = houseOf(run);
    expect(run.code).toBe(1);
    // What was kept from it may be told again by a later change of the same seats; the gap stays.
    expect(brokenOf(house)).toContain('no-gap-in-the-versions');
    expect(house.invariants.find(({ name }) => name === 'no-gap-in-the-versions')).toMatchObject({ found: '1 gaps, 0 times down' });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a watcher who is told a state that is none: exit code 1', async () => {
    await using app = await testApp();
    // What becomes held is said to be sold.
    const lie = (message: string) => message.replace(/"held":\[([\d,]+)\],"sold":\[\]/, '"held":[],"sold":[$1]');
    await using proxy = await lyingProxy(app.url, lie);

    const run = await rushForSeats(new TestStage(proxy.url, app.databaseUrl), 20, '--pay', '0', '--abandon', '0', '--settle', '8');

    const house = houseOf(run);
    expect({ code: run.code, broken: brokenOf(house) }).toEqual({ code: 1, broken: ['watchers-know-the-truth'] });
    expect(house.invariants.find(({ name }) => name === 'watchers-know-the-truth')?.found).toBe('4 of 5');
    expect(await app.brokenInvariants()).toEqual([]);
  });
});

test('a rush for seats that cannot be held ends with 2 and leaves no sale open', async () => {
  await using app = await testApp({ environment: { SOCKETS_PER_ADDRESS_MAX: '3' } });

  const { code, stderr } = await rushForSeats(app, 10);

  expect(code).toBe(2);
  expect(stderr).toContain('Start it with SOCKETS_PER_ADDRESS_MAX (and SOCKETS_MAX) above the number of watchers');
  expect(await app.query("select closes_at <= clock_timestamp() as closed from pool where kind = 'performance'")).toEqual([
    { closed: true },
  ]);
});
