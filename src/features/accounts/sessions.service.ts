import { createHash, randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { AccessTokens } from './access-tokens.ts';
import { InvalidRefreshTokenError, RefreshTokenJustUsedError, RefreshTokenReusedError } from './accounts.errors.ts';

/** Where a session was opened from; kept with it so that its owner can recognise it. */
export interface Client {
  ip: string;
  userAgent: string | null;
}

export interface SessionTokens {
  accessToken: string;
  accessTokenExpiresAt: Date;
  refreshToken: string;
  refreshTokenExpiresAt: Date;
}

/** More devices than a person has; the oldest session ends when one more is opened. */
const SESSIONS_PER_MEMBER_MAX = 20;
/** Two tabs of a browser wake up together and present the same refresh token. Within this time the slower one is not taken for a thief. */
const REUSE_GRACE_SECONDS = 10;
const HALF_BYTES = 32;

/**
 * Sessions and their refresh tokens. A refresh token has two random halves: one that stays for the whole session (the family), one that is
 * new after every use. So one row per session, with hashes only, recognises every token it ever gave out: right family and wrong turn means
 * a token used before. A guess, without the family half, finds nothing and ends nothing.
 *
 * Every step is one guarded statement. A turn never becomes current again once it was replaced, so steps that follow each other need no lock.
 */
export class SessionsService {
  constructor(
    private readonly pool: pg.Pool,
    private readonly tokens: AccessTokens,
    private readonly sessionSeconds: number,
    /** Hears of sessions their members end, so that their sockets close at once; other ends are found within seconds. */
    private readonly ended: (sessionId: string) => void = () => undefined,
  ) {}

  async open(memberId: string, client: Client): Promise<SessionTokens> {
    const refresh = newRefreshToken(randomBytes(HALF_BYTES));
    const { rows } = await this.pool.query<{ id: string; expiresAtMs: number }>({
      name: 'session-open',
      text: OPEN,
      values: [
        memberId,
        refresh.familyHash,
        refresh.turnHash,
        this.sessionSeconds,
        client.ip.slice(0, 64),
        client.userAgent?.slice(0, 256) ?? null,
      ],
    });
    return this.tokensOf(memberId, rows[0] as (typeof rows)[0], refresh.token);
  }

  /** Exchanges a refresh token for new tokens of the same session. The old access token stays good until it expires. */
  async refresh(
    refreshToken: string,
  ): Promise<SessionTokens | InvalidRefreshTokenError | RefreshTokenJustUsedError | RefreshTokenReusedError> {
    const presented = readRefreshToken(refreshToken);
    if (!presented) return new InvalidRefreshTokenError();
    const next = newRefreshToken(presented.family);
    const rotated = await this.pool.query<{ id: string; memberId: string; expiresAtMs: number }>({
      name: 'session-rotate',
      text: ROTATE,
      values: [presented.familyHash, presented.turnHash, next.turnHash],
    });
    const session = rotated.rows[0];
    if (session) return this.tokensOf(session.memberId, session, next.token);
    return this.refuse(presented);
  }

  /** Ends a session at once: the next check of its access token, on any node, finds it gone. Ending it twice is no error. */
  async signOut(sessionId: string): Promise<void> {
    await this.pool.query(`update session set revoked_at = now(), revoked_reason = 'SIGNED_OUT' where id = $1 and revoked_at is null`, [
      sessionId,
    ]);
    this.ended(sessionId);
  }

  /** Ends all sessions of a member at once. */
  async signOutEverywhere(memberId: string): Promise<void> {
    const { rows } = await this.pool.query<{ id: string }>(
      `update session set revoked_at = now(), revoked_reason = 'SIGNED_OUT' where member_id = $1 and revoked_at is null returning id`,
      [memberId],
    );
    for (const { id } of rows) this.ended(id);
  }

  /** Deletes the sessions that expired over a day ago and says how many; to be run now and then. Nothing depends on it. */
  async deleteExpired(): Promise<number> {
    const { rowCount } = await this.pool.query(`delete from session where expires_at < now() - interval '1 day'`);
    return rowCount ?? 0;
  }

  private async refuse({ familyHash, turnHash }: RefreshToken) {
    const values = [familyHash, turnHash, REUSE_GRACE_SECONDS];
    const revoked = await this.pool.query({ name: 'session-reused', text: REVOKE_REUSED, values });
    if (revoked.rowCount) return new RefreshTokenReusedError();
    const justUsed = await this.pool.query({ name: 'session-just-used', text: JUST_USED, values });
    return justUsed.rowCount ? new RefreshTokenJustUsedError() : new InvalidRefreshTokenError();
  }

  private tokensOf(memberId: string, session: { id: string; expiresAtMs: number }, refreshToken: string): SessionTokens {
    const { accessToken, expiresAt } = this.tokens.sign(memberId, session.id);
    return { accessToken, accessTokenExpiresAt: expiresAt, refreshToken, refreshTokenExpiresAt: new Date(session.expiresAtMs) };
  }
}

// Times come back as numbers: in the pool of the ORM a timestamp is the text PostgreSQL sent.
// The sub-select does not see the new row yet, so it keeps one less than the maximum.
const OPEN = `
  with crowded_out as (
    update session set revoked_at = now(), revoked_reason = 'TOO_MANY_SESSIONS'
    where id in (
      select id from session where member_id = $1 and revoked_at is null and expires_at > now()
      order by created_at desc, id desc offset ${SESSIONS_PER_MEMBER_MAX - 1}
    )
  )
  insert into session (member_id, family_hash, token_hash, expires_at, client_ip, user_agent)
  values ($1, $2, $3, now() + make_interval(secs => $4), $5, $6)
  returning id, extract(epoch from expires_at)::float8 * 1000 as "expiresAtMs"`;

// Of two that present the same token the second waits for the row, finds the hash changed and updates nothing.
const ROTATE = `
  update session set token_hash = $3, previous_token_hash = token_hash, rotated_at = now()
  where family_hash = $1 and token_hash = $2 and revoked_at is null and expires_at > now()
  returning id, member_id as "memberId", extract(epoch from expires_at)::float8 * 1000 as "expiresAtMs"`;

// now() is when the statement began; the row may have been rotated while it waited, so the grace is open towards the future.
const WITHIN_GRACE = `coalesce(previous_token_hash = $2 and rotated_at > now() - make_interval(secs => $3), false)`;

const REVOKE_REUSED = `
  update session set revoked_at = now(), revoked_reason = 'REFRESH_TOKEN_REUSED'
  where family_hash = $1 and token_hash <> $2 and revoked_at is null and expires_at > now() and not ${WITHIN_GRACE}`;

const JUST_USED = `select from session where family_hash = $1 and revoked_at is null and expires_at > now() and ${WITHIN_GRACE}`;

interface RefreshToken {
  family: Buffer;
  familyHash: Buffer;
  turnHash: Buffer;
}

function newRefreshToken(family: Buffer): RefreshToken & { token: string } {
  const turn = randomBytes(HALF_BYTES);
  const token = Buffer.concat([family, turn]).toString('base64url');
  return { token, family, familyHash: sha256(family), turnHash: sha256(turn) };
}

function readRefreshToken(token: string): RefreshToken | null {
  if (!REFRESH_TOKEN.test(token)) return null;
  const bytes = Buffer.from(token, 'base64url');
  const family = bytes.subarray(0, HALF_BYTES);
  return { family, familyHash: sha256(family), turnHash: sha256(bytes.subarray(HALF_BYTES)) };
}

/** 64 bytes in base64url. */
const REFRESH_TOKEN = /^[\w-]{86}$/;

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();
