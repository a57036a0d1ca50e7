import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, type TestMember, tally, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { ended, payFor } from '../../support/payments.ts';

const POLICIES = ['PESSIMISTIC', 'OPTIMISTIC'] as const;

failOnLeaks();

describe('never past its capacity', () => {
  let app: TestApp;
  /** A second node on the same database. */
  let other: TestApp;
  beforeAll(async () => {
    app = await testApp();
    other = await testApp({ databaseUrl: app.databaseUrl });
  });
  afterAll(async () => {
    await other.close();
    await app.close();
  });

  /** Every member at once, every second one at the other node. */
  const enrollAll = (members: readonly TestMember[], lessonId: string) =>
    Promise.all(
      members.map(({ client, accessToken }, index) =>
        (index % 2 === 0 ? client : other.anonymous.as(accessToken)).run('TestEnroll', {
          input: { lessonId, idempotencyKey: randomUUID() },
        }),
      ),
    );

  const pay = async ({ client }: TestMember, enrollment: { id: string }) => ended(client, await payFor(client, enrollment.id));

  describe.each(POLICIES)('%s', (policy) => {
    test('11 at once for 10 places: exactly 10, and the eleventh is shown lessons with free places', async () => {
      const month = '2030-01';
      const [lessonId, early, late] = [
        await app.lesson({ capacity: 10, month: month, level: 'BEGINNER', policy }),
        await app.lesson({ capacity: 1, month, level: 'BEGINNER', startsAt: '05:00', policy }),
        await app.lesson({ capacity: 1, month, level: 'BEGINNER', startsAt: '05:30', policy }),
      ];
      await app.lesson({ capacity: 1, month, level: 'MASTERS', policy });
      await app.lesson({ capacity: 0, month, level: 'BEGINNER', policy });

      const answers = await enrollAll(await app.members(11), lessonId);

      expect(tally(answers)).toEqual({ EnrollSuccess: 10, NoPlaceLeftError: 1 });
      expect(answers.find(({ code }) => code === 'SOLD_OUT')?.alternatives).toEqual([{ id: early }, { id: late }]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 10, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
      await app.query("update lesson set month = '2029-01' where month = $1", [month]);
    });

    test('5 paid and 7 more at once for 10 places: exactly 5 more', async () => {
      const lessonId = await app.lesson({ capacity: 10, policy });
      const members = await app.members(12);
      const first = await enrollAll(members.slice(0, 5), lessonId);
      const paid = await Promise.all(first.map(({ enrollment }, index) => pay(members[index] as TestMember, enrollment)));
      expect(paid.map(({ state }) => state)).toEqual(Array(5).fill('APPROVED'));

      const more = await enrollAll(members.slice(5), lessonId);

      expect(tally(more)).toEqual({ EnrollSuccess: 5, NoPlaceLeftError: 2 });
      expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 5, sold: 5 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('200 at once for 30 places on two nodes: exactly 30', async () => {
      const lessonId = await app.lesson({ capacity: 30, policy });

      const answers = await enrollAll(await app.members(200), lessonId);

      expect(tally(answers)).toEqual({ EnrollSuccess: 30, NoPlaceLeftError: 170 });
      expect(new Set(answers.flatMap(({ enrollment }) => (enrollment ? [enrollment.id] : []))).size).toBe(30);
      expect(await app.counters(lessonId)).toEqual({ capacity: 30, held: 30, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('capacity goes up and down under live holds, and never below what is held and sold', async () => {
      const lessonId = await app.lesson({ capacity: 4, policy });
      const { client } = await app.admin();
      const change = (capacity: number) => client.run('TestChangeLessonCapacity', { input: { lessonId, capacity } });
      const members = await app.members(10);
      const [paid] = await enrollAll(members.slice(0, 3), lessonId);
      await pay(members[0] as TestMember, paid!.enrollment);

      expect(await change(2)).toMatchObject({ __typename: 'CapacityBelowTakenError', code: 'CAPACITY_BELOW_TAKEN', held: 2, sold: 1 });
      expect(await app.counters(lessonId)).toEqual({ capacity: 4, held: 2, sold: 1 });

      expect((await change(3)).lesson.availability).toMatchObject({ capacity: 3, free: 0, held: 2, sold: 1 });
      expect(tally(await enrollAll(members.slice(3, 5), lessonId))).toEqual({ NoPlaceLeftError: 2 });

      expect((await change(5)).lesson.availability).toMatchObject({ capacity: 5, free: 2, held: 2, sold: 1 });
      expect(tally(await enrollAll(members.slice(3, 7), lessonId))).toEqual({ EnrollSuccess: 2, NoPlaceLeftError: 2 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('a hold that has run out does not stand in the way of a lower capacity', async () => {
      const lessonId = await app.lesson({ capacity: 2, policy });
      const { client } = await app.admin();
      const [gone] = await enrollAll(await app.members(2), lessonId);
      await app.expire(gone!.enrollment.id);

      const changed = await client.run('TestChangeLessonCapacity', { input: { lessonId, capacity: 1 } });

      expect(changed.lesson.availability).toMatchObject({ capacity: 1, free: 0, held: 1, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('capacity lowered in the middle of a rush holds for everybody who comes after', async () => {
      const lessonId = await app.lesson({ capacity: 40, policy });
      const { client } = await app.admin();
      const members = await app.members(60);

      const [changed, answers] = await Promise.all([
        client.run('TestChangeLessonCapacity', { input: { lessonId, capacity: 20 } }),
        enrollAll(members, lessonId),
      ]);

      const { EnrollSuccess } = tally(answers);
      const { capacity, held } = await app.counters(lessonId);
      expect(held).toBe(EnrollSuccess);
      if (changed.__typename === 'LessonSuccess') expect({ capacity, held }).toEqual({ capacity: 20, held: 20 });
      else expect({ type: changed.__typename, capacity, held }).toEqual({ type: 'CapacityBelowTakenError', capacity: 40, held: 40 });
      expect(await app.brokenInvariants()).toEqual([]);
    });
  });
});

test('negative control: without the row lock two nodes sell one place twice, and the invariants say so', async () => {
  await using app = await testApp();
  const other = await testApp({ databaseUrl: app.databaseUrl });
  const lessonId = await app.lesson({ capacity: 1 });
  const [one, two] = [await app.member(), await app.member()];
  await app.query('alter table pool drop constraint pool_never_oversold');
  await app.sabotage('claim_holds', 'order by id for no key update', 'order by id');
  // Both have seen the free place before one of them takes it.
  const gate = await app.gate('claim_holds', 'if v_granted and p_write then');

  const asked = [one.client, other.anonymous.as(two.accessToken)].map((client) =>
    client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } }),
  );
  await gate.openFor(2);

  expect(tally(await Promise.all(asked))).toEqual({ EnrollSuccess: 2 });
  expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 2, sold: 0 });
  expect((await app.brokenInvariants()).map(({ check }) => check)).toEqual(['pool-never-oversold']);
  await other.close();
});
