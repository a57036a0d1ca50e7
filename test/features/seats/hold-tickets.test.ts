import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow, type Show, type ShowOptions } from '../../support/shows.ts';
import { eventually } from '../../support/wait.ts';

failOnLeaks();

let app: TestApp;

/** Two sections of 10 × 5 seats for 50,000 and 40,000, and 20 places for 30,000, unless said otherwise. */
const show = (options: ShowOptions = {}) => aShow(app, { sections: 2, standing: { capacity: 20, priceMinor: 30_000 }, ...options });
const hold = (client: TestClient, { performanceId }: Pick<Show, 'performanceId'>, more: object) =>
  client.run('TestHoldTickets', { input: { performanceId, idempotencyKey: randomUUID(), ...more } });
const standing = ({ tiers }: Show, quantity: number) => [{ tierId: tiers.STANDING as string, quantity }];
let shared: Promise<{ given: Show; client: TestClient }> | undefined;
/** A show of which nobody gets anything, and somebody who tries. */
const untouched = () => {
  shared ??= Promise.all([show(), app.member()]).then(([given, { client }]) => ({ given, client }));
  return shared;
};
const heldOf = async ({ performanceId, tiers }: Show) => [
  (await app.counters(performanceId)).held,
  ...(tiers.STANDING ? [(await app.counters(tiers.STANDING)).held] : []),
];

