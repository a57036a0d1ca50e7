import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type AccountsStack, accountsStack, member } from './accounts-stack.ts';

describe('the role of a member', () => {
  let stack: AccountsStack;
  beforeAll(async () => {
    stack = await accountsStack();
  });
  beforeEach(() => stack.db.query('delete from member'));
  afterAll(() => stack.db.close());

  const admins = () => stack.db.query<{ email: string }>(`select email from member where role = 'ADMIN' order by email`);

  test('can be raised and lowered', async () => {
    await member(stack, 'a@example.com', 'ADMIN');
    const id = await member(stack, 'b@example.com');

    expect(await stack.accounts.setRole(id, 'ADMIN')).toMatchObject({ id, role: 'ADMIN' });
    expect(await admins()).toEqual([{ email: 'a@example.com' }, { email: 'b@example.com' }]);
    expect(await stack.accounts.setRole(id, 'ORGANIZER')).toMatchObject({ id, role: 'ORGANIZER' });
    expect(await admins()).toEqual([{ email: 'a@example.com' }]);
  });

  test('of the last administrator stays', async () => {
    const id = await member(stack, 'a@example.com', 'ADMIN');

    expect(await stack.accounts.setRole(id, 'MEMBER')).toMatchObject({ code: 'LAST_ADMIN' });
    expect(await stack.accounts.setRole(id, 'ADMIN')).toMatchObject({ id, role: 'ADMIN' });
    expect(await admins()).toEqual([{ email: 'a@example.com' }]);
  });

  test('of nobody is not found', async () => {
    const id = await member(stack, 'a@example.com', 'ADMIN');

    expect(await stack.accounts.setRole('00000000-0000-7000-8000-000000000000', 'ADMIN')).toMatchObject({ code: 'MEMBER_NOT_FOUND' });
    expect(await stack.accounts.setRole(id, 'MEMBER')).toMatchObject({ code: 'LAST_ADMIN' });
  });

  test('when 5 administrators are lowered at once, one stays', async () => {
    const ids = [];
    for (const name of ['a', 'b', 'c', 'd', 'e']) ids.push(await member(stack, `${name}@example.com`, 'ADMIN'));

    const results = await Promise.all(ids.map((id) => stack.accounts.setRole(id, 'MEMBER')));

    expect(results.filter((result) => 'code' in result && result.code === 'LAST_ADMIN')).toHaveLength(1);
    expect(await admins()).toHaveLength(1);
  });

  test('negative control: counting without the lock would leave none', async () => {
    const ids = [await member(stack, 'a@example.com', 'ADMIN'), await member(stack, 'b@example.com', 'ADMIN')];
    const counts = await Promise.all(ids.map(() => admins()));

    for (const [index, id] of ids.entries())
      if ((counts[index]?.length ?? 0) > 1) await stack.db.query(`update member set role = 'MEMBER' where id = $1`, [id]);

    expect(await admins()).toEqual([]);
  });
});
