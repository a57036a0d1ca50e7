import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { nextMonth, type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';

failOnLeaks();

describe.each(['PESSIMISTIC', 'OPTIMISTIC'])('a hold that runs out, with no worker and no sweeper, %s', (policy) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp({ role: 'api' });
    await app.stopSweeping();
  });
  afterAll(() => app.close());

  const enroll = (client: TestApp['anonymous'], lessonId: string, more: object = {}) =>
    client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID(), ...more } });

  test('counts for nothing from that instant: in the lesson, in the list, and for the next claimant', async () => {
    const month = nextMonth();
    const lessonId = await app.lesson({ capacity: 1, month, policy });
    const freeOnly = () => app.anonymous.run('TestLessons', { filter: { month, freeOnly: true } });
    const availability = async () => (await app.anonymous.run('TestLesson', { id: lessonId })).availability;
    const [slow, next] = [await app.member(), await app.member()];
    const { enrollment } = await enroll(slow.client, lessonId);
    expect(await availability()).toMatchObject({ capacity: 1, free: 0, held: 1, sold: 0 });
    expect(await freeOnly()).toMatchObject({ totalCount: 0, nodes: [] });
    expect(await enroll(next.client, lessonId)).toMatchObject({ code: 'SOLD_OUT' });

    await app.expire(enrollment.id);

    expect(await availability()).toMatchObject({ capacity: 1, free: 1, held: 0, sold: 0 });
    expect(await freeOnly()).toMatchObject({ totalCount: 1, nodes: [{ id: lessonId }] });
    expect((await slow.client.run('TestMyEnrollments')).nodes).toMatchObject([{ id: enrollment.id, state: 'EXPIRED' }]);
    // Nobody has tidied: the row still says that it is held.
    expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 1, sold: 0 });
    expect(await enroll(next.client, lessonId)).toMatchObject({ __typename: 'EnrollSuccess' });
    expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 1, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('is not in its own member’s way, neither as the one enrolment nor under the monthly limit', async () => {
    const month = nextMonth();
    const lessonIds = await Promise.all(Array.from({ length: 5 }, () => app.lesson({ month, policy })));
    const { client } = await app.member();
    const first = await enroll(client, lessonIds[0] as string);
    for (const lessonId of lessonIds.slice(1, 4)) await enroll(client, lessonId);
    expect(await enroll(client, lessonIds[4] as string)).toMatchObject({ code: 'MONTHLY_LIMIT_REACHED', limit: 4 });
    expect(await enroll(client, lessonIds[0] as string)).toMatchObject({ code: 'ALREADY_ENROLLED' });

    await app.expire(first.enrollment.id);

    expect(await enroll(client, lessonIds[0] as string)).toMatchObject({ __typename: 'EnrollSuccess' });
    expect(await enroll(client, lessonIds[4] as string)).toMatchObject({ code: 'MONTHLY_LIMIT_REACHED' });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('gives its locker to the next claimant too', async () => {
    const month = nextMonth();
    const lockerId = await app.lockers(month, 'FEMALE', 1);
    const [one, two] = [await app.lesson({ month, policy }), await app.lesson({ month, policy })];
    const [slow, next] = [await app.member(), await app.member()];
    const { enrollment } = await enroll(slow.client, one, { withLocker: true });
    expect(await enroll(next.client, two, { withLocker: true })).toMatchObject({ code: 'NO_LOCKER_LEFT' });

    await app.expire(enrollment.id);

    expect((await app.anonymous.run('TestLockers', { month }))[0]?.availability).toMatchObject({ free: 1, held: 0 });
    expect(await enroll(next.client, two, { withLocker: true })).toMatchObject({
      __typename: 'EnrollSuccess',
      enrollment: { locker: { id: lockerId, gender: 'FEMALE' } },
    });
    expect(await app.counters(lockerId)).toEqual({ capacity: 1, held: 1, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('cannot be paid, cannot be cancelled, and its repeated enrolment answers that it has expired', async () => {
    const lessonId = await app.lesson({ policy });
    const { client } = await app.member();
    const idempotencyKey = randomUUID();
    const { enrollment } = await enroll(client, lessonId, { idempotencyKey });
    await app.expire(enrollment.id);

    const paid = await client.run('TestPreparePayment', {
      input: { holdId: enrollment.id, provider: 'TOSS', idempotencyKey: randomUUID() },
    });
    const repeated = await enroll(client, lessonId, { idempotencyKey });

    expect(paid).toMatchObject({ __typename: 'HoldExpiredError', code: 'HOLD_EXPIRED' });
    expect(repeated).toMatchObject({ __typename: 'EnrollSuccess', enrollment: { id: enrollment.id, state: 'EXPIRED' } });
    expect(await app.query('select count(*)::int as count from payment')).toEqual([{ count: 0 }]);
    expect(app.simulator.payments()).toEqual([]);
  });

  test('a late claimant is not refused for holds that run out between two claims of one batch', async () => {
    const lessonId = await app.lesson({ capacity: 3, policy });
    const early = await app.members(3);
    const held = await Promise.all(early.map(({ client }) => enroll(client, lessonId)));
    for (const { enrollment } of held) await app.expire(enrollment.id);

    const late = await app.members(5);
    const answers = await Promise.all(late.map(({ client }) => enroll(client, lessonId)));

    expect(answers.filter(({ enrollment }) => enrollment)).toHaveLength(3);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 3, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });
});

test('the sweeper tidies what has run out', async () => {
  await using app = await testApp();
  const lessonId = await app.lesson({ capacity: 1 });
  const { client } = await app.member();
  const { enrollment } = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });

  await app.expire(enrollment.id);
  await app.app.inventory.sweep();

  expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
  expect((await client.run('TestMyEnrollments')).nodes).toMatchObject([{ id: enrollment.id, state: 'EXPIRED' }]);
  expect(await client.run('TestCancelBooking', { input: { holdId: enrollment.id } })).toMatchObject({ code: 'HOLD_EXPIRED' });
});
