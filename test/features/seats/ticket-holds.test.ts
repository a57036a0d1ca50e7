import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { issueTicketsTask } from '../../../src/features/tickets/index.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, ended, payFor } from '../../support/payments.ts';
import { aShow, type Show } from '../../support/shows.ts';
import { countStatements, type Statements } from '../../support/statements.ts';
import { eventually } from '../../support/wait.ts';

failOnLeaks();

let app: TestApp;
const hold = (client: TestClient, { performanceId }: Pick<Show, 'performanceId'>, more: object) =>
  client.run('TestHoldTickets', { input: { performanceId, idempotencyKey: randomUUID(), ...more } });
/** The states of the seats of a performance that are not free. */
const statesOf = async ({ uuids }: Show) =>
  Object.fromEntries(
    (
      await app.query("select number, state from unit where pool_id = $1 and state <> 'AVAILABLE' order by number", [uuids.performance])
    ).map(({ number, state }) => [number, state]),
  );

describe('held tickets', () => {
  beforeAll(async () => {
    // A provider that answers late on a busy machine has answered.
    app = await testApp({ environment: { PAYMENT_CONNECT_TIMEOUT_MS: '10000', PAYMENT_ANSWER_TIMEOUT_MS: '20000' } });
  });
  afterAll(async () => {
    // Here is no worker, and tickets are missed a minute after their booking.
    const sold = await app.query<{ id: string }>("select id from hold where state = 'CONFIRMED'");
    for (const { id } of sold)
      await issueTicketsTask(app.app.database.pool).handle({ holdId: id }, { id: '1', attempt: 1, signal: undefined });
    expect(await app.brokenInvariants()).toEqual([]);
    await app.close();
  });

  test('are given up by their holder alone: to others they do not exist', async () => {
    const given = await aShow(app, { standing: { capacity: 5, priceMinor: 30_000 } });
    const [holder, other, admin] = [await app.member(), await app.member(), await app.admin()];
    const places = [{ tierId: given.tiers.STANDING as string, quantity: 2 }];
    const { hold: held } = await hold(holder.client, given, { seats: [1, 2], places });
    const giveUp = (client: TestClient, holdId = held.id) => client.run('TestCancelBooking', { input: { holdId } });

    for (const stranger of [other, admin]) expect(await giveUp(stranger.client)).toMatchObject({ code: 'HOLD_NOT_FOUND' });
    expect(await giveUp(other.client, toNodeId('TicketHold', randomUUID()))).toMatchObject({ code: 'HOLD_NOT_FOUND' });
    expect(await statesOf(given)).toEqual({ 1: 'HELD', 2: 'HELD' });

    expect(await giveUp(holder.client)).toMatchObject({ __typename: 'CancelBookingSuccess' });
    expect(await statesOf(given)).toEqual({});
    expect(await app.counters(given.tiers.STANDING as string)).toEqual({ capacity: 5, held: 0, sold: 0 });
    expect(await hold(other.client, given, { seats: [1, 2] })).toMatchObject({ __typename: 'HoldTicketsSuccess' });
  });

  test('are paid by their holder alone, and are sold then; cancelled in time the money and the seats come back', async () => {
    const startsAt = new Date('2031-03-01T10:30:00Z');
    const given = await aShow(app, { startsAt });
    const [holder, other] = [await app.member(), await app.member()];
    const { hold: held } = await hold(holder.client, given, { seats: [1, 2] });
    const input = { holdId: held.id, provider: 'TOSS' as const, idempotencyKey: randomUUID() };
    expect(await other.client.run('TestPreparePayment', { input })).toMatchObject({ code: 'HOLD_NOT_FOUND' });

    const paymentId = await payFor(holder.client, held.id);

    expect(await ended(holder.client, paymentId)).toMatchObject({
      state: 'APPROVED',
      captured: { amountMinor: 100_000 },
      hold: { state: 'CONFIRMED' },
    });
    expect(await statesOf(given)).toEqual({ 1: 'SOLD', 2: 'SOLD' });
    expect(await app.query('select title, starts_at, organizer_id, cancellation from payment where id = $1', [uuidIn(paymentId)])).toEqual([
      {
        title: 'The Last Seat (2031-03-01 19:30)',
        starts_at: startsAt,
        organizer_id: given.uuids.organizer,
        cancellation: [{ hoursBefore: 0, percent: 100 }],
      },
    ]);

    await holder.client.run('TestCancelBooking', { input: { holdId: held.id } });
    expect(await ended(holder.client, paymentId)).toMatchObject({ state: 'REFUNDED', hold: { state: 'RETURNED' } });
    expect(await statesOf(given)).toEqual({});
  });

  test('that were paid for too late, when somebody else has them, become others of the same tier, next to each other too', async () => {
    const given = await aShow(app, { sections: 2, rows: 2, seatsPerRow: 6 });
    const [late, rival] = [await app.member(), await app.member()];
    const { hold: lost } = await hold(late.client, given, { seats: [2, 3] });
    const payment = await begin(late.client, lost.id);
    await app.query(
      "update payment set pay_by = clock_timestamp() - interval '1 s', next_look_at = clock_timestamp() - interval '1 s' where id = $1",
      [uuidIn(payment.id)],
    );
    await app.app.bookings.reconciler.round();
    await hold(rival.client, given, { seats: [3] });

    await atCheckout(payment);

    expect(await ended(late.client, payment.id)).toMatchObject({
      state: 'APPROVED',
      lateOutcome: 'EQUAL',
      captured: { amountMinor: 100_000 },
    });
    const { nodes } = await late.client.run('TestMyTicketHolds');
    expect(nodes).toMatchObject([
      { state: 'CONFIRMED', amount: { amountMinor: 100_000 }, seats: [{ seat: { number: 8 } }, { seat: { number: 9 } }] },
      { id: lost.id, state: 'RELEASED' },
    ]);
    expect(await statesOf(given)).toEqual({ 3: 'HELD', 8: 'SOLD', 9: 'SOLD' });
  });

  test('are listed for their member, newest first, as they were held; strangers read none of them', async () => {
    const given = await aShow(app, { sections: 2, standing: { capacity: 9, priceMinor: 30_000 } });
    const [holder, other, admin] = [await app.member(), await app.member(), await app.admin()];
    const places = [{ tierId: given.tiers.STANDING as string, quantity: 1 }];
    const held: { id: string }[] = [];
    for (const more of [{ seats: [51, 9] }, { places }, { seats: [3], places }]) held.push((await hold(holder.client, given, more)).hold);

    const first = await holder.client.run('TestMyTicketHolds', { first: 2 });
    const rest = await holder.client.run('TestMyTicketHolds', { first: 2, after: first.pageInfo.endCursor });

    expect(first).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true } });
    expect(rest.pageInfo.hasNextPage).toBe(false);
    expect([...first.nodes, ...rest.nodes]).toEqual(held.toReversed());
    expect(await other.client.run('TestMyTicketHolds')).toMatchObject({ totalCount: 0, nodes: [] });
    const node = async (client: TestClient) =>
      (await client.post({ query: `{ node(id: "${held[0]?.id}") { ... on TicketHold { seats { seat { number } } } } }` })).data.node;
    expect(await node(holder.client)).toEqual({ seats: [{ seat: { number: 9 } }, { seat: { number: 51 } }] });
    expect(await node(admin.client)).toEqual(await node(holder.client));
    expect([await node(other.client), await node(app.anonymous)]).toEqual([null, null]);
    const { errors } = await app.anonymous.send('TestMyTicketHolds');
    expect(errors).toMatchObject([{ extensions: { code: 'UNAUTHENTICATED' } }]);
  });

  describe('need', () => {
    let statements: Statements;
    beforeAll(async () => {
      statements = await countStatements(app);
    });
    afterAll(() => statements.stop());

    /** The statements of some work, which are so many: less never, more where a webhook of an earlier payment comes meanwhile, and then it is done once more. */
    const needed = (work: () => Promise<unknown>, count: number) =>
      eventually(async () => {
        // What is sold is read again when it is a second old.
        const sent = (await statements.of(work)).filter((text) => !text.includes('join event'));
        expect(sent).toHaveLength(count);
        return sent;
      });

    const HOLD = `mutation ($input: HoldTicketsInput!) { holdTickets(input: $input) {
      ... on HoldTicketsSuccess { hold { id state expiresAt amount { amountMinor } seats { seat { section row label } price { amountMinor } } } }
      ... on Error { code } } }`;

    test('two statements to be held, the session and the claim; as many to be refused when others are not asked for', async () => {
      const given = await aShow(app, { perMemberMax: 100, standing: { capacity: 50, priceMinor: 30_000 } });
      const { client } = await app.member();
      const places = [{ tierId: given.tiers.STANDING, quantity: 1 }];
      const answers: unknown[] = [];
      let next = 0;
      const ask = (seats: () => number[]) => () =>
        client
          .post({
            query: HOLD,
            variables: { input: { performanceId: given.performanceId, seats: seats(), places, idempotencyKey: randomUUID() } },
          })
          .then(({ data }) => answers.push(data.holdTickets.code ?? data.holdTickets.hold.state));

      const held = await needed(
        ask(() => [next++]),
        2,
      );
      expect(new Set(answers.splice(0))).toEqual(new Set(['HELD']));
      expect(held[1]).toContain('claim_holds');
      await needed(
        ask(() => [0]),
        2,
      );
      expect(new Set(answers)).toEqual(new Set(['SEAT_TAKEN']));
    });

    test('seven to be listed with everything: one hold as twenty, of one performance or of twenty', async () => {
      const [few, many] = [await app.member(), await app.member()];
      for (const { client, count } of [
        { client: few.client, count: 1 },
        { client: many.client, count: 20 },
      ])
        for (let made = 0; made < count; made++) {
          const given = await aShow(app, { rows: 1, standing: { capacity: 9, priceMinor: 30_000 } });
          await hold(client, given, { seats: [1, 2, 3, 4, 5, 6], places: [{ tierId: given.tiers.STANDING, quantity: 1 }] });
        }

      expect((await many.client.run('TestMyTicketHolds')).nodes).toHaveLength(20);
      // The session, the holds, their number, their performances, their seats, the tiers of the places and of the seats.
      await needed(() => few.client.run('TestMyTicketHolds'), 7);
      await needed(() => many.client.run('TestMyTicketHolds'), 7);
    });
  });
});
