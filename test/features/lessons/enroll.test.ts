import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { nextMonth, type TestApp, tally, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { payFor } from '../../support/payments.ts';

failOnLeaks();

const enroll = (client: TestClient, lessonId: string, more: object = {}) =>
  client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID(), ...more } });

describe('enroll', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  const holds = async () => (await app.query<{ count: number }>('select count(*)::int as count from hold'))[0]?.count;

  test('holds a place for five minutes by the database clock, at the price of the moment, with the address on record', async () => {
    const lessonId = await app.lesson({ priceMinor: 72_000, title: 'Dawn beginners' });
    const { client, uuid } = await app.member();

    const { enrollment } = await enroll(client, lessonId);

    expect(enrollment).toEqual({
      id: expect.any(String),
      state: 'HELD',
      expiresAt: expect.any(String),
      createdAt: expect.any(String),
      amount: { amountMinor: 72_000, currency: 'KRW' },
      lesson: { id: lessonId, title: 'Dawn beginners' },
      locker: null,
    });
    expect(Date.parse(enrollment.expiresAt) - Date.parse(enrollment.createdAt)).toBe(300_000);
    expect(await app.query('select claimant_id, state, host(client_ip) as ip from hold where id = $1', [uuidIn(enrollment.id)])).toEqual([
      { claimant_id: uuid, state: 'HELD', ip: '127.0.0.1' },
    ]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 1, sold: 0 });
  });

  test('keeps the price a hold was placed at when the price of the lesson changes', async () => {
    const lessonId = await app.lesson({ priceMinor: 50_000 });
    const [early, late] = [await app.member(), await app.member()];
    const { enrollment } = await enroll(early.client, lessonId);
    const { client: admin } = await app.admin();

    expect((await admin.run('TestUpdateLesson', { input: { lessonId, priceMinor: 60_000 } })).lesson.price.amountMinor).toBe(60_000);

    const paymentId = await payFor(early.client, enrollment.id);
    expect(await early.client.run('TestPayment', { id: paymentId })).toMatchObject({
      state: 'APPROVED',
      amount: { amountMinor: 50_000, currency: 'KRW' },
      captured: { amountMinor: 50_000 },
    });
    expect((await early.client.run('TestMyEnrollments')).nodes[0]?.amount.amountMinor).toBe(50_000);
    expect((await enroll(late.client, lessonId)).enrollment.amount.amountMinor).toBe(60_000);
  });

  test('a member who has the lesson is told so, with the enrolment to pay or to cancel', async () => {
    const lessonId = await app.lesson();
    const { client } = await app.member();
    const { enrollment } = await enroll(client, lessonId);

    expect(await enroll(client, lessonId)).toMatchObject({
      __typename: 'AlreadyEnrolledError',
      code: 'ALREADY_ENROLLED',
      existing: { id: enrollment.id, state: 'HELD' },
    });
    await payFor(client, enrollment.id);
    expect(await enroll(client, lessonId)).toMatchObject({ existing: { id: enrollment.id, state: 'CONFIRMED' } });
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 1 });
  });

  test('ten tries of one member at once, each with a key of its own, take one place', async () => {
    const lessonId = await app.lesson();
    const { client } = await app.member();

    const answers = await Promise.all(Array.from({ length: 10 }, () => enroll(client, lessonId)));

    expect(tally(answers)).toEqual({ EnrollSuccess: 1, AlreadyEnrolledError: 9 });
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 1, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('an enrolment that was cancelled can be made again', async () => {
    const lessonId = await app.lesson();
    const { client } = await app.member();
    const { enrollment } = await enroll(client, lessonId);

    await client.run('TestCancelBooking', { input: { holdId: enrollment.id } });

    expect(await enroll(client, lessonId)).toMatchObject({ __typename: 'EnrollSuccess' });
  });

  test('not on sale yet: the lesson says when to come back', async () => {
    const onSaleFrom = '2099-01-20T00:00:00.000Z';
    const lessonId = await app.lesson({ onSaleFrom });
    const { client } = await app.member();

    expect(await enroll(client, lessonId)).toMatchObject({
      __typename: 'LessonNotYetOnSaleError',
      code: 'NOT_YET_ON_SALE',
      lesson: { id: lessonId, onSaleFrom },
    });
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });

    const { client: admin } = await app.admin();
    const opened = await admin.run('TestUpdateLesson', { input: { lessonId, onSaleFrom: null } });
    expect(opened.lesson.onSaleFrom).toBeNull();
    expect(await enroll(client, lessonId)).toMatchObject({ __typename: 'EnrollSuccess' });
  });

  test('sale over', async () => {
    const lessonId = await app.lesson({ onSaleFrom: '2020-01-01T00:00:00Z', onSaleUntil: '2020-01-02T00:00:00Z' });
    const { client } = await app.member();

    expect(await enroll(client, lessonId)).toMatchObject({ __typename: 'LessonSaleClosedError', code: 'SALE_CLOSED' });
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });
  });

  test('of several reasons the first is told: closed, then enrolled already, then the monthly limit, then sold out', async () => {
    const month = nextMonth();
    const lessonIds = await Promise.all(Array.from({ length: 5 }, () => app.lesson({ month, capacity: 1 })));
    const { client } = await app.member();
    for (const lessonId of lessonIds.slice(0, 4)) await enroll(client, lessonId);
    const rival = await app.member();
    await enroll(rival.client, lessonIds[4]!);

    expect(await enroll(client, lessonIds[4]!)).toMatchObject({ code: 'MONTHLY_LIMIT_REACHED' });
    expect(await enroll(client, lessonIds[0]!)).toMatchObject({ code: 'ALREADY_ENROLLED' });
    expect(await enroll(rival.client, lessonIds[0]!)).toMatchObject({ code: 'SOLD_OUT' });
    await (await app.admin()).client.run('TestCloseLessonSale', { lessonId: lessonIds[0]! });
    expect(await enroll(client, lessonIds[0]!)).toMatchObject({ code: 'SALE_CLOSED' });
    expect(await enroll(rival.client, lessonIds[0]!)).toMatchObject({ code: 'SALE_CLOSED' });
  });

  test('refusals in the language that was asked for', async () => {
    const lessonId = await app.lesson({ capacity: 0 });
    const { client } = await app.member();

    const { data } = await client.send(
      'TestEnroll',
      { input: { lessonId, idempotencyKey: randomUUID() } },
      { 'accept-language': 'ko-KR,ko;q=0.9' },
    );

    expect(data.enroll.message).toBe(
      '남은 자리가 없습니다. 결제되지 않은 자리는 5분 안에 반환되니 실시간 현황을 확인하거나 다른 강습을 선택해 주세요.',
    );
  });

  describe('ids', () => {
    const unknown = '00000000-0000-7000-8000-000000000000';

    test.each([
      ['a lesson nobody made', async () => toNodeId('Lesson', unknown)],
      ['the pool of lockers, said to be a lesson', async () => toNodeId('Lesson', uuidIn(await app.lockers(nextMonth(), 'MALE', 5)))],
    ])('%s is not found', async (_, idOf) => {
      const lessonId = await idOf();
      const { client } = await app.member();
      const before = await holds();

      expect(await enroll(client, lessonId)).toMatchObject({ __typename: 'LessonNotFoundError', code: 'LESSON_NOT_FOUND' });
      expect(await enroll(client, lessonId, { withLocker: true })).toMatchObject({ code: 'LESSON_NOT_FOUND' });
      expect(await holds()).toBe(before);
    });

    test.each([
      ['of another type', async () => (await app.member()).id],
      ['of lockers', async () => app.lockers(nextMonth(), 'MALE', 5)],
      ['of an enrolment', async () => toNodeId('Enrollment', unknown)],
      ['that is a plain uuid', async () => unknown],
      ['that is empty', async () => ''],
      ['that is SQL', async () => "' or true; --"],
      ['in another spelling of the same bytes', async () => `${toNodeId('Lesson', unknown)}=`],
      ['with an upper-case uuid', async () => toNodeId('Lesson', 'ABCDEF00-0000-7000-8000-000000000000')],
      ['of 10,000 characters', async () => 'a'.repeat(10_000)],
    ])('an id %s is bad input', async (_, idOf) => {
      const lessonId = await idOf();
      const { client } = await app.member();
      const before = await holds();

      const answer = await client.send('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });

      expect(answer.data).toEqual({ enroll: null });
      expect(answer.errors).toEqual([expect.objectContaining({ extensions: { code: 'BAD_USER_INPUT' } })]);
      expect(await holds()).toBe(before);
    });
  });

  test.each([
    ['empty', ''],
    ['of 201 characters', 'k'.repeat(201)],
    ['with a space', 'a key'],
    ['outside ASCII', '열쇠'],
    ['with a control character', 'a\u0007b'],
    ['with U+0000', 'a\0b'],
    ['with a lone surrogate', 'a\ud800b'],
    ['of 10,001 characters', 'k'.repeat(10_001)],
  ])('an idempotency key %s is bad input', async (_, idempotencyKey) => {
    const lessonId = await app.lesson();
    const { client } = await app.member();

    const answer = await client.send('TestEnroll', { input: { lessonId, idempotencyKey } });

    expect(answer.errors).toEqual([expect.objectContaining({ extensions: { code: 'BAD_USER_INPUT' } })]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });
  });

  test.each([
    ['a quantity nobody offers', { quantity: 2 }],
    ['null for the locker', { withLocker: null }],
    ['a text for the locker', { withLocker: 'true' }],
    ['no key', { idempotencyKey: undefined }],
  ])('%s is bad input', async (_, more) => {
    const lessonId = await app.lesson();
    const { client } = await app.member();

    const answer = await client.send('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID(), ...more } });

    expect(answer.errors).toEqual([expect.objectContaining({ extensions: { code: 'BAD_USER_INPUT' } })]);
    expect(answer.status).toBe(400);
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });
  });
});

