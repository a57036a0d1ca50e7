import { type EntityManager, OptimisticLockError } from '@mikro-orm/postgresql';
import type { Database } from '../platform/database/database.ts';
import { SQLSTATE, sqlStateOf } from '../platform/database/sqlstates.ts';
import { type ClaimAnswer, type ClaimRequest, type Granted, IF_PAID_LATE_DEFAULT } from './claim.ts';
import type { ClaimCombiner } from './combine-claims.ts';
import { type Decision, decideIn, type PoolRow } from './decide-claims.ts';
import { Hold, HoldItem } from './hold.entity.ts';
import { type Policy, Pool } from './pool.entity.ts';

const POLICIES_KNOWN_MAX = 10_000;

/**
 * Places a hold on everything a claim asks for, or on nothing.
 *
 * The rules are one SQL function for both policies; they differ in how the writing is guarded. PESSIMISTIC: under the pools' row locks, combined.
 * OPTIMISTIC: decided on a snapshot, written by the ORM where the pools' versions are unchanged, at most three retries; a claim that loses them all,
 * that finds too many of this process at the same pool, or that finds the pool short while expired holds are still counted, is decided under the lock:
 * contention never becomes a refusal.
 */
export class PlaceHold {
  /** Which policy each pool was seen with. A hint, not a truth: either way is correct for any pool. */
  private readonly policies = new Map<string, Policy>();
  /** How many claims of this process are being placed by version, by pool. */
  private readonly underWay = new Map<string, number>();

  constructor(
    private readonly database: Database,
    private readonly combiner: ClaimCombiner,
    private readonly decided: (decision: Decision) => void,
    /** See `CombinerOptions.optimisticMax`. */
    private readonly optimisticMax: number,
  ) {}

  async place(claim: ClaimRequest): Promise<ClaimAnswer> {
    return (this.mayGoByVersion(claim) ? await this.placeByVersion(claim) : undefined) ?? this.combiner.claim(claim);
  }

  /** Numbered units are always fought for one by one: they go under the lock, whatever their pool's policy. */
  private mayGoByVersion({ items }: ClaimRequest): boolean {
    return items.every(
      ({ unitId, poolId }) =>
        unitId === null && this.policies.get(poolId) === 'OPTIMISTIC' && (this.underWay.get(poolId) ?? 0) < this.optimisticMax,
    );
  }

  /** Remembers what the database said of its pools. */
  learn(pools: readonly { id: string; policy: Policy }[]): void {
    if (this.policies.size > POLICIES_KNOWN_MAX) this.policies.clear();
    for (const pool of pools) this.policies.set(pool.id, pool.policy);
  }

  private async placeByVersion(claim: ClaimRequest): Promise<ClaimAnswer | undefined> {
    for (const { poolId } of claim.items) this.underWay.set(poolId, (this.underWay.get(poolId) ?? 0) + 1);
    try {
      const decision = await this.database.transact((em) => this.decideAndWrite(em, claim), { name: 'place-hold-by-version' });
      const [answer] = decision.answers;
      if (!answer || answer.outcome === 'CONTENDED') return undefined;
      this.decided(decision);
      return answer;
    } catch (error) {
      if (error instanceof OptimisticLockError) return undefined;
      // A twin with the same key was faster; under the lock its hold is found.
      if (sqlStateOf(error) === SQLSTATE.uniqueViolation) return undefined;
      throw error;
    } finally {
      for (const { poolId } of claim.items) {
        const left = (this.underWay.get(poolId) ?? 1) - 1;
        if (left > 0) this.underWay.set(poolId, left);
        else this.underWay.delete(poolId);
      }
    }
  }

  private async decideAndWrite(em: EntityManager, claim: ClaimRequest): Promise<Decision> {
    const decision = await decideIn(em, claim, false);
    const [answer] = decision.answers;
    if (answer?.outcome !== 'GRANTED') return decision;

    const pools: PoolRow[] = [];
    for (const row of decision.pools) {
      const pool = em.map(Pool, { ...row });
      for (const item of claim.items) if (item.poolId === pool.id) pool.held += item.quantity;
      pool.changedAt = answer.createdAt;
      // Each pool in a flush of its own: of several the ORM compares the versions in a query before its update, and rivals fit in between.
      await em.flush();
      pools.push({ ...row, held: pool.held, version: pool.version, changed_at: answer.createdAt.toISOString() });
    }
    // After the pools, as under the lock: twins with one key that took these in opposite orders would wait for each other.
    em.persist(holdOf(em, claim, answer));
    await em.flush();
    return { ...decision, wrote: true, pools };
  }
}

function holdOf(em: EntityManager, claim: ClaimRequest, granted: Granted): Hold {
  const hold = em.create(Hold, {
    id: granted.holdId,
    kind: claim.kind,
    claimantId: claim.claimantId,
    state: 'HELD',
    amountMinor: granted.amountMinor,
    currency: granted.currency,
    expiresAt: granted.expiresAt,
    idempotencyKey: claim.idempotencyKey,
    requestHash: claim.requestHash,
    clientIp: claim.clientIp,
    ifPaidLate: claim.ifPaidLate ?? IF_PAID_LATE_DEFAULT,
    version: 1,
    createdAt: granted.createdAt,
    changedAt: granted.createdAt,
  });
  for (const [position, item] of claim.items.entries())
    em.create(HoldItem, { hold, position, poolId: item.poolId, unitId: item.unitId, quantity: item.quantity });
  return hold;
}
