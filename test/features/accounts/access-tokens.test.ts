import { createHmac } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { AccessTokens } from '../../../src/features/accounts/index.ts';
import { SECRET } from './accounts-stack.ts';

const MEMBER = '01234567-89ab-7def-8123-456789abcdef';
const SESSION = '01234567-89ab-7def-8123-456789abcde0';

const tokens = new AccessTokens(SECRET, 600);
const now = () => Math.floor(Date.now() / 1_000);
const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token as anybody can put it together who has the key, or only believes to have it. */
function forge(claims: object, header: object = { alg: 'HS256', typ: 'JWT' }, { secret = SECRET, digest = 'sha256' } = {}): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${createHmac(digest, secret).update(input).digest('base64url')}`;
}

const claims = () => ({ sub: MEMBER, sid: SESSION, iat: now(), exp: now() + 600, iss: 'lastseat', typ: 'access' });

describe('an access token', () => {
  test('says who it was signed for, in which session, and until when', () => {
    const { accessToken, expiresAt } = tokens.sign(MEMBER, SESSION);

    expect(tokens.verify(accessToken)).toEqual({ memberId: MEMBER, sessionId: SESSION, expiresAt });
    expect(JSON.parse(Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString())).toEqual({
      sub: MEMBER,
      sid: SESSION,
      iat: expiresAt.getTime() / 1_000 - 600,
      exp: expiresAt.getTime() / 1_000,
      iss: 'lastseat',
      typ: 'access',
    });
  });

  test('is accepted from another node with the same secret, and when put together by hand with it', () => {
    expect(new AccessTokens(SECRET, 60).verify(tokens.sign(MEMBER, SESSION).accessToken)).not.toBeNull();
    expect(tokens.verify(forge(claims()))).not.toBeNull();
  });

  const [header, payload, signature] = tokens.sign(MEMBER, SESSION).accessToken.split('.');
  const without = (claim: string) => Object.fromEntries(Object.entries(claims()).filter(([name]) => name !== claim));
  const lifted = encode({ ...claims(), sub: '11111111-1111-7111-8111-111111111111' });
  test.each([
    ['nothing', ''],
    ['no token', 'not a token'],
    ['dots', '..'],
    ['expired', forge({ ...claims(), iat: now() - 700, exp: now() - 1 })],
    ['signed with another secret', forge(claims(), undefined, { secret: 'another secret of more than 32 bytes, too' })],
    ['another payload under our signature', `${header}.${lifted}.${signature}`],
    ['no signature', `${header}.${payload}.`],
    ['alg none', `${encode({ alg: 'none', typ: 'JWT' })}.${payload}.`],
    ['alg none with a signature', forge(claims(), { alg: 'none', typ: 'JWT' })],
    ['alg nOnE', `${encode({ alg: 'nOnE', typ: 'JWT' })}.${payload}.`],
    ['alg HS384 with the same key', forge(claims(), { alg: 'HS384', typ: 'JWT' }, { digest: 'sha384' })],
    ['alg HS512 with the same key', forge(claims(), { alg: 'HS512', typ: 'JWT' }, { digest: 'sha512' })],
    ['alg RS256', forge(claims(), { alg: 'RS256', typ: 'JWT' })],
    ['no alg', forge(claims(), { typ: 'JWT' })],
    ['an unknown critical header', forge(claims(), { alg: 'HS256', crit: ['x'], x: 1 })],
    ['another issuer', forge({ ...claims(), iss: 'somebody' })],
    ['no issuer', forge(without('iss'))],
    ['another type of token', forge({ ...claims(), typ: 'refresh' })],
    ['no expiry', forge(without('exp'))],
    ['an expiry that is text', forge({ ...claims(), exp: '9999999999' })],
    ['a session id that is no uuid', forge({ ...claims(), sid: "' or true --" })],
    ['a session id in capitals', forge({ ...claims(), sid: SESSION.toUpperCase() })],
    ['a member id that is an array', forge({ ...claims(), sub: [MEMBER] })],
    ['no session id', forge(without('sid'))],
    ['a megabyte', 'a'.repeat(1_000_000)],
    ['text that is not ASCII', `${header}.${payload}.서명`],
  ])('is refused: %s', (_what, token) => {
    expect(tokens.verify(token)).toBeNull();
  });

  test('needs a secret of 32 bytes', () => {
    expect(() => new AccessTokens('a'.repeat(31), 600)).toThrow('at least 32 bytes');
    expect(() => new AccessTokens('가'.repeat(11), 600)).not.toThrow();
  });
});
