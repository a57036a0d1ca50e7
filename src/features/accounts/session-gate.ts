import type pg from 'pg';
import type { Role, Viewer } from '../../platform/graphql/context.ts';
import type { AccessTokens } from './access-tokens.ts';

interface LiveSession {
  id: string;
  memberId: string;
  role: Role;
}

/** Keeps one query small enough to plan and answer in a millisecond or two. */
const SESSIONS_PER_QUERY = 1_000;

const LIVE_SESSIONS = `
  select session.id, member.id as "memberId", member.role
  from session join member on member.id = session.member_id
  where session.id = any($1::uuid[]) and session.revoked_at is null and session.expires_at > now()`;

/**
 * Tells who a token belongs to, from the database, for every request: a sign-out or a new role counts at once on every node.
 *
 * Remembering answers for some seconds would be cheaper and would break that promise. Instead concurrent checks share a query: while one
 * is in flight the others wait in line, and the next query answers all of them. A lone check goes at once.
 */
export class SessionGate {
  /** Checks not asked yet, by session; whoever asks for the same session meanwhile shares the answer. */
  private readonly waiting = new Map<string, PromiseWithResolvers<LiveSession | undefined>>();
  private isAsking = false;

  constructor(
    private readonly pool: pg.Pool,
    private readonly tokens: AccessTokens,
  ) {}

  /**
   * The caller behind an access token, or null when the token is not good or its session has ended. A failing database is thrown:
   * it must look like our fault, not like being signed out.
   */
  async authenticate(token: string): Promise<Viewer | null> {
    const claims = this.tokens.verify(token);
    if (!claims) return null;
    const live = await this.check(claims.sessionId);
    if (live?.memberId !== claims.memberId) return null;
    return { memberId: live.memberId, sessionId: live.id, role: live.role, expiresAt: claims.expiresAt };
  }

  /** Which of these sessions are still signed in; for the sockets a node holds open. Throws when the database does. */
  async sessionsStillLive(sessionIds: Iterable<string>): Promise<Set<string>> {
    const answers = await Promise.all(Array.from(new Set(sessionIds), (sessionId) => this.check(sessionId)));
    return new Set(answers.flatMap((live) => (live ? [live.id] : [])));
  }

  private check(sessionId: string): Promise<LiveSession | undefined> {
    let check = this.waiting.get(sessionId);
    if (!check) {
      check = Promise.withResolvers();
      this.waiting.set(sessionId, check);
      if (!this.isAsking) void this.askUntilEmpty();
    }
    return check.promise;
  }

  private async askUntilEmpty(): Promise<void> {
    this.isAsking = true;
    while (this.waiting.size > 0) {
      const batch = new Map([...this.waiting].slice(0, SESSIONS_PER_QUERY));
      for (const sessionId of batch.keys()) this.waiting.delete(sessionId);
      await this.ask(batch);
    }
    this.isAsking = false;
  }

  private async ask(batch: ReadonlyMap<string, PromiseWithResolvers<LiveSession | undefined>>): Promise<void> {
    try {
      const { rows } = await this.pool.query<LiveSession>({ name: 'live-sessions', text: LIVE_SESSIONS, values: [[...batch.keys()]] });
      const live = new Map(rows.map((row) => [row.id, row]));
      for (const [sessionId, check] of batch) check.resolve(live.get(sessionId));
    } catch (error) {
      for (const check of batch.values()) check.reject(error);
    }
  }
}
