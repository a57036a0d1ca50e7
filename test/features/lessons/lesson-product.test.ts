import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { lessonProduct } from '../../../src/features/lessons/index.ts';
import { InstructorSchema, LessonSchema, LockerStockSchema } from '../../../src/features/lessons/lesson.entity.ts';
import { insertLesson, lockerStockFor } from '../../../src/features/lessons/lessons.service.ts';
import type { ClaimItem } from '../../../src/inventory/claim.ts';
import { nextMonth } from '../../support/app.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

type NewLesson = Parameters<typeof insertLesson>[1];

let stage: TestDatabase;
let instructorId: string;
beforeAll(async () => {
  stage = await testDatabase({ entities: [InstructorSchema, LessonSchema, LockerStockSchema] });
  instructorId = (await stage.query<{ id: string }>("insert into instructor (name) values ('Seo-yeon Kim') returning id"))[0]?.id ?? '';
});
afterAll(() => stage.close());

const lesson = (input: Partial<NewLesson> & Pick<NewLesson, 'month'>) =>
  stage.database.transact(
    (em) =>
      insertLesson(em, {
        title: '새벽 초급',
        level: 'BEGINNER',
        weekdays: ['TUESDAY', 'THURSDAY'],
        startsAt: '06:00',
        endsAt: '23:59',
        lane: 1,
        capacity: 5,
        priceMinor: 54_000,
        policy: 'OPTIMISTIC',
        instructorId,
        monthlyLessonsMax: 3,
        ...input,
      }),
    { name: 'make-lesson' },
  );
const itemOf = (poolId: string, quantity = 1): ClaimItem => ({ kind: 'lesson', poolId, unitId: null, quantity });
const product = () => lessonProduct(stage.database);
const poolsOf = async (items: ClaimItem[]) => (await product().equalsOf(items)).map(([item]) => item?.poolId);

describe('the terms of a lesson', () => {
  test('are its title with the month, its first session, its policy, and the house as organizer', async () => {
    const cancellation = [
      { hoursBefore: 72, percent: 100 },
      { hoursBefore: 0, percent: 50 },
    ];
    const poolId = await lesson({ month: '2027-01', cancellation });

    const terms = await product().termsOf([itemOf(poolId)]);

    expect(product().kind).toBe('lesson');
    // The first Tuesday of January 2027, in Seoul.
    expect(terms).toEqual({
      title: '새벽 초급 (2027-01)',
      startsAt: new Date('2027-01-05T06:00:00+09:00'),
      cancellation,
      organizerId: null,
    });
  });

  test('name the lesson wherever in the hold it is', async () => {
    const month = nextMonth();
    const poolId = await lesson({ month, title: 'With a locker' });
    const lockers = await stage.database.transact((em) => lockerStockFor(em, month, 'FEMALE'), { name: 'make-lockers' });

    const terms = await product().termsOf([{ ...itemOf(lockers), kind: 'locker' }, itemOf(poolId)]);

    expect(terms.title).toBe(`With a locker (${month})`);
  });

  test.each([
    ['of 90 characters is whole', 'x'.repeat(90), `${'x'.repeat(90)} (2028-01)`],
    ['of 91 is cut', 'x'.repeat(91), `${'x'.repeat(89)}… (2028-01)`],
    ['of 200 is cut', '강'.repeat(200), `${'강'.repeat(89)}… (2028-01)`],
    ['is not cut within a character', `${'x'.repeat(88)}${'🏊'.repeat(50)}`, `${'x'.repeat(88)}… (2028-01)`],
    ['does not end in a space where it is cut', `${'x'.repeat(88)} yyyyyyyyyyyy`, `${'x'.repeat(88)}… (2028-01)`],
  ])('a title %s', async (_what, title, shown) => {
    const poolId = await lesson({ month: '2028-01', title });

    const terms = await product().termsOf([itemOf(poolId)]);

    expect(terms.title).toBe(shown);
    expect(terms.title.length).toBeLessThanOrEqual(100);
  });

  test('of what is no lesson are a mistake of ours', async () => {
    const poolId = randomUUID();

    await expect(product().termsOf([itemOf(poolId)])).rejects.toThrow(poolId);
    await expect(product().termsOf([{ ...itemOf(poolId), kind: 'locker' }])).rejects.toThrow('takes no lesson but locker');
    await expect(product().equalsOf([])).rejects.toThrow('takes no lesson but nothing');
  });
});

