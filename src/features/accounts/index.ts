import type { Feature } from '../feature.ts';
import { AccountsResolver } from './accounts.resolver.ts';
import type { AccountsService } from './accounts.service.ts';
import { MemberSchema } from './member.entity.ts';
import { SessionSchema } from './session.entity.ts';
import type { SessionsService } from './sessions.service.ts';

/** Members, sessions, and who may do what. */
export const accounts: Feature = {
  name: 'accounts',
  entities: [MemberSchema, SessionSchema],
  resolvers: [AccountsResolver],
};

export const accountsResolvers = (accountsService: AccountsService, sessions: SessionsService): object[] => [
  new AccountsResolver(accountsService, sessions),
];

export { AccessTokens } from './access-tokens.ts';
export { ACCOUNTS_DEFAULTS, type AccountsConfig } from './accounts.config.ts';
export { RateLimitedError, TooBusyError } from './accounts.errors.ts';
export { memberById, memberNode } from './accounts.loaders.ts';
export { DEMO_ACCOUNTS, DEMO_PASSWORD, seedAccounts } from './accounts.seed.ts';
export { AccountsService } from './accounts.service.ts';
export { AttemptLimits } from './attempt-limits.ts';
export { emailOf } from './email.ts';
export { GENDERS, type Gender, Member } from './member.entity.ts';
export { GenderEnum, MemberType } from './member.types.ts';
export { Passwords } from './passwords.ts';
export { type RehearsalMember, RehearsalMembers } from './rehearsal-members.ts';
export { SessionGate } from './session-gate.ts';
export { SessionsService } from './sessions.service.ts';
export { forgetSessions } from './sessions.tasks.ts';
