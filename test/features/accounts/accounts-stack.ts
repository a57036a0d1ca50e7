import type { Redis } from 'ioredis';
import {
  ACCOUNTS_DEFAULTS,
  AccessTokens,
  type AccountsConfig,
  AccountsService,
  AttemptLimits,
  accounts,
  Passwords,
  RehearsalMembers,
  SessionGate,
  SessionsService,
} from '../../../src/features/accounts/index.ts';
import type { Database } from '../../../src/platform/database/database.ts';
import type { Role } from '../../../src/platform/graphql/context.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

/** The parts of accounts, wired as the composition root wires them, over a database of the test's own. */
export interface AccountsStack {
  db: TestDatabase;
  tokens: AccessTokens;
  gate: SessionGate;
  passwords: Passwords;
  limits: AttemptLimits;
  sessions: SessionsService;
  accounts: AccountsService;
  rehearsals: RehearsalMembers;
}

export const SECRET = 'a secret of the tests, of more than 32 bytes';
export const PASSWORD = 'correct horse battery';
export const CLIENT = { ip: '192.0.2.1', userAgent: 'a test' };

/** A thousandth of the real cost: the tests count argon2 runs, they do not need them to be slow. */
export const CHEAP = { ...ACCOUNTS_DEFAULTS.passwordCost, memoryKib: 64, passes: 1 };

export interface StackOptions extends Partial<Omit<AccountsConfig, 'attempts'>> {
  attempts?: Partial<AccountsConfig['attempts']>;
  redis?: Redis;
}

export async function accountsStack(options: StackOptions = {}): Promise<AccountsStack> {
  const db = await testDatabase({ entities: accounts.entities ?? [] });
  return { db, ...(await accountsOver(db.database, options)) };
}

export async function accountsOver(database: Database, { redis, ...options }: StackOptions = {}): Promise<Omit<AccountsStack, 'db'>> {
  const config: AccountsConfig = {
    ...ACCOUNTS_DEFAULTS,
    accessTokenSecret: SECRET,
    passwordCost: CHEAP,
    ...options,
    attempts: { ...ACCOUNTS_DEFAULTS.attempts, ...options.attempts },
  };
  const tokens = new AccessTokens(config.accessTokenSecret, config.accessTokenSeconds);
  const passwords = await Passwords.create(config.passwordCost);
  const limits = new AttemptLimits({ pool: database.pool, redis }, config.attempts);
  const sessions = new SessionsService(database.pool, tokens, config.sessionSeconds);
  return {
    tokens,
    passwords,
    limits,
    sessions,
    gate: new SessionGate(database.pool, tokens),
    accounts: new AccountsService(database, passwords, sessions, limits),
    rehearsals: new RehearsalMembers(database.pool, tokens),
  };
}

/** A member with the password PASSWORD; returns the uuid. */
export async function member({ db, accounts }: AccountsStack, email: string, role: Role = 'MEMBER'): Promise<string> {
  await accounts.ensureMember({ email, password: PASSWORD, displayName: 'Someone', gender: null, locale: 'en', role });
  const [row] = await db.query<{ id: string }>('select id from member where email = $1', [email]);
  return (row as { id: string }).id;
}

/** Counts the queries that the pool was asked for while `work` ran. */
export async function countQueries<T>(database: Database, work: () => Promise<T>): Promise<{ result: T; queries: number }> {
  let queries = 0;
  const count = () => queries++;
  database.pool.on('acquire', count);
  try {
    const result = await work();
    return { result, queries };
  } finally {
    database.pool.off('acquire', count);
  }
}
