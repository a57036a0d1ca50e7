import { Migration } from '@mikro-orm/migrations';

/** The tables of the ledger kernel, what keeps them append-only and balanced, and the one function that posts. */
export class Migration20261121000500Ledger extends Migration {
  override up(): void {
    this.addSql(TABLES);
    this.addSql(APPEND_ONLY);
    this.addSql(WHOLE_TRANSFERS);
    this.addSql(POST_TRANSFERS);
  }

  override down(): void {
    this.addSql(`
      drop function post_transfers(text[], text[], bpchar[], uuid[], text[], text[], bytea[], int[], int[], bigint[]);
      drop table ledger_entry, ledger_transfer, ledger_account;
      drop function ledger_refuse_extra_entries(), ledger_refuse_broken_transfer(), ledger_refuse_change();
    `);
  }
}

/**
 * Signs: credits are positive, what we owe or have earned (deposits, payables, fees, points). A provider's clearing account is below zero by what the
 * provider still owes us, issued points by what members have.
 *
 * An account with a floor must not go below zero, so somebody must know its balance while deciding: it is kept in the row, and whoever takes from it or
 * gives to it locks the row. That is affordable where the owner is one member.
 *
 * An account without a floor keeps no balance, and its row is never written again. Thousands of payments a second go through one clearing account: a
 * balance in its row would make them queue for it, each until the other's commit has reached the disk. Without one they take nothing but the key-share
 * lock of the foreign key, which they share. The price is paid by whoever asks: the balance is a sum over ledger_entry_of_account, from the index alone.
 * CUSTOMER_DEPOSITS has no floor for the same reason, there is one for each currency (that no payment gives back more than it took is kept with the
 * payment); ORGANIZER_PAYABLE has none because a refund may follow the payout.
 */
const TABLES = `
  create table ledger_account (
    id bigint generated always as identity primary key,
    kind text not null check (kind in ('PROVIDER_CLEARING', 'CUSTOMER_DEPOSITS', 'ORGANIZER_PAYABLE', 'PLATFORM_FEES', 'MEMBER_POINTS', 'POINTS_ISSUED')),
    owner text not null check (char_length(owner) <= 100),
    currency char(3) not null,
    has_floor boolean not null,
    balance_minor bigint,
    unique (kind, owner, currency),
    constraint ledger_account_currency_fits check ((kind in ('MEMBER_POINTS', 'POINTS_ISSUED')) = (currency = 'PTS') and currency ~ '^[A-Z]{3}$'),
    constraint ledger_account_floor_fits check (has_floor = (kind = 'MEMBER_POINTS')),
    constraint ledger_account_balance_kept check (has_floor = (balance_minor is not null)),
    constraint ledger_account_never_below_floor check (balance_minor >= 0)
  ) with (fillfactor = 80); -- balances change in place: room on the page keeps the update off the indexes

  create table ledger_transfer (
    id uuid primary key,
    kind text not null,
    subject_id text not null,
    request_hash bytea not null,
    entry_count smallint not null check (entry_count between 2 and 100),
    posted_at timestamptz not null default clock_timestamp()
  );
  create index ledger_transfer_of_subject on ledger_transfer (subject_id);

  create table ledger_entry (
    transfer_id uuid not null references ledger_transfer (id),
    position smallint not null check (position >= 0),
    account_id bigint not null references ledger_account (id),
    amount_minor bigint not null check (amount_minor <> 0),
    balance_after_minor bigint check (balance_after_minor >= 0), -- null where the account keeps no balance
    primary key (transfer_id, position)
  );
  create index ledger_entry_of_account on ledger_entry (account_id) include (amount_minor);
`;

/** Nothing that was posted changes, whoever asks. What an account is called is what its entries mean, so that does not change either. */
const APPEND_ONLY = `
create function ledger_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'The ledger only appends: % on % is refused. Post a transfer that corrects it.', lower(tg_op), tg_table_name
    using errcode = 'restrict_violation';
end $$;
create trigger ledger_transfer_only_appends before update or delete or truncate on ledger_transfer
  for each statement execute function ledger_refuse_change();
create trigger ledger_entry_only_appends before update or delete or truncate on ledger_entry
  for each statement execute function ledger_refuse_change();
create trigger ledger_account_stays before update of id, kind, owner, currency, has_floor or delete or truncate on ledger_account
  for each statement execute function ledger_refuse_change();
`;

/**
 * A transfer says how many entries it has. When its transaction commits it must have them all and they must sum to zero in each currency; from then on
 * every position it announced is taken and there is no other, so that it is closed for good: not even entries that balance can be added.
 *
 * One look for each transfer at the commit and one for each statement that writes entries. A deferred look for each entry would see less (an addition
 * that balances passes it) and sum a transfer of 100 entries 100 times.
 */
