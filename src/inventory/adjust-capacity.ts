import type { EntityManager } from '@mikro-orm/postgresql';
import type { PoolRow } from './decide-claims.ts';

export type Adjusted =
  | { outcome: 'ADJUSTED'; pool: PoolRow }
  | { outcome: 'NOT_FOUND' }
  /** Capacity may not fall below what is held and sold. */
  | { outcome: 'BELOW_TAKEN'; held: number; sold: number };

/**
 * Sets the capacity of a pool, up or down, in the caller's transaction. What has run out is taken back first, so only live holds forbid a lower
 * capacity; the guard is in the statement itself, so a claim that arrives meanwhile cannot be overtaken. `pools`: all that changed; tell the watchers
 * of them after the commit. What a pool that is followed gets more of is kept for its followers first. Of a pool of numbered units the capacity follows from what is blocked: see `blockUnits`.
 */
export async function adjustCapacity(
  em: EntityManager,
  poolId: string,
  kind: string,
  capacity: number,
): Promise<{ adjusted: Adjusted; pools: PoolRow[] }> {
  const givenBack = await em.execute<PoolRow[]>(
    `select * from give_back(array(
       select h.id from hold h
       where h.state = 'HELD' and h.expires_at <= clock_timestamp() and exists (select 1 from hold_item i where i.hold_id = h.id and i.pool_id = ?)
       order by h.id for update), 'HELD', 'EXPIRED')`,
    [poolId],
  );
  const [adjusted] = await em.execute<PoolRow[]>(
    `update pool set capacity = ?, version = version + 1, changed_at = clock_timestamp(),
       kept = case when is_watched then least(case when kept_until > clock_timestamp() then kept else 0 end + greatest(? - capacity, 0), ? - held - sold) else kept end,
       kept_until = case when is_watched then clock_timestamp() + interval '10 s' else kept_until end
     where id = ? and kind = ? and held + sold <= ? returning *`,
    [capacity, capacity, capacity, poolId, kind, capacity],
  );
  if (adjusted)
    return { adjusted: { outcome: 'ADJUSTED', pool: adjusted }, pools: [...givenBack.filter(({ id }) => id !== poolId), adjusted] };
  const [taken] = await em.execute<PoolRow[]>('select * from pool where id = ? and kind = ?', [poolId, kind]);
  return {
    adjusted: taken ? { outcome: 'BELOW_TAKEN', held: taken.held, sold: taken.sold } : { outcome: 'NOT_FOUND' },
    pools: givenBack,
  };
}
