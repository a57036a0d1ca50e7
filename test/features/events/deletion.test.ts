import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, type TestMember, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import {
  afterStatement,
  anEvent,
  aPerformance,
  aPlan,
  aVenue,
  brokenInvariants,
  claim,
  held,
  inDays,
  move,
  performanceInput,
} from './event-stage.ts';

failOnLeaks();

const TIERS = [
  { name: 'Front', priceMinor: 50_000, zone: 'A' },
  { name: 'Standing', priceMinor: 30_000, capacity: 20 },
];

async function aHouse(app: TestApp) {
  const [organizer, venueId] = [await app.member('ORGANIZER'), await aVenue(app)];
  return { organizer, venueId, planId: await aPlan(app, venueId, { zones: 'A' }) };
}

const houses = new WeakMap<TestApp, ReturnType<typeof aHouse>>();

/** An event with one performance of 5 seats and 20 places, all at one house for each app. */
async function aStage(app: TestApp) {
  const house = houses.get(app) ?? aHouse(app);
  houses.set(app, house);
  const { organizer, venueId, planId } = await house;
  const eventId = await anEvent(organizer, venueId);
  const { id: performanceId, tiers } = await aPerformance(organizer, eventId, { planId, tiers: TIERS });
  return { organizer, eventId, performanceId, tierId: tiers[1]!.id };
}

const deletions = {
  performance: ({ client }: TestMember, { performanceId }: { performanceId: string }) =>
    client.run('TestDeletePerformance', { input: { performanceId } }),
  event: ({ client }: TestMember, { eventId }: { eventId: string }) => client.run('TestDeleteEvent', { input: { eventId } }),
};

