import { Migration } from '@mikro-orm/migrations';

/** The tables of the inventory kernel and its four functions. `docs/architecture.md` tells why the decision lives in the database. */
export class Migration20261121000200Inventory extends Migration {
  override up(): void {
    this.addSql(TABLES);
    this.addSql(CLAIM_HOLDS);
    this.addSql(GIVE_BACK);
    this.addSql(MOVE_HOLD);
    this.addSql(EXPIRE_HOLDS);
    this.addSql(AVAILABILITY);
  }

  override down(): void {
    this.addSql(`
      drop view pool_availability;
      drop function expire_holds(int);
      drop function move_hold(uuid, uuid, text[], text);
      drop function give_back(uuid[], text, text);
      drop function claim_holds(text[], uuid[], text[], bytea[], inet[], int[], smallint[], text[], uuid[], uuid[], int[], boolean);
      drop table hold_item, unit, hold, pool;
    `);
  }
}

const TABLES = `
  create table pool (
    id uuid primary key default uuidv7(),
    kind text not null,
    capacity int not null,
    held int not null default 0,
    sold int not null default 0,
    policy text not null default 'OPTIMISTIC' check (policy in ('OPTIMISTIC', 'PESSIMISTIC')),
    price_minor int not null default 0 check (price_minor >= 0),
    currency char(3) not null default 'KRW',
    per_claimant_max int check (per_claimant_max > 0),
    quota_key text,
    quota_max int check (quota_max > 0),
    hold_seconds int not null default 300 check (hold_seconds between 1 and 86400),
    opens_at timestamptz,
    closes_at timestamptz,
    version int not null default 1,
    changed_at timestamptz not null default now(),
    constraint pool_never_oversold check (held >= 0 and sold >= 0 and held + sold <= capacity),
    constraint pool_quota_whole check ((quota_key is null) = (quota_max is null)),
    constraint pool_window check (closes_at is null or opens_at is null or opens_at <= closes_at)
  ) with (fillfactor = 50); -- a hot pool is rewritten with every batch: room on the page keeps the update off the index
  create index pool_quota on pool (quota_key) where quota_key is not null;

  create table hold (
    id uuid primary key default uuidv7(),
    kind text not null,
    claimant_id uuid not null,
    state text not null default 'HELD' check (state in ('HELD', 'PAYING', 'CONFIRMED', 'RELEASED', 'EXPIRED', 'RETURNED')),
    amount_minor bigint not null,
    currency char(3) not null,
    expires_at timestamptz not null,
    idempotency_key text not null,
    request_hash bytea not null,
    client_ip inet,
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    unique (claimant_id, idempotency_key)
  ) with (fillfactor = 80);
  create index hold_expiring on hold (expires_at) where state = 'HELD';

  create table unit (
    id uuid primary key default uuidv7(),
    pool_id uuid not null references pool (id),
    label text not null,
    hold_id uuid references hold (id),
    unique (pool_id, label)
  );
  create index unit_hold on unit (hold_id) where hold_id is not null;

  create table hold_item (
    hold_id uuid not null references hold (id),
    position smallint not null,
    pool_id uuid not null, -- no reference: claim_holds has the pool under its lock, and checking it again for every row cost a fifth of a batch
    unit_id uuid references unit (id),
    quantity int not null check (quantity > 0),
    primary key (hold_id, position),
    constraint hold_item_unit_is_one check (unit_id is null or quantity = 1)
  );
`;

/**
 * Decides a batch of claims, in the order they arrived, and writes all that are granted at once.
 *
 * Claims: four parallel arrays (kind of the hold, claimant, idempotency key, request hash, address). A claimant appears once in a batch.
 * Items: six parallel arrays (number of the claim from 1, position within it from 0, kind its pool must have, pool, unit or null, quantity).
 * p_write = false decides without a lock and writes nothing: the caller writes itself, guarded by the versions that come back.
 *
 * Answers {"claims": [[outcome, hold id, expires at, index of the refusing item within the claim, number, amount, currency]], "pools": […], "lockWaitMs": n}.
 * Outcomes in order of precedence: REPLAYED, KEY_REUSED, NOT_FOUND, NOT_YET_ON_SALE, SALE_CLOSED, CLAIMANT_LIMIT, QUOTA_REACHED, UNIT_TAKEN, SOLD_OUT, GRANTED
 * (with p_write = false also CONTENDED: decide it again under the lock).
 *
 * Lock order, the same everywhere: quota locks by number, then rows of holds by id, then pools by id; nobody who has a pool waits for a hold,
 * so that no circle can close.
 */
