import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { countStatements, type Statements } from '../../support/statements.ts';
import { anEvent, aPerformance, aPlan, aVenue, inDays } from './event-stage.ts';

failOnLeaks();

describe('the timetable', () => {
  let app: TestApp;
  let organizer: TestMember;
  let venueId: string;
  beforeAll(async () => {
    app = await testApp();
    await app.stopSweeping();
    organizer = await app.member('ORGANIZER');
    venueId = await aVenue(app);
  });
  afterAll(() => app.close());

  const list = async (filter: object) => (await app.anonymous.run('TestPerformances', { first: 100, filter })).nodes.map(({ id }) => id);

  test('a day is a day in Seoul: from its midnight, before the next', async () => {
    const eventId = await anEvent(organizer, venueId);
    const starts = [
      '2040-02-28T14:59:59.999Z', // 23:59:59.999 on the 28th in Seoul
      '2040-02-28T15:00:00.000Z', // midnight
      '2040-02-29T14:59:59.999Z',
      '2040-02-29T15:00:00.000Z', // the 1st of March
    ];
    const made: string[] = [];
    for (const startsAt of starts) made.push((await aPerformance(organizer, eventId, { startsAt })).id);
    const on = async (day: string) => (await list({ day, eventId })).map((id) => made.indexOf(id));

    expect(await on('2040-02-28')).toEqual([0]);
    expect(await on('2040-02-29')).toEqual([1, 2]);
    expect(await on('2040-03-01')).toEqual([3]);
    expect(await on('2040-03-02')).toEqual([]);
  });

  test.each(['0001-01-01', '9999-12-31'])('the day %s is empty, like any other', async (day) => {
    expect(await list({ day })).toEqual([]);
  });

  test.each([
    ['a day nobody has', { filter: { day: '2041-02-29' } }],
    ['a month', { filter: { day: '2041-02' } }],
    ['an instant as day', { filter: { day: '2041-02-01T00:00:00Z' } }],
    ['the year 0', { filter: { day: '0000-01-01' } }],
    ['SQL as day', { filter: { day: "2041-01-01'; drop table event; --" } }],
    ['a number as day', { filter: { day: 20410201 } }],
    ['an instant that is none', { filter: { from: 'today' } }],
    ['a kind nobody has', { filter: { category: 'OPERA' } }],
    ['the id of an event as venue', { filter: { venueId: toNodeId('Event', '00000000-0000-7000-8000-000000000000') } }],
    ['no id as event', { filter: { eventId: "' or true" } }],
    ['no item', { first: 0 }],
    ['a page of 101', { first: 101 }],
    ['a cursor nobody made', { after: 'x' }],
    ['a cursor of another list', { after: Buffer.from('["2041-01-01"]').toString('base64url') }],
    ['a cursor of no instant', { after: Buffer.from('["now","00000000-0000-7000-8000-000000000000"]').toString('base64url') }],
  ])('%s is bad input', async (_, variables) => {
    const { errors } = await app.anonymous.send('TestPerformances', variables);

    expect(errors.map(({ extensions }) => extensions.code)).toEqual([expect.stringMatching(/^(BAD_USER_INPUT|TOO_EXPENSIVE)$/)]);
  });

  test('it is filtered by time, kind, venue and event, all at once', async () => {
    const elsewhere = await aVenue(app);
    const [play, dance] = [await anEvent(organizer, elsewhere), await anEvent(organizer, elsewhere, { category: 'DANCE' })];
    const made: string[] = [];
    for (const [eventId, startsAt] of [
      [play, '2041-05-01T10:00:00Z'],
      [dance, '2041-05-01T11:00:00Z'],
      [play, '2041-05-02T10:00:00Z'],
      [dance, '2041-05-03T10:00:00Z'],
    ] as const)
      made.push((await aPerformance(organizer, eventId, { startsAt })).id);
    const found = async (filter: object) => (await list({ venueId: elsewhere, ...filter })).map((id) => made.indexOf(id));

    expect(await found({})).toEqual([0, 1, 2, 3]);
    expect(await found({ category: 'DANCE' })).toEqual([1, 3]);
    expect(await found({ eventId: play, from: '2041-05-01T10:00:00.001Z' })).toEqual([2]);
    expect(await found({ from: '2041-05-01T11:00:00Z', to: '2041-05-03T10:00:00Z' })).toEqual([1, 2]);
    expect(await found({ day: '2041-05-01', to: '2041-05-01T11:00:00Z', category: null })).toEqual([0]);
    expect(await found({ eventId: play, category: 'DANCE' })).toEqual([]);
    expect(await found({ venueId })).not.toEqual(expect.arrayContaining([0]));
  });

  test('only what is on sale now: neither what opens later, nor what is closed, nor what is over', async () => {
    const elsewhere = await aVenue(app);
    const eventId = await anEvent(organizer, elsewhere);
    const make = async (input: object) => (await aPerformance(organizer, eventId, input as never)).id;
    const open = await make({ startsAt: inDays(2) });
    await make({ startsAt: inDays(2), onSaleFrom: inDays(1) });
    await make({ startsAt: inDays(2), onSaleFrom: inDays(-2), onSaleUntil: inDays(-1) });
    const began = await make({ startsAt: inDays(3), onSaleFrom: inDays(-1), endsAt: inDays(20), onSaleUntil: inDays(20) });
    await app.query('update performance set starts_at = $1 where id = $2', [inDays(-5), uuidIn(began)]);

    expect(await list({ venueId: elsewhere, onSaleOnly: true })).toEqual([began, open]);
    expect(await list({ venueId: elsewhere })).toHaveLength(4);
  });

  test('pages follow each other by beginning and id without a gap or a repeat, also at one instant', async () => {
    const eventId = await anEvent(organizer, venueId);
    const made: string[] = [];
    for (const startsAt of ['2042-01-02T00:00:00Z', ...Array(4).fill('2042-01-01T00:00:00Z'), '2041-12-31T00:00:00Z'])
      made.push((await aPerformance(organizer, eventId, { startsAt })).id);
    const pages: number[][] = [];
    for (let after: string | null | undefined = null; after !== undefined; ) {
      const page: Awaited<ReturnType<typeof next>> = await next(after);
      expect(page.totalCount).toBe(6);
      pages.push(page.nodes.map(({ id }) => made.indexOf(id)));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : undefined;
    }

    expect(pages).toEqual([
      [5, 1],
      [2, 3],
      [4, 0],
    ]);

    function next(after: string | null) {
      return app.anonymous.run('TestPerformances', { first: 2, after, filter: { eventId } });
    }
  });

  describe('the statements it needs', () => {
    let statements: Statements;
    beforeAll(async () => {
      statements = await countStatements(app);
    });
    afterAll(() => statements.stop());

    const statementsOf = async (work: () => Promise<unknown>) => (await statements.of(work)).length;

    test('a page of performances and one of events, with all their relations: as many for 1 as for 20', async () => {
      const house = await aVenue(app);
      const planId = await aPlan(app, house);
      for (let made = 0; made < 20; made++) {
        const eventId = await anEvent(organizer, house);
        await aPerformance(organizer, eventId, {
          planId,
          tiers: [
            { name: 'Front', priceMinor: 1, zone: 'A' },
            { name: 'Back', priceMinor: 1, zone: 'B' },
            { name: 'Standing', priceMinor: 1, capacity: 5 },
          ],
        });
      }
      const performances = (first: number) => () => app.anonymous.run('TestPerformancesWhole', { first, filter: { venueId: house } });
      const events = (first: number) => () => app.anonymous.run('TestEventsWithPerformances', { first, filter: { venueId: house } });

      expect((await performances(20)()).nodes).toHaveLength(20);
      expect((await events(20)()).nodes[19]?.performances).toMatchObject({ totalCount: 1, nodes: [{ id: expect.any(String) }] });
      // The page, its number, the pools, the events, their venues and organizers, the tiers, what is left of seats and of places.
      expect([await statementsOf(performances(1)), await statementsOf(performances(20))]).toEqual([9, 9]);
      // The page, the organizers, the venues, the performances, their number.
      expect([await statementsOf(events(1)), await statementsOf(events(20))]).toEqual([5, 5]);
    });
  });

  describe('with 50,000 performances', () => {
    beforeAll(async () => {
      // 500 events of 100 performances each, half of them over, at 50 venues.
      await app.query(
        `with venues as (
           insert into venue (owner_id, name, address, latitude, longitude) select $1, 'V' || n, 'x', 0, 0 from generate_series(1, 50) n returning id
         ), events as (
           insert into event (organizer_id, venue_id, title, body, category)
           select $1, v.id, 'E' || n, '', (array['CONCERT', 'PLAY', 'TALK'])[n % 3 + 1] from venues v cross join generate_series(1, 10) n returning id
         ), pools as (
           insert into pool (id, kind, capacity, closes_at)
           select uuidv7(), 'performance', 0, now() + make_interval(hours => d * 24 + 1) from events e cross join generate_series(-49, 50) d returning id, closes_at
         ), numbered as (select id, closes_at, row_number() over () as n from pools), of as (select id, row_number() over () - 1 as n from events)
         insert into performance (id, event_id, starts_at, ends_at, cancellation)
         select p.id, e.id, p.closes_at, p.closes_at + interval '1 hour', '[]' from numbered p join of e on e.n = p.n % 500`,
        [organizer.uuid],
      );
      await app.query('analyze');
    });

    test.each([
      ['a day', () => ({ day: inDays(1).slice(0, 10) }), 'performance_browse'],
      ['an event', async () => ({ eventId: await oneOf('Event') }), 'performance_event'],
      ['what is on sale', () => ({ onSaleOnly: true }), 'performance_browse'],
      ['a kind from now on', () => ({ from: inDays(0), category: 'PLAY' }), 'performance_browse'],
      ['a venue', async () => ({ venueId: await oneOf('Venue') }), 'performance_'],
      ['everything', () => ({}), 'performance_browse'],
    ])('a page of %s reads few rows through an index', async (_, filter, index) => {
      // Of the loops too, whose statements are objects.
      const sent: { text: string | object; values: unknown[] }[] = [];
      const { pool } = app.app.database;
      const { query } = pool;
      pool.query = ((text: string, values: unknown[]) => {
        sent.push({ text, values });
        return (query as (...given: unknown[]) => unknown).call(pool, text, values);
      }) as never;
      const wanted = await filter();
      const page = await app.anonymous.run('TestPerformancesOnly', { filter: wanted }).finally(() => {
        pool.query = query;
      });

      const { text, values } = sent.find(({ text: sql }) => typeof sql === 'string' && sql.includes('select p.*'))!;
      const [row] = (await pool.query(`explain (analyze, format json) ${text}`, values)).rows;
      const [{ Plan: plan }] = row['QUERY PLAN'];
      expect(page.nodes).toHaveLength(20);
      expect(JSON.stringify(plan)).toContain(`"Index Name":"${index}`);
      expect(rowsRead(plan)).toBeLessThan(3_000);
    });

    const oneOf = async (type: 'Event' | 'Venue') =>
      toNodeId(type, (await app.query<{ id: string }>(`select id from ${type} order by id desc limit 1`))[0]?.id as string);
  });
});

interface Plan {
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Relation Name'?: string;
  Plans?: Plan[];
}

/** Rows that the scans of a plan looked at. */
const rowsRead = (plan: Plan): number =>
  (plan['Relation Name'] ? (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops'] : 0) +
  (plan.Plans ?? []).reduce((sum, part) => sum + rowsRead(part), 0);
