import type { ClaimAnswer, ClaimRequest } from '../../src/inventory/claim.ts';
import { type HoldState, TRANSITIONS } from '../../src/inventory/hold-states.ts';
import type { MoveOutcome } from '../../src/inventory/move-hold.ts';
import type { UnitState } from '../../src/inventory/units.ts';

export interface ModelPool {
  id: string;
  kind: string;
  capacity: number;
  perClaimantMax: number | null;
  quota: { key: string; max: number } | null;
  priceMinor: number;
  isWatched: boolean;
  /** Of its places without numbers, how many are for followers only. */
  kept: number;
  units: readonly ModelUnit[];
}

export interface ModelUnit {
  id: string;
  /** Null: that of its pool. */
  priceMinor: number | null;
  /** What it is while no hold has it. What was kept and whose time has passed stays so until somebody takes it. */
  rest: 'AVAILABLE' | 'KEPT' | 'BLOCKED';
  /** Only while kept: the only one who can take it; null for nobody, `ANYBODY` when its time has passed. */
  keptFor: string | null;
}

export const ANYBODY = 'anybody';

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
  place(claim: ClaimRequest): { outcome: 'GRANTED'; amountMinor: number } | Exclude<ClaimAnswer, { outcome: 'GRANTED' }> {
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
      if (first?.outcome === 'UNIT_TAKEN')
        return { ...first, takenItems: refusals.filter(({ outcome }) => outcome === reason).map(({ itemIndex }) => itemIndex) };
      if (first) return first;
    }
    return { outcome: 'GRANTED', amountMinor: claim.items.reduce((sum, item) => sum + this.priceOf(item), 0) };
  }

  granted(id: string, claim: ClaimRequest): void {
    this.holds.push({ id, claim, state: 'HELD' });
    for (const unit of this.unitsOf(claim)) Object.assign(unit, FREE);
  }

  move(verb: keyof typeof TRANSITIONS, hold: ModelHold, claimantId: string | null): MoveOutcome {
    const { from, to } = TRANSITIONS[verb];
    if (claimantId !== null && claimantId !== hold.claim.claimantId) return 'NOT_FOUND';
    if (!(from as readonly HoldState[]).includes(hold.state)) return hold.state;
    hold.state = to;
    if (!LIVE.includes(to)) this.giveBack(hold);
    return 'MOVED';
  }

  runOut(hold: ModelHold): void {
    if (hold.state !== 'HELD') return;
    hold.state = 'EXPIRED';
    this.giveBack(hold);
  }

  keepFor(unit: ModelUnit, claimantId: string): boolean {
    if (this.stateOf(unit) !== 'KEPT') return false;
    unit.keptFor = claimantId;
    return true;
  }

  /** The time of all that is kept passes. */
  keepingEnds(): void {
    for (const pool of this.pools) {
      pool.kept = 0;
      for (const unit of pool.units) if (unit.rest === 'KEPT') unit.keptFor = ANYBODY;
    }
  }

  letGo(units: readonly ModelUnit[]): void {
    for (const unit of units) if (this.stateOf(unit) === 'KEPT') Object.assign(unit, FREE);
  }

  letGoPlaces(pool: ModelPool): void {
    pool.kept = 0;
  }

  /** What the claim that follows may take of what is kept. Answers how many places that are: they are kept again if it is refused. */
  takeKept(pool: ModelPool, quantity: number): number {
    const taken = Math.min(pool.kept, quantity);
    pool.kept -= taken;
    return taken;
  }

  block(pool: ModelPool, numbers: readonly number[], isBlocked: boolean) {
    const unknown = numbers.filter((number) => !pool.units[number]);
    if (unknown.length > 0) return { outcome: 'NOT_FOUND', numbers: unknown };
    const taken = numbers.filter((number) => ['HELD', 'SOLD'].includes(this.stateOf(pool.units[number] as ModelUnit)));
    if (isBlocked && taken.length > 0) return { outcome: 'TAKEN', numbers: taken };
    for (const number of numbers) {
      const unit = pool.units[number] as ModelUnit;
      if ((this.stateOf(unit) === 'BLOCKED') === isBlocked) continue;
      Object.assign(unit, FREE, { rest: isBlocked ? 'BLOCKED' : pool.isWatched ? 'KEPT' : 'AVAILABLE' });
      pool.capacity += isBlocked ? -1 : 1;
    }
    return { outcome: 'DONE' };
  }

  stateOf(unit: ModelUnit): UnitState {
    const hold = this.holds.find(({ state, claim }) => LIVE.includes(state) && claim.items.some(({ unitId }) => unitId === unit.id));
    if (!hold) return unit.rest;
    return hold.state === 'CONFIRMED' ? 'SOLD' : 'HELD';
  }

  adjust(pool: ModelPool, capacity: number) {
    const { held, sold } = this.availabilityOf(pool);
    if (held + sold > capacity) return { outcome: 'BELOW_TAKEN', held, sold };
    if (pool.isWatched) pool.kept = Math.min(pool.kept + Math.max(capacity - pool.capacity, 0), capacity - held - sold);
    pool.capacity = capacity;
    return { outcome: 'ADJUSTED' };
  }

  availabilityOf({ id, kind, capacity, kept }: ModelPool) {
    const held = this.taken(id, ['HELD', 'PAYING']);
    const sold = this.taken(id, ['CONFIRMED']);
    return { id, kind, capacity, held, sold, free: Math.max(capacity - held - sold - kept, 0) };
  }

  private refusalsOf(claim: ClaimRequest, itemIndex: number): Exclude<ClaimAnswer, { holdId: string }>[] {
    const item = claim.items[itemIndex] as ClaimRequest['items'][number];
    const pool = this.pools.find(({ id, kind }) => id === item.poolId && kind === item.kind);
    if (!pool) return [{ outcome: 'NOT_FOUND', itemIndex, limit: null }];
    const unit = pool.units.find(({ id }) => id === item.unitId);
    if (item.unitId !== null && !unit) return [{ outcome: 'NOT_FOUND', itemIndex, limit: null }];
    const refusals: Exclude<ClaimAnswer, { holdId: string }>[] = [];
    const wants = (pools: readonly ModelPool[]) =>
      claim.items.filter(({ poolId }) => pools.some(({ id }) => id === poolId)).reduce((sum, { quantity }) => sum + quantity, 0);
    const has = (pools: readonly ModelPool[]) => pools.reduce((sum, { id }) => sum + this.taken(id, LIVE, claim.claimantId), 0);
    const quotaPools = this.pools.filter(({ quota }) => quota && quota.key === pool.quota?.key);

    if (pool.perClaimantMax !== null && has([pool]) + wants([pool]) > pool.perClaimantMax)
      refusals.push({ outcome: 'CLAIMANT_LIMIT', itemIndex, limit: pool.perClaimantMax });
    if (pool.quota && has(quotaPools) + wants(quotaPools) > pool.quota.max)
      refusals.push({ outcome: 'QUOTA_REACHED', itemIndex, limit: pool.quota.max });
    if (unit) {
      const isTwice = claim.items.findIndex(({ unitId }) => unitId === item.unitId) < itemIndex;
      if (isTwice || !this.canBeTaken(unit, claim.claimantId)) refusals.push({ outcome: 'UNIT_TAKEN', itemIndex, limit: null });
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

  private canBeTaken(unit: ModelUnit, claimantId: string): boolean {
    const state = this.stateOf(unit);
    return state === 'AVAILABLE' || (state === 'KEPT' && (unit.keptFor === ANYBODY || unit.keptFor === claimantId));
  }

  private giveBack({ claim }: ModelHold): void {
    for (const pool of this.pools.filter(({ isWatched }) => isWatched)) {
      for (const unit of this.unitsOf(claim)) if (pool.units.includes(unit)) unit.rest = 'KEPT';
      for (const { poolId, unitId, quantity } of claim.items) if (poolId === pool.id && unitId === null) pool.kept += quantity;
    }
  }

  private unitsOf({ items }: ClaimRequest): ModelUnit[] {
    return this.pools.flatMap(({ units }) => units.filter(({ id }) => items.some(({ unitId }) => unitId === id)));
  }

  private priceOf({ poolId, unitId, quantity }: ClaimRequest['items'][number]): number {
    const pool = this.pools.find(({ id }) => id === poolId) as ModelPool;
    return (pool.units.find(({ id }) => id === unitId)?.priceMinor ?? pool.priceMinor) * quantity;
  }
}

const FREE = { rest: 'AVAILABLE', keptFor: null } as const;
const LIVE: readonly HoldState[] = ['HELD', 'PAYING', 'CONFIRMED'];
