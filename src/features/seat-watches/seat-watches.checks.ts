import type { Check } from '../../platform/database/checks.ts';

/** What must hold between watches, offers and what is kept for them. Each statement must return no rows while a process runs. */
export const seatWatchesChecks: Check[] = [
  {
    name: 'kept-units-are-offered',
    promise: 'What was given back to be offered is offered or let go: nothing stays kept for a minute after anybody could have taken it.',
    sql: `select id, pool_id, kept_until from unit where state = 'KEPT' and kept_until < clock_timestamp() - interval '60 s'`,
  },
  {
    name: 'followers-are-asked-first',
    promise: 'What somebody waits for is in a watched pool, and a seat that somebody waits for is not free for strangers.',
    sql: `
      select w.id, w.pool_id, p.is_watched, u.state from seat_watch w join pool p on p.id = w.pool_id
      left join unit u on u.pool_id = w.pool_id and u.number = w.seat_number
      where w.state = 'WAITING' and (not p.is_watched or u.state = 'AVAILABLE')`,
  },
  {
    name: 'watched-pools-are-followed',
    promise: 'A pool that nobody follows any more is not watched a minute later.',
    sql: `
      select p.id from pool p where p.is_watched and not exists (select from seat_watch w where w.pool_id = p.id and w.state = 'WAITING')
        and not exists (select from seat_watch w where w.pool_id = p.id and w.changed_at > clock_timestamp() - interval '60 s')`,
  },
  {
    name: 'offers-are-what-was-followed',
    promise: 'An offer is a hold of the follower on exactly what was followed, and of nobody else.',
    sql: `
      select w.id, w.hold_id from seat_watch w join hold h on h.id = w.hold_id join hold_item i on i.hold_id = h.id
      left join unit u on u.id = i.unit_id
      where h.claimant_id <> w.member_id or i.pool_id <> w.pool_id or i.quantity <> w.quantity or i.position > 0
         or u.number <> w.seat_number`,
  },
];
