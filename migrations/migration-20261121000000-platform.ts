import { Migration } from '@mikro-orm/migrations';

/** What the platform itself keeps: stored answers of mutations and the heartbeats of workers. */
export class Migration20261121000000Platform extends Migration {
  override up(): void {
    this.addSql(`
      create table idempotent_answer (
        member_id uuid not null,
        key text not null check (length(key) between 1 and 200),
        operation text not null,
        request_hash bytea not null check (length(request_hash) = 32),
        answer jsonb,
        created_at timestamptz not null default now(),
        primary key (member_id, key)
      )
    `);
    this.addSql('create index idempotent_answer_created_at on idempotent_answer (created_at)');

    // Rewritten every few seconds by each worker: half-empty pages keep the rewrites off the index.
    this.addSql(`
      create table worker_heartbeat (
        worker_id text primary key,
        host text not null,
        started_at timestamptz not null default clock_timestamp(),
        beat_at timestamptz not null default clock_timestamp()
      ) with (fillfactor = 50)
    `);
  }

  override down(): void {
    this.addSql('drop table worker_heartbeat');
    this.addSql('drop table idempotent_answer');
  }
}
