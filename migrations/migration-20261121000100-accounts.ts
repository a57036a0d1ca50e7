import { Migration } from '@mikro-orm/migrations';

/** Members, their sessions, and the counters that slow down guessing. */
export class Migration20261121000100Accounts extends Migration {
  override up(): void {
    this.addSql(MEMBER);
    this.addSql(SESSION);
    this.addSql(ATTEMPT_COUNTER);
  }

  override down(): void {
    this.addSql('drop table attempt_counter, session, member');
  }
}

const MEMBER = `
  create table member (
    id uuid primary key default uuidv7(),
    email text not null constraint member_email unique check (length(email) between 3 and 254),
    display_name text not null check (length(display_name) between 1 and 100),
    password_hash text,
    role text not null default 'MEMBER' check (role in ('MEMBER', 'ORGANIZER', 'ADMIN')),
    gender text check (gender in ('MALE', 'FEMALE')),
    locale text not null default 'en' check (locale in ('en', 'ko')),
    created_at timestamptz not null default now()
  );
  -- Changing a role locks every administrator, so that the last one stays.
  create index member_admin on member (id) where role = 'ADMIN';
`;

const SESSION = `
  create table session (
    id uuid primary key default uuidv7(),
    member_id uuid not null references member on delete cascade,
    family_hash bytea not null constraint session_family unique check (length(family_hash) = 32),
    token_hash bytea not null check (length(token_hash) = 32),
    previous_token_hash bytea check (length(previous_token_hash) = 32),
    rotated_at timestamptz,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    revoked_reason text check (revoked_reason in ('SIGNED_OUT', 'REFRESH_TOKEN_REUSED', 'TOO_MANY_SESSIONS')),
    client_ip text check (length(client_ip) <= 64),
    user_agent text check (length(user_agent) <= 256),
    constraint session_revoked_whole check ((revoked_at is null) = (revoked_reason is null)),
    constraint session_rotated_whole check ((rotated_at is null) = (previous_token_hash is null))
  ) with (fillfactor = 70); -- every refresh rewrites the row: room on the page keeps the update off the indexes
  create index session_member on session (member_id, created_at);
  create index session_expiry on session (expires_at);
`;

// The shape is the one rate-limiter-flexible expects. Unlogged: a crash of the database forgets some minutes of counting,
// and in exchange counting an attempt waits for no disk.
const ATTEMPT_COUNTER = `
  create unlogged table attempt_counter (
    key varchar(255) primary key,
    points integer not null default 0,
    expire bigint
  );
`;
