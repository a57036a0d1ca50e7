import type { Check } from '../../platform/database/checks.ts';

/** What must be true of events beside the inventory's own checks. Each statement must return no rows. */
export const eventsChecks: Check[] = [
  {
    name: 'ticket-hold-has-its-pools',
    promise: 'Nothing that somebody holds or bought was deleted: every item of a hold of tickets has its pool.',
    sql: `
      select i.hold_id, i.pool_id from hold h join hold_item i on i.hold_id = h.id
      where h.kind = 'performance' and not exists (select 1 from pool p where p.id = i.pool_id)`,
  },
  {
    name: 'seat-has-price-of-its-tier',
    promise: 'A seat or place is sold at the price that its tier shows.',
    sql: `
      select u.id, u.price_minor, t.price_minor as price_of_tier from performance f
      join unit u on u.pool_id = f.id join plan_seat s on s.plan_id = f.plan_id and s.number = u.number
      left join tier t on t.performance_id = f.id and t.zone = s.zone where u.price_minor is distinct from t.price_minor
      union all
      select t.id, p.price_minor, t.price_minor from tier t left join pool p on p.id = t.id
      where t.zone is null and p.price_minor is distinct from t.price_minor`,
  },
];
