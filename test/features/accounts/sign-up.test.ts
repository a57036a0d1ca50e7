import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { seedAccounts } from '../../../src/features/accounts/index.ts';
import { type AccountsStack, accountsStack, CLIENT, PASSWORD } from './accounts-stack.ts';

const WISH = { email: 'new@example.com', password: PASSWORD, displayName: 'Mina', gender: 'FEMALE', locale: 'ko' } as const;

describe('sign-up', () => {
  let stack: AccountsStack;
  beforeAll(async () => {
    stack = await accountsStack({ attempts: { signUpsPerAddress: 5 } });
  });
  afterAll(() => stack.db.close());

  const members = () => stack.db.query('select * from member order by email');
  /** The addresses the sign-ups come from; each may do it 5 times. */
  let network = 0;
  const anotherNetwork = () => `192.0.2.${++network}`;

  test('makes an account that can sign in, and signs nobody in', async () => {
    const result = await stack.accounts.signUp({ ...WISH, email: ' Mina@Example.com ', displayName: ' Mina ' }, anotherNetwork());

    expect(result).toEqual({ email: 'mina@example.com' });
    expect(await members()).toMatchObject([
      { email: 'mina@example.com', display_name: 'Mina', role: 'MEMBER', gender: 'FEMALE', locale: 'ko' },
    ]);
    expect(await stack.db.query('select from session')).toEqual([]);
    expect(await stack.accounts.signIn({ email: 'MINA@example.com', password: PASSWORD }, CLIENT)).toMatchObject({
      member: { email: 'mina@example.com' },
    });
  });

  test('keeps argon2id hashes with the configured cost, one salt each', async () => {
    await stack.accounts.signUp({ ...WISH, email: 'one@example.com' }, anotherNetwork());
    await stack.accounts.signUp({ ...WISH, email: 'two@example.com' }, anotherNetwork());

    const rows = await stack.db.query<{ password_hash: string }>(
      `select password_hash from member where email in ('one@example.com', 'two@example.com')`,
    );
    expect(rows.map((row) => row.password_hash)).toEqual([
      expect.stringMatching(/^\$argon2id\$v=19\$m=64,p=1,t=1\$/),
      expect.stringMatching(/^\$argon2id\$v=19\$m=64,p=1,t=1\$/),
    ]);
    expect(rows[0]?.password_hash).not.toBe(rows[1]?.password_hash);
  });

  test('a taken address gets the same answer for the same work, and keeps what it has', async () => {
    const wish = { ...WISH, email: 'taken@example.com' };
    const runs = stack.passwords.runs;
    const before = { ...runs };
    const first = await stack.accounts.signUp(wish, anotherNetwork());
    const afterFirst = { ...runs };
    const kept = await members();

    const again = await stack.accounts.signUp(
      { ...wish, password: 'another password', displayName: 'Mallory', gender: 'MALE' },
      anotherNetwork(),
    );

    expect(again).toEqual(first);
    expect([afterFirst.hash - before.hash, afterFirst.verify - before.verify]).toEqual([1, 0]);
    expect([runs.hash - afterFirst.hash, runs.verify - afterFirst.verify]).toEqual([1, 0]);
    expect(await members()).toEqual(kept);
    expect(await stack.accounts.signIn({ email: wish.email, password: 'another password' }, CLIENT)).toMatchObject({
      code: 'INVALID_CREDENTIALS',
    });
  });

  test('of 20 at once for one address one makes the account, and all hear the same', async () => {
    const wishes = Array.from({ length: 20 }, (_, number) => ({ ...WISH, email: 'rush@example.com', displayName: `Rush ${number}` }));

    const results = await Promise.all(wishes.map((wish) => stack.accounts.signUp(wish, anotherNetwork())));

    expect(results).toEqual(Array(20).fill({ email: 'rush@example.com' }));
    expect(await stack.db.query(`select count(*)::int as made from member where email = 'rush@example.com'`)).toEqual([{ made: 1 }]);
  });

  test('refuses what cannot be an account, the first reason first, without work and without counting it', async () => {
    const before = [await members(), { ...stack.passwords.runs }];
    const from = anotherNetwork();
    const refused = async (change: Partial<typeof WISH | { email: string; password: string; displayName: string }>) => {
      const result = await stack.accounts.signUp({ ...WISH, ...change }, from);
      return 'code' in result ? result.code : 'accepted';
    };

    expect([
      await refused({ email: 'nobody', password: 'short', displayName: '' }),
      await refused({ password: 'short', displayName: '' }),
      await refused({ password: 'a'.repeat(201) }),
      await refused({ password: '\ud800'.repeat(10) }),
      await refused({ displayName: '' }),
      await refused({ displayName: 'a\u0000' }),
    ]).toEqual([
      'INVALID_EMAIL',
      'INVALID_PASSWORD',
      'INVALID_PASSWORD',
      'INVALID_PASSWORD',
      'INVALID_DISPLAY_NAME',
      'INVALID_DISPLAY_NAME',
    ]);
    expect([await members(), stack.passwords.runs]).toEqual(before);
  });

  test('is counted by network, and the count is the same for taken addresses', async () => {
    const from = anotherNetwork();
    for (let number = 0; number < 5; number++) await stack.accounts.signUp({ ...WISH, email: `counted-${number % 2}@example.com` }, from);
    const before = { ...stack.passwords.runs };

    const limited = await stack.accounts.signUp({ ...WISH, email: 'sixth@example.com' }, from);

    expect(limited).toMatchObject({ code: 'RATE_LIMITED', retryAfterSeconds: expect.any(Number) });
    expect(stack.passwords.runs).toEqual(before);
    expect(await stack.db.query(`select from member where email = 'sixth@example.com'`)).toEqual([]);
    expect(await stack.accounts.signUp({ ...WISH, email: 'sixth@example.com' }, anotherNetwork())).toEqual({ email: 'sixth@example.com' });
  });

  test('the demo accounts are made once, and a second start changes nothing', async () => {
    await seedAccounts(stack.accounts);
    const seeded = await members();
    await seedAccounts(stack.accounts);

    expect(await members()).toEqual(seeded);
    expect(await stack.db.query(`select email, role from member where email like '%@lastseat.test' order by email`)).toEqual([
      { email: 'admin@lastseat.test', role: 'ADMIN' },
      { email: 'member@lastseat.test', role: 'MEMBER' },
      { email: 'organizer@lastseat.test', role: 'ORGANIZER' },
    ]);
    expect(await stack.accounts.signIn({ email: 'admin@lastseat.test', password: 'lastseat-demo' }, CLIENT)).toMatchObject({
      member: { role: 'ADMIN' },
    });
  });
});