describe('equal lessons', () => {
  test('are the nearest in the day first, the earlier of two as near, at most 5', async () => {
    const month = nextMonth();
    const poolId = await lesson({ month, startsAt: '12:00' });
    const made: Record<string, string> = {};
    for (const startsAt of ['18:30', '11:00', '13:00', '06:00', '12:10', '09:00', '12:00'])
      made[startsAt] = await lesson({ month, startsAt, weekdays: ['MONDAY'] });

    const equals = await poolsOf([itemOf(poolId)]);

    expect(equals).toEqual(['12:00', '12:10', '11:00', '13:00', '09:00'].map((startsAt) => made[startsAt]));
  });

  test('have the same title, level, month and price, and a place that can be claimed now', async () => {
    const [month, other] = [nextMonth(), nextMonth()];
    const poolId = await lesson({ month });
    const equal = await lesson({ month, lane: 3, cancellation: [], policy: 'PESSIMISTIC', onSaleFrom: past(), onSaleUntil: future() });
    for (const different of [
      { title: '새벽 초급 2' },
      { level: 'ADVANCED' as const },
      { month: other },
      { priceMinor: 54_001 },
      { capacity: 0 },
      { onSaleFrom: future() },
      { onSaleUntil: past() },
    ])
      await lesson({ month, ...different });

    expect(await poolsOf([itemOf(poolId)])).toEqual([equal]);
  });

  test('count what has run out as free, and need room for as many', async () => {
    const month = nextMonth();
    const poolId = await lesson({ month });
    const [full, small, runOut] = [
      await lesson({ month, capacity: 2, startsAt: '06:10' }),
      await lesson({ month, capacity: 1, startsAt: '06:20' }),
      await lesson({ month, capacity: 2, startsAt: '06:30' }),
    ];
    for (const [id, expiresIn] of [
      [full, '1 minute'],
      [runOut, '-1 ms'],
    ]) {
      await stage.query('update pool set held = capacity where id = $1', [id]);
      await stage.query(
        `with placed as (
           insert into hold (kind, claimant_id, amount_minor, currency, expires_at, idempotency_key, request_hash)
           values ('lesson', $1, 0, 'KRW', clock_timestamp() + $2::interval, 'k', '') returning id)
         insert into hold_item (hold_id, position, pool_id, quantity) select id, 0, $3, 2 from placed`,
        [randomUUID(), expiresIn, id],
      );
    }

    expect(await poolsOf([itemOf(poolId, 2)])).toEqual([runOut]);
    expect(await poolsOf([itemOf(poolId)])).toEqual([small, runOut]);
  });

  test('take the place of the lesson; the locker and the quantity stay', async () => {
    const month = nextMonth();
    const [poolId, equal] = [await lesson({ month }), await lesson({ month })];
    const locker = { kind: 'locker', poolId: randomUUID(), unitId: null, quantity: 1 };
    const items = [itemOf(poolId, 2), locker];

    expect(await product().equalsOf(items)).toEqual([[{ kind: 'lesson', poolId: equal, unitId: null, quantity: 2 }, locker]]);
    expect(items).toEqual([itemOf(poolId, 2), locker]);
  });

  test('are none where there is no other', async () => {
    const poolId = await lesson({ month: nextMonth() });

    expect(await product().equalsOf([itemOf(poolId)])).toEqual([]);
  });
});

const past = () => new Date(Date.now() - 3_600_000);
const future = () => new Date(Date.now() + 3_600_000);
