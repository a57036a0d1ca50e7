import { Migration } from '@mikro-orm/migrations';
import {
  AVAILABILITY as AVAILABILITY_BEFORE,
  GIVE_BACK as GIVE_BACK_BEFORE,
  MOVE_HOLD as MOVE_HOLD_BEFORE,
} from './migration-20261121000200-inventory.ts';
import { claimHolds } from './migration-20261121000600-late-choice.ts';

/**
 * Numbered units that a map of them can follow: a number, a price of its own, a state, and the version of the pool that changed it last. Versions of a
 * pool are given out under its lock, so whoever has read one has read everything up to it, and asks for what is newer without a gap.
 *
 * And what a sale of seats needs of a claim: it names every unit that is taken, leaves what is kept for somebody else alone, and lets those who keep
 * abandoning their holds wait. The functions keep their parameters: the release before this one goes on calling them.
 */
export class Migration20261121000800NumberedUnits extends Migration {
  override up(): void {
    this.addSql(COLUMNS);
    this.addSql(STATES);
    this.addSql(CONSTRAINTS);
    this.addSql(CLAIM_HOLDS);
    this.addSql(GIVE_BACK);
    this.addSql(CONFIRM_HOLDS);
    this.addSql(MOVE_HOLD);
    this.addSql(RELEASE_HOLDS);
    this.addSql(BLOCK_UNITS);
    this.addSql(LOCK_AS_CLAIM);
    this.addSql(KEEP_UNIT_FOR);
    this.addSql(LET_GO_UNITS);
    this.addSql(TAKE_KEPT_PLACES);
    this.addSql(LET_GO_PLACES);
    this.addSql(AVAILABILITY);
  }

  override down(): void {
    this.addSql(
      'drop function let_go_units(uuid[]); drop function keep_unit_for(uuid, uuid); drop function block_units(uuid, int[], boolean);',
    );
    this.addSql(
      'drop function let_go_places(uuid); drop function take_kept_places(uuid, uuid, int); drop function lock_as_claim(uuid, uuid);',
    );
    this.addSql(`drop view pool_availability; ${AVAILABILITY_BEFORE}`);
    this.addSql('drop function release_holds(uuid[], uuid[])');
    this.addSql(MOVE_HOLD_BEFORE.replace('create function', 'create or replace function'));
    this.addSql('drop function confirm_holds(uuid[])');
    this.addSql(GIVE_BACK_BEFORE.replace('create function', 'create or replace function'));
    this.addSql(claimHolds({ isChosen: true }).replace('create function', 'create or replace function'));
    this.addSql(`
      drop index unit_changed, unit_kept;
      alter table unit drop constraint unit_state_agrees, drop column number, drop column price_minor, drop column state, drop column version,
        drop column kept_until, drop column kept_for;
      alter table pool drop constraint pool_cool_down_whole, drop column is_watched, drop column kept, drop column kept_until, drop column abandoned_max, drop column cool_down_seconds;
    `);
  }
}

const COLUMNS = `
  alter table pool
    add column is_watched boolean not null default false,
    -- Of the free places without numbers, so many are for followers only, until then.
    add column kept int not null default 0 check (kept >= 0),
    add column kept_until timestamptz,
    add column abandoned_max int check (abandoned_max > 0),
    add column cool_down_seconds int check (cool_down_seconds between 1 and 86400),
    add constraint pool_cool_down_whole check ((abandoned_max is null) = (cool_down_seconds is null));
  alter table unit
    add column number int check (number between 0 and 65535), -- four hexadecimal digits: the end of the unit's id, see units.ts
    add column price_minor int check (price_minor >= 0),
    add column state text not null default 'AVAILABLE' check (state in ('AVAILABLE', 'KEPT', 'HELD', 'SOLD', 'BLOCKED')),
    add column version int not null default 1,
    add column kept_until timestamptz,
    add column kept_for uuid;
`;

/** Units that are taken while this is deployed. */
const STATES = `
  update unit u set state = case h.state when 'CONFIRMED' then 'SOLD' else 'HELD' end from hold h where h.id = u.hold_id;
`;

const CONSTRAINTS = `
  alter table unit
    add constraint unit_state_agrees check ((hold_id is not null) = (state in ('HELD', 'SOLD')) and (kept_until is not null) = (state = 'KEPT')
      and (kept_for is null or state = 'KEPT')),
    add unique (pool_id, number);
  create index unit_changed on unit (pool_id, version);
  create index unit_kept on unit (kept_until) where state = 'KEPT';
`;

