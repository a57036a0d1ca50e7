import { Migrator } from '@mikro-orm/migrations';
import { DataloaderType, type EntitySchema, type MigrationObject, MikroORM } from '@mikro-orm/postgresql';
import { runMigrations } from 'graphile-worker';
import type { Logger } from 'pino';
import { workerLogger } from '../jobs/worker-logger.ts';
import { sqlStateOf } from './sqlstates.ts';

export interface OrmOptions {
  /** `postgres://user:password@host:port/database`; what node-postgres understands in its query string (`sslmode`, …) is honoured. */
  url: string;
  entities: EntitySchema[];
  /** Connections this process opens at most. 20 unless said otherwise; a worker in the same process opens its own few. */
  poolMax?: number;
  logger: Logger;
  /** Shown in `pg_stat_activity`. */
  applicationName?: string;
}

export interface MigrateOptions {
  url: string;
  /** In the order they are run; `name` is what the database remembers. */
  migrations: MigrationObject[];
  logger: Logger;
}

/** One sentence for the person at the terminal: why this database cannot be used and what cures it. Holds no password. */
export class DatabaseUnusableError extends Error {
  override readonly name = 'DatabaseUnusableError';
}

export const POOL_MAX_DEFAULT = 20;

/**
 * Limits every session carries, so that no statement, lock or forgotten transaction can hold others up without end.
 *
 * A lock is waited for 2 s and a statement runs 10 s: far above what a healthy one takes, below the patience of a person. A transaction that
 * sits idle for 15 s has lost its process. `transact` can shorten the first two for one transaction.
 */
const SESSION_LIMITS = '-c lock_timeout=2000 -c statement_timeout=10000 -c idle_in_transaction_session_timeout=15000 -c timezone=UTC';
/** A migration may rewrite a table, but must not queue for ever behind a reader and stop everyone behind itself. */
const MIGRATION_LIMITS = '-c lock_timeout=10000 -c statement_timeout=0 -c timezone=UTC';
/** How long a request waits for a free connection, and a start for an answer, before it is told. */
const CONNECT_WITHIN_MS = 10_000;
/** uuidv7() came with it. */
const SERVER_VERSION_MIN = 18;

/**
 * Opens the ORM on a database that answers and is recent enough.
 *
 * @throws DatabaseUnusableError
 */
export async function openOrm(options: OrmOptions): Promise<MikroORM> {
  const poolMax = options.poolMax ?? POOL_MAX_DEFAULT;
  const orm = await open(options.url, options.entities, poolMax, SESSION_LIMITS, options.applicationName ?? 'lastseat', options.logger);
  return usable(orm, options.url);
}

/**
 * Runs what is pending of `migrations` and of graphile-worker's own, each in a transaction, and returns the names of ours that ran.
 * Safe when several processes start at once: one runs, the others wait for it and find nothing left to do.
 *
 * @throws DatabaseUnusableError
 */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  const orm = await usable(
    await open(options.url, [], 4, MIGRATION_LIMITS, 'lastseat migrate', options.logger, options.migrations),
    options.url,
  );
  try {
    const pool = await orm.em.getDriver().getConnection().getNativeClient();
    const turn = await pool.connect();
    try {
      await turn.query('set lock_timeout = 0'); // The advisory lock is waited for as long as the other's migrations run.
      await turn.query('select pg_advisory_lock($1)', [MIGRATION_LOCK]);
      await runMigrations({ pgPool: pool, logger: workerLogger(options.logger) });
      const ran = await orm.migrator.up();
      return ran.map((migration) => migration.name);
    } finally {
      turn.release(true); // Closing the session gives the advisory lock back.
    }
  } finally {
    await orm.close(true);
  }
}

/** The names of `migrations` this database has not seen. One indexed query; an empty database has seen none. */
export async function pendingMigrations(orm: MikroORM, migrations: readonly MigrationObject[]): Promise<string[]> {
  try {
    const rows = await orm.em.getConnection().execute<{ name: string }[]>(`select name from ${MIGRATIONS_TABLE}`);
    const seen = new Set(rows.map((row) => row.name));
    return migrations.map((migration) => migration.name).filter((name) => !seen.has(name));
  } catch (error) {
    if (sqlStateOf(error) === UNDEFINED_TABLE) return migrations.map((migration) => migration.name);
    throw error;
  }
}

/** Any number nobody else takes an advisory lock on: "lastseat" in digits of a telephone. */
const MIGRATION_LOCK = 52787328;
const MIGRATIONS_TABLE = 'migration';
const UNDEFINED_TABLE = '42P01';

