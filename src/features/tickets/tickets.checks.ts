import type { Check } from '../../platform/database/checks.ts';
import { performanceKind } from '../events/index.ts';

/** So long the job of a booking may take before its missing tickets are an incident. */
const ISSUED_WITHIN_SECONDS = 60;

/** What must hold between tickets, their holds and their owners at any moment. Each statement must return no rows. */
export const ticketsChecks: Check[] = [
  {
    name: 'tickets-issued',
    promise: `A booking has one ticket for each of its seats and places ${ISSUED_WITHIN_SECONDS} seconds after it was confirmed.`,
    sql: `
      select h.id, i.position, i.quantity, count(t.id) as tickets
      from hold h join hold_item i on i.hold_id = h.id left join ticket t on t.hold_id = i.hold_id and t.position = i.position
      where h.kind = '${performanceKind.name}' and h.state = 'CONFIRMED' and h.changed_at < clock_timestamp() - interval '${ISSUED_WITHIN_SECONDS} s'
      group by h.id, i.position, i.quantity having count(t.id) <> i.quantity`,
  },
  {
    name: 'tickets-agree-with-holds',
    promise: 'A ticket is one of the seats or places its hold was paid for, of the performance and the tier they belong to.',
    sql: `
      select t.id, t.hold_id, h.state, t.position, t.ordinal from ticket t join hold h on h.id = t.hold_id
      left join hold_item i on i.hold_id = t.hold_id and i.position = t.position
      left join unit u on u.id = i.unit_id
      left join performance p on p.id = t.performance_id
      left join plan_seat s on s.plan_id = p.plan_id and s.number = t.seat_number
      left join tier r on r.id = t.tier_id
      where h.kind <> '${performanceKind.name}' or h.state not in ('CONFIRMED', 'RETURNED')
         or i.hold_id is null or t.ordinal < 0 or t.ordinal >= i.quantity
         or t.seat_number is distinct from u.number or r.performance_id <> t.performance_id
         or case when i.unit_id is null then t.tier_id <> i.pool_id else t.performance_id <> i.pool_id or r.zone is distinct from s.zone end`,
  },
  {
    name: 'tickets-change-hands-by-transfers',
    promise: 'A ticket belongs to whoever accepted it last, or to its buyer, and its generation counts how often it was accepted.',
    sql: `
      select t.id, t.owner_id, t.generation, x.accepted from ticket t join hold h on h.id = t.hold_id left join (
        select ticket_id, count(*) as accepted, (array_agg(accepted_by order by accepted_at desc))[1] as last from ticket_transfer
        where accepted_at is not null group by ticket_id) x on x.ticket_id = t.id
      where t.generation <> 1 + coalesce(x.accepted, 0) or t.owner_id <> coalesce(x.last, h.claimant_id)`,
  },
];
