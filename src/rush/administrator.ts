import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { RushAuditDocument, RushProvidersDocument, RushSignInDocument, RushSignOutDocument } from '../../schema/generated/operations.ts';
import { type Api, ApiError } from './api.ts';
import type { Audit } from './invariants.ts';
import { type CommonOptions, SetupError } from './options.ts';

const MEMBERS_PER_CALL = 10_000;

/** Exists only where rehearsals are switched on, so it is in no committed schema and has no generated type. */
const CREATE_MEMBERS = 'mutation RushMembers($count: Int!) { createRehearsalMembers(count: $count) { accessToken } }';

/** Who prepares a rehearsal, looks at what came of it, and puts it away. */
export class Administrator {
  private readonly api: Api;
  private readonly who: CommonOptions['admin'];
  private accessToken: string | undefined;

  constructor(api: Api, who: CommonOptions['admin']) {
    this.api = api;
    this.who = who;
  }

  async signIn(): Promise<void> {
    if ('accessToken' in this.who) {
      this.accessToken = this.who.accessToken;
      return;
    }
    const { signIn } = await this.api.call(RushSignInDocument, { input: this.who });
    if (signIn?.__typename === 'SignInSuccess') this.accessToken = signIn.tokens.accessToken;
    else
      throw new SetupError(`${this.who.email} cannot sign in: ${signIn?.message ?? 'no answer'} Give --admin-email and --admin-password.`);
  }

  /** Calls what needs an administrator. */
  call<Data, Variables>(document: TypedDocumentNode<Data, Variables> | string, variables: Variables): Promise<Data> {
    return this.signedIn((accessToken) => this.api.call(document, variables, accessToken));
  }

  /** Runs what needs an administrator, signing in again when the token has expired meanwhile. Access tokens live ten minutes or less. */
  async signedIn<Data>(run: (accessToken: string | undefined) => Promise<Data>): Promise<Data> {
    try {
      return await run(this.accessToken);
    } catch (error) {
      const { code } = error as ApiError;
      if (code === 'UNAUTHENTICATED' && !('accessToken' in this.who)) {
        await this.signIn();
        return run(this.accessToken);
      }
      throw translated(error);
    }
  }

  /** The provider the winners pay with: the first that the server offers. */
  async provider(): Promise<string> {
    const { paymentProviders } = await this.api.call(RushProvidersDocument, {});
    const [provider] = paymentProviders;
    if (!provider)
      throw new SetupError('This server offers no payment provider: start it with PAYMENT_SIMULATOR=on, or rush with --pay 0.');
    return provider;
  }

  /** Makes members and answers the access token of each. `made` hears how many there are. */
  async makeMembers(members: number, made: (count: number) => void): Promise<string[]> {
    const accessTokens: string[] = [];
    while (accessTokens.length < members) {
      const count = Math.min(MEMBERS_PER_CALL, members - accessTokens.length);
      const { createRehearsalMembers } = await this.call<{ createRehearsalMembers: { accessToken: string }[] }, { count: number }>(
        CREATE_MEMBERS,
        { count },
      );
      for (const { accessToken } of createRehearsalMembers) accessTokens.push(accessToken);
      made(accessTokens.length);
    }
    return accessTokens;
  }

  async audit(): Promise<Audit> {
    return (await this.api.call(RushAuditDocument, {})).inventoryAudit;
  }

  async signOut(): Promise<void> {
    if (this.accessToken && !('accessToken' in this.who)) await this.api.call(RushSignOutDocument, { input: {} }, this.accessToken);
  }
}

function translated(error: unknown): unknown {
  if (!(error instanceof ApiError)) return error;
  // Every other operation is in the committed schema; the message may not name the field where introspection is off.
  if (error.code === 'GRAPHQL_VALIDATION_FAILED')
    return new SetupError(
      'Rehearsals are switched off on this server: start it with REHEARSALS=on (refused in production), or let npm run rush -- --own start one.',
    );
  if (error.code === 'UNAUTHENTICATED') return new SetupError(`The server does not accept the access token: ${error.message}`);
  if (error.code === 'FORBIDDEN')
    return new SetupError(
      'A rehearsal needs the role ADMIN: give --admin-email and --admin-password, or RUSH_ADMIN_TOKEN, of an administrator.',
    );
  return new SetupError(`The server refuses to prepare the rehearsal (${error.code}): ${error.message}`);
}

/** What could not be prepared, and why. */
export const refused = (what: string, result: { code?: string; message?: string } | null | undefined) =>
  new SetupError(`${what} was refused (${result?.code ?? 'no answer'}): ${result?.message ?? 'the server did not say why.'}`);
