import { randomUUID } from 'node:crypto';
import { toNodeId } from '../../src/platform/graphql/node-ids.ts';

/** What runs SQL for a fixture: a `TestStage`, a `TestInventory`, or anything like them. */
export interface Queries {
  query<Row extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
}

export interface ShowOptions {
  /** An organizer; one is made unless given. */
  organizerId?: string;
  /** Sections of rows of seats, each section a zone of its own name. 0 rows: no numbered seats. */
  sections?: number;
  rows?: number;
  seatsPerRow?: number;
  /** Of one seat; the first section's, each further one costs 10,000 less. */
  priceMinor?: number;
  /** Places without numbers. */
  standing?: { capacity: number; priceMinor: number } | null;
  perMemberMax?: number;
  holdSeconds?: number;
  abandonedMax?: number | null;
  coolDownSeconds?: number | null;
  startsAt?: Date;
  opensAt?: Date | null;
  closesAt?: Date | null;
  cancellation?: { hoursBefore: number; percent: number }[];
  /** Numbers of seats that are not for sale. */
  blocked?: number[];
}

export interface Show {
  /** Node ids. */
  performanceId: string;
  eventId: string;
  /** The tier of each section by its name (`A`, `B`, …), and `STANDING`. Node ids. */
  tiers: Record<string, string>;
  /** As stored. */
  uuids: { performance: string; event: string; venue: string; plan: string | null; organizer: string; tiers: Record<string, string> };
  seats: number;
}

/** A performance on sale, written by SQL as the catalog would write it: a grid of 1 m × 1 m seats in front of a stage at the origin. */
export async function aShow(stage: Queries, options: ShowOptions = {}): Promise<Show> {
  const { sections = 1, rows = 5, seatsPerRow = 10, priceMinor = 50_000, standing = null, perMemberMax = 8, holdSeconds = 300 } = options;
  const { abandonedMax = 5, coolDownSeconds = 600, cancellation = [{ hoursBefore: 0, percent: 100 }], blocked = [] } = options;
  const startsAt = options.startsAt ?? new Date(Date.now() + 30 * 86_400_000);
  const organizer = options.organizerId ?? (await anOrganizer(stage));
  const one = async (sql: string, values: unknown[]) => (await stage.query<{ id: string }>(sql, values))[0]?.id as string;
  const venue = await one(
    "insert into venue (owner_id, name, address, latitude, longitude) values ($1, 'Test Hall', '1 Sejong-daero, Seoul', 37.5665, 126.978) returning id",
    [organizer],
  );
  const event = await one(
    "insert into event (organizer_id, venue_id, title, body, category) values ($1, $2, 'The Last Seat', 'A play about a sale.', 'PLAY') returning id",
    [organizer, venue],
  );
  const names = Array.from({ length: rows > 0 ? sections : 0 }, (_, index) => String.fromCharCode(65 + index));
  const seats = names.length * rows * seatsPerRow;
  let plan: string | null = null;
  if (seats > 0) {
    plan = await one("insert into seat_plan (venue_id, name, focus_x, focus_y) values ($1, 'Grid', $2, 0) returning id", [
      venue,
      seatsPerRow / 2,
    ]);
    await stage.query(
      `insert into plan_seat (plan_id, number, section, row, label, x, y, zone, sale)
       select $1, n, s.name, r.r + 1, c.c + 1, c.c, (s.i - 1) * $4 + r.r + 5, s.name, case when n = any ($5::int[]) then 'HOUSE' else 'SALE' end
       from unnest($2::text[]) with ordinality as s(name, i) cross join generate_series(0, $4::int - 1) as r(r) cross join generate_series(0, $3::int - 1) as c(c)
       cross join lateral (select ((s.i - 1) * $4 * $3 + r.r * $3 + c.c)::int as n) as numbers`,
      [plan, names, seatsPerRow, rows, blocked],
    );
  }
  const pool = async (id: string, kind: string, capacity: number, price: number) =>
    stage.query(
      `insert into pool (id, kind, capacity, policy, price_minor, quota_key, quota_max, hold_seconds, abandoned_max, cool_down_seconds, opens_at, closes_at)
       values ($1, $2, $3, 'PESSIMISTIC', $4, $5, $6, $7, $8, $9, $10, $11)`,
      [
        id,
        kind,
        capacity,
        price,
        `performance ${performance}`,
        perMemberMax,
        holdSeconds,
        abandonedMax,
        coolDownSeconds,
        options.opensAt ?? null,
        options.closesAt ?? null,
      ],
    );
  const performance = await one('select uuidv7() as id', []);
  await pool(performance, 'performance', seats - blocked.length, 0);
  await stage.query('insert into performance (id, event_id, plan_id, starts_at, ends_at, cancellation) values ($1, $2, $3, $4, $5, $6)', [
    performance,
    event,
    plan,
    startsAt,
    new Date(startsAt.getTime() + 2 * 3_600_000),
    JSON.stringify(cancellation),
  ]);
  const tiers: Record<string, string> = {};
  for (const [position, name] of names.entries())
    tiers[name] = await one(
      'insert into tier (performance_id, name, zone, price_minor, position) values ($1, $2, $3, $4, $5) returning id',
      [performance, `Section ${name}`, name, priceMinor - position * 10_000, position],
    );
  if (standing) {
    const id = randomUUID();
    await pool(id, 'tier', standing.capacity, standing.priceMinor);
    tiers.STANDING = await one(
      "insert into tier (id, performance_id, name, zone, price_minor, position) values ($1, $2, 'Standing', null, $3, $4) returning id",
      [id, performance, standing.priceMinor, names.length],
    );
  }
  await stage.query(
    `insert into unit (id, pool_id, number, label, price_minor, state)
     select (left($1::uuid::text, 32) || lpad(to_hex(s.number), 4, '0'))::uuid, $1::uuid, s.number, s.section || ' ' || s.row || '-' || s.label, t.price_minor,
       case when s.sale = 'SALE' then 'AVAILABLE' else 'BLOCKED' end
     from plan_seat s join tier t on t.performance_id = $1::uuid and t.zone = s.zone where s.plan_id = $2`,
    [performance, plan],
  );
  return {
    performanceId: toNodeId('Performance', performance),
    eventId: toNodeId('Event', event),
    tiers: Object.fromEntries(Object.entries(tiers).map(([name, id]) => [name, toNodeId('Tier', id)])),
    uuids: { performance, event, venue, plan, organizer, tiers },
    seats,
  };
}

