import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { blockUnits } from '../../../src/inventory/units.ts';
import { type TestApp, type TestMember, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow } from '../../support/shows.ts';
import { eventually } from '../../support/wait.ts';
import {
  cancel,
  claimPlaces,
  claimSeats,
  ended,
  follow,
  granted,
  isWatched,
  offered,
  pay,
  release,
  runOut,
  seatOf,
  watchesOf,
} from './followers.ts';

failOnLeaks();

describe('what is given back is offered to its followers', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(async () => {
    expect(await app.brokenInvariants()).toEqual([]);
    await app.close();
  });

  const members = (count: number) => app.members(count) as Promise<[TestMember, TestMember, TestMember, TestMember, TestMember]>;

  /** Followers of this process whose turn came and ended so. */
  const turns = async (outcome: string): Promise<number> => {
    const metric = await app.registry.getSingleMetric('lastseat_seat_offers_total')?.get();
    return metric?.values.find(({ labels }) => labels.outcome === outcome)?.value ?? 0;
  };

  test('three follow one seat: each is offered it in turn, and nobody before it is theirs', async () => {
    const show = await aShow(app);
    const [holder, first, second, third] = await members(4);
    const holdId = await granted(claimSeats(app, holder, show, 7));
    for (const member of [first, second, third]) await follow(member, show, { seats: [7] });
    const positions = await Promise.all([first, second, third].map(async (member) => (await watchesOf(member))[0]?.position));
    expect(positions).toEqual([1, 2, 3]);

    await release(app, holder, holdId);

    for (const [index, member] of [first, second, third].entries()) {
      const { hold, position } = await offered(member);
      expect(position).toBeNull();
      expect(hold).toMatchObject({ state: 'HELD', amount: { amountMinor: 50_000 } });
      expect(await seatOf(app, show, 7)).toEqual({ state: 'HELD', holder: member.uuid });
      for (const later of [first, second, third].slice(index + 1)) expect((await watchesOf(later))[0]?.state).toBe('WAITING');
      await runOut(app, hold.id);
      expect(await ended(member)).toBe('LAPSED');
    }
    await eventually(async () => expect(await seatOf(app, show, 7)).toEqual({ state: 'AVAILABLE', holder: null }));
    await eventually(async () => expect(await isWatched(app, show.uuids.performance)).toBe(false));
  });

  test('an offer is a hold of 120 seconds, however long holds of the performance live', async () => {
    const show = await aShow(app, { holdSeconds: 1_000 });
    const [holder, follower] = await members(2);
    const holdId = await granted(claimSeats(app, holder, show, 0));
    await follow(follower, show, { seats: [0] });

    await release(app, holder, holdId);

    const { hold } = await offered(follower);
    const [row] = await app.query('select extract(epoch from expires_at - changed_at)::int as seconds, version from hold where id = $1', [
      uuidIn(hold.id),
    ]);
    expect(row).toEqual({ seconds: 120, version: 2 });
  });

  test('one who pays has it: the watch says so, and those behind go on waiting', async () => {
    const show = await aShow(app);
    const [holder, first, second] = await members(3);
    const holdId = await granted(claimSeats(app, holder, show, 3));
    await follow(first, show, { seats: [3] });
    await follow(second, show, { seats: [3] });
    await release(app, holder, holdId);

    await pay(app, first, (await offered(first)).hold.id);

    expect(await ended(first)).toBe('TAKEN');
    expect(await seatOf(app, show, 3)).toEqual({ state: 'SOLD', holder: first.uuid });
    expect((await watchesOf(second))[0]).toMatchObject({ state: 'WAITING', position: 1 });
  });

  test('who stops following in the middle is passed over', async () => {
    const show = await aShow(app);
    const [holder, first, second, third] = await members(4);
    const holdId = await granted(claimSeats(app, holder, show, 3));
    const watches = [];
    for (const member of [first, second, third]) watches.push(...(await follow(member, show, { seats: [3] })));

    await second.client.run('TestUnwatchSeats', { input: { watchIds: [watches[1]!.id] } });
    expect((await watchesOf(third))[0]?.position).toBe(2);
    await release(app, holder, holdId);
    await runOut(app, (await offered(first)).hold.id);

    await offered(third);
    expect((await watchesOf(second))[0]).toMatchObject({ state: 'ENDED', endedBecause: 'UNWATCHED', hold: null, position: null });
  });

  test('who has as many tickets as a member may is passed over, and told why', async () => {
    const show = await aShow(app, { perMemberMax: 1 });
    const [holder, full, next] = await members(3);
    const holdId = await granted(claimSeats(app, holder, show, 3));
    await granted(claimSeats(app, full, show, 4));
    await follow(full, show, { seats: [3] });
    await follow(next, show, { seats: [3] });
    const [offers, refusals] = [await turns('offered'), await turns('refused')];

    await release(app, holder, holdId);

    await offered(next);
    expect((await watchesOf(full))[0]).toMatchObject({ state: 'ENDED', endedBecause: 'LIMIT_REACHED', hold: null });
    expect([await turns('offered'), await turns('refused')]).toEqual([offers + 1, refusals + 1]);
  });

  test('who must cool down is passed over; offers that ran out do not make anybody cool down', async () => {
    const show = await aShow(app, { abandonedMax: 1 });
    const [holder, hasty, patient] = await members(3);
    const holdId = await granted(claimSeats(app, holder, show, 3));
    await follow(hasty, show, { seats: [3] });
    await follow(patient, show, { seats: [3] });
    await release(app, hasty, await granted(claimSeats(app, hasty, show, 5)));

    await release(app, holder, holdId);

    expect(await ended(hasty)).toBe('COOLING_DOWN');
    await runOut(app, (await offered(patient)).hold.id);
    expect((await claimSeats(app, patient, show, 9)).outcome).toBe('GRANTED');
  });

  test('once the sale is over nobody is offered anything, and the watches end', async () => {
    const show = await aShow(app);
    const [holder, follower] = await members(2);
    const holdId = await granted(claimSeats(app, holder, show, 3));
    await follow(follower, show, { seats: [3] });

    await app.query("update pool set closes_at = clock_timestamp() - interval '1 s' where id = $1", [show.uuids.performance]);
    await release(app, holder, holdId);

    expect(await ended(follower)).toBe('NOT_ON_SALE');
    await eventually(async () => expect(await seatOf(app, show, 3)).toEqual({ state: 'AVAILABLE', holder: null }));
    await eventually(async () => expect(await isWatched(app, show.uuids.performance)).toBe(false));
  });

  test('a paid booking that is cancelled gives each of its seats to the followers of that seat', async () => {
    const show = await aShow(app);
    const [owner, first, second] = await members(3);
    const holdId = await granted(claimSeats(app, owner, show, 1, 2));
    await pay(app, owner, holdId);
    await follow(first, show, { seats: [1] });
    await follow(second, show, { seats: [2] });

    await cancel(app, holdId);

    await offered(first);
    await offered(second);
    expect(await seatOf(app, show, 1)).toEqual({ state: 'HELD', holder: first.uuid });
    expect(await seatOf(app, show, 2)).toEqual({ state: 'HELD', holder: second.uuid });
  });

  test('who follows a tier is offered any of its seats, in one queue with those who follow the seat, and none of another tier', async () => {
    const show = await aShow(app, { sections: 2, rows: 1, seatsPerRow: 2 });
    const [holder, another, ofSeat, ofTier, ofOther] = await members(5);
    const holds = [];
    for (const number of [0, 1]) holds.push(await granted(claimSeats(app, holder, show, number)));
    await granted(claimSeats(app, another, show, 2, 3));
    await follow(ofOther, show, { tierId: show.tiers.B! });
    await follow(ofTier, show, { tierId: show.tiers.A! });
    await follow(ofSeat, show, { seats: [1] });
    expect((await watchesOf(ofSeat))[0]).toMatchObject({ position: 2, seat: { number: 1, section: 'A' }, tier: { id: show.tiers.A } });
    expect((await watchesOf(ofTier))[0]).toMatchObject({ position: 1, seat: null, tier: { id: show.tiers.A } });

    await release(app, holder, holds[1]!);
    await offered(ofTier);
    expect(await seatOf(app, show, 1)).toEqual({ state: 'HELD', holder: ofTier.uuid });
    expect((await watchesOf(ofSeat))[0]).toMatchObject({ state: 'WAITING', position: 1 });

    await release(app, holder, holds[0]!);
    await eventually(async () => expect(await seatOf(app, show, 0)).toEqual({ state: 'AVAILABLE', holder: null }));
    expect((await watchesOf(ofSeat))[0]?.state).toBe('WAITING');
    expect((await watchesOf(ofOther))[0]?.state).toBe('WAITING');
  });

  test('seats that the house puts on sale are offered before strangers can have them', async () => {
    const show = await aShow(app, { rows: 1, seatsPerRow: 3, blocked: [2] });
    const [holder, follower, stranger] = await members(3);
    await granted(claimSeats(app, holder, show, 0, 1));
    await follow(follower, show, { tierId: show.tiers.A! });

    const done = await app.app.database.transact((em) => blockUnits(em, show.uuids.performance, [2], false), { name: 'unblock' });

    expect(done.outcome).toBe('DONE');
    expect((await claimSeats(app, stranger, show, 2)).outcome).toBe('UNIT_TAKEN');
    await offered(follower);
    expect(await seatOf(app, show, 2)).toEqual({ state: 'HELD', holder: follower.uuid });
  });

  test('places without numbers: the first whose quantity there is, then the next', async () => {
    const show = await aShow(app, { rows: 0, standing: { capacity: 4, priceMinor: 30_000 } });
    const [holder, pair, single] = await members(3);
    const [one, three] = [await granted(claimPlaces(app, holder, show, 1)), await granted(claimPlaces(app, holder, show, 3))];
    await follow(pair, show, { tierId: show.tiers.STANDING!, quantity: 2 });
    await follow(single, show, { tierId: show.tiers.STANDING! });
    expect((await watchesOf(pair))[0]).toMatchObject({ quantity: 2, position: 1, seat: null });
    expect(await isWatched(app, show.uuids.tiers.STANDING!)).toBe(true);
    expect(await isWatched(app, show.uuids.performance)).toBe(false);

    await release(app, holder, one);
    const forOne = await offered(single);
    expect(forOne.hold.amount.amountMinor).toBe(30_000);
    expect((await watchesOf(pair))[0]?.state).toBe('WAITING');

    await release(app, holder, three);
    const forTwo = await offered(pair);
    expect(forTwo.hold.amount.amountMinor).toBe(60_000);
    expect(await app.counters(show.tiers.STANDING!)).toEqual({ capacity: 4, held: 3, sold: 0 });
  });

  test('a seat that was given back while many of its tier are followed goes to its own followers only', async () => {
    const show = await aShow(app);
    const [holder, ofOne, ofTwo] = await members(3);
    const holdId = await granted(claimSeats(app, holder, show, 1));
    await granted(claimSeats(app, holder, show, 2));
    await follow(ofTwo, show, { seats: [2] });
    await follow(ofOne, show, { seats: [1] });

    await release(app, holder, holdId);

    await offered(ofOne);
    expect((await watchesOf(ofTwo))[0]).toMatchObject({ state: 'WAITING', position: 1 });
  });
});
