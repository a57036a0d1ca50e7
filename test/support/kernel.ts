import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import type { Availability } from '../../src/inventory/availability.ts';
import type { ClaimAnswer, ClaimItem, ClaimRequest } from '../../src/inventory/claim.ts';
import type { CombinerOptions } from '../../src/inventory/combine-claims.ts';
import { HoldItemSchema, HoldSchema } from '../../src/inventory/hold.entity.ts';
import type { TRANSITIONS } from '../../src/inventory/hold-states.ts';
import { InventoryMetrics } from '../../src/inventory/inventory.metrics.ts';
import { Inventory } from '../../src/inventory/inventory.ts';
import type { MoveOutcome } from '../../src/inventory/move-hold.ts';
import { PoolSchema } from '../../src/inventory/pool.entity.ts';
import { Database } from '../../src/platform/database/database.ts';
import { openOrm } from '../../src/platform/database/orm.ts';

/** A node as production has it: its own connections, its own queue of claims. */
export class Kernel {
  private constructor(
    readonly database: Database,
    readonly inventory: Inventory,
    private readonly registry: Registry,
    /** What the watchers of this node were told. */
    readonly told: Availability[],
    readonly close: () => Promise<void>,
  ) {}

  static async open(url: string, { poolMax = 10, ...options }: KernelOptions = {}): Promise<Kernel> {
    const registry = new Registry();
    const metrics = new InventoryMetrics(registry);
    const told: Availability[] = [];
    const orm = await openOrm({
      url,
      entities: [PoolSchema, HoldSchema, HoldItemSchema],
      logger: pino({ level: 'silent' }),
      applicationName: KERNEL,
      poolMax,
    });
    const database = await Database.over(orm, metrics);
    // What claims by version lock they hold while this process goes on, and on a busy machine that may take longer than a production session waits.
    database.pool.options.connectionTimeoutMillis = 60_000;
    const patience = "set lock_timeout = '30 s'; set statement_timeout = '60 s'";
    await database.pool.query(patience); // On the one connection that there is.
    database.pool.on('connect', (client) => void client.query(patience).catch(() => undefined));
    const inventory = new Inventory(database, { batchMax: 512, lanesMax: 4, queueMax: 20_000, ...options }, metrics, (availability) =>
      told.push(availability),
    );
    return new Kernel(database, inventory, registry, told, () => orm.close(true));
  }

  place(claim: ClaimRequest): Promise<ClaimAnswer> {
    return this.inventory.place(claim);
  }

  /** One arrow in a transaction of its own; `claimantId` null acts for anyone. */
  async move(verb: keyof typeof TRANSITIONS, holdId: string, claimantId: string | null = null): Promise<MoveOutcome> {
    const { outcome } = await this.database.transact((em) => this.inventory.move(em, verb, holdId, claimantId), { name: verb });
    return outcome;
  }

  /** Claims for pools it does not know yet go under the lock: this is how a node learns what policy they have. */
  async meet(poolIds: string[]): Promise<void> {
    for (const poolId of poolIds) {
      const answer = await this.place(claimOf({ items: [itemOf(poolId, { kind: await this.kindOf(poolId), quantity: TOO_MANY })] }));
      if ('holdId' in answer) throw new Error('Meeting a pool must not take from it.');
    }
  }

  /** The sum of a counter over the labels given. */
  async count(metric: string, labels: Record<string, string> = {}): Promise<number> {
    const found = await this.registry.getSingleMetric(metric)?.get();
    if (!found) throw new Error(`There is no metric ${metric}.`);
    return found.values
      .filter((value) => Object.entries(labels).every(([name, label]) => (value.labels as Record<string, unknown>)[name] === label))
      .filter((value) => !('metricName' in value) || String(value.metricName).endsWith('_count'))
      .reduce((sum, value) => sum + value.value, 0);
  }

  private async kindOf(poolId: string): Promise<string> {
    return (await this.inventory.availabilityOf([poolId]))[0]?.kind ?? '';
  }
}

export type KernelOptions = Partial<CombinerOptions> & { poolMax?: number };

export const itemOf = (poolId: string, item: Partial<ClaimItem> = {}): ClaimItem => ({
  kind: 'thing',
  poolId,
  unitId: null,
  quantity: 1,
  ...item,
});

/** A claim of somebody new with a key of its own, unless said otherwise. */
export const claimOf = ({ items, ...claim }: Partial<ClaimRequest> & Pick<ClaimRequest, 'items'>): ClaimRequest => ({
  kind: items[0]?.kind ?? 'thing',
  claimantId: randomUUID(),
  idempotencyKey: randomUUID(),
  requestHash: Buffer.alloc(32, 7),
  clientIp: null,
  items,
  ...claim,
});

/** As `pg_stat_activity` names the nodes of a test. */
export const KERNEL = 'kernel under test';
const TOO_MANY = 1_000_000;