/**
 * Decides a batch of claims, in the order they arrived, and writes all that are granted at once.
 *
 * Claims: parallel arrays (kind of the hold, claimant, idempotency key, request hash, address, choice for a late payment). A claimant appears once in a batch.
 * Items: six parallel arrays (number of the claim from 1, position within it from 0, kind its pool must have, pool, unit or null, quantity).
 * p_write = false decides without a lock and writes nothing: the caller writes itself, guarded by the versions that come back.
 * p_if_paid_late = null, for all claims or for one: that of the column's default.
 *
 * Answers {"claims": [[outcome, hold id, expires at, index of the refusing item within the claim, number, amount, currency, items whose units are taken]], "pools": […], "lockWaitMs": n}.
 * Outcomes in order of precedence: REPLAYED, KEY_REUSED, NOT_FOUND, NOT_YET_ON_SALE, SALE_CLOSED, COOLING_DOWN, CLAIMANT_LIMIT, QUOTA_REACHED,
 * UNIT_TAKEN, SOLD_OUT, GRANTED
 * (with p_write = false also CONTENDED: decide it again under the lock).
 *
 * Lock order, the same everywhere: quota locks by number, then rows of holds by id, then pools by id; nobody who has a pool waits for a hold,
 * so that no circle can close.
 */
