import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  checkedIdempotencyKey,
  forgetAnswers,
  IdempotencyKeyReusedError,
  idempotently,
  requestHash,
} from '../../../src/platform/idempotency/index.ts';
import { Refusal } from '../../../src/platform/refusal.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { waitingForLocks } from '../../support/lock-waits.ts';
import { eventually } from '../../support/wait.ts';

failOnLeaks();

class SoldOut extends Refusal {
  override readonly code = 'SOLD_OUT';
  override text = () => 'Sold out.';
}

describe('an idempotency key', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await testDatabase();
  });
  afterAll(() => db.close());

  type Answer = { ticket: number };
  const ask = (memberId: string, key: string, request: Record<string, number>, work: () => Promise<Answer | Refusal>, operation = 'buy') =>
    db.database.transact((em) => idempotently<Answer>(em, { memberId, key, operation, request }, work), { name: 'test' });
  const answering = (ticket: number) => {
    const calls = { count: 0 };
    const work = async () => {
      calls.count++;
      return { ticket };
    };
    return { calls, work };
  };

  test('replays the first answer to a repeat and does the work once, in whatever order the fields were named', async () => {
    const member = randomUUID();
    const { calls, work } = answering(1);

    const first = await ask(member, 'k', { a: 1, b: 2 }, work);
    const repeat = await ask(member, 'k', { b: 2, a: 1 }, work);

    expect([first, repeat]).toEqual([{ ticket: 1 }, { ticket: 1 }]);
    expect(calls.count).toBe(1);
  });

  test('with another request, or another operation, is refused and nothing is done', async () => {
    const member = randomUUID();
    await ask(member, 'k', { a: 1 }, answering(1).work);
    const { calls, work } = answering(2);

    expect(await ask(member, 'k', { a: 2 }, work)).toBeInstanceOf(IdempotencyKeyReusedError);
    expect(await ask(member, 'k', { a: 1 }, work, 'sell')).toBeInstanceOf(IdempotencyKeyReusedError);

    expect(calls.count).toBe(0);
    expect(await ask(member, 'k', { a: 1 }, work)).toEqual({ ticket: 1 });
  });

  test("of another member is that member's own", async () => {
    const [one, other] = [randomUUID(), randomUUID()];
    await ask(one, 'k', { a: 1 }, answering(1).work);

    expect(await ask(other, 'k', { a: 2 }, answering(2).work)).toEqual({ ticket: 2 });
  });

  test('keeps no refusal and no failure: the repeat is decided anew', async () => {
    const member = randomUUID();

    expect(await ask(member, 'k', { a: 1 }, async () => new SoldOut())).toBeInstanceOf(SoldOut);
    await expect(ask(member, 'k', { a: 1 }, () => Promise.reject(new Error('the printer is out of paper')))).rejects.toThrow(
      'out of paper',
    );

    expect(await db.query('select key from idempotent_answer where member_id = $1', [member])).toEqual([]);
    expect(await ask(member, 'k', { a: 1 }, answering(3).work)).toEqual({ ticket: 3 });
  });

  test('used twice at the same moment lets the twin wait, then replay', async () => {
    const member = randomUUID();
    let finish = () => {};
    const held = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const { calls, work } = answering(9);
    const first = ask(member, 'k', { a: 1 }, async () => {
      await held;
      return { ticket: 4 };
    });
    await eventually(async () =>
      expect(
        await db.query(
          `select count(*)::int as idle from pg_stat_activity where datname = current_database() and state = 'idle in transaction'`,
        ),
      ).toEqual([{ idle: 1 }]),
    );

    const twin = ask(member, 'k', { a: 1 }, work);
    await waitingForLocks(db);
    finish();

    expect(await Promise.all([first, twin])).toEqual([{ ticket: 4 }, { ticket: 4 }]);
    expect(calls.count).toBe(0);
  });

  test('is forgotten after 7 days, not before', async () => {
    const member = randomUUID();
    for (const key of ['old', 'young']) await ask(member, key, {}, answering(1).work);
    await db.query(
      `update idempotent_answer set created_at = now() - case key when 'old' then interval '7 days 1 minute' else interval '6 days 23 hours' end where member_id = $1`,
      [member],
    );

    await forgetAnswers(db.database.pool).task.handle({}, { id: '1', attempt: 1, signal: undefined });

    expect(await db.query('select key from idempotent_answer where member_id = $1', [member])).toEqual([{ key: 'young' }]);
  });

  test('has 1 to 200 visible ASCII characters', () => {
    for (const good of ['x', '!'.repeat(200), randomUUID()]) expect(checkedIdempotencyKey(good)).toBe(good);
    for (const bad of ['', 'x'.repeat(201), 'a b', 'a\n', 'a\u0000', '\u007f', '키', '\ud800'])
      expect(() => checkedIdempotencyKey(bad)).toThrow('1 to 200');
  });

  test('the hash of a request tells operations, values and nesting apart', () => {
    const hashes = [
      requestHash('buy', { a: 1 }),
      requestHash('sell', { a: 1 }),
      requestHash('buy', { a: '1' }),
      requestHash('buy', { a: [1] }),
      requestHash('buy', { a: null }),
      requestHash('buy', {}),
    ].map((hash) => hash.toString('hex'));

    expect(new Set(hashes).size).toBe(hashes.length);
    expect(requestHash('buy', { x: { b: [1, { d: 1, c: 2 }], a: 1 } })).toEqual(
      requestHash('buy', { x: { a: 1, b: [1, { c: 2, d: 1 }] } }),
    );
  });
});
