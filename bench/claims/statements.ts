/** What the baselines send to PostgreSQL: the usual ways of claiming one of N, each with less to check than the product (no limits per member). */

export const LOCK_POOL = `
  select capacity - held - sold as free, price_minor, currency, hold_seconds from pool
  where id = $1 and (opens_at is null or opens_at <= now()) and (closes_at is null or closes_at > now()) for update`;

export const TAKE_ONE = 'update pool set held = held + 1, version = version + 1, changed_at = now() where id = $1';

/** The hold and its item in one round trip, which is in favour of the lock per request: it is held for one round trip less. */
export const INSERT_HOLD = `
  with made as (
    insert into hold (kind, claimant_id, amount_minor, currency, expires_at, idempotency_key, request_hash)
    values ('lesson', $2, $3, $4, now() + make_interval(secs => $5), $6, sha256(convert_to($6, 'UTF8')))
    returning id, amount_minor, currency, expires_at, created_at
  ), item as (insert into hold_item (hold_id, position, pool_id, quantity) select id, 0, $1, 1 from made)
  select * from made`;

/** Check and act in one statement, no row where nothing is left. */
export const GUARDED = `
  with taken as (
    update pool set held = held + 1, version = version + 1, changed_at = now()
    where id = $1 and held + sold < capacity and (opens_at is null or opens_at <= now()) and (closes_at is null or closes_at > now())
    returning price_minor, currency, hold_seconds
  ), made as (
    insert into hold (kind, claimant_id, amount_minor, currency, expires_at, idempotency_key, request_hash)
    select 'lesson', $2, price_minor, currency, now() + make_interval(secs => hold_seconds), $3, sha256(convert_to($3, 'UTF8')) from taken
    returning id, amount_minor, currency, expires_at, created_at
  ), item as (insert into hold_item (hold_id, position, pool_id, quantity) select id, 0, $1, 1 from made)
  select * from made`;
