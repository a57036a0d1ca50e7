import type { Check } from '../../platform/database/checks.ts';

export const checkInsChecks: Check[] = [
  {
    name: 'used-ticket-has-its-scan',
    promise: 'A ticket is used exactly when one valid scan of it was not undone, and says of it when, where and by whom.',
    sql: `
      select coalesce(t.id, s.ticket_id) as ticket, t.used_at, s.id as scan from ticket t
      full join (select * from scan where result = 'VALID' and undone_by is null) s on s.ticket_id = t.id
      where (t.used_at, t.used_gate, t.used_by) is distinct from (s.scanned_at, s.gate, s.staff_id)`,
  },
  {
    name: 'undo-undid-one-scan',
    promise: 'Every undo in the log undid one valid scan of its ticket.',
    sql: `
      select u.id, count(s.id) from scan u left join scan s on s.undone_by = u.id and s.ticket_id = u.ticket_id
      where u.result = 'UNDONE' group by u.id having count(s.id) <> 1
      union all
      select s.id, 0 from scan s join scan u on u.id = s.undone_by where u.result <> 'UNDONE' or u.ticket_id <> s.ticket_id`,
  },
];
