import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { nextMonth, type TestApp, tally, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { waitingForLocks } from '../../support/lock-waits.ts';
import { payFor } from '../../support/payments.ts';

failOnLeaks();

const enroll = (client: TestClient, lessonId: string, more: object = {}) =>
  client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID(), ...more } });

/** Lets the server see the lessons once: it takes the optimistic way only for pools whose policy it knows. */
async function acquaint(app: TestApp, lessonIds: readonly string[]) {
  for (const lessonId of lessonIds) {
    const { client } = await app.member();
    const { enrollment } = await enroll(client, lessonId);
    await client.run('TestCancelBooking', { input: { holdId: enrollment.id } });
  }
}

describe.each(['PESSIMISTIC', 'OPTIMISTIC'])('the monthly limit, %s', (policy) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  const fiveLessons = async () => {
    const month = nextMonth();
    const lessonIds = await Promise.all(Array.from({ length: 5 }, () => app.lesson({ month, policy })));
    await acquaint(app, lessonIds);
    return lessonIds;
  };

  test('one member asks for 5 lessons of a month at once: exactly 4', async () => {
    const lessonIds = await fiveLessons();
    const { client } = await app.member();

    const answers = await Promise.all(lessonIds.map((lessonId) => enroll(client, lessonId)));

    expect(tally(answers)).toEqual({ EnrollSuccess: 4, MonthlyLimitReachedError: 1 });
    expect(answers.find(({ code }) => code === 'MONTHLY_LIMIT_REACHED')).toMatchObject({ limit: 4 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('another month has a limit of its own, and cancelling makes room', async () => {
    const lessonIds = await fiveLessons();
    const { client } = await app.member();
    const taken = [];
    for (const lessonId of lessonIds.slice(0, 4)) taken.push(await enroll(client, lessonId));
    const [elsewhere] = await fiveLessons();

    expect(await enroll(client, elsewhere as string)).toMatchObject({ __typename: 'EnrollSuccess' });
    expect(await enroll(client, lessonIds[4] as string)).toMatchObject({ code: 'MONTHLY_LIMIT_REACHED' });
    await client.run('TestCancelBooking', { input: { holdId: taken[0]!.enrollment.id } });
    expect(await enroll(client, lessonIds[4] as string)).toMatchObject({ __typename: 'EnrollSuccess' });
  });

  test('negative control: without the lock of the quota all 5 are given', async () => {
    await using unguarded = await testApp();
    const month = nextMonth();
    const lessonIds = await Promise.all(Array.from({ length: 5 }, () => unguarded.lesson({ month, policy })));
    await acquaint(unguarded, lessonIds);
    await unguarded.sabotage('claim_holds', 'perform pg_advisory_xact_lock(r.number);', 'null;');
    // All five have counted what the member has before one of them writes.
    const gate = await unguarded.gate('claim_holds', 'if v_granted and p_write then');
    const { client } = await unguarded.member();

    const asked = lessonIds.map((lessonId) => enroll(client, lessonId));
    await gate.openFor(5);
    const answers = await Promise.all(asked);

    expect(tally(answers)).toEqual({ EnrollSuccess: 5 });
    expect((await unguarded.brokenInvariants()).map(({ check }) => check)).toEqual(['quota-kept']);
  });
});

describe('a sale that closes while members enrol', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  const close = async (lessonId: string) => (await app.admin()).client.run('TestCloseLessonSale', { lessonId });

  test.each(['PESSIMISTIC', 'OPTIMISTIC'])(
    'after closing was answered nobody gets in, and holds made before are paid, %s',
    async (policy) => {
      const lessonId = await app.lesson({ capacity: 1000, policy });
      await acquaint(app, [lessonId]);
      const members = await app.members(60);

      const first = members.slice(0, 25).map(({ client }) => enroll(client, lessonId));
      const closed = close(lessonId);
      const second = members.slice(25, 50).map(({ client }) => enroll(client, lessonId));
      expect(await closed).toMatchObject({ __typename: 'LessonSuccess' });
      const after = await Promise.all(members.slice(50).map(({ client }) => enroll(client, lessonId)));
      const during = await Promise.all([...first, ...second]);

      expect(tally(after)).toEqual({ LessonSaleClosedError: 10 });
      const { EnrollSuccess = 0, LessonSaleClosedError = 0 } = tally(during);
      expect(EnrollSuccess + LessonSaleClosedError).toBe(50);
      expect(await app.counters(lessonId)).toEqual({ capacity: 1000, held: EnrollSuccess, sold: 0 });
      expect(
        await app.query(
          `select count(*)::int as late from hold h join hold_item i on i.hold_id = h.id join pool p on p.id = i.pool_id
         where p.id = $1 and h.created_at >= p.closes_at`,
          [uuidIn(lessonId)],
        ),
      ).toEqual([{ late: 0 }]);
      expect(await app.brokenInvariants()).toEqual([]);
    },
  );

  test('a hold made before closing can be paid after it', async () => {
    const lessonId = await app.lesson();
    const { client } = await app.member();
    const { enrollment } = await enroll(client, lessonId);
    await close(lessonId);

    const id = await payFor(client, enrollment.id);

    expect(await client.run('TestPayment', { id })).toMatchObject({
      state: 'APPROVED',
      hold: { id: enrollment.id, state: 'CONFIRMED' },
    });
  });

  test('closing twice, closing before it opened, and what it leaves in the sale window', async () => {
    const open = await app.lesson();
    const early = await app.lesson({ onSaleFrom: '2099-01-01T00:00:00Z', onSaleUntil: '2099-02-01T00:00:00Z' });
    const over = await app.lesson({ onSaleFrom: '2020-01-01T00:00:00Z', onSaleUntil: '2020-02-01T00:00:00Z' });
    const { client } = await app.member();

    const closed = await close(open);
    expect(closed.lesson).toEqual({ onSaleFrom: null, onSaleUntil: expect.any(String) });
    expect((await close(open)).lesson).toEqual(closed.lesson);
    expect((await close(early)).__typename).toBe('LessonSuccess');
    expect((await close(over)).lesson).toEqual({ onSaleFrom: '2020-01-01T00:00:00.000Z', onSaleUntil: '2020-02-01T00:00:00.000Z' });

    for (const lessonId of [open, early, over]) expect(await enroll(client, lessonId)).toMatchObject({ code: 'SALE_CLOSED' });
  });

  describe('precisely between the decision and the write of the optimistic policy', () => {
    /** Holds the row of the pool until the enrolment waits to write it, closes the sale there, and lets go. */
    async function closeBetween(closing: string) {
      const lessonId = await app.lesson({ policy: 'OPTIMISTIC' });
      await acquaint(app, [lessonId]);
      const { client } = await app.member();
      const rival = new pg.Client({ connectionString: app.databaseUrl });
      await rival.connect();
      await rival.query('begin');
      await rival.query('select 1 from pool where id = $1 for update', [uuidIn(lessonId)]);
      const answer = enroll(client, lessonId);
      await waitingForLocks(app);
      await rival.query(`update pool set ${closing} where id = $1`, [uuidIn(lessonId)]);
      await rival.query('commit');
      await rival.end();
      return answer;
    }

    test('the enrolment notices, decides again and is refused', async () => {
      expect(await closeBetween('closes_at = clock_timestamp(), version = version + 1')).toMatchObject({ code: 'SALE_CLOSED' });
    });

    test('negative control: a closing that does not raise the version is not noticed', async () => {
      // An enrolment that has waited too long for the row decides again, and notices: on a machine that stalls it may take another one.
      const answers: string[] = [];
      while (answers.length < 5 && !answers.includes('EnrollSuccess'))
        answers.push((await closeBetween('closes_at = clock_timestamp()')).__typename ?? '');

      expect(answers).toContain('EnrollSuccess');
    });
  });
});
