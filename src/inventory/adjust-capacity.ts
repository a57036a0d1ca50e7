import type { EntityManager } from '@mikro-orm/postgresql';
import type { PoolRow } from './decide-claims.ts';

export type Adjusted =
  | { outcome: 'ADJUSTED'; pool: PoolRow }
  | { outcome: 'NOT_FOUND' }
  /** Capacity may not fall below what is held and sold. */
  | { outcome: 'BELOW_TAKEN'; held: number; sold: number };

/**
 * Sets the capacity of a pool, up or down, in the caller's transaction. What has run out is taken back first, so only live holds forbid a lower
 * capacity; the guard is in the statement itself, so a claim that arrives meanwhile cannot be overtaken.
 */
export async function adjustCapacity(em: EntityManager, poolId: string, kind: string, capacity: number): Promise<Adjusted> {
  await em.execute(
    `select give_back(array(
       select h.id from hold h join hold_item i on i.hold_id = h.id
       where i.pool_id = ? and h.state = 'HELD' and h.expires_at <= clock_timestamp() for update of h skip locked), 'HELD', 'EXPIRED')`,
    [poolId],
  );
  const [adjusted] = await em.execute<PoolRow[]>(
    `update pool set capacity = ?, version = version + 1, changed_at = clock_timestamp()
     where id = ? and kind = ? and held + sold <= ? returning *`,
    [capacity, poolId, kind, capacity],
  );
  if (adjusted) return { outcome: 'ADJUSTED', pool: adjusted };
  const [taken] = await em.execute<PoolRow[]>('select * from pool where id = ? and kind = ?', [poolId, kind]);
  return taken ? { outcome: 'BELOW_TAKEN', held: taken.held, sold: taken.sold } : { outcome: 'NOT_FOUND' };
}
