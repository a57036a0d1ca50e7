import { Migration } from '@mikro-orm/migrations';

/** Payments, each for one hold, and the ledger of the sandbox provider. */
export class Migration20261121000400Payments extends Migration {
  override up(): void {
    this.addSql(`
      create table payment (
        id uuid primary key default uuidv7(),
        hold_id uuid not null unique references hold (id),
        member_id uuid not null,
        provider text not null,
        request jsonb not null default '{}',
        state text not null default 'PENDING' check (state in ('PENDING', 'APPROVED', 'REFUSED', 'REFUNDING', 'REFUNDED')),
        refusal_code text,
        amount_minor bigint not null check (amount_minor >= 0),
        currency char(3) not null,
        idempotency_key text not null,
        request_hash bytea not null,
        created_at timestamptz not null default now(),
        changed_at timestamptz not null default now(),
        unique (member_id, idempotency_key),
        check ((state = 'REFUSED') = (refusal_code is not null))
      );
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

  override down(): void {
    this.addSql('drop table sandbox_charge, payment;');
  }
}
