import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { type EmbeddedPostgres, EmbeddedPostgresError, startEmbeddedPostgres } from '../../../src/platform/database/embedded-postgres.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { query } from '../../support/sql.ts';

failOnLeaks();

const logger = pino({ level: 'silent' });

describe('the embedded PostgreSQL', () => {
  let parent: string;
  let directory: string;
  const processes: ChildProcess[] = [];
  beforeAll(async () => {
    parent = await mkdtemp(path.join(tmpdir(), 'lastseat-embedded-'));
    await chmod(parent, 0o711); // As root the server runs as another user.
    directory = path.join(parent, 'postgres');
  });
  afterAll(async () => {
    for (const child of processes) child.kill('SIGKILL');
    await rm(parent, { recursive: true, force: true });
  });

  const start = () => startEmbeddedPostgres({ directory, logger });

  async function startInProcess(): Promise<{ child: ChildProcess; url: string }> {
    const script = path.join(import.meta.dirname, 'embedding-process.ts');
    const child = spawn(process.execPath, ['--experimental-transform-types', '--no-warnings', script, directory], {
      env: {},
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    processes.push(child);
    const [url] = await once(child.stdout!, 'data');
    return { child, url: String(url).trim() };
  }

  test('is durable, listens on this machine alone, and keeps what was committed for the next start', async () => {
    const first: EmbeddedPostgres = await start();
    const settings = await query(
      first.url,
      `select name, setting from pg_settings
       where name in ('fsync', 'full_page_writes', 'listen_addresses', 'max_connections', 'synchronous_commit', 'unix_socket_directories') order by name`,
    );
    await query(first.url, 'create table kept as select 42 as answer');
    await first.stop();

    const second = await start();

    expect(settings).toEqual([
      { name: 'fsync', setting: 'on' },
      { name: 'full_page_writes', setting: 'on' },
      { name: 'listen_addresses', setting: '127.0.0.1' },
      { name: 'max_connections', setting: '200' },
      { name: 'synchronous_commit', setting: 'on' },
      { name: 'unix_socket_directories', setting: '' },
    ]);
    expect(await query(second.url, 'select answer from kept')).toEqual([{ answer: 42 }]);
    expect(second.directory).toBe(directory);
    await second.stop();
    await second.stop();
    await second.exited;
    expect(await readdir(parent)).toEqual(['postgres']);
  });

  test('asks for its password, which only its owner may read', async () => {
    const server = await start();
    const wrong = new URL(server.url);
    wrong.password = 'postgres';

    await expect(query(wrong.toString(), 'select 1')).rejects.toThrow('password authentication failed');
    expect((await stat(path.join(directory, 'lastseat.password'))).mode & 0o777).toBe(0o600);
    await server.stop();
  });

  test('a directory in use by a running process is refused in one sentence, and that process is left alone', async () => {
    const { child, url } = await startInProcess();

    await expect(start()).rejects.toThrow(
      new EmbeddedPostgresError(
        `The data directory ${directory} is in use by another running lastseat: stop that one, or give this one its own with DATA_DIR.`,
      ),
    );
    expect(await query(url, 'select 1 as alive')).toEqual([{ alive: 1 }]);

    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  test('the server of a process killed with -9 ends, and the next start has what was committed', async () => {
    const { child, url } = await startInProcess();
    await query(url, 'create table after_the_kill as select 7 as answer');
    child.kill('SIGKILL');
    await once(child, 'exit');

    const next = await start();

    expect(await query(next.url, 'select answer from after_the_kill')).toEqual([{ answer: 7 }]);
    await expect(query(url, 'select 1')).rejects.toThrow('ECONNREFUSED');
    await next.stop();
  });

  test('a directory with other things in it is refused and left as it is', async () => {
    const elsewhere = path.join(parent, 'elsewhere');
    await mkdir(elsewhere);
    await writeFile(path.join(elsewhere, 'photo.jpg'), 'a cat');

    await expect(startEmbeddedPostgres({ directory: elsewhere, logger })).rejects.toThrow(
      `The directory ${elsewhere} is not a database and not empty (ENOTEMPTY): empty it, or choose another DATA_DIR.`,
    );

    expect(await readdir(elsewhere)).toEqual(['photo.jpg']);
    expect((await readdir(parent)).sort()).toEqual(['elsewhere', 'postgres']);
  });

  test('a database of an older PostgreSQL is refused', async () => {
    const old = path.join(parent, 'old');
    await mkdir(old);
    await writeFile(path.join(old, 'PG_VERSION'), '17\n');

    await expect(startEmbeddedPostgres({ directory: old, logger })).rejects.toThrow(`The data directory ${old} was made by PostgreSQL 17`);
  });
});
