/**
 * Claims for numbered seats per second: claimants pick 1 to 4 random seats of a pool of 5,000, all or nothing, durable, with many at once. Directly on the
 * kernel, without a server, so the ways differ by nothing else:
 *
 * - `combined`: `Inventory.place`, the product. Claims that wait share a transaction.
 * - `one by one`: the same function of the database, a transaction for each claim.
 * - `lock pool`: `BEGIN; SELECT … FOR UPDATE` of the pool's row, the seats, `COMMIT`, for each claim. Counters and versions, as the product has them.
 * - `lock seats`: the row locks of the wanted seats alone. Nobody waits for anybody who wants other seats; no counter, no limit, and no version that a map
 *   of the seats could follow without reading all of it.
 *
 * The baselines check less than the product does: no limits, no cool-down, no replay, no sale window, nothing that has run out is taken back.
 *
 * Usage: npm run bench -- seats [--claimants 256] [--seconds 2] [--repeats 5] [--seats 5000] [--ways combined,lock pool] [--data DIRECTORY] [--json]
 *
 * Rounds of all ways alternate; ÷ compares what was granted a second, for a refusal costs less, and a faster way meets more of them. A round moves on to a new pool when half of one is taken, so that most claims are granted. After each round the answers are
 * compared with the rows, and every invariant is checked; a difference ends the bench with an error.
 */
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { migrations } from '../migrations/index.ts';
import type { ClaimRequest } from '../src/inventory/claim.ts';
import { CLAIM_HOLDS, claimParameters, readDecision } from '../src/inventory/decide-claims.ts';
import { HoldItemSchema, HoldSchema } from '../src/inventory/hold.entity.ts';
import { inventoryChecks } from '../src/inventory/inventory.checks.ts';
import { InventoryMetrics } from '../src/inventory/inventory.metrics.ts';
import { Inventory } from '../src/inventory/inventory.ts';
import { PoolSchema } from '../src/inventory/pool.entity.ts';
import { insertUnits, unitIdOf } from '../src/inventory/units.ts';
import { Database } from '../src/platform/database/database.ts';
import { startEmbeddedPostgres } from '../src/platform/database/embedded-postgres.ts';
import { migrate, openOrm } from '../src/platform/database/orm.ts';
import { median } from './claims/report.ts';

const { values: options } = parseArgs({
  options: {
    claimants: { type: 'string', default: '256' },
    seconds: { type: 'string', default: '2' },
    repeats: { type: 'string', default: '5' },
    seats: { type: 'string', default: '5000' },
    ways: { type: 'string' },
    /** Kept on the disk whose durability is measured, and removed at the end. */
    data: { type: 'string', default: path.join('.data', 'bench-seats') },
    json: { type: 'boolean', default: false },
  },
});
const claimants = Number(options.claimants);
const seconds = Number(options.seconds);
const seats = Number(options.seats);
/** As many as a node has by default; every way has the same. */
const CONNECTIONS = 20;
const PRICE_MINOR = 50_000;
const HASH = Buffer.alloc(32, 7);
/** Enough for 12,000 granted claims a second: making them takes longer than the round. A round that needs more ends with the last. */
const POOLS_PER_SECOND = Math.ceil((12_000 * 2.5) / (seats / 2));

interface Bench {
  database: Database;
  inventory: Inventory;
}

/** True when the claim was granted, false when one of its seats is taken. */
type Way = (bench: Bench, claim: ClaimRequest) => Promise<boolean>;

const isGranted = ({ outcome }: { outcome: string }): boolean => {
  if (outcome !== 'GRANTED' && outcome !== 'UNIT_TAKEN') throw new Error(`A claim of the bench was answered ${outcome}.`);
  return outcome === 'GRANTED';
};

const WAYS: Record<string, Way> = {
  combined: async ({ inventory }, claim) => isGranted(await inventory.place(claim)),
  'one by one': async ({ database }, claim) => {
    const { rows } = await database.pool.query({ name: 'claim_holds', text: CLAIM_HOLDS, values: claimParameters([claim], true) });
    return readDecision(rows[0].decision).answers.every(isGranted);
  },
  'lock pool': (bench, claim) =>
    inTransaction(bench, async (client) => {
      await client.query({ name: 'lock_pool', text: LOCK_POOL, values: [claim.items[0]?.poolId] });
      return await takeSeats(client, claim, 'take_versioned', TAKE_VERSIONED);
    }),
  'lock seats': (bench, claim) => inTransaction(bench, (client) => takeSeats(client, claim, 'take_seats', TAKE_SEATS)),
};
const ways = options.ways?.split(',').map((name) => name.trim()) ?? Object.keys(WAYS);
for (const name of ways) if (!WAYS[name]) throw new Error(`There is no way ${name}. There are ${Object.keys(WAYS).join(', ')}.`);