const CLAIM_HOLDS = `
create or replace function claim_holds(
  p_kinds text[], p_claimants uuid[], p_keys text[], p_hashes bytea[], p_ips inet[],
  p_item_claims int[], p_item_positions smallint[], p_item_kinds text[], p_item_pools uuid[], p_item_units uuid[], p_item_quantities int[],
  p_write boolean, p_if_paid_late text[] default null
) returns json
language plpgsql
set lock_timeout = '2s'
-- The function's plans are cached, and before a rush its tables are empty: without these it would go on scanning them while they grow.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
-- The settings above leave the planner nothing to choose, so planning a statement again for its parameters is lost time: 6 of 54 µs a claim.
set plan_cache_mode = force_generic_plan
as $$
declare
  c_refusals constant text[] := array['NOT_FOUND', 'NOT_YET_ON_SALE', 'SALE_CLOSED', 'COOLING_DOWN', 'CLAIMANT_LIMIT', 'QUOTA_REACHED', 'UNIT_TAKEN', 'SOLD_OUT'];
  v_claims int := cardinality(p_claimants);
  v_items int := cardinality(p_item_claims);
  v_started timestamptz := clock_timestamp();
  v_now timestamptz;
  v_lock_wait interval := '0';
  v_pool_ids uuid[];           -- distinct, sorted: position = the pool's number below
  v_pools pool[];
  v_item_pool int[];           -- item -> number of its pool
  v_free int[];                -- pool -> what is left while the batch is decided
  v_taken int[];               -- pool -> what this batch takes
  v_expired uuid[];
  v_given_back pool[];
  v_claimant_live int[];       -- item -> what its claimant already has of this pool
  v_quota_live int[];          -- item -> what its claimant already has under this pool's quota
  v_item_wants int[] := p_item_quantities; -- item -> what its claim wants of its pool, all its items together
  v_item_quota int[] := p_item_quantities; -- item -> what its claim wants under its pool's quota, all its items together
  v_item_unit int[];           -- item -> number of its unit in its pool, null where it names none
  v_unit_known boolean[];      -- unit -> its pool has it
  v_unit_free boolean[];       -- unit -> it can be taken, if it is not kept for somebody else
  v_unit_kept_for uuid[];      -- unit -> the only claimant who can take it
  v_unit_price int[];          -- unit -> its own price, null where it is the pool's
  v_unit int;
  v_is_taken boolean;
  v_taken_list text;
  v_taken_items text[] := array_fill(null::text, array[v_claims]); -- claim -> the items whose units are taken, as a JSON array
  v_has_cool_down boolean := false;
  v_cool_until timestamptz[];  -- item -> until when its claimant must wait after too many abandoned holds
  v_hold_ids uuid[] := array_fill(null::uuid, array[v_claims]);
  v_outcomes text[] := array_fill(null::text, array[v_claims]);
  v_numbers bigint[] := array_fill(null::bigint, array[v_claims]);
  v_refused_items int[] := array_fill(null::int, array[v_claims]);
  v_amounts bigint[] := array_fill(0::bigint, array[v_claims]);
  v_currencies text[] := array_fill(null::text, array[v_claims]);
  v_expires timestamptz[] := array_fill(null::timestamptz, array[v_claims]);
  v_lock boolean;
  v_granted boolean := false;
  v_pool_expires timestamptz[]; -- pool -> when a hold of it ends
  v_from int := 1;
  v_to int;
  v_rank int; v_best int; v_number bigint;
  v_n int;
  v_pool pool;
  r record;
begin
  select array_agg(distinct x order by x) into v_pool_ids from unnest(p_item_pools) x;
  select array_agg(array_position(v_pool_ids, x) order by n) into v_item_pool from unnest(p_item_pools) with ordinality as i(x, n);

  -- What the claims may take back: found before the pools are locked, because these holds may have items in further pools, which must be locked in order too.
  select array_agg(h.id order by h.id) into v_expired from hold h
  where h.state = 'HELD' and h.expires_at <= v_started and exists (
    select 1 from hold_item i join pool q on q.id = i.pool_id
    where i.hold_id = h.id and (i.pool_id = any (v_pool_ids)
      or h.claimant_id = any (p_claimants) and q.quota_key in (select p.quota_key from pool p where p.id = any (v_pool_ids))));
  select array_agg(p order by ids.n) into v_pools from unnest(v_pool_ids) with ordinality as ids(id, n) left join pool p on p.id = ids.id;

  -- A sold-out pool is answered from this read: refusing takes no lock and writes nothing.
  v_lock := v_expired is not null or exists (
    select 1 from unnest(p_item_claims, v_item_pool, p_item_quantities) as i(claim, pool, quantity)
    group by i.claim
    having bool_and(coalesce((v_pools[i.pool]).capacity - (v_pools[i.pool]).held - (v_pools[i.pool]).sold, 0) >= i.quantity));

  if v_lock then
    -- Two claims of one claimant against two pools of one quota meet only here: the pools' locks differ.
    for r in
      select distinct hashtextextended(p_claimants[i.claim]::text || p.quota_key, 0) as number
      from unnest(p_item_claims, p_item_pools) as i(claim, pool) join unnest(v_pools) p on p.id = i.pool
      where p.quota_key is not null order by 1
    loop
      perform pg_advisory_xact_lock(r.number);
    end loop;
  end if;

  if v_lock and p_write then
    -- Whoever is moving one of them is waited for, not skipped: it may have started to pay in its last instant and then still counts for its claimant's
    -- limits, or be about to give back the place that a claim would be refused for.
    if v_expired is not null then
      select array_agg(h.id) into v_expired
      from (select id from hold where id = any (v_expired) and state = 'HELD' order by id for update) h;
    end if;
    perform 1 from pool
    where id = any (v_pool_ids) or id in (select i.pool_id from hold_item i where i.hold_id = any (v_expired))
    order by id for no key update;
    v_lock_wait := clock_timestamp() - v_started;
    if v_expired is not null then
      select array_agg(p) into v_given_back from give_back(v_expired, 'HELD', 'EXPIRED') p;
    end if;
    select array_agg(p order by ids.n) into v_pools from unnest(v_pool_ids) with ordinality as ids(id, n) left join pool p on p.id = ids.id;
  end if;
  v_now := clock_timestamp();

  -- Answers already given, read after the lock: a twin of this claim on another node has committed by now.
  for r in
    select c.n, h.id, h.request_hash = c.hash as same, h.expires_at, h.amount_minor, h.currency
    from unnest(p_claimants, p_keys, p_hashes) with ordinality as c(claimant, key, hash, n)
    join hold h on h.claimant_id = c.claimant and h.idempotency_key = c.key
  loop
    v_outcomes[r.n] := case when r.same then 'REPLAYED' else 'KEY_REUSED' end;
    if r.same then v_hold_ids[r.n] := r.id; end if;
  end loop;

  -- What each claim wants and what its claimant has already. The limits are read under the locks that every rival claim must take, so the
  -- counts cannot be overtaken. A row that still reads HELD counts: what had run out when we began has been taken back by now.
  if v_items > v_claims then -- else every claim has one item, and the sums of a claim are its quantity
    select array_agg(w.pool_sum order by w.n), array_agg(w.quota_sum order by w.n) into v_item_wants, v_item_quota
    from (select i.n, sum(i.quantity) over (partition by i.claim, i.pool) as pool_sum,
                 sum(i.quantity) over (partition by i.claim, p.quota_key) as quota_sum
          from unnest(p_item_claims, p_item_pools, p_item_quantities) with ordinality as i(claim, pool, quantity, n)
          left join unnest(v_pools) p on p.id = i.pool) w;
  end if;
  select array_agg(coalesce(mine.here, 0) order by w.n), array_agg(coalesce(mine.quota, 0) order by w.n) into v_claimant_live, v_quota_live
  from (select i.*, p.per_claimant_max, p.quota_key
        from unnest(p_item_claims, p_item_pools) with ordinality as i(claim, pool, n) left join unnest(v_pools) p on p.id = i.pool) w
  left join lateral (
    select sum(t.quantity) filter (where t.pool_id = w.pool) as here,
           sum(t.quantity) filter (where q.quota_key = w.quota_key) as quota
    from hold h join hold_item t on t.hold_id = h.id join pool q on q.id = t.pool_id
    where h.claimant_id = p_claimants[w.claim] and h.state in ('HELD', 'PAYING', 'CONFIRMED')
  ) mine on w.per_claimant_max is not null or w.quota_key is not null;

  if array_remove(p_item_units, null) <> '{}' then
    select array_agg(case when i.unit is not null then i.number end order by i.n) into v_item_unit
    from (select u.*, dense_rank() over (order by u.unit, u.pool)::int as number
          from unnest(p_item_units, p_item_pools) with ordinality as u(unit, pool, n)) i;
    select array_agg(u.id is not null order by i.number),
           array_agg(coalesce(u.state = 'AVAILABLE' or u.state = 'KEPT' and (u.kept_until <= v_now or u.kept_for is not null), false) order by i.number),
           array_agg(case when u.state = 'KEPT' and u.kept_until > v_now then u.kept_for end order by i.number),
           array_agg(u.price_minor order by i.number)
    into v_unit_known, v_unit_free, v_unit_kept_for, v_unit_price
    from (select distinct dense_rank() over (order by w.unit, w.pool) as number, w.unit, w.pool
          from unnest(p_item_units, p_item_pools) as w(unit, pool)) i
    left join unit u on u.id = i.unit and u.pool_id = i.pool;
  end if;

  for v_n in 1 .. cardinality(v_pool_ids) loop
    v_pool := v_pools[v_n];
    v_free[v_n] := greatest(coalesce(v_pool.capacity - v_pool.held - v_pool.sold - case when v_pool.kept_until > v_now then v_pool.kept else 0 end, 0), 0);
    v_taken[v_n] := 0;
    v_pool_expires[v_n] := v_now + make_interval(secs => v_pool.hold_seconds);
    v_has_cool_down := v_has_cool_down or v_pool.abandoned_max is not null;
  end loop;

  -- Abandoned: its only change was its end. Whoever began to pay did not abandon it, nor did who was offered it. What has run out ended at its deadline, tidied
  -- or not, and however late. Asked once for each pool of a claim; a statement of its own, because beside the limits it cost pools without it a twentieth.
  if v_has_cool_down then
    select array_agg(abandoned.at + make_interval(secs => w.cool_down_seconds) order by w.n) into v_cool_until
    from (select i.*, p.quota_key, p.abandoned_max, p.cool_down_seconds
          from unnest(p_item_claims, p_item_positions, p_item_pools) with ordinality as i(claim, position, pool, n)
          left join unnest(v_pools) p on p.id = i.pool) w
    left join lateral (
      select ended.at
      from hold h cross join lateral (select case h.state when 'RELEASED' then h.changed_at else h.expires_at end as at) ended
      where w.abandoned_max is not null and (w.position = 0 or p_item_pools[w.n - 1] <> w.pool)
        and h.claimant_id = p_claimants[w.claim]
        and (h.state in ('RELEASED', 'EXPIRED') and h.version = 2 or h.state = 'HELD' and h.version = 1 and h.expires_at <= v_now)
        and ended.at > v_now - make_interval(secs => w.cool_down_seconds)
        and exists (select 1 from hold_item t join pool q on q.id = t.pool_id
                    where t.hold_id = h.id and (t.pool_id = w.pool or q.quota_key = w.quota_key))
      order by ended.at desc offset w.abandoned_max - 1 limit 1
    ) abandoned on true;
  end if;

  v_n := null; -- the number of the pool that is in v_pool: taking a row out of an array costs more than a comparison
  for v_claim in 1 .. v_claims loop
    v_to := v_from;
    while v_to < v_items and p_item_claims[v_to + 1] = v_claim loop v_to := v_to + 1; end loop;

    if v_outcomes[v_claim] is null then
      v_best := 99; v_taken_list := '';
      for v_item in v_from .. v_to loop
        if v_n is distinct from v_item_pool[v_item] then v_n := v_item_pool[v_item]; v_pool := v_pools[v_n]; end if;
        v_rank := 99; v_number := null; v_is_taken := false;
        if p_item_units[v_item] is not null then
          v_unit := v_item_unit[v_item];
          v_is_taken := not v_unit_free[v_unit] or coalesce(v_unit_kept_for[v_unit] <> p_claimants[v_claim], false)
            or p_item_units[v_item] = any (p_item_units[v_from : v_item - 1]);
          if v_is_taken then v_taken_list := v_taken_list || ',' || (v_item - v_from); end if;
          if not v_unit_known[v_unit] then v_rank := 1; end if;
        end if;
        if v_rank = 1 or v_pool.id is null or v_pool.kind <> p_item_kinds[v_item] then v_rank := 1;
        elsif v_pool.opens_at > v_now then v_rank := 2;
        elsif v_pool.closes_at <= v_now then v_rank := 3;
        elsif v_has_cool_down and v_cool_until[v_item] > v_now then v_rank := 4; v_number := ceil(extract(epoch from v_cool_until[v_item] - v_now));
        elsif v_claimant_live[v_item] + v_item_wants[v_item] > v_pool.per_claimant_max then v_rank := 5; v_number := v_pool.per_claimant_max;
        elsif v_quota_live[v_item] + v_item_quota[v_item] > v_pool.quota_max then v_rank := 6; v_number := v_pool.quota_max;
        elsif v_is_taken then v_rank := 7;
        elsif v_free[v_item_pool[v_item]] < v_item_wants[v_item] then v_rank := 8; v_number := v_free[v_item_pool[v_item]];
        end if;
        if v_rank < v_best then
          v_best := v_rank; v_refused_items[v_claim] := v_item - v_from; v_numbers[v_claim] := v_number;
        end if;
      end loop;

      if v_best < 99 then
        v_outcomes[v_claim] := c_refusals[v_best];
        if v_best = 7 then v_taken_items[v_claim] := '[' || substr(v_taken_list, 2) || ']'; end if;
        -- Without the lock a refusal is not final where expired holds are still counted.
        if v_best >= 5 and not p_write and v_expired is not null then v_outcomes[v_claim] := 'CONTENDED'; end if;
      else
        v_granted := true;
        v_outcomes[v_claim] := 'GRANTED';
        v_hold_ids[v_claim] := uuidv7();
        for v_item in v_from .. v_to loop
          if v_n is distinct from v_item_pool[v_item] then v_n := v_item_pool[v_item]; v_pool := v_pools[v_n]; end if;
          v_free[v_n] := v_free[v_n] - p_item_quantities[v_item];
          v_taken[v_n] := v_taken[v_n] + p_item_quantities[v_item];
          v_amounts[v_claim] := v_amounts[v_claim] + coalesce(v_unit_price[v_item_unit[v_item]], v_pool.price_minor)::bigint * p_item_quantities[v_item];
          v_currencies[v_claim] := v_pool.currency;
          v_expires[v_claim] := least(v_expires[v_claim], v_pool_expires[v_n]);
          if p_item_units[v_item] is not null then v_unit_free[v_item_unit[v_item]] := false; end if;
        end loop;
      end if;
    end if;
    v_from := v_to + 1;
  end loop;

  if v_granted and p_write then
    with written as (
      insert into hold (id, kind, claimant_id, amount_minor, currency, expires_at, idempotency_key, request_hash, client_ip,
        if_paid_late, created_at, changed_at)
      select c.id, c.kind, c.claimant, c.amount, c.currency, c.expires, c.key, c.hash, c.ip,
        coalesce(c.late, 'SAME_OR_EQUAL'), v_now, v_now
      from unnest(v_outcomes, v_hold_ids, p_kinds, p_claimants, v_amounts, v_currencies, v_expires, p_keys, p_hashes, p_ips, p_if_paid_late)
        as c(outcome, id, kind, claimant, amount, currency, expires, key, hash, ip, late)
      where c.outcome = 'GRANTED'
    ), items as (
      insert into hold_item (hold_id, position, pool_id, unit_id, quantity)
      select v_hold_ids[i.claim], i.position, i.pool, i.unit, i.quantity
      from unnest(p_item_claims, p_item_positions, p_item_pools, p_item_units, p_item_quantities) as i(claim, position, pool, unit, quantity)
      where v_outcomes[i.claim] = 'GRANTED'
    )
    update pool p set held = p.held + t.taken, version = p.version + 1, changed_at = v_now
    from unnest(v_pool_ids, v_taken) as t(id, taken)
    where p.id = t.id and t.taken > 0;

    if v_unit_free is not null then
      update unit u set hold_id = v_hold_ids[i.claim], state = 'HELD', kept_until = null, kept_for = null, version = (v_pools[i.pool]).version + 1
      from unnest(p_item_claims, p_item_units, v_item_pool) as i(claim, unit, pool)
      where u.id = i.unit and v_outcomes[i.claim] = 'GRANTED';
    end if;

    -- The locked rows as this batch leaves them: reading them again would be one more statement.
    for v_n in 1 .. cardinality(v_pool_ids) loop
      if v_taken[v_n] > 0 then
        v_pool := v_pools[v_n];
        v_pool.held := v_pool.held + v_taken[v_n]; v_pool.version := v_pool.version + 1; v_pool.changed_at := v_now;
        v_pools[v_n] := v_pool;
      end if;
    end loop;
  end if;

  return json_build_object(
    'claims', (select json_agg(json_build_array(c.outcome, c.id, c.expires, c.item, c.number, c.amount, c.currency, c.taken::json) order by c.n)
               from unnest(v_outcomes, v_hold_ids, v_expires, v_refused_items, v_numbers, v_amounts, v_currencies, v_taken_items)
                 with ordinality as c(outcome, id, expires, item, number, amount, currency, taken, n)),
    'pools', (select json_agg(p order by p.id)
              from (select * from unnest(v_pools) union all select * from unnest(v_given_back) g where g.id <> all (v_pool_ids)) p
              where p.id is not null),
    'wrote', p_write and (v_granted or v_given_back is not null),
    'now', v_now,
    'lockWaitMs', extract(epoch from v_lock_wait) * 1000);
end $$;
`;

