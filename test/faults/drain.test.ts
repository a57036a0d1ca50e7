import { randomUUID } from 'node:crypto';
import { describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { type TestStage, testEnvironment, uuidIn } from '../support/app.ts';
import { testDatabaseUrl } from '../support/database.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { waitingForLocks } from '../support/lock-waits.ts';
import { ServerProcess, startNode } from '../support/process.ts';
import { eventually } from '../support/wait.ts';
import { waitPatiently } from '../support/waiting-patiently.ts';

failOnLeaks();
/** Servers of their own processes start slowly on a busy machine. */
jest.setTimeout(180_000);

/** Holds the row of a pool, so that a claim in it stays under way until it is let go. */
async function holdRow(stage: TestStage, lessonId: string) {
  const keeper = new pg.Client({ connectionString: stage.databaseUrl });
  await keeper.connect();
  await keeper.query('begin');
  await keeper.query('select 1 from pool where id = $1 for update', [uuidIn(lessonId)]);
  return {
    isWaitedFor: () => waitingForLocks(stage),
    letGo: async () => {
      await keeper.query('rollback');
      await keeper.end();
    },
  };
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('lets requests under way end, closes sockets with 1001, takes nothing new, and exits with 0', async () => {
    const { url, drop } = await testDatabaseUrl();
    const node = await startNode(testEnvironment(url, { DRAIN_SECONDS: '60' }), '--role', 'all');
    const lessonId = await node.lesson();
    const { client } = await node.member();
    const watch = await node.anonymous.watch(lessonId);
    await waitPatiently(node.query.bind(node));
    const row = await holdRow(node, lessonId);
    const underWay = client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    await row.isWaitedFor();

    node.process.signal(signal);

    await eventually(() => expect(watch.closes).toEqual([{ code: 1001, reason: 'The server is going away' }]));
    // Nobody new is let in while the request waits; a second signal does not cut it off.
    await eventually(() =>
      fetch(`${node.url}/health/live`).then(
        () => false,
        () => true,
      ),
    );
    node.process.signal(signal);
    expect(node.process.isRunning).toBe(true);
    await row.letGo();

    expect(await underWay).toMatchObject({ __typename: 'EnrollSuccess' });
    expect(await node.process.ended()).toEqual({ code: 0, signal: null });
    expect(await node.counters(lessonId)).toEqual({ capacity: 10, held: 1, sold: 0 });
    expect(node.process.stderr).toBe('');
    await watch.close();
    await node.stop();
    await drop();
  });
});

test('a worker alone stops too', async () => {
  const { url, drop } = await testDatabaseUrl();
  const api = await startNode(testEnvironment(url), '--role', 'api');
  await using worker = new ServerProcess(testEnvironment(url), ['--role', 'worker']);
  await eventually(() => worker.stdout.includes('lastseat worker is running.'), { withinMs: 120_000 });

  worker.signal('SIGTERM');

  expect(await worker.ended()).toEqual({ code: 0, signal: null });
  await api.stop();
  await drop();
});