const LOCK_POOL = 'select from pool where id = $1 for update';
/** In one order, or they would deadlock. */
const LOCK_SEATS = 'select hold_id, price_minor from unit where id = any ($1::uuid[]) order by id for update';
/** Hold and items in one round trip, which is in favour of the baselines: their locks are held for one round trip less. */
const INSERT_HOLD = `
  with made as (
    insert into hold (id, kind, claimant_id, amount_minor, currency, expires_at, idempotency_key, request_hash)
    values ($1, 'performance', $2, $3, 'KRW', now() + interval '5 minutes', $4, $5) returning id
  ) insert into hold_item (hold_id, position, pool_id, unit_id, quantity)
    select made.id, n - 1, $6, unit, 1 from made, unnest($7::uuid[]) with ordinality as u(unit, n)`;
const TAKE_SEATS = "update unit set hold_id = $1, state = 'HELD' where id = any ($2::uuid[])";
const TAKE_VERSIONED = `
  with taken as (update pool set held = held + cardinality($2::uuid[]), version = version + 1, changed_at = now() where id = $3 returning version)
  update unit set hold_id = $1, state = 'HELD', version = taken.version from taken where id = any ($2::uuid[])`;

async function takeSeats(client: pg.PoolClient, claim: ClaimRequest, name: string, take: string): Promise<boolean> {
  const units = claim.items.map(({ unitId }) => unitId);
  const poolId = claim.items[0]?.poolId;
  const { rows } = await client.query({ name: 'lock_seats', text: LOCK_SEATS, values: [units] });
  if (rows.length < units.length || rows.some(({ hold_id }) => hold_id !== null)) return false;
  const holdId = randomUUID();
  const amount = rows.reduce((sum, { price_minor }) => sum + price_minor, 0);
  const values = [holdId, claim.claimantId, amount, claim.idempotencyKey, claim.requestHash, poolId, units];
  await client.query({ name: 'insert_hold', text: INSERT_HOLD, values });
  await client.query({ name, text: take, values: take === TAKE_VERSIONED ? [holdId, units, poolId] : [holdId, units] });
  return true;
}

