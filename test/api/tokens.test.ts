import { createHmac, randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { AccessTokens } from '../../src/features/accounts/index.ts';
import { ACCESS_TOKEN_SECRET, type TestApp, testApp } from '../support/app.ts';
import { Watch } from '../support/client.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { onTwoNodes } from '../support/two-nodes.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();

const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
const sign = (header: object, payload: object, secret = ACCESS_TOKEN_SECRET) => {
  const text = `${part(header)}.${part(payload)}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
};

describe('access tokens', () => {
  let app: TestApp;
  /** A second node on the same database, with no Redis between them. */
  let other: TestApp;
  onTwoNodes((...nodes) => {
    [app, other] = nodes;
  });

  async function session() {
    const member = await app.member();
    const [row] = await app.query<{ id: string }>('select id from session where member_id = $1', [member.uuid]);
    const now = Math.floor(Date.now() / 1000);
    return {
      ...member,
      sessionId: row!.id,
      claims: { sub: member.uuid, sid: row!.id, iat: now, exp: now + 600, iss: 'lastseat', typ: 'access' },
    };
  }
  type Session = Awaited<ReturnType<typeof session>>;

  const HS256 = { alg: 'HS256', typ: 'JWT' };

  test('the token made by hand is good, so that the bad ones below are bad for one reason each', async () => {
    const { claims, id } = await session();

    expect((await app.anonymous.as(sign(HS256, claims)).run('TestMe')).id).toBe(id);
  });

  const bad: [string, (session: Session) => string][] = [
    ['forged with another secret', ({ claims }) => sign(HS256, claims, 'another secret, also 32 bytes long')],
    ['expired', ({ claims }) => sign(HS256, { ...claims, iat: claims.iat - 700, exp: claims.iat - 1 })],
    ['alg none without a signature', ({ claims }) => `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`],
    ['alg none with a signature', ({ claims }) => sign({ alg: 'none', typ: 'JWT' }, claims)],
    ['alg HS512 over a HS256 signature', ({ claims }) => sign({ alg: 'HS512', typ: 'JWT' }, claims)],
    [
      'with its payload exchanged',
      ({ claims, accessToken }) => accessToken.replace(/\.[^.]+\./, `.${part({ ...claims, sub: randomUUID() })}.`),
    ],
    ['with its signature cut', ({ accessToken }) => accessToken.slice(0, -1)],
    ['of another issuer', ({ claims }) => sign(HS256, { ...claims, iss: 'elsewhere' })],
    ['of another type', ({ claims }) => sign(HS256, { ...claims, typ: 'refresh' })],
    ['without an end', ({ claims: { exp: _, ...claims } }) => sign(HS256, claims)],
    ['without a session', ({ claims: { sid: _, ...claims } }) => sign(HS256, claims)],
    ['of a session nobody opened', ({ claims }) => sign(HS256, { ...claims, sid: randomUUID() })],
    ['of another member’s session', ({ claims }) => sign(HS256, { ...claims, sub: randomUUID() })],
    ['whose session is SQL', ({ claims }) => sign(HS256, { ...claims, sid: "' or true --" })],
    ['of 2,000 characters', ({ claims }) => sign(HS256, { ...claims, pad: 'x'.repeat(1500) })],
    ['that is no token', () => 'x'],
  ];

  test.each(bad)('a token %s is 401 for everything, also for what is for everybody', async (_, make) => {
    const caller = await session();
    const client = app.anonymous.as(make(caller));
    const lessonId = await app.lesson();

    for (const answer of [
      await client.send('TestMe'),
      await client.send('TestLessons'),
      await client.send('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } }),
    ]) {
      expect(answer.status).toBe(401);
      expect(answer.data).toBeNull();
      expect(answer.errors.map(({ extensions }) => extensions.code)).toEqual(['UNAUTHENTICATED']);
    }
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });
  });

  test.each([['Basic eDp5'], ['Bearer'], ['Bearer '], ['bearer  '], ['x']])('the header %j is 401', async (authorization) => {
    const answer = await app.anonymous.post({ query: '{ me { id } }' }, { authorization });

    expect(answer.status).toBe(401);
    expect(answer.errors[0]?.extensions.code).toBe('UNAUTHENTICATED');
  });

  test.each(bad.slice(0, 4))('a WebSocket with a token %s is closed with 4403', async (_, make) => {
    const watch = new Watch(app.url, [await app.lesson()], make(await session()));

    await eventually(() => expect(watch.closes).toMatchObject([{ code: 4403 }]));
    expect(watch.states).toEqual([]);
    await watch.close();
  });

  test('who signed out is refused at once, on this node and on the other, and nothing is done', async () => {
    const { client, accessToken } = await app.member();
    const lessonId = await app.lesson();
    const elsewhere = other.anonymous.as(accessToken);
    expect((await elsewhere.send('TestMe')).status).toBe(200);

    await client.run('TestSignOut', { input: {} });

    for (const node of [client, elsewhere]) {
      expect((await node.send('TestMe')).status).toBe(401);
      expect((await node.send('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } })).status).toBe(401);
    }
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });
  });

  test('signing out closes the sockets of the session, on this node at once and on the other soon', async () => {
    const { client, accessToken } = await app.member();
    const lessonId = await app.lesson();
    const here = await client.watch(lessonId);
    const there = await other.anonymous.as(accessToken).watch(lessonId);
    const bystander = await app.anonymous.watch(lessonId);

    await client.run('TestSignOut', { input: {} });

    await eventually(() => expect(here.closes).toMatchObject([{ code: 4403, reason: 'Session ended' }]));
    await eventually(() => expect(there.closes).toMatchObject([{ code: 4403, reason: 'Session ended' }]), { withinMs: 20_000 });
    expect(bystander.closes).toEqual([]);
    for (const watch of [here, there, bystander]) await watch.close();
  });

  test('a role that was taken away counts from the next request on, on every node', async () => {
    const demoted = await app.member('ADMIN');
    const elsewhere = other.anonymous.as(demoted.accessToken);
    const { client: admin } = await app.admin();
    const input = () => ({ input: { name: 'x', idempotencyKey: randomUUID() } });
    expect((await elsewhere.send('TestCreateInstructor', input())).errors).toEqual([]);

    await admin.run('TestSetMemberRole', { input: { memberId: demoted.id, role: 'MEMBER' } });

    for (const node of [demoted.client, elsewhere])
      expect((await node.send('TestCreateInstructor', input())).errors.map(({ extensions }) => extensions.code)).toEqual(['FORBIDDEN']);
  });

  test('a socket is closed when its token ends, and a query is refused', async () => {
    const { uuid, sessionId } = await session();
    const lesson = await app.lesson();
    // Long enough to connect with on a busy machine, or on one that stalls.
    for (const seconds of [3, 12]) {
      const shortLived = new AccessTokens(ACCESS_TOKEN_SECRET, seconds).sign(uuid, sessionId).accessToken;
      const watch = new Watch(app.url, [lesson], shortLived);
      await eventually(() => watch.closes.length > 0);
      const wasServed = watch.lastOf(lesson) !== null;

      expect((await app.anonymous.as(shortLived).send('TestMe')).status).toBe(401);
      await watch.close();
      if (!wasServed && seconds === 3) continue;
      expect(wasServed).toBe(true);
      expect(watch.closes).toMatchObject([{ code: 4403, reason: 'Access token expired' }]);
      return;
    }
  });

  test('a database that is away is not the caller’s fault: 500, never 401', async () => {
    await using lonely = await testApp();
    const { client } = await lonely.member();
    expect((await client.send('TestMe')).status).toBe(200);
    await lonely.query('alter table session rename to session_away');

    const answer = await client.send('TestMe');

    expect(answer.status).toBe(500);
    expect(answer.errors).toEqual([
      expect.objectContaining({ extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) } }),
    ]);
  });
});
