import type { EntityManager } from '@mikro-orm/postgresql';
import type { ClaimAnswer, ClaimRequest } from './claim.ts';
import { decideIn, type PoolRow } from './decide-claims.ts';

export interface PlacedIn {
  /** Never `BUSY`: nothing waits in a queue. */
  answer: ClaimAnswer;
  /** The pools that changed; tell the watchers of them after the commit. */
  pools: PoolRow[];
}

/**
 * Claims everything that is asked for, or nothing, in the caller's transaction: one statement under the pools' locks, with the same rules as any claim
 * (sale window, limits, units). What it takes, and what it takes back from holds that have run out, exists only if the caller commits; until then its
 * pools stay locked, so call it late. Several calls in one transaction lock in an order of their own: of two that wait for each other
 * PostgreSQL stops one, and `transact` runs that one again. A lock that does not come within 2 s, or a twin with the same key that commits
 * first, throws.
 */
export async function placeIn(em: EntityManager, claim: ClaimRequest): Promise<PlacedIn> {
  const { answers, pools, wrote } = await decideIn(em, claim, true);
  const [answer] = answers;
  if (!answer || answer.outcome === 'CONTENDED') throw new Error(`claim_holds answered ${answer?.outcome ?? 'nothing'} under the locks.`);
  return { answer, pools: wrote ? pools : [] };
}
