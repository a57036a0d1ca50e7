import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { z } from 'zod';
import { addJob, startWorker, type Worker } from '../../../src/platform/jobs/index.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { eventually } from '../../support/wait.ts';

failOnLeaks();

const HEARTBEAT = { everyMs: 200, deadAfterMs: 800 };
const logger = pino({ level: 'silent' });

describe('the job of a worker process killed with -9', () => {
  const attempts: number[] = [];
  const hang = {
    name: 'hang',
    schema: z.object({}),
    handle: async (_payload: object, { attempt }: { attempt: number }) => {
      attempts.push(attempt);
    },
  };
  let db: TestDatabase;
  beforeAll(async () => {
    db = await testDatabase();
  });
  afterAll(() => db.close());

  const lockedJobs = () => db.query('select locked_by is not null as locked, attempts from graphile_worker.jobs');

  /** A job held by a process that is then killed. */
  async function killHolder(): Promise<void> {
    await addJob(db.database.fork(), hang, {});
    const script = path.join(import.meta.dirname, 'stuck-worker.ts');
    const holder: ChildProcess = spawn(process.execPath, ['--experimental-transform-types', '--no-warnings', script, db.url], {
      env: {},
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout!, 'data');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    expect(await lockedJobs()).toEqual([{ locked: true, attempts: 1 }]);
  }

  test('stays locked as long as the dead are not looked for (the control)', async () => {
    await killHolder();
    const indifferent = await startWorker({
      url: db.url,
      tasks: [hang],
      logger,
      pollMs: 50,
      heartbeat: { everyMs: 200, deadAfterMs: 3_600_000 },
    });

    // A job added later is run: the worker works, it only cannot have the locked one.
    await addJob(db.database.fork(), hang, {});
    await eventually(() => expect(attempts).toEqual([1]));

    await eventually(async () => expect(await lockedJobs()).toEqual([{ locked: true, attempts: 1 }]));
    await indifferent.stop();
    attempts.length = 0;
  });

  test('is run by another within the configured time', async () => {
    const watcher: Worker = await startWorker({ url: db.url, tasks: [hang], logger, pollMs: 50, heartbeat: HEARTBEAT });

    await eventually(() => expect(attempts).toEqual([2]));

    await eventually(async () => expect(await lockedJobs()).toEqual([]));
    expect(await db.query('select worker_id from worker_heartbeat')).toEqual([{ worker_id: watcher.id }]);
    await watcher.stop();
    expect(await db.query('select worker_id from worker_heartbeat')).toEqual([]);
  });

  test('a live worker keeps the lock of a job that runs longer than the time of death', async () => {
    let end = () => {};
    const longJob = {
      name: 'long',
      schema: z.object({}),
      handle: () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
    };
    // Both live in this process: were the time of death short, a stall of it would make each take the other for dead.
    const heartbeat = { everyMs: 100, deadAfterMs: 60_000 };
    const busy = await startWorker({ url: db.url, tasks: [longJob], logger, heartbeat });
    const watcher = await startWorker({ url: db.url, tasks: [hang], logger, heartbeat });
    await addJob(db.database.fork(), longJob, {});
    await eventually(async () => expect(await lockedJobs()).toEqual([{ locked: true, attempts: 1 }]));

    await db.query("update graphile_worker._private_jobs set locked_at = locked_at - interval '1 hour'");
    // By its third beat from now the watcher has looked for the dead.
    for (let beat = 0; beat < 3; beat++) {
      const beatAt = () => db.query('select beat_at::text from worker_heartbeat where worker_id = $1', [watcher.id]);
      const before = await beatAt();
      await eventually(async () => expect(await beatAt()).not.toEqual(before));
    }

    expect(await db.query('select locked_by from graphile_worker.jobs')).toEqual([{ locked_by: busy.id }]);
    end();
    await Promise.all([busy.stop(), watcher.stop()]);
    expect(await lockedJobs()).toEqual([]);
  });

  test('a job that does not end is given back when its worker is stopped', async () => {
    const begun: number[] = [];
    const endless = { name: 'endless', schema: z.object({}), handle: () => new Promise<void>(() => begun.push(1)) };
    const worker = await startWorker({ url: db.url, tasks: [endless], logger });
    await addJob(db.database.fork(), endless, {});
    await eventually(() => expect(begun).toEqual([1]));

    await worker.stop(100);

    expect(await lockedJobs()).toEqual([{ locked: false, attempts: 1 }]);
  });
});
