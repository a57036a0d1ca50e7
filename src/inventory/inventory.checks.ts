import type { Check } from '../platform/database/checks.ts';

/** Whether a hold `h` counts at this moment. */
const LIVE = `(h.state in ('PAYING', 'CONFIRMED') or h.state = 'HELD' and h.expires_at > clock_timestamp())`;

export const neverOversold: Check = {
  name: 'pool-never-oversold',
  promise: 'Confirmed, paying and live holds of a pool never exceed its capacity.',
  sql: `
      select p.id, p.kind, p.capacity, t.taken from pool p join (
        select i.pool_id, sum(i.quantity) as taken from hold h join hold_item i on i.hold_id = h.id
        where ${LIVE} group by i.pool_id
      ) t on t.pool_id = p.id where t.taken > p.capacity`,
};

/** The kernel's invariants. Each statement must return no rows, at any moment, under any load. */
export const inventoryChecks: Check[] = [
  neverOversold,
  {
    name: 'pool-counters-equal-holds',
    promise: 'The counters of a pool equal a recount from the rows of its holds.',
    sql: `
      select p.id, p.kind, p.held, p.sold, t.held as recounted_held, t.sold as recounted_sold from pool p left join (
        select i.pool_id, sum(i.quantity) filter (where h.state in ('HELD', 'PAYING')) as held, sum(i.quantity) filter (where h.state = 'CONFIRMED') as sold
        from hold h join hold_item i on i.hold_id = h.id group by i.pool_id
      ) t on t.pool_id = p.id where p.held <> coalesce(t.held, 0) or p.sold <> coalesce(t.sold, 0)`,
  },
  {
    name: 'unit-held-once',
    promise: 'At most one live hold or sale per unit, and it is the one the unit names.',
    sql: `
      select i.unit_id, count(*) as live, count(*) filter (where u.hold_id = h.id) as named
      from hold h join hold_item i on i.hold_id = h.id join unit u on u.id = i.unit_id
      where h.state in ('HELD', 'PAYING', 'CONFIRMED') group by i.unit_id
      having count(*) > 1 or count(*) <> count(*) filter (where u.hold_id = h.id)`,
  },
  {
    name: 'unit-state-agrees',
    promise: 'The state of a unit is that of its hold, which has it among its items, and no version of a unit is ahead of its pool.',
    sql: `
      select u.id, u.state, h.state as hold_state, u.version, p.version as pool_version from unit u join pool p on p.id = u.pool_id left join hold h on h.id = u.hold_id
      where u.version > p.version
         or u.hold_id is not null and not exists (select 1 from hold_item i where i.hold_id = u.hold_id and i.unit_id = u.id)
         or u.state is distinct from case when h.state in ('HELD', 'PAYING') then 'HELD' when h.state = 'CONFIRMED' then 'SOLD'
                                          when h.id is null and u.state in ('AVAILABLE', 'KEPT', 'BLOCKED') then u.state end`,
  },
  {
    name: 'pool-counts-its-units',
    promise: 'A pool of numbered units has the capacity of those that are for sale.',
    sql: `
      select p.id, p.capacity, u.units from pool p
      join (select pool_id, count(*) filter (where state <> 'BLOCKED') as units from unit where number is not null group by pool_id) u on u.pool_id = p.id
      where p.capacity <> u.units`,
  },
  {
    name: 'claimant-limit-kept',
    promise: 'No claimant has more of a pool than its limit allows.',
    sql: `
      select i.pool_id, h.claimant_id, sum(i.quantity) as has, p.per_claimant_max from hold h join hold_item i on i.hold_id = h.id join pool p on p.id = i.pool_id
      where p.per_claimant_max is not null and ${LIVE}
      group by i.pool_id, h.claimant_id, p.per_claimant_max having sum(i.quantity) > p.per_claimant_max`,
  },
  {
    name: 'quota-kept',
    promise: 'No claimant has more under a quota than the quota allows.',
    sql: `
      select p.quota_key, h.claimant_id, sum(i.quantity) as has, max(p.quota_max) as quota_max
      from hold h join hold_item i on i.hold_id = h.id join pool p on p.id = i.pool_id
      where p.quota_key is not null and ${LIVE}
      group by p.quota_key, h.claimant_id having sum(i.quantity) > max(p.quota_max)`,
  },
  {
    name: 'hold-has-items',
    promise: 'A hold is all or nothing: it has items, and none is written without the others.',
    sql: 'select h.id from hold h where not exists (select 1 from hold_item i where i.hold_id = h.id)',
  },
];
