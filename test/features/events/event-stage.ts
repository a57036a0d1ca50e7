import { randomUUID } from 'node:crypto';
import type { ClaimAnswer } from '../../../src/inventory/claim.ts';
import type { TRANSITIONS } from '../../../src/inventory/hold-states.ts';
import { unitIdOf } from '../../../src/inventory/units.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, uuidIn } from '../../support/app.ts';
import { endedOrWaiting } from '../../support/lock-waits.ts';

/** An id nobody has. */
export const NOBODY = '00000000-0000-7000-8000-000000000000';

export const key = () => ({ idempotencyKey: randomUUID() });

/** One for a whole test file: a test that runs across a full minute means the same instant all the time. */
const NOW = Math.round(Date.now() / 60_000) * 60_000;

/** Days from now, at a whole minute. */
export const inDays = (days: number): string => new Date(NOW + days * 86_400_000).toISOString();

export async function aVenue(app: TestApp, name = 'Test Hall'): Promise<string> {
  const owner = await app.admin();
  const [venue] = await app.query<{ id: string }>(
    "insert into venue (owner_id, name, address, latitude, longitude) values ($1, $2, '1 Sejong-daero, Seoul', 37.5665, 126.978) returning id",
    [owner.uuid, name],
  );
  return toNodeId('Venue', venue?.id as string);
}

/** One section and zone for each letter, each of one row of seats: with `AB` and 5 seats a row, zone B is the seats 5 to 9. */
export async function aPlan(
  app: TestApp,
  venueId: string,
  { zones = 'AB', seats = 5, house = [] as number[], kill = [] as number[] } = {},
): Promise<string> {
  const [plan] = await app.query<{ id: string }>(
    "insert into seat_plan (venue_id, name, focus_x, focus_y) values ($1, 'Grid', 0, 0) returning id",
    [uuidIn(venueId)],
  );
  await app.query(
    `insert into plan_seat (plan_id, number, section, row, label, x, y, zone, sale)
     select $1, n, z.name, 1, n % $3 + 1, n % $3, z.i, z.name, case when n = any ($4::int[]) then 'HOUSE' when n = any ($5::int[]) then 'KILL' else 'SALE' end
     from unnest($2::text[]) with ordinality as z(name, i) cross join generate_series(0, $3::int - 1) as s(s)
     cross join lateral (select ((z.i - 1) * $3 + s.s)::int as n) as numbers`,
    [plan?.id, [...zones], seats, house, kill],
  );
  return toNodeId('SeatPlan', plan?.id as string);
}

export async function anEvent(organizer: TestMember, venueId: string, input: object = {}): Promise<string> {
  const made = await organizer.client.run('TestCreateEvent', {
    input: { title: 'The Last Seat', body: 'A play about a sale.', category: 'PLAY', venueId, ...key(), ...input },
  });
  if (!made.event) throw new Error(`no event was made: ${JSON.stringify(made)}`);
  return made.event.id;
}

/** Two hours in 30 days with 20 places without numbers, unless said otherwise. */
export const performanceInput = (eventId: string, input: Record<string, unknown> = {}) => {
  const startsAt = (input.startsAt as string | undefined) ?? inDays(30);
  return {
    eventId,
    startsAt,
    endsAt: new Date(Date.parse(startsAt) + 2 * 3_600_000).toISOString(),
    tiers: [{ name: 'Standing', priceMinor: 30_000, capacity: 20 }],
    ...key(),
    ...input,
  };
};

export async function aPerformance(organizer: TestMember, eventId: string, input: Record<string, unknown> = {}) {
  const made = await organizer.client.run('TestCreatePerformance', { input: performanceInput(eventId, input) as never });
  if (!made.performance) throw new Error(`no performance was made: ${JSON.stringify(made)}`);
  return made.performance;
}

/** Claims seats by number, and places of a tier, as selling does. */
export function claim(
  app: TestApp,
  member: TestMember,
  performanceId: string,
  { seats = [], tierId, places = 1 }: { seats?: number[]; tierId?: string; places?: number },
): Promise<ClaimAnswer> {
  const pool = uuidIn(performanceId);
  return app.app.inventory.place({
    kind: 'performance',
    claimantId: member.uuid,
    idempotencyKey: randomUUID(),
    requestHash: Buffer.alloc(32),
    clientIp: null,
    items: [
      ...seats.map((number) => ({ kind: 'performance', poolId: pool, unitId: unitIdOf(pool, number), quantity: 1 })),
      ...(tierId ? [{ kind: 'tier', poolId: uuidIn(tierId), unitId: null, quantity: places }] : []),
    ],
  });
}

/** The id of the hold of a claim that must be granted. */
export async function held(...claiming: Parameters<typeof claim>): Promise<string> {
  const answer = await claim(...claiming);
  if (answer.outcome !== 'GRANTED') throw new Error(`the claim was answered ${JSON.stringify(answer)}`);
  return answer.holdId;
}

/** Takes arrows of a hold's life, as a payment would. */
export async function move(app: TestApp, holdId: string, ...verbs: (keyof typeof TRANSITIONS)[]): Promise<void> {
  for (const verb of verbs) {
    const { outcome } = await app.app.database.transact((em) => app.app.inventory.move(em, verb, holdId, null), { name: 'test' });
    if (outcome !== 'MOVED') throw new Error(`${verb} was answered ${outcome}`);
  }
}

/** What is broken, but for holds that these tests confirm without a payment. */
export const brokenInvariants = async (app: TestApp) =>
  (await app.brokenInvariants()).filter(({ check }) => check !== 'payment-agrees-with-hold');

/**
 * Runs a rival within the next transaction that sends a statement with this text, right after it; the transaction goes on when the rival has come to its end or
 * waits for a lock. `without`: what is taken out of the statements of both, for example their locks.
 */
export function afterStatement<End>(app: TestApp, text: string, without: RegExp | null, rival: () => Promise<End>): Promise<End> {
  const { database } = app.app;
  const fork = database.fork.bind(database);
  return new Promise((resolve, reject) => {
    let hasCome = false;
    database.fork = () => {
      const em = fork();
      const execute = em.execute.bind(em) as (sql: string, values?: unknown[]) => Promise<never>;
      const interrupted = async (sql: string, values?: unknown[]) => {
        const rows = await execute(without ? sql.replace(without, '') : sql, values);
        if (sql.includes(text) && !hasCome) {
          hasCome = true;
          const run = rival();
          run.then(resolve, reject);
          await endedOrWaiting(app, run);
          database.fork = fork;
        }
        return rows;
      };
      return Object.assign(em, { execute: interrupted }) as never;
    };
  });
}
