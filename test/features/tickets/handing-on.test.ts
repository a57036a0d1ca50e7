import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow, type ShowOptions } from '../../support/shows.ts';
import { accept, type Booked, booked, letIn, offer, ticketing } from './booked-tickets.ts';

failOnLeaks();

const DAY_MS = 86_400_000;

describe('handing a ticket on', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await ticketing();
  });
  afterAll(() => app.close());

  const bought = async (show: ShowOptions = {}): Promise<Booked & { ticketId: string }> => {
    const made = await booked(app, await aShow(app, show));
    return { ...made, ticketId: made.ticketIds[0] as string };
  };
  const owner = async (ticketId: string) =>
    (
      await app.query<{ owner: string; generation: number }>('select owner_id as owner, generation from ticket where id = $1', [
        uuidIn(ticketId),
      ])
    )[0];
  const offers = (ticketId: string) =>
    app.query<{ state: string }>(
      `select case when accepted_at is not null then 'ACCEPTED' when cancelled_at is not null then 'CANCELLED' else 'OPEN' end as state
       from ticket_transfer where ticket_id = $1 order by created_at`,
      [uuidIn(ticketId)],
    );
  const withdraw = ({ client }: TestMember, ticketId: string) => client.run('TestWithdrawTicketOffer', { input: { ticketId } });
  const cancel = ({ member, holdId }: Booked) => member.client.run('TestCancelTickets', { input: { holdId } });

  test('who accepts has the ticket, with a code of their own, and who had it has lost both', async () => {
    const { member: giver, ticketId } = await bought();
    const taker = await app.member();
    const from = Date.now();
    const token = await offer(giver, ticketId);
    const until = Date.now();
    const before = await giver.client.run('TestTicket', { id: ticketId });

    const accepted = await accept(taker, token);

    expect(token).toMatch(/^[\w-]{43}$/);
    // Rounded to the millisecond.
    expect(Date.parse(before.offerExpiresAt ?? '')).toBeGreaterThanOrEqual(from - 1 + 7 * DAY_MS);
    expect(Date.parse(before.offerExpiresAt ?? '')).toBeLessThanOrEqual(until + 1 + 7 * DAY_MS);
    expect(accepted).toMatchObject({ __typename: 'AcceptTicketSuccess', ticket: { id: ticketId, state: 'VALID', offerExpiresAt: null } });
    expect(accepted.ticket?.code).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(accepted.ticket?.code).not.toBe(before.code);
    expect(await owner(ticketId)).toEqual({ owner: taker.uuid, generation: 2 });
    // The buyer goes on seeing that there is such a ticket.
    expect(await giver.client.run('TestTicket', { id: ticketId })).toMatchObject({ state: 'VALID', code: null, holderName: null });
    expect((await giver.client.run('TestMyTickets')).nodes).toEqual([]);
    expect((await taker.client.run('TestMyTickets')).nodes.map(({ id }) => id)).toEqual([ticketId]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('on to a third and back to the first: each time another generation, and who is in between sees nothing of it any more', async () => {
    const { member: first, ticketId } = await bought();
    const [second, third] = await Promise.all([app.member(), app.member()]);

    await accept(second, await offer(first, ticketId));
    await accept(third, await offer(second, ticketId));
    const seenBySecond = await second.client.run('TestTicket', { id: ticketId });
    await accept(first, await offer(third, ticketId));

    expect(seenBySecond).toBeNull();
    expect(await owner(ticketId)).toEqual({ owner: first.uuid, generation: 4 });
    expect(await offers(ticketId)).toEqual([{ state: 'ACCEPTED' }, { state: 'ACCEPTED' }, { state: 'ACCEPTED' }]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('the same key again answers the same link, and nothing of the link is stored but its hash', async () => {
    const { member, ticketId } = await bought();
    const key = randomUUID();

    const tokens = [await offer(member, ticketId, key), await offer(member, ticketId, key)];
    const other = await bought();
    const reused = await member.client.run('TestOfferTicket', { input: { ticketId: other.ticketId, idempotencyKey: key } });

    expect(tokens[1]).toBe(tokens[0]);
    expect(await offers(ticketId)).toEqual([{ state: 'OPEN' }]);
    const stored = await app.query<{ text: string }>(
      'select (select string_agg(t::text, $1) from ticket_transfer t) || (select string_agg(a::text, $1) from idempotent_answer a) as text',
      [' '],
    );
    expect(stored[0]?.text).not.toContain(tokens[0]);
    expect(reused).toMatchObject({ __typename: 'IdempotencyKeyReusedError' });
  });

  test('a link stays the same one after another secret has become the first, and ends with its own', async () => {
    const [old, fresh] = ['an old signing secret of 32 bytes!!', 'a new signing secret of 32 bytes!!'];
    const { member, ticketId } = await bought();
    const [input, nodes] = [{ ticketId, idempotencyKey: randomUUID() }, [] as TestApp[]];
    const tokens: string[] = [];

    for (const secrets of [old, `${fresh},${old}`, fresh]) {
      const node = await ticketing({
        role: 'api',
        databaseUrl: app.databaseUrl,
        simulator: app.simulator,
        environment: { TICKET_SIGNING_SECRETS: secrets },
      });
      nodes.push(node);
      tokens.push((await node.anonymous.as(member.accessToken).run('TestOfferTicket', { input })).token);
    }
    for (const node of nodes) await node.close();
    const [taker] = await app.members(1);
    const ends = [];
    for (const token of [tokens[2], tokens[1]]) ends.push((await accept(taker as TestMember, token as string)).__typename);

    expect(tokens[1]).toBe(tokens[0]);
    expect(tokens[2]).not.toBe(tokens[0]);
    expect(ends).toEqual(['TicketOfferNotFoundError', 'AcceptTicketSuccess']);
  });

  test('a new link ends the one before it', async () => {
    const { member, ticketId } = await bought();
    const taker = await app.member();

    const [old, fresh] = [await offer(member, ticketId), await offer(member, ticketId)];

    expect(await accept(taker, old)).toMatchObject({ __typename: 'TicketOfferNotFoundError' });
    expect(await accept(taker, fresh)).toMatchObject({ __typename: 'AcceptTicketSuccess' });
    expect(await offers(ticketId)).toEqual([{ state: 'CANCELLED' }, { state: 'ACCEPTED' }]);
  });

  test('an owner makes 20 links for a ticket and no more; the next owner may again', async () => {
    const { member, ticketId } = await bought();
    for (let made = 0; made < 19; made++) await offer(member, ticketId);
    const last = await offer(member, ticketId);

    const refused = await member.client.run('TestOfferTicket', { input: { ticketId, idempotencyKey: randomUUID() } });
    const taker = await app.member();
    await accept(taker, last);

    expect(refused).toMatchObject({ __typename: 'TooManyOffersError', max: 20 });
    expect(await offer(taker, ticketId)).toMatch(/^[\w-]{43}$/);
  });

  test('accepting again answers the same and changes nothing; handed on since, it answers without the ticket', async () => {
    const { member, ticketId } = await bought();
    const [taker, next] = await Promise.all([app.member(), app.member()]);
    const token = await offer(member, ticketId);
    await accept(taker, token);

    const again = await accept(taker, token);
    const generation = (await owner(ticketId))?.generation;
    await accept(next, await offer(taker, ticketId));
    const later = await accept(taker, token);

    expect(again).toMatchObject({ __typename: 'AcceptTicketSuccess', ticket: { id: ticketId } });
    expect(generation).toBe(2);
    expect(later).toEqual({ __typename: 'AcceptTicketSuccess', ticket: null });
    expect(await owner(ticketId)).toEqual({ owner: next.uuid, generation: 3 });
  });

  test('a link that never was, ran out, was withdrawn or taken by somebody else: one answer for all, and nothing changes', async () => {
    const [taker, rival] = await Promise.all([app.member(), app.member()]);
    const [late, withdrawn, taken] = [await bought(), await bought(), await bought()];
    const [lateToken, withdrawnToken, takenToken] = [
      await offer(late.member, late.ticketId),
      await offer(withdrawn.member, withdrawn.ticketId),
      await offer(taken.member, taken.ticketId),
    ];
    await app.query('update ticket_transfer set expires_at = clock_timestamp() where ticket_id = $1', [uuidIn(late.ticketId)]);
    await withdraw(withdrawn.member, withdrawn.ticketId);
    await accept(rival, takenToken);

    const answers = [];
    for (const token of [
      lateToken,
      withdrawnToken,
      takenToken,
      'A'.repeat(43),
      '',
      'x'.repeat(9_999),
      `${lateToken}=`,
      lateToken.toLowerCase(),
    ])
      answers.push(await accept(taker, token));

    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(answers[0]).toMatchObject({ __typename: 'TicketOfferNotFoundError', code: 'TICKET_OFFER_NOT_FOUND' });
    expect((await taker.client.run('TestMyTickets')).totalCount).toBe(0);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('one’s own link is for others, and stays open', async () => {
    const { member, ticketId } = await bought();
    const token = await offer(member, ticketId);

    expect(await accept(member, token)).toMatchObject({ __typename: 'OwnTicketError', code: 'OWN_TICKET' });

    expect(await owner(ticketId)).toEqual({ owner: member.uuid, generation: 1 });
    expect(await accept(await app.member(), token)).toMatchObject({ __typename: 'AcceptTicketSuccess' });
  });

  test('withdrawing ends the link, twice as once, and without one too', async () => {
    const { member, ticketId } = await bought();
    const token = await offer(member, ticketId);

    const answers = [await withdraw(member, ticketId), await withdraw(member, ticketId)];

    expect(answers).toMatchObject(
      Array(2).fill({ __typename: 'WithdrawTicketOfferSuccess', ticket: { id: ticketId, offerExpiresAt: null } }),
    );
    expect(await accept(await app.member(), token)).toMatchObject({ __typename: 'TicketOfferNotFoundError' });
    expect(await offers(ticketId)).toEqual([{ state: 'CANCELLED' }]);
  });

  test('what was taken cannot be withdrawn: who offered it is told, to others it does not exist', async () => {
    const { member, ticketId } = await bought();
    await accept(await app.member(), await offer(member, ticketId));

    expect(await withdraw(member, ticketId)).toMatchObject({ __typename: 'TicketOfferAcceptedError', code: 'TICKET_OFFER_ACCEPTED' });
    expect(await withdraw(await app.member(), ticketId)).toMatchObject({ __typename: 'TicketNotFoundError' });
  });

  test('another’s ticket, an unknown one and an administrator’s wish: not found, nothing written', async () => {
    const { ticketId } = await bought();
    const [{ client: stranger }, { client: admin }] = [await app.member(), await app.admin()];
    const unknown = toNodeId('Ticket', randomUUID());

    for (const [client, id] of [
      [stranger, ticketId],
      [admin, ticketId],
      [stranger, unknown],
    ] as const) {
      const offered = await client.run('TestOfferTicket', { input: { ticketId: id, idempotencyKey: randomUUID() } });
      const withdrawn = await client.run('TestWithdrawTicketOffer', { input: { ticketId: id } });
      expect([offered.code, withdrawn.code]).toEqual(['TICKET_NOT_FOUND', 'TICKET_NOT_FOUND']);
    }

    expect(await offers(ticketId)).toEqual([]);
  });

  describe.each([
    ['that was used', 'TicketUsedError', (made: Booked) => letIn(app, made.ticketIds[0] as string)],
    ['that was refunded', 'TicketRefundedError', cancel],
    [
      'of a performance that has begun',
      'HandOverClosedError',
      (made: Booked) =>
        app.query(
          "update performance set starts_at = clock_timestamp(), ends_at = clock_timestamp() + interval '2 h' where id = (select performance_id from ticket where id = $1)",
          [uuidIn(made.ticketIds[0] as string)],
        ),
    ],
  ])('a ticket %s', (_, refusal, happen) => {
    test('is not offered', async () => {
      const made = await bought();
      await happen(made);

      const offered = await made.member.client.run('TestOfferTicket', { input: { ticketId: made.ticketId, idempotencyKey: randomUUID() } });

      expect(offered).toMatchObject({ __typename: refusal });
      expect(await offers(made.ticketId)).toEqual([]);
    });

    test('is not accepted, though it was offered before', async () => {
      const made = await bought();
      const token = await offer(made.member, made.ticketId);
      const taker = await app.member();
      await happen(made);

      const accepted = await accept(taker, token);

      expect(accepted).toMatchObject({ __typename: refusal });
      expect(await owner(made.ticketId)).toEqual({ owner: made.member.uuid, generation: 1 });
      expect(await app.brokenInvariants()).toEqual([]);
    });
  });

  test('a link for a performance of tomorrow ends when it begins', async () => {
    const startsAt = new Date(Date.now() + DAY_MS);
    const { member, ticketId } = await bought({ startsAt });

    const { expiresAt } = await member.client.run('TestOfferTicket', { input: { ticketId, idempotencyKey: randomUUID() } });

    expect(expiresAt).toBe(startsAt.toISOString());
  });

  test.each([
    ['offerTicket', 'TestOfferTicket', { ticketId: 'x', idempotencyKey: 'k' }],
    ['an empty key', 'TestOfferTicket', { ticketId: toNodeId('Ticket', randomUUID()), idempotencyKey: '' }],
    ['the id of something else', 'TestOfferTicket', { ticketId: toNodeId('Tier', randomUUID()), idempotencyKey: 'k' }],
    ['withdrawTicketOffer', 'TestWithdrawTicketOffer', { ticketId: 'x' }],
  ] as const)('bad input is said to be one: %s', async (_, operation, input) => {
    const { client } = await app.member();

    const { errors } = await client.send(operation, { input });

    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
  });
});

describe('cancelling a booking with its tickets', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await ticketing();
  });
  afterAll(() => app.close());

  const cancel = ({ client }: TestMember, holdId: string) => client.run('TestCancelTickets', { input: { holdId } });
  const kept = (paymentId: string) => {
    const { capturedMinor = 0, refundedMinor = 0 } = app.simulator.payment(uuidIn(paymentId)) ?? {};
    return capturedMinor - refundedMinor;
  };

  test('gives the money back, and its tickets are good for nothing', async () => {
    const { member, holdId, paymentId, ticketIds } = await booked(app, await aShow(app), { seats: [1, 2] });

    expect(await cancel(member, holdId)).toMatchObject({ __typename: 'CancelBookingSuccess', hold: { state: 'RETURNED' } });

    for (const id of ticketIds) expect(await member.client.run('TestTicket', { id })).toMatchObject({ state: 'REFUNDED', code: null });
    expect(kept(paymentId)).toBe(0);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('is refused once one of them was used, and once one belongs to somebody else; back again, it is allowed', async () => {
    const used = await booked(app, await aShow(app), { seats: [1, 2, 3] });
    const given = await booked(app, await aShow(app), { seats: [1, 2, 3] });
    const [ticketId] = given.ticketIds as [string];
    const taker = await app.member();
    await letIn(app, used.ticketIds[1] as string);
    await accept(taker, await offer(given.member, ticketId));

    const refusals = [await cancel(used.member, used.holdId), await cancel(given.member, given.holdId)];
    const between = [kept(used.paymentId), kept(given.paymentId)];
    await accept(given.member, await offer(taker, ticketId));
    const allowed = await cancel(given.member, given.holdId);

    expect(refusals).toMatchObject([
      { __typename: 'TicketsUsedError', code: 'TICKETS_USED', count: 1 },
      { __typename: 'TicketsHandedOnError', code: 'TICKETS_HANDED_ON', count: 1 },
    ]);
    expect(between).toEqual([150_000, 150_000]);
    expect(allowed).toMatchObject({ __typename: 'CancelBookingSuccess', hold: { state: 'RETURNED' } });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('an open offer does not stand in its way, and nobody can accept it afterwards', async () => {
    const { member, holdId, ticketIds } = await booked(app, await aShow(app));
    const token = await offer(member, ticketIds[0] as string);

    const cancelled = await cancel(member, holdId);

    expect(cancelled).toMatchObject({ __typename: 'CancelBookingSuccess' });
    expect(await accept(await app.member(), token)).toMatchObject({ __typename: 'TicketRefundedError' });
  });

  test('from the moment it is decided the tickets are worth nothing, while the provider has not answered; when it refuses they are good again', async () => {
    const { member, holdId, paymentId, ticketIds } = await booked(app, await aShow(app));
    const [id] = ticketIds as [string];
    const token = await offer(member, id);
    // However often it is asked.
    app.simulator.order({ provider: 'TOSS', call: 'cancel', fault: 'RESET_BEFORE', times: 1_000_000, orderId: uuidIn(paymentId) });

    await cancel(member, holdId);
    const state = await app.query(
      'select h.state as hold, p.state as payment from hold h join payment p on p.hold_id = h.id where h.id = $1',
      [uuidIn(holdId)],
    );
    const ticket = await member.client.run('TestTicket', { id });
    const accepted = await accept(await app.member(), token);
    await app.query(
      `with refused as (update refund set state = 'REFUSED', concluded_at = clock_timestamp(), refusal_code = 'NO' where payment_id = $1)
       update payment set state = 'APPROVED', refunding_minor = 0, next_look_at = null where id = $1`,
      [uuidIn(paymentId)],
    );

    expect(state).toEqual([{ hold: 'CONFIRMED', payment: 'REFUNDING' }]);
    expect(ticket).toMatchObject({ state: 'REFUNDED', code: null });
    expect(accepted).toMatchObject({ __typename: 'TicketRefundedError' });
    expect(await member.client.run('TestTicket', { id })).toMatchObject({ state: 'VALID' });
  });

  test('an administrator gives back what was used and handed on: the new owner’s ticket is refunded', async () => {
    const { member, paymentId, ticketIds } = await booked(app, await aShow(app), { seats: [1, 2] });
    const [first, second] = ticketIds as [string, string];
    const taker = await app.member();
    await accept(taker, await offer(member, first));
    await letIn(app, second);
    const { client: admin } = await app.admin();

    const refunded = await admin.run('TestRefundPayment', {
      input: { paymentId, reason: 'The performance is cancelled', idempotencyKey: randomUUID() },
    });

    expect(refunded).toMatchObject({ __typename: 'RefundPaymentSuccess', refund: { state: 'DONE' } });
    expect(await taker.client.run('TestTicket', { id: first })).toMatchObject({ state: 'REFUNDED', code: null });
    expect(await member.client.run('TestTicket', { id: second })).toMatchObject({ state: 'REFUNDED', usedAt: expect.any(String) });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a part of the money back leaves the tickets as they are', async () => {
    const { member, paymentId, ticketIds } = await booked(app, await aShow(app));
    const { client: admin } = await app.admin();

    await admin.run('TestRefundPayment', { input: { paymentId, amountMinor: 1_000, reason: 'A cold hall', idempotencyKey: randomUUID() } });

    expect(await member.client.run('TestTicket', { id: ticketIds[0] as string })).toMatchObject({ state: 'VALID' });
    expect(await app.brokenInvariants()).toEqual([]);
  });
});
