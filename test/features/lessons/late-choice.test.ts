import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { requestHash } from '../../../src/platform/idempotency/index.ts';
import { nextMonth, type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';

failOnLeaks();

describe.each(['PESSIMISTIC', 'OPTIMISTIC'])('the choice for a late payment, %s', (policy) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  /** One place is taken already: the first claim of a pool goes under the lock, and tells the server which policy it has. */
  const lesson = async (input: object = {}) => {
    const lessonId = await app.lesson({ policy, ...input });
    const { client } = await app.member();
    await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    return lessonId;
  };
  const stored = async (enrollmentId: string) =>
    (await app.query('select if_paid_late, version, request_hash from hold where id = $1', [uuidIn(enrollmentId)]))[0];

  test.each(['SAME_OR_EQUAL', 'SAME', 'REFUND'] as const)('%s is kept and shown', async (ifPaidLate) => {
    const lessonId = await lesson();
    const { client } = await app.member();

    const { enrollment } = await client.run('TestEnrollWithChoice', { input: { lessonId, ifPaidLate, idempotencyKey: randomUUID() } });

    expect(enrollment).toEqual({ id: expect.any(String), state: 'HELD', ifPaidLate, version: 1 });
    expect(await stored(enrollment.id)).toMatchObject({ if_paid_late: ifPaidLate, version: 1 });
    expect((await client.run('TestMyChoices')).nodes).toEqual([enrollment]);
  });

  test('is the same or an equal one for who chooses nothing, whose keys of before there was a choice go on', async () => {
    const lessonId = await lesson();
    const { client } = await app.member();
    const input = { lessonId, idempotencyKey: randomUUID() };

    const { enrollment } = await client.run('TestEnrollWithChoice', { input });
    const again = await client.run('TestEnrollWithChoice', { input: { ...input, ifPaidLate: 'SAME_OR_EQUAL' } });

    expect(enrollment.ifPaidLate).toBe('SAME_OR_EQUAL');
    expect(again.enrollment).toEqual(enrollment);
    expect(await stored(enrollment.id)).toMatchObject({
      request_hash: requestHash('enroll', { lessonId: uuidIn(lessonId), withLocker: false }),
    });
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 2, sold: 0 });
  });

  test('belongs to the request: a repeat with the same is answered with the same place, with another it is refused', async () => {
    const lessonId = await lesson();
    const { client } = await app.member();
    const input = { lessonId, idempotencyKey: randomUUID() };
    const { enrollment } = await client.run('TestEnrollWithChoice', { input: { ...input, ifPaidLate: 'REFUND' } });

    const same = await client.run('TestEnrollWithChoice', { input: { ...input, ifPaidLate: 'REFUND' } });
    const others = [
      await client.run('TestEnrollWithChoice', { input }),
      await client.run('TestEnrollWithChoice', { input: { ...input, ifPaidLate: 'SAME' } }),
    ];

    expect(same.enrollment).toEqual(enrollment);
    expect(others.map(({ code }) => code)).toEqual(['IDEMPOTENCY_KEY_REUSED', 'IDEMPOTENCY_KEY_REUSED']);
    expect(await stored(enrollment.id)).toMatchObject({ if_paid_late: 'REFUND', version: 1 });
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 2, sold: 0 });
  });

  test('is that of the whole hold, its locker too', async () => {
    const month = nextMonth();
    const lockers = await app.lockers(month, 'FEMALE', 3);
    const lessonId = await lesson({ month });
    const { client } = await app.member();

    const { enrollment } = await client.run('TestEnrollWithChoice', {
      input: { lessonId, withLocker: true, ifPaidLate: 'SAME', idempotencyKey: randomUUID() },
    });

    expect(enrollment).toMatchObject({ state: 'HELD', ifPaidLate: 'SAME' });
    expect(await app.counters(lockers)).toEqual({ capacity: 3, held: 1, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test.each([
    ['nothing at all', null],
    ['one nobody knows', 'EQUAL'],
    ['a number', 1],
  ])('%s is bad input', async (_what, ifPaidLate) => {
    const lessonId = await lesson();
    const { client } = await app.member();

    const { errors } = await client.send('TestEnrollWithChoice', { input: { lessonId, ifPaidLate, idempotencyKey: randomUUID() } });

    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 1, sold: 0 });
  });
});

test('the version of an enrolment grows when it is cancelled, and its choice stays', async () => {
  await using app = await testApp();
  const lessonId = await app.lesson();
  const { client } = await app.member();
  const { enrollment } = await client.run('TestEnrollWithChoice', {
    input: { lessonId, ifPaidLate: 'SAME', idempotencyKey: randomUUID() },
  });

  await client.run('TestCancelBooking', { input: { holdId: enrollment.id } });

  expect((await client.run('TestMyChoices')).nodes).toEqual([{ id: enrollment.id, state: 'RELEASED', ifPaidLate: 'SAME', version: 2 }]);
});