describe('lockers', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  test.each(['PESSIMISTIC', 'OPTIMISTIC'])(
    'a locker comes with the place or neither does: twelve women at once for 5 lockers, %s',
    async (policy) => {
      const month = nextMonth();
      const lockerId = await app.lockers(month, 'FEMALE', 5);
      const lessonId = await app.lesson({ capacity: 20, month, policy });
      const women = await Promise.all(Array.from({ length: 12 }, () => app.member('MEMBER', 'FEMALE')));

      const answers = await Promise.all(women.map(({ client }) => enroll(client, lessonId, { withLocker: true })));

      expect(tally(answers)).toEqual({ EnrollSuccess: 5, NoLockerLeftError: 7 });
      expect(answers.find(({ code }) => code === 'NO_LOCKER_LEFT')).toMatchObject({ gender: 'FEMALE' });
      expect(await app.counters(lessonId)).toEqual({ capacity: 20, held: 5, sold: 0 });
      expect(await app.counters(lockerId)).toEqual({ capacity: 5, held: 5, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    },
  );

  test('each gender has its own stock, and both come back when the enrolment is cancelled', async () => {
    const month = nextMonth();
    const [women, men] = [await app.lockers(month, 'FEMALE', 1), await app.lockers(month, 'MALE', 1)];
    const lessonId = await app.lesson({ month });
    const [woman, man] = [await app.member('MEMBER', 'FEMALE'), await app.member('MEMBER', 'MALE')];
    const free = async () =>
      Object.fromEntries(
        (await app.anonymous.run('TestLockers', { month })).map((stock: { id: string; availability: { free: number } }) => [
          stock.id,
          stock.availability.free,
        ]),
      );

    const hers = await enroll(woman.client, lessonId, { withLocker: true });
    const his = await enroll(man.client, lessonId, { withLocker: true });

    expect(hers.enrollment.locker).toEqual({ id: women, gender: 'FEMALE' });
    expect(his.enrollment.locker).toEqual({ id: men, gender: 'MALE' });
    expect(await free()).toEqual({ [women]: 0, [men]: 0 });

    await woman.client.run('TestCancelBooking', { input: { holdId: hers.enrollment.id } });
    await payFor(man.client, his.enrollment.id);
    expect(await free()).toEqual({ [women]: 1, [men]: 0 });
    await man.client.run('TestCancelBooking', { input: { holdId: his.enrollment.id } });
    expect(await free()).toEqual({ [women]: 1, [men]: 1 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a member without a gender is refused a locker, and nothing is taken', async () => {
    const month = nextMonth();
    await app.lockers(month, 'FEMALE', 5);
    const lessonId = await app.lesson({ month });
    const { client } = await app.member('MEMBER', null);

    expect(await enroll(client, lessonId, { withLocker: true })).toMatchObject({ code: 'LOCKER_GENDER_UNKNOWN' });
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });
    expect(await enroll(client, lessonId)).toMatchObject({ __typename: 'EnrollSuccess' });
  });

  test('a month without lockers: none is left, and the place is not taken', async () => {
    const lessonId = await app.lesson();
    const { client } = await app.member('MEMBER', 'MALE');

    expect(await enroll(client, lessonId, { withLocker: true })).toMatchObject({ code: 'NO_LOCKER_LEFT', gender: 'MALE' });
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });
  });

  test('a sold-out lesson is said before a missing locker, and takes no locker', async () => {
    const month = nextMonth();
    const lockerId = await app.lockers(month, 'FEMALE', 5);
    const lessonId = await app.lesson({ month, capacity: 0 });
    const { client } = await app.member();

    expect(await enroll(client, lessonId, { withLocker: true })).toMatchObject({ code: 'SOLD_OUT' });
    expect(await app.counters(lockerId)).toEqual({ capacity: 5, held: 0, sold: 0 });
  });

  test('the number of lockers goes up and down, never below what is taken', async () => {
    const month = nextMonth();
    const lockerId = await app.lockers(month, 'FEMALE', 2);
    const lessonId = await app.lesson({ month });
    const { client } = await app.member();
    await enroll(client, lessonId, { withLocker: true });
    const { client: admin } = await app.admin();
    const set = (capacity: number) => admin.run('TestSetLockerCapacity', { input: { month, gender: 'FEMALE', capacity } });

    expect(await set(0)).toMatchObject({ __typename: 'CapacityBelowTakenError', held: 1, sold: 0 });
    expect((await set(1)).lockerStock).toMatchObject({ id: lockerId, availability: { capacity: 1, free: 0 } });
    expect(await set(-1)).toMatchObject({ __typename: 'LessonInputError', field: 'capacity' });
    expect(await set(100_001)).toMatchObject({ __typename: 'LessonInputError', field: 'capacity' });
    expect(await app.counters(lockerId)).toEqual({ capacity: 1, held: 1, sold: 0 });
  });
});

describe('where a member calls from', () => {
  const address = async (app: TestApp, headers: Record<string, string>) => {
    const lessonId = await app.lesson();
    const { client, uuid } = await app.member();
    await client.send('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } }, headers);
    return (await app.query<{ ip: string }>('select host(client_ip) as ip from hold where claimant_id = $1', [uuid]))[0]?.ip;
  };

  test('a header is not believed from just anybody', async () => {
    await using app = await testApp();

    expect(await address(app, { 'x-forwarded-for': '203.0.113.7' })).toBe('127.0.0.1');
  });

  test('a trusted proxy is believed, and what its client wrote before it is not', async () => {
    await using app = await testApp({ environment: { TRUSTED_PROXIES: '127.0.0.1' } });

    expect(await address(app, { 'x-forwarded-for': '198.51.100.1, 203.0.113.7' })).toBe('203.0.113.7');
    expect(await address(app, {})).toBe('127.0.0.1');
  });
});