const WHOLE_TRANSFERS = `
create function ledger_refuse_broken_transfer() returns trigger language plpgsql
-- The plan is cached while the tables are small: without it, entries would be found by scanning them all when they no longer are.
set enable_seqscan = off
as $$
declare
  v_count int;
  v_currency text;
begin
  select coalesce(sum(c.entries), 0), min(c.currency) filter (where c.amount <> 0) into v_count, v_currency
  from (select a.currency::text as currency, count(*) as entries, sum(e.amount_minor) as amount
        from ledger_entry e join ledger_account a on a.id = e.account_id where e.transfer_id = new.id group by a.currency) c;
  if v_count <> new.entry_count then
    raise exception 'The transfer % has % entries, not % as it says.', new.id, v_count, new.entry_count using errcode = 'check_violation';
  end if;
  if v_currency is not null then
    raise exception 'The entries of transfer % do not sum to zero in %.', new.id, v_currency using errcode = 'check_violation';
  end if;
  return null;
end $$;
create constraint trigger ledger_transfer_whole after insert on ledger_transfer deferrable initially deferred
  for each row execute function ledger_refuse_broken_transfer();

create function ledger_refuse_extra_entries() returns trigger language plpgsql
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  v_transfer uuid;
begin
  select e.transfer_id into v_transfer from written e join ledger_transfer t on t.id = e.transfer_id where e.position >= t.entry_count limit 1;
  if found then
    raise exception 'The transfer % is closed: it has no room for another entry. Post a transfer of its own.', v_transfer
      using errcode = 'check_violation';
  end if;
  return null;
end $$;
create trigger ledger_entry_of_open_transfer after insert on ledger_entry referencing new table as written
  for each statement execute function ledger_refuse_extra_entries();
`;

/**
 * Posts a batch of transfers, in the order they are given, and writes all that are posted at once.
 *
 * Accounts: three parallel arrays (kind, owner, currency), each account once. Transfers: four parallel arrays (id, kind, subject, request hash).
 * Entries: three parallel arrays (number of the transfer from 1, ascending; number of the account from 1; amount).
 *
 * Answers for each transfer, in order of precedence: ALREADY_POSTED, TRANSFER_REUSED, INSUFFICIENT, POSTED. An INSUFFICIENT one leaves what follows as
 * if it had not been there. Made for READ COMMITTED, where each statement sees what was committed while the one before it waited. In a stricter isolation
 * it fails with a serialization failure instead.
 *
 * Lock order, the same everywhere: what the inventory locks (holds, then pools) comes first; then here new accounts by name, accounts with a floor by
 * id, transfers by id. Nobody who has a ledger account waits for a hold or a pool, so that no circle can close.
 */
