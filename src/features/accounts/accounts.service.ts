import { LockMode } from '@mikro-orm/postgresql';
import type { Database } from '../../platform/database/database.ts';
import type { Role } from '../../platform/graphql/context.ts';
import type { Locale } from '../../platform/locale.ts';
import {
  InvalidCredentialsError,
  InvalidDisplayNameError,
  InvalidEmailError,
  InvalidPasswordError,
  LastAdminError,
  MemberNotFoundError,
  RateLimitedError,
  type TooBusyError,
} from './accounts.errors.ts';
import type { AttemptLimits } from './attempt-limits.ts';
import { displayNameOf } from './display-name.ts';
import { emailOf } from './email.ts';
import { type Gender, Member } from './member.entity.ts';
import { isPossiblePassword, PASSWORD_CHARACTERS, type Passwords } from './passwords.ts';
import type { Client, SessionsService, SessionTokens } from './sessions.service.ts';

export interface Credentials {
  email: string;
  password: string;
}

export interface SignUp extends Credentials {
  displayName: string;
  gender: Gender | null;
  locale: Locale;
}

export interface SignedIn {
  member: Member;
  tokens: SessionTokens;
}

/** Who may sign in, and as what. */
export class AccountsService {
  constructor(
    private readonly database: Database,
    private readonly passwords: Passwords,
    private readonly sessions: SessionsService,
    private readonly limits: AttemptLimits,
  ) {}

  /**
   * Makes an account, unless the address has one; the answer is the same. So it can hand out no tokens: the caller signs in next.
   *
   * Answering "taken" would let anybody test who is a member of the pool. Until addresses are confirmed by mail one test remains: sign up,
   * then try to sign in with the password just chosen. It costs a counted sign-up and leaves an account behind; confirming by mail ends it.
   */
  async signUp(
    wish: SignUp,
    clientIp: string,
  ): Promise<{ email: string } | InvalidEmailError | InvalidPasswordError | InvalidDisplayNameError | RateLimitedError | TooBusyError> {
    const email = emailOf(wish.email);
    if (!email) return new InvalidEmailError();
    if (!isPossiblePassword(wish.password)) return new InvalidPasswordError(PASSWORD_CHARACTERS);
    const displayName = displayNameOf(wish.displayName);
    if (!displayName) return new InvalidDisplayNameError();

    return this.passwords.admit(async () => {
      const refusal = await this.limits.signUp(clientIp);
      if (refusal) return refusal;
      await this.insert({ ...wish, email, displayName, role: 'MEMBER' });
      return { email };
    });
  }

  async signIn(
    { email, password }: Credentials,
    client: Client,
  ): Promise<SignedIn | InvalidCredentialsError | RateLimitedError | TooBusyError> {
    // Nobody can have such a password, so this says nothing about the account, and costs nothing.
    if (!isPossiblePassword(password)) return new InvalidCredentialsError();

    return this.passwords.admit(async () => {
      const address = emailOf(email);
      const attempt = await this.limits.signIn(address ?? email, client.ip);
      if (attempt instanceof RateLimitedError) return attempt;
      const member = address ? await this.database.fork().findOne(Member, { email: address }) : null;
      const matches = await this.passwords.verify(member?.passwordHash ?? null, password);
      if (!member || !matches) return new InvalidCredentialsError();
      await attempt.succeeded();
      await this.renewOutdatedHash(member, password);
      return { member, tokens: await this.sessions.open(member.id, client) };
    });
  }

  /** Gives a member a role. It counts from the member's next request on, on every node. The last administrator stays one. */
  async setRole(memberId: string, role: Role): Promise<Member | MemberNotFoundError | LastAdminError> {
    return this.database.transact(
      async (em) => {
        // All administrators are locked, in id order: of two who demote each other at once, the second one sees what the first one did.
        const admins = await em.find(Member, { role: 'ADMIN' }, { orderBy: { id: 'asc' }, lockMode: LockMode.PESSIMISTIC_WRITE });
        const member = await em.findOne(Member, memberId);
        if (!member) return new MemberNotFoundError();
        if (member.role === 'ADMIN' && role !== 'ADMIN' && admins.every(({ id }) => id === memberId)) return new LastAdminError();
        member.role = role;
        return member;
      },
      { name: 'set-member-role' },
    );
  }

  /** Makes a member with any role, unless the address has an account; then nothing is changed. For seeds, not for callers from outside. */
  async ensureMember(wish: SignUp & { role: Role }): Promise<void> {
    const known = await this.database.fork().count(Member, { email: wish.email });
    if (known === 0) await this.insert(wish);
  }

  private async insert({ email, password, displayName, role, gender, locale }: SignUp & { role: Role }): Promise<void> {
    const passwordHash = await this.passwords.hash(password);
    // Writing the name over itself changes nothing. Without it a taken address would commit nothing, answer sooner by one flush of the
    // write-ahead log, and so tell what the answer does not.
    await this.database.pool.query(
      `insert into member (email, password_hash, display_name, role, gender, locale) values ($1, $2, $3, $4, $5, $6)
       on conflict (email) do update set display_name = member.display_name`,
      [email, passwordHash, displayName, role, gender, locale],
    );
  }

  private async renewOutdatedHash(member: Member, password: string): Promise<void> {
    if (!member.passwordHash || !this.passwords.isOutdated(member.passwordHash)) return;
    await this.database.pool.query('update member set password_hash = $1 where id = $2 and password_hash = $3', [
      await this.passwords.hash(password),
      member.id,
      member.passwordHash,
    ]);
  }
}
