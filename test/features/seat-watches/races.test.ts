import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, type TestMember, tally, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { waitingForLocks } from '../../support/lock-waits.ts';
import { aShow, type Show } from '../../support/shows.ts';
import { eventually } from '../../support/wait.ts';
import { claimPlaces, claimSeats, follow, granted, isWatched, release, seatOf, watchesOf } from './followers.ts';
import { restore, stallAt, without } from './statements.ts';

failOnLeaks();

/** Two processes on one database that offer only when a test lets them. */
class Nodes {
  private constructor(
    readonly one: TestApp,
    readonly other: TestApp,
  ) {}

  static async open(): Promise<Nodes> {
    const one = await testApp();
    const other = await testApp({ databaseUrl: one.databaseUrl, simulator: one.simulator });
    for (const node of [one, other]) await node.app.seatOffers.stop();
    return new Nodes(one, other);
  }

  /** Nobody follows anything any more, every statement is sent as it is again, and nothing was logged. */
  async reset(): Promise<void> {
    for (const node of [this.one, this.other]) {
      restore(node);
      node.logged.length = 0;
    }
    await this.one.query('delete from seat_watch');
    await this.one.query('update pool set is_watched = false, kept = 0 where is_watched or kept > 0');
    await this.one.query("select let_go_units(array(select id from unit where state = 'KEPT'))");
  }

  /** A show with as many seats as there are members, all taken by somebody else; whoever has them gives them back when told. */
  async taken(seats: number): Promise<{ show: Show; members: TestMember[]; giveBack(...numbers: number[]): Promise<void> }> {
    const show = await aShow(this.one, { rows: 1, seatsPerRow: seats, perMemberMax: 100, abandonedMax: null, coolDownSeconds: null });
    const [holder, ...members] = await this.one.members(seats + 2);
    const holds: string[] = [];
    for (let number = 0; number < seats; number++) holds.push(await granted(claimSeats(this.one, holder!, show, number)));
    const giveBack = async (...numbers: number[]) => {
      for (const number of numbers) await release(this.one, holder!, holds[number]!);
    };
    return { show, members, giveBack };
  }

  /** The same member at the other node. */
  atOther = ({ accessToken }: TestMember) => ({ client: this.other.anonymous.as(accessToken) });

  async close(): Promise<void> {
    await this.other.close();
    await this.one.close();
  }
}

