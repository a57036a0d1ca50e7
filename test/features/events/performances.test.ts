import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { unitIdOf } from '../../../src/inventory/units.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow } from '../../support/shows.ts';
import { countStatements } from '../../support/statements.ts';
import { eventually } from '../../support/wait.ts';
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
  NOBODY,
  performanceInput,
} from './event-stage.ts';

failOnLeaks();

describe('performances', () => {
  let app: TestApp;
  let organizer: TestMember;
  let venueId: string;
  let eventId: string;
  let planId: string;
  const zoned = [
    { name: 'Front', priceMinor: 50_000, zone: 'A' },
    { name: 'Back', priceMinor: 40_000, zone: 'B' },
  ];
  beforeAll(async () => {
    app = await testApp();
    organizer = await app.member('ORGANIZER');
    venueId = await aVenue(app);
    eventId = await anEvent(organizer, venueId);
    planId = await aPlan(app, venueId, { house: [2, 3], kill: [9] });
  });
  afterAll(() => app.close());

  const create = (input: Record<string, unknown>) =>
    organizer.client.run('TestCreatePerformance', { input: performanceInput(eventId, input) as never });
  const rows = async () =>
    (
      await app.query(
        'select (select count(*)::int from performance) as performances, (select count(*)::int from pool) as pools, (select count(*)::int from tier) as tiers, (select count(*)::int from unit) as units',
      )
    )[0];
  const poolsOf = (performanceId: string) =>
    app.query(
      `select kind, hold_seconds, quota_max, opens_at, closes_at, price_minor, version from pool where quota_key = 'performance ' || $1 order by kind`,
      [uuidIn(performanceId)],
    );
  const states = async (performanceId: string) =>
    (await app.query<{ state: string }>('select state from unit where pool_id = $1 order by number', [uuidIn(performanceId)]))
      .map(({ state }) => state[0])
      .join('');

  test('seats, house seats and places without numbers are sold as they were asked for', async () => {
    const startsAt = inDays(30);
    const made = await create({
      startsAt,
      planId,
      tiers: [...zoned, { name: ' Standing ', priceMinor: 0, capacity: 20 }],
    });

    const id = made.performance!.id;
    expect(made.performance).toEqual({
      __typename: undefined,
      id,
      startsAt,
      endsAt: new Date(Date.parse(startsAt) + 7_200_000).toISOString(),
      onSaleFrom: null,
      onSaleUntil: startsAt,
      perMemberMax: 8,
      holdSeconds: 300,
      cancellation: [{ hoursBefore: 0, percent: 100 }],
      seatPlanId: planId,
      event: { id: eventId, title: 'The Last Seat' },
      tiers: [
        { id: expect.any(String), name: 'Front', zone: 'A', price: { amountMinor: 50_000, currency: 'KRW' }, availability: null },
        { id: expect.any(String), name: 'Back', zone: 'B', price: { amountMinor: 40_000, currency: 'KRW' }, availability: null },
        {
          id: expect.any(String),
          name: 'Standing',
          zone: null,
          price: { amountMinor: 0, currency: 'KRW' },
          availability: { capacity: 20, free: 20, held: 0, sold: 0 },
        },
      ],
      availability: { capacity: 7, free: 7, held: 0, sold: 0 },
    });
    expect(await app.anonymous.run('TestPerformance', { id })).toEqual(made.performance);
    expect(await states(id)).toBe('AABBAAAAAB');
    expect(await app.query('select id, label, price_minor from unit where pool_id = $1 and number = 5', [uuidIn(id)])).toEqual([
      { id: unitIdOf(uuidIn(id), 5), label: 'B 1-1', price_minor: 40_000 },
    ]);
    expect(await brokenInvariants(app)).toEqual([]);
  });

  test('a performance without a plan has no numbered seats', async () => {
    const made = await create({ perMemberMax: 100, holdSeconds: 30, cancellation: [], onSaleFrom: inDays(1), onSaleUntil: inDays(2) });

    expect(made.performance).toMatchObject({
      perMemberMax: 100,
      holdSeconds: 30,
      cancellation: [],
      onSaleFrom: inDays(1),
      onSaleUntil: inDays(2),
      seatPlanId: null,
      availability: null,
    });
    expect(await poolsOf(made.performance!.id)).toMatchObject([
      { kind: 'performance', hold_seconds: 30, quota_max: 100, closes_at: new Date(inDays(2)) },
      { kind: 'tier', hold_seconds: 30, quota_max: 100, closes_at: new Date(inDays(2)) },
    ]);
  });

  test('the rows are those of the fixture', async () => {
    const [startsAt, opensAt] = [new Date(inDays(40)), new Date(inDays(3))];
    const show = await aShow(app, {
      organizerId: organizer.uuid,
      sections: 2,
      rows: 2,
      seatsPerRow: 3,
      standing: { capacity: 9, priceMinor: 30_000 },
      blocked: [4],
      startsAt,
      opensAt,
      closesAt: startsAt,
    });

    const made = await organizer.client.run('TestCreatePerformance', {
      input: performanceInput(show.eventId, {
        startsAt: startsAt.toISOString(),
        onSaleFrom: opensAt.toISOString(),
        planId: toNodeId('SeatPlan', show.uuids.plan as string),
        tiers: [
          { name: 'Section A', priceMinor: 50_000, zone: 'A' },
          { name: 'Section B', priceMinor: 40_000, zone: 'B' },
          { name: 'Standing', priceMinor: 30_000, capacity: 9 },
        ],
      }) as never,
    });

    const written = async (id: string) => {
      const text = await app.query<{ row: string }>(ROWS, [id]);
      const tiers = await app.query<{ id: string; name: string }>('select id, name from tier where performance_id = $1', [id]);
      // Names for the ids, and the time at which a row was written left out.
      const named = tiers.reduce((all, tier) => all.replaceAll(tier.id, tier.name), text.map(({ row }) => row).join('\n'));
      return named.replaceAll(id.slice(0, 32), 'performance-').replaceAll(`performance-${id.slice(32)}`, 'performance');
    };
    expect(await written(uuidIn(made.performance!.id))).toBe(await written(show.uuids.performance));
  });

  test('5,000 seats are made by as many statements as 5', async () => {
    const tiers = [...'ABCDE'].map((zone) => ({ name: zone, priceMinor: 10_000, zone }));
    const [small, large] = [
      await aPlan(app, venueId, { zones: 'ABCDE', seats: 1 }),
      await aPlan(app, venueId, { zones: 'ABCDE', seats: 1_000 }),
    ];
    const statements = await countStatements(app);

    const sent = [];
    for (const plan of [small, large]) sent.push(await statements.of(() => create({ planId: plan, tiers })));
    statements.stop();

    const made = await create({ planId: large, tiers });
    expect(made.performance?.availability).toMatchObject({ capacity: 5_000, free: 5_000 });
    expect(sent[1]).toHaveLength(sent[0]?.length ?? 0);
    expect(sent[1]?.filter((text) => /insert into "?unit\b/.test(text))).toHaveLength(1);
  });

  test('a double-submitted performance is one; the same key for another is refused', async () => {
    const input = performanceInput(eventId, { planId, tiers: zoned }) as never as { idempotencyKey: string };
    const before = await rows();

    const answers = await Promise.all([0, 1].map(() => organizer.client.run('TestCreatePerformance', { input: input as never })));
    const another = await organizer.client.run('TestCreatePerformance', { input: { ...input, perMemberMax: 3 } as never });

    expect(new Set(answers.map(({ performance: made }) => made?.id)).size).toBe(1);
    expect(another).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await rows()).toEqual({
      performances: (before?.performances as number) + 1,
      pools: (before?.pools as number) + 1,
      tiers: (before?.tiers as number) + 2,
      units: (before?.units as number) + 10,
    });
    const performanceId = answers[0]!.performance!.id;
    await organizer.client.run('TestDeletePerformance', { input: { performanceId } });
    expect(await organizer.client.run('TestCreatePerformance', { input: input as never })).toEqual({
      __typename: 'PerformanceSuccess',
      performance: null,
    });
  });

  const standing = { name: 'Standing', priceMinor: 30_000, capacity: 20 };

  test.each([
    ['a beginning in the past', { startsAt: inDays(-1) }, 'startsAt'],
    ['an end at the beginning', { startsAt: inDays(5), endsAt: inDays(5) }, 'endsAt'],
    ['an end before the beginning', { startsAt: inDays(5), endsAt: inDays(4) }, 'endsAt'],
    ['more than 31 days', { startsAt: inDays(5), endsAt: inDays(36.01) }, 'endsAt'],
    ['a sale that opens after it closes', { onSaleFrom: inDays(31) }, 'onSaleFrom'],
    ['a sale that closes after the end', { onSaleUntil: inDays(31) }, 'onSaleUntil'],
    ['a limit of 0', { perMemberMax: 0 }, 'perMemberMax'],
    ['a limit of 101', { perMemberMax: 101 }, 'perMemberMax'],
    ['the smallest Int as limit', { perMemberMax: -2_147_483_648 }, 'perMemberMax'],
    ['holds of 29 seconds', { holdSeconds: 29 }, 'holdSeconds'],
    ['holds of 3,601 seconds', { holdSeconds: 3_601 }, 'holdSeconds'],
    ['a policy that gives back 101 percent', { cancellation: [{ hoursBefore: 0, percent: 101 }] }, 'cancellation'],
    ['no tiers', { tiers: [] }, 'tiers'],
    ['21 tiers', { tiers: Array.from({ length: 21 }, (_, index) => ({ ...standing, name: `${index}` })) }, 'tiers'],
    ['a tier without a name', { tiers: [standing, { ...standing, name: ' ' }] }, 'tiers[1].name'],
    ['a name of 51 characters', { tiers: [{ ...standing, name: 'x'.repeat(51) }] }, 'tiers[0].name'],
    ['one name twice', { tiers: [standing, { ...standing, name: ' Standing' }] }, 'tiers[1].name'],
    ['a negative price', { tiers: [{ ...standing, priceMinor: -1 }] }, 'tiers[0].priceMinor'],
    ['a price over 10,000,000', { tiers: [{ ...standing, priceMinor: 10_000_001 }] }, 'tiers[0].priceMinor'],
    ['a negative capacity', { tiers: [{ ...standing, capacity: -1 }] }, 'tiers[0].capacity'],
    ['a capacity over 100,000', { tiers: [{ ...standing, capacity: 100_001 }] }, 'tiers[0].capacity'],
    ['a tier of nothing', { tiers: [{ name: 'x', priceMinor: 1 }] }, 'tiers[0].capacity'],
    ['a tier of both', { tiers: [{ ...standing, zone: 'A' }] }, 'tiers[0].zone'],
    ['a zone without a plan', { tiers: [zoned[0]] }, 'tiers[0].zone'],
    ['a plan nobody knows', { planId: toNodeId('SeatPlan', NOBODY) }, 'planId'],
  ])('%s is refused by name, and nothing is made', async (_, wrong, field) => {
    const before = await rows();

    expect(await create(wrong)).toMatchObject({ code: 'EVENT_INPUT', field });

    expect(await rows()).toEqual(before);
  });

  test('a plan of another venue is no plan of the event', async () => {
    const elsewhere = await aPlan(app, await aVenue(app));

    expect(await create({ planId: elsewhere, tiers: zoned })).toMatchObject({ code: 'EVENT_INPUT', field: 'planId' });
  });

  test.each([
    ['one is missing', [zoned[0]], { missing: ['B'], unknown: [], repeated: [] }],
    ['one is unknown', [...zoned, { name: 'Box', priceMinor: 1, zone: 'C' }], { missing: [], unknown: ['C'], repeated: [] }],
    ['one is there twice', [...zoned, { name: 'Box', priceMinor: 1, zone: 'A' }], { missing: [], unknown: [], repeated: ['A'] }],
    [
      'everything is wrong',
      [zoned[0], { ...zoned[0], name: 'x' }, { ...zoned[1], zone: 'b' }, standing],
      { missing: ['B'], unknown: ['b'], repeated: ['A'] },
    ],
  ])('each zone of the plan has exactly one tier: where %s, nothing is made', async (_, tiers, zones) => {
    const before = await rows();

    expect(await create({ planId, tiers })).toMatchObject({ code: 'TIER_ZONES', ...zones });

    expect(await rows()).toEqual(before);
  });

  test.each([
    ['an instant that is none', { startsAt: 'tomorrow', endsAt: inDays(2) }],
    ['a fraction as limit', { perMemberMax: 1.5 }],
    ['a price past Int', { tiers: [{ ...standing, priceMinor: 2_147_483_648 }] }],
    ['101 tiers', { tiers: Array(101).fill(standing) }],
    ['the id of a venue as event', { eventId: toNodeId('Venue', NOBODY) }],
    ['the id of a venue as plan', { planId: toNodeId('Venue', NOBODY) }],
    ['a key with a space', { idempotencyKey: 'a key' }],
  ])('%s is bad input, and nothing is made', async (_, wrong) => {
    const before = await rows();

    const { errors } = await organizer.client.send('TestCreatePerformance', {
      input: { ...performanceInput(eventId), endsAt: inDays(31), ...wrong },
    });

    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
    expect(await rows()).toEqual(before);
  });

  describe('are changed', () => {
    const update = (performanceId: string, change: object) =>
      organizer.client.run('TestUpdatePerformance', { input: { performanceId, ...change } });

    test('with all of their pools at once, and what is not named stays', async () => {
      const made = await aPerformance(organizer, eventId, { planId, tiers: [...zoned, standing], onSaleFrom: inDays(1) });

      const { performance: unchanged } = await update(made.id, {});
      const { performance: changed } = await update(made.id, {
        startsAt: inDays(50),
        endsAt: inDays(51),
        onSaleFrom: null,
        perMemberMax: 2,
        holdSeconds: 60,
        cancellation: [{ hoursBefore: 24, percent: 50 }],
      });

      expect(unchanged).toEqual(made);
      expect(changed).toEqual({
        ...made,
        startsAt: inDays(50),
        endsAt: inDays(51),
        onSaleFrom: null,
        onSaleUntil: inDays(50), // It closed when it was to begin.
        perMemberMax: 2,
        holdSeconds: 60,
        cancellation: [{ hoursBefore: 24, percent: 50 }],
      });
      const shared = { hold_seconds: 60, quota_max: 2, opens_at: null, closes_at: new Date(inDays(50)), version: 3 };
      expect(await poolsOf(made.id)).toMatchObject([
        { kind: 'performance', ...shared },
        { kind: 'tier', ...shared },
      ]);
      expect((await update(made.id, { onSaleUntil: inDays(45) })).performance).toMatchObject({ onSaleUntil: inDays(45) });
      expect((await update(made.id, { startsAt: inDays(50.5) })).performance).toMatchObject({ onSaleUntil: inDays(45) });
      expect((await update(made.id, { onSaleUntil: null })).performance).toMatchObject({ onSaleUntil: inDays(50.5) });
    });

    test.each([
      ['a beginning in the past', { startsAt: inDays(-1) }, 'startsAt'],
      ['a beginning after the stored end', { startsAt: inDays(31) }, 'endsAt'],
      ['an end before the stored beginning', { endsAt: inDays(29) }, 'endsAt'],
      ['a sale that opens after the stored close', { onSaleFrom: inDays(30.01) }, 'onSaleFrom'],
      ['a sale that closes after the stored end', { onSaleUntil: inDays(31) }, 'onSaleUntil'],
      ['a limit of 0', { perMemberMax: 0 }, 'perMemberMax'],
      ['holds of an hour and a second', { holdSeconds: 3_601 }, 'holdSeconds'],
      ['6 steps', { cancellation: [6, 5, 4, 3, 2, 1].map((hoursBefore) => ({ hoursBefore, percent: 10 })) }, 'cancellation'],
    ])('%s is refused by name, and nothing is changed', async (_, wrong, field) => {
      const made = await aPerformance(organizer, eventId);

      expect(await update(made.id, { holdSeconds: 77, ...wrong })).toMatchObject({ code: 'EVENT_INPUT', field });

      expect(await app.anonymous.run('TestPerformance', { id: made.id })).toEqual(made);
    });

    test('what is held keeps its deadline, and a new hold has the new one', async () => {
      const made = await aPerformance(organizer, eventId);
      const tierId = made.tiers[0]!.id;
      const [early, late] = [await app.member(), await app.member()];
      const before = await held(app, early, made.id, { tierId });
      await update(made.id, { holdSeconds: 3_600 });
      const after = await held(app, late, made.id, { tierId });

      const seconds = await app.query(
        'select extract(epoch from expires_at - created_at)::int as seconds from hold where id = any ($1::uuid[]) order by id',
        [[before, after]],
      );
      expect(seconds).toEqual([{ seconds: 300 }, { seconds: 3_600 }]);
    });

    test('the limit for a member does not go below what somebody has', async () => {
      const made = await aPerformance(organizer, eventId, { planId, tiers: [...zoned, standing] });
      const member = await app.member();
      await held(app, member, made.id, { seats: [0, 1], tierId: made.tiers[2]!.id, places: 2 });

      expect(await update(made.id, { perMemberMax: 3 })).toMatchObject({ code: 'MEMBER_LIMIT_BELOW_TAKEN', taken: 4 });
      expect((await update(made.id, { perMemberMax: 4 })).performance).toMatchObject({ perMemberMax: 4 });

      expect(await claim(app, member, made.id, { seats: [4] })).toMatchObject({ outcome: 'QUOTA_REACHED' });
      expect(await brokenInvariants(app)).toEqual([]);
    });

    test.each([
      ['a claim that comes while the limit is lowered waits, and meets the new one', null, 'QUOTA_REACHED', []],
      ['negative control: without the lock the claim gets more than the limit', / for no key update$/, 'GRANTED', ['quota-kept']],
    ] as const)('%s', async (_, without, outcome, broken) => {
      const made = await aPerformance(organizer, eventId);
      const [member, tierId] = [await app.member(), made.tiers[0]!.id];
      await held(app, member, made.id, { tierId, places: 2 });

      const claiming = afterStatement(app, 'as taken from', without, () => claim(app, member, made.id, { tierId }));
      const changed = await update(made.id, { perMemberMax: 2 });

      expect(changed.performance).toMatchObject({ perMemberMax: 2 });
      expect(await claiming).toMatchObject({ outcome });
      expect((await brokenInvariants(app)).map(({ check }) => check)).toEqual(broken);
      await app.query('update pool set quota_max = 8 where id = $1', [uuidIn(tierId)]);
      await app.query('update pool set quota_max = 8 where id = $1', [uuidIn(made.id)]);
    });

    test('a sale that is closed sells nothing more, of seats and of places; what is held can be paid', async () => {
      const made = await aPerformance(organizer, eventId, { planId, tiers: [...zoned, standing] });
      const tierId = made.tiers[2]!.id;
      const holdId = await held(app, await app.member(), made.id, { seats: [0] });

      const closed = await organizer.client.run('TestClosePerformanceSale', { input: { performanceId: made.id } });

      expect(Date.parse(closed.performance!.onSaleUntil as string)).toBeLessThanOrEqual(Date.now());
      expect(await claim(app, await app.member(), made.id, { seats: [1] })).toMatchObject({ outcome: 'SALE_CLOSED' });
      expect(await claim(app, await app.member(), made.id, { tierId })).toMatchObject({ outcome: 'SALE_CLOSED' });
      await move(app, holdId, 'startPaying', 'confirm');
      expect(await app.counters(made.id)).toEqual({ capacity: 7, held: 0, sold: 1 });
      expect((await update(made.id, { onSaleUntil: null })).performance).toMatchObject({ onSaleUntil: made.startsAt });
      expect(await claim(app, await app.member(), made.id, { seats: [1] })).toMatchObject({ outcome: 'GRANTED' });
    });

    test('a sale that was to open later can be closed too', async () => {
      const made = await aPerformance(organizer, eventId, { onSaleFrom: inDays(5) });

      const closed = await organizer.client.run('TestClosePerformanceSale', { input: { performanceId: made.id } });

      expect(closed.performance).toMatchObject({ onSaleFrom: null });
      expect(await claim(app, await app.member(), made.id, { tierId: made.tiers[0]!.id })).toMatchObject({ outcome: 'SALE_CLOSED' });
    });
  });

  describe('tiers', () => {
    const update = (tierId: string, change: object) => organizer.client.run('TestUpdateTier', { input: { tierId, ...change } });

    test('a new price is that of later holds; what is held keeps its own', async () => {
      const made = await aPerformance(organizer, eventId, { planId, tiers: [...zoned, standing] });
      const [front, , places] = made.tiers;
      const before = await held(app, await app.member(), made.id, { seats: [0], tierId: places!.id });

      expect((await update(front!.id, { priceMinor: 60_000, name: ' Stalls ' })).tier).toMatchObject({
        name: 'Stalls',
        price: { amountMinor: 60_000 },
      });
      expect((await update(places!.id, { priceMinor: 0, name: null })).tier).toMatchObject({ name: 'Standing', price: { amountMinor: 0 } });
      await app.app.inventory.release(
        before,
        (await app.query<{ id: string }>('select claimant_id as id from hold where id = $1', [before]))[0]!.id,
      );
      const after = await held(app, await app.member(), made.id, { seats: [0, 5], tierId: places!.id, places: 3 });

      const amounts = await app.query('select amount_minor::int as amount from hold where id = any ($1::uuid[]) order by id', [
        [before, after],
      ]);
      expect(amounts).toEqual([{ amount: 80_000 }, { amount: 100_000 }]);
      expect(await brokenInvariants(app)).toEqual([]);
    });

    test.each([
      ['an empty name', { name: ' ' }, 'name'],
      ['a name of 51 characters', { name: 'x'.repeat(51) }, 'name'],
      ['the name of another tier', { name: ' Back ' }, 'name'],
      ['a negative price', { priceMinor: -1 }, 'priceMinor'],
      ['a price over 10,000,000', { priceMinor: 10_000_001 }, 'priceMinor'],
    ])('%s is refused by name, and nothing is changed', async (_, wrong, field) => {
      const made = await aPerformance(organizer, eventId, { planId, tiers: zoned });

      expect(await update(made.tiers[0]!.id, wrong)).toMatchObject({ code: 'EVENT_INPUT', field });

      expect(await app.anonymous.run('TestPerformance', { id: made.id })).toEqual(made);
    });

    test('a name of its own is no other tier', async () => {
      const made = await aPerformance(organizer, eventId);

      expect((await update(made.tiers[0]!.id, { name: 'Standing' })).tier).toMatchObject({ name: 'Standing' });
    });

    test('of two tiers that take one name at once the second is told', async () => {
      const { tiers } = await aPerformance(organizer, eventId, { planId, tiers: [...zoned, standing] });
      const [seats, , places] = tiers;

      const rival = afterStatement(app, 'select 1 from tier', null, () => update(places!.id, { name: 'The best' }));
      const answers = [await update(seats!.id, { name: 'The best' }), await rival];

      expect(answers).toMatchObject([{ tier: { name: 'The best' } }, { code: 'EVENT_INPUT', field: 'name' }]);
    });

    test('negative control: without the lock only a constraint stands between, and knows no word to say', async () => {
      const { tiers } = await aPerformance(organizer, eventId, { planId, tiers: [...zoned, standing] });
      const [seats, , places] = tiers;

      const rival = afterStatement(app, 'select 1 from tier', / for no key update$/, () => update(places!.id, { name: 'The best' }));
      const { errors } = await organizer.client.send('TestUpdateTier', { input: { tierId: seats!.id, name: 'The best' } });

      expect(errors.map(({ extensions }) => extensions.code)).toEqual(['INTERNAL_SERVER_ERROR']);
      expect((await rival).tier).toMatchObject({ name: 'The best' });
    });

    test('places without numbers go up and down, and never below what is held and sold', async () => {
      const made = await aPerformance(organizer, eventId);
      const tierId = made.tiers[0]!.id;
      const change = (capacity: number) => organizer.client.run('TestChangeTierCapacity', { input: { tierId, capacity } });
      await move(app, await held(app, await app.member(), made.id, { tierId, places: 3 }), 'startPaying', 'confirm');
      await held(app, await app.member(), made.id, { tierId, places: 2 });

      expect(await change(4)).toMatchObject({ code: 'CAPACITY_BELOW_TAKEN', held: 2, sold: 3 });
      expect((await change(5)).tier).toMatchObject({ availability: { capacity: 5, free: 0, held: 2, sold: 3 } });
      expect(await claim(app, await app.member(), made.id, { tierId })).toMatchObject({ outcome: 'SOLD_OUT' });
      expect((await change(100_000)).tier).toMatchObject({ availability: { capacity: 100_000, free: 99_995 } });
      expect(await change(100_001)).toMatchObject({ code: 'EVENT_INPUT', field: 'capacity' });
      expect(await change(-1)).toMatchObject({ code: 'EVENT_INPUT', field: 'capacity' });
      expect(await brokenInvariants(app)).toEqual([]);
    });

    test('numbered seats have no capacity to change', async () => {
      const made = await aPerformance(organizer, eventId, { planId, tiers: zoned });
      const tierId = made.tiers[0]!.id;

      const refused = await organizer.client.run('TestChangeTierCapacity', { input: { tierId, capacity: 1 } });

      expect(refused).toMatchObject({ code: 'EVENT_INPUT', field: 'tierId' });
    });
  });

  describe('seats', () => {
    const release = (performanceId: string, seats: number[]) =>
      organizer.client.run('TestReleaseHouseSeats', { input: { performanceId, seats } });
    const block = (performanceId: string, seats: number[]) => organizer.client.run('TestBlockSeats', { input: { performanceId, seats } });
    const seated = () => aPerformance(organizer, eventId, { planId, tiers: zoned });

    test('house seats go on sale and out of it again, and whoever watches is told', async () => {
      const made = await seated();
      const watch = await app.anonymous.watch(made.id);

      expect((await release(made.id, [3, 2, 3, 0])).performance?.availability).toMatchObject({ capacity: 9, free: 9 });
      await eventually(() => expect(watch.lastOf(made.id)).toMatchObject({ capacity: 9, free: 9 }));
      expect(await states(made.id)).toBe('AAAAAAAAAB');
      expect(await claim(app, await app.member(), made.id, { seats: [3] })).toMatchObject({ outcome: 'GRANTED' });

      expect((await block(made.id, [0, 1, 9])).performance?.availability).toMatchObject({ capacity: 7, free: 6 });
      await eventually(() => expect(watch.lastOf(made.id)).toMatchObject({ capacity: 7, free: 6 }));
      expect(await states(made.id)).toBe('BBAHAAAAAB');
      expect(await claim(app, await app.member(), made.id, { seats: [0] })).toMatchObject({ outcome: 'UNIT_TAKEN' });
      expect(await brokenInvariants(app)).toEqual([]);
      await watch.close();
    });

    test('seats that are never sold stay so, by number, and nothing else is released', async () => {
      const made = await seated();

      expect(await release(made.id, [2, 9])).toMatchObject({ code: 'SEATS_NEVER_SOLD', seats: [9] });

      expect(await states(made.id)).toBe('AABBAAAAAB');
    });

    test('held and sold seats stand in the way, by number, and nothing else is blocked', async () => {
      const made = await seated();
      await held(app, await app.member(), made.id, { seats: [7] });
      await move(app, await held(app, await app.member(), made.id, { seats: [0] }), 'startPaying', 'confirm');

      expect(await block(made.id, [8, 7, 1, 0])).toMatchObject({ code: 'SEATS_HELD_OR_SOLD', seats: [0, 7] });

      expect(await states(made.id)).toBe('SABBAAAHAB');
      expect(await app.counters(made.id)).toEqual({ capacity: 7, held: 1, sold: 1 });
    });

    test.each([
      ['the number after the last', [1, 10], [10]],
      ['a negative number', [-1, 1], [-1]],
      ['the largest Int', [2_147_483_647], [2_147_483_647]],
    ])('%s is no seat', async (_, seats, unknown) => {
      const made = await seated();

      expect(await block(made.id, seats)).toMatchObject({ code: 'NO_SUCH_SEATS', seats: unknown });
      expect(await release(made.id, seats)).toMatchObject({ code: 'NO_SUCH_SEATS', seats: unknown });
      expect(await states(made.id)).toBe('AABBAAAAAB');
    });

    test('a performance without numbered seats has none', async () => {
      const made = await aPerformance(organizer, eventId);

      expect(await block(made.id, [0])).toMatchObject({ code: 'NO_SUCH_SEATS', seats: [0] });
    });

    test('no seats, and more than 100, are refused', async () => {
      const made = await seated();

      expect(await block(made.id, [])).toMatchObject({ code: 'EVENT_INPUT', field: 'seats' });
      const { errors } = await organizer.client.send('TestBlockSeats', {
        input: { performanceId: made.id, seats: Array.from({ length: 101 }, (_, index) => index) },
      });
      expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
    });
  });

  test('ids of nothing are not found, whatever is asked of them', async () => {
    const [performanceId, tierId] = [toNodeId('Performance', NOBODY), toNodeId('Tier', NOBODY)];
    const { client } = organizer;

    expect(await app.anonymous.run('TestPerformance', { id: performanceId })).toBeNull();
    expect([
      (await client.run('TestUpdatePerformance', { input: { performanceId } })).code,
      (await client.run('TestClosePerformanceSale', { input: { performanceId } })).code,
      (await client.run('TestDeletePerformance', { input: { performanceId } })).code,
      (await client.run('TestBlockSeats', { input: { performanceId, seats: [0] } })).code,
      (await client.run('TestReleaseHouseSeats', { input: { performanceId, seats: [0] } })).code,
      (await client.run('TestUpdateTier', { input: { tierId } })).code,
      (await client.run('TestChangeTierCapacity', { input: { tierId, capacity: 1 } })).code,
      (await client.run('TestCreatePerformance', { input: performanceInput(toNodeId('Event', NOBODY)) as never })).code,
    ]).toEqual([...Array(5).fill('PERFORMANCE_NOT_FOUND'), ...Array(2).fill('TIER_NOT_FOUND'), 'EVENT_NOT_FOUND']);
  });
});

/** Every row of a performance, in an order of its own, without the times at which they were written. */
const ROWS = `
  select (to_jsonb(p) - 'created_at')::text as row from performance p where p.id = $1
  union all
  select row from (select to_jsonb(t)::text as row from tier t where t.performance_id = $1 order by t.position) tiers
  union all
  select row from (select (to_jsonb(p) - 'changed_at')::text as row from pool p where p.quota_key = 'performance ' || $1 order by p.kind) pools
  union all
  select row from (select to_jsonb(u)::text as row from unit u where u.pool_id = $1 order by u.number) units`;
