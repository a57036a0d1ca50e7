import { Migration } from '@mikro-orm/migrations';

/**
 * Venues with their seat plans, events, performances and tiers. A performance shares its id with the pool of its numbered seats, and that of seat `n` has the
 * unit whose id is the performance's with its last four digits replaced by `n` in hexadecimal; a tier without numbered seats shares its id with a pool of its own.
 */
export class Migration20261121000900Events extends Migration {
  override up(): void {
    this.addSql(`
      create table venue (
        id uuid primary key default uuidv7(),
        owner_id uuid not null references member (id),
        name text not null check (length(name) between 1 and 200),
        address text not null check (length(address) between 1 and 300),
        latitude double precision not null check (latitude between -90 and 90),
        longitude double precision not null check (longitude between -180 and 180),
        time_zone text not null default 'Asia/Seoul',
        created_at timestamptz not null default now()
      );
      create index venue_owner on venue (owner_id);
      create index venue_browse on venue (name, id);

      create table seat_plan (
        id uuid primary key default uuidv7(),
        venue_id uuid not null references venue (id),
        name text not null check (length(name) between 1 and 100),
        focus_x real not null,
        focus_y real not null,
        created_at timestamptz not null default now()
      );
      create index seat_plan_venue on seat_plan (venue_id);

      create table plan_seat (
        plan_id uuid not null references seat_plan (id) on delete cascade,
        number int not null check (number between 0 and 65535),
        section text not null check (length(section) between 1 and 50),
        row text not null check (length(row) between 1 and 10),
        label text not null check (length(label) between 1 and 10),
        x real not null,
        y real not null,
        zone text not null check (length(zone) between 1 and 20),
        is_accessible boolean not null default false,
        is_companion boolean not null default false,
        sale text not null default 'SALE' check (sale in ('SALE', 'HOUSE', 'KILL')),
        primary key (plan_id, number),
        unique (plan_id, section, row, label)
      );

      create table event (
        id uuid primary key default uuidv7(),
        organizer_id uuid not null references member (id),
        venue_id uuid not null references venue (id),
        title text not null check (length(title) between 1 and 200),
        body text not null check (length(body) <= 20000),
        category text not null check (category in ('CONCERT', 'MUSICAL', 'PLAY', 'CLASSICAL', 'DANCE', 'COMEDY', 'EXHIBITION', 'FESTIVAL', 'SPORTS', 'TALK')),
        created_at timestamptz not null default now(),
        changed_at timestamptz not null default now()
      );
      create index event_organizer on event (organizer_id, id);
      create index event_venue on event (venue_id, id);
      create index event_category on event (category, id);

      create table performance (
        id uuid primary key references pool (id),
        event_id uuid not null references event (id),
        plan_id uuid references seat_plan (id),
        starts_at timestamptz not null,
        ends_at timestamptz not null,
        cancellation jsonb not null check (jsonb_typeof(cancellation) = 'array' and jsonb_array_length(cancellation) <= 5),
        created_at timestamptz not null default now(),
        check (starts_at < ends_at)
      );
      create index performance_event on performance (event_id, starts_at, id);
      create index performance_plan on performance (plan_id);
      -- The end is there for what is on sale: what is over is passed by without reading its row.
      create index performance_browse on performance (starts_at, id, ends_at);

      create table tier (
        id uuid primary key default uuidv7(),
        performance_id uuid not null references performance (id) on delete cascade,
        name text not null check (length(name) between 1 and 50),
        zone text,
        price_minor int not null check (price_minor >= 0),
        position smallint not null,
        unique (performance_id, zone),
        unique (performance_id, name),
        unique (performance_id, position)
      );

      create table door_staff (
        event_id uuid not null references event (id) on delete cascade,
        member_id uuid not null references member (id),
        added_at timestamptz not null default now(),
        primary key (event_id, member_id)
      );
      create index door_staff_member on door_staff (member_id);
    `);
  }

  override down(): void {
    this.addSql('drop table door_staff, tier, performance, event, plan_seat, seat_plan, venue;');
  }
}