/** A ticket of a member, written by SQL as if its seat had been booked for nothing. Answers its node id. */
export async function aTicket(stage: Queries, memberId: string): Promise<string> {
  const { uuids } = await aShow(stage, { priceMinor: 0 });
  const [made] = await stage.query<{ id: string }>(
    `with held as (
       insert into hold (kind, claimant_id, state, amount_minor, currency, expires_at, idempotency_key, request_hash)
       values ('performance', $1, 'CONFIRMED', 0, 'KRW', now(), $2, decode(repeat('00', 32), 'hex')) returning id
     ), item as (
       insert into hold_item (hold_id, position, pool_id, unit_id, quantity) select held.id, 0, u.pool_id, u.id, 1 from held, unit u where u.pool_id = $3 and u.number = 0
     ), taken as (
       update unit u set hold_id = held.id, state = 'SOLD', version = 2 from held where u.pool_id = $3 and u.number = 0
     ), counted as (
       update pool set sold = 1, version = 2 where id = $3
     ), paid as (
       insert into payment (hold_id, original_hold_id, member_id, amount_minor, currency, state, is_current, idempotency_key, request_hash)
       select id, id, $1, 0, 'KRW', 'APPROVED', true, $2, decode(repeat('00', 32), 'hex') from held
     )
     insert into ticket (hold_id, position, ordinal, performance_id, tier_id, seat_number, owner_id) select held.id, 0, 0, $3, $4, 0, $1 from held returning id`,
    [memberId, randomUUID(), uuids.performance, uuids.tiers.A],
  );
  return toNodeId('Ticket', made?.id ?? '');
}

async function anOrganizer(stage: Queries): Promise<string> {
  const [row] = await stage.query<{ id: string }>(
    "insert into member (id, email, password_hash, display_name, role) values ($1, $2, 'none', 'An organizer', 'ORGANIZER') returning id",
    [randomUUID(), `organizer-${randomUUID()}@example.com`],
  );
  return row?.id as string;
}
