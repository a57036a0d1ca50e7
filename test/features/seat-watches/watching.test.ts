import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow, type Show, type ShowOptions } from '../../support/shows.ts';
import { eventually } from '../../support/wait.ts';
import { claimPlaces, claimSeats, ended, follow, granted, isWatched, offered, release, runOut, watchesOf } from './followers.ts';

failOnLeaks();

describe('following', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(async () => {
    expect(await app.brokenInvariants()).toEqual([]);
    await app.close();
  });

  /** A show of which somebody holds these seats. */
  async function withTaken(
    seats: number[],
    options: ShowOptions = {},
  ): Promise<{ show: Show; holder: TestMember; follower: TestMember; holdId: string }> {
    const show = await aShow(app, { perMemberMax: 20, ...options });
    const [holder, follower] = (await app.members(2)) as [TestMember, TestMember];
    const holdId = seats.length > 0 ? await granted(claimSeats(app, holder, show, ...seats)) : '';
    return { show, holder, follower, holdId };
  }
  const watch = (client: TestClient, show: Show, what: Record<string, unknown>, idempotencyKey: string = randomUUID()) =>
    client.run('TestWatchSeats', { input: { performanceId: show.performanceId, ...what, idempotencyKey } });
  const stored = async (show: Show) =>
    (
      await app.query<{ count: number }>('select count(*)::int as count from seat_watch where performance_id = $1', [
        show.uuids.performance,
      ])
    )[0]?.count;

  test('several seats are one watch each, in the order they were named', async () => {
    const { show, follower } = await withTaken([4, 2, 9]);

    const answer = await watch(follower.client, show, { seats: [9, 2, 4] });

    expect(answer).toEqual({
      __typename: 'WatchSeatsSuccess',
      watches: [9, 2, 4].map((number) => ({
        id: expect.any(String),
        performance: { id: show.performanceId },
        seat: { number, section: 'A' },
        tier: { id: show.tiers.A },
        quantity: 1,
        state: 'WAITING',
        endedBecause: null,
        position: 1,
        hold: null,
        createdAt: expect.any(String),
        version: 1,
      })),
    });
    expect(await isWatched(app, show.uuids.performance)).toBe(true);
  });

  test('the same key gives the same watches, also when they have ended; for other seats it is refused', async () => {
    const { show, follower } = await withTaken([1, 2]);
    const key = randomUUID();
    const { watches } = await watch(follower.client, show, { seats: [1] }, key);
    await follower.client.run('TestUnwatchSeats', { input: { watchIds: [watches[0]!.id] } });

    expect((await watch(follower.client, show, { seats: [1] }, key)).watches).toMatchObject([{ id: watches[0]!.id, state: 'ENDED' }]);
    expect(await watch(follower.client, show, { seats: [2] }, key)).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await stored(show)).toBe(1);
  });

  test('what is followed already is the watch it was, beside new ones', async () => {
    const { show, follower } = await withTaken([1, 2]);
    const [first] = await follow(follower, show, { seats: [1] });

    const both = await follow(follower, show, { seats: [2, 1] });

    expect(both.map(({ seat }) => seat?.number)).toEqual([2, 1]);
    expect(both[1]).toEqual(first);
    expect(await stored(show)).toBe(2);
  });

  test('who is offered a seat and follows it again has the same watch', async () => {
    const { show, follower, holder, holdId } = await withTaken([1]);
    await follow(follower, show, { seats: [1] });
    await release(app, holder, holdId);
    const { id } = await offered(follower);

    expect(await follow(follower, show, { seats: [1] })).toMatchObject([{ id, state: 'OFFERED' }]);
  });

  test('a seat that is free is to be held instead: all that are free are named, and nothing is followed', async () => {
    const { show, follower } = await withTaken([1]);

    const answer = await watch(follower.client, show, { seats: [1, 5, 6] });

    expect(answer).toMatchObject({ __typename: 'SeatFreeError', code: 'SEAT_FREE', seats: [5, 6], tierId: null });
    expect(await stored(show)).toBe(0);
    expect(await isWatched(app, show.uuids.performance)).toBe(false);
  });

  test('a tier with something free is to be held instead', async () => {
    const { show, follower } = await withTaken([0, 1], {
      sections: 2,
      rows: 1,
      seatsPerRow: 2,
      standing: { capacity: 2, priceMinor: 1_000 },
    });
    await granted(claimPlaces(app, follower, show, 1));

    expect(await follow(follower, show, { tierId: show.tiers.A! })).toMatchObject([{ seat: null, state: 'WAITING' }]);
    for (const tierId of [show.tiers.B, show.tiers.STANDING])
      expect(await watch(follower.client, show, { tierId })).toMatchObject({ code: 'SEAT_FREE', seats: [], tierId });
    // One is free, but not two.
    expect(await follow(follower, show, { tierId: show.tiers.STANDING!, quantity: 2 })).toMatchObject([{ quantity: 2, state: 'WAITING' }]);
  });

  test('seats that are not there or not for sale, tiers of other performances and performances nobody knows are not found', async () => {
    const { show, follower } = await withTaken([1], { blocked: [3] });
    const other = await aShow(app);

    expect(await watch(follower.client, show, { seats: [1, 50, -1] })).toMatchObject({
      code: 'SEAT_WATCH_TARGET_NOT_FOUND',
      seats: [50, -1],
    });
    expect(await watch(follower.client, show, { seats: [1, 3] })).toMatchObject({ code: 'SEAT_WATCH_TARGET_NOT_FOUND', seats: [3] });
    expect(await watch(follower.client, show, { tierId: other.tiers.A })).toMatchObject({ code: 'SEAT_WATCH_TARGET_NOT_FOUND', seats: [] });
    const unknown = { ...show, performanceId: toNodeId('Performance', '00000000-0000-7000-8000-000000000000') };
    expect(await watch(follower.client, unknown, { seats: [1] })).toMatchObject({ code: 'SEAT_WATCH_TARGET_NOT_FOUND', seats: [] });
    expect(await stored(show)).toBe(0);
  });

  test.each([
    ['neither seats nor a tier', () => ({}), 'seats'],
    ['seats and a tier', (show: Show) => ({ seats: [1], tierId: show.tiers.A }), 'seats'],
    ['no seat', () => ({ seats: [] }), 'seats'],
    ['a seat twice', () => ({ seats: [1, 1] }), 'seats'],
    ['eleven seats', () => ({ seats: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] }), 'seats'],
    ['several of one seat', () => ({ seats: [1], quantity: 2 }), 'quantity'],
    ['several of a tier with seats', (show: Show) => ({ tierId: show.tiers.A, quantity: 2 }), 'quantity'],
    ['no place', (show: Show) => ({ tierId: show.tiers.STANDING, quantity: 0 }), 'quantity'],
    ['eleven places', (show: Show) => ({ tierId: show.tiers.STANDING, quantity: 11 }), 'quantity'],
    ['more places than a member may have', (show: Show) => ({ tierId: show.tiers.STANDING, quantity: 5 }), 'quantity'],
  ])('%s is out of the limits', async (_, what, field) => {
    const { show, follower } = await withTaken([1], { standing: { capacity: 1, priceMinor: 1_000 }, perMemberMax: 4 });

    expect(await watch(follower.client, show, what(show))).toMatchObject({ code: 'SEAT_WATCH_INPUT', field });
    expect(await stored(show)).toBe(0);
  });

  test.each([
    ['a key with a blank', (show: Show) => ({ performanceId: show.performanceId, seats: [1], idempotencyKey: 'a b' })],
    ['no key', (show: Show) => ({ performanceId: show.performanceId, seats: [1] })],
    ['a seat that is no number', (show: Show) => ({ performanceId: show.performanceId, seats: ['1'], idempotencyKey: 'x' })],
    ['a seat that no integer holds', (show: Show) => ({ performanceId: show.performanceId, seats: [2 ** 31], idempotencyKey: 'x' })],
    ['a tier as performance', (show: Show) => ({ performanceId: show.tiers.A, seats: [1], idempotencyKey: 'x' })],
    ['a performance as tier', (show: Show) => ({ performanceId: show.performanceId, tierId: show.performanceId, idempotencyKey: 'x' })],
  ])('%s is bad input', async (_, input) => {
    const { show, follower } = await withTaken([1]);

    const { errors } = await follower.client.send('TestWatchSeats', { input: input(show) });

    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
    expect(await stored(show)).toBe(0);
  });

  test('after the sale nothing can be followed', async () => {
    const { show, follower } = await withTaken([1]);
    await app.query('update pool set closes_at = clock_timestamp() where id = $1', [show.uuids.performance]);

    expect(await watch(follower.client, show, { seats: [1] })).toMatchObject({ code: 'SEAT_WATCH_SALE_CLOSED' });
    expect(await stored(show)).toBe(0);
  });

  test('at most 10 of one performance wait at once; of another one as many again', async () => {
    const { show, follower } = await withTaken([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const other = await withTaken([0]);
    const watches = await follow(follower, show, { seats: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] });

    expect(await watch(follower.client, show, { seats: [10] })).toMatchObject({ code: 'SEAT_WATCH_LIMIT_REACHED', limit: 10 });
    expect(await watch(follower.client, show, { seats: [9] })).toMatchObject({ watches: [{ id: watches[9]!.id }] });
    await follow(follower, other.show, { seats: [0] });
    await follower.client.run('TestUnwatchSeats', { input: { watchIds: [watches[3]!.id] } });
    await follow(follower, show, { seats: [10] });
  });

  test('whoever lets three offers run out can follow nothing more of the performance', async () => {
    const { show, follower, holder, holdId } = await withTaken([0]);
    let next = holdId;
    for (let offers = 0; offers < 3; offers++) {
      await follow(follower, show, { seats: [0] });
      await release(app, holder, next);
      await runOut(app, (await offered(follower)).hold.id);
      expect(await ended(follower)).toBe('LAPSED');
      await eventually(async () => {
        const claim = await claimSeats(app, holder, show, 0);
        next = 'holdId' in claim ? claim.holdId : '';
        return next !== '';
      });
    }

    expect(await watch(follower.client, show, { seats: [0] })).toMatchObject({ code: 'SEAT_OFFERS_LAPSED', limit: 3 });
    const other = await withTaken([0]);
    await follow(follower, other.show, { seats: [0] });
  });

  test('an offer that ran out reads ENDED at once, though nobody has written it down', async () => {
    const { show, follower, holder, holdId } = await withTaken([0]);
    await follow(follower, show, { seats: [0] });
    await release(app, holder, holdId);
    const { hold, version } = await offered(follower);
    await app.app.seatOffers.stop();

    await app.query("update hold set expires_at = clock_timestamp() - interval '1 ms' where id = $1", [uuidIn(hold.id)]);

    const [read] = await watchesOf(follower);
    expect(read).toMatchObject({ state: 'ENDED', endedBecause: 'LAPSED', hold: { id: hold.id, state: 'EXPIRED' } });
    expect(read!.version).toBeGreaterThan(version);
    app.app.seatOffers.start();
  });

  test('the list is paged from the newest, and is of nobody else', async () => {
    const { show, follower, holder } = await withTaken([0, 1, 2]);
    await follow(follower, show, { seats: [0, 1, 2] });

    const first = await follower.client.run('TestMySeatWatches', { first: 2 });
    const second = await follower.client.run('TestMySeatWatches', { first: 2, after: first.pageInfo.endCursor });

    expect(first).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true } });
    expect([...first.nodes, ...second.nodes].map(({ seat }) => seat?.number)).toEqual([2, 1, 0]);
    expect(second.pageInfo.hasNextPage).toBe(false);
    expect(await holder.client.run('TestMySeatWatches', { after: first.pageInfo.endCursor })).toMatchObject({ totalCount: 0, nodes: [] });
  });

  test("somebody else's watch does not exist: not as a node, not to be ended; administrators may read it", async () => {
    const { show, follower, holder } = await withTaken([0]);
    const [watched] = await follow(follower, show, { seats: [0] });
    const mine = await withTaken([0]);
    const [own] = await follow(holder, mine.show, { seats: [0] });
    const node = async ({ client }: { client: TestClient }) => (await client.send('TestNode', { id: watched!.id })).data.node;
    const unknown = toNodeId('SeatWatch', '00000000-0000-7000-8000-000000000000');

    expect(await node(follower)).toMatchObject({ id: watched!.id });
    expect(await node(await app.admin())).toMatchObject({ id: watched!.id });
    for (const stranger of [holder, await app.member('ORGANIZER'), { client: app.anonymous }]) expect(await node(stranger)).toBeNull();
    const answers = [];
    for (const watchIds of [[own!.id, watched!.id], [unknown]])
      answers.push(await holder.client.run('TestUnwatchSeats', { input: { watchIds } }));
    expect(answers[0]).toMatchObject({ code: 'SEAT_WATCH_NOT_FOUND' });
    expect(answers[1]).toEqual(answers[0]);
    expect((await watchesOf(follower))[0]?.state).toBe('WAITING');
    expect((await watchesOf(holder))[0]?.state).toBe('WAITING');
  });

  test('to stop following twice changes nothing more; the pool is watched until the last one stops', async () => {
    const { show, follower, holder } = await withTaken([0, 1]);
    const [watched] = await follow(follower, show, { seats: [0] });
    const [last] = await follow(holder, show, { seats: [1] });
    const stop = () => follower.client.run('TestUnwatchSeats', { input: { watchIds: [watched!.id, watched!.id] } });

    const once = await stop();
    expect(once.watches).toMatchObject([{ id: watched!.id, state: 'ENDED', endedBecause: 'UNWATCHED', version: 2 }]);
    expect(await stop()).toEqual(once);
    await app.app.seatOffers.round();
    expect(await isWatched(app, show.uuids.performance)).toBe(true);

    await holder.client.run('TestUnwatchSeats', { input: { watchIds: [last!.id] } });
    await eventually(async () => expect(await isWatched(app, show.uuids.performance)).toBe(false));
  });

  test.each([
    ['none', []],
    ['21', Array.from({ length: 21 }, () => toNodeId('SeatWatch', '00000000-0000-7000-8000-000000000000'))],
  ])('%s to stop following is out of the limits', async (_, watchIds) => {
    const { client } = await app.member();

    expect(await client.run('TestUnwatchSeats', { input: { watchIds } })).toMatchObject({ code: 'SEAT_WATCH_INPUT' });
  });

  test('is for members', async () => {
    const { show } = await withTaken([0]);
    const input = { performanceId: show.performanceId, seats: [0], idempotencyKey: 'x' };

    for (const { errors, data } of [
      await app.anonymous.send('TestWatchSeats', { input }),
      await app.anonymous.send('TestUnwatchSeats', { input: { watchIds: [] } }),
      await app.anonymous.send('TestMySeatWatches'),
    ]) {
      expect(errors.map(({ extensions }) => extensions.code)).toEqual(['UNAUTHENTICATED']);
      expect(Object.values(data ?? {}).filter((value) => value !== null)).toEqual([]);
    }
    expect(await stored(show)).toBe(0);
  });

  test('refusals speak Korean to those who ask for it', async () => {
    const { show, follower } = await withTaken([]);

    const { data } = await follower.client.send(
      'TestWatchSeats',
      { input: { performanceId: show.performanceId, seats: [0], idempotencyKey: 'x' } },
      { 'accept-language': 'ko' },
    );

    expect(data.watchSeats.message).toBe('지금 바로 선택할 수 있는 자리가 있습니다. 알림 신청 대신 바로 예매해 주세요.');
  });
});