const CLAIM_HOLDS = `
create function claim_holds(
  p_kinds text[], p_claimants uuid[], p_keys text[], p_hashes bytea[], p_ips inet[],
  p_item_claims int[], p_item_positions smallint[], p_item_kinds text[], p_item_pools uuid[], p_item_units uuid[], p_item_quantities int[],
  p_write boolean
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
  c_refusals constant text[] := array['NOT_FOUND', 'NOT_YET_ON_SALE', 'SALE_CLOSED', 'CLAIMANT_LIMIT', 'QUOTA_REACHED', 'UNIT_TAKEN', 'SOLD_OUT'];
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
  v_unit_free boolean[];       -- unit -> it can be taken
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
    select array_agg(coalesce(u.hold_id is null and u.id is not null, false) order by i.number) into v_unit_free
    from (select distinct dense_rank() over (order by w.unit, w.pool) as number, w.unit, w.pool
          from unnest(p_item_units, p_item_pools) as w(unit, pool)) i
    left join unit u on u.id = i.unit and u.pool_id = i.pool;
  end if;

  for v_n in 1 .. cardinality(v_pool_ids) loop
    v_pool := v_pools[v_n];
    v_free[v_n] := coalesce(v_pool.capacity - v_pool.held - v_pool.sold, 0);
    v_taken[v_n] := 0;
    v_pool_expires[v_n] := v_now + make_interval(secs => v_pool.hold_seconds);
  end loop;

  v_n := null; -- the number of the pool that is in v_pool: taking a row out of an array costs more than a comparison
  for v_claim in 1 .. v_claims loop
    v_to := v_from;
    while v_to < v_items and p_item_claims[v_to + 1] = v_claim loop v_to := v_to + 1; end loop;

    if v_outcomes[v_claim] is null then
      v_best := 99;
      for v_item in v_from .. v_to loop
        if v_n is distinct from v_item_pool[v_item] then v_n := v_item_pool[v_item]; v_pool := v_pools[v_n]; end if;
        v_rank := 99; v_number := null;
        if v_pool.id is null or v_pool.kind <> p_item_kinds[v_item] then v_rank := 1;
        elsif v_pool.opens_at > v_now then v_rank := 2;
        elsif v_pool.closes_at <= v_now then v_rank := 3;
        elsif v_claimant_live[v_item] + v_item_wants[v_item] > v_pool.per_claimant_max then v_rank := 4; v_number := v_pool.per_claimant_max;
        elsif v_quota_live[v_item] + v_item_quota[v_item] > v_pool.quota_max then v_rank := 5; v_number := v_pool.quota_max;
        elsif not v_unit_free[v_item_unit[v_item]] or p_item_units[v_item] = any (p_item_units[v_from : v_item - 1]) then v_rank := 6;
        elsif v_free[v_item_pool[v_item]] < v_item_wants[v_item] then v_rank := 7; v_number := v_free[v_item_pool[v_item]];
        end if;
        if v_rank < v_best then
          v_best := v_rank; v_refused_items[v_claim] := v_item - v_from; v_numbers[v_claim] := v_number;
        end if;
      end loop;

      if v_best < 99 then
        v_outcomes[v_claim] := c_refusals[v_best];
        -- Without the lock a refusal is not final where expired holds are still counted.
        if v_best >= 4 and not p_write and v_expired is not null then v_outcomes[v_claim] := 'CONTENDED'; end if;
      else
        v_granted := true;
        v_outcomes[v_claim] := 'GRANTED';
        v_hold_ids[v_claim] := uuidv7();
        for v_item in v_from .. v_to loop
          if v_n is distinct from v_item_pool[v_item] then v_n := v_item_pool[v_item]; v_pool := v_pools[v_n]; end if;
          v_free[v_n] := v_free[v_n] - p_item_quantities[v_item];
          v_taken[v_n] := v_taken[v_n] + p_item_quantities[v_item];
          v_amounts[v_claim] := v_amounts[v_claim] + v_pool.price_minor::bigint * p_item_quantities[v_item];
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
      insert into hold (id, kind, claimant_id, amount_minor, currency, expires_at, idempotency_key, request_hash, client_ip, created_at, changed_at)
      select c.id, c.kind, c.claimant, c.amount, c.currency, c.expires, c.key, c.hash, c.ip, v_now, v_now
      from unnest(v_outcomes, v_hold_ids, p_kinds, p_claimants, v_amounts, v_currencies, v_expires, p_keys, p_hashes, p_ips)
        as c(outcome, id, kind, claimant, amount, currency, expires, key, hash, ip)
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
      update unit u set hold_id = v_hold_ids[i.claim]
      from unnest(p_item_claims, p_item_units) as i(claim, unit)
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
    'claims', (select json_agg(json_build_array(c.outcome, c.id, c.expires, c.item, c.number, c.amount, c.currency) order by c.n)
               from unnest(v_outcomes, v_hold_ids, v_expires, v_refused_items, v_numbers, v_amounts, v_currencies)
                 with ordinality as c(outcome, id, expires, item, number, amount, currency, n)),
    'pools', (select json_agg(p order by p.id)
              from (select * from unnest(v_pools) union all select * from unnest(v_given_back) g where g.id <> all (v_pool_ids)) p
              where p.id is not null),
    'wrote', p_write and (v_granted or v_given_back is not null),
    'now', v_now,
    'lockWaitMs', extract(epoch from v_lock_wait) * 1000);
end $$;
`;

