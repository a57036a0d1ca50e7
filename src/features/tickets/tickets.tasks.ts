import type pg from 'pg';
import { z } from 'zod';
import { addJobs, defineTask, type Task, type TaskDefinition } from '../../platform/jobs/index.ts';
import type { FollowUp } from '../bookings/index.ts';
import { performanceKind, tierKind } from '../events/index.ts';

const ISSUE_TICKETS = { name: 'issue-tickets', schema: z.object({ holdId: z.uuid() }) } satisfies TaskDefinition;

const SOLD_AS_TICKETS: readonly string[] = [performanceKind.name, tierKind.name];

/** Whoever books seats or places has the job that issues their tickets with it, or no booking. Other bookings are left alone. */
export const issueLater: FollowUp = async (em, bookings) => {
  const sold = bookings.filter(({ kinds }) => kinds.some((kind) => SOLD_AS_TICKETS.includes(kind)));
  await addJobs(
    em,
    ISSUE_TICKETS,
    sold.map(({ holdId }) => ({ holdId })),
  );
};

/** Issues the tickets of one booking: outside the transaction that confirms it, which has the lock of a pool that is fought for. */
export function issueTicketsTask(pool: pg.Pool): Task<typeof ISSUE_TICKETS.schema> {
  return defineTask({
    ...ISSUE_TICKETS,
    handle: async ({ holdId }) => {
      await pool.query({ name: 'issue_tickets', text: ISSUE, values: [holdId] });
    },
  });
}

/**
 * One ticket for each seat and each place, in one statement: all of a booking or none. Run twice, also at once, it finds them there; the rows come in one
 * order, so two that run at once wait for each other and not in a circle. A seat without a tier fails the job, which the check `tickets-issued` shows.
 */
const ISSUE = `
  insert into ticket (hold_id, position, ordinal, performance_id, tier_id, seat_number, owner_id)
  select h.id, i.position, n.ordinal, coalesce(place.performance_id, p.id), coalesce(place.id, priced.id), u.number, h.claimant_id
  from hold h join hold_item i on i.hold_id = h.id
  cross join lateral generate_series(0, i.quantity - 1) as n(ordinal)
  left join unit u on u.id = i.unit_id
  left join performance p on p.id = i.pool_id
  left join plan_seat s on s.plan_id = p.plan_id and s.number = u.number
  left join tier priced on priced.performance_id = p.id and priced.zone = s.zone
  left join tier place on place.id = i.pool_id
  where h.id = $1 and h.kind = '${performanceKind.name}' and h.state = 'CONFIRMED'
  order by i.position, n.ordinal
  on conflict (hold_id, position, ordinal) do nothing`;
