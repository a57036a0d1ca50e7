import { Migration } from '@mikro-orm/migrations';

/**
 * Checking in at a door. Every scan is a row that stays; that of a ticket's entry is the one that is VALID and not undone, and there is one at most.
 * `client_id` names a scan for whoever made it, so that sending it again changes nothing.
 */
export class Migration20261121001500CheckIns extends Migration {
  override up(): void {
    this.addSql(TABLES);
    this.addSql(DOOR_OF);
    this.addSql(CHECK_IN);
    this.addSql(UNDO_CHECK_IN);
  }

  override down(): void {
    this.addSql(`
      drop function undo_check_in(uuid, uuid, boolean, uuid, text);
      drop function check_in(uuid, uuid, boolean, boolean, json);
      drop function door_of(uuid, uuid, boolean);
      drop index scan_entry;
      alter table scan drop constraint scan_result_known, drop constraint scan_reason_of_undo, drop constraint scan_undone_was_valid,
        drop column client_id, drop column undone_by, drop column reason;
    `);
  }
}

const TABLES = `
  alter table scan
    add column client_id uuid not null default gen_random_uuid(),
    add column undone_by uuid references scan (id),
    add column reason text check (length(reason) between 1 and 200),
    add unique (performance_id, client_id),
    add constraint scan_result_known check (
      result in ('VALID', 'ALREADY_USED', 'DUPLICATE', 'WRONG_PERFORMANCE', 'REPLACED', 'REFUNDED', 'FORGED', 'UNDONE')),
    add constraint scan_reason_of_undo check ((reason is not null) = (result = 'UNDONE')),
    add constraint scan_undone_was_valid check (undone_by is null or result = 'VALID');
  create unique index scan_entry on scan (ticket_id) where result = 'VALID' and undone_by is null;
`;

/** When the door of a performance is open, for those who work there. No row for anybody else, as for a performance that does not exist. */
const DOOR_OF = `
create function door_of(p_performance uuid, p_member uuid, p_is_admin boolean) returns table (opens_at timestamptz, closes_at timestamptz)
language sql stable as $$
  select p.starts_at - interval '24 hours', p.ends_at + interval '24 hours'
  from performance p join event e on e.id = p.event_id
  where p.id = p_performance and (p_is_admin or e.organizer_id = p_member
    or exists (select 1 from door_staff d where d.event_id = e.id and d.member_id = p_member));
$$;
`;

/**
 * Decides scans of one door and writes all of it. \`p_scans\`: [{"id", "ticket", "generation", "gate", "at"}], the ticket null where the code is forged, the
 * time null for now. A scan whose id is known is answered as it was decided, and nothing is written.
 *
 * At the door (not offline) whoever comes second is turned away. Offline everybody whose code was genuine has gone in, so nobody is turned away any more:
 * the earliest scan becomes the entry, whenever it is uploaded, and the others are duplicates.
 *
 * Lock order: the uploads of a performance one after the other, then holds by id, then tickets by id. The hold's lock is shared, and makes a cancellation
 * wait, which takes it for itself: either it sees the ticket used, or the scan sees the hold returned.
 *
 * Answers {"outcome": "NOT_FOUND"}, {"outcome": "CLOSED", "opensAt", "closesAt"}, or {"outcome": "DECIDED", "now", "opensAt", "closesAt", "scans": […]}.
 */
