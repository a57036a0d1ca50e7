import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { AccountsService, Passwords } from '../../../src/features/accounts/index.ts';
import { type AccountsStack, accountsOver, accountsStack, CHEAP, CLIENT, member, PASSWORD } from './accounts-stack.ts';

const WRONG = 'wrong horse battery';

describe('sign-in', () => {
  let stack: AccountsStack;
  beforeAll(async () => {
    stack = await accountsStack({ attempts: { signInsPerAccount: 3, signInsPerAddress: 8 } });
  });
  afterAll(() => stack.db.close());

  let network = 0;
  const anotherClient = () => ({ ip: `198.51.100.${++network}`, userAgent: null });
  const signIn = (email: string, password: string, client = anotherClient()) => stack.accounts.signIn({ email, password }, client);
  const codeOf = (result: object) => ('code' in result ? result.code : 'signed in');
  const codes = async (times: number, attempt: () => Promise<object>) => {
    const answers = [];
    for (let count = 0; count < times; count++) answers.push(codeOf(await attempt()));
    return answers;
  };

  test('opens a session whose token the gate knows', async () => {
    const memberId = await member(stack, 'known@example.com');

    const result = await signIn(' KNOWN@example.com', PASSWORD);

    if (!('tokens' in result)) throw new Error(result.code);
    expect(result.member).toMatchObject({ id: memberId, email: 'known@example.com' });
    expect(await stack.gate.authenticate(result.tokens.accessToken)).toMatchObject({ memberId, role: 'MEMBER' });
  });

  test('a password typed with other code points for the same characters is the same password', async () => {
    const typed = '\ube44\ubc00\ubc88\ud638 \u00e9\u00e9\u00e9\u00e9\u00e9\u00e9';
    await stack.accounts.signUp({ email: 'nfd@example.com', password: typed, displayName: 'N', gender: null, locale: 'ko' }, '203.0.113.9');

    expect(codeOf(await signIn('nfd@example.com', typed.normalize('NFD')))).toBe('signed in');
  });

  test('known, unknown, passwordless and malformed accounts give the same answer for the same argon2 work', async () => {
    await member(stack, 'exists@example.com');
    await stack.rehearsals.createRehearsalMembers(1);
    const [rehearsal] = await stack.db.query<{ email: string }>('select email from member where password_hash is null');
    const runs = stack.passwords.runs;

    for (const email of ['exists@example.com', 'missing@example.com', rehearsal?.email ?? '', 'no address', 'a\u0000@example.com', '']) {
      const before = { ...runs };
      const result = await signIn(email, WRONG);

      expect(result).toEqual(expect.objectContaining({ code: 'INVALID_CREDENTIALS' }));
      expect(Object.keys(result)).toEqual(['code']);
      expect([runs.verify - before.verify, runs.hash - before.hash]).toEqual([1, 0]);
    }
    expect(await stack.db.query(`select from session join member on member.id = member_id where email = 'exists@example.com'`)).toEqual([]);
  });

  test('after 3 failures a known and an unknown account are refused alike, without work, from every network', async () => {
    await member(stack, 'guessed@example.com');
    for (const email of ['guessed@example.com', 'nobody@example.com']) {
      expect(await codes(3, () => signIn(email, WRONG))).toEqual(Array(3).fill('INVALID_CREDENTIALS'));
      const before = { ...stack.passwords.runs };

      const refused = await signIn(email.toUpperCase(), PASSWORD);

      expect(Object.keys(refused).sort()).toEqual(['code', 'retryAfterSeconds']);
      expect(refused).toMatchObject({ code: 'RATE_LIMITED' });
      const { retryAfterSeconds } = refused as { retryAfterSeconds: number };
      expect(Number.isInteger(retryAfterSeconds) && retryAfterSeconds > 0 && retryAfterSeconds <= 900).toBe(true);
      expect(stack.passwords.runs).toEqual(before);
    }
  });

  test('a success forgets the failures of the account', async () => {
    await member(stack, 'forgetful@example.com');

    for (let round = 0; round < 3; round++) {
      expect(await codes(2, () => signIn('forgetful@example.com', WRONG))).toEqual(Array(2).fill('INVALID_CREDENTIALS'));
      expect(codeOf(await signIn('forgetful@example.com', PASSWORD))).toBe('signed in');
    }
  });

  test('a success does not forget the failures of the network, and does not add to them', async () => {
    const client = anotherClient();
    await member(stack, 'owner@example.com');
    const success = () => signIn('owner@example.com', PASSWORD, client);
    let victim = 0;
    const failure = () => signIn(`victim-${++victim}@example.com`, WRONG, client);

    expect(await codes(7, failure)).toEqual(Array(7).fill('INVALID_CREDENTIALS'));
    expect(await codes(5, success)).toEqual(Array(5).fill('signed in'));
    expect(codeOf(await failure())).toBe('INVALID_CREDENTIALS');
    expect(codeOf(await success())).toBe('RATE_LIMITED');
    expect(codeOf(await signIn('owner@example.com', PASSWORD))).toBe('signed in');
  });

  test('a refused network does not use up the attempts of an account', async () => {
    const client = anotherClient();
    await member(stack, 'target@example.com');
    for (let number = 0; number < 8; number++) await signIn(`other-${number}@example.com`, WRONG, client);

    expect(await codes(5, () => signIn('target@example.com', WRONG, client))).toEqual(Array(5).fill('RATE_LIMITED'));
    expect(codeOf(await signIn('target@example.com', PASSWORD))).toBe('signed in');
  });

  test('of 30 guesses at once 3 are tried', async () => {
    await member(stack, 'flooded@example.com');
    const before = stack.passwords.runs.verify;

    const results = await Promise.all(Array.from({ length: 30 }, () => signIn('flooded@example.com', WRONG)));

    expect(results.filter((result) => codeOf(result) === 'INVALID_CREDENTIALS')).toHaveLength(3);
    expect(results.filter((result) => codeOf(result) === 'RATE_LIMITED')).toHaveLength(27);
    expect(stack.passwords.runs.verify - before).toBe(3);
  });

  test('all nodes count together', async () => {
    const elsewhere = await accountsOver(stack.db.database, { attempts: { signInsPerAccount: 3, signInsPerAddress: 8 } });
    await codes(2, () => signIn('two-nodes@example.com', WRONG));
    const there = () => elsewhere.accounts.signIn({ email: 'two-nodes@example.com', password: WRONG }, anotherClient());

    expect(await codes(2, there)).toEqual(['INVALID_CREDENTIALS', 'RATE_LIMITED']);
    expect(codeOf(await signIn('two-nodes@example.com', WRONG))).toBe('RATE_LIMITED');
  });

  test('a password that nobody can have is refused without work', async () => {
    const before = { ...stack.passwords.runs };

    for (const password of ['', 'short', 'a'.repeat(1_000_000), '\ud800'.repeat(20)])
      expect(codeOf(await signIn('known@example.com', password))).toBe('INVALID_CREDENTIALS');

    expect(stack.passwords.runs).toEqual(before);
  });

  test('when too many are at it the next one is told, at no cost and uncounted; afterwards there is room again', async () => {
    await member(stack, 'crowd@example.com');
    const passwords = await Passwords.create({ ...CHEAP, atOnceMax: 1, admittedMax: 4 });
    const accounts = new AccountsService(stack.db.database, passwords, stack.sessions, stack.limits);
    const attempt = () => accounts.signIn({ email: 'crowd@example.com', password: PASSWORD }, anotherClient());

    // Each of those let in takes a point until it succeeds, and the account has three.
    const crowd = await Promise.all(Array.from({ length: 10 }, attempt));

    expect(crowd.map(codeOf).slice(4)).toEqual(Array(6).fill('TOO_BUSY'));
    expect(crowd.slice(0, 4).map(codeOf)).not.toContain('TOO_BUSY');
    expect(passwords.runs.verify).toBeLessThanOrEqual(4);
    expect(codeOf(await attempt())).toBe('signed in');
  });

  test('a hash made with other costs is renewed by a success', async () => {
    await member(stack, 'renewed@example.com');
    const passwords = await Passwords.create({ ...CHEAP, passes: 2 });
    const accounts = new AccountsService(stack.db.database, passwords, stack.sessions, stack.limits);

    await accounts.signIn({ email: 'renewed@example.com', password: PASSWORD }, CLIENT);

    const [row] = await stack.db.query(`select password_hash from member where email = 'renewed@example.com'`);
    expect(row).toEqual({ password_hash: expect.stringContaining('$m=64,p=1,t=2$') });
    expect(codeOf(await accounts.signIn({ email: 'renewed@example.com', password: PASSWORD }, CLIENT))).toBe('signed in');
    expect(passwords.runs).toEqual({ hash: 1, verify: 2 });
  });

  test('a failing database is thrown, not taken for a wrong password', async () => {
    await stack.db.query('alter table member rename to member_away');
    try {
      await expect(signIn('known@example.com', PASSWORD)).rejects.toThrow('member');
    } finally {
      await stack.db.query('alter table member_away rename to member');
    }
  });
});
