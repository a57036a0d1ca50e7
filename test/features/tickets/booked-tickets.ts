import { randomUUID } from 'node:crypto';
import type { ClaimItem } from '../../../src/inventory/claim.ts';
import { unitIdOf } from '../../../src/inventory/units.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { requestHash } from '../../../src/platform/idempotency/index.ts';
import { type TestApp, type TestAppOptions, type TestMember, type TestStage, testApp, uuidIn } from '../../support/app.ts';
import type { RootOf } from '../../support/client.ts';
import { payFor } from '../../support/payments.ts';
import type { Show } from '../../support/shows.ts';
import { eventually } from '../../support/wait.ts';

export type TestTicket = RootOf<'TestTicket'>;

/** A server that sells tickets. It issues them too unless its role says otherwise. A provider that answers late on a busy machine has answered. */
export const ticketing = ({ environment, ...options }: TestAppOptions = {}): Promise<TestApp> =>
  testApp({
    role: 'all',
    ...options,
    environment: { PAYMENT_CONNECT_TIMEOUT_MS: '10000', PAYMENT_ANSWER_TIMEOUT_MS: '20000', ...environment },
  });

export interface Wanted {
  /** Numbers of seats. */
  seats?: number[];
  /** Places without numbers. */
  places?: number;
}

/** Places a hold on seats and places of a show as the box office does. Answers its node id. */
export async function hold(app: TestApp, member: TestMember, show: Show, { seats = [0], places = 0 }: Wanted = {}): Promise<string> {
  const { performance, tiers } = show.uuids;
  const items: ClaimItem[] = seats.map((number) => ({
    kind: 'performance',
    poolId: performance,
    unitId: unitIdOf(performance, number),
    quantity: 1,
  }));
  if (places > 0) items.push({ kind: 'tier', poolId: tiers.STANDING as string, unitId: null, quantity: places });
  const idempotencyKey = randomUUID();
  const placed = await app.app.inventory.place({
    kind: 'performance',
    claimantId: member.uuid,
    idempotencyKey,
    requestHash: requestHash('test', { idempotencyKey }),
    clientIp: null,
    items,
  });
  if (placed.outcome !== 'GRANTED') throw new Error(`the seats were not held: ${JSON.stringify(placed)}`);
  return toNodeId('TicketHold', placed.holdId);
}

/** What is stored of the tickets of a hold, in order. */
export const storedTickets = (stage: TestStage, holdId: string) =>
  stage.query<{
    id: string;
    position: number;
    ordinal: number;
    tier_id: string;
    seat_number: number | null;
    owner_id: string;
    generation: number;
  }>('select id, position, ordinal, tier_id, seat_number, owner_id, generation from ticket where hold_id = $1 order by position, ordinal', [
    uuidIn(holdId),
  ]);

/** The node ids of the tickets of a hold, once so many are issued. */
export async function issued(stage: TestStage, holdId: string, count = 1): Promise<string[]> {
  const tickets = await eventually(async () => {
    const found = await storedTickets(stage, holdId);
    return found.length === count ? found : null;
  });
  return tickets.map(({ id }) => toNodeId('Ticket', id));
}

export interface Booked {
  member: TestMember;
  holdId: string;
  paymentId: string;
  ticketIds: string[];
}

/** A member who has paid for seats and places of a show, with the tickets for them. */
export async function booked(app: TestApp, show: Show, wanted: Wanted = {}): Promise<Booked> {
  const member = await app.member();
  const holdId = await hold(app, member, show, wanted);
  const paymentId = await payFor(member.client, holdId);
  const count = (wanted.seats ?? [0]).length + (wanted.places ?? 0);
  return { member, holdId, paymentId, ticketIds: await issued(app, holdId, count) };
}

/** What letting somebody in leaves behind. */
export const letIn = (stage: TestStage, ticketId: string) =>
  stage.query(
    `with used as (
       update ticket set used_at = clock_timestamp(), used_gate = 'A', used_by = owner_id where id = $1 and used_at is null returning *)
     insert into scan (performance_id, ticket_id, result, gate, scanned_at, staff_id)
     select performance_id, id, 'VALID', used_gate, used_at, used_by from used`,
    [uuidIn(ticketId)],
  );

/** Offers a ticket as its owner does, and answers the token. */
export async function offer(member: TestMember, ticketId: string, idempotencyKey: string = randomUUID()): Promise<string> {
  const offered = await member.client.run('TestOfferTicket', { input: { ticketId, idempotencyKey } });
  if (offered.__typename !== 'OfferTicketSuccess') throw new Error(`the ticket was not offered: ${JSON.stringify(offered)}`);
  return offered.token;
}

export const accept = (member: TestMember, token: string) => member.client.run('TestAcceptTicket', { input: { token } });
