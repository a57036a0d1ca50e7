import { Migration } from '@mikro-orm/migrations';

/**
 * What may happen after a hold: what its member wants when the money comes too late, and what a cancellation gives back. And a version on every hold, for
 * whoever watches it.
 *
 * The release before this one goes on working: the new columns have defaults, and so has the new parameter of `claim_holds`, which that release calls
 * with the twelve it knows. A second function beside the first would serve it as well, and would have to be kept alike until somebody removes it.
 */
export class Migration20261121000600LateChoice extends Migration {
  override up(): void {
    this.addSql(HOLD);
    this.addSql(VERSION);
    this.addSql(`drop function claim_holds(${TWELVE});`);
    this.addSql(claimHolds({ isChosen: true }));
    this.addSql(LESSON);
  }

  override down(): void {
    this.addSql(`
      alter table lesson drop column cancellation;
      drop function claim_holds(${TWELVE}, text[]);
    `);
    this.addSql(claimHolds({ isChosen: false }));
    this.addSql(`
      drop trigger hold_raises_version on hold;
      drop function raise_hold_version();
      alter table hold drop column version, drop column if_paid_late;
    `);
  }
}

const TWELVE = 'text[], uuid[], text[], bytea[], inet[], int[], smallint[], text[], uuid[], uuid[], int[], boolean';

const HOLD = `
  alter table hold
    add column if_paid_late text not null default 'SAME_OR_EQUAL' check (if_paid_late in ('SAME_OR_EQUAL', 'SAME', 'REFUND')),
    add column version int not null default 1;
`;

/** A trigger, because whoever updates a hold must not be able to forget it. Claims only insert, so they do not pay for it. */
const VERSION = `
create function raise_hold_version() returns trigger
language plpgsql as $$
begin
  new.version := old.version + 1;
  return new;
end $$;
create trigger hold_raises_version before update on hold for each row execute function raise_hold_version();
`;

/** The lessons that are there already can be cancelled free of charge until the first session starts. */
const LESSON = `
  alter table lesson
    add column cancellation jsonb not null default '[{"hoursBefore": 0, "percent": 100}]'
      check (jsonb_typeof(cancellation) = 'array' and jsonb_array_length(cancellation) <= 5);
`;

/**
 * Decides a batch of claims, in the order they arrived, and writes all that are granted at once.
 *
 * Claims: parallel arrays (kind of the hold, claimant, idempotency key, request hash, address, choice for a late payment). A claimant appears once in a batch.
 * Items: six parallel arrays (number of the claim from 1, position within it from 0, kind its pool must have, pool, unit or null, quantity).
 * p_write = false decides without a lock and writes nothing: the caller writes itself, guarded by the versions that come back.
 * p_if_paid_late = null, for all claims or for one: that of the column's default.
 *
 * Answers {"claims": [[outcome, hold id, expires at, index of the refusing item within the claim, number, amount, currency]], "pools": […], "lockWaitMs": n}.
 * Outcomes in order of precedence: REPLAYED, KEY_REUSED, NOT_FOUND, NOT_YET_ON_SALE, SALE_CLOSED, CLAIMANT_LIMIT, QUOTA_REACHED, UNIT_TAKEN, SOLD_OUT, GRANTED
 * (with p_write = false also CONTENDED: decide it again under the lock).
 *
 * Lock order, the same everywhere: quota locks by number, then rows of holds by id, then pools by id; nobody who has a pool waits for a hold,
 * so that no circle can close.
 */
export const claimHolds = ({ isChosen }: { isChosen: boolean }) => `
create function claim_holds(
  p_kinds text[], p_claimants uuid[], p_keys text[], p_hashes bytea[], p_ips inet[],
  p_item_claims int[], p_item_positions smallint[], p_item_kinds text[], p_item_pools uuid[], p_item_units uuid[], p_item_quantities int[],
  p_write boolean${isChosen ? ', p_if_paid_late text[] default null' : ''}
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
      insert into hold (id, kind, claimant_id, amount_minor, currency, expires_at, idempotency_key, request_hash, client_ip,
        ${isChosen ? 'if_paid_late, ' : ''}created_at, changed_at)
      select c.id, c.kind, c.claimant, c.amount, c.currency, c.expires, c.key, c.hash, c.ip,
        ${isChosen ? "coalesce(c.late, 'SAME_OR_EQUAL'), " : ''}v_now, v_now
      from unnest(v_outcomes, v_hold_ids, p_kinds, p_claimants, v_amounts, v_currencies, v_expires, p_keys, p_hashes, p_ips${isChosen ? ', p_if_paid_late' : ''})
        as c(outcome, id, kind, claimant, amount, currency, expires, key, hash, ip${isChosen ? ', late' : ''})
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
