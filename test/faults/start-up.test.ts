import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import type { Environment } from '../../src/config.ts';
import { ACCESS_TOKEN_SECRET, testEnvironment } from '../support/app.ts';
import { testDatabaseUrl } from '../support/database.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { payFor } from '../support/payments.ts';
import { ServerProcess, startNode } from '../support/process.ts';
import { urlOf } from '../support/sql.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();
/** Making a database takes a second on a quiet machine and half a minute on a busy disk. */
jest.setTimeout(180_000);

/** Starts a server that cannot start, and tells how it ended and what it said. */
async function failing(environment: Environment, ...args: string[]) {
  await using server = new ServerProcess(environment, args);
  // It gives up at once: whoever started it, a person or an orchestrator, waits for it to end.
  await eventually(() => !server.isRunning, { withinMs: 60_000 });
  const { code } = await server.ended();
  return { code, stderr: server.stderr, stdout: server.stdout };
}

describe('a server that cannot start says why in one sentence on stderr and exits with 1', () => {
  test('a taken port', async () => {
    const { url, drop } = await testDatabaseUrl();
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as { port: number };

    const end = await failing(testEnvironment(url, { PORT: String(port) }));

    expect(end).toEqual({
      code: 1,
      stdout: '',
      stderr: `Port ${port} of 127.0.0.1 is taken: stop what listens there, or choose another with --port (0 takes a free one).\n`,
    });
    squatter.close();
    await drop();
  });

  test('a taken port of the simulator', async () => {
    const { url, drop } = await testDatabaseUrl();
    const directory = await mkdtemp(path.join(tmpdir(), 'lastseat-start-'));
    const squatter = createServer().listen(0, '127.0.0.1');
    await once(squatter, 'listening');
    const { port } = squatter.address() as { port: number };

    const end = await failing(testEnvironment(url, { DATA_DIR: directory, PAYMENT_SIMULATOR: 'on', PAYMENT_SIMULATOR_PORT: String(port) }));

    expect(end).toEqual({
      code: 1,
      stdout: '',
      stderr: `Port ${port} of PAYMENT_SIMULATOR_PORT is taken: stop what listens there, or choose another (0 takes a free one).\n`,
    });
    squatter.close();
    await drop();
    await rm(directory, { recursive: true, force: true });
  });

  test.each([
    [
      'nobody listens there',
      'postgres://app:hunter2@127.0.0.1:1/lastseat',
      'The database lastseat at 127.0.0.1:1 refuses connections: is PostgreSQL running there, and is the port in DATABASE_URL right?\n',
    ],
    [
      'the host has no address',
      'postgres://app:hunter2@db.invalid:5432/lastseat',
      'The database lastseat at db.invalid:5432 cannot be found, its host name does not resolve: correct DATABASE_URL.\n',
    ],
  ])('a DATABASE_URL where %s', async (_, url, sentence) => {
    expect(await failing(testEnvironment(url))).toEqual({ code: 1, stdout: '', stderr: sentence });
  });

  test('a DATABASE_URL whose database does not exist', async () => {
    const { url, drop } = await testDatabaseUrl();
    const missing = urlOf(url, 'no_such_database');

    const { code, stderr } = await failing(testEnvironment(missing));

    expect(code).toBe(1);
    expect(stderr).toBe(
      `The database no_such_database at 127.0.0.1:${new URL(url).port} does not exist: create it (createdb), or correct the name in DATABASE_URL.\n`,
    );
    await drop();
  });

  test('an unreachable Redis', async () => {
    const { url, drop } = await testDatabaseUrl();

    const { code, stdout, stderr } = await failing(testEnvironment(url, { REDIS_URL: 'redis://user:hunter2@127.0.0.1:1' }));

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      'Redis at redis://127.0.0.1:1 cannot be reached (connect ECONNREFUSED 127.0.0.1:1): start it, or correct or unset REDIS_URL.\n',
    );
    await drop();
  });

  test('bad configuration: every problem, a line each, and no secret', async () => {
    const { code, stdout, stderr } = await failing(
      { PORT: 'http', DATABASE_URL: 'mysql://root:hunter2@db/x', NODE_ENV: 'production', REHEARSALS: 'on', LOG_LEVEL: 'loud' },
      '--role',
      'api',
    );

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^PORT is "http"\. Allowed: /),
      expect.stringMatching(/^DATABASE_URL is not valid \(its value is not shown\)\. Allowed: /),
      expect.stringMatching(/^LOG_LEVEL is "loud"\. Allowed: /),
      expect.stringMatching(/^ACCESS_TOKEN_SECRET is not set\. /),
      expect.stringMatching(/^REHEARSALS is on and NODE_ENV is production\. /),
    ]);
    expect(stderr).not.toContain('hunter2');
  });

  test.each([
    [['--role', 'boss'], '--role is "boss". Allowed: all, api, worker.\n'],
    [['--role', 'worker'], '--role worker needs DATABASE_URL: the embedded database belongs to the one process that serves and works.\n'],
  ])('%j', async (args, stderr) => {
    expect(await failing({ ACCESS_TOKEN_SECRET }, ...args)).toEqual({ code: 1, stdout: '', stderr });
  });

  test('a flag nobody knows', async () => {
    const { code, stderr } = await failing({}, '--colour');

    expect(code).toBe(1);
    expect(stderr).toMatch(/^Unknown option '--colour'.*\n$/);
  });
});

