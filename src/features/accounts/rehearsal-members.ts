import { strict as assert } from 'node:assert';
import type pg from 'pg';
import type { AccessTokens } from './access-tokens.ts';

export interface RehearsalMember {
  memberId: string;
  accessToken: string;
}

const MEMBERS_PER_CALL_MAX = 10_000;
/** A token of a rehearsal outlives the rehearsal: nobody refreshes 100,000 of them in the middle of it. */
const TOKEN_SECONDS = 7_200;
const MEMBERS_PER_DELETE = 10_000;

/** Members for rehearsing a sale, in bulk: hashing 100,000 passwords would take two cores over 20 minutes, so these have none and come signed in. */
export class RehearsalMembers {
  constructor(
    private readonly pool: pg.Pool,
    private readonly tokens: AccessTokens,
  ) {}

  /** Makes at most 10,000 members, every second one a woman, each with a session and an access token for two hours. */
  async createRehearsalMembers(count: number, lifeSeconds = TOKEN_SECONDS): Promise<RehearsalMember[]> {
    assert(Number.isInteger(count) && count >= 1 && count <= MEMBERS_PER_CALL_MAX, `1 to ${MEMBERS_PER_CALL_MAX} members per call`);
    const { rows } = await this.pool.query<{ memberId: string; sessionId: string }>(CREATE, [count, lifeSeconds]);
    return rows.map(({ memberId, sessionId }) => ({
      memberId,
      accessToken: this.tokens.sign(memberId, sessionId, lifeSeconds).accessToken,
    }));
  }

  /** Deletes all members of rehearsals with their sessions, and says how many. Whatever else refers to them has to be gone before. */
  async deleteRehearsalMembers(): Promise<number> {
    for (let deleted = 0; ; ) {
      const { rowCount } = await this.pool.query(DELETE);
      deleted += rowCount ?? 0;
      if ((rowCount ?? 0) < MEMBERS_PER_DELETE) return deleted;
    }
  }
}

// One statement, so all or nothing. The hashes stand where those of refresh tokens would: no 32 bytes are known that have them,
// so nobody can refresh such a session.
const CREATE = `
  with made as (
    insert into member (id, email, display_name, gender)
    select id, 'rehearsal-' || id || '@rehearsal.invalid', 'Rehearsal ' || number, case number % 2 when 0 then 'FEMALE' else 'MALE' end
    from (select uuidv7() as id, number from generate_series(1, $1::int) number) numbered
    returning id
  )
  insert into session (member_id, family_hash, token_hash, expires_at)
  select id, sha256(convert_to('family ' || gen_random_uuid(), 'UTF8')), sha256(convert_to('turn ' || gen_random_uuid(), 'UTF8')),
    now() + make_interval(secs => $2)
  from made
  returning member_id as "memberId", id as "sessionId"`;

// Who signed up with such an address has a password, and stays.
const DELETE = `
  delete from member where id in (
    select id from member where password_hash is null and email like 'rehearsal-%@rehearsal.invalid' limit ${MEMBERS_PER_DELETE}
  )`;
