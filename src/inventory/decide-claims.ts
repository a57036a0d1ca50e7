import type { EntityManager } from '@mikro-orm/postgresql';
import { queryIn } from '../platform/database/query-in.ts';
import { type ClaimAnswer, type ClaimRefusal, type ClaimRequest, IF_PAID_LATE_DEFAULT } from './claim.ts';
import type { Policy } from './pool.entity.ts';

/** A row of `pool` as the database's functions return it. */
export interface PoolRow {
  id: string;
  kind: string;
  capacity: number;
  held: number;
  sold: number;
  policy: Policy;
  version: number;
  /** So many of the free places are for followers only, until then. */
  kept: number;
  kept_until: string | null;
  changed_at: string;
}

export interface Decision {
  /** One per claim, in the order they were given. `CONTENDED` only without the lock: decide it again under the lock. */
  answers: (ClaimAnswer | { outcome: 'CONTENDED' })[];
  /** Every pool that was looked at or given something back, as it is after the decision. */
  pools: PoolRow[];
  /** True when something was written, so that watchers must hear of it. */
  wrote: boolean;
  lockWaitMs: number;
}

/** The parameters of `claim_holds`: claims and their items as parallel arrays. */
export function claimParameters(claims: readonly ClaimRequest[], write: boolean): unknown[] {
  const items = claims.flatMap((claim, index) => claim.items.map((item, position) => ({ ...item, position, claim: index + 1 })));
  return [
    claims.map((claim) => claim.kind),
    claims.map((claim) => claim.claimantId),
    claims.map((claim) => claim.idempotencyKey),
    claims.map((claim) => claim.requestHash),
    claims.map((claim) => claim.clientIp),
    items.map((item) => item.claim),
    items.map((item) => item.position),
    items.map((item) => item.kind),
    items.map((item) => item.poolId),
    items.map((item) => item.unitId),
    items.map((item) => item.quantity),
    write,
    claims.map((claim) => claim.ifPaidLate ?? IF_PAID_LATE_DEFAULT),
  ];
}

/** One statement: it decides, writes and commits, so a stalled process can never sit on the lock. */
export const CLAIM_HOLDS = 'select claim_holds($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) as decision';

/**
 * Decides one claim in the caller's transaction.
 * `write`: under the locks, and written; otherwise on what is committed at this moment, and nothing is.
 */
export async function decideIn(em: EntityManager, claim: ClaimRequest, write: boolean): Promise<Decision> {
  const [row] = await queryIn<{ decision: RawDecision }>(em, 'decideIn', CLAIM_HOLDS, claimParameters([claim], write));
  if (!row) throw new Error('claim_holds returned no row: run the migrations');
  return readDecision(row.decision);
}

interface RawDecision {
  claims: [string, string | null, string | null, number | null, number | null, number, string | null, number[] | null][];
  pools: PoolRow[] | null;
  wrote: boolean;
  now: string;
  lockWaitMs: number;
}

export function readDecision(raw: RawDecision): Decision {
  const createdAt = new Date(raw.now);
  return {
    answers: raw.claims.map(([outcome, holdId, expiresAt, itemIndex, limit, amountMinor, currency, takenItems]) => {
      if (outcome === 'GRANTED')
        return {
          outcome,
          holdId: holdId as string,
          expiresAt: new Date(expiresAt as string),
          createdAt,
          amountMinor,
          currency: currency as string,
        };
      if (outcome === 'REPLAYED') return { outcome, holdId: holdId as string };
      if (outcome === 'CONTENDED') return { outcome };
      return { outcome: outcome as ClaimRefusal, itemIndex: itemIndex ?? 0, limit, ...(takenItems ? { takenItems } : {}) };
    }),
    pools: raw.pools ?? [],
    wrote: raw.wrote,
    lockWaitMs: raw.lockWaitMs,
  };
}
