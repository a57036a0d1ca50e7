import { randomBytes } from 'node:crypto';
import type { EntitySchema } from '@mikro-orm/postgresql';
import { pino } from 'pino';
import { Database, type TransactObserver } from '../../src/platform/database/database.ts';
import { openOrm } from '../../src/platform/database/orm.ts';
import type { RetryCause } from '../../src/platform/database/retrying.ts';
import { SERVER_URL, TEMPLATE } from './postgres.ts';
import { query, urlOf } from './sql.ts';

export interface TestDatabase extends AsyncDisposable {
  readonly url: string;
  /** The door under test, opened with the entities given. */
  readonly database: Database;
  /** What `transact` told its observer, in order. */
  readonly observed: { name: string; retried?: RetryCause }[];
  /** One statement on a connection of its own, as a bystander would see it. */
  query<Row extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  /** Closes the door, proves that nobody still is connected, and drops the database. */
  close(): Promise<void>;
}

export interface TestDatabaseOptions {
  entities?: EntitySchema[];
  /** 20, as in production, unless said otherwise. */
  poolMax?: number;
  observer?: TransactObserver;
}

/** A migrated database of the test file's own: a copy of the run's template. */
export async function testDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const { url, drop } = await testDatabaseUrl();
  const observed: TestDatabase['observed'] = [];
  const orm = await openOrm({
    url,
    entities: options.entities ?? [],
    logger: pino({ level: 'silent' }),
    applicationName: 'lastseat test',
    ...(options.poolMax === undefined ? {} : { poolMax: options.poolMax }),
  });
  const database = await Database.over(
    orm,
    options.observer ?? {
      began: (name) => observed.push({ name }),
      retried: (name, cause) => observed.push({ name, retried: cause }),
    },
  );
  const close = async () => {
    await orm.close(true);
    await drop();
  };
  return {
    url,
    database,
    observed,
    query: (sql, values) => query(url, sql, values),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** A copy of the template with nobody connected, for tests that start a server process on it. `drop` fails when somebody still is. */
export async function testDatabaseUrl(): Promise<{ url: string; drop(): Promise<void> }> {
  const serverUrl = process.env[SERVER_URL];
  const template = process.env[TEMPLATE];
  if (!serverUrl || !template) throw new Error('No test PostgreSQL: run the tests with jest.config.js, whose global setup starts one.');
  const name = `lastseat_test_${randomBytes(6).toString('hex')}`;
  await query(serverUrl, `create database ${name} template ${template}`);
  return { url: urlOf(serverUrl, name), drop: () => drop(serverUrl, name) };
}

/** PostgreSQL waits 5 s for others to leave before it refuses to drop: closing connections get their time, leaked ones fail the test. */
async function drop(serverUrl: string, name: string): Promise<void> {
  try {
    await query(serverUrl, `drop database ${name}`);
  } catch (error) {
    const left = await query<{ application_name: string; state: string; query: string }>(
      serverUrl,
      'select application_name, state, query from pg_stat_activity where datname = $1',
      [name],
    );
    await query(serverUrl, `drop database ${name} with (force)`);
    if (left.length > 0) throw new Error(`The test left connections open: ${JSON.stringify(left)}`);
    throw error;
  }
}
