import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type AccountsStack, accountsStack, countQueries, PASSWORD } from './accounts-stack.ts';

describe('the members of a rehearsal', () => {
  let stack: AccountsStack;
  beforeAll(async () => {
    stack = await accountsStack();
  });
  afterAll(() => stack.db.close());

  test('are made 10,000 at a time by one statement, signed in for two hours, half of them women', async () => {
    const { result: made, queries } = await countQueries(stack.db.database, () => stack.rehearsals.createRehearsalMembers(10_000));

    expect(queries).toBe(1);
    expect(new Set(made.map(({ memberId }) => memberId)).size).toBe(10_000);
    const viewers = await Promise.all(made.map(({ accessToken }) => stack.gate.authenticate(accessToken)));
    expect(viewers.map((viewer) => viewer?.memberId)).toEqual(made.map(({ memberId }) => memberId));
    expect(
      await stack.db.query(
        `select gender, role, count(*)::int, bool_and(email = 'rehearsal-' || id || '@rehearsal.invalid') as named, bool_and(password_hash is null) as passwordless
         from member group by gender, role order by gender`,
      ),
    ).toEqual([
      { gender: 'FEMALE', role: 'MEMBER', count: 5_000, named: true, passwordless: true },
      { gender: 'MALE', role: 'MEMBER', count: 5_000, named: true, passwordless: true },
    ]);
    expect(
      await stack.db.query(
        `select count(distinct (family_hash, token_hash))::int as families, bool_and(expires_at = created_at + interval '2 hours') as two_hours from session`,
      ),
    ).toEqual([{ families: 10_000, two_hours: true }]);
  });

  test('are deleted with their sessions, and nobody else is', async () => {
    const email = 'rehearsal-me@rehearsal.invalid';
    await stack.accounts.signUp({ email, password: PASSWORD, displayName: 'Me', gender: null, locale: 'en' }, '192.0.2.1');
    const [made] = await stack.rehearsals.createRehearsalMembers(1);

    expect(await stack.rehearsals.deleteRehearsalMembers()).toBe(10_001);

    expect(await stack.gate.authenticate(made?.accessToken ?? '')).toBeNull();
    expect(await stack.db.query('select email from member')).toEqual([{ email }]);
    expect(await stack.db.query('select from session')).toEqual([]);
    expect(await stack.rehearsals.deleteRehearsalMembers()).toBe(0);
  });

  test.each([0, -1, 1.5, 10_001, Number.NaN])('are not made %d at a time', async (count) => {
    await expect(stack.rehearsals.createRehearsalMembers(count)).rejects.toThrow('1 to 10000 members per call');
  });
});
