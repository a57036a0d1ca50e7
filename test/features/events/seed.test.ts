import { expect, test } from '@jest/globals';
import { seedEvents } from '../../../src/features/events/index.ts';
import { SeatPlans } from '../../../src/features/venues/index.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aPlan, aVenue } from './event-stage.ts';

failOnLeaks();

// Half past eleven at night in Seoul, on the 1st.
const NOW = new Date('2030-03-01T14:30:00Z');

const seed = ({ app }: TestApp, now = NOW) => seedEvents(app.database, new SeatPlans(app.database.pool), now);

async function anEmptyStage(app: TestApp) {
  const organizer = await app.member('ORGANIZER');
  await app.query("update member set email = 'organizer@lastseat.test' where id = $1", [organizer.uuid]);
  return organizer;
}

const shows = (app: TestApp) =>
  app.query(
    `select e.title, v.name as venue, count(*)::int as performances, min(f.starts_at) as first, max(p.opens_at) as opens_at, max(p.capacity) as seats,
       (select string_agg(t.name || ' ' || t.price_minor, ', ' order by t.position) from tier t where t.performance_id = (array_agg(f.id))[1]) as tiers
     from event e join venue v on v.id = e.venue_id join performance f on f.event_id = e.id join pool p on p.id = f.id group by e.id, v.name order by e.id`,
  );

test('six events in the coming weeks at the smallest, the middle and the largest place; the largest opens later', async () => {
  await using app = await testApp();
  const organizer = await anEmptyStage(app);
  for (const [name, zones, seats] of [
    ['Arena', 'ABCD', 50],
    ['Black box', 'A', 10],
    ['Hall', 'AB', 20],
  ] as const)
    await aPlan(app, await aVenue(app, name), { zones, seats, house: [0], kill: [1] });

  await Promise.all([seed(app), seed(app)]);
  await seed(app, new Date());

  expect(await shows(app)).toEqual([
    {
      title: '겨울밤의 재즈 콰르텟',
      venue: 'Black box',
      performances: 2,
      first: new Date('2030-03-06T20:00:00+09:00'),
      opens_at: null,
      seats: 8,
      tiers: 'A석 44000',
    },
    expect.objectContaining({ title: '햄릿: 검은 방', venue: 'Black box', performances: 4 }),
    expect.objectContaining({ title: '새벽의 농담 — 스탠드업 나이트', venue: 'Black box', seats: 0, tiers: '자유석 25000' }),
    expect.objectContaining({ venue: 'Hall', performances: 1, seats: 38, tiers: 'A석 70000, B석 56000' }),
    expect.objectContaining({ venue: 'Hall', performances: 3, first: new Date('2030-03-16T19:00:00+09:00') }),
    {
      title: '푸른 밤 — 데뷔 10주년 콘서트',
      venue: 'Arena',
      performances: 1,
      first: new Date('2030-03-31T18:00:00+09:00'),
      opens_at: new Date('2030-03-04T10:00:00+09:00'),
      seats: 198,
      tiers: 'A석 154000, B석 123000, C석 99000, D석 79000, 스탠딩 132000',
    },
  ]);
  expect((await organizer.client.run('TestMyEvents')).totalCount).toBe(6);
  expect(await app.brokenInvariants()).toEqual([]);
});

test('where no venue has a plan everything is without numbers, and where there is no venue nothing is made', async () => {
  await using app = await testApp();
  await anEmptyStage(app);

  await seed(app);
  expect(await shows(app)).toEqual([]);
  await aVenue(app, 'A field');
  await seed(app);

  const made = await shows(app);
  expect(made).toHaveLength(6);
  expect(made.map(({ venue, seats }) => [venue, seats])).toEqual(Array(6).fill(['A field', 0]));
  expect(made[0]?.tiers).toBe('자유석 44000');
  expect(await app.brokenInvariants()).toEqual([]);
});
