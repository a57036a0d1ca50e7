import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SessionGate } from '../../../src/features/accounts/index.ts';
import { type AccountsStack, accountsStack, CLIENT, countQueries, member } from './accounts-stack.ts';

describe('the session gate', () => {
  let stack: AccountsStack;
  /** Another node: nothing in common but the database and the secret. */
  let elsewhere: SessionGate;
  beforeAll(async () => {
    stack = await accountsStack();
    elsewhere = new SessionGate(stack.db.database.pool, stack.tokens);
  });
  afterAll(() => stack.db.close());

  test('tells who a token belongs to', async () => {
    const memberId = await member(stack, 'who@example.com', 'ORGANIZER');
    const { accessToken, accessTokenExpiresAt } = await stack.sessions.open(memberId, CLIENT);

    const viewer = await elsewhere.authenticate(accessToken);

    const [session] = await stack.db.query<{ id: string }>('select id from session where member_id = $1', [memberId]);
    expect(viewer).toEqual({ memberId, sessionId: session?.id, role: 'ORGANIZER', expiresAt: accessTokenExpiresAt });
  });

  test('a sign-out is effective at once on every node, for that session only', async () => {
    const memberId = await member(stack, 'leaves@example.com');
    const here = await stack.sessions.open(memberId, CLIENT);
    const phone = await stack.sessions.open(memberId, CLIENT);
    const viewer = await elsewhere.authenticate(here.accessToken);

    await stack.sessions.signOut(viewer?.sessionId ?? '');

    expect(await elsewhere.authenticate(here.accessToken)).toBeNull();
    expect(await stack.gate.authenticate(here.accessToken)).toBeNull();
    expect(await elsewhere.authenticate(phone.accessToken)).toMatchObject({ memberId });
  });

  test('signing out everywhere ends all sessions of the member and nobody else', async () => {
    const memberId = await member(stack, 'everywhere@example.com');
    const opened = [await stack.sessions.open(memberId, CLIENT), await stack.sessions.open(memberId, CLIENT)];
    const other = await stack.sessions.open(await member(stack, 'stays@example.com'), CLIENT);

    await stack.sessions.signOutEverywhere(memberId);

    expect(await Promise.all(opened.map(({ accessToken }) => elsewhere.authenticate(accessToken)))).toEqual([null, null]);
    expect(await elsewhere.authenticate(other.accessToken)).not.toBeNull();
  });

  test('a new role is effective at once, with the same token', async () => {
    const memberId = await member(stack, 'rises@example.com');
    await member(stack, 'boss@example.com', 'ADMIN');
    const { accessToken } = await stack.sessions.open(memberId, CLIENT);

    await stack.accounts.setRole(memberId, 'ADMIN');
    expect(await elsewhere.authenticate(accessToken)).toMatchObject({ role: 'ADMIN' });

    await stack.accounts.setRole(memberId, 'MEMBER');
    expect(await elsewhere.authenticate(accessToken)).toMatchObject({ role: 'MEMBER' });
  });

  test('the end of a session is judged by the clock of the database, whatever the token says', async () => {
    const memberId = await member(stack, 'late@example.com');
    const { accessToken } = await stack.sessions.open(memberId, CLIENT);

    await stack.db.query('update session set expires_at = now() where member_id = $1', [memberId]);

    expect(stack.tokens.verify(accessToken)).not.toBeNull();
    expect(await elsewhere.authenticate(accessToken)).toBeNull();
  });

  test('refuses the session of one member in the token of another, and a session that never was', async () => {
    const memberId = await member(stack, 'mine@example.com');
    const { accessToken } = await stack.sessions.open(memberId, CLIENT);
    const sessionId = (await stack.gate.authenticate(accessToken))?.sessionId ?? '';
    const stranger = await member(stack, 'stranger@example.com');

    expect(await stack.gate.authenticate(stack.tokens.sign(stranger, sessionId).accessToken)).toBeNull();
    expect(await stack.gate.authenticate(stack.tokens.sign(memberId, stranger).accessToken)).toBeNull();
  });

  test('answers 200 checks at once with 2 queries, each with its own answer', async () => {
    const made = await stack.rehearsals.createRehearsalMembers(200);

    const together = await countQueries(stack.db.database, () =>
      Promise.all(made.map(({ accessToken }) => stack.gate.authenticate(accessToken))),
    );

    expect(together.result.map((viewer) => viewer?.memberId)).toEqual(made.map(({ memberId }) => memberId));
    expect(together.queries).toBe(2);

    const alone = await countQueries(stack.db.database, async () => {
      for (const { accessToken } of made.slice(0, 5)) await stack.gate.authenticate(accessToken);
    });
    expect(alone.queries).toBe(5);
  });

  test('asks for at most 1,000 sessions per query, and once for a session asked about many times', async () => {
    const made = await stack.rehearsals.createRehearsalMembers(2_500);
    const ids = await stack.db.query<{ id: string }>('select id from session where member_id = any($1)', [
      made.map(({ memberId }) => memberId),
    ]);

    const live = await countQueries(stack.db.database, () => stack.gate.sessionsStillLive(ids.map(({ id }) => id)));
    expect(live.result.size).toBe(2_500);
    expect(live.queries).toBe(4); // 1 alone, 1,000, 1,000, 499

    const token = made[0]?.accessToken ?? '';
    const same = await countQueries(stack.db.database, () =>
      Promise.all(Array.from({ length: 3_001 }, () => stack.gate.authenticate(token))),
    );
    expect(same.result.every((viewer) => viewer?.memberId === made[0]?.memberId)).toBe(true);
    expect(same.queries).toBe(2);
  });

  test('says which sessions are still live', async () => {
    const memberId = await member(stack, 'sockets@example.com');
    for (let opened = 0; opened < 3; opened++) await stack.sessions.open(memberId, CLIENT);
    const rows = await stack.db.query<{ id: string }>('select id from session where member_id = $1 order by id', [memberId]);
    const [first, second, third] = rows.map(({ id }) => id) as [string, string, string];

    await stack.sessions.signOut(second);

    expect(await elsewhere.sessionsStillLive([first, second, third, memberId])).toEqual(new Set([first, third]));
    expect(await elsewhere.sessionsStillLive([])).toEqual(new Set());
  });

  test('a bad token costs no query', async () => {
    const { result, queries } = await countQueries(stack.db.database, () => stack.gate.authenticate('bad'));

    expect(result).toBeNull();
    expect(queries).toBe(0);
  });

  test('a failing database is thrown, to everybody who waited, and is forgotten with the failure', async () => {
    const [made] = await stack.rehearsals.createRehearsalMembers(1);
    const token = made?.accessToken ?? '';
    await stack.db.query('alter table session rename to session_away');
    try {
      const outcomes = await Promise.allSettled([1, 2, 3].map(() => stack.gate.authenticate(token)));
      expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    } finally {
      await stack.db.query('alter table session_away rename to session');
    }

    expect(await stack.gate.authenticate(token)).toMatchObject({ memberId: made?.memberId });
  });
});