/**
 * Ends holds that are in one state, and gives back what they took: units, then counters. What a watched pool gets back is kept for whoever follows it, units by their
 * state and places without numbers by their count: nobody can take it for 10 seconds, in which it is offered, and then anybody can, whether or not a process
 * was there to offer it.
 */
const GIVE_BACK = `
create or replace function give_back(p_holds uuid[], p_from text, p_to text) returns setof pool
language plpgsql as $$
begin
  if p_holds is null or cardinality(p_holds) = 0 then return; end if;
  perform 1 from pool where id in (select i.pool_id from hold_item i where i.hold_id = any (p_holds)) order by id for no key update;
  update hold set state = p_to, changed_at = clock_timestamp() where id = any (p_holds);
  return query
    with pools as (
      update pool p
      set held = p.held - case when p_from = 'CONFIRMED' then 0 else back.quantity end,
          sold = p.sold - case when p_from = 'CONFIRMED' then back.quantity else 0 end,
          kept = case when p.is_watched and back.places > 0 then case when p.kept_until > clock_timestamp() then p.kept else 0 end + back.places else p.kept end,
          kept_until = case when p.is_watched and back.places > 0 then clock_timestamp() + interval '10 s' else p.kept_until end,
          version = p.version + 1, changed_at = clock_timestamp()
      from (select i.pool_id, sum(i.quantity)::int as quantity, (sum(i.quantity) filter (where i.unit_id is null))::int as places
            from hold_item i where i.hold_id = any (p_holds) group by i.pool_id) back
      where p.id = back.pool_id
      returning p.*
    ), units as (
      update unit u set hold_id = null, version = p.version, state = case when p.is_watched then 'KEPT' else 'AVAILABLE' end,
        kept_until = case when p.is_watched then clock_timestamp() + interval '10 s' end, kept_for = null
      from pools p where u.hold_id = any (p_holds) and u.pool_id = p.id
    )
    select * from pools;
end $$;
`;

