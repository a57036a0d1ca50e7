import type { ClaimAnswer, ClaimRequest } from '../../src/inventory/claim.ts';
import { type HoldState, TRANSITIONS } from '../../src/inventory/hold-states.ts';
import type { MoveOutcome } from '../../src/inventory/move-hold.ts';

export interface ModelPool {
  id: string;
  kind: string;
  capacity: number;
  perClaimantMax: number | null;
  quota: { key: string; max: number } | null;
  units: readonly string[];
}

interface ModelHold {
  id: string;
  claim: ClaimRequest;
  /** A hold whose deadline has passed is EXPIRED from that instant: the model knows no sweeper. */
  state: HoldState;
}

/** What the inventory must answer, said in the simplest way: lists that are walked through, no counters. */
export class InventoryModel {
  readonly holds: ModelHold[] = [];

  constructor(readonly pools: readonly ModelPool[]) {}

  /** The id of a granted hold is not the model's to know: it is told by {@link granted}. */
  place(claim: ClaimRequest): { outcome: 'GRANTED' } | Exclude<ClaimAnswer, { outcome: 'GRANTED' }> {
    const known = this.holds.find(
      (hold) => hold.claim.claimantId === claim.claimantId && hold.claim.idempotencyKey === claim.idempotencyKey,
    );
    if (known)
      return known.claim.requestHash.equals(claim.requestHash)
        ? { outcome: 'REPLAYED', holdId: known.id }
        : { outcome: 'KEY_REUSED', itemIndex: 0, limit: null };
    const refusals = claim.items.flatMap((_item, itemIndex) => this.refusalsOf(claim, itemIndex));
    for (const reason of ['NOT_FOUND', 'CLAIMANT_LIMIT', 'QUOTA_REACHED', 'UNIT_TAKEN', 'SOLD_OUT'] as const) {
      const first = refusals.find(({ outcome }) => outcome === reason);
      if (first) return first;
    }
    return { outcome: 'GRANTED' };
  }

  granted(id: string, claim: ClaimRequest): void {
    this.holds.push({ id, claim, state: 'HELD' });
  }

  move(verb: keyof typeof TRANSITIONS, hold: ModelHold, claimantId: string | null): MoveOutcome {
    const { from, to } = TRANSITIONS[verb];
    if (claimantId !== null && claimantId !== hold.claim.claimantId) return 'NOT_FOUND';
    if (!(from as readonly HoldState[]).includes(hold.state)) return hold.state;
    hold.state = to;
    return 'MOVED';
  }

  adjust(pool: ModelPool, capacity: number) {
    const { held, sold } = this.availabilityOf(pool);
    if (held + sold > capacity) return { outcome: 'BELOW_TAKEN', held, sold };
    pool.capacity = capacity;
    return { outcome: 'ADJUSTED' };
  }

  availabilityOf({ id, kind, capacity }: ModelPool) {
    const held = this.taken(id, ['HELD', 'PAYING']);
    const sold = this.taken(id, ['CONFIRMED']);
    return { id, kind, capacity, held, sold, free: capacity - held - sold };
  }

  private refusalsOf(claim: ClaimRequest, itemIndex: number): Exclude<ClaimAnswer, { holdId: string }>[] {
    const item = claim.items[itemIndex] as ClaimRequest['items'][number];
    const pool = this.pools.find(({ id, kind }) => id === item.poolId && kind === item.kind);
    if (!pool) return [{ outcome: 'NOT_FOUND', itemIndex, limit: null }];
    const refusals: Exclude<ClaimAnswer, { holdId: string }>[] = [];
    const wants = (pools: readonly ModelPool[]) =>
      claim.items.filter(({ poolId }) => pools.some(({ id }) => id === poolId)).reduce((sum, { quantity }) => sum + quantity, 0);
    const has = (pools: readonly ModelPool[]) => pools.reduce((sum, { id }) => sum + this.taken(id, LIVE, claim.claimantId), 0);
    const quotaPools = this.pools.filter(({ quota }) => quota && quota.key === pool.quota?.key);

    if (pool.perClaimantMax !== null && has([pool]) + wants([pool]) > pool.perClaimantMax)
      refusals.push({ outcome: 'CLAIMANT_LIMIT', itemIndex, limit: pool.perClaimantMax });
    if (pool.quota && has(quotaPools) + wants(quotaPools) > pool.quota.max)
      refusals.push({ outcome: 'QUOTA_REACHED', itemIndex, limit: pool.quota.max });
    if (item.unitId !== null) {
      const isTwice = claim.items.findIndex(({ unitId }) => unitId === item.unitId) < itemIndex;
      if (isTwice || !pool.units.includes(item.unitId) || this.hasUnit(item.unitId))
        refusals.push({ outcome: 'UNIT_TAKEN', itemIndex, limit: null });
    }
    const { free } = this.availabilityOf(pool);
    if (free < wants([pool])) refusals.push({ outcome: 'SOLD_OUT', itemIndex, limit: free });
    return refusals;
  }

  private taken(poolId: string, states: readonly HoldState[], claimantId?: string): number {
    return this.holds
      .filter(({ state, claim }) => states.includes(state) && (claimantId === undefined || claim.claimantId === claimantId))
      .flatMap(({ claim }) => claim.items)
      .filter((item) => item.poolId === poolId)
      .reduce((sum, { quantity }) => sum + quantity, 0);
  }

  private hasUnit(unitId: string): boolean {
    return this.holds.some(({ state, claim }) => LIVE.includes(state) && claim.items.some((item) => item.unitId === unitId));
  }
}

const LIVE: readonly HoldState[] = ['HELD', 'PAYING', 'CONFIRMED'];
