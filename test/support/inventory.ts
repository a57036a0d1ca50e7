import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import pg from 'pg';
import type { ClaimAnswer } from '../../src/inventory/claim.ts';
import { inventoryChecks } from '../../src/inventory/inventory.checks.ts';
import type { Policy } from '../../src/inventory/pool.entity.ts';
import { insertUnits, type UnitState, unitIdOf } from '../../src/inventory/units.ts';
import { testDatabaseUrl } from './database.ts';
import { Kernel, type KernelOptions } from './kernel.ts';
import { letRivalsMeet, rewriteFunction } from './meeting.ts';
import { waitPatiently } from './waiting-patiently.ts';

export { claimOf, itemOf } from './kernel.ts';

export interface PoolOptions {
  id?: string;
  kind?: string;
  capacity?: number;
  policy?: Policy;
  priceMinor?: number;
  perClaimantMax?: number | null;
  quota?: { key: string; max: number } | null;
  holdSeconds?: number;
  opensAt?: Date | null;
  closesAt?: Date | null;
  isWatched?: boolean;
  coolDown?: { abandonedMax: number; seconds: number } | null;
}

/** A database of the test's own with one or more nodes on it, and a bystander who sees what is committed. */
export class TestInventory implements AsyncDisposable {
  private constructor(
    readonly url: string,
    readonly kernels: readonly Kernel[],
    private readonly bystander: pg.Client,
    private readonly drop: () => Promise<void>,
  ) {}

  static async open({ kernels = 1, ...options }: KernelOptions & { kernels?: number } = {}): Promise<TestInventory> {
    const { url, drop } = await testDatabaseUrl();
    const bystander = new pg.Client({ connectionString: url, application_name: 'bystander' });
    await bystander.connect();
    const opened = await Promise.all(Array.from({ length: kernels }, () => Kernel.open(url, options)));
    const inventory = new TestInventory(url, opened, bystander, drop);
    await waitPatiently(inventory.query.bind(inventory), 30);
    return inventory;
  }

  /** The only node, or the first. */
  get kernel(): Kernel {
    return this.kernels[0] as Kernel;
  }

  /** The node whose turn it is. */
  kernelOf(turn: number): Kernel {
    return this.kernels[turn % this.kernels.length] as Kernel;
  }

