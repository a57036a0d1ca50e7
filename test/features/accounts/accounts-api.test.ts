import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { buildSchema } from 'type-graphql';
import { accounts, memberNode } from '../../../src/features/accounts/index.ts';
import { authChecker } from '../../../src/platform/graphql/authorization.ts';
import type { RequestContext } from '../../../src/platform/graphql/context.ts';
import { NodeResolver, toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { scalarsMap } from '../../../src/platform/graphql/scalars.ts';
import { localeOf } from '../../../src/platform/locale.ts';
import { type GraphqlServer, startGraphqlServer } from '../../platform/graphql/graphql-server.ts';
import { type AccountsStack, accountsStack, member, PASSWORD } from './accounts-stack.ts';

// biome-ignore lint/complexity/noBannedTypes: type-graphql knows resolvers as constructors of any signature.
type ResolverClass = Function;

/** The server as the application wires it, as far as accounts need it. */
async function serve(stack: AccountsStack): Promise<GraphqlServer> {
  const [AccountsResolver] = accounts.resolvers as [new (...parts: object[]) => object];
  const instances = new Map<ResolverClass, object>([
    [AccountsResolver, new AccountsResolver(stack.accounts, stack.sessions)],
    [NodeResolver, new NodeResolver(new Map([['Member', memberNode]]))],
  ]);
  const schema = await buildSchema({
    resolvers: [AccountsResolver, NodeResolver],
    container: { get: (type: ResolverClass) => instances.get(type) },
    authChecker,
    scalarsMap,
    validate: false,
    pubSub: { publish: () => undefined, subscribe: () => ({}) as never },
  });
  return startGraphqlServer(schema, {
    contextOf: async ({ headers, id, ip }): Promise<RequestContext> => ({
      requestId: String(id),
      viewer: headers.authorization ? await stack.gate.authenticate(headers.authorization.replace(/^Bearer /, '')) : null,
      locale: localeOf(headers['accept-language']),
      clientIp: ip,
      em: stack.db.database.fork(),
      loaders: new Map(),
      watch: () => {
        throw new Error('Nothing is watched here.');
      },
    }),
  });
}

describe('accounts over HTTP', () => {
  let stack: AccountsStack;
  let server: GraphqlServer;
  beforeAll(async () => {
    stack = await accountsStack({ attempts: { signInsPerAccount: 3 } });
    server = await serve(stack);
  });
  afterAll(async () => {
    await server.fastify.close();
    await stack.db.close();
  });

  async function send(query: string, variables: object = {}, headers: Record<string, string> = {}) {
    const { body } = await server.send('/graphql', {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    });
    return { data: body.data, codes: body.errors?.map((error: { extensions: { code: string } }) => error.extensions.code) };
  }
  const as = (accessToken: string) => ({ authorization: `Bearer ${accessToken}` });

  const SIGN_UP = `mutation ($input: SignUpInput!) { signUp(input: $input) { __typename ... on SignUpAccepted { email } ... on Error { code message } } }`;
  const TOKENS = 'tokens { accessToken accessTokenExpiresAt refreshToken refreshTokenExpiresAt }';
  const SIGN_IN = `mutation ($input: SignInInput!) { signIn(input: $input) {
    __typename ... on SignInSuccess { member { id email role } ${TOKENS} } ... on Error { code message } ... on RateLimitedError { retryAfterSeconds } } }`;
  const REFRESH = `mutation ($input: RefreshSessionInput!) { refreshSession(input: $input) {
    __typename ... on RefreshSessionSuccess { ${TOKENS} } ... on Error { code } } }`;
  const SIGN_OUT = 'mutation ($input: SignOutInput!) { signOut(input: $input) { __typename ... on SignOutSuccess { everywhere } } }';
  const ME = '{ me { id email displayName role gender locale createdAt } }';
  const SET_ROLE = `mutation ($input: SetMemberRoleInput!) { setMemberRole(input: $input) {
    __typename ... on SetMemberRoleSuccess { member { id role } } ... on Error { code message } } }`;

  async function signedIn(email: string, role: 'MEMBER' | 'ORGANIZER' | 'ADMIN' = 'MEMBER') {
    const id = toNodeId('Member', await member(stack, email, role));
    const { data } = await send(SIGN_IN, { input: { email, password: PASSWORD } });
    return { id, ...data.signIn.tokens } as { id: string; accessToken: string; refreshToken: string };
  }

  test('sign up, sign in, ask who I am, refresh, sign out', async () => {
    const credentials = { email: 'Mina@Example.com', password: PASSWORD };

    const up = await send(SIGN_UP, { input: { ...credentials, displayName: '미나', gender: 'FEMALE' } }, { 'accept-language': 'ko-KR' });
    expect(up).toEqual({ data: { signUp: { __typename: 'SignUpAccepted', email: 'mina@example.com' } }, codes: undefined });

    const { data: opened } = await send(SIGN_IN, { input: credentials });
    const { tokens, member: signedInMember } = opened.signIn;
    expect(signedInMember).toEqual({ id: expect.any(String), email: 'mina@example.com', role: 'MEMBER' });

    expect(await send(ME, {}, as(tokens.accessToken))).toEqual({
      data: {
        me: {
          id: signedInMember.id,
          email: 'mina@example.com',
          displayName: '미나',
          role: 'MEMBER',
          gender: 'FEMALE',
          locale: 'KO',
          createdAt: expect.stringMatching(/^20\d\d-.*Z$/),
        },
      },
      codes: undefined,
    });

    const { data: refreshed } = await send(REFRESH, { input: { refreshToken: tokens.refreshToken } });
    expect(refreshed.refreshSession.__typename).toBe('RefreshSessionSuccess');
    const next = refreshed.refreshSession.tokens;

    expect(await send(SIGN_OUT, { input: {} }, as(next.accessToken))).toEqual({
      data: { signOut: { __typename: 'SignOutSuccess', everywhere: false } },
      codes: undefined,
    });
    expect((await send(ME, {}, as(tokens.accessToken))).data).toEqual({ me: null });
    expect((await send(ME, {}, as(next.accessToken))).data).toEqual({ me: null });
    expect((await send(REFRESH, { input: { refreshToken: next.refreshToken } })).data.refreshSession).toEqual({
      __typename: 'InvalidRefreshTokenError',
      code: 'INVALID_REFRESH_TOKEN',
    });
  });

  test('without gender and with gender null an account has none', async () => {
    for (const [email, gender] of [
      ['absent@example.com', {}],
      ['null@example.com', { gender: null }],
    ] as const) {
      await send(SIGN_UP, { input: { email, password: PASSWORD, displayName: 'X', ...gender } });
      expect(await stack.db.query('select gender from member where email = $1', [email])).toEqual([{ gender: null }]);
    }
  });

  test('signing out everywhere ends the sessions of other devices too', async () => {
    const phone = await signedIn('devices@example.com');
    const laptop = await signedIn('devices@example.com');

    await send(SIGN_OUT, { input: { everywhere: true } }, as(laptop.accessToken));

    expect((await send(ME, {}, as(phone.accessToken))).data).toEqual({ me: null });
  });

  test('a known and an unknown address get the same bytes, and are limited after the same number of failures', async () => {
    await member(stack, 'real@example.com');
    const answers = async (email: string) => {
      const all = [];
      for (let attempt = 0; attempt < 4; attempt++) all.push(await send(SIGN_IN, { input: { email, password: 'wrong horse battery' } }));
      return all;
    };

    const known = await answers('real@example.com');
    const unknown = await answers('unreal@example.com');

    const credentials = {
      data: {
        signIn: {
          __typename: 'InvalidCredentialsError',
          code: 'INVALID_CREDENTIALS',
          message: 'The e-mail address or the password is wrong.',
        },
      },
      codes: undefined,
    };
    const limited = {
      data: {
        signIn: {
          __typename: 'RateLimitedError',
          code: 'RATE_LIMITED',
          message: expect.stringMatching(/^Too many attempts\. Try again in \d+ seconds\.$/),
          retryAfterSeconds: expect.any(Number),
        },
      },
      codes: undefined,
    };
    expect(known).toEqual([credentials, credentials, credentials, limited]);
    expect(unknown).toEqual([credentials, credentials, credentials, limited]);
  });

  test('refusals speak Korean when asked to', async () => {
    const { data } = await send(SIGN_UP, { input: { email: 'x', password: PASSWORD, displayName: 'X' } }, { 'accept-language': 'ko' });

    expect(data.signUp).toEqual({
      __typename: 'InvalidEmailError',
      code: 'INVALID_EMAIL',
      message: '이메일 주소 형식이 올바르지 않습니다.',
    });
  });

  test('an administrator gives roles, and they count from the next request on', async () => {
    const admin = await signedIn('admin@example.com', 'ADMIN');
    const other = await signedIn('other@example.com');
    const setRole = (memberId: string, role: string, token: string) => send(SET_ROLE, { input: { memberId, role } }, as(token));

    expect((await setRole(other.id, 'ADMIN', admin.accessToken)).data.setMemberRole).toEqual({
      __typename: 'SetMemberRoleSuccess',
      member: { id: other.id, role: 'ADMIN' },
    });
    expect((await setRole(admin.id, 'MEMBER', other.accessToken)).data.setMemberRole).toMatchObject({ member: { role: 'MEMBER' } });
    expect((await setRole(other.id, 'MEMBER', other.accessToken)).data.setMemberRole).toMatchObject({ code: 'LAST_ADMIN' });
    expect((await setRole(other.id, 'ADMIN', admin.accessToken)).codes).toEqual(['FORBIDDEN']);
    expect(
      (await setRole(toNodeId('Member', '00000000-0000-7000-8000-000000000000'), 'ADMIN', other.accessToken)).data.setMemberRole,
    ).toMatchObject({
      code: 'MEMBER_NOT_FOUND',
    });
    for (const id of ['x', toNodeId('Lesson', '00000000-0000-7000-8000-000000000000'), "' or true"])
      expect((await setRole(id, 'ADMIN', other.accessToken)).codes).toEqual(['BAD_USER_INPUT']);
  });

  describe('who may', () => {
    let tokens: Record<string, string>;
    let subject: string;
    beforeAll(async () => {
      const self = await signedIn('self@example.com');
      subject = self.id;
      tokens = {
        self: self.accessToken,
        stranger: (await signedIn('stranger@example.com')).accessToken,
        organizer: (await signedIn('organizer@example.com', 'ORGANIZER')).accessToken,
        administrator: (await signedIn('root@example.com', 'ADMIN')).accessToken,
        forged: `${self.accessToken.slice(0, -5)}AAAAA`,
      };
    });
    const headersOf = (caller: string) => (tokens[caller] ? as(tokens[caller]) : {});

    test.each([
      ['nobody', false],
      ['forged', false],
      ['stranger', false],
      ['organizer', false],
      ['self', true],
      ['administrator', true],
    ])('see a member through node: %s, %s', async (caller, maySee) => {
      const { data, codes } = await send(
        'query ($id: ID!) { node(id: $id) { __typename id ... on Member { email } } }',
        { id: subject },
        headersOf(caller),
      );

      expect(codes).toBeUndefined();
      expect(data.node).toEqual(maySee ? { __typename: 'Member', id: subject, email: 'self@example.com' } : null);
    });

    test.each([
      ['nobody', ['UNAUTHENTICATED']],
      ['forged', ['UNAUTHENTICATED']],
      ['self', ['FORBIDDEN']],
      ['stranger', ['FORBIDDEN']],
      ['organizer', ['FORBIDDEN']],
      ['administrator', undefined],
    ])('give a role: %s, %j', async (caller, refused) => {
      const before = await stack.db.query(`select role from member where email = 'self@example.com'`);

      const { codes } = await send(SET_ROLE, { input: { memberId: subject, role: 'ORGANIZER' } }, headersOf(caller));

      expect(codes).toEqual(refused);
      const after = await stack.db.query(`select role from member where email = 'self@example.com'`);
      expect(after).toEqual(refused ? before : [{ role: 'ORGANIZER' }]);
    });

    test.each(['nobody', 'forged'])('sign out: not %s', async (caller) => {
      expect((await send(SIGN_OUT, { input: { everywhere: true } }, headersOf(caller))).codes).toEqual(['UNAUTHENTICATED']);
      expect((await send(ME, {}, headersOf('self'))).data.me).toMatchObject({ id: subject });
    });
  });

  test('a failing database is our fault, not a sign-out', async () => {
    const { accessToken } = await signedIn('unlucky@example.com');
    await stack.db.query('alter table session rename to session_away');
    try {
      const { data, codes } = await send(ME, {}, as(accessToken));
      expect(data?.me).toBeUndefined();
      expect(codes).toEqual(['INTERNAL_SERVER_ERROR']);
    } finally {
      await stack.db.query('alter table session_away rename to session');
    }
  });

  test('what is logged of a failure holds no password, hash or token', async () => {
    const { accessToken, refreshToken } = await signedIn('logged@example.com');
    const credentials = { email: 'logged@example.com', password: PASSWORD };
    await stack.db.query('alter table member rename to member_away');
    await stack.db.query('alter table session rename to session_away');
    try {
      const before = server.logged.length;
      expect((await send(SIGN_UP, { input: { ...credentials, displayName: 'X' } })).codes).toEqual(['INTERNAL_SERVER_ERROR']);
      expect((await send(SIGN_IN, { input: credentials })).codes).toEqual(['INTERNAL_SERVER_ERROR']);
      expect((await send(REFRESH, { input: { refreshToken } })).codes).toEqual(['INTERNAL_SERVER_ERROR']);
      expect((await send(ME, {}, as(accessToken))).codes).toEqual(['INTERNAL_SERVER_ERROR']);

      expect(server.logged.length - before).toBe(4);
      const log = JSON.stringify(server.logged.slice(before));
      for (const secret of [PASSWORD, '$argon2', accessToken.split('.')[2] ?? '', refreshToken]) expect(log).not.toContain(secret);
    } finally {
      await stack.db.query('alter table member_away rename to member');
      await stack.db.query('alter table session_away rename to session');
    }
  });
});
