import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestDatabase, testDatabase } from '../../support/database.ts';

const POOL_MAX = 4;

describe('the connection pool', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await testDatabase({ poolMax: POOL_MAX });
  });
  afterAll(() => db.close());

  test('answers the next query after 3 times its size of backends were terminated inside transactions', async () => {
    for (let lost = 0; lost < 3 * POOL_MAX; lost++) {
      const em = db.database.fork();
      await em.begin();
      const [row] = await em.execute<{ pid: number }[]>('select pg_backend_pid() as pid');

      await db.query('select pg_terminate_backend($1, 5000)', [row?.pid]);

      await expect(em.execute('select 1')).rejects.toThrow();
      await em.rollback().catch(() => undefined);
    }

    await expect(db.database.fork().execute('select 42 as answer')).resolves.toEqual([{ answer: 42 }]);
    expect(db.database.pool.totalCount).toBeLessThanOrEqual(POOL_MAX);
  });

  test('carries the session limits on every connection', async () => {
    const rows = await db.database
      .fork()
      .execute(
        `select name, setting from pg_settings where name in ('lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout', 'TimeZone') order by lower(name)`,
      );

    expect(rows).toEqual([
      { name: 'idle_in_transaction_session_timeout', setting: '15000' },
      { name: 'lock_timeout', setting: '2000' },
      { name: 'statement_timeout', setting: '10000' },
      { name: 'TimeZone', setting: 'UTC' },
    ]);
  });
});
