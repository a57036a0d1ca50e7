import { Migration } from '@mikro-orm/migrations';

/**
 * breaking: payments of providers outside take the place of the sandbox inside. Stop the old release before this one serves.
 *
 * A hold may have several payments, one after the other: a customer who closes one provider's window and chooses another. At most one is current: the one
 * whose end decides the hold. The sandbox moved no money, so what it approved becomes a payment of nothing.
 */
export class Migration20261121000700Bookings extends Migration {
  override up(): void {
    this.addSql(PAYMENT);
    this.addSql(REFUND);
    this.addSql(EXCHANGES);
    this.addSql(WEBHOOKS);
    this.addSql(START_PAYING);
    this.addSql(APPROVE_PAYMENTS);
  }

  override down(): void {
    this.addSql(`
      drop function approve_payments(uuid[], text[], bigint[], timestamptz[], int[], int[]);
      drop function start_paying(uuid, text, jsonb, int);
      drop table webhook_receipt, provider_exchange, refund;
      delete from payment where not is_current;
      drop index payment_current, payment_due, payment_of_member;
      alter table payment
        drop column original_hold_id, drop column reference, drop column checkout, drop column customer_authorization, drop column pay_by,
        drop column approving_at, drop column is_current, drop column captured_minor, drop column refunded_minor, drop column refunding_minor,
        drop column ended_because, drop column late_outcome, drop column if_paid_late, drop column title, drop column cancellation, drop column starts_at,
        drop column organizer_id, drop column locale, drop column return_to, drop column busy_until, drop column next_look_at, drop column looks, drop column rings,
        drop column rings_answered;
      update payment set provider = 'SANDBOX' where provider is null;
      update payment set state = 'REFUSED', refusal_code = 'ABANDONED' where state = 'ABANDONED';
      alter table payment
        alter column provider set not null, add column request jsonb not null default '{}', add constraint payment_hold_id_key unique (hold_id),
        drop constraint payment_state_check, drop constraint payment_check;
      alter table payment
        add constraint payment_state_check check (state in ('PENDING', 'APPROVED', 'REFUSED', 'REFUNDING', 'REFUNDED')),
        add constraint payment_check check ((state = 'REFUSED') = (refusal_code is not null));
      create index payment_unsettled on payment (changed_at) where state in ('PENDING', 'REFUNDING');
      create table sandbox_charge (
        payment_id uuid primary key,
        state text not null check (state in ('APPROVED', 'REFUSED', 'REFUNDED')),
        amount_minor bigint not null,
        currency char(3) not null,
        created_at timestamptz not null default now()
      );
    `);
  }
}

const PAYMENT = `
  drop table sandbox_charge;
  drop index payment_unsettled;
  alter table payment
    drop constraint payment_hold_id_key, drop constraint payment_state_check, drop constraint payment_check, drop column request,
    alter column provider drop not null,
    -- The hold that was to be paid first; hold_id differs from it where a late payment was given another one.
    add column original_hold_id uuid references hold (id),
    add column is_current boolean not null default false,
    add column reference text,
    add column checkout jsonb,
    add column customer_authorization jsonb,
    add column pay_by timestamptz,
    -- When the approval was sent. From here on nobody sends it again before it is known what became of it.
    add column approving_at timestamptz,
    add column captured_minor bigint not null default 0,
    add column refunded_minor bigint not null default 0,
    add column refunding_minor bigint not null default 0,
    add column ended_because text,
    add column late_outcome text check (late_outcome in ('SAME', 'EQUAL', 'REFUND')),
    add column if_paid_late text not null default 'SAME_OR_EQUAL' check (if_paid_late in ('SAME_OR_EQUAL', 'SAME', 'REFUND')),
    add column title text not null default '',
    add column cancellation jsonb not null default '[]',
    add column starts_at timestamptz,
    add column organizer_id uuid,
    add column locale text not null default 'en',
    add column return_to text,
    -- Somebody is asking the provider; whoever comes meanwhile leaves it alone. Runs out by itself when that process dies.
    add column busy_until timestamptz,
    -- When the reconciler looks again; null: there is nothing left to do.
    add column next_look_at timestamptz,
    add column looks int not null default 0,
    -- How often somebody rang (a webhook; a browser or an operator who found it busy), and how many of these an answer of the provider has covered: what
    -- rang is asked about, whatever dies meanwhile.
    add column rings int not null default 0,
    add column rings_answered int not null default 0;
  update payment set original_hold_id = hold_id, is_current = true, provider = null, next_look_at = null;
  update payment set state = 'REFUSED', refusal_code = 'SANDBOX_REMOVED', is_current = false where state = 'PENDING';
  update hold h set state = 'HELD', expires_at = clock_timestamp() where state = 'PAYING';
  update payment set state = 'APPROVED' where state = 'REFUNDING';
  alter table payment
    alter column original_hold_id set not null,
    add constraint payment_state_check check (state in ('PENDING', 'APPROVED', 'REFUSED', 'ABANDONED', 'REFUNDING', 'REFUNDED')),
    add constraint payment_refusal_named check ((state = 'REFUSED') = (refusal_code is not null)),
    add constraint payment_refunds_within_capture
      check (captured_minor >= 0 and refunded_minor >= 0 and refunding_minor >= 0 and refunded_minor + refunding_minor <= captured_minor);
  create unique index payment_current on payment (hold_id) where is_current;
  create index payment_of_original_hold on payment (original_hold_id);
  create index payment_due on payment (next_look_at) where next_look_at is not null;
  create index payment_of_member on payment (member_id, id);
`;

