import { createUnionType, Field, ObjectType } from 'type-graphql';
import {
  InvalidCredentialsError,
  InvalidDisplayNameError,
  InvalidEmailError,
  InvalidPasswordError,
  InvalidRefreshTokenError,
  LastAdminError,
  MemberNotFoundError,
  RateLimitedError,
  RefreshTokenJustUsedError,
  RefreshTokenReusedError,
  TooBusyError,
} from './accounts.errors.ts';
import type { Member } from './member.entity.ts';
import { MemberType } from './member.types.ts';
import type { SessionTokens } from './sessions.service.ts';

@ObjectType('SessionTokens', { description: 'What proves a session. Keep the refresh token where scripts of other sites cannot read it.' })
export class SessionTokensType implements SessionTokens {
  @Field(() => String, { description: 'Goes into the header `Authorization: Bearer …` of every request.' })
  accessToken!: string;

  @Field(() => Date, {
    description: 'When the access token stops being accepted: 10 minutes after it was made, unless configured otherwise.',
  })
  accessTokenExpiresAt!: Date;

  @Field(() => String, { description: 'Good for one call of `refreshSession`, which answers with the next one.' })
  refreshToken!: string;

  @Field(() => Date, {
    description: 'When the session ends by itself: 30 days after signing in, unless configured otherwise. Refreshing does not extend it.',
  })
  refreshTokenExpiresAt!: Date;
}

@ObjectType('SignUpAccepted', {
  description: 'There is an account for this address now, or there was one before; the answer does not say which. Sign in next.',
})
export class SignUpAccepted {
  @Field(() => String, { description: 'The address as it is stored: without space around it, in lower case.' })
  readonly email: string;

  constructor(email: string) {
    this.email = email;
  }
}

@ObjectType('SignInSuccess', { description: 'A new session.' })
export class SignInSuccess {
  @Field(() => MemberType, { description: 'Who signed in.' })
  readonly member: Member;

  @Field(() => SessionTokensType, { description: 'The tokens of the new session.' })
  readonly tokens: SessionTokens;

  constructor({ member, tokens }: { member: Member; tokens: SessionTokens }) {
    this.member = member;
    this.tokens = tokens;
  }
}

@ObjectType('RefreshSessionSuccess', { description: 'The session goes on with new tokens.' })
export class RefreshSessionSuccess {
  @Field(() => SessionTokensType, { description: 'The new tokens. The refresh token that was sent is used up.' })
  readonly tokens: SessionTokens;

  constructor(tokens: SessionTokens) {
    this.tokens = tokens;
  }
}

@ObjectType('SignOutSuccess', { description: 'The session has ended, on every node.' })
export class SignOutSuccess {
  @Field(() => Boolean, { description: 'True when all sessions of the member were ended, not only this one.' })
  readonly everywhere: boolean;

  constructor(everywhere: boolean) {
    this.everywhere = everywhere;
  }
}

@ObjectType('SetMemberRoleSuccess', { description: 'The member has the role now.' })
export class SetMemberRoleSuccess {
  @Field(() => MemberType, { description: 'The member with the new role.' })
  readonly member: Member;

  constructor(member: Member) {
    this.member = member;
  }
}

export const SignUpResult = createUnionType({
  name: 'SignUpResult',
  description:
    'What came of `signUp`. Errors in order of precedence: InvalidEmailError, InvalidPasswordError, InvalidDisplayNameError, TooBusyError, RateLimitedError.',
  types: () => [SignUpAccepted, InvalidEmailError, InvalidPasswordError, InvalidDisplayNameError, TooBusyError, RateLimitedError] as const,
});

export const SignInResult = createUnionType({
  name: 'SignInResult',
  description: 'What came of `signIn`. Errors in order of precedence: TooBusyError, RateLimitedError, InvalidCredentialsError.',
  types: () => [SignInSuccess, TooBusyError, RateLimitedError, InvalidCredentialsError] as const,
});

export const RefreshSessionResult = createUnionType({
  name: 'RefreshSessionResult',
  description:
    'What came of `refreshSession`. Errors: RefreshTokenReusedError, RefreshTokenJustUsedError, InvalidRefreshTokenError; only one of them can apply.',
  types: () => [RefreshSessionSuccess, RefreshTokenReusedError, RefreshTokenJustUsedError, InvalidRefreshTokenError] as const,
});

export const SignOutResult = createUnionType({
  name: 'SignOutResult',
  description: 'What came of `signOut`. It has no errors of its own.',
  types: () => [SignOutSuccess] as const,
});

export const SetMemberRoleResult = createUnionType({
  name: 'SetMemberRoleResult',
  description: 'What came of `setMemberRole`. Errors in order of precedence: MemberNotFoundError, LastAdminError.',
  types: () => [SetMemberRoleSuccess, MemberNotFoundError, LastAdminError] as const,
});
