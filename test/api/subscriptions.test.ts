import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../src/platform/graphql/node-ids.ts';
import { nextMonth, type TestApp, testApp } from '../support/app.ts';
import { type AvailabilityState, Watch } from '../support/client.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { payFor } from '../support/payments.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();

describe('availabilityChanged', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  const shape = ({ capacity, free, held, sold }: AvailabilityState) => ({ capacity, free, held, sold });

  test('the current state first, then each change: enrol, pay, cancel, run out, capacity', async () => {
    const lessonId = await app.lesson({ capacity: 3 });
    const { client: admin } = await app.admin();
    const [one, two] = [await app.member(), await app.member()];
    const watch = await app.anonymous.watch(lessonId);
    const sees = (state: object) => eventually(() => expect(shape(watch.lastOf(lessonId)!)).toEqual(state));
    expect(watch.of(lessonId).map(shape)).toEqual([{ capacity: 3, free: 3, held: 0, sold: 0 }]);

    const { enrollment } = await one.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    await sees({ capacity: 3, free: 2, held: 1, sold: 0 });

    await payFor(one.client, enrollment.id);
    await sees({ capacity: 3, free: 2, held: 0, sold: 1 });

    await one.client.run('TestCancelBooking', { input: { holdId: enrollment.id } });
    await sees({ capacity: 3, free: 3, held: 0, sold: 0 });

    const unpaid = await two.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    await sees({ capacity: 3, free: 2, held: 1, sold: 0 });
    await app.expire(unpaid.enrollment.id);
    await sees({ capacity: 3, free: 3, held: 0, sold: 0 });

    await admin.run('TestChangeLessonCapacity', { input: { lessonId, capacity: 7 } });
    await sees({ capacity: 7, free: 7, held: 0, sold: 0 });

    const versions = watch.of(lessonId).map(({ version }) => version);
    expect(versions).toEqual([...versions].sort((a, b) => a - b));
    const { availability } = await app.anonymous.run('TestLesson', { id: lessonId });
    const { at: _, ...last } = watch.lastOf(lessonId)!;
    expect(availability).toMatchObject(last);
    expect(watch.errors).toEqual([]);
    await watch.close();
  });

  test('a hold that runs out is seen without any sweep', async () => {
    await using quiet = await testApp();
    await quiet.stopSweeping();
    const lessonId = await quiet.lesson({ capacity: 1 });
    const { client } = await quiet.member();
    const { enrollment } = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    const watch = await quiet.anonymous.watch(lessonId);
    expect(shape(watch.lastOf(lessonId)!)).toEqual({ capacity: 1, free: 0, held: 1, sold: 0 });

    await quiet.expire(enrollment.id);

    await eventually(() => expect(shape(watch.lastOf(lessonId)!)).toEqual({ capacity: 1, free: 1, held: 0, sold: 0 }));
    await watch.close();
  });

  test('a lesson and the lockers of its month in one subscription, each with its own id', async () => {
    const month = nextMonth();
    const lockerId = await app.lockers(month, 'FEMALE', 5);
    const lessonId = await app.lesson({ month, capacity: 2 });
    const { client } = await app.member();
    const watch = await app.anonymous.watch(lessonId, lockerId);
    expect([watch.lastOf(lessonId)?.free, watch.lastOf(lockerId)?.free]).toEqual([2, 5]);

    const { enrollment } = await client.run('TestEnroll', { input: { lessonId, withLocker: true, idempotencyKey: randomUUID() } });
    await eventually(() => expect([watch.lastOf(lessonId)?.free, watch.lastOf(lockerId)?.free]).toEqual([1, 4]));
    await client.run('TestCancelBooking', { input: { holdId: enrollment.id } });
    await eventually(() => expect([watch.lastOf(lessonId)?.free, watch.lastOf(lockerId)?.free]).toEqual([2, 5]));

    expect(new Set(watch.states.map(({ id }) => id))).toEqual(new Set([lessonId, lockerId]));
    await watch.close();
  });

  test('an id nobody knows says nothing, and does not silence the others', async () => {
    const lessonId = await app.lesson();
    const watch = new Watch(app.url, [toNodeId('Lesson', '00000000-0000-7000-8000-000000000000'), lessonId]);

    await eventually(() => watch.lastOf(lessonId));
    const { client } = await app.member();
    await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });

    await eventually(() => expect(watch.lastOf(lessonId)?.free).toBe(9));
    expect(watch.states.map(({ id }) => id)).toEqual([lessonId, lessonId]);
    await watch.close();
  });

  test.each([
    ['that is none', 'x', 'This is not an id of Performance or Tier or Lesson or LockerStock.'],
    [
      'of a member',
      toNodeId('Member', '00000000-0000-7000-8000-000000000000'),
      'This is the id of a Member; an id of Performance or Tier or Lesson or LockerStock is expected here.',
    ],
  ])('one id %s among good ones is an error, and nothing is watched', async (_, id, message) => {
    const watch = new Watch(app.url, [await app.lesson(), id]);

    await eventually(() => expect(watch.errors).toMatchObject([{ message, extensions: { code: 'BAD_USER_INPUT' } }]));
    expect(watch.states).toEqual([]);
    await watch.close();
  });

  test('fifty watchers of a rush all end where the query ends, and the server forgets them when they go', async () => {
    const lessonId = await app.lesson({ capacity: 40 });
    const watches = await Promise.all(Array.from({ length: 50 }, () => app.anonymous.watch(lessonId)));
    const members = await app.members(60);

    await Promise.all(members.map(({ client }) => client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } })));

    const { availability } = await app.anonymous.run('TestLesson', { id: lessonId });
    expect(shape(availability)).toEqual({ capacity: 40, free: 0, held: 40, sold: 0 });
    for (const watch of watches) {
      await eventually(() => expect(watch.lastOf(lessonId)).toMatchObject({ ...shape(availability), version: availability.version }));
      const versions = watch.of(lessonId).map(({ version }) => version);
      expect(versions).toEqual([...versions].sort((a, b) => a - b));
    }
    for (const watch of watches) await watch.close();
    await eventually(() => expect(app.app.sockets.size).toBe(0));
    await eventually(() => expect([app.app.live.watchers, app.app.live.objects]).toEqual([0, 0]));
  });
});
