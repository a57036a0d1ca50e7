import { randomUUID } from 'node:crypto';
import { request } from 'undici';
import { unitIdOf } from '../../../src/inventory/units.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import type { TestApp, TestMember } from '../../support/app.ts';
import { aShow, type Show, type ShowOptions } from '../../support/shows.ts';

/** A performance whose doors are open, and who works there. */
export interface Door extends Show {
  organizer: TestMember;
  staff: TestMember;
}

export interface IssuedTicket {
  /** The node id. */
  id: string;
  uuid: string;
  holdId: string;
  seatNumber: number;
  code: string;
}

/** It begins in an hour unless said otherwise. */
export async function aDoor(app: TestApp, options: ShowOptions = {}): Promise<Door> {
  const organizer = await app.member('ORGANIZER');
  const show = await aShow(app, { startsAt: new Date(Date.now() + 3_600_000), organizerId: organizer.uuid, ...options });
  const staff = await app.member();
  await app.query('insert into door_staff (event_id, member_id) values ($1, $2)', [show.uuids.event, staff.uuid]);
  return { ...show, organizer, staff };
}

/** Tickets of seats of section A, each with a booking and an owner of its own, as an issuer writes them. */
export async function issue(app: TestApp, show: Show, count: number, from = 0): Promise<IssuedTicket[]> {
  const owners = await app.members(count);
  const performanceId = show.uuids.performance;
  const holdIds = await Promise.all(
    owners.map(async ({ uuid }, index) => {
      const answer = await app.app.inventory.place({
        kind: 'performance',
        claimantId: uuid,
        idempotencyKey: randomUUID(),
        requestHash: Buffer.alloc(32, 1),
        clientIp: null,
        items: [{ kind: 'performance', poolId: performanceId, unitId: unitIdOf(performanceId, from + index), quantity: 1 }],
      });
      if (answer.outcome !== 'GRANTED') throw new Error(`seat ${from + index} is ${answer.outcome}`);
      return answer.holdId;
    }),
  );
  await app.query("select move_hold(id, null, '{HELD}', 'PAYING') from unnest($1::uuid[]) id", [holdIds]);
  await app.query("select move_hold(id, null, '{PAYING}', 'CONFIRMED') from unnest($1::uuid[]) id", [holdIds]);
  await app.query(
    `insert into payment (hold_id, original_hold_id, member_id, state, is_current, amount_minor, currency, idempotency_key, request_hash)
     select id, id, claimant_id, 'APPROVED', true, amount_minor, currency, gen_random_uuid(), '' from hold where id = any ($1::uuid[])`,
    [holdIds],
  );
  const rows = await app.query<{ id: string; hold_id: string; seat_number: number }>(
    `insert into ticket (hold_id, position, ordinal, performance_id, tier_id, seat_number, owner_id)
     select h.id, 0, 0, $2, $3, u.number, h.claimant_id from hold h join unit u on u.hold_id = h.id where h.id = any ($1::uuid[])
     returning id, hold_id, seat_number`,
    [holdIds, performanceId, show.uuids.tiers.A],
  );
  return Promise.all(
    rows.map(async ({ id, hold_id, seat_number }) => ({
      id: toNodeId('Ticket', id),
      uuid: id,
      holdId: hold_id,
      seatNumber: seat_number,
      code: await app.app.ticketCodes.sign({ ticketId: id, performanceId, generation: 1 }),
    })),
  );
}

/** One ticket of one seat. */
export async function issueOne(app: TestApp, show: Show, seat: number): Promise<IssuedTicket> {
  return (await issue(app, show, 1, seat))[0] as IssuedTicket;
}

/** Somebody else has accepted the ticket: the codes it had are good for nothing any more. */
export async function handOn(app: TestApp, ticket: IssuedTicket): Promise<void> {
  const taker = await app.member();
  await app.query(
    `with accepted as (
       insert into ticket_transfer (ticket_id, from_id, token_hash, expires_at, accepted_at, accepted_by)
       select id, owner_id, sha256(id::text::bytea), now() + interval '1 day', now(), $2 from ticket where id = $1 returning ticket_id, accepted_by)
     update ticket t set generation = generation + 1, owner_id = accepted_by from accepted where t.id = accepted.ticket_id`,
    [ticket.uuid, taker.uuid],
  );
}

/** What a refund leaves behind. */
export async function refund(app: TestApp, holdId: string): Promise<void> {
  await app.query("select move_hold($1, null, '{CONFIRMED}', 'RETURNED')", [holdId]);
  await app.query("update payment set state = 'REFUNDED' where hold_id = $1", [holdId]);
}

/** As stored: when somebody came in with a ticket, and where. */
export async function entryOf(app: TestApp, ticket: IssuedTicket): Promise<{ at: string; gate: string } | null> {
  const [row] = await app.query<{ used_at: Date | null; used_gate: string }>('select used_at, used_gate from ticket where id = $1', [
    ticket.uuid,
  ]);
  return row?.used_at ? { at: row.used_at.toISOString(), gate: row.used_gate } : null;
}

/** The log of a performance as stored, oldest first: result, gate, and whether it was undone. */
export async function logOf(app: TestApp, show: Show): Promise<string[]> {
  const rows = await app.query<{ result: string; gate: string; undone: boolean }>(
    'select result, gate, undone_by is not null as undone from scan where performance_id = $1 order by id',
    [show.uuids.performance],
  );
  return rows.map(({ result, gate, undone }) => `${result} ${gate}${undone ? ' undone' : ''}`);
}

// biome-ignore lint/suspicious/noExplicitAny: what a scanner reads is what the test asserts.
export type Said = { status: number; body: any };

/** What a scanner sends over HTTP, and what it is answered. */
export async function post(
  app: TestApp,
  path: string,
  body: unknown,
  { token, headers = {} }: { token?: string | undefined; headers?: Record<string, string> } = {},
): Promise<Said> {
  const response = await request(`${app.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', connection: 'close', ...(token && { authorization: `Bearer ${token}` }), ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.body.text();
  return { status: response.statusCode, body: text ? JSON.parse(text) : null };
}

export const scansPath = (performanceId: string) => `/door/performances/${performanceId}/scans`;