const broken = async ({ one }: Nodes) => (await one.brokenInvariants()).map(({ check }) => check);
const states = (members: readonly TestMember[]) => Promise.all(members.map(async (member) => (await watchesOf(member))[0]?.state));
describe('two processes', () => {
  let nodes: Nodes;
  beforeAll(async () => {
    nodes = await Nodes.open();
  });
  afterEach(() => nodes.reset());
  afterAll(() => nodes.close());

  describe('between the release and the offer nobody else can take the seat', () => {
    test('not a stranger, and not the follower before it is offered', async () => {
      const { show, members, giveBack } = await nodes.taken(1);
      const [follower, stranger] = members;
      await follow(follower!, show, { seats: [0] });

      await giveBack(0);

      expect((await claimSeats(nodes.one, stranger!, show, 0)).outcome).toBe('UNIT_TAKEN');
      expect((await claimSeats(nodes.one, follower!, show, 0)).outcome).toBe('UNIT_TAKEN');
      expect(await seatOf(nodes.one, show, 0)).toEqual({ state: 'KEPT', holder: null });
      await nodes.one.app.seatOffers.round();
      expect(await seatOf(nodes.one, show, 0)).toEqual({ state: 'HELD', holder: follower!.uuid });
      expect(await broken(nodes)).toEqual([]);
    });

    test('control: in a pool that is not watched, a stranger takes it', async () => {
      const { show, members, giveBack } = await nodes.taken(1);
      const [follower, stranger] = members;
      await follow(follower!, show, { seats: [0] });
      await nodes.one.query('update pool set is_watched = false');

      await giveBack(0);

      expect((await claimSeats(nodes.one, stranger!, show, 0)).outcome).toBe('GRANTED');
      expect(await broken(nodes)).toEqual(['followers-are-asked-first']);
    });

    test('with no process there to offer it, anybody can after 10 seconds; the followers go on waiting', async () => {
      const { show, members, giveBack } = await nodes.taken(2);
      const [follower, stranger] = members;
      await follow(follower!, show, { seats: [0, 1] });
      const now = async () => (await nodes.one.query<{ now: string }>('select clock_timestamp()::text as now'))[0]?.now;
      const from = await now();
      await giveBack(0, 1);
      const kept = await nodes.one.query(
        `select kept_until - interval '10 s' between $1::timestamptz and $2::timestamptz as "isForTenSeconds" from unit where state = 'KEPT'`,
        [from, await now()],
      );
      expect(kept).toEqual([{ isForTenSeconds: true }, { isForTenSeconds: true }]);

      await nodes.one.query("update unit set kept_until = clock_timestamp() - interval '1 ms' where state = 'KEPT'");

      expect((await claimSeats(nodes.one, stranger!, show, 0)).outcome).toBe('GRANTED');
      expect(await states([follower!])).toEqual(['WAITING']);
      // What nobody took meanwhile is offered by the first process that comes back.
      await nodes.other.app.seatOffers.round();
      expect(await seatOf(nodes.one, show, 1)).toEqual({ state: 'HELD', holder: follower!.uuid });
      expect(await broken(nodes)).toEqual([]);
    });

    test.each([
      ['before the claim', 'select keep_unit_for'],
      ['after the claim', 'update hold set expires_at'],
      ['before the watch is written', "update seat_watch set state = 'OFFERED'"],
    ])('a process that dies %s leaves nothing half; another one goes on', async (_, statement) => {
      const { show, members, giveBack } = await nodes.taken(1);
      const [follower] = members;
      await follow(follower!, show, { seats: [0] });
      await giveBack(0);

      const stalled = stallAt(nodes.one, statement);
      const round = nodes.one.app.seatOffers.round();
      await stalled.reached;
      stalled.die();
      await round;

      expect(await nodes.one.query('select state, kept_for from unit where pool_id = $1', [show.uuids.performance])).toEqual([
        { state: 'KEPT', kept_for: null },
      ]);
      expect(await nodes.one.query('select 1 from hold where claimant_id = $1', [follower!.uuid])).toEqual([]);
      expect(await states([follower!])).toEqual(['WAITING']);
      await nodes.other.app.seatOffers.round();
      expect(await states([follower!])).toEqual(['OFFERED']);
      expect(await broken(nodes)).toEqual([]);
    });
  });

  describe('between the release of places without numbers and the offer nobody else can take them', () => {
    /** A tier of so many places, each taken by a hold of its own, which are given back when told. */
    async function standing(places: number) {
      const show = await aShow(nodes.one, {
        rows: 0,
        standing: { capacity: places, priceMinor: 30_000 },
        abandonedMax: null,
        coolDownSeconds: null,
      });
      const holders = await nodes.one.members(places);
      const holds = await Promise.all(holders.map((holder) => granted(claimPlaces(nodes.one, holder, show, 1))));
      const giveBack = async (...indices: number[]) => {
        for (const index of indices) await release(nodes.one, holders[index]!, holds[index]!);
      };
      return { show, tierId: show.tiers.STANDING!, holders, giveBack };
    }
    const soldOut = { outcome: 'SOLD_OUT', itemIndex: 0, limit: 0 };

    test('not a stranger, on no node, and not the follower before they are offered', async () => {
      const { show, tierId, giveBack } = await standing(1);
      const [follower, stranger] = await nodes.one.members(2);
      await follow(follower!, show, { tierId });

      await giveBack(0);

      for (const node of [nodes.one, nodes.other])
        for (const member of [stranger!, follower!]) expect(await claimPlaces(node, member, show, 1)).toEqual(soldOut);
      await nodes.one.app.seatOffers.round();
      expect(await states([follower!])).toEqual(['OFFERED']);
      expect(await nodes.one.counters(tierId)).toEqual({ capacity: 1, held: 1, sold: 0 });
      expect(await broken(nodes)).toEqual([]);
    });

    test('control: in a pool that is not watched, a stranger takes it', async () => {
      const { show, tierId, giveBack } = await standing(1);
      const [follower, stranger] = await nodes.one.members(2);
      await follow(follower!, show, { tierId });
      await nodes.one.query('update pool set is_watched = false');

      await giveBack(0);

      expect((await claimPlaces(nodes.one, stranger!, show, 1)).outcome).toBe('GRANTED');
      expect(await broken(nodes)).toEqual(['followers-are-asked-first']);
    });

    test('with no process there to offer them, anybody can after 10 seconds; the follower goes on waiting', async () => {
      const { show, tierId, giveBack } = await standing(2);
      const [follower, stranger] = await nodes.one.members(2);
      await follow(follower!, show, { tierId });
      await giveBack(0, 1);

      await nodes.one.query("update pool set kept_until = clock_timestamp() - interval '1 ms' where kept > 0");

      expect((await claimPlaces(nodes.one, stranger!, show, 1)).outcome).toBe('GRANTED');
      expect(await states([follower!])).toEqual(['WAITING']);
      await nodes.other.app.seatOffers.round();
      expect(await states([follower!])).toEqual(['OFFERED']);
      expect(await broken(nodes)).toEqual([]);
    });

    test('what fits nobody is let go, and a pool that nobody follows any more keeps nothing', async () => {
      const { show, tierId, giveBack } = await standing(2);
      const [pair, stranger] = await nodes.one.members(2);
      await follow(pair!, show, { tierId, quantity: 2 });

      await giveBack(0);
      await nodes.one.app.seatOffers.round();

      expect(await nodes.one.query('select kept, kept_until from pool where id = $1', [show.uuids.tiers.STANDING])).toEqual([
        { kept: 0, kept_until: null },
      ]);
      expect((await claimPlaces(nodes.one, stranger!, show, 1)).outcome).toBe('GRANTED');
      expect(await states([pair!])).toEqual(['WAITING']);
    });

    test('who is refused is passed over, and the place stays kept for the next', async () => {
      const { show, tierId, holders, giveBack } = await standing(2);
      const [next] = await nodes.one.members(1);
      for (const follower of [holders[1]!, next!]) await follow(follower, show, { tierId });
      await nodes.one.query('update pool set per_claimant_max = 1 where id = $1', [show.uuids.tiers.STANDING]);
      await giveBack(0);

      await nodes.one.app.seatOffers.round();

      expect((await watchesOf(holders[1]!))[0]).toMatchObject({ state: 'ENDED', endedBecause: 'LIMIT_REACHED' });
      expect(await states([next!])).toEqual(['OFFERED']);
    });

    /** Strangers of both nodes ask without a pause while places are given back, and offered by both nodes. */
    async function strangersServed(places: number): Promise<{ strangers: number; followers: unknown[] }> {
      const { show, tierId, giveBack } = await standing(places);
      const followers = await nodes.one.members(places);
      for (const follower of followers) await follow(follower, show, { tierId });
      const over = new AbortController();
      const strangers = Promise.all(
        [nodes.one, nodes.other].map(async (node) => {
          let served = 0;
          while (!over.signal.aborted) if ((await claimPlaces(node, { uuid: randomUUID() }, show, 1)).outcome === 'GRANTED') served += 1;
          return served;
        }),
      );
      for (let index = 0; index < places; index++) {
        await giveBack(index);
        await Promise.all([nodes.one, nodes.other].map(({ app }) => app.seatOffers.round()));
      }
      over.abort();
      return { strangers: (await strangers).reduce((sum, served) => sum + served), followers: await states(followers) };
    }

    test('20 places are given back while strangers ask all the time: each goes to its follower', async () => {
      expect(await strangersServed(20)).toEqual({ strangers: 0, followers: Array(20).fill('OFFERED') });
      expect(await broken(nodes)).toEqual([]);
    });
  });

  describe('several processes offer at once', () => {
    test('20 seats, 20 followers of their tier: each seat is offered once, each follower one seat', async () => {
      const { show, members, giveBack } = await nodes.taken(20);
      const followers = members.slice(0, 20);
      for (const follower of followers) await follow(follower, show, { tierId: show.tiers.A! });
      await giveBack(...Array.from({ length: 20 }, (_, number) => number));

      await Promise.all([nodes.one, nodes.other, nodes.one, nodes.other].map(({ app }) => app.seatOffers.round()));

      expect(await states(followers)).toEqual(Array.from({ length: 20 }, () => 'OFFERED'));
      const holders = await nodes.one.query(
        'select h.claimant_id as holder from unit u join hold h on h.id = u.hold_id where u.pool_id = $1',
        [show.uuids.performance],
      );
      expect(new Set(holders.map(({ holder }) => holder))).toEqual(new Set(followers.map(({ uuid }) => uuid)));
      for (const node of [nodes.one, nodes.other]) expect(node.logged).toEqual([]);
      expect(await broken(nodes)).toEqual([]);
    });

    test('a process that stalls in the middle of an offer does not cost the first follower his turn', async () => {
      const { first, second, stalled, round } = await stalledBeforeKeeping();

      await nodes.one.app.seatOffers.round();
      expect(await states([first, second])).toEqual(['WAITING', 'WAITING']);
      stalled.die();
      await round;
      await nodes.one.app.seatOffers.round();

      expect(await states([first, second])).toEqual(['OFFERED', 'WAITING']);
      expect(await broken(nodes)).toEqual([]);
    });

    test('control: without the lock on the seat, the second is offered it first', async () => {
      for (const node of [nodes.one, nodes.other]) without(node, 'pg_try_advisory_xact_lock(', '0 <= abs(');
      const { first, second, stalled, round } = await stalledBeforeKeeping();

      await nodes.one.app.seatOffers.round();
      stalled.die();
      await round;

      expect(await states([first, second])).toEqual(['WAITING', 'OFFERED']);
    });

    test('while one process asks a follower, another one asks the next for the next seat', async () => {
      const { show, first, second, stalled, round, giveBack } = await stalledBeforeKeeping();

      await giveBack(1);
      await nodes.one.app.seatOffers.round();
      stalled.go();
      await round;

      expect(await seatOf(nodes.one, show, 0)).toEqual({ state: 'HELD', holder: first.uuid });
      expect(await seatOf(nodes.one, show, 1)).toEqual({ state: 'HELD', holder: second.uuid });
      for (const node of [nodes.one, nodes.other]) expect(node.logged).toEqual([]);
      expect(await broken(nodes)).toEqual([]);
    });

    test('control: without the lock on the watch, both ask the same follower, and one of them in vain', async () => {
      for (const node of [nodes.one, nodes.other]) without(node, 'limit 1 for update skip locked', 'limit 1');
      const { show, first, second, stalled, round, giveBack } = await stalledBeforeKeeping();

      await giveBack(1);
      await nodes.one.app.seatOffers.round();
      stalled.go();
      await round;

      expect(await seatOf(nodes.one, show, 1)).toEqual({ state: 'HELD', holder: first.uuid });
      expect(await states([first, second])).toEqual(['OFFERED', 'WAITING']);
      expect(JSON.stringify(nodes.other.logged)).toContain('cannot answer REPLAYED');
    });

    /** Two follow a tier of two seats; the first seat is back, and the other node has chosen the first follower for it. */
    async function stalledBeforeKeeping() {
      const { show, members, giveBack } = await nodes.taken(2);
      const [first, second] = members as [TestMember, TestMember];
      for (const member of [first, second]) await follow(member, show, { tierId: show.tiers.A! });
      await giveBack(0);
      const stalled = stallAt(nodes.other, 'select keep_unit_for');
      const round = nodes.other.app.seatOffers.round();
      await stalled.reached;
      return { show, first, second, stalled, round, giveBack };
    }

    test('who stops following while being asked has the offer', async () => {
      const { first, second, stalled, round } = await stalledBeforeKeeping();
      const [watch] = await watchesOf(first);

      const leaving = first.client.run('TestUnwatchSeats', { input: { watchIds: [watch!.id] } });
      await waitingForLocks(nodes.one);
      stalled.go();
      await round;

      expect((await leaving).watches).toMatchObject([{ id: watch!.id, state: 'OFFERED', hold: { state: 'HELD' } }]);
      expect(await states([first, second])).toEqual(['OFFERED', 'WAITING']);
      expect(await broken(nodes)).toEqual([]);
    });
  });

  describe('nothing slips between "it is taken" and "it is followed"', () => {
    test('the first to follow: a release waits for the watch, and is offered', async () => {
      const { show, members, giveBack } = await nodes.taken(1);
      const [follower] = members;

      const stalled = stallAt(nodes.other, 'insert into seat_watch');
      const following = follow(nodes.atOther(follower!), show, { seats: [0] });
      await stalled.reached;
      const given = giveBack(0);
      await waitingForLocks(nodes.one);
      stalled.go();
      await Promise.all([following, given]);
      await nodes.one.app.seatOffers.round();

      expect(await seatOf(nodes.one, show, 0)).toEqual({ state: 'HELD', holder: follower!.uuid });
      expect(await broken(nodes)).toEqual([]);
    });

    test('control: when the pool is watched only afterwards, the follower waits for a seat that is free', async () => {
      const { show, members, giveBack } = await nodes.taken(1);
      without(nodes.other, 'order by id for no key update');
      without(nodes.other, 'update pool set is_watched = ?', 'update pool set is_watched = ? and false');

      const stalled = stallAt(nodes.other, 'insert into seat_watch');
      // Nobody else's lock either: the statement that sets it comes after the commit.
      without(nodes.other, 'where id = any (?::uuid[]) and is_watched <> ?', 'where id = any (?::uuid[]) and ? is null');
      const following = follow(nodes.atOther(members[0]!), show, { seats: [0] });
      await stalled.reached;
      await giveBack(0);
      stalled.go();
      await following;
      await nodes.one.query('update pool set is_watched = true');
      await nodes.one.app.seatOffers.round();

      expect(await seatOf(nodes.one, show, 0)).toEqual({ state: 'AVAILABLE', holder: null });
      expect(await broken(nodes)).toEqual(['followers-are-asked-first']);
    });

    test('a seat that nobody follows is not let go past somebody who is about to', async () => {
      const { show, members, stalled, following } = await aboutToFollowKept();

      const round = nodes.one.app.seatOffers.round();
      await waitingForLocks(nodes.one);
      stalled.go();
      await Promise.all([following, round]);

      expect(await seatOf(nodes.one, show, 0)).toEqual({ state: 'HELD', holder: members[1]!.uuid });
      expect(await broken(nodes)).toEqual([]);
    });

    test('control: without the last look, it is free while somebody waits for it', async () => {
      without(nodes.one, 'select pg_advisory_xact_lock(hashtextextended(?, 0))', 'select hashtextextended(?, 0)');
      const { show, stalled, following } = await aboutToFollowKept();

      await nodes.one.app.seatOffers.round();
      stalled.go();
      await following;

      expect(await seatOf(nodes.one, show, 0)).toEqual({ state: 'AVAILABLE', holder: null });
      expect(await broken(nodes)).toEqual(['followers-are-asked-first']);
    });

    /** The pool is watched for another seat; seat 0 is kept, and somebody's watch of it is written and not committed. */
    async function aboutToFollowKept() {
      const { show, members, giveBack } = await nodes.taken(2);
      await follow(members[0]!, show, { seats: [1] });
      await giveBack(0);
      const stalled = stallAt(nodes.other, 'update idempotent_answer');
      const following = follow(nodes.atOther(members[1]!), show, { seats: [0] });
      await stalled.reached;
      return { show, members, stalled, following };
    }

    test('a pool goes on being watched when somebody is about to follow something of it', async () => {
      const { show, stalled, following } = await aboutToFollowAgain();

      const round = nodes.one.app.seatOffers.round();
      await waitingForLocks(nodes.one);
      stalled.go();
      await Promise.all([following, round]);

      expect(await isWatched(nodes.one, show.uuids.performance)).toBe(true);
      expect(await broken(nodes)).toEqual([]);
    });

    test('control: without waiting for them, it is not', async () => {
      without(nodes.one, 'select pg_advisory_xact_lock(hashtextextended(?, 0))', 'select hashtextextended(?, 0)');
      const { show, stalled, following } = await aboutToFollowAgain();

      await nodes.one.app.seatOffers.round();
      stalled.go();
      await following;

      expect(await isWatched(nodes.one, show.uuids.performance)).toBe(false);
      expect(await broken(nodes)).toEqual(['followers-are-asked-first']);
    });

    /** Nobody follows anything of the watched pool, but somebody's watch is written and not committed. */
    async function aboutToFollowAgain() {
      const { show, members } = await nodes.taken(2);
      const [watch] = await follow(members[0]!, show, { seats: [1] });
      await members[0]!.client.run('TestUnwatchSeats', { input: { watchIds: [watch!.id] } });
      const stalled = stallAt(nodes.other, 'update idempotent_answer');
      const following = follow(nodes.atOther(members[1]!), show, { seats: [0] });
      await stalled.reached;
      return { show, stalled, following };
    }

    test('two requests of one member take turns at the limit of 10', async () => {
      expect(tally(await sixAndSix((one) => waitingForLocks(one)))).toEqual({ WatchSeatsSuccess: 1, SeatWatchLimitReachedError: 1 });
      expect(await nodes.one.query("select count(*)::int as count from seat_watch where state = 'WAITING'")).toEqual([{ count: 6 }]);
    });

    test('control: without taking turns, 12 wait', async () => {
      for (const node of [nodes.one, nodes.other])
        without(node, 'select pg_advisory_xact_lock(hashtextextended(?, 0))', 'select hashtextextended(?, 0)');

      const answers = await sixAndSix(({ query }) =>
        eventually(async () => (await query.call(nodes.one, 'select 1 from seat_watch')).length === 6),
      );

      expect(tally(answers)).toEqual({ WatchSeatsSuccess: 2 });
      expect(await nodes.one.query("select count(*)::int as count from seat_watch where state = 'WAITING'")).toEqual([{ count: 12 }]);
    });

    /** A member follows six seats at one node, and six others at the other, where nobody has counted yet what the first one writes. */
    async function sixAndSix(secondHasCome: (one: TestApp) => Promise<unknown>) {
      const { show, members } = await nodes.taken(12);
      const [member] = members;
      // The pool is watched already, so that the lock of the pool is not what they take turns at.
      await follow(members[1]!, show, { seats: [0] }).then(([watch]) =>
        members[1]!.client.run('TestUnwatchSeats', { input: { watchIds: [watch!.id] } }),
      );
      await nodes.one.query('delete from seat_watch');
      const input = (...seats: number[]) => ({ input: { performanceId: show.performanceId, seats, idempotencyKey: randomUUID() } });
      const stalled = stallAt(nodes.other, 'insert into seat_watch');
      const first = nodes.atOther(member!).client.run('TestWatchSeats', input(0, 1, 2, 3, 4, 5));
      await stalled.reached;
      const second = member!.client.run('TestWatchSeats', input(6, 7, 8, 9, 10, 11));
      await secondHasCome(nodes.one);
      stalled.go();
      return Promise.all([first, second]);
    }
  });
});
