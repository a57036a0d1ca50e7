import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { nextMonth, type TestApp, tally, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { onTwoNodes } from '../../support/two-nodes.ts';

failOnLeaks();

describe('the idempotency key', () => {
  let app: TestApp;
  let other: TestApp;
  onTwoNodes((...nodes) => {
    [app, other] = nodes;
  });

  describe.each(['PESSIMISTIC', 'OPTIMISTIC'])('of an enrolment, %s', (policy) => {
    test('a double click, also on two nodes, makes one enrolment and answers both with it', async () => {
      const lessonId = await app.lesson({ policy });
      const { client, accessToken } = await app.member();
      const input = { lessonId, idempotencyKey: randomUUID() };
      const elsewhere = other.anonymous.as(accessToken);

      const answers = await Promise.all([client, elsewhere, client, elsewhere].map((node) => node.run('TestEnroll', { input })));
      const later = await client.run('TestEnroll', { input });

      expect(tally(answers)).toEqual({ EnrollSuccess: 4 });
      expect(new Set([...answers, later].map(({ enrollment }) => enrollment.id)).size).toBe(1);
      expect(new Set([...answers, later].map(({ enrollment }) => enrollment.expiresAt)).size).toBe(1);
      expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 1, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('with another body it is refused and has no effect', async () => {
      const month = nextMonth();
      const lockerId = await app.lockers(month, 'FEMALE', 5);
      const [one, two] = [await app.lesson({ month, policy }), await app.lesson({ month, policy })];
      const { client } = await app.member();
      const idempotencyKey = randomUUID();
      const { enrollment } = await client.run('TestEnroll', { input: { lessonId: one, idempotencyKey } });

      for (const input of [
        { lessonId: two, idempotencyKey },
        { lessonId: one, withLocker: true, idempotencyKey },
      ])
        expect(await client.run('TestEnroll', { input })).toMatchObject({
          __typename: 'IdempotencyKeyReusedError',
          code: 'IDEMPOTENCY_KEY_REUSED',
        });

      expect(await app.counters(two)).toEqual({ capacity: 10, held: 0, sold: 0 });
      expect(await app.counters(lockerId)).toEqual({ capacity: 5, held: 0, sold: 0 });
      expect(await client.run('TestEnroll', { input: { lessonId: one, withLocker: false, idempotencyKey } })).toMatchObject({
        enrollment: { id: enrollment.id },
      });
    });

    test('two bodies with one key at once: one effect', async () => {
      const [one, two] = [await app.lesson({ policy }), await app.lesson({ policy })];
      const { client } = await app.member();
      const idempotencyKey = randomUUID();
      const endSlowness = await app.slowInserts('hold');

      const answers = await Promise.all([one, two].map((lessonId) => client.send('TestEnroll', { input: { lessonId, idempotencyKey } })));
      await endSlowness();

      expect(answers.flatMap(({ errors }) => errors)).toEqual([]);
      expect(tally(answers.map(({ data }) => data.enroll))).toEqual({ EnrollSuccess: 1, IdempotencyKeyReusedError: 1 });
      expect((await app.counters(one)).held + (await app.counters(two)).held).toBe(1);
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('another member with the same key is independent and learns nothing', async () => {
      const lessonId = await app.lesson({ policy });
      const [one, two] = [await app.member(), await app.member()];
      const idempotencyKey = randomUUID();

      const hers = await one.client.run('TestEnroll', { input: { lessonId, idempotencyKey } });
      const his = await two.client.run('TestEnroll', { input: { lessonId, idempotencyKey } });

      expect(his).toMatchObject({ __typename: 'EnrollSuccess' });
      expect(his.enrollment.id).not.toBe(hers.enrollment.id);
      expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 2, sold: 0 });
    });

    test('a refused enrolment is decided anew when it is repeated', async () => {
      const lessonId = await app.lesson({ capacity: 0, policy });
      const { client } = await app.member();
      const input = { lessonId, idempotencyKey: randomUUID() };
      expect(await client.run('TestEnroll', { input })).toMatchObject({ code: 'SOLD_OUT' });

      await (await app.admin()).client.run('TestChangeLessonCapacity', { input: { lessonId, capacity: 1 } });

      expect(await client.run('TestEnroll', { input })).toMatchObject({ __typename: 'EnrollSuccess' });
    });

    test('a sold-out lesson still answers a winner who repeats', async () => {
      const lessonId = await app.lesson({ capacity: 1, policy });
      const { client } = await app.member();
      const input = { lessonId, idempotencyKey: randomUUID() };
      const won = await client.run('TestEnroll', { input });

      const repeated = await client.run('TestEnroll', { input });

      expect(repeated.enrollment).toEqual(won.enrollment);
    });
  });

  test('a double-submitted lesson is one lesson', async () => {
    const { client } = await app.admin();
    const instructorKey = randomUUID();
    const made = await Promise.all(
      [1, 2].map(() => client.run('TestCreateInstructor', { input: { name: 'Do-yun Lee', idempotencyKey: instructorKey } })),
    );
    expect(made[0]?.instructor.id).toBe(made[1]?.instructor.id);
    const month = nextMonth();
    const input = {
      title: 'Twice',
      level: 'MASTERS' as const,
      month,
      weekdays: ['MONDAY' as const],
      startsAt: '06:00',
      endsAt: '06:50',
      lane: 1,
      capacity: 10,
      priceMinor: 1,
      instructorId: made[0]!.instructor.id,
      idempotencyKey: randomUUID(),
    };

    const lessons = await Promise.all([1, 2, 3].map(() => client.run('TestCreateLesson', { input })));

    expect(new Set(lessons.map(({ lesson }) => lesson.id)).size).toBe(1);
    expect(await app.query('select count(*)::int as count from lesson where month = $1', [month])).toEqual([{ count: 1 }]);
    expect(await client.run('TestCreateLesson', { input: { ...input, title: 'Another' } })).toMatchObject({
      code: 'IDEMPOTENCY_KEY_REUSED',
    });
    const [pools] = await app.query(
      'select count(*)::int as count from pool p where kind = $1 and not exists (select from lesson where id = p.id)',
      ['lesson'],
    );
    expect(pools).toEqual({ count: 0 });
    expect(uuidIn(lessons[0]!.lesson.id)).toMatch(/^[0-9a-f-]{36}$/);
  });
});