describe('what is held or was paid for stays', () => {
  let app: TestApp;
  let buyer: TestMember;
  beforeAll(async () => {
    app = await testApp();
    await app.stopSweeping();
    // What is followed here is free: it would be offered.
    await app.app.seatOffers.stop();
    buyer = await app.member();
  });
  afterAll(() => app.close());

  const fingerprint = async () =>
    (
      await app.query(
        `select (select count(*)::int from event) as events, (select count(*)::int from performance) as performances, (select count(*)::int from tier) as tiers,
           (select count(*)::int from unit) as units, (select count(*)::int from pool) as pools, (select count(*)::int from hold) as holds`,
      )
    )[0];

  const reasons: [what: string, prepare: (stage: Awaited<ReturnType<typeof aStage>>) => Promise<unknown>, sales: object][] = [
    ['a seat is held', async (stage) => held(app, buyer, stage.performanceId, { seats: [0] }), { open: 1, sold: 0, past: 0 }],
    [
      'a place is being paid',
      async ({ performanceId, tierId }) => move(app, await held(app, buyer, performanceId, { tierId }), 'startPaying'),
      { open: 1, sold: 0, past: 0 },
    ],
    [
      'two holds are sold and one is held',
      async ({ performanceId, tierId }) => {
        for (const seats of [[0], [1, 2]]) await move(app, await held(app, buyer, performanceId, { seats }), 'startPaying', 'confirm');
        await held(app, buyer, performanceId, { seats: [3], tierId });
      },
      { open: 1, sold: 2, past: 0 },
    ],
    [
      'something was refunded',
      async ({ performanceId, tierId }) =>
        move(app, await held(app, buyer, performanceId, { tierId }), 'startPaying', 'confirm', 'giveBack'),
      { open: 0, sold: 0, past: 1 },
    ],
    [
      'a payment was begun in vain',
      async ({ performanceId }) => {
        const holdId = await held(app, buyer, performanceId, { seats: [0] });
        await aPayment(app, buyer, holdId);
        await move(app, holdId, 'startPaying', 'releaseUnpaid');
      },
      { open: 0, sold: 0, past: 1 },
    ],
  ];

  test.each(reasons.flatMap((reason) => (['performance', 'event'] as const).map((what) => ({ what, reason }))))(
    'the $what, where $reason.0',
    async ({ what, reason: [, prepare, sales] }) => {
      const stage = await aStage(app);
      await prepare(stage);
      const before = await fingerprint();

      const refused = await deletions[what](stage.organizer, stage);

      expect(refused).toMatchObject({ code: 'HAS_SALES', ...sales });
      expect(await fingerprint()).toEqual(before);
      await app.query('delete from payment');
    },
  );

  test.each(['performance', 'event'] as const)('what came to nothing goes with the %s', async (what) => {
    const stage = await aStage(app);
    const before = await fingerprint();
    const { organizer, performanceId, tierId } = stage;
    const member = await app.member();
    const other = await aStage(app);
    const kept = await held(app, member, other.performanceId, { seats: [0] });
    await move(app, await held(app, member, performanceId, { seats: [0, 1], tierId }), 'release');
    // It has run out, and nobody has tidied it.
    await app.expire(holdNode(await held(app, member, performanceId, { seats: [1], tierId, places: 3 })));
    await app.query('insert into seat_watch (pool_id, performance_id, member_id, seat_number, tier_id) values ($1, $1, $2, 0, $3)', [
      uuidIn(performanceId),
      member.uuid,
      uuidIn(tierId),
    ]);
    await app.query('insert into seat_watch (pool_id, performance_id, member_id, tier_id) values ($3, $1, $2, $3)', [
      uuidIn(performanceId),
      member.uuid,
      uuidIn(tierId),
    ]);
    await app.query("insert into scan (performance_id, result, gate, scanned_at, staff_id) values ($1, 'FORGED', 'A', now(), $2)", [
      uuidIn(performanceId),
      organizer.uuid,
    ]);

    const deleted = await deletions[what](organizer, stage);

    expect(deleted).toMatchObject({ deletedId: what === 'event' ? stage.eventId : performanceId });
    const { events, performances, tiers, units, pools } = before as Record<string, number>;
    expect(await fingerprint()).toEqual({
      // The other stage came, this one went.
      events: what === 'event' ? events : events! + 1,
      performances,
      tiers,
      units,
      pools,
      holds: (before as { holds: number }).holds + 1,
    });
    expect(await app.query('select state from hold where claimant_id = $1', [member.uuid])).toEqual([{ state: 'HELD' }]);
    expect(await app.query('select count(*)::int as count from seat_watch')).toEqual([{ count: 0 }]);
    expect(await app.query('select count(*)::int as count from scan')).toEqual([{ count: 0 }]);
    await app.app.inventory.release(kept, member.uuid);
    expect(await brokenInvariants(app)).toEqual([]);
  });

  test('whoever claims afterwards finds nothing', async () => {
    const { organizer, performanceId, tierId } = await aStage(app);
    await organizer.client.run('TestDeletePerformance', { input: { performanceId } });

    expect(await claim(app, await app.member(), performanceId, { seats: [0] })).toMatchObject({ outcome: 'NOT_FOUND' });
    expect(await claim(app, await app.member(), performanceId, { tierId })).toMatchObject({ outcome: 'NOT_FOUND' });
  });
});

