import { afterAll, describe, expect, test } from '@jest/globals';
import type { TestApp, TestMember } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow } from '../../support/shows.ts';
import { onTwoNodes } from '../../support/two-nodes.ts';
import { eventually } from '../../support/wait.ts';
import { claimSeats, FollowerSocket, follow, granted, offered, pay, release, runOut } from './followers.ts';

failOnLeaks();

describe('seatWatchChanged', () => {
  let app: TestApp;
  /** Another node on the same database: it hears of nothing but by reading again. */
  let other: TestApp;
  afterAll(async () => {
    expect(await app.brokenInvariants()).toEqual([]);
  });
  onTwoNodes((...nodes) => {
    [app, other] = nodes;
  });

  async function stage(...seats: number[]) {
    const show = await aShow(app);
    const [holder, follower, next] = (await app.members(3)) as [TestMember, TestMember, TestMember];
    const holdIds: string[] = [];
    for (const number of seats) holdIds.push(await granted(claimSeats(app, holder, show, number)));
    return { show, holder, follower, next, holdIds };
  }
  const versionsRise = ({ seen }: FollowerSocket) => {
    for (const id of new Set(seen.map((watch) => watch.id))) {
      const versions = seen.filter((watch) => watch.id === id).map(({ version }) => version);
      expect(versions).toEqual([...versions].sort((one, two) => one - two));
    }
  };

  test('says what waits, then that it is offered, and that it was paid for', async () => {
    const { show, holder, follower, holdIds } = await stage(1);
    const [watch] = await follow(follower, show, { seats: [1] });
    await using socket = new FollowerSocket(app.url, follower.accessToken);
    await eventually(() => expect(socket.seen).toMatchObject([{ id: watch!.id, state: 'WAITING', position: 1, hold: null, version: 1 }]));

    await release(app, holder, holdIds[0]!);
    await eventually(() => expect(socket.seen.at(-1)).toMatchObject({ state: 'OFFERED', position: null, hold: { state: 'HELD' } }));
    await pay(app, follower, (await offered(follower)).hold.id);

    await eventually(() =>
      expect(socket.seen.at(-1)).toMatchObject({ state: 'ENDED', endedBecause: 'TAKEN', hold: { state: 'CONFIRMED' } }),
    );
    const course = socket.courseOf(watch!.id);
    expect(course.filter((state, index) => String(state) !== String(course[index - 1]))).toEqual([
      ['WAITING', null],
      ['OFFERED', null],
      ['ENDED', 'TAKEN'],
    ]);
    versionsRise(socket);
    expect(socket.errors).toEqual([]);
  });

  test('says what is followed and unfollowed later, and nothing of what ended before', async () => {
    const { show, follower } = await stage(1, 2, 3);
    const [before] = await follow(follower, show, { seats: [1] });
    await follower.client.run('TestUnwatchSeats', { input: { watchIds: [before!.id] } });
    const [waiting] = await follow(follower, show, { seats: [2] });
    await using socket = new FollowerSocket(app.url, follower.accessToken);
    await eventually(() => expect(socket.seen.map(({ id }) => id)).toEqual([waiting!.id]));

    const [later] = await follow(follower, show, { seats: [3] });
    await eventually(() => expect(socket.courseOf(later!.id)).toEqual([['WAITING', null]]));
    await follower.client.run('TestUnwatchSeats', { input: { watchIds: [waiting!.id] } });

    await eventually(() =>
      expect(socket.courseOf(waiting!.id)).toEqual([
        ['WAITING', null],
        ['ENDED', 'UNWATCHED'],
      ]),
    );
    expect(socket.courseOf(before!.id)).toEqual([]);
  });

  test('an offer that runs out is told, and the next follower is told of theirs', async () => {
    const { show, holder, follower, next, holdIds } = await stage(1);
    await follow(follower, show, { seats: [1] });
    await follow(next, show, { seats: [1] });
    await using first = new FollowerSocket(app.url, follower.accessToken);
    await using second = new FollowerSocket(app.url, next.accessToken);
    await eventually(() => expect([first.seen.length, second.seen.length]).toEqual([1, 1]));

    await release(app, holder, holdIds[0]!);
    await runOut(app, (await offered(follower)).hold.id);

    await eventually(() => expect(first.seen.at(-1)).toMatchObject({ state: 'ENDED', endedBecause: 'LAPSED', hold: { state: 'EXPIRED' } }));
    await eventually(() => expect(second.seen.at(-1)).toMatchObject({ state: 'OFFERED', hold: { state: 'HELD' } }));
    versionsRise(first);
    versionsRise(second);
  });

  test('on another node the same, at most some seconds later', async () => {
    const { show, holder, follower, holdIds } = await stage(1);
    const [watch] = await follow(follower, show, { seats: [1] });
    await using socket = new FollowerSocket(other.url, follower.accessToken);
    await eventually(() => expect(socket.courseOf(watch!.id)).toEqual([['WAITING', null]]));

    await release(app, holder, holdIds[0]!);

    await eventually(() => expect(socket.seen.at(-1)).toMatchObject({ id: watch!.id, state: 'OFFERED' }));
    versionsRise(socket);
  });

  test('who follows nothing hears nothing until they do; nobody hears of others', async () => {
    const { show, holder, follower, holdIds } = await stage(1, 2);
    await using socket = new FollowerSocket(app.url, holder.accessToken);
    await follow(follower, show, { seats: [1] });
    await release(app, holder, holdIds[0]!);
    await offered(follower);

    const [own] = await follow(holder, show, { seats: [2] });

    await eventually(() => expect(socket.seen.map(({ id }) => id)).toEqual([own!.id]));
    expect(socket.errors).toEqual([]);
  });

  test('is not for who has not signed in', async () => {
    await using socket = new FollowerSocket(app.url);

    await eventually(() => expect(socket.errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]));
    expect(socket.seen).toEqual([]);
  });
});