const CHECK_IN = `
create function check_in(p_performance uuid, p_staff uuid, p_is_admin boolean, p_is_offline boolean, p_scans json) returns json
language plpgsql
set lock_timeout = '2s'
-- The plans are cached, and before the doors open there is hardly a scan: without these it would go on reading the whole table while it grows.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  c_skew constant interval := '2 minutes';
  v_now timestamptz;
  v_opens timestamptz;
  v_closes timestamptz;
  v_ids uuid[];
  v_tickets uuid[];
  v_generations bigint[];
  v_gates text[];
  v_times timestamptz[];
  v_results text[];
begin
  select opens_at, closes_at into v_opens, v_closes from door_of(p_performance, p_staff, p_is_admin);
  if not found then return json_build_object('outcome', 'NOT_FOUND'); end if;
  if not p_is_offline and clock_timestamp() not between v_opens and v_closes then
    return json_build_object('outcome', 'CLOSED', 'opensAt', v_opens, 'closesAt', v_closes);
  end if;

  select array_agg(s.id order by s.n), array_agg(s.ticket order by s.n), array_agg(s.generation order by s.n), array_agg(s.gate order by s.n),
    array_agg(s.at order by s.n)
  into v_ids, v_tickets, v_generations, v_gates, v_times
  from rows from (json_to_recordset(p_scans) as (id uuid, ticket uuid, generation bigint, gate text, at timestamptz))
    with ordinality as s(id, ticket, generation, gate, at, n);

  if p_is_offline then perform pg_advisory_xact_lock(hashtextextended('scans ' || p_performance, 0)); end if;
  perform 1 from hold where id in (select t.hold_id from ticket t where t.id = any (v_tickets)) order by id for share;
  perform 1 from ticket where id = any (v_tickets) order by id for no key update;
  v_now := clock_timestamp();

  select array_agg(case
      when judged.verdict <> 'GOOD' then judged.verdict
      when judged.place = 1 and judged.used_at is null then 'VALID'
      when not p_is_offline then 'ALREADY_USED'
      when judged.place = 1 and judged.at < judged.used_at then 'VALID'
      else 'DUPLICATE' end order by judged.n),
    array_agg(judged.at order by judged.n)
  into v_results, v_times
  from (
    select looked.*, row_number() over (partition by looked.ticket, looked.verdict order by looked.at, looked.n) as place
    from (
      select i.n, i.ticket, t.used_at,
        -- A clock that is a little ahead does not make an entry in the future.
        least(i.at, v_now) as at,
        case
          when s.id is not null then 'KNOWN'
          when i.at > v_now + c_skew then 'IN_FUTURE'
          when least(i.at, v_now) not between v_opens and v_closes then 'OUT_OF_HOURS'
          when t.id is null then 'FORGED'
          when t.performance_id <> p_performance then 'WRONG_PERFORMANCE'
          when t.generation <> i.generation then 'REPLACED'
          when z.state = 'REFUNDED' then 'REFUNDED'
          else 'GOOD' end as verdict
      from unnest(v_ids, v_tickets, v_generations, v_times) with ordinality as i(id, ticket, generation, at, n)
      left join scan s on s.performance_id = p_performance and s.client_id = i.id
      left join ticket t on t.id = i.ticket
      left join ticket_state z on z.id = t.id) looked
    ) judged;

  if p_is_offline then
    update scan s set result = 'DUPLICATE' from unnest(v_results, v_tickets) as i(result, ticket)
    where i.result = 'VALID' and s.ticket_id = i.ticket and s.result = 'VALID' and s.undone_by is null;
  end if;
  -- Only a forged code can meet its own twin here: all others waited for each other at the ticket.
  insert into scan (performance_id, ticket_id, result, gate, scanned_at, received_at, staff_id, is_offline, client_id)
  select p_performance, t.id, i.result, i.gate, i.at, v_now, p_staff, p_is_offline, i.id
  from unnest(v_ids, v_results, v_tickets, v_gates, v_times) as i(id, result, ticket, gate, at)
  left join ticket t on t.id = i.ticket
  where i.result not in ('KNOWN', 'IN_FUTURE', 'OUT_OF_HOURS')
  on conflict (performance_id, client_id) do nothing;
  update ticket t set used_at = i.at, used_gate = i.gate, used_by = p_staff
  from unnest(v_results, v_tickets, v_gates, v_times) as i(result, ticket, gate, at)
  where i.result = 'VALID' and t.id = i.ticket;

  return json_build_object('outcome', 'DECIDED', 'now', v_now, 'opensAt', v_opens, 'closesAt', v_closes, 'scans', (
    select json_agg(json_build_object(
      'id', i.id,
      'result', case when s.id is null then i.result when s.undone_by is not null then 'UNDONE' else s.result end,
      'at', coalesce(s.scanned_at, i.at), 'gate', coalesce(s.gate, i.gate),
      'ticketId', t.id, 'performanceId', t.performance_id, 'seatNumber', t.seat_number, 'tierId', t.tier_id, 'usedAt', t.used_at, 'usedGate', t.used_gate,
      'duplicates', case when p_is_offline then (
        select json_agg(json_build_object('at', d.scanned_at, 'gate', d.gate) order by d.scanned_at)
        from (select * from scan d where d.ticket_id = t.id and d.result = 'DUPLICATE' order by d.scanned_at limit 5) d) end) order by i.n)
    from unnest(v_ids, v_results, v_gates, v_times) with ordinality as i(id, result, gate, at, n)
    left join scan s on s.performance_id = p_performance and s.client_id = i.id
    left join ticket t on t.id = s.ticket_id));
end $$;
`;

/** Takes an entry back: afterwards the code is valid again. Answers {"outcome": "NOT_FOUND" | "CLOSED" | "NOT_CHECKED_IN" | "UNDONE", …}. */
const UNDO_CHECK_IN = `
create function undo_check_in(p_performance uuid, p_staff uuid, p_is_admin boolean, p_ticket uuid, p_reason text) returns json
language plpgsql
set lock_timeout = '2s'
as $$
declare
  v_opens timestamptz;
  v_closes timestamptz;
  v_ticket ticket;
  v_now timestamptz;
  v_undo uuid;
begin
  select opens_at, closes_at into v_opens, v_closes from door_of(p_performance, p_staff, p_is_admin);
  if not found then return json_build_object('outcome', 'NOT_FOUND'); end if;
  if clock_timestamp() not between v_opens and v_closes then
    return json_build_object('outcome', 'CLOSED', 'opensAt', v_opens, 'closesAt', v_closes);
  end if;
  select * into v_ticket from ticket where id = p_ticket and performance_id = p_performance for no key update;
  if v_ticket.used_at is null then return json_build_object('outcome', 'NOT_CHECKED_IN'); end if;
  v_now := clock_timestamp();
  insert into scan (performance_id, ticket_id, result, gate, scanned_at, received_at, staff_id, reason)
  values (p_performance, p_ticket, 'UNDONE', v_ticket.used_gate, v_now, v_now, p_staff, p_reason) returning id into v_undo;
  update scan set undone_by = v_undo where ticket_id = p_ticket and result = 'VALID' and undone_by is null;
  update ticket set used_at = null, used_gate = null, used_by = null where id = p_ticket;
  return json_build_object('outcome', 'UNDONE', 'ticketId', v_ticket.id, 'performanceId', v_ticket.performance_id, 'seatNumber', v_ticket.seat_number,
    'tierId', v_ticket.tier_id, 'usedAt', v_ticket.used_at, 'usedGate', v_ticket.used_gate);
end $$;
`;