/** As in claim_holds: plans are cached while the tables are small, and must be those for large ones. */
const PLANS_FOR_LARGE_TABLES = `set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
`;

/** Confirms holds that are being paid and are locked by the caller: what they hold is sold. Answers the pools that changed, each once. */
const CONFIRM_HOLDS = `
create function confirm_holds(p_holds uuid[]) returns setof pool
language plpgsql
${PLANS_FOR_LARGE_TABLES}as $$
begin
  update hold set state = 'CONFIRMED', changed_at = clock_timestamp() where id = any (p_holds);
  perform 1 from pool where id in (select i.pool_id from hold_item i where i.hold_id = any (p_holds)) order by id for no key update;
  return query
    with pools as (
      update pool p set held = p.held - taken.quantity, sold = p.sold + taken.quantity, version = p.version + 1, changed_at = clock_timestamp()
      from (select i.pool_id, sum(i.quantity)::int as quantity from hold_item i where i.hold_id = any (p_holds) group by i.pool_id) taken
      where p.id = taken.pool_id
      returning p.*
    ), units as (
      update unit u set state = 'SOLD', version = p.version from pools p where u.hold_id = any (p_holds) and u.pool_id = p.id
    )
    select * from pools;
end $$;
`;

/**
 * One transition of one hold: guarded by the states it may leave, by its claimant (null: the caller may act for anyone) and, out of HELD, by the
 * database's clock. Answers {"outcome": "MOVED" | "NOT_FOUND" | "EXPIRED" | the state that forbade it, "pools": […]}.
 */
