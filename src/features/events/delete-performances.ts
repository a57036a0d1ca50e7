import type { EntityManager } from '@mikro-orm/postgresql';
import { HasSalesError } from './events.errors.ts';

interface Examined {
  open: number;
  sold: number;
  past: number;
  /** Holds that were never paid for, not even in vain, and are over. */
  abandoned: string[];
}

/**
 * Removes performances with everything they sell, in the caller's transaction, unless something of them is held or was paid for. Holds that came to
 * nothing go along. All pools are locked before anything is looked at: a claim either came first and is found, or waits and finds no pool.
 */
export async function removePerformances(em: EntityManager, performanceIds: readonly string[]): Promise<HasSalesError | undefined> {
  if (performanceIds.length === 0) return undefined;
  const pools = await lockPools(em, performanceIds);
  const { abandoned, ...sales } = await examine(em, pools);
  if (sales.open + sales.sold + sales.past > 0) return new HasSalesError(sales);

  const [poolList, holdList] = [listOf(pools), listOf(abandoned)];
  await em.execute('delete from hold_item where hold_id = any (?::uuid[])', [holdList]);
  await em.execute('delete from performance where id = any (?::uuid[])', [listOf(performanceIds)]);
  await em.execute('delete from unit where pool_id = any (?::uuid[])', [poolList]);
  await em.execute('delete from hold where id = any (?::uuid[])', [holdList]);
  await em.execute('delete from pool where id = any (?::uuid[])', [poolList]);
  return undefined;
}

/** Holds before pools, each in the order of their ids, as everywhere: whoever tidies what has run out does so too. */
async function lockPools(em: EntityManager, performanceIds: readonly string[]): Promise<string[]> {
  const performances = listOf(performanceIds);
  await em.execute(
    `select h.id from hold h where h.state = 'HELD' and h.expires_at <= clock_timestamp() and exists (
       select 1 from hold_item i left join tier t on t.id = i.pool_id
       where i.hold_id = h.id and coalesce(t.performance_id, i.pool_id) = any (?::uuid[]))
     order by h.id for update`,
    [performances],
  );
  const rows = await em.execute<{ id: string }[]>(
    `select id from pool where id = any (?::uuid[]) or id in (select t.id from tier t where t.performance_id = any (?::uuid[])) order by id for update`,
    [performances, performances],
  );
  return rows.map(({ id }) => id);
}

async function examine(em: EntityManager, pools: readonly string[]): Promise<Examined> {
  const [found] = await em.execute<Examined[]>(
    `select count(*) filter (where is_open)::int as open,
            count(*) filter (where state = 'CONFIRMED')::int as sold,
            count(*) filter (where not is_open and state <> 'CONFIRMED' and has_payment)::int as past,
            coalesce(json_agg(id) filter (where not is_open and state <> 'CONFIRMED' and not has_payment), '[]') as abandoned
     from (select h.id, h.state,
             h.state = 'PAYING' or h.state = 'HELD' and h.expires_at > clock_timestamp() as is_open,
             h.state = 'RETURNED' or exists (select 1 from payment y where y.hold_id = h.id or y.original_hold_id = h.id) as has_payment
           from hold h where h.id in (select i.hold_id from hold_item i where i.pool_id = any (?::uuid[]))) h`,
    [listOf(pools)],
  );
  if (!found) throw new Error('An aggregate without groups returned no row.');
  return found;
}

const listOf = (ids: readonly string[]) => `{${ids.join(',')}}`;