describe('a deletion and a claim at once', () => {
  /** Runs the claim when the deletion has looked for sales and found none. */
  async function raced({ isLocking }: { isLocking: boolean }) {
    const app = await testApp();
    const { organizer, eventId, performanceId, tierId } = await aStage(app);
    const member = await app.member();
    const claiming = afterStatement(app, 'as abandoned', isLocking ? null : / for update$/, () =>
      claim(app, member, performanceId, { tierId }),
    );
    const deleted = await organizer.client.run('TestDeletePerformance', { input: { performanceId } });
    return { app, organizer, eventId, deleted, claimed: await claiming };
  }

  test('the claim waits for the deletion, and finds nothing', async () => {
    const { app, deleted, claimed } = await raced({ isLocking: true });

    expect(deleted).toMatchObject({ __typename: 'DeletePerformanceSuccess' });
    expect(claimed).toMatchObject({ outcome: 'NOT_FOUND' });
    expect(await app.query('select * from hold')).toEqual([]);
    expect(await app.brokenInvariants()).toEqual([]);
    await app.close();
  });

  test('negative control: without the lock somebody holds a place of nothing, and the invariants say so', async () => {
    const { app, deleted, claimed } = await raced({ isLocking: false });

    expect(deleted).toMatchObject({ __typename: 'DeletePerformanceSuccess' });
    expect(claimed).toMatchObject({ outcome: 'GRANTED' });
    expect((await app.brokenInvariants()).map(({ check }) => check)).toEqual(['ticket-hold-has-its-pools']);
    await app.close();
  });

  test('many claims and a deletion: either all of it stays, or nobody has anything', async () => {
    await using app = await testApp();
    const members = await app.members(20);
    for (let round = 0; round < 3; round++) {
      const { organizer, performanceId, tierId } = await aStage(app);

      const [deleted, ...claimed] = await Promise.all([
        organizer.client.run('TestDeletePerformance', { input: { performanceId } }),
        ...members.map((member, index) => claim(app, member, performanceId, index % 2 === 0 ? { tierId } : { seats: [index % 5] })),
      ]);

      const granted = claimed.filter(({ outcome }) => outcome === 'GRANTED').length;
      const holds = await app.query('select 1 from hold h join hold_item i on i.hold_id = h.id where i.pool_id = any ($1::uuid[])', [
        [uuidIn(performanceId), uuidIn(tierId)],
      ]);
      if (deleted.deletedId) expect([granted, holds.length]).toEqual([0, 0]);
      else expect([deleted.code, granted > 0, holds.length]).toEqual(['HAS_SALES', true, granted]);
    }
    expect(await app.brokenInvariants()).toEqual([]);
  });
});

describe('a deletion and a change at once', () => {
  test.each([true, false])('the performance waits for the deletion of its event, and finds none; with the lock: %s', async (isLocking) => {
    await using app = await testApp();
    const { organizer, eventId, performanceId } = await aStage(app);

    const creating = afterStatement(app, 'as abandoned', isLocking ? null : / for update$/, () =>
      organizer.client.run('TestCreatePerformance', { input: performanceInput(eventId, { startsAt: inDays(3) }) as never }),
    );
    const { data, errors } = await organizer.client.send('TestDeleteEvent', { input: { eventId } });

    if (isLocking) {
      expect(data.deleteEvent).toMatchObject({ deletedId: eventId });
      expect(await creating).toMatchObject({ code: 'EVENT_NOT_FOUND' });
      expect(await app.query('select 1 from pool where id <> $1', [uuidIn(performanceId)])).toEqual([]);
    } else {
      // The control: only the foreign key stands between, and knows no word to say.
      expect(await creating).toMatchObject({ __typename: 'PerformanceSuccess' });
      expect(errors.map(({ extensions }) => extensions.code)).toEqual(['INTERNAL_SERVER_ERROR']);
    }
  });

  test('a change that comes while the performance is deleted finds none', async () => {
    await using app = await testApp();
    const { organizer, performanceId } = await aStage(app);

    const changing = afterStatement(app, 'as abandoned', null, () =>
      organizer.client.run('TestUpdatePerformance', { input: { performanceId, holdSeconds: 60 } }),
    );
    await organizer.client.run('TestDeletePerformance', { input: { performanceId } });

    expect(await changing).toMatchObject({ code: 'PERFORMANCE_NOT_FOUND' });
  });
});

const holdNode = (uuid: string) => Buffer.from(`TicketHold:${uuid}`).toString('base64url');

/** A payment of a hold as it is once it was begun. */
async function aPayment(app: TestApp, member: TestMember, holdId: string): Promise<void> {
  await app.query(
    `insert into payment (hold_id, original_hold_id, member_id, provider, amount_minor, currency, idempotency_key, request_hash)
     values ($1, $1, $2, 'TOSS', 1000, 'KRW', $3, '\\x00')`,
    [holdId, member.uuid, randomUUID()],
  );
}