const MOVE_HOLD = `
create or replace function move_hold(p_hold uuid, p_claimant uuid, p_from text[], p_to text) returns json
language plpgsql as $$
declare
  v_hold hold;
  v_pools json;
begin
  select * into v_hold from hold where id = p_hold and (p_claimant is null or claimant_id = p_claimant) for update;
  if not found then return json_build_object('outcome', 'NOT_FOUND'); end if;
  if v_hold.state = 'HELD' and v_hold.expires_at <= clock_timestamp() then return json_build_object('outcome', 'EXPIRED'); end if;
  if not v_hold.state = any (p_from) then return json_build_object('outcome', v_hold.state); end if;

  if p_to = 'PAYING' then
    update hold set state = 'PAYING', changed_at = clock_timestamp() where id = p_hold;
  elsif p_to = 'CONFIRMED' then
    select json_agg(p) into v_pools from confirm_holds(array[p_hold]) p;
  else
    select json_agg(p) into v_pools from give_back(array[p_hold], v_hold.state, p_to) p;
  end if;
  return json_build_object('outcome', 'MOVED', 'pools', v_pools);
end $$;
`;

/**
 * Lets claimants give up holds that are not being paid, many in one transaction. Answers what move_hold does of each, in their order. All holds are locked before the first
 * pool, as everywhere; a hold of somebody who is not among the claimants is not locked.
 */
