import { Migration } from '@mikro-orm/migrations';

/** Who follows which taken seat or tier, in the order they came. */
export class Migration20261121001100SeatWatches extends Migration {
  override up(): void {
    this.addSql(`
      create table seat_watch (
        id uuid primary key default uuidv7(),
        performance_id uuid not null references performance (id),
        member_id uuid not null references member (id),
        seat_number int,
        tier_id uuid references tier (id),
        quantity smallint not null default 1 check (quantity between 1 and 10),
        state text not null default 'WAITING' check (state in ('WAITING', 'OFFERED', 'ENDED')),
        -- Whose turn it is next, by itself: an id would do, but an offer that could not be made must not lose its turn.
        created_at timestamptz not null default clock_timestamp(),
        changed_at timestamptz not null default clock_timestamp(),
        version int not null default 1,
        hold_id uuid references hold (id),
        check ((seat_number is null) <> (tier_id is null)),
        check ((state = 'WAITING') <= (hold_id is null) and (state = 'OFFERED') <= (hold_id is not null))
      );
      create unique index seat_watch_once on seat_watch (member_id, performance_id, coalesce(seat_number, -1), tier_id) nulls not distinct where state = 'WAITING';
      create index seat_watch_queue on seat_watch (performance_id, created_at, id) where state = 'WAITING';
      create index seat_watch_member on seat_watch (member_id, id);
    `);
  }

  override down(): void {
    this.addSql('drop table seat_watch;');
  }
}
