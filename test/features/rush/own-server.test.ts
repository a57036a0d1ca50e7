import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { failOnLeaks } from '../../support/leaks.ts';
import { eventually } from '../../support/wait.ts';
import { brokenOf, RUSH, reportOf } from './rush-process.ts';

failOnLeaks();
/** Making a database takes a second on a quiet machine and half a minute on a busy disk. */
jest.setTimeout(180_000);

describe('a rush with a server of its own', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'lastseat-rush-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  /** The database the environment names must not be touched: nothing listens there. */
  const environment = { DATABASE_URL: 'postgres://nobody@127.0.0.1:1/nothing', NODE_ENV: 'production' };

  function start(...args: string[]) {
    const client = spawn(process.execPath, [RUSH, '--own', ...args], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment,
    });
    const run = { code: null as number | null, stdout: '', stderr: '' };
    client.stdout.on('data', (chunk) => {
      run.stdout += chunk;
    });
    client.stderr.on('data', (chunk) => {
      run.stderr += chunk;
    });
    const closed = once(client, 'close').then(([code]) => ({ ...run, code }));
    return { client, run, closed };
  }

  test('starts it, rehearses, stops it, and leaves nothing behind', async () => {
    const run = await start('--preset', 'eleven', '--json').closed;

    const report = reportOf(run);
    expect({ code: run.code, broken: brokenOf(report), server: report.rush.server }).toEqual({ code: 0, broken: [], server: 'own' });
    expect(await readdir(path.join(directory, '.data'))).toEqual([]);
  });

  test('interrupted in the middle, stops it, leaves nothing behind, and ends with 130', async () => {
    const { client, run, closed } = start('--members', '20000', '--places', '100');
    await eventually(() => run.stderr.includes('Members '), { withinMs: 120_000 });

    client.kill('SIGINT');
    client.kill('SIGINT');
    const { code, stdout, stderr } = await closed;

    expect({ code, stdout }).toEqual({ code: 130, stdout: '' });
    expect(stderr).toContain('Interrupted. Everything that was started has been stopped.\n');
    expect(await readdir(path.join(directory, '.data'))).toEqual([]);
  });
});