const RELEASE_HOLDS = `
create function release_holds(p_holds uuid[], p_claimants uuid[]) returns json[]
language plpgsql
${PLANS_FOR_LARGE_TABLES}as $$
declare
  v_own uuid[];
  v_answers json[] := '{}';
begin
  v_own := array(select id from hold where id = any (p_holds) and claimant_id = any (p_claimants) order by id for update);
  perform 1 from pool where id in (select pool_id from hold_item where hold_id = any (v_own)) order by id for no key update;
  for n in 1 .. cardinality(p_holds) loop
    v_answers := v_answers || move_hold(p_holds[n], p_claimants[n], '{HELD}', 'RELEASED');
  end loop;
  return v_answers;
end $$;
`;

/**
 * Takes units of a pool out of the sale, or puts them back into it (of a watched pool kept first, like what is given
 * back); the capacity follows. All or nothing: {"outcome": "NOT_FOUND" | "TAKEN", "numbers": […]}
 * names those that stand in the way, {"outcome": "DONE"} says that none did; "pools" are those that changed, of a refusal too: what has run out is taken
 * back first. A unit that is kept for a follower is nobody's yet and can be blocked. Those that are so already stay so.
 */
const BLOCK_UNITS = `
create function block_units(p_pool uuid, p_numbers int[], p_is_blocked boolean) returns json
language plpgsql as $$
declare
  v_pool pool;
  v_given_back pool[];
  v_numbers int[];
  v_changes int;
  v_outcome text := 'NOT_FOUND';
  v_pools json;
begin
  select array_agg(p) into v_given_back from give_back(array(
    select h.id from hold h
    where h.state = 'HELD' and h.expires_at <= clock_timestamp() and exists (select 1 from hold_item i where i.hold_id = h.id and i.pool_id = p_pool)
    order by h.id for update), 'HELD', 'EXPIRED') p;
  select * into v_pool from pool where id = p_pool for no key update;

  select array_agg(distinct n order by n) into v_numbers from unnest(p_numbers) n
  where not exists (select 1 from unit u where u.pool_id = p_pool and u.number = n);
  if v_numbers is null and p_is_blocked then
    v_outcome := 'TAKEN';
    select array_agg(u.number order by u.number) into v_numbers from unit u
    where u.pool_id = p_pool and u.number = any (p_numbers) and u.state in ('HELD', 'SOLD');
  end if;

  if v_numbers is null then
    update unit set version = v_pool.version + 1, kept_for = null,
      state = case when p_is_blocked then 'BLOCKED' when v_pool.is_watched then 'KEPT' else 'AVAILABLE' end,
      kept_until = case when not p_is_blocked and v_pool.is_watched then clock_timestamp() + interval '10 s' end
    where pool_id = p_pool and number = any (p_numbers) and (state = 'BLOCKED') <> p_is_blocked;
    get diagnostics v_changes = row_count;
    if v_changes > 0 then
      update pool set capacity = capacity + case when p_is_blocked then -v_changes else v_changes end, version = version + 1, changed_at = clock_timestamp()
      where id = p_pool returning * into v_pool;
    end if;
  end if;
  select coalesce(json_agg(p order by p.id), '[]') into v_pools from (
    select * from unnest(v_given_back) g where g.id <> p_pool
    union all select (v_pool).* where v_changes > 0 or v_pool.id in (select id from unnest(v_given_back))) p;
  if v_numbers is null then return json_build_object('outcome', 'DONE', 'pools', v_pools); end if;
  return json_build_object('outcome', v_outcome, 'numbers', v_numbers, 'pools', v_pools);
end $$;
`;

