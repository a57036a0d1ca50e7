import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { pino } from 'pino';
import { migrations } from '../../migrations/index.ts';
import { migrate } from '../../src/platform/database/orm.ts';
import { testDatabaseUrl } from '../support/database.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { query } from '../support/sql.ts';

failOnLeaks();

const logger = pino({ level: 'silent' });

test('units that are held and sold when numbered units are deployed are so afterwards', async () => {
  const { url, drop } = await testDatabaseUrl();
  try {
    await query(url, 'drop schema public cascade');
    await query(url, 'create schema public');
    const before = migrations.findIndex(({ name }) => name.endsWith('-numbered-units'));
    await migrate({ url, migrations: migrations.slice(0, before), logger });
    const pool = randomUUID();
    await query(url, "insert into pool (id, kind, capacity, held, sold) values ($1, 'seat', 4, 2, 1)", [pool]);
    for (const [label, state] of Object.entries({ A: 'HELD', B: 'PAYING', C: 'CONFIRMED' }))
      await query(
        url,
        `with h as (
           insert into hold (kind, claimant_id, state, amount_minor, currency, expires_at, idempotency_key, request_hash)
           values ('seat', gen_random_uuid(), $3, 0, 'KRW', now() + interval '5 minutes', $2, '\\x07') returning id
         ), u as (insert into unit (pool_id, label, hold_id) select $1, $2, id from h returning id, hold_id)
         insert into hold_item (hold_id, position, pool_id, unit_id, quantity) select hold_id, 0, $1, id, 1 from u`,
        [pool, label, state],
      );
    await query(url, "insert into unit (pool_id, label) values ($1, 'D')", [pool]);

    await migrate({ url, migrations, logger });

    expect(await query(url, 'select label, state, version, number, price_minor from unit order by label')).toEqual(
      Object.entries({ A: 'HELD', B: 'HELD', C: 'SOLD', D: 'AVAILABLE' }).map(([label, state]) => ({
        label,
        state,
        version: 1,
        number: null,
        price_minor: null,
      })),
    );
  } finally {
    await drop();
  }
});