async function inTransaction({ database }: Bench, work: (client: pg.PoolClient) => Promise<boolean>): Promise<boolean> {
  const client = await database.pool.connect();
  try {
    await client.query('begin');
    const isDone = await work(client);
    await client.query(isDone ? 'commit' : 'rollback');
    return isDone;
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

interface Round {
  answersPerSecond: number;
  grantedPerSecond: number;
  seatsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
}

const logger = pino({ level: 'silent' });
await mkdir(options.data, { recursive: true });
const postgres = await startEmbeddedPostgres({ directory: options.data, logger });
try {
  await migrate({ url: postgres.url, migrations, logger });
  const orm = await openOrm({ url: postgres.url, entities: [PoolSchema, HoldSchema, HoldItemSchema], logger, poolMax: CONNECTIONS });
  try {
    const metrics = new InventoryMetrics(new Registry());
    const database = await Database.over(orm, metrics);
    // The share of the connections that a server gives to batches.
    const combining = { batchMax: 512, lanesMax: Math.floor(CONNECTIONS * 0.4), queueMax: 20_000 };
    await measure({ database, inventory: new Inventory(database, combining, metrics, () => undefined) });
  } finally {
    await orm.close(true);
  }
} finally {
  await postgres.stop();
  await rm(postgres.directory, { recursive: true });
}

async function measure(bench: Bench): Promise<void> {
  const rounds: Record<string, Round[]> = Object.fromEntries(ways.map((name) => [name, []]));
  // The first round only warms: connections, plans, caches.
  for (let repeat = 0; repeat <= Number(options.repeats); repeat++)
    for (const name of repeat % 2 === 0 ? ways : ways.toReversed()) {
      const measured = await round(bench, WAYS[name] as Way, name === 'lock seats');
      if (repeat > 0) rounds[name]?.push(measured);
    }
  const medians = Object.fromEntries(
    ways.map((name) => {
      const of = (read: (round: Round) => number) => median((rounds[name] ?? []).map(read));
      const to = (other: string) =>
        rounds[other]
          ? median((rounds[name] ?? []).map((each, index) => each.grantedPerSecond / (rounds[other]?.[index]?.grantedPerSecond ?? NaN)))
          : null;
      return [
        name,
        {
          'claims/s': Math.round(of((each) => each.answersPerSecond)),
          'granted/s': Math.round(of((each) => each.grantedPerSecond)),
          'seats/s': Math.round(of((each) => each.seatsPerSecond)),
          '÷ lock pool': to('lock pool')?.toFixed(2),
          '÷ lock seats': to('lock seats')?.toFixed(2),
          'p50 ms': Math.round(of((each) => each.p50Ms)),
          'p99 ms': Math.round(of((each) => each.p99Ms)),
        },
      ];
    }),
  );
  if (options.json) console.log(JSON.stringify({ claimants, seconds, seats, medians, rounds }, null, 2));
  else console.table(medians);
}

async function round(bench: Bench, way: Way, hasNoCounters: boolean): Promise<Round> {
  const pools: string[] = [];
  for (let made = 0; made < POOLS_PER_SECOND * seconds; made++) pools.push(await makePool(bench));
  await bench.database.pool.query('analyze unit');
  let current = 0;
  let seatsOfCurrent = 0;
  let granted = 0;
  let seatsTaken = 0;
  const latencies: number[] = [];

  const startedAt = performance.now();
  const claimant = async () => {
    for (let now = startedAt; now - startedAt < seconds * 1000 && current < pools.length; ) {
      const pool = current;
      const claim = claimOf(pools[pool] as string);
      if (await way(bench, claim)) {
        granted++;
        seatsTaken += claim.items.length;
        if (pool === current) seatsOfCurrent += claim.items.length;
        if (seatsOfCurrent > seats / 2) {
          current++;
          seatsOfCurrent = 0;
        }
      }
      const then = now;
      now = performance.now();
      latencies.push(now - then);
    }
  };
  await Promise.all(Array.from({ length: claimants }, claimant));
  const elapsed = (performance.now() - startedAt) / 1000;

  await expectRows(bench, pools, { granted, seatsTaken, hasNoCounters });
  const sorted = Float64Array.from(latencies).sort();
  return {
    answersPerSecond: latencies.length / elapsed,
    grantedPerSecond: granted / elapsed,
    seatsPerSecond: seatsTaken / elapsed,
    p50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? 0,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
  };
}

/** With all that a performance asks of a claim: a limit over all its pools, and a cool-down. */
async function makePool({ database }: Bench): Promise<string> {
  const { rows } = await database.pool.query<{ id: string }>(
    `insert into pool (kind, capacity, policy, quota_key, quota_max, abandoned_max, cool_down_seconds)
     values ('performance', $1, 'PESSIMISTIC', 'performance ' || gen_random_uuid(), 8, 5, 600) returning id`,
    [seats],
  );
  const id = rows[0]?.id as string;
  const units = Array.from({ length: seats }, (_, number) => ({ number, label: `${number}`, priceMinor: PRICE_MINOR, isBlocked: false }));
  await database.transact((em) => insertUnits(em, id, units), { name: 'insert-units' });
  return id;
}

function claimOf(poolId: string): ClaimRequest {
  const numbers = new Set<number>();
  const count = 1 + Math.floor(Math.random() * 4);
  while (numbers.size < count) numbers.add(Math.floor(Math.random() * seats));
  return {
    kind: 'performance',
    claimantId: randomUUID(),
    idempotencyKey: randomUUID(),
    requestHash: HASH,
    clientIp: null,
    items: [...numbers].map((number) => ({ kind: 'performance', poolId, unitId: unitIdOf(poolId, number), quantity: 1 })),
  };
}

interface Claimed {
  granted: number;
  seatsTaken: number;
  hasNoCounters: boolean;
}

/** Every answer is in the rows and no other; then they are removed, so that each round begins with as few as the first. */
async function expectRows({ database: { pool } }: Bench, pools: string[], { granted, seatsTaken, hasNoCounters }: Claimed): Promise<void> {
  const { rows } = await pool.query(
    `select count(distinct i.hold_id)::int as holds, count(*)::int as seats, count(*) filter (where u.hold_id = i.hold_id)::int as named
     from hold_item i join unit u on u.id = i.unit_id where i.pool_id = any ($1::uuid[])`,
    [pools],
  );
  const [{ holds, seats: taken, named }] = rows;
  if (holds !== granted || taken !== seatsTaken || named !== seatsTaken)
    throw new Error(`${granted} claims for ${seatsTaken} seats were granted, but the rows say ${JSON.stringify(rows[0])}.`);
  for (const check of inventoryChecks) {
    if (hasNoCounters && check.name === 'pool-counters-equal-holds') continue;
    const { rows: broken } = await pool.query(check.sql);
    if (broken.length > 0) throw new Error(`${check.promise} Broken: ${JSON.stringify(broken.slice(0, 3))}`);
  }
  await pool.query('truncate hold_item, unit, hold, pool cascade');
}
