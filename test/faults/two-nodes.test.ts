import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { Simulator } from '../../src/simulator/simulator.ts';
import { type TestMember, tally, testEnvironment } from '../support/app.ts';
import { type AvailabilityState, type TestClient, Watch } from '../support/client.ts';
import { testDatabaseUrl } from '../support/database.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { payFor } from '../support/payments.ts';
import { type ServerNode, startNode } from '../support/process.ts';
import { type TestRedis, testRedis } from '../support/redis.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();
/** Servers of their own processes start slowly on a busy machine. */
jest.setTimeout(180_000);

const enroll = (client: TestClient, lessonId: string, idempotencyKey: string = randomUUID()) =>
  client.run('TestEnroll', { input: { lessonId, idempotencyKey } });

const shape = ({ capacity, free, held, sold, version }: AvailabilityState) => ({ capacity, free, held, sold, version });

const isInOrder = (watch: Watch, id: string) => {
  const versions = watch.of(id).map(({ version }) => version);
  expect(versions).toEqual([...versions].sort((a, b) => a - b));
};

describe('two API processes on one database and one Redis', () => {
  let redis: TestRedis;
  let simulator: Simulator;
  let database: Awaited<ReturnType<typeof testDatabaseUrl>>;
  let a: ServerNode;
  let b: ServerNode;
  const start = () =>
    startNode(testEnvironment(database.url, { REDIS_URL: redis.url, PAYMENT_SIMULATOR_URL: simulator.url }), '--role', 'api');

  beforeAll(async () => {
    [redis, simulator, database] = await Promise.all([testRedis(), Simulator.start(), testDatabaseUrl()]);
    // One migrates, the other waits for it.
    [a, b] = await Promise.all([start(), start()]);
  });
  afterAll(async () => {
    await Promise.all([a.stop(), b.stop()]);
    await database.drop();
    await simulator.close();
    await redis.stop();
  });

  const at = (node: ServerNode, member: TestMember) => node.anonymous.as(member.accessToken);

  test.each(['PESSIMISTIC', 'OPTIMISTIC'])(
    '300 members at once for 100 places, half at each node: exactly 100, and watchers of one see what the other sells, %s',
    async (policy) => {
      const lessonId = await a.lesson({ capacity: 100, policy });
      const members = await a.members(300);
      const watches = await Promise.all([a, a, b, b].map((node) => node.anonymous.watch(lessonId)));

      const answers = await Promise.all(members.map((member, index) => enroll(at(index % 2 === 0 ? a : b, member), lessonId)));

      expect(tally(answers)).toEqual({ EnrollSuccess: 100, NoPlaceLeftError: 200 });
      expect(await a.counters(lessonId)).toEqual({ capacity: 100, held: 100, sold: 0 });
      expect(await a.brokenInvariants()).toEqual([]);
      const { availability } = await a.anonymous.run('TestLesson', { id: lessonId });
      expect(shape((await b.anonymous.run('TestLesson', { id: lessonId })).availability)).toEqual(shape(availability));
      for (const watch of watches) {
        await eventually(() => expect(shape(watch.lastOf(lessonId)!)).toEqual(shape(availability)));
        isInOrder(watch, lessonId);
        await watch.close();
      }
    },
  );

  test('what only node B sells is seen at node A', async () => {
    const lessonId = await a.lesson({ capacity: 5 });
    const watch = await a.anonymous.watch(lessonId);

    await enroll(at(b, await a.member()), lessonId);

    await eventually(() => expect(watch.lastOf(lessonId)).toMatchObject({ free: 4, held: 1 }));
    await watch.close();
  });

  test('a hold made at one node is paid and cancelled at the other', async () => {
    const lessonId = await a.lesson({ capacity: 1 });
    const member = await a.member();
    const { enrollment } = await enroll(at(a, member), lessonId);

    const id = await payFor(at(b, member), enrollment.id);
    const paid = await at(a, member).run('TestPayment', { id });
    const cancelled = await at(a, member).run('TestCancelBooking', { input: { holdId: enrollment.id } });

    expect(paid).toMatchObject({ state: 'APPROVED', hold: { id: enrollment.id, state: 'CONFIRMED' } });
    expect(cancelled.hold).toMatchObject({ id: enrollment.id, state: 'RETURNED' });
    expect(await a.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
  });

  test('with no worker anywhere and nobody sweeping, a place whose deadline has passed is sold at once by either node', async () => {
    const lessonId = await a.lesson({ capacity: 1 });
    const { enrollment } = await enroll(at(a, await a.member()), lessonId);
    await a.query('alter function expire_holds(int) rename to expire_holds_away');
    expect(await enroll(at(b, await a.member()), lessonId)).toMatchObject({ code: 'SOLD_OUT' });

    await a.expire(enrollment.id);

    expect(await enroll(at(b, await a.member()), lessonId)).toMatchObject({ __typename: 'EnrollSuccess' });
    await a.query('alter function expire_holds_away(int) rename to expire_holds');
    expect(await a.brokenInvariants()).toEqual([]);
  });

  describe('when Redis dies', () => {
    test('sales go on, every watcher converges without it, and again after it is back', async () => {
      const lessonId = await a.lesson({ capacity: 50 });
      const watches = await Promise.all([a, b].map((node) => node.anonymous.watch(lessonId)));
      const members = await a.members(30);
      const everybodySees = async (held: number) => {
        for (const watch of watches) await eventually(() => expect(watch.lastOf(lessonId)).toMatchObject({ free: 50 - held, held }));
      };
      await Promise.all(members.slice(0, 10).map((member) => enroll(at(a, member), lessonId)));
      await everybodySees(10);

      await redis.kill();
      await Promise.all(members.slice(10, 20).map((member) => enroll(at(a, member), lessonId)));
      await everybodySees(20);
      await eventually(async () => {
        const health = await fetch(`${b.url}/health/ready`);
        expect([health.status, await health.json()]).toEqual([200, { status: 'degraded', database: 'ready', fanOut: 'unreachable' }]);
      });

      await redis.restart();
      await Promise.all(members.slice(20).map((member) => enroll(at(b, member), lessonId)));
      await everybodySees(30);
      await eventually(async () => expect(await (await fetch(`${b.url}/health/ready`)).json()).toMatchObject({ status: 'ready' }));

      for (const watch of watches) {
        isInOrder(watch, lessonId);
        expect(watch.errors).toEqual([]);
        await watch.close();
      }
    });

    test('in the middle of a rush: exactly as many as there are places, and every watcher ends at the truth', async () => {
      const lessonId = await a.lesson({ capacity: 60 });
      const members = await a.members(150);
      const watches = await Promise.all([a, b].map((node) => node.anonymous.watch(lessonId)));

      const rush = members.map((member, index) => enroll(at(index % 2 === 0 ? a : b, member), lessonId));
      await redis.restart();
      const answers = await Promise.all(rush);

      expect(tally(answers)).toEqual({ EnrollSuccess: 60, NoPlaceLeftError: 90 });
      const { availability } = await b.anonymous.run('TestLesson', { id: lessonId });
      for (const watch of watches) {
        await eventually(() => expect(shape(watch.lastOf(lessonId)!)).toEqual(shape(availability)));
        await watch.close();
      }
    });
  });

  // Last: it ends node A.
  describe('when one of them is killed in the middle of a rush', () => {
    test('nothing is oversold, every enrolment that was acknowledged is there, and repeats at the other node finish the rest', async () => {
      const lessonId = await a.lesson({ capacity: 120 });
      const members = await a.members(300);
      const keys = members.map(() => randomUUID());
      const watch = new Watch(a.url, [lessonId]);
      await eventually(() => watch.lastOf(lessonId));
      const acknowledged = new Map<number, string>();
      const unanswered: number[] = [];

      const rush = members.map((member, index) =>
        enroll(at(index % 2 === 0 ? a : b, member), lessonId, keys[index]).then(
          ({ enrollment }) => void (enrollment && acknowledged.set(index, enrollment.id)),
          () => void unanswered.push(index),
        ),
      );
      await eventually(() => [...acknowledged.keys()].some((index) => index % 2 === 0));
      await a.process.kill();
      await Promise.all(rush);

      // I19: what was acknowledged is there; what was not answered happened whole or not at all.
      const holds = async () =>
        new Map(
          (await b.query<{ key: string; id: string }>('select idempotency_key as key, id from hold')).map(({ key, id }) => [key, id]),
        );
      const kept = await holds();
      for (const [index, id] of acknowledged) expect(Buffer.from(id, 'base64url').toString()).toBe(`Enrollment:${kept.get(keys[index]!)}`);
      expect(await b.anonymous.run('TestAudit')).toMatchObject({ ok: true, oversold: 0 });
      expect(await b.brokenInvariants()).toEqual([]);
      expect(unanswered.every((index) => index % 2 === 0)).toBe(true);

      const repeated = await Promise.all(
        unanswered.map(async (index) => [index, await enroll(at(b, members[index]!), lessonId, keys[index])] as const),
      );
      for (const [index, { enrollment }] of repeated)
        if (kept.has(keys[index]!)) expect(Buffer.from(enrollment.id, 'base64url').toString()).toBe(`Enrollment:${kept.get(keys[index]!)}`);
      expect(await b.counters(lessonId)).toEqual({ capacity: 120, held: 120, sold: 0 });
      expect((await holds()).size - kept.size).toBeLessThanOrEqual(unanswered.length);
      expect(await b.brokenInvariants()).toEqual([]);
      await watch.close();
    });
  });
});