const POST_TRANSFERS = `
create function post_transfers(
  p_account_kinds text[], p_account_owners text[], p_account_currencies bpchar[],
  p_ids uuid[], p_kinds text[], p_subjects text[], p_hashes bytea[],
  p_entry_transfers int[], p_entry_accounts int[], p_entry_amounts bigint[]
) returns text[]
language plpgsql
-- As in claim_holds: the plans are cached while the tables are small, and must be those for large ones.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  c_floored constant text[] := array['MEMBER_POINTS'];
  v_transfers int := cardinality(p_ids);
  v_account_ids bigint[];      -- account -> its id, null while it is not there
  v_has_floor boolean;         -- one of them has
  v_before bigint[];           -- account -> its balance before the batch, null where none is kept
  v_balances bigint[];         -- account -> its balance after the entries so far
  v_after bigint[] := array_fill(null::bigint, array[cardinality(p_entry_amounts)]); -- entry -> balance of its account after it
  v_answers text[] := array_fill(null::text, array[v_transfers]);
  v_starts int[] := array_fill(0, array[v_transfers]);  -- transfer -> its first entry
  v_counts int[] := array_fill(0, array[v_transfers]);  -- transfer -> how many entries it has
  v_firsts int[];              -- transfer -> the first in the batch that has its id
  v_posted int[] := array_fill(null::int, array[v_transfers]); -- the first with an id -> the one of them that is posted
  v_written uuid[];
  v_to int := 0;
  v_account int;
  v_twin int;
  r record;
begin
  select array_agg(a.id order by n.n) into v_account_ids
  from unnest(p_account_kinds, p_account_owners, p_account_currencies) with ordinality as n(kind, owner, currency, n)
  left join ledger_account a on a.kind = n.kind and a.owner = n.owner and a.currency = n.currency;
  if array_position(v_account_ids, null) is not null then
    -- In the order of their names: two that make the same accounts wait for each other's index entries, and must meet them in one order.
    insert into ledger_account (kind, owner, currency, has_floor, balance_minor)
    select n.kind, n.owner, n.currency, n.kind = any (c_floored), case when n.kind = any (c_floored) then 0 end
    from unnest(p_account_kinds, p_account_owners, p_account_currencies) with ordinality as n(kind, owner, currency, n)
    where v_account_ids[n.n] is null
    order by n.kind, n.owner, n.currency
    on conflict do nothing;
    select array_agg(a.id order by n.n) into v_account_ids
    from unnest(p_account_kinds, p_account_owners, p_account_currencies) with ordinality as n(kind, owner, currency, n)
    left join ledger_account a on a.kind = n.kind and a.owner = n.owner and a.currency = n.currency;
  end if;

  perform 1 from ledger_account where id = any (v_account_ids) and has_floor order by id for no key update;
  v_has_floor := found;
  if v_has_floor then
    -- Read again, not returned by the locking statement: this one sees what was committed while that one waited.
    select array_agg(a.balance_minor order by n.n) into v_before
    from unnest(v_account_ids) with ordinality as n(id, n) left join ledger_account a on a.id = n.id;
    v_balances := v_before;
  end if;

  -- After the lock: a twin that moved the same points has committed by now.
  for r in
    select n.n, t.request_hash = p_hashes[n.n] as same
    from unnest(p_ids) with ordinality as n(id, n) join ledger_transfer t on t.id = n.id
  loop
    v_answers[r.n] := case when r.same then 'ALREADY_POSTED' else 'TRANSFER_REUSED' end;
  end loop;
  select array_agg(f.first order by f.n) into v_firsts
  from (select n.n, min(n.n) over (partition by n.id) as first from unnest(p_ids) with ordinality as n(id, n)) f;

  for v_transfer in 1 .. v_transfers loop
    v_starts[v_transfer] := v_to + 1;
    while p_entry_transfers[v_to + 1] = v_transfer loop v_to := v_to + 1; end loop;
    v_counts[v_transfer] := v_to - v_starts[v_transfer] + 1;

    v_twin := v_posted[v_firsts[v_transfer]];
    if v_answers[v_transfer] is null and v_twin is not null then
      v_answers[v_transfer] := case when p_hashes[v_transfer] = p_hashes[v_twin] then 'ALREADY_POSTED' else 'TRANSFER_REUSED' end;
    end if;
    continue when v_answers[v_transfer] is not null;

    v_answers[v_transfer] := 'POSTED';
    if v_has_floor then
      for v_entry in v_starts[v_transfer] .. v_to loop
        v_account := p_entry_accounts[v_entry];
        continue when v_balances[v_account] is null;
        v_balances[v_account] := v_balances[v_account] + p_entry_amounts[v_entry];
        v_after[v_entry] := v_balances[v_account];
        if v_after[v_entry] < 0 then v_answers[v_transfer] := 'INSUFFICIENT'; exit; end if;
      end loop;
      if v_answers[v_transfer] = 'INSUFFICIENT' then
        for v_entry in v_starts[v_transfer] .. v_to loop
          continue when v_after[v_entry] is null;
          v_account := p_entry_accounts[v_entry];
          v_balances[v_account] := v_balances[v_account] - p_entry_amounts[v_entry];
          v_after[v_entry] := null;
        end loop;
      end if;
    end if;
    if v_answers[v_transfer] = 'POSTED' then v_posted[v_firsts[v_transfer]] := v_transfer; end if;
  end loop;
  if array_position(v_answers, 'POSTED') is null then return v_answers; end if;

  -- In the order of their ids, as with new accounts. Whoever is posting one of them at this moment is waited for; if it commits, ours is not written.
  with written as (
    insert into ledger_transfer (id, kind, subject_id, request_hash, entry_count)
    select t.id, t.kind, t.subject, t.hash, t.entries
    from unnest(p_ids, p_kinds, p_subjects, p_hashes, v_counts, v_answers) as t(id, kind, subject, hash, entries, answer)
    where t.answer = 'POSTED'
    order by t.id
    on conflict do nothing
    returning id
  ) select coalesce(array_agg(id), '{}') into v_written from written;
  if cardinality(v_written) < cardinality(array_positions(v_answers, 'POSTED')) then
    for r in
      select n.n, t.request_hash = p_hashes[n.n] as same
      from unnest(p_ids) with ordinality as n(id, n) join ledger_transfer t on t.id = n.id
      where n.id <> all (v_written)
    loop
      continue when v_answers[r.n] = 'INSUFFICIENT';
      -- The same transfer would have waited for the balance it moves. So this is another with the same id, and what follows was decided on
      -- balances that will not be: decide it all again.
      if num_nonnulls(variadic v_after[v_starts[r.n] : v_starts[r.n] + v_counts[r.n] - 1]) > 0 then
        raise exception 'The transfer % was posted with another content while this one was decided.', p_ids[r.n]
          using errcode = 'serialization_failure';
      end if;
      v_answers[r.n] := case when r.same then 'ALREADY_POSTED' else 'TRANSFER_REUSED' end;
    end loop;
  end if;

  insert into ledger_entry (transfer_id, position, account_id, amount_minor, balance_after_minor)
  select p_ids[e.transfer], e.n - v_starts[e.transfer], v_account_ids[e.account], e.amount, e.after
  from unnest(p_entry_transfers, p_entry_accounts, p_entry_amounts, v_after) with ordinality as e(transfer, account, amount, after, n)
  where v_answers[e.transfer] = 'POSTED';

  if v_has_floor then
    -- By what was moved, not to what was decided: should the lock ever be missing, the constraint sees the rival's part too.
    update ledger_account a set balance_minor = a.balance_minor + (n.after - n.before)
    from unnest(v_account_ids, v_before, v_balances) as n(id, before, after)
    where a.id = n.id and n.after <> n.before;
  end if;
  return v_answers;
end $$;
`;