/** Locks what a claim of this claimant in this pool will lock, in a claim's order: quota, holds that have run out, pools. */
const LOCK_AS_CLAIM = `
create function lock_as_claim(p_pool uuid, p_claimant uuid) returns void
language plpgsql as $$
declare
  v_pool pool;
  v_expired uuid[];
begin
  select * into v_pool from pool where id = p_pool;
  if v_pool.quota_key is not null then
    perform pg_advisory_xact_lock(hashtextextended(p_claimant::text || v_pool.quota_key, 0));
  end if;
  v_expired := array(
    select h.id from hold h
    where h.state = 'HELD' and h.expires_at <= clock_timestamp() and exists (
      select 1 from hold_item i join pool q on q.id = i.pool_id
      where i.hold_id = h.id and (i.pool_id = v_pool.id or h.claimant_id = p_claimant and q.quota_key = v_pool.quota_key))
    order by h.id for update);
  perform 1 from pool where id = p_pool or id in (select i.pool_id from hold_item i where i.hold_id = any (v_expired)) order by id for no key update;
end $$;
`;

/**
 * Keeps a kept unit for one claimant and nobody else, for 10 seconds from now. False when it is not kept any more.
 *
 * It locks as the claim that follows it will. The unit's row alone would not do: a claim that has the pool and has seen the unit's time pass would overwrite it, or
 * wait for it while the claim that follows waits for the pool.
 */
const KEEP_UNIT_FOR = `
create function keep_unit_for(p_unit uuid, p_claimant uuid) returns boolean
language plpgsql
set lock_timeout = '2s'
as $$
begin
  perform lock_as_claim(pool_id, p_claimant) from unit where id = p_unit;
  update unit set kept_for = p_claimant, kept_until = clock_timestamp() + interval '10 s' where id = p_unit and state = 'KEPT';
  return found;
end $$;
`;

/** Lets anybody take units that were kept. Returns the pools that changed. */
const LET_GO_UNITS = `
create function let_go_units(p_units uuid[]) returns setof pool
language plpgsql as $$
begin
  perform 1 from pool where id in (select pool_id from unit where id = any (p_units)) order by id for no key update;
  return query
    with pools as (
      update pool p set version = p.version + 1, changed_at = clock_timestamp()
      where p.id in (select pool_id from unit where id = any (p_units) and state = 'KEPT')
      returning p.*
    ), units as (
      update unit u set state = 'AVAILABLE', kept_until = null, kept_for = null, version = p.version
      from pools p where u.pool_id = p.id and u.id = any (p_units) and u.state = 'KEPT'
    )
    select * from pools;
end $$;
`;

/**
 * Lets the claim of this claimant that follows in the same transaction take places that are kept; the pool stays locked, so nobody else can come between. The others
 * stay kept, for 10 seconds from now. Answers how many of the quantity were kept.
 */
const TAKE_KEPT_PLACES = `
create function take_kept_places(p_pool uuid, p_claimant uuid, p_quantity int) returns int
language plpgsql
set lock_timeout = '2s'
as $$
declare
  v_kept int;
begin
  perform lock_as_claim(p_pool, p_claimant);
  select case when kept_until > clock_timestamp() then kept else 0 end into v_kept from pool where id = p_pool;
  update pool set kept = greatest(v_kept - p_quantity, 0), kept_until = clock_timestamp() + interval '10 s' where id = p_pool and v_kept > 0;
  return least(v_kept, p_quantity);
end $$;
`;

/** Lets anybody take places that were kept. Returns the pool if it changed. */
const LET_GO_PLACES = `
create function let_go_places(p_pool uuid) returns setof pool
language sql as $$
  update pool set kept = 0, kept_until = null, version = version + 1, changed_at = clock_timestamp() where id = p_pool and kept > 0 returning *;
$$;
`;

/** What is free for anybody at this instant by the database's clock: holds that have run out count for nothing, swept or not, unless it will be kept. */
const AVAILABILITY = `
create or replace view pool_availability as
  select p.id, p.kind, p.capacity, p.sold, p.version, p.policy, p.opens_at, p.closes_at, p.changed_at,
         (p.held - coalesce(dead.quantity, 0))::int as held,
         greatest(p.capacity - p.sold - p.held + coalesce(dead.quantity, 0) - kept.places, 0)::int as free,
         kept.places as kept
  from pool p
  left join lateral (
    select sum(i.quantity) as quantity, sum(i.quantity) filter (where i.unit_id is null) as places from hold h join hold_item i on i.hold_id = h.id
    where h.state = 'HELD' and h.expires_at <= clock_timestamp() and i.pool_id = p.id
  ) dead on true
  cross join lateral (
    select (case when p.kept_until > clock_timestamp() then p.kept else 0 end + case when p.is_watched then coalesce(dead.places, 0) else 0 end)::int as places) kept;
`;
