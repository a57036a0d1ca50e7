import { Migration } from '@mikro-orm/migrations';

/** Who follows which taken seat or tier, in the order they came. */
export class Migration20261121001100SeatWatches extends Migration {
  override up(): void {
    this.addSql(WATCHES);
    this.addSql(VERSION);
    this.addSql(AS_OF_NOW);
    this.addSql('create index pool_watched on pool (id) where is_watched');
  }

  override down(): void {
    this.addSql('drop index pool_watched; drop view seat_watch_now; drop table seat_watch; drop function change_seat_watch();');
  }
}

const WATCHES = `
  create table seat_watch (
    id uuid primary key default uuidv7(),
    member_id uuid not null references member (id),
    performance_id uuid not null references performance (id),
    tier_id uuid not null references tier (id),
    -- Whose change may end the waiting: the pool of the numbered seats, or that of a tier without numbers.
    pool_id uuid not null references pool (id),
    -- Null: any seat or place of the tier.
    seat_number int,
    quantity smallint not null default 1 check (quantity between 1 and 10),
    state text not null default 'WAITING' check (state in ('WAITING', 'OFFERED', 'ENDED')),
    ended_because text check (ended_because in ('TAKEN', 'LAPSED', 'UNWATCHED', 'LIMIT_REACHED', 'COOLING_DOWN', 'NOT_ON_SALE')),
    hold_id uuid unique references hold (id),
    -- Whose turn it is next.
    created_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    version int not null default 1,
    check (pool_id in (performance_id, tier_id)),
    check (pool_id = tier_id and seat_number is null or quantity = 1),
    check ((state = 'ENDED') = (ended_because is not null)),
    check (state = 'ENDED' or (state = 'OFFERED') = (hold_id is not null))
  );
  create unique index seat_watch_once on seat_watch (member_id, tier_id, seat_number) nulls not distinct where state = 'WAITING';
  create index seat_watch_queue on seat_watch (pool_id, tier_id, created_at, id) where state = 'WAITING';
  create index seat_watch_offered on seat_watch (id) where state = 'OFFERED';
  create index seat_watch_member on seat_watch (member_id, id);
  create index seat_watch_performance on seat_watch (performance_id);
`;

/** As for holds: whoever changes a watch must not be able to forget that its followers compare versions. */
const VERSION = `
create function change_seat_watch() returns trigger
language plpgsql as $$
begin
  new.version := old.version + 1;
  new.changed_at := clock_timestamp();
  return new;
end $$;
create trigger seat_watch_changes before update on seat_watch for each row execute function change_seat_watch();
`;

/**
 * Watches as they are at this instant: an offer is over when its hold is, whether or not somebody has written that down. The version also rises with
 * the hold's.
 */
const AS_OF_NOW = `
create view seat_watch_now as
  select w.id, w.member_id, w.performance_id, w.tier_id, w.pool_id, w.seat_number, w.quantity,
    case when w.state = 'OFFERED' and o.ended_because is not null then 'ENDED' else w.state end as state,
    coalesce(w.ended_because, o.ended_because) as ended_because,
    w.hold_id, w.created_at, w.changed_at, w.version + coalesce(h.version, 0) as version
  from seat_watch w left join hold h on h.id = w.hold_id
  cross join lateral (
    select case when w.state <> 'OFFERED' then null
                when h.state in ('CONFIRMED', 'RETURNED') then 'TAKEN'
                when h.state in ('RELEASED', 'EXPIRED') or h.state = 'HELD' and h.expires_at <= clock_timestamp() then 'LAPSED' end as ended_because) o;
`;