/** Moves holds whose rows the caller has locked and found in the state p_from, and gives back what they took. One statement each, pools in id order. */
export const GIVE_BACK = `
create function give_back(p_holds uuid[], p_from text, p_to text) returns setof pool
language plpgsql as $$
begin
  if p_holds is null or cardinality(p_holds) = 0 then return; end if;
  perform 1 from pool where id in (select i.pool_id from hold_item i where i.hold_id = any (p_holds)) order by id for no key update;
  update hold set state = p_to, changed_at = clock_timestamp() where id = any (p_holds);
  update unit set hold_id = null where hold_id = any (p_holds);
  return query
    update pool p
    set held = p.held - case when p_from = 'CONFIRMED' then 0 else back.quantity end,
        sold = p.sold - case when p_from = 'CONFIRMED' then back.quantity else 0 end,
        version = p.version + 1, changed_at = clock_timestamp()
    from (select i.pool_id, sum(i.quantity)::int as quantity from hold_item i where i.hold_id = any (p_holds) group by i.pool_id) back
    where p.id = back.pool_id
    returning p.*;
end $$;
`;

/**
 * One transition of one hold: guarded by the states it may leave, by its claimant (null: the caller may act for anyone) and, out of HELD, by the
 * database's clock. Answers {"outcome": "MOVED" | "NOT_FOUND" | "EXPIRED" | the state that forbade it, "pools": […]}.
 */
export const MOVE_HOLD = `
create function move_hold(p_hold uuid, p_claimant uuid, p_from text[], p_to text) returns json
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
    update hold set state = 'CONFIRMED', changed_at = clock_timestamp() where id = p_hold;
    perform 1 from pool where id in (select pool_id from hold_item where hold_id = p_hold) order by id for no key update;
    with moved as (
      update pool p set held = p.held - i.quantity, sold = p.sold + i.quantity, version = p.version + 1, changed_at = clock_timestamp()
      from (select pool_id, sum(quantity)::int as quantity from hold_item where hold_id = p_hold group by pool_id) i
      where p.id = i.pool_id returning p.*)
    select json_agg(moved) into v_pools from moved;
  else
    select json_agg(p) into v_pools from give_back(array[p_hold], v_hold.state, p_to) p;
  end if;
  return json_build_object('outcome', 'MOVED', 'pools', v_pools);
end $$;
`;

/** Tidies at most p_limit holds that have run out. Nothing correct waits for it: every claim takes back by itself what it needs. */
const EXPIRE_HOLDS = `
create function expire_holds(p_limit int) returns setof pool
language sql as $$
  select * from give_back(
    array(select id from hold where state = 'HELD' and expires_at <= clock_timestamp() order by expires_at limit p_limit for update skip locked),
    'HELD', 'EXPIRED');
$$;
`;

/** What is free at this instant by the database's clock: holds that have run out count for nothing, swept or not. */
export const AVAILABILITY = `
create view pool_availability as
  select p.id, p.kind, p.capacity, p.sold, p.version, p.policy, p.opens_at, p.closes_at, p.changed_at,
         (p.held - coalesce(dead.quantity, 0))::int as held,
         (p.capacity - p.sold - p.held + coalesce(dead.quantity, 0))::int as free
  from pool p
  left join lateral (
    select sum(i.quantity) as quantity from hold h join hold_item i on i.hold_id = h.id
    where h.state = 'HELD' and h.expires_at <= clock_timestamp() and i.pool_id = p.id
  ) dead on true;
`;