async function open(
  url: string,
  entities: EntitySchema[],
  poolMax: number,
  limits: string,
  applicationName: string,
  logger: Logger,
  migrations: MigrationObject[] = [],
): Promise<MikroORM> {
  const { database, description } = describe(url);
  try {
    return await MikroORM.init({
      clientUrl: url,
      dbName: database,
      driverOptions: {
        connectionString: url,
        options: limits,
        application_name: applicationName,
        connectionTimeoutMillis: CONNECT_WITHIN_MS,
        keepAlive: true,
      },
      pool: { min: 0, max: poolMax, idleTimeoutMillis: 30_000 },
      entities,
      discovery: { warnWhenNoEntities: false },
      metadataCache: { enabled: false },
      dataloader: DataloaderType.ALL,
      // Batched, the ORM compares the versions of several entities in one SELECT and then updates them without a guard: updates were lost.
      useBatchUpdates: false,
      ensureDatabase: false,
      extensions: [Migrator],
      migrations: {
        tableName: MIGRATIONS_TABLE,
        migrationsList: migrations,
        // One by one: a long list in one transaction would hold the locks of all until the last has run.
        allOrNothing: false,
        transactional: true,
        disableForeignKeys: false,
        snapshot: false,
        silent: true,
      },
      debug: false,
      colors: false,
      logger: (message) => logger.debug({ orm: message }, 'ORM'),
    });
  } catch (error) {
    throw explained(error, description) ?? error;
  }
}

/** Asks the server for its version; closes the ORM when the answer is no. */
async function usable(orm: MikroORM, url: string): Promise<MikroORM> {
  const { description } = describe(url);
  try {
    const rows = await orm.em.getConnection().execute<{ version: string }[]>("select current_setting('server_version') as version");
    const version = rows[0]?.version ?? '';
    if (Number.parseInt(version, 10) >= SERVER_VERSION_MIN) return orm;
    throw new DatabaseUnusableError(
      `${description} is PostgreSQL ${version}, lastseat needs ${SERVER_VERSION_MIN} or newer: upgrade it, or leave DATABASE_URL unset to use the embedded one.`,
    );
  } catch (error) {
    await orm.close(true).catch(() => undefined);
    throw explained(error, description) ?? error;
  }
}

function describe(url: string): { database: string; description: string } {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    throw new DatabaseUnusableError('DATABASE_URL is not a URL: write it as postgres://user:password@host:5432/database.');
  }
  const database = decodeURIComponent(parsed.pathname.slice(1)) || decodeURIComponent(parsed.username);
  return { database, description: `The database ${database} at ${parsed.hostname}:${parsed.port || 5432}` };
}

function explained(error: unknown, description: string): DatabaseUnusableError | undefined {
  const because = (cure: string) => new DatabaseUnusableError(`${description} ${cure}`, { cause: error });
  switch (sqlStateOf(error)) {
    case '28P01':
    case '28000':
      return because('refused the user or password in DATABASE_URL: correct them.');
    case '3D000':
      return because('does not exist: create it (createdb), or correct the name in DATABASE_URL.');
    case '53300':
      return because('has no connection left: lower DATABASE_POOL_MAX or raise max_connections.');
    case '57P03':
      return because('is starting up or shutting down: try again in a moment.');
  }
  const codes = systemErrorsOf(error);
  if (codes.includes('ENOTFOUND') || codes.includes('EAI_AGAIN'))
    return because('cannot be found, its host name does not resolve: correct DATABASE_URL.');
  if (codes.includes('ECONNREFUSED'))
    return because('refuses connections: is PostgreSQL running there, and is the port in DATABASE_URL right?');
  if (codes.some((code) => ['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'ECONNRESET', 'timeout'].includes(code)))
    return because(`does not answer within ${CONNECT_WITHIN_MS / 1000} s: check the address in DATABASE_URL and the network.`);
  return undefined;
}

/** The system's error codes on the way down to the first cause; an address with two families fails with two. */
function systemErrorsOf(error: unknown): string[] {
  const codes: string[] = [];
  const queue: unknown[] = [error];
  for (let seen = 0; queue.length > 0 && seen < 10; seen++) {
    const current = queue.shift();
    if (typeof current !== 'object' || current === null) continue;
    // Not `instanceof Error`: the system's errors are made in another realm than ours where a test runner gives us one of our own.
    const { code, message, cause, errors } = current as { code?: unknown; message?: unknown; cause?: unknown; errors?: unknown };
    if (typeof code === 'string') codes.push(code);
    if (/timeout exceeded when trying to connect|connection timeout/i.test(String(message))) codes.push('timeout');
    queue.push(cause, ...(Array.isArray(errors) ? errors : []));
  }
  return codes;
}
