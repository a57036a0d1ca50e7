import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { nextMonth, type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';

failOnLeaks();

describe('the timetable', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  const rows = async () =>
    (await app.query('select (select count(*)::int from lesson) as lessons, (select count(*)::int from pool) as pools'))[0];

  const instructor = async () =>
    (await (await app.admin()).client.run('TestCreateInstructor', { input: { name: '  Ye-rin Han ', idempotencyKey: randomUUID() } }))
      .instructor;

  test('a lesson is read as it was made', async () => {
    const month = nextMonth();
    const { id, name } = await instructor();
    const lessonId = await app.lesson({
      title: '  새벽 마스터즈  ',
      level: 'ADVANCED',
      month,
      weekdays: ['SUNDAY', 'MONDAY'],
      startsAt: '06:00',
      endsAt: '06:50',
      lane: 20,
      capacity: 0,
      priceMinor: 0,
      instructorId: id,
      onSaleFrom: '2026-12-20T09:00:00+09:00',
      onSaleUntil: '2026-12-20T00:00:00Z',
    });

    expect(name).toBe('Ye-rin Han');
    expect(await app.anonymous.run('TestLesson', { id: lessonId })).toEqual({
      __typename: undefined,
      id: lessonId,
      title: '새벽 마스터즈',
      level: 'ADVANCED',
      month,
      weekdays: ['SUNDAY', 'MONDAY'],
      startsAt: '06:00',
      endsAt: '06:50',
      lane: 20,
      onSaleFrom: '2026-12-20T00:00:00.000Z',
      onSaleUntil: '2026-12-20T00:00:00.000Z',
      price: { amountMinor: 0, currency: 'KRW' },
      instructor: { id, name: 'Ye-rin Han' },
      availability: { id: lessonId, capacity: 0, free: 0, held: 0, sold: 0, version: 1, at: expect.any(String) },
    });
  });

  const nobody = '00000000-0000-7000-8000-000000000000';

  test.each([
    ['an empty title', { title: '' }, 'title'],
    ['a title of spaces', { title: ' \t\n ' }, 'title'],
    ['a title of 201 characters', { title: 'x'.repeat(201) }, 'title'],
    ['lane 0', { lane: 0 }, 'lane'],
    ['lane 21', { lane: 21 }, 'lane'],
    ['a negative lane', { lane: -1 }, 'lane'],
    ['a negative price', { priceMinor: -1 }, 'priceMinor'],
    ['a price over 100,000,000', { priceMinor: 100_000_001 }, 'priceMinor'],
    ['a negative capacity', { capacity: -1 }, 'capacity'],
    ['a capacity over 100,000', { capacity: 100_001 }, 'capacity'],
    ['the largest Int as capacity', { capacity: 2_147_483_647 }, 'capacity'],
    ['the smallest Int as capacity', { capacity: -2_147_483_648 }, 'capacity'],
    ['no weekday', { weekdays: [] }, 'weekdays'],
    ['a weekday twice', { weekdays: ['MONDAY', 'MONDAY'] }, 'weekdays'],
    ['an end at the start', { startsAt: '06:00', endsAt: '06:00' }, 'endsAt'],
    ['an end before the start', { startsAt: '06:00', endsAt: '05:59' }, 'endsAt'],
    ['a sale that closes before it opens', { onSaleFrom: '2027-01-01T00:00:01Z', onSaleUntil: '2027-01-01T00:00:00Z' }, 'onSaleUntil'],
    ['an instructor nobody knows', { instructorId: toNodeId('Instructor', nobody) }, 'instructorId'],
  ])('%s is refused by name, and nothing is made', async (_, wrong, field) => {
    const lessonId = await app.lesson();
    const { client } = await app.admin();
    const before = await rows();

    await expect(app.lesson(wrong)).rejects.toThrow(`"code":"LESSON_INPUT"`);
    await expect(app.lesson(wrong)).rejects.toThrow(`"field":"${field}"`);
    expect(await rows()).toEqual(before);

    const { capacity, weekdays, startsAt, endsAt, ...change } = wrong as Record<string, unknown>;
    if (Object.keys(change).length > 0)
      expect(await client.run('TestUpdateLesson', { input: { lessonId, ...change } })).toMatchObject({ code: 'LESSON_INPUT', field });
    if (capacity !== undefined)
      expect(await client.run('TestChangeLessonCapacity', { input: { lessonId, capacity: capacity as number } })).toMatchObject({
        code: 'LESSON_INPUT',
        field,
      });
    expect((await app.anonymous.run('TestLesson', { id: lessonId })).availability.version).toBe(1);
  });

  test.each([
    ['U+0000 in the title', { title: 'a\0b' }],
    ['a lone surrogate in the title', { title: 'a\ud800b' }],
    ['a title of 20,001 characters', { title: 'x'.repeat(20_001) }],
    ['a capacity past Int', { capacity: 2_147_483_648 }],
    ['a capacity far past Int', { capacity: 1e300 }],
    ['a fraction as capacity', { capacity: 1.5 }],
    ['a text as capacity', { capacity: '10' }],
    ['a price past Int', { priceMinor: 2_147_483_648 }],
    ['the thirteenth month', { month: '2027-13' }],
    ['the year 0', { month: '0000-00' }],
    ['a month with a day', { month: '2027-01-01' }],
    ['24:00', { startsAt: '24:00' }],
    ['a time with seconds', { endsAt: '06:50:00' }],
    ['a weekday nobody has', { weekdays: ['FUNDAY'] }],
    ['101 weekdays', { weekdays: Array(101).fill('MONDAY') }],
    ['a level nobody has', { level: 'EXPERT' }],
    ['a policy nobody has', { policy: 'NONE' }],
    ['an instant that is none', { onSaleFrom: 'tomorrow' }],
    ['an instant without an offset', { onSaleFrom: '2027-01-01T00:00:00' }],
    ['the id of a lesson as instructor', { instructorId: toNodeId('Lesson', nobody) }],
    ['a field nobody knows', { held: 5 }],
  ])('%s is bad input, and nothing is made', async (_, wrong) => {
    await app.lesson();
    const before = await rows();

    await expect(app.lesson(wrong)).rejects.toThrow('"code":"BAD_USER_INPUT"');
    expect(await rows()).toEqual(before);
  });

  test('a title of exactly 200 characters is kept whole', async () => {
    const title = '강'.repeat(200);
    const lessonId = await app.lesson({ title });

    expect((await app.anonymous.run('TestLesson', { id: lessonId })).title).toBe(title);
  });

  test('a change leaves alone what it does not name, and null ends a side of the sale window', async () => {
    const lessonId = await app.lesson({ onSaleFrom: '2027-01-01T00:00:00Z', onSaleUntil: '2027-02-01T00:00:00Z' });
    const { client } = await app.admin();
    const before = await app.anonymous.run('TestLesson', { id: lessonId });
    const update = async (change: object) => {
      const { availability, ...lesson } = (await client.run('TestUpdateLesson', { input: { lessonId, ...change } })).lesson;
      return lesson;
    };

    const { availability, ...unchanged } = before;
    expect(await update({})).toEqual(unchanged);
    expect(await update({ title: 'Dusk', lane: null })).toEqual({ ...unchanged, title: 'Dusk' });
    expect(await update({ onSaleUntil: null })).toEqual({ ...unchanged, title: 'Dusk', onSaleUntil: null });
    expect(await update({ onSaleFrom: null, onSaleUntil: '2026-01-01T00:00:00Z' })).toEqual({
      ...unchanged,
      title: 'Dusk',
      onSaleFrom: null,
      onSaleUntil: '2026-01-01T00:00:00.000Z',
    });
    expect(availability.version).toBe(1);
  });

  test('one side of the window is checked against the other as stored, and nothing of the change is kept', async () => {
    const lessonId = await app.lesson({ onSaleFrom: '2027-01-01T00:00:00Z' });
    const { client } = await app.admin();

    const refused = await client.run('TestUpdateLesson', {
      input: { lessonId, title: 'Not kept', priceMinor: 1, onSaleUntil: '2026-12-31T00:00:00Z' },
    });

    expect(refused).toMatchObject({ code: 'LESSON_INPUT', field: 'onSaleUntil' });
    expect(await app.anonymous.run('TestLesson', { id: lessonId })).toMatchObject({
      title: 'Dawn masters',
      price: { amountMinor: 80_000 },
      onSaleUntil: null,
    });
  });

  test('a lesson nobody made cannot be changed, closed or resized', async () => {
    const { client } = await app.admin();
    const lessonId = toNodeId('Lesson', nobody);
    const lockers = toNodeId(
      'Lesson',
      Buffer.from(await app.lockers(nextMonth(), 'MALE', 3), 'base64url')
        .toString()
        .split(':')[1] ?? '',
    );

    for (const id of [lessonId, lockers]) {
      expect(await client.run('TestUpdateLesson', { input: { lessonId: id, title: 'x' } })).toMatchObject({ code: 'LESSON_NOT_FOUND' });
      expect(await client.run('TestCloseLessonSale', { lessonId: id })).toMatchObject({ code: 'LESSON_NOT_FOUND' });
      expect(await client.run('TestChangeLessonCapacity', { input: { lessonId: id, capacity: 1 } })).toMatchObject({
        code: 'LESSON_NOT_FOUND',
      });
    }
  });

  test('lessons are listed by month, weekday and level, page by page, without a gap or a repeat', async () => {
    const month = nextMonth();
    const made = [];
    for (let index = 0; index < 7; index++)
      made.push(
        await app.lesson({
          month,
          level: index < 5 ? 'BEGINNER' : 'ADVANCED',
          weekdays: index % 2 === 0 ? ['MONDAY', 'FRIDAY'] : ['TUESDAY'],
          startsAt: `0${7 - Math.floor(index / 2)}:00`,
          endsAt: '09:00',
        }),
      );
    const list = (filter: object, more: object = {}) => app.anonymous.run('TestLessons', { filter: { month, ...filter }, ...more });
    const idsOf = ({ nodes }: Awaited<ReturnType<typeof list>>) => nodes.map(({ id }) => id);

    const pages = [];
    for (let after: string | null | undefined = null; after !== undefined; ) {
      const page: Awaited<ReturnType<typeof list>> = await list({}, { first: 3, after });
      pages.push(idsOf(page));
      expect(page.totalCount).toBe(7);
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : undefined;
    }

    // Later ones were made for earlier times; of one time the one made first comes first.
    const inOrder = [made[6], made[4], made[5], made[2], made[3], made[0], made[1]];
    expect(pages).toEqual([inOrder.slice(0, 3), inOrder.slice(3, 6), inOrder.slice(6)]);
    expect(idsOf(await list({ level: 'ADVANCED' }))).toEqual([made[6], made[5]]);
    expect(idsOf(await list({ weekdays: ['TUESDAY', 'SUNDAY'] }))).toEqual([made[5], made[3], made[1]]);
    expect(idsOf(await list({ weekdays: ['TUESDAY'], level: 'ADVANCED' }))).toEqual([made[5]]);
    expect(idsOf(await list({ weekdays: [], level: null }))).toHaveLength(7);
    expect((await app.anonymous.run('TestLessons', { filter: { month: '2099-12' } })).nodes).toEqual([]);
  });

  test.each([
    ['no item', { first: 0 }],
    ['a negative page', { first: -1 }],
    ['a page of 101', { first: 101 }],
    ['a cursor nobody made', { after: 'x' }],
    ['a cursor of another list', { after: Buffer.from('["x"]').toString('base64url') }],
  ])('%s is bad input', async (_, variables) => {
    const { errors } = await app.anonymous.send('TestLessons', variables);

    expect(errors[0]?.extensions.code).toMatch(/^(BAD_USER_INPUT|TOO_EXPENSIVE)$/);
  });
});
