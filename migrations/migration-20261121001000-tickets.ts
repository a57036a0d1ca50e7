import { Migration } from '@mikro-orm/migrations';

/** Tickets, one for each place of a paid hold, what hands them on, and every scan at a door. Whether a ticket is refunded is said by its hold. */
export class Migration20261121001000Tickets extends Migration {
  override up(): void {
    this.addSql(`
      create table ticket (
        id uuid primary key default uuidv7(),
        hold_id uuid not null references hold (id),
        position smallint not null,
        ordinal smallint not null,
        performance_id uuid not null references performance (id),
        tier_id uuid not null references tier (id),
        seat_number int,
        owner_id uuid not null references member (id),
        generation int not null default 1,
        issued_at timestamptz not null default now(),
        used_at timestamptz,
        used_gate text,
        used_by uuid references member (id),
        -- The same place of the same hold is one ticket, however often its job runs.
        unique (hold_id, position, ordinal),
        check ((used_at is null) = (used_by is null) and (used_at is null) = (used_gate is null))
      );
      create index ticket_owner on ticket (owner_id, id);
      create index ticket_performance on ticket (performance_id);

      create table ticket_transfer (
        id uuid primary key default uuidv7(),
        ticket_id uuid not null references ticket (id),
        from_id uuid not null references member (id),
        token_hash bytea not null unique,
        created_at timestamptz not null default now(),
        expires_at timestamptz not null,
        accepted_at timestamptz,
        accepted_by uuid references member (id),
        cancelled_at timestamptz,
        check (accepted_at is null or cancelled_at is null),
        check ((accepted_at is null) = (accepted_by is null))
      );
      create unique index ticket_transfer_open on ticket_transfer (ticket_id) where accepted_at is null and cancelled_at is null;

      create table scan (
        id uuid primary key default uuidv7(),
        performance_id uuid not null references performance (id),
        ticket_id uuid references ticket (id),
        result text not null,
        gate text not null check (length(gate) between 1 and 50),
        scanned_at timestamptz not null,
        received_at timestamptz not null default now(),
        staff_id uuid not null references member (id),
        is_offline boolean not null default false
      );
      create index scan_performance on scan (performance_id, id);
      create index scan_ticket on scan (ticket_id) where ticket_id is not null;
    `);
  }

  override down(): void {
    this.addSql('drop table scan, ticket_transfer, ticket;');
  }
}