  async query<Row extends pg.QueryResultRow = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.bystander.query<Row>(sql, values)).rows;
  }

  async pool(options: PoolOptions = {}): Promise<string> {
    const id = options.id ?? randomUUID();
    await this.query(
      `insert into pool (id, kind, capacity, policy, price_minor, per_claimant_max, quota_key, quota_max, hold_seconds, opens_at, closes_at,
         is_watched, abandoned_max, cool_down_seconds)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
      [
        id,
        options.kind ?? 'thing',
        options.capacity ?? 10,
        options.policy ?? 'PESSIMISTIC',
        options.priceMinor ?? 0,
        options.perClaimantMax ?? null,
        options.quota?.key ?? null,
        options.quota?.max ?? null,
        options.holdSeconds ?? 300,
        options.opensAt ?? null,
        options.closesAt ?? null,
        options.isWatched ?? false,
        options.coolDown?.abandonedMax ?? null,
        options.coolDown?.seconds ?? null,
      ],
    );
    return id;
  }

  async units(poolId: string, count: number): Promise<string[]> {
    const rows = await this.query<{ id: string }>(
      `insert into unit (pool_id, label) select $1, lpad(n::text, 4, '0') from generate_series(1, $2::int) n returning id`,
      [poolId, count],
    );
    return rows.map((row) => row.id);
  }

  /** A pool of so many numbered units, numbered from 0; ids by number. */
  async numbered(
    count: number,
    { priceMinor = 0, poolPriceMinor = 0, ...options }: Omit<PoolOptions, 'capacity'> & { poolPriceMinor?: number } = {},
  ): Promise<{ pool: string; units: string[] }> {
    const pool = await this.pool({ ...options, capacity: count, priceMinor: poolPriceMinor });
    const units = Array.from({ length: count }, (_, number) => ({ number, label: `A-${number}`, priceMinor, isBlocked: false }));
    await this.kernel.database.transact((em) => insertUnits(em, pool, units), { name: 'insert-units' });
    return { pool, units: units.map(({ number }) => unitIdOf(pool, number)) };
  }

  /** State and version of the units of a pool, by number. */
  async unitsOf(poolId: string): Promise<[state: UnitState, version: number][]> {
    const rows = await this.query<{ state: UnitState; version: number }>(
      'select state, version from unit where pool_id = $1 order by number',
      [poolId],
    );
    return rows.map(({ state, version }) => [state, version]);
  }

  /** Moves the deadline of holds into the past, as if their time had gone by. */
  async runOut(...holdIds: string[]): Promise<void> {
    await this.query("update hold set expires_at = clock_timestamp() - interval '1 ms' where id = any ($1::uuid[])", [holdIds]);
  }

  /** Lets time pass for everything that is stored: holds and what is kept are so much older, and no version changes. */
  async letPass(seconds: number): Promise<void> {
    await this.query(
      `begin;
       alter table hold disable trigger hold_raises_version;
       update hold set created_at = created_at - interval '${seconds} s', changed_at = changed_at - interval '${seconds} s',
         expires_at = expires_at - interval '${seconds} s';
       alter table hold enable trigger hold_raises_version;
       update unit set kept_until = kept_until - interval '${seconds} s' where kept_until is not null;
       update pool set kept_until = kept_until - interval '${seconds} s' where kept_until is not null;
       commit`,
    );
  }

  async counters(poolId: string): Promise<{ capacity: number; held: number; sold: number; version: number }> {
    const [row] = await this.query<{ capacity: number; held: number; sold: number; version: number }>(
      'select capacity, held, sold, version from pool where id = $1',
      [poolId],
    );
    if (!row) throw new Error(`There is no pool ${poolId}.`);
    return row;
  }

  async stateOf(holdId: string): Promise<string | undefined> {
    const [row] = await this.query<{ state: string }>('select state from hold where id = $1', [holdId]);
    return row?.state;
  }

  async countOf(table: 'hold' | 'hold_item', where = 'true'): Promise<number> {
    const [row] = await this.query<{ count: number }>(`select count(*)::int as count from ${table} where ${where}`);
    return row?.count ?? 0;
  }

  /** The invariants: what is broken, by name. Empty when all is well. */
  async broken(): Promise<Record<string, unknown[]>> {
    const broken: Record<string, unknown[]> = {};
    for (const check of inventoryChecks) {
      const rows = await this.query(check.sql);
      if (rows.length > 0) broken[check.name] = rows;
    }
    return broken;
  }

  async expectSound(): Promise<void> {
    expect(await this.broken()).toEqual({});
  }

  /** Switches a protection off in this database: rewrites the text of a function, which must have what is replaced. */
  async rewrite(name: string, from: string | RegExp, to: string): Promise<void> {
    await rewriteFunction(this.query.bind(this), name, from, to);
  }

  /** Makes the sessions that run a function wait for each other, two by two, before a place in its text. */
  async letRivalsMeet(name: string, before: string, when?: string, patience?: string): Promise<void> {
    await letRivalsMeet(this.query.bind(this), name, before, when, patience);
  }

  async close(): Promise<void> {
    await Promise.all(this.kernels.map((kernel) => kernel.close()));
    await this.bystander.end();
    await this.drop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Answers by outcome. */
export function outcomesOf(answers: readonly { outcome: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { outcome } of answers) counts[outcome] = (counts[outcome] ?? 0) + 1;
  return counts;
}

/** The hold a claim was granted; throws for any other answer. */
export function holdOf(answer: ClaimAnswer): string {
  if (answer.outcome !== 'GRANTED') throw new Error(`The claim was not granted but answered ${JSON.stringify(answer)}.`);
  return answer.holdId;
}

/** Runs `during` while a session of its own has the rows that `locking` locks, then lets go of them. */
export async function whileLocked<T>(
  inventory: TestInventory,
  locking: string,
  values: unknown[],
  during: (rival: pg.Client) => Promise<T>,
): Promise<T> {
  const rival = new pg.Client({ connectionString: inventory.url, application_name: 'rival' });
  await rival.connect();
  try {
    await rival.query('begin');
    await rival.query(locking, values);
    const result = await during(rival);
    await rival.query('commit');
    return result;
  } finally {
    await rival.end();
  }
}

/** How often a session of the nodes was stopped because it waited in a circle. */
export async function deadlocks(inventory: TestInventory): Promise<number> {
  let count = 0;
  for (const kernel of inventory.kernels) count += await kernel.count('lastseat_transaction_retries_total', { cause: 'deadlock' });
  return count;
}

/** The negative control of a race whose rivals may miss each other, which is rare: it is run again, so many times at most, until it is seen. */
export async function expectViolationSeenOnce(scenario: () => Promise<unknown>, rounds = 10): Promise<void> {
  for (let round = 1; ; round++) {
    const run = scenario();
    const isSeen = await run.then(
      () => false,
      () => true,
    );
    if (isSeen || round === rounds) return expectViolationSeen(run);
  }
}

/** The negative control of a race: with the protection off, the scenario's own assertion (not just any error) must fail. */
export async function expectViolationSeen(scenario: Promise<unknown>): Promise<void> {
  await expect(scenario).rejects.toHaveProperty('matcherResult');
}
