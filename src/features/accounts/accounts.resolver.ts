import { Arg, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import { RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { Refusal } from '../../platform/refusal.ts';
import { RefreshSessionInput, SetMemberRoleInput, SignInInput, SignOutInput, SignUpInput } from './accounts.inputs.ts';
import { memberById } from './accounts.loaders.ts';
import type { AccountsService } from './accounts.service.ts';
import type { Member } from './member.entity.ts';
import { MemberType } from './member.types.ts';
import {
  RefreshSessionResult,
  RefreshSessionSuccess,
  SetMemberRoleResult,
  SetMemberRoleSuccess,
  SignInResult,
  SignInSuccess,
  SignOutResult,
  SignOutSuccess,
  SignUpAccepted,
  SignUpResult,
} from './session.types.ts';
import type { Client, SessionsService } from './sessions.service.ts';

/** The request, and what the caller's browser calls itself where the transport knows it. */
type Context = RequestContext & { userAgent?: string | null };

const clientOf = ({ clientIp, userAgent }: Context): Client => ({ ip: clientIp, userAgent: userAgent ?? null });

// Hashing a password takes some 25 ms of a core, where an ordinary mutation takes well under one.
const HASHING_PRICE = 50;

@Resolver(() => MemberType)
export class AccountsResolver {
  constructor(
    private readonly accounts: AccountsService,
    private readonly sessions: SessionsService,
  ) {}

  @Price(1)
  @Query(() => MemberType, { nullable: true, description: 'The member who asks. Null without a valid access token.' })
  me(@Ctx() context: RequestContext): Promise<Member | null> | null {
    return context.viewer && memberById(context).load(context.viewer.memberId);
  }

  @FieldResolver(() => ID)
  id(@Root() member: Member): string {
    return toNodeId('Member', member.id);
  }

  @Price(HASHING_PRICE)
  @Mutation(() => SignUpResult, {
    nullable: true,
    description:
      'Makes an account. An address that has one gets the same answer and keeps what it has, so calling again changes nothing. Signs nobody in. At most 30 calls per network address in 15 minutes, unless configured otherwise. Null only together with a top-level error.',
  })
  async signUp(
    @Arg('input', () => SignUpInput, { description: 'The account to make.' }) input: SignUpInput,
    @Ctx() context: Context,
  ): Promise<typeof SignUpResult> {
    const result = await this.accounts.signUp({ ...input, gender: input.gender ?? null, locale: context.locale }, context.clientIp);
    return result instanceof Refusal ? result : new SignUpAccepted(result.email);
  }

  @Price(HASHING_PRICE)
  @Mutation(() => SignInResult, {
    nullable: true,
    description:
      'Opens a session. Calling again opens another one; a member has at most 20, the oldest ends. 10 failures per e-mail address and 100 per network address are allowed in 15 minutes, unless configured otherwise. Null only together with a top-level error.',
  })
  async signIn(
    @Arg('input', () => SignInInput, { description: 'The credentials.' }) input: SignInInput,
    @Ctx() context: Context,
  ): Promise<typeof SignInResult> {
    const result = await this.accounts.signIn(input, clientOf(context));
    return result instanceof Refusal ? result : new SignInSuccess(result);
  }

  @Mutation(() => RefreshSessionResult, {
    nullable: true,
    description:
      'Exchanges a refresh token for new tokens. Each is good once: of two calls with the same token exactly one succeeds. The other one, within 10 seconds, gets RefreshTokenJustUsedError and the session goes on; later it gets RefreshTokenReusedError and the session ends. Null only together with a top-level error.',
  })
  async refreshSession(
    @Arg('input', () => RefreshSessionInput, { description: 'The session to go on with.' }) input: RefreshSessionInput,
  ): Promise<typeof RefreshSessionResult> {
    const result = await this.sessions.refresh(input.refreshToken);
    return result instanceof Refusal ? result : new RefreshSessionSuccess(result);
  }

  @RequiresRole()
  @Mutation(() => SignOutResult, {
    nullable: true,
    description:
      'Ends the session of the access token it is called with: from then on neither that token nor the refresh token is accepted, on any node. Null only together with a top-level error.',
  })
  async signOut(
    @Arg('input', () => SignOutInput, { description: 'What to end.' }) { everywhere }: SignOutInput,
    @Ctx() context: Context,
  ): Promise<typeof SignOutResult> {
    const { memberId, sessionId } = viewerOf(context);
    await (everywhere ? this.sessions.signOutEverywhere(memberId) : this.sessions.signOut(sessionId));
    return new SignOutSuccess(everywhere);
  }

  @RequiresRole('ADMIN')
  @Mutation(() => SetMemberRoleResult, {
    nullable: true,
    description:
      "Gives a member a role; for administrators. It counts from the member's next request on, and calling again changes nothing. Null only together with a top-level error.",
  })
  async setMemberRole(
    @Arg('input', () => SetMemberRoleInput, { description: 'Who gets which role.' }) { memberId, role }: SetMemberRoleInput,
  ): Promise<typeof SetMemberRoleResult> {
    const result = await this.accounts.setRole(uuidOf(memberId, 'Member'), role);
    return result instanceof Refusal ? result : new SetMemberRoleSuccess(result);
  }
}
