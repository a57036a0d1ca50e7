import { describe, expect, test } from '@jest/globals';
import { neighboursOf, rowsOf } from '../../../src/features/venues/neighbours.ts';
import { seedVenues, shippedPlan } from '../../../src/features/venues/venues.seed.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';

failOnLeaks();

describe('the shipped plan', () => {
  test.each([
    ['black-box', { seats: 120, sections: 1, rows: 8, zones: ['R', 'S'], house: 2, kill: 0, accessible: 2, companion: 2, aisles: 16 }],
    [
      'hall',
      { seats: 1_200, sections: 15, rows: 46, zones: ['A', 'R', 'S', 'VIP'], house: 4, kill: 4, accessible: 4, companion: 4, aisles: 68 },
    ],
    [
      'arena',
      { seats: 5_000, sections: 46, rows: 432, zones: ['A', 'R', 'S', 'VIP'], house: 5, kill: 48, accessible: 6, companion: 6, aisles: 0 },
    ],
  ] as const)('%s has exactly what it says, and every seat that has no aisle beside it has a neighbour', async (name, expected) => {
    const { seats } = await shippedPlan(name);
    const rows = rowsOf(seats);
    const count = (test: (seat: (typeof seats)[number]) => boolean) => seats.filter(test).length;
    const withoutRight = neighboursOf(seats).filter((right) => right === -1).length;

    expect({
      seats: seats.length,
      sections: new Set(seats.map(({ section }) => section)).size,
      rows: rows.length,
      zones: [...new Set(seats.map(({ zone }) => zone))].sort(),
      house: count(({ sale }) => sale === 'HOUSE'),
      kill: count(({ sale }) => sale === 'KILL'),
      accessible: count(({ isAccessible }) => isAccessible),
      companion: count(({ isCompanion }) => isCompanion),
      // Whoever is last in a row has nobody to the right; the others without a neighbour sit at an aisle.
      aisles: withoutRight - rows.length,
    }).toEqual(expected);
  });

  test.each(['black-box', 'hall', 'arena'] as const)('%s has room for people: no two seats are nearer than 45 cm', async (name) => {
    const { seats } = await shippedPlan(name);
    /** Seats by square metre: only those around can be too near. */
    const squares = Map.groupBy(seats, ({ x, y }) => `${Math.floor(x)} ${Math.floor(y)}`);

    const tooNear = seats.filter(({ number, x, y }) =>
      [-1, 0, 1].some((dx) =>
        [-1, 0, 1].some((dy) =>
          squares
            .get(`${Math.floor(x) + dx} ${Math.floor(y) + dy}`)
            ?.some((other) => other.number !== number && Math.hypot(other.x - x, other.y - y) < 0.45),
        ),
      ),
    );

    expect(tooNear).toEqual([]);
  });
});

test('the demo organizer gets a venue for each shipped plan, once, however often and by however many it is seeded', async () => {
  await using app = await testApp({ environment: { SEED: 'on' } });
  const venues = () => app.query<{ id: string; name: string }>('select id, name from venue order by id');
  const before = await venues();

  const seeded = await Promise.all([1, 2, 3].map(() => seedVenues(app.app.database)));

  expect(before.map(({ name }) => name)).toEqual(['한빛 소극장', '누리 아트홀', '한강 아레나']);
  expect(await venues()).toEqual(before);
  expect(seeded[1]).toEqual(seeded[0]);
  const plans = await app.anonymous.run('TestSeatPlans', { venueId: toNodeId('Venue', seeded[0]?.arena.venueId as string) });
  expect(plans.nodes).toMatchObject([
    { id: toNodeId('SeatPlan', seeded[0]?.arena.planId as string), name: '아레나 5,000석', seatCount: 5_000 },
  ]);
});

test('without a demo organizer no venue is seeded', async () => {
  await using app = await testApp();

  expect(await seedVenues(app.app.database)).toBeNull();
  expect(await app.query('select 1 from venue')).toEqual([]);
});