const REFUND = `
  create table refund (
    id uuid primary key default uuidv7(),
    payment_id uuid not null references payment (id),
    amount_minor bigint not null check (amount_minor > 0),
    state text not null default 'OPEN' check (state in ('OPEN', 'DONE', 'REFUSED')),
    cause text not null check (cause in ('CANCELLED', 'PAID_LATE', 'GRANTED', 'AT_PROVIDER')),
    reason text not null,
    gives_back boolean not null,
    asked_by uuid,
    idempotency_key text,
    request_hash bytea,
    refusal_code text,
    -- When it was sent to the provider; null again when it certainly never got there.
    sent_at timestamptz,
    created_at timestamptz not null default now(),
    concluded_at timestamptz,
    unique (asked_by, idempotency_key),
    check ((state = 'OPEN') = (concluded_at is null))
  );
  create unique index refund_open on refund (payment_id) where state = 'OPEN';
  create index refund_of_payment on refund (payment_id, id);
`;

const EXCHANGES = `
  create table provider_exchange (
    id bigint generated always as identity primary key,
    payment_id uuid not null, -- no reference: what was said to a provider is kept whatever becomes of our row
    provider text not null,
    operation text not null check (operation in ('PREPARE', 'APPROVE', 'FIND', 'VOID', 'REFUND')),
    request text not null,
    request_body jsonb,
    status int,
    response_body jsonb,
    code text,
    outcome text not null check (outcome in ('DONE', 'REFUSED', 'UNKNOWN')),
    latency_ms int not null,
    at timestamptz not null default clock_timestamp()
  );
  create index provider_exchange_of_payment on provider_exchange (payment_id, id);
`;

const WEBHOOKS = `
  create table webhook_receipt (
    provider text not null,
    event_id text not null,
    payment_id uuid not null,
    copies int not null default 1,
    received_at timestamptz not null default clock_timestamp(),
    primary key (provider, event_id)
  );
  create index webhook_receipt_of_payment on webhook_receipt (payment_id);
`;

/**
 * A payment that its provider has prepared becomes the current one of its hold, whose deadline stops. The plain case alone: no row when another payment of the
 * hold is current, or the hold is not live any more.
 */
const START_PAYING = `
create function start_paying(p_payment uuid, p_reference text, p_checkout jsonb, p_seconds int) returns setof payment
language plpgsql as $$
declare
  v_payment payment;
  v_now timestamptz;
begin
  select * into v_payment from payment where id = p_payment for update;
  if not found or v_payment.state <> 'PENDING' or v_payment.checkout is not null then return; end if;
  if exists (select from payment where hold_id = v_payment.hold_id and is_current) then return; end if;
  if move_hold(v_payment.hold_id, v_payment.member_id, '{HELD}', 'PAYING') ->> 'outcome' <> 'MOVED' then return; end if;
  v_now := date_trunc('milliseconds', clock_timestamp());
  return query
    update payment set is_current = true, checkout = p_checkout, reference = p_reference, pay_by = v_now + make_interval(secs => p_seconds),
      next_look_at = v_now + make_interval(secs => p_seconds), changed_at = v_now
    where id = p_payment returning *;
end $$;
`;

/**
 * Approves payments whose money is captured and whose holds the caller confirms in the same transaction. The plain cases alone: those that the caller is still at
 * (the lease and the rings are as it left them) and whose hold is being paid. Answers [{"id", "holdId", "kinds"}] of them; the others are as they were.
 *
 * Locks: payments, then holds, each in the order of their ids.
 */
const APPROVE_PAYMENTS = `
create function approve_payments(
  p_ids uuid[], p_references text[], p_captured bigint[], p_busy_until timestamptz[], p_rings int[], p_rings_answered int[]) returns json
language plpgsql
-- As in claim_holds: the plans are cached while the tables are small, and must be those for large ones.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
set plan_cache_mode = force_generic_plan
as $$
declare
  v_ids uuid[];
  v_holds uuid[];
begin
  perform 1 from payment where id = any (p_ids) order by id for update;
  select array_agg(p.id), array_agg(p.hold_id) into v_ids, v_holds
  from unnest(p_ids, p_busy_until, p_rings) as c(id, busy_until, rings) join payment p on p.id = c.id
  where p.state = 'PENDING' and p.is_current and p.busy_until = c.busy_until and p.rings = c.rings;
  perform 1 from hold where id = any (v_holds) order by id for update;
  select array_agg(c.id), array_agg(c.hold_id) into v_ids, v_holds
  from unnest(v_ids, v_holds) as c(id, hold_id) join hold h on h.id = c.hold_id
  where h.state = 'PAYING';

  update payment p
  set state = 'APPROVED', captured_minor = c.captured, reference = c.reference, rings_answered = c.rings_answered, changed_at = clock_timestamp(),
    busy_until = null, next_look_at = null, looks = 0, customer_authorization = null
  from unnest(p_ids, p_references, p_captured, p_rings_answered) as c(id, reference, captured, rings_answered)
  where p.id = c.id and p.id = any (v_ids);
  return (
    select coalesce(json_agg(json_build_object('id', b.id, 'holdId', b.hold_id, 'kinds', (
      select json_agg(distinct pool.kind) from hold_item i join pool on pool.id = i.pool_id where i.hold_id = b.hold_id))), '[]')
    from unnest(v_ids, v_holds) as b(id, hold_id));
end $$;
`;
