import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import pg from 'pg';
import { testApp, uuidIn } from '../support/app.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();

const POOL_MAX = 5;

test('after three times the pool’s size of backends were terminated in the middle of their work, the next query answers', async () => {
  await using app = await testApp({ environment: { DATABASE_POOL_MAX: String(POOL_MAX) } });
  const lessonId = await app.lesson({ capacity: 100 });
  const { client: admin } = await app.admin();
  const members = await app.members(20);
  const keeper = new pg.Client({ connectionString: app.databaseUrl });
  await keeper.connect();
  await keeper.query('begin');
  await keeper.query('select 1 from pool where id = $1 for update', [uuidIn(lessonId)]);

  // Everything here waits for the row: claims in one statement, changes of the lesson inside transactions.
  const claims = members.map(({ client }) => client.send('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } }));
  const changes = Array.from({ length: 20 }, (_, index) =>
    admin.send('TestUpdateLesson', { input: { lessonId, title: `Title ${index}`, priceMinor: index } }),
  );
  const terminated = new Set<number>();
  await eventually(async () => {
    // Materialized: the planner may not ask the function before it has looked whose backend it is.
    const rows = await app.query<{ pid: number }>(
      `with busy as materialized (
         select pid from pg_stat_activity where datname = current_database() and application_name = 'lastseat' and state = 'active')
       select pid from busy where pg_terminate_backend(pid)`,
    );
    for (const { pid } of rows) terminated.add(pid);
    return terminated.size >= 3 * POOL_MAX;
  });
  await keeper.query('rollback');
  await keeper.end();

  expect((await app.anonymous.run('TestLesson', { id: lessonId })).availability).toMatchObject({ capacity: 100 });
  const answers = [...(await Promise.all(claims)), ...(await Promise.all(changes))];
  for (const { data, errors } of answers)
    if (errors.length > 0)
      expect(errors).toEqual([expect.objectContaining({ extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) } })]);
    else expect(Object.values(data)[0]).toMatchObject({ __typename: expect.stringMatching(/^(EnrollSuccess|LessonSuccess)$/) });
  // No data at all where the session could not be looked up.
  const won = answers.filter(({ data }) => data?.enroll?.__typename === 'EnrollSuccess').length;
  const { held } = await app.counters(lessonId);
  // An unanswered claim may have been written, never half.
  expect(held).toBeGreaterThanOrEqual(won);
  expect(app.app.database.pool.totalCount).toBeLessThanOrEqual(POOL_MAX);
  expect(app.app.database.pool.waitingCount).toBe(0);
  expect(await app.brokenInvariants()).toEqual([]);
  const late = await app.member();
  expect(await late.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } })).toMatchObject({
    __typename: 'EnrollSuccess',
  });
});

test('an idle pool whose every backend was terminated answers the next request', async () => {
  await using app = await testApp({ environment: { DATABASE_POOL_MAX: String(POOL_MAX) } });
  await app.stopSweeping();
  const lessonId = await app.lesson();
  const { client } = await app.member();

  for (let round = 0; round < 3; round++) {
    await Promise.all(Array.from({ length: 10 }, () => app.anonymous.run('TestLesson', { id: lessonId })));
    const lost = await app.query(
      "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and application_name = 'lastseat'",
    );
    expect(lost.length).toBeGreaterThan(0);
    expect((await app.anonymous.run('TestLesson', { id: lessonId })).availability.capacity).toBe(10);
  }

  expect(await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } })).toMatchObject({
    __typename: 'EnrollSuccess',
  });
  expect(app.logged.filter(({ level }) => (level as number) >= 60)).toEqual([]);
});
