import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { PerformanceSheets } from '../../../src/features/events/index.ts';
import type { Product } from '../../../src/features/holds/index.ts';
import { SeatMaps, type SeatMapsOptions } from '../../../src/features/seat-maps/index.ts';
import { ticketsProduct } from '../../../src/features/seats/index.ts';
import { SeatPlans } from '../../../src/features/venues/index.ts';
import type { ClaimItem } from '../../../src/inventory/claim.ts';
import { unitIdOf, unitNumberOf } from '../../../src/inventory/units.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { aShow, type Show } from '../../support/shows.ts';

let stage: TestDatabase;
let product: Product;
beforeAll(async () => {
  stage = await testDatabase();
  const { database } = stage;
  const plans = new SeatPlans(database.pool);
  // Nothing but reads: nobody watches here.
  const maps = new SeatMaps({ pool: database.pool, plans } as SeatMapsOptions);
  product = ticketsProduct({
    database,
    sheets: new PerformanceSheets(database.pool),
    plans,
    mapOf: (id) => maps.read(id),
  });
});
afterAll(() => stage.close());

const seat = ({ uuids }: Show, number: number): ClaimItem => ({
  kind: 'performance',
  poolId: uuids.performance,
  unitId: unitIdOf(uuids.performance, number),
  quantity: 1,
});
const places = ({ uuids }: Show, quantity: number): ClaimItem => ({
  kind: 'tier',
  poolId: uuids.tiers.STANDING as string,
  unitId: null,
  quantity,
});
const equalsOf = async (items: ClaimItem[]) =>
  (await product.equalsOf(items)).map((equal) => equal.flatMap(({ unitId }) => (unitId ? unitNumberOf(unitId) : [])));
/** Takes all seats but these out of the sale. */
const leave = (given: Show, ...numbers: number[]) =>
  stage.query("update unit set state = 'BLOCKED' where pool_id = $1 and number <> all ($2::int[])", [given.uuids.performance, numbers]);

describe('the terms of tickets', () => {
  test('are the title with day and time in Seoul, the start, the policy and the organizer', async () => {
    const cancellation = [{ hoursBefore: 240, percent: 90 }];
    const startsAt = new Date('2027-01-04T15:05:00Z');
    const given = await aShow(stage, { startsAt, cancellation, standing: { capacity: 5, priceMinor: 1_000 } });

    const terms = { title: 'The Last Seat (2027-01-05 00:05)', startsAt, cancellation, organizerId: given.uuids.organizer };
    expect(await product.termsOf([seat(given, 3), places(given, 1)])).toEqual(terms);
    expect(await product.termsOf([places(given, 2)])).toEqual(terms);
  });

  test('shorten the title to what providers accept, never the day', async () => {
    const given = await aShow(stage, { startsAt: new Date('2027-01-04T15:05:00Z') });
    await stage.query('update event set title = $1 where id = $2', ['마지막 자리 '.repeat(20), given.uuids.event]);

    const { title } = await product.termsOf([seat(given, 3)]);

    expect(title.length).toBeLessThanOrEqual(100);
    expect(title).toMatch(/^마지막 자리 .*… \(2027-01-05 00:05\)$/);
  });
});

describe('equal tickets', () => {
  test('are other seats of the same tier, next to each other where those were, nearest first, five at most', async () => {
    const given = await aShow(stage, { sections: 2 });
    await stage.query("update unit set state = 'BLOCKED' where pool_id = $1 and number in (24, 25)", [given.uuids.performance]);

    const equals = await equalsOf([seat(given, 24), seat(given, 25)]);

    expect(equals).toHaveLength(5);
    expect(equals.slice(0, 2)).toEqual([
      [14, 15],
      [34, 35],
    ]);
    expect(equals.flat().every((number) => number < 50)).toBe(true);
  });

  test('are not apart where those were together, and may be where they were not', async () => {
    const given = await aShow(stage);
    await leave(given, 3, 5, 17);

    expect(await equalsOf([seat(given, 24), seat(given, 25)])).toEqual([]);
    expect(await equalsOf([seat(given, 24), seat(given, 26)])).toEqual([[3, 5]]);
  });

  test('have as many seats of each tier; places without numbers stay as they are', async () => {
    const given = await aShow(stage, { sections: 2, standing: { capacity: 5, priceMinor: 1_000 } });
    await leave(given, 0, 1, 2, 60, 61, 62);

    const [equal, ...more] = await product.equalsOf([seat(given, 10), seat(given, 11), seat(given, 70), places(given, 2)]);

    expect(equal).toEqual([expect.anything(), expect.anything(), expect.anything(), places(given, 2)]);
    expect(equal?.slice(0, 3)).toEqual([seat(given, 0), seat(given, 1), seat(given, 60)]);
    expect(more.every((items) => items.length === 4)).toBe(true);
  });

  test('are accessible where those were, and only there', async () => {
    const given = await aShow(stage, { rows: 2 });
    await stage.query('update plan_seat set is_accessible = number in (0, 8), is_companion = number in (1, 9) where plan_id = $1', [
      given.uuids.plan,
    ]);
    await leave(given, 8, 9, 18, 19);

    expect(await equalsOf([seat(given, 0), seat(given, 1)])).toEqual([[8, 9]]);
    expect(await equalsOf([seat(given, 2), seat(given, 3)])).toEqual([[18, 19]]);
  });

  test('of places without numbers are none', async () => {
    const given = await aShow(stage, { standing: { capacity: 5, priceMinor: 1_000 } });

    expect(await product.equalsOf([places(given, 2)])).toEqual([]);
  });
});
