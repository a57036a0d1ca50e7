import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { z } from 'zod';
import { addJob, defineTask, startWorker, type Worker } from '../../../src/platform/jobs/index.ts';
import { Refusal } from '../../../src/platform/refusal.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { eventually } from '../../support/wait.ts';

failOnLeaks();

class NotToday extends Refusal {
  override readonly code = 'NOT_TODAY';
  override text = () => 'Not today.';
}

describe('jobs', () => {
  const greetings: string[] = [];
  const greet = defineTask({
    name: 'greet',
    schema: z.strictObject({ name: z.string().max(10) }),
    handle: async ({ name }) => {
      greetings.push(name);
    },
  });
  let triesOfFlaky = 0;
  const flaky = defineTask({
    name: 'flaky',
    schema: z.object({}),
    handle: async () => {
      triesOfFlaky++;
      throw new Error('the printer is out of paper');
    },
  });

  let db: TestDatabase;
  let worker: Worker;
  const finished: [string, string][] = [];
  beforeAll(async () => {
    db = await testDatabase();
    worker = await startWorker({
      url: db.url,
      tasks: [greet, flaky],
      logger: pino({ level: 'silent' }),
      observer: { finished: (task, outcome) => finished.push([task, outcome]) },
    });
  });
  afterAll(async () => {
    await worker.stop();
    await db.close();
  });

  const jobsOf = (name: string) =>
    db.query<{ attempts: number; max_attempts: number; last_error: string | null; key: string | null }>(
      'select attempts, max_attempts, last_error, key from graphile_worker.jobs where task_identifier = $1',
      [name],
    );

  test('a job is run once its transaction has committed', async () => {
    await db.database.transact((em) => addJob(em, greet, { name: 'Yuna' }), { name: 'test' });

    await eventually(() => expect(greetings).toEqual(['Yuna']));
    await eventually(async () => expect(await jobsOf('greet')).toEqual([]));
    await eventually(() => expect(finished).toEqual([['greet', 'succeeded']]));
  });

  test('a job of the driver inside its transaction is rolled back with it, and so is one beside a refusal', async () => {
    greetings.length = 0;
    const client = await db.database.pool.connect();
    await client.query('begin');
    await addJob(client, greet, { name: 'ghost' });
    await client.query('rollback');
    client.release();

    const refused = await db.database.transact(
      async (em) => {
        await addJob(em, greet, { name: 'ghost' });
        return new NotToday();
      },
      { name: 'test' },
    );

    expect(refused).toBeInstanceOf(NotToday);
    expect(await jobsOf('greet')).toEqual([]);
    await db.database.transact((em) => addJob(em, greet, { name: 'last' }), { name: 'test' });
    await eventually(() => expect(greetings).toEqual(['last']));
    await eventually(async () => expect(await jobsOf('greet')).toEqual([]));
  });

  test('a payload that is not of the schema is refused before anything is written', async () => {
    await expect(addJob(db.database.fork(), greet, { name: 'a name too long' })).rejects.toThrow(z.ZodError);
    expect(await jobsOf('greet')).toEqual([]);
  });

  test('a payload of another release that is not of the schema fails its job and does not reach the handler', async () => {
    greetings.length = 0;
    await db.query(`select from graphile_worker.add_job('greet', '{"title": "Dr"}', max_attempts => 1::smallint)`);

    const [job] = await eventually(async () => {
      const jobs = await jobsOf('greet');
      return jobs[0]?.last_error ? jobs : null;
    });
    expect(job?.last_error).toContain('"name"');
    expect(greetings).toEqual([]);
    await db.query('select graphile_worker.complete_jobs(array(select id from graphile_worker.jobs))');
  });

  test('a job that fails keeps its error and is tried again later', async () => {
    await addJob(db.database.fork(), flaky, {}, { maxAttempts: 3, jobKey: 'flaky' });

    // On a machine that stalls it may have been tried again by now.
    await eventually(async () =>
      expect(await jobsOf('flaky')).toEqual([
        { attempts: triesOfFlaky, max_attempts: 3, last_error: 'the printer is out of paper', key: 'flaky' },
      ]),
    );
    expect(triesOfFlaky).toBeGreaterThan(0);
  });

  test('of the jobs with one key only the last one waits', async () => {
    for (const name of ['first', 'second']) await addJob(db.database.fork(), greet, { name }, { jobKey: 'one', inSeconds: 3600 });
    await addJob(db.database.fork(), greet, { name: 'dated' }, { jobKey: 'two', runAt: new Date('2100-01-01T09:00:00+09:00') });

    const waiting = await db.query(
      `select payload, round(extract(epoch from run_at - clock_timestamp()) / 60)::int as minutes, run_at = '2100-01-01T00:00:00Z' as dated
       from graphile_worker._private_jobs where key in ('one', 'two') order by key`,
    );
    expect(waiting).toEqual([
      { payload: { name: 'second' }, minutes: 60, dated: false },
      { payload: { name: 'dated' }, minutes: expect.any(Number), dated: true },
    ]);
  });

  test('two tasks of one name are refused', async () => {
    await expect(startWorker({ url: db.url, tasks: [greet, greet], logger: pino({ level: 'silent' }) })).rejects.toThrow(
      'Two tasks are named greet',
    );
  });

  test('a worker whose connections are all terminated goes on working', async () => {
    greetings.length = 0;
    await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'lastseat worker'`,
    );

    await addJob(db.database.fork(), greet, { name: 'after' });

    await eventually(() => expect(greetings).toEqual(['after']));
  });
});
