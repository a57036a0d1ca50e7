import type { EntityManager } from '@mikro-orm/postgresql';
import { Combiner } from '../platform/combiner.ts';
import type { Database } from '../platform/database/database.ts';
import { type Adjusted, adjustCapacity } from './adjust-capacity.ts';
import { type Availability, availabilityAfter, availabilityOf } from './availability.ts';
import type { ClaimAnswer, ClaimRequest } from './claim.ts';
import { ClaimCombiner, type CombinerOptions } from './combine-claims.ts';
import type { Decision, PoolRow } from './decide-claims.ts';
import { expireHolds } from './expire-holds.ts';
import type { TRANSITIONS } from './hold-states.ts';
import type { InventoryMetrics } from './inventory.metrics.ts';
import { confirmHolds, type MoveOutcome, moveHold, type Release, releaseHolds } from './move-hold.ts';
import { PlaceHold } from './place-hold.ts';
import { type PlacedIn, placeIn } from './place-in.ts';

/** Holds that are given up in one transaction. */
const RELEASES_MAX = 200;
/** One batch may wait for the row of a pool that is fought for; those of others go on. */
const RELEASE_LANES = 2;

/**
 * The inventory kernel.
 *
 * - **pool**: a countable capacity. **unit**: one numbered thing of a pool. **hold**: a claim with a deadline on one or more of them.
 * - **claimant**: who holds; the kernel knows nothing of members. **kind**: what the things are; it knows nothing of lessons either.
 * - A hold is **confirmed**, **released** or **expired**, once. PostgreSQL decides, by its own clock; this process only combines and tells.
 */
export class Inventory {
  private readonly combiner: ClaimCombiner;
  private readonly placing: PlaceHold;
  private readonly releasing: Combiner<Release, MoveOutcome>;

  constructor(
    private readonly database: Database,
    options: CombinerOptions,
    private readonly metrics: InventoryMetrics,
    /** Hears of every committed change of a pool. */
    private readonly changed: (availability: Availability) => void,
  ) {
    const decided = (decision: Decision) => {
      this.placing.learn(decision.pools);
      if (decision.wrote) this.tell(decision.pools);
    };
    this.combiner = new ClaimCombiner(database.pool, options, {
      batch: (size, lockWaitMs) => metrics.batch(size, lockWaitMs),
      retried: (cause) => metrics.retried('claim-holds', cause),
      decided,
    });
    this.placing = new PlaceHold(database, this.combiner, decided, options.optimisticMax ?? Number.POSITIVE_INFINITY);
    this.releasing = new Combiner((releases) => this.releaseAll(releases), { batchMax: RELEASES_MAX, lanesMax: RELEASE_LANES });
    metrics.queueLengthFrom(() => this.combiner.queueLength);
  }

  /** Claims everything that is asked for, or nothing. Durable when it answers. */
  async place(claim: ClaimRequest): Promise<ClaimAnswer> {
    const answer = await this.placing.place(claim);
    this.metrics.attempt(claim.kind, answer.outcome);
    return answer;
  }

  /**
   * Claims in the caller's transaction, for whoever must take a place and record why at once: see {@link placeIn}. For a buyer use {@link place}, which
   * combines. After the commit, pass `pools` to {@link tell}.
   */
  placeIn(em: EntityManager, claim: ClaimRequest): Promise<PlacedIn> {
    return placeIn(em, claim);
  }

  /** Takes one arrow of a hold's life in the caller's transaction. After its commit, pass `pools` to {@link tell}. */
  move(em: EntityManager, verb: keyof typeof TRANSITIONS, holdId: string, claimantId: string | null) {
    return moveHold(em, verb, holdId, claimantId);
  }

  /** Confirms many holds at once in the caller's transaction: see {@link confirmHolds}. After its commit, pass what it answers to {@link tell}. */
  confirm(em: EntityManager, holdIds: readonly string[]): Promise<PoolRow[]> {
    return confirmHolds(em, holdIds);
  }

  /** Lets a claimant give up a hold that is not being paid, together with others who do at this moment. Durable when it answers. */
  release(holdId: string, claimantId: string): Promise<MoveOutcome> {
    return this.releasing.add({ holdId, claimantId });
  }

  async adjustCapacity(poolId: string, kind: string, capacity: number): Promise<Adjusted> {
    const { adjusted, pools } = await this.database.transact((em) => adjustCapacity(em, poolId, kind, capacity), {
      name: 'adjust-capacity',
    });
    this.tell(pools);
    return adjusted;
  }

  /** Tidies what has run out, and tells the watchers. Nothing correct waits for it. */
  async sweep(): Promise<void> {
    this.tell(await expireHolds(this.database.pool));
  }

  availabilityOf(poolIds: readonly string[]): Promise<Availability[]> {
    return availabilityOf(this.database.pool, poolIds);
  }

  private async releaseAll(releases: Release[]): Promise<MoveOutcome[]> {
    const moved = await this.database.transact((em) => releaseHolds(em, releases), { name: 'release-holds' });
    // Of a pool that changed several times only how it was left.
    this.tell([...new Map(moved.flatMap(({ pools }) => pools.map((pool) => [pool.id, pool] as const))).values()]);
    return moved.map(({ outcome }) => outcome);
  }

  /** Tells the watchers what a committed change left behind. */
  tell(pools: readonly PoolRow[]): void {
    for (const pool of pools) this.changed(availabilityAfter(pool));
  }
}
