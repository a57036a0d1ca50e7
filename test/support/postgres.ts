import { chmod, glob, mkdtemp, rm, stat, statfs } from 'node:fs/promises';
import { freemem, tmpdir } from 'node:os';
import path from 'node:path';
import { pino } from 'pino';
import { migrations } from '../../migrations/index.ts';
import { startEmbeddedPostgres } from '../../src/platform/database/embedded-postgres.ts';
import { migrate } from '../../src/platform/database/orm.ts';
import { query, urlOf } from './sql.ts';

/** What the test files find in the environment: the server's URL, and the database every test file's own is a copy of. */
export const SERVER_URL = 'LASTSEAT_TEST_SERVER_URL';
export const TEMPLATE = 'LASTSEAT_TEST_TEMPLATE';

/** Where Linux keeps files in memory. */
const MEMORY = '/dev/shm';
const MEMORY_NEEDED_BYTES = 4 * 2 ** 30;

/** In memory where there is plenty: a test file's copy of the template, 480 files, takes 40 ms there and half a second on many a disk. */
async function scratchDirectory(): Promise<string> {
  const memory = await statfs(MEMORY).catch(() => undefined);
  if (memory) await forgetKilledRuns();
  const isPlenty = memory && memory.bavail * memory.bsize >= MEMORY_NEEDED_BYTES && freemem() >= 2 * MEMORY_NEEDED_BYTES;
  return mkdtemp(path.join(isPlenty ? MEMORY : tmpdir(), 'lastseat-test-'));
}

/** A run that is killed leaves its files, which are memory here. Its server has ended by itself; one that is an hour old and has none is nobody's. */
async function forgetKilledRuns(): Promise<void> {
  for await (const left of glob(`${MEMORY}/lastseat-test-*`)) {
    const isServed = await stat(path.join(left, 'postgres', 'postmaster.pid')).catch(() => undefined);
    const made = await stat(left).catch(() => undefined);
    if (!isServed && made && Date.now() - made.mtimeMs > 3_600_000) await rm(left, { recursive: true, force: true }).catch(() => undefined);
  }
}

/**
 * Starts one PostgreSQL for a whole run (or uses DATABASE_URL_FOR_TESTS) and migrates a template database in it once.
 * Commits are not written to disk: nothing here survives the run, and the tests run twice as fast.
 */
export async function startTestPostgres(): Promise<{ stop(): Promise<void> }> {
  const logger = pino({ level: 'silent' });
  const given = process.env.DATABASE_URL_FOR_TESTS;
  const directory = given ? undefined : await scratchDirectory();
  // mkdtemp makes it ours alone; as root the server runs as another user, who must be able to pass through (but not to look around).
  if (directory) await chmod(directory, 0o711);
  const server = directory
    ? await startEmbeddedPostgres({ directory: path.join(directory, 'postgres'), logger, durable: false })
    : undefined;
  const serverUrl = given ?? server?.url ?? '';
  const template = `lastseat_template_${process.pid}`;
  const stop = async () => {
    if (given) await query(serverUrl, `drop database if exists ${template} with (force)`);
    await server?.stop();
    if (directory) await rm(directory, { recursive: true, force: true });
  };
  try {
    await query(serverUrl, `create database ${template}`);
    await migrate({ url: urlOf(serverUrl, template), migrations, logger });
  } catch (error) {
    await stop();
    throw error;
  }
  process.env[SERVER_URL] = serverUrl;
  process.env[TEMPLATE] = template;
  return { stop };
}