test('the embedded mode: ready with its timetable, and a second start keeps what was booked and what was paid', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'lastseat-start-'));
  const environment = { PORT: '0', DATA_DIR: directory, LOG_LEVEL: 'warn', PAYMENT_SIMULATOR_PORT: '0' } as never;
  const input = { email: 'member@lastseat.test', password: 'lastseat-demo' };
  const first = await startNode(environment);
  expect(first.process.stdout).toMatch(/Database {2}embedded PostgreSQL on port \d+, kept in /);
  const signedIn = await first.anonymous.run('TestSignIn', { input });
  const client = first.anonymous.as(signedIn.tokens.accessToken);
  const { nodes, totalCount } = await client.run('TestLessons', { filter: { freeOnly: true } });
  expect(totalCount).toBe(40);
  const booked = await client.run('TestEnroll', { input: { lessonId: nodes[0]!.id, withLocker: true, idempotencyKey: 'kept' } });
  expect(await client.run('TestPaymentProviders')).toEqual(['KAKAOPAY', 'TOSS', 'PORTONE', 'KISPG']);
  const paymentId = await payFor(client, booked.enrollment.id, 'KAKAOPAY');
  await first.anonymous.close();
  first.process.signal('SIGINT');
  expect(await first.process.ended()).toEqual({ code: 0, signal: null });

  const second = await startNode(environment);

  const again = await second.anonymous.run('TestSignIn', { input });
  const mine = second.anonymous.as(again.tokens.accessToken);
  expect((await mine.run('TestMyEnrollments')).nodes).toMatchObject([{ id: booked.enrollment.id, state: 'CONFIRMED' }]);
  expect((await second.anonymous.run('TestLessons')).totalCount).toBe(40);
  // The token of before is good too: the secret was kept.
  expect((await second.anonymous.as(signedIn.tokens.accessToken).run('TestMe')).email).toBe(input.email);
  expect(await second.anonymous.run('TestAudit')).toMatchObject({ ok: true, oversold: 0 });
  // The simulator kept its books too: what was paid before can be given back.
  const admin = await second.anonymous.run('TestSignIn', { input: { ...input, email: 'admin@lastseat.test' } });
  const refunded = await second.anonymous.as(admin.tokens.accessToken).run('TestRefundPayment', {
    input: { paymentId, reason: 'Broken boiler', idempotencyKey: 'back' },
  });
  expect(refunded).toMatchObject({ __typename: 'RefundPaymentSuccess', refund: { state: 'DONE', givesBack: true } });
  expect((await mine.run('TestMyEnrollments')).nodes).toMatchObject([{ state: 'RETURNED' }]);
  await second.stop();
  await rm(directory, { recursive: true, force: true });
});