describe('tickets', () => {
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(async () => {
    expect(await app.brokenInvariants()).toEqual([]);
    await app.close();
  });

  describe('holdTickets', () => {
    test('holds seats and places together, for five minutes, at the prices of their tiers', async () => {
      const given = await show();
      const { client, uuid } = await app.member();

      const answer = await hold(client, given, { seats: [61, 4, 3], places: standing(given, 2) });

      const seat = (number: number, section: string, row: string, label: string, amountMinor: number) => ({
        seat: { number, section, row, label },
        tier: { id: given.tiers[section], name: `Section ${section}` },
        price: { amountMinor, currency: 'KRW' },
      });
      expect(answer).toMatchObject({
        __typename: 'HoldTicketsSuccess',
        hold: {
          state: 'HELD',
          ifPaidLate: 'SAME_OR_EQUAL',
          version: 1,
          amount: { amountMinor: 2 * 50_000 + 40_000 + 2 * 30_000, currency: 'KRW' },
          performance: { id: given.performanceId },
          seats: [seat(3, 'A', '1', '4', 50_000), seat(4, 'A', '1', '5', 50_000), seat(61, 'B', '2', '2', 40_000)],
          places: [{ quantity: 2, tier: { id: given.tiers.STANDING, name: 'Standing' } }],
        },
      });
      expect(Date.parse(answer.hold.expiresAt) - Date.parse(answer.hold.createdAt)).toBe(300_000);
      expect(await app.query('select kind, claimant_id, host(client_ip) as ip from hold where id = $1', [uuidIn(answer.hold.id)])).toEqual([
        { kind: 'performance', claimant_id: uuid, ip: '127.0.0.1' },
      ]);
      expect(await heldOf(given)).toEqual([3, 2]);
      expect(
        await app.query("select number from unit where pool_id = $1 and state = 'HELD' order by number", [given.uuids.performance]),
      ).toEqual([{ number: 3 }, { number: 4 }, { number: 61 }]);
    });

    test('the same key again answers with the same hold, in whatever order its seats are named, and with its seats', async () => {
      const given = await show();
      const { client } = await app.member();
      const idempotencyKey = randomUUID();

      const first = await hold(client, given, { seats: [5, 6], places: standing(given, 1), idempotencyKey });
      const second = await hold(client, given, { seats: [6, 5], places: standing(given, 1), ifPaidLate: 'SAME_OR_EQUAL', idempotencyKey });

      expect(second).toEqual(first);
      expect(await heldOf(given)).toEqual([2, 1]);
    });

    test.each([
      ['other seats', { seats: [5, 7] }],
      ['a seat less', { seats: [5] }],
      ['places too', (given: Show) => ({ seats: [5, 6], places: standing(given, 1) })],
      ['another choice for a late payment', { seats: [5, 6], ifPaidLate: 'REFUND' }],
    ])('the same key for %s is refused', async (_, other) => {
      const given = await show();
      const { client } = await app.member();
      const idempotencyKey = randomUUID();
      await hold(client, given, { seats: [5, 6], idempotencyKey });

      const answer = await hold(client, given, { ...(typeof other === 'function' ? other(given) : other), idempotencyKey });

      expect(answer).toMatchObject({ __typename: 'IdempotencyKeyReusedError' });
      expect(await heldOf(given)).toEqual([2, 0]);
    });

    test('places alone, of a performance without numbered seats', async () => {
      const given = await show({ rows: 0 });
      const { client } = await app.member();

      const answer = await hold(client, given, { places: standing(given, 3) });

      expect(answer.hold).toMatchObject({
        performance: { id: given.performanceId },
        seats: [],
        places: [{ quantity: 3, tier: { id: given.tiers.STANDING } }],
        amount: { amountMinor: 90_000 },
      });
    });

    test('a taken seat: nothing is taken, every taken seat is named, and others nearby are offered', async () => {
      const given = await show({ sections: 1 });
      const [first, second] = await Promise.all([app.member(), app.member()]);
      await hold(first.client, given, { seats: [24, 25] });

      const answer = await hold(second.client, given, { seats: [25, 26, 24], places: standing(given, 2) });

      expect(answer).toMatchObject({ __typename: 'SeatTakenError', code: 'SEAT_TAKEN' });
      expect(answer.message).toBe('Taken meanwhile: A row 3 seat 5, A row 3 seat 6. Choose one of the alternatives, or other seats.');
      expect(answer.seats.map(({ seat }) => seat.number)).toEqual([24, 25]);
      const alternatives = answer.alternatives.map((group) => group.seats.map(({ seat }) => seat.number));
      // Of three as they asked, around where they asked: before and behind, then to the side; never the same seat twice.
      expect(alternatives).toHaveLength(5);
      expect(alternatives.slice(0, 2)).toEqual([
        [14, 15, 16],
        [34, 35, 36],
      ]);
      expect(new Set(alternatives.flat()).size).toBe(15);
      expect(answer.alternatives[0]).toMatchObject({ isTogether: true, leavesSingle: false, total: { amountMinor: 150_000 } });
      expect(await heldOf(given)).toEqual([2, 0]);
    });

    test('alternatives are of the zones of the seats that were asked for, and can be held', async () => {
      const given = await show({ sections: 2, rows: 1, seatsPerRow: 4 });
      const [first, second] = await Promise.all([app.member(), app.member()]);
      await hold(first.client, given, { seats: [0, 1] });

      const { alternatives } = await hold(second.client, given, { seats: [1, 2] });

      expect(alternatives.map((group) => group.seats.map(({ seat }) => seat.number))).toEqual([[2, 3]]);
      expect(await hold(second.client, given, { seats: [2, 3] })).toMatchObject({ __typename: 'HoldTicketsSuccess' });
      const third = await app.member();
      // The map that is asked may be some milliseconds old.
      await eventually(async () => expect(await hold(third.client, given, { seats: [3] })).toMatchObject({ alternatives: [] }));
    });

    test('a seat that is not for sale is taken for everybody', async () => {
      const given = await show({ blocked: [7] });
      const { client } = await app.member();

      const answer = await hold(client, given, { seats: [7] });

      expect(answer.seats.map(({ seat }) => seat.number)).toEqual([7]);
    });

    test('too few places left: how many there are', async () => {
      const given = await show({ standing: { capacity: 3, priceMinor: 30_000 } });
      const { client } = await app.member();

      const answer = await hold(client, given, { seats: [1], places: standing(given, 4) });

      expect(answer).toMatchObject({ __typename: 'TierSoldOutError', code: 'TIER_SOLD_OUT', left: 3, tier: { id: given.tiers.STANDING } });
      expect(await heldOf(given)).toEqual([0, 0]);
    });

    test('before and after the sale', async () => {
      const { client } = await app.member();
      const early = await show({ opensAt: new Date(Date.now() + 3_600_000) });
      const late = await show({ closesAt: new Date(Date.now() - 1_000) });

      expect(await hold(client, early, { seats: [1] })).toMatchObject({
        __typename: 'TicketsNotYetOnSaleError',
        code: 'NOT_YET_ON_SALE',
        performance: { id: early.performanceId },
      });
      expect(await hold(client, late, { seats: [1] })).toMatchObject({ __typename: 'TicketSaleClosedError', code: 'SALE_CLOSED' });
      expect([await heldOf(early), await heldOf(late)]).toEqual([
        [0, 0],
        [0, 0],
      ]);
    });

    test.each([
      ['nothing', () => ({}), 'seats'],
      ['a seat twice', () => ({ seats: [1, 2, 1] }), 'seats'],
      ['a seat that the plan does not have', () => ({ seats: [100] }), 'seats'],
      ['a seat with a negative number', () => ({ seats: [-1] }), 'seats'],
      ['51 seats', () => ({ seats: Array.from({ length: 51 }, (_, number) => number) }), 'seats'],
      ['no place of a tier', (given: Show) => ({ places: standing(given, 0) }), 'places'],
      ['less than no place', (given: Show) => ({ places: standing(given, -1) }), 'places'],
      ['51 places', (given: Show) => ({ places: standing(given, 51) }), 'places'],
      ['a tier twice', (given: Show) => ({ places: [...standing(given, 1), ...standing(given, 2)] }), 'places'],
      ['a tier with numbered seats by quantity', (given: Show) => ({ places: [{ tierId: given.tiers.A, quantity: 1 }] }), 'places'],
      ['a tier nobody knows', () => ({ places: [{ tierId: toNodeId('Tier', randomUUID()), quantity: 1 }] }), 'places'],
      [
        '21 tiers',
        () => ({ places: Array.from({ length: 21 }, () => ({ tierId: toNodeId('Tier', randomUUID()), quantity: 1 })) }),
        'places',
      ],
    ])('%s is refused with the field to correct', async (_, what, field) => {
      const { given, client } = await untouched();

      const answer = await hold(client, given, what(given));

      expect(answer).toMatchObject({ __typename: 'TicketInputError', code: 'TICKET_INPUT', field });
      expect(answer.message.length).toBeGreaterThan(15);
      expect(await heldOf(given)).toEqual([0, 0]);
    });

    test('a tier of another performance is refused, and so are seats where none are numbered', async () => {
      const [given, other] = [await show(), await show({ rows: 0 })];
      const { client } = await app.member();

      expect(await hold(client, given, { places: standing(other, 1) })).toMatchObject({ code: 'TICKET_INPUT', field: 'places' });
      expect(await hold(client, other, { seats: [0] })).toMatchObject({ code: 'TICKET_INPUT', field: 'seats' });
      expect(await heldOf(other)).toEqual([0, 0]);
    });

    test.each([
      ['a performance nobody made', { performanceId: toNodeId('Performance', randomUUID()), seats: [1] }, 'PERFORMANCE_NOT_FOUND'],
      ['an id of another type', { performanceId: toNodeId('Lesson', randomUUID()), seats: [1] }, null],
      ['an id that is none', { performanceId: 'x', seats: [1] }, null],
      ['a tier id that is none', { places: [{ tierId: 'x', quantity: 1 }] }, null],
      ['a seat that is no number', { seats: ['first'] }, null],
      ['a seat number beyond 32 bits', { seats: [2 ** 31] }, null],
      ['null for the seats', { seats: null }, null],
      ['101 seats', { seats: Array.from({ length: 101 }, (_, number) => number) }, null],
      ['an empty key', { seats: [1], idempotencyKey: '' }, null],
      ['a key of 201 characters', { seats: [1], idempotencyKey: 'k'.repeat(201) }, null],
      ['a choice nobody offers', { seats: [1], ifPaidLate: 'KEEP' }, null],
    ])('%s', async (_, more, code) => {
      const { given, client } = await untouched();

      const { data, errors } = await client.send('TestHoldTickets', {
        input: { performanceId: given.performanceId, idempotencyKey: randomUUID(), ...more },
      });

      if (code) expect(data.holdTickets).toMatchObject({ code });
      else expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
      expect(await heldOf(given)).toEqual([0, 0]);
    });

    test('a companion seat only with an accessible one', async () => {
      const given = await show();
      await app.query('update plan_seat set is_accessible = number = 10, is_companion = number in (11, 12) where plan_id = $1', [
        given.uuids.plan,
      ]);
      const { client } = await app.member();

      const alone = await hold(client, given, { seats: [11, 12, 13] });
      const together = await hold(client, given, { seats: [10, 11] });

      expect(alone).toMatchObject({ __typename: 'CompanionSeatAloneError', code: 'COMPANION_SEAT_ALONE' });
      expect(alone.seats.map(({ seat }) => seat.number)).toEqual([11, 12]);
      expect(together.hold.seats.map(({ seat }) => seat.number)).toEqual([10, 11]);
      expect(await heldOf(given)).toEqual([2, 0]);
    });

    test('without signing in', async () => {
      const given = await show();

      const { data, errors } = await app.anonymous.send('TestHoldTickets', {
        input: { performanceId: given.performanceId, seats: [1], idempotencyKey: randomUUID() },
      });

      expect([data, errors]).toMatchObject([{ holdTickets: null }, [{ extensions: { code: 'UNAUTHENTICATED' } }]]);
      expect(await heldOf(given)).toEqual([0, 0]);
    });

    test('refusals in Korean', async () => {
      const given = await show({ sections: 1 });
      const [first, second] = await Promise.all([app.member(), app.member()]);
      await hold(first.client, given, { seats: [24] });
      const input = { performanceId: given.performanceId, seats: [24], idempotencyKey: randomUUID() };

      const { data } = await second.client.send('TestHoldTickets', { input }, { 'accept-language': 'ko' });

      expect(data.holdTickets.message).toBe('이미 선택된 좌석이 있습니다(A 3열 5번). 추천 좌석이나 다른 좌석을 선택해 주세요.');
    });

    test('of several reasons the first is told', async () => {
      const given = await show({ perMemberMax: 2 });
      const [first, second] = await Promise.all([app.member(), app.member()]);
      await hold(first.client, given, { seats: [1] });
      const key = randomUUID();
      await hold(second.client, given, { seats: [2], idempotencyKey: key });
      const tooMany = { seats: [1, 3], places: standing(given, 21) };

      expect(await hold(second.client, given, { ...tooMany, seats: [1, 1], idempotencyKey: key })).toMatchObject({ code: 'TICKET_INPUT' });
      expect(await hold(second.client, given, { ...tooMany, idempotencyKey: key })).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
      expect(await hold(second.client, given, tooMany)).toMatchObject({ code: 'TICKET_LIMIT_REACHED', limit: 2 });
      await app.query('update pool set quota_max = 100 where quota_key = $1', [`performance ${given.uuids.performance}`]);
      expect(await hold(second.client, given, tooMany)).toMatchObject({ code: 'SEAT_TAKEN' });
      expect(await hold(second.client, given, { ...tooMany, seats: [3] })).toMatchObject({ code: 'TIER_SOLD_OUT' });
      await app.query('update pool set closes_at = now() where quota_key = $1', [`performance ${given.uuids.performance}`]);
      expect(await hold(second.client, given, tooMany)).toMatchObject({ code: 'SALE_CLOSED' });
    });
  });

  describe('ghost holds', () => {
    const giveUp = (client: TestClient, holdId: string) => client.run('TestCancelBooking', { input: { holdId } });

    test('a member has 8 tickets of a performance, seats and places together; another one is not touched by that', async () => {
      const given = await show();
      const [first, second] = await Promise.all([app.member(), app.member()]);
      await hold(first.client, given, { seats: [0, 1, 2, 3, 4], places: standing(given, 2) });

      const refused = await hold(first.client, given, { seats: [5], places: standing(given, 1) });
      const last = await hold(first.client, given, { seats: [5] });

      expect(refused).toMatchObject({ __typename: 'TicketLimitReachedError', code: 'TICKET_LIMIT_REACHED', limit: 8 });
      expect(last).toMatchObject({ __typename: 'HoldTicketsSuccess' });
      expect(await hold(second.client, given, { seats: [6, 7, 8, 9, 10, 11, 12, 13] })).toMatchObject({ __typename: 'HoldTicketsSuccess' });
      expect(await hold(second.client, given, { seats: [14] })).toMatchObject({ limit: 8 });
      expect(await heldOf(given)).toEqual([14, 2]);
    });

    test('whoever gives up five holds waits; another member, and another performance, do not', async () => {
      const [given, other] = [await show(), await show()];
      const [first, second] = await Promise.all([app.member(), app.member()]);
      const from = performance.now();
      for (let given_up = 0; given_up < 5; given_up++) {
        const { hold: held } = await hold(first.client, given, { seats: [given_up] });
        await giveUp(first.client, held.id);
      }

      const refused = await hold(first.client, given, { seats: [9] });

      expect(refused).toMatchObject({ __typename: 'CoolingDownError', code: 'COOLING_DOWN' });
      expect(refused.retryAfterSeconds).toBeGreaterThanOrEqual(Math.floor(600 - (performance.now() - from) / 1_000));
      expect(refused.retryAfterSeconds).toBeLessThanOrEqual(600);
      expect(refused.message).toContain(`${refused.retryAfterSeconds} seconds`);
      expect(await hold(second.client, given, { seats: [9] })).toMatchObject({ __typename: 'HoldTicketsSuccess' });
      expect(await hold(first.client, other, { seats: [9] })).toMatchObject({ __typename: 'HoldTicketsSuccess' });
      // Long enough ago.
      await app.query('update pool set cool_down_seconds = 1 where quota_key = $1', [`performance ${given.uuids.performance}`]);
      await eventually(async () => (await hold(first.client, given, { places: standing(given, 1) })).__typename === 'HoldTicketsSuccess');
    });

    test('holds that ran out count like those given up', async () => {
      const given = await show({ holdSeconds: 1 });
      const { client, uuid } = await app.member();
      await Promise.all([0, 1, 2, 3, 4].map((number) => hold(client, given, { seats: [number] })));

      await eventually(async () => {
        const [ended] = await app.query("select count(*)::int as count from hold where claimant_id = $1 and state = 'EXPIRED'", [uuid]);
        return ended?.count === 5;
      });

      expect(await hold(client, given, { seats: [9] })).toMatchObject({ __typename: 'CoolingDownError' });
      expect(await heldOf(given)).toEqual([0, 0]);
    });
  });

  describe('findBestSeats', () => {
    const best = async (given: Pick<Show, 'performanceId'>, more: object) => {
      const groups = await app.anonymous.run('TestFindBestSeats', { performanceId: given.performanceId, count: 2, ...more });
      return groups.map(({ seats }) => seats.map(({ seat }) => seat.number));
    };

    test('are the nearest to the stage, central, with what they cost; held seats are out', async () => {
      const given = await show();
      const { client } = await app.member();

      const groups = await app.anonymous.run('TestFindBestSeats', { performanceId: given.performanceId, count: 2, first: 2 });
      await hold(client, given, { seats: [4, 5] });

      expect(groups).toMatchObject([
        {
          isTogether: true,
          leavesSingle: false,
          total: { amountMinor: 100_000, currency: 'KRW' },
          seats: [{ seat: { number: 4 } }, { seat: { number: 5 } }],
        },
        { seats: [{ seat: { number: 6 } }, { seat: { number: 7 } }] },
      ]);
      // The map that is asked may be some milliseconds old.
      await eventually(async () => expect(await best(given, {})).toEqual([[6, 7]]));
    });

    test('only of some tiers, or up to a price', async () => {
      const given = await show();

      expect(await best(given, { tierIds: [given.tiers.B] })).toEqual([[54, 55]]);
      expect(await best(given, { priceMaxMinor: 40_000 })).toEqual([[54, 55]]);
      expect(await best(given, { priceMaxMinor: 39_999 })).toEqual([]);
      expect(await best(given, { tierIds: [given.tiers.STANDING] })).toEqual([]);
    });

    test('with a place for a wheelchair only where it is asked for', async () => {
      const given = await show({ sections: 1, rows: 1, seatsPerRow: 4 });
      await app.query('update plan_seat set is_accessible = number = 1, is_companion = number = 2 where plan_id = $1', [given.uuids.plan]);

      expect(await best(given, { accessible: true })).toEqual([[1, 2]]);
      expect(await best(given, {})).toEqual([[0, 3]]);
    });

    test('a performance nobody knows has none, one without numbered seats an empty list', async () => {
      const given = await show({ rows: 0 });
      const unknown = toNodeId('Performance', randomUUID());

      expect(await app.anonymous.send('TestFindBestSeats', { performanceId: unknown, count: 2 })).toMatchObject({
        data: { findBestSeats: null },
        errors: [],
      });
      expect(await best(given, {})).toEqual([]);
    });

    test.each([
      ['no seat', { count: 0 }],
      ['11 seats', { count: 11 }],
      ['no group', { first: 0 }],
      ['6 groups', { first: 6 }],
      ['an empty list of tiers', { tierIds: [] }],
      ['21 tiers', { tierIds: Array.from({ length: 21 }, () => toNodeId('Tier', randomUUID())) }],
      ['a tier of another performance', { tierIds: [toNodeId('Tier', randomUUID())] }],
      ['a negative price', { priceMaxMinor: -1 }],
      ['an id of another type', { performanceId: toNodeId('Tier', randomUUID()) }],
    ])('%s is bad input', async (_, more) => {
      const { given } = await untouched();

      const { errors } = await app.anonymous.send('TestFindBestSeats', { performanceId: given.performanceId, count: 2, ...more });

      expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT' } }]);
    });
  });
});
