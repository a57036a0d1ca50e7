import { createHash } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type AccountsStack, accountsStack, CLIENT, member } from './accounts-stack.ts';

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest();

describe('a session', () => {
  let stack: AccountsStack;
  let memberId: string;
  let count = 0;
  beforeAll(async () => {
    stack = await accountsStack();
  });
  beforeEach(async () => {
    memberId = await member(stack, `member-${++count}@example.com`);
  });
  afterAll(() => stack.db.close());

  const row = async () => (await stack.db.query('select * from session where member_id = $1', [memberId]))[0];
  const afterTheGrace = () =>
    stack.db.query(`update session set rotated_at = rotated_at - interval '10 seconds' where member_id = $1`, [memberId]);
  async function refreshed(token: string): Promise<string> {
    const result = await stack.sessions.refresh(token);
    if (!('refreshToken' in result)) throw new Error(`refused: ${result.code}`);
    return result.refreshToken;
  }

  test('keeps only hashes of its refresh token, and 30 days by the clock of the database', async () => {
    const opened = await stack.sessions.open(memberId, { ip: '2001:db8::1', userAgent: 'x'.repeat(1_000) });

    const bytes = Buffer.from(opened.refreshToken, 'base64url');
    expect(await row()).toMatchObject({
      family_hash: sha256(bytes.subarray(0, 32)),
      token_hash: sha256(bytes.subarray(32)),
      previous_token_hash: null,
      rotated_at: null,
      expires_at: opened.refreshTokenExpiresAt,
      revoked_at: null,
      revoked_reason: null,
      client_ip: '2001:db8::1',
      user_agent: 'x'.repeat(256),
    });
    const [lasts] = await stack.db.query(`select expires_at - created_at = interval '30 days' as right from session where member_id = $1`, [
      memberId,
    ]);
    expect(lasts).toEqual({ right: true });
  });

  test('gives new tokens for its refresh token, and stays the same session', async () => {
    const opened = await stack.sessions.open(memberId, CLIENT);

    const result = await stack.sessions.refresh(opened.refreshToken);

    expect(result).toEqual({
      accessToken: expect.any(String),
      accessTokenExpiresAt: expect.any(Date),
      refreshToken: expect.stringMatching(/^[\w-]{86}$/),
      refreshTokenExpiresAt: opened.refreshTokenExpiresAt,
    });
    const next = result as typeof opened;
    expect(next.refreshToken).not.toBe(opened.refreshToken);
    const [before, after] = [await stack.gate.authenticate(opened.accessToken), await stack.gate.authenticate(next.accessToken)];
    expect(after?.sessionId).toBe(before?.sessionId);
    expect(after?.memberId).toBe(memberId);
  });

  test('a token used before ends the session for everybody who holds one of it', async () => {
    const opened = await stack.sessions.open(memberId, CLIENT);
    const current = await refreshed(opened.refreshToken);
    await afterTheGrace();

    expect(await stack.sessions.refresh(opened.refreshToken)).toMatchObject({ code: 'REFRESH_TOKEN_REUSED' });

    expect(await row()).toMatchObject({ revoked_at: expect.any(Date), revoked_reason: 'REFRESH_TOKEN_REUSED' });
    expect(await stack.sessions.refresh(current)).toMatchObject({ code: 'INVALID_REFRESH_TOKEN' });
    expect(await stack.sessions.refresh(opened.refreshToken)).toMatchObject({ code: 'INVALID_REFRESH_TOKEN' });
    expect(await stack.gate.authenticate(opened.accessToken)).toBeNull();
  });

  test('a token older than the one before ends the session even within the 10 seconds', async () => {
    const opened = await stack.sessions.open(memberId, CLIENT);
    await refreshed(await refreshed(opened.refreshToken));

    expect(await stack.sessions.refresh(opened.refreshToken)).toMatchObject({ code: 'REFRESH_TOKEN_REUSED' });
  });

  test('the token just replaced is told so for 10 seconds, and the session goes on', async () => {
    const opened = await stack.sessions.open(memberId, CLIENT);
    const current = await refreshed(opened.refreshToken);

    expect(await stack.sessions.refresh(opened.refreshToken)).toMatchObject({ code: 'REFRESH_TOKEN_JUST_USED' });

    expect(await row()).toMatchObject({ revoked_at: null });
    await expect(refreshed(current)).resolves.toEqual(expect.any(String));
  });

  test('of 20 that present the same token at once exactly one gets the next one', async () => {
    const opened = await stack.sessions.open(memberId, CLIENT);

    const results = await Promise.all(Array.from({ length: 20 }, () => stack.sessions.refresh(opened.refreshToken)));

    const winners = results.filter((result) => 'refreshToken' in result);
    const refusals = results.filter((result) => 'code' in result);
    expect(winners).toHaveLength(1);
    expect(refusals.map(({ code }) => code)).toEqual(Array(19).fill('REFRESH_TOKEN_JUST_USED'));
    expect(await row()).toMatchObject({ revoked_at: null });
  });

  test('negative control: looking first and writing then would give several the next one', async () => {
    const opened = await stack.sessions.open(memberId, CLIENT);
    const [family, turn] = [0, 32].map((from) => sha256(Buffer.from(opened.refreshToken, 'base64url').subarray(from, from + 32)));
    let looked = 0;
    let allLooked = () => {};
    const everybodyLooked = new Promise<void>((resolve) => {
      allLooked = resolve;
    });
    async function unguarded(next: number) {
      const found = await stack.db.query('select from session where family_hash = $1 and token_hash = $2', [family, turn]);
      if (++looked === 5) allLooked();
      await everybodyLooked;
      if (found.length === 0) return false;
      await stack.db.query('update session set token_hash = $2 where family_hash = $1', [family, sha256(Buffer.from([next]))]);
      return true;
    }

    const results = await Promise.all([1, 2, 3, 4, 5].map(unguarded));

    expect(results.filter(Boolean)).toHaveLength(5);
  });

  test('a guess with a family that never was finds nothing and ends nothing', async () => {
    const opened = await stack.sessions.open(memberId, CLIENT);
    const guess = Buffer.from(opened.refreshToken, 'base64url');
    guess[0] = (guess[0] ?? 0) ^ 1;

    expect(await stack.sessions.refresh(guess.toString('base64url'))).toMatchObject({ code: 'INVALID_REFRESH_TOKEN' });
    expect(await row()).toMatchObject({ revoked_at: null });
  });

  test.each(['', 'x', '\u0000', 'a'.repeat(85), 'a'.repeat(87), 'a'.repeat(100_000), `${'a'.repeat(85)}=`, '가'.repeat(86), '\ud800'])(
    'text that is no refresh token is refused (%#)',
    async (text) => {
      expect(await stack.sessions.refresh(text)).toMatchObject({ code: 'INVALID_REFRESH_TOKEN' });
    },
  );

  test('is not refreshed after signing out or after its end, and these do not look like a theft', async () => {
    const signedOut = await stack.sessions.open(memberId, CLIENT);
    await stack.sessions.signOutEverywhere(memberId);
    const expired = await stack.sessions.open(memberId, CLIENT);
    await stack.db.query('update session set expires_at = now() where member_id = $1', [memberId]);

    expect(await stack.sessions.refresh(signedOut.refreshToken)).toMatchObject({ code: 'INVALID_REFRESH_TOKEN' });
    expect(await stack.sessions.refresh(expired.refreshToken)).toMatchObject({ code: 'INVALID_REFRESH_TOKEN' });
  });

  test('the 21st ends the oldest of the member', async () => {
    const opened = [];
    for (let number = 0; number < 21; number++) opened.push(await stack.sessions.open(memberId, CLIENT));

    const viewers = await Promise.all(opened.map(({ accessToken }) => stack.gate.authenticate(accessToken)));

    expect(viewers[0]).toBeNull();
    expect(viewers.slice(1).every((viewer) => viewer?.memberId === memberId)).toBe(true);
  });

  test('is deleted a day after its end, not before', async () => {
    await stack.sessions.open(memberId, CLIENT);
    await stack.db.query(`update session set expires_at = now() - interval '23 hours' where member_id = $1`, [memberId]);
    await stack.sessions.deleteExpired();
    expect(await row()).toBeDefined();

    await stack.db.query(`update session set expires_at = now() - interval '25 hours' where member_id = $1`, [memberId]);
    expect(await stack.sessions.deleteExpired()).toBe(1);
    expect(await row()).toBeUndefined();
  });
});
