import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, testApp } from '../../support/app.ts';
import type { Answer, OperationName, TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { anEvent, aPerformance, aPlan, aVenue, key, NOBODY, performanceInput } from './event-stage.ts';

failOnLeaks();

const CALLERS = ['anonymous', 'member', 'stranger', 'owner', 'admin'] as const;
type Caller = (typeof CALLERS)[number];

/** What an owner offers: each call of the table gets one of its own, so that none spoils another's. */
interface Stage {
  eventId: string;
  performanceId: string;
  seatTierId: string;
  placeTierId: string;
  staffId: string;
}

interface Row {
  operation: OperationName;
  input(stage: Stage): object;
  /** What it answers to an organizer who owns nothing of it. */
  notFound: 'EVENT_NOT_FOUND' | 'PERFORMANCE_NOT_FOUND' | 'TIER_NOT_FOUND';
}

const table: Row[] = [
  { operation: 'TestUpdateEvent', input: ({ eventId }) => ({ eventId, title: 'Mine' }), notFound: 'EVENT_NOT_FOUND' },
  { operation: 'TestDeleteEvent', input: ({ eventId }) => ({ eventId }), notFound: 'EVENT_NOT_FOUND' },
  { operation: 'TestCreatePerformance', input: ({ eventId }) => performanceInput(eventId), notFound: 'EVENT_NOT_FOUND' },
  {
    operation: 'TestUpdatePerformance',
    input: ({ performanceId }) => ({ performanceId, perMemberMax: 1 }),
    notFound: 'PERFORMANCE_NOT_FOUND',
  },
  { operation: 'TestDeletePerformance', input: ({ performanceId }) => ({ performanceId }), notFound: 'PERFORMANCE_NOT_FOUND' },
  { operation: 'TestClosePerformanceSale', input: ({ performanceId }) => ({ performanceId }), notFound: 'PERFORMANCE_NOT_FOUND' },
  { operation: 'TestReleaseHouseSeats', input: ({ performanceId }) => ({ performanceId, seats: [0] }), notFound: 'PERFORMANCE_NOT_FOUND' },
  { operation: 'TestBlockSeats', input: ({ performanceId }) => ({ performanceId, seats: [1] }), notFound: 'PERFORMANCE_NOT_FOUND' },
  { operation: 'TestUpdateTier', input: ({ seatTierId }) => ({ tierId: seatTierId, priceMinor: 1 }), notFound: 'TIER_NOT_FOUND' },
  { operation: 'TestChangeTierCapacity', input: ({ placeTierId }) => ({ tierId: placeTierId, capacity: 1 }), notFound: 'TIER_NOT_FOUND' },
  { operation: 'TestAddDoorStaff', input: ({ eventId }) => ({ eventId, email: 'door@example.com' }), notFound: 'EVENT_NOT_FOUND' },
  { operation: 'TestRemoveDoorStaff', input: ({ eventId, staffId }) => ({ eventId, memberId: staffId }), notFound: 'EVENT_NOT_FOUND' },
];

describe('who may change what is offered', () => {
  let app: TestApp;
  let callers: Record<Caller, { client: TestClient; id?: string }>;
  let owner: TestMember;
  let staffId: string;
  let venueId: string;
  let planId: string;
  beforeAll(async () => {
    app = await testApp();
    await app.stopSweeping();
    owner = await app.member('ORGANIZER');
    callers = {
      anonymous: { client: app.anonymous },
      member: await app.member(),
      stranger: await app.member('ORGANIZER'),
      owner,
      admin: await app.admin(),
    };
    const staff = await app.member();
    staffId = staff.id;
    await app.query("update member set email = 'door@example.com' where id = $1", [staff.uuid]);
    venueId = await aVenue(app);
    planId = await aPlan(app, venueId, { zones: 'A', house: [0] });
  });
  afterAll(() => app.close());

  const aStage = async (): Promise<Stage> => {
    const eventId = await anEvent(owner, venueId);
    const { id, tiers } = await aPerformance(owner, eventId, {
      planId,
      tiers: [
        { name: 'Seats', priceMinor: 50_000, zone: 'A' },
        { name: 'Places', priceMinor: 30_000, capacity: 20 },
      ],
    });
    return { eventId, performanceId: id, seatTierId: tiers[0]!.id, placeTierId: tiers[1]!.id, staffId };
  };

  const TABLES = ['event', 'performance', 'tier', 'pool', 'unit', 'door_staff', 'idempotent_answer', 'attempt_counter'];
  const fingerprint = async (tables = TABLES) =>
    (
      await app.query<{ sum: string }>(
        `select ${tables.map((name) => `(select coalesce(md5(string_agg(t::text, '' order by t::text)), '') from ${name} t)`).join(' || ')} as sum`,
      )
    )[0]?.sum;

  const rootOf = ({ data }: Answer) => (data === null ? null : (Object.values(data)[0] as { code?: string } | null));

  test.each(table.flatMap((row) => CALLERS.map((caller) => ({ ...row, caller }))))(
    '$operation by $caller',
    async ({ operation, input, notFound, caller }) => {
      const stage = await aStage();
      // Who adds somebody by e-mail is counted before anything is looked at.
      const tables = operation === 'TestAddDoorStaff' ? TABLES.filter((name) => name !== 'attempt_counter') : TABLES;
      const before = await fingerprint(tables);

      const answer = await callers[caller].client.send(operation, { input: input(stage) });

      const codes = answer.errors.map(({ extensions }) => extensions.code);
      const root = rootOf(answer);
      if (caller === 'anonymous' || caller === 'member') {
        expect(codes).toEqual([caller === 'anonymous' ? 'UNAUTHENTICATED' : 'FORBIDDEN']);
        expect(root).toBeNull();
      } else {
        expect(codes).toEqual([]);
        expect(root?.code).toBe(caller === 'stranger' ? notFound : undefined);
      }
      if (caller === 'owner' || caller === 'admin') {
        // Whom nobody had added nobody has removed.
        if (operation !== 'TestRemoveDoorStaff') expect(await fingerprint()).not.toBe(before);
      } else expect(await fingerprint(tables)).toBe(before);
    },
  );

  test.each(table)("$operation: somebody else's and nobody's are answered alike", async ({ operation, input }) => {
    const { client } = callers.stranger;
    const nothing = {
      eventId: toNodeId('Event', NOBODY),
      performanceId: toNodeId('Performance', NOBODY),
      seatTierId: toNodeId('Tier', NOBODY),
      placeTierId: toNodeId('Tier', NOBODY),
      staffId,
    };

    const [real, made] = [
      await client.send(operation, { input: input(await aStage()) }),
      await client.send(operation, { input: input(nothing) }),
    ];

    expect(real.data).toEqual(made.data);
  });

  test.each(CALLERS)('an event is announced by organizers and administrators, and is theirs: %s', async (caller) => {
    const before = await fingerprint();
    const input = { title: 'Mine', body: '', category: 'PLAY', venueId, ...key() };

    const answer = await callers[caller].client.send('TestCreateEvent', { input });

    const codes = answer.errors.map(({ extensions }) => extensions.code);
    if (caller === 'anonymous' || caller === 'member') {
      expect(codes).toEqual([caller === 'anonymous' ? 'UNAUTHENTICATED' : 'FORBIDDEN']);
      expect(await fingerprint()).toBe(before);
    } else expect(answer.data.createEvent.event.organizerId).toBe(callers[caller].id);
  });

  test.each(CALLERS)('everybody reads what is offered, and its door staff only who offers it: %s', async (caller) => {
    const { eventId, performanceId, placeTierId } = await aStage();
    await owner.client.run('TestAddDoorStaff', { input: { eventId, email: 'door@example.com' } });
    const { client } = callers[caller];

    expect((await client.run('TestEvent', { id: eventId })).id).toBe(eventId);
    expect((await client.run('TestPerformance', { id: performanceId })).id).toBe(performanceId);
    for (const id of [eventId, performanceId, placeTierId]) expect((await client.run('TestNode', { id })).id).toBe(id);
    expect((await client.run('TestEvents', { first: 1 })).nodes).toHaveLength(1);
    expect((await client.run('TestPerformances', { first: 1 })).nodes).toHaveLength(1);
    expect((await client.run('TestDoorStaff', { id: eventId })).doorStaff).toEqual(
      caller === 'owner' || caller === 'admin'
        ? [{ memberId: staffId, displayName: expect.any(String), email: 'door@example.com', addedAt: expect.any(String) }]
        : null,
    );
  });

  test.each(CALLERS)('my events are for organizers: %s', async (caller) => {
    const { data, errors } = await callers[caller].client.send('TestMyEvents');

    const codes = errors.map(({ extensions }) => extensions.code);
    if (caller === 'anonymous' || caller === 'member') expect(codes).toEqual([caller === 'anonymous' ? 'UNAUTHENTICATED' : 'FORBIDDEN']);
    else for (const { organizerId } of data.myEvents.nodes) expect(organizerId).toBe(callers[caller].id);
  });

  test('the id of an organizer tells nothing of them', async () => {
    expect((await callers.stranger.client.send('TestNode', { id: owner.id })).data).toEqual({ node: null });
  });

  test('who is not an organizer any more changes nothing any more', async () => {
    const former = await app.member('ORGANIZER');
    const eventId = await anEvent(former, venueId);
    await app.query("update member set role = 'MEMBER' where id = $1", [former.uuid]);

    const { errors } = await former.client.send('TestUpdateEvent', { input: { eventId, title: 'Mine' } });

    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['FORBIDDEN']);
  });
});
