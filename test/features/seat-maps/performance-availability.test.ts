import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow, type Show } from '../../support/shows.ts';
import { countStatements, type Statements } from '../../support/statements.ts';
import { eventually } from '../../support/wait.ts';
import { brokenInvariantsOfSeats, hold, move } from './selling.ts';

failOnLeaks();

describe('what is left of a performance, by tier and by section', () => {
  let app: TestApp;
  let statements: Statements;

  beforeAll(async () => {
    app = await testApp();
    await app.stopSweeping();
    statements = await countStatements(app);
  });
  afterAll(async () => {
    statements.stop();
    await app.close();
  });

  const of = async ({ performanceId }: Show) => {
    const performance = await app.anonymous.run('TestPerformanceAvailability', { id: performanceId });
    return {
      tiers: performance.tierAvailability.map(({ tier, price, capacity, free }) => [tier?.name, price.amountMinor, capacity, free]),
      sections: performance.sectionAvailability.map(({ section, priceFrom, capacity, free }) => [
        section,
        priceFrom?.amountMinor,
        capacity,
        free,
      ]),
    };
  };
  const place = (show: Show, quantity: number) =>
    app.app.inventory.place({
      kind: 'performance',
      claimantId: randomUUID(),
      idempotencyKey: randomUUID(),
      requestHash: Buffer.alloc(32, 7),
      clientIp: null,
      items: [{ kind: 'tier', poolId: show.uuids.tiers.STANDING as string, unitId: null, quantity }],
    });

  test('capacity is what is on sale, free what nobody holds or has bought, places without numbers counted by their own pool', async () => {
    const show = await aShow(app, {
      sections: 2,
      rows: 2,
      seatsPerRow: 10,
      blocked: [0, 39],
      standing: { capacity: 100, priceMinor: 30_000 },
    });
    await hold(app, show, [1, 20, 21]);
    await move(app, await hold(app, show, [2]), 'startPaying', 'confirm');
    await place(show, 3);

    expect(await of(show)).toEqual({
      tiers: [
        ['Section A', 50_000, 19, 17],
        ['Section B', 40_000, 19, 17],
        ['Standing', 30_000, 100, 97],
      ],
      sections: [
        ['A', 50_000, 19, 17],
        ['B', 40_000, 19, 17],
      ],
    });
  });

  test('a section with seats of two zones names the cheaper one, and zones are counted over sections', async () => {
    const show = await aShow(app, { sections: 2, rows: 1, seatsPerRow: 4 });
    await app.query("update plan_seat set zone = 'B' where plan_id = $1 and number in (0, 1)", [show.uuids.plan]);
    await app.query('update unit set price_minor = 40000 where pool_id = $1 and number in (0, 1)', [show.uuids.performance]);
    await hold(app, show, [0]);

    expect(await of(show)).toEqual({
      tiers: [
        ['Section A', 50_000, 2, 2],
        ['Section B', 40_000, 6, 5],
      ],
      sections: [
        ['A', 40_000, 4, 3],
        ['B', 40_000, 4, 4],
      ],
    });
  });

  test('a performance without numbered seats has no sections', async () => {
    const show = await aShow(app, { rows: 0, standing: { capacity: 100, priceMinor: 30_000 } });

    expect(await of(show)).toEqual({ tiers: [['Standing', 30_000, 100, 100]], sections: [] });
  });

  test('every claim is seen by whoever asks after it, also when many ask while it is counted', async () => {
    const show = await aShow(app, { rows: 1, seatsPerRow: 20 });

    for (let taken = 1; taken <= 10; taken++) {
      await hold(app, show, [taken]);
      const answers = await Promise.all(Array.from({ length: 10 }, () => of(show)));
      expect(answers.map(({ sections }) => sections)).toEqual(answers.map(() => [['A', 50_000, 20, 20 - taken]]));
    }
  });

  test('a page of 20 performances takes 4 statements, and 3 where no seat has changed', async () => {
    const shows: Show[] = [];
    for (let made = 0; made < 20; made++) shows.push(await aShow(app, { sections: 2, standing: { capacity: 10, priceMinor: 30_000 } }));
    const page = async (count: number) => {
      const nodes = shows.slice(0, count).map(({ performanceId }, n) => `n${n}: node(id: "${performanceId}") { ...Left }`);
      const fields = 'tierAvailability { tier { name } price { amountMinor } capacity free } sectionAvailability { section capacity free }';
      const sent = await statements.during(async () => {
        const { data, errors } = await app.anonymous.post({ query: `{ ${nodes.join(' ')} } fragment Left on Performance { ${fields} }` });
        expect([errors, Object.keys(data).length]).toEqual([[], count]);
      });
      return sent.map((text) => /from "?(?:[\w.]+"?\.)?"?(\w+)/.exec(text)?.[1]);
    };
    await page(20); // Plans are read once and kept.

    expect((await page(20)).sort()).toEqual(['performance', 'tier', 'tier']);
    for (const show of shows) await hold(app, show, [1]);
    expect((await page(1)).sort()).toEqual(['performance', 'tier', 'tier', 'unit']);
    expect((await page(20)).sort()).toEqual(['performance', 'tier', 'tier', 'unit']);
  });

  test('what somebody watches is counted from memory', async () => {
    const show = await aShow(app, { rows: 1, seatsPerRow: 4 });
    const versions: number[] = [];
    const stop = app.app.maps.observe(show.uuids.performance, ({ version }) => versions.push(version));
    await hold(app, show, [3]);
    await eventually(() => versions.at(-1) === 2);

    const sent = await statements.during(async () => expect((await of(show)).sections).toEqual([['A', 50_000, 4, 3]]));

    expect(sent.filter((text) => text.includes('int4send'))).toEqual([]);
    stop();
    expect(await brokenInvariantsOfSeats(app)).toEqual([]);
  });
});
