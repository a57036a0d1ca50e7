import { describe, expect, jest, test } from '@jest/globals';
import { TestStage, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { lyingProxy } from './lying-proxy.ts';
import { brokenOf, reportOf, runRush } from './rush-process.ts';

failOnLeaks();
/** Clients of their own processes, and each rush waits until everybody knows the truth. */
jest.setTimeout(180_000);

describe('npm run rush', () => {
  test('eleven for ten places: ten win, one is refused, every invariant is kept', async () => {
    await using app = await testApp();

    const run = await runRush(app, '--preset', 'eleven', '--json');

    const report = reportOf(run);
    expect({ code: run.code, ok: report.ok, broken: brokenOf(report) }).toEqual({ code: 0, ok: true, broken: [] });
    expect(report.enrolments).toMatchObject({ granted: 10, refused: { SOLD_OUT: 1 }, errors: {}, unanswered: 0 });
    expect(report.payments).toMatchObject({ granted: 5, refused: {}, errors: {}, unanswered: 0 });
    expect(report.server?.claims).toEqual({ GRANTED: 10, SOLD_OUT: 1 });
    expect(report.watchers).toMatchObject({ count: 11, reconnects: 0 });
    expect(report.state).toMatchObject({ capacity: 10, free: 0, held: 5, sold: 5 });
    expect(report.invariants).toHaveLength(9);
    expect(await app.counters(report.rush.lessonId)).toEqual({ capacity: 10, held: 5, sold: 5 });
    expect(await app.brokenInvariants()).toEqual([]);
    const [pool] = await app.query('select closes_at <= clock_timestamp() as closed, policy from pool where id = $1', [
      uuidIn(report.rush.lessonId),
    ]);
    expect(pool).toEqual({ closed: true, policy: 'PESSIMISTIC' });
  });

  test('members of two processes, with lockers, under the optimistic policy, make one rush', async () => {
    await using app = await testApp();

    const options = ['--members', '60', '--places', '20', '--processes', '2', '--watchers', '7', '--lockers', '--policy', 'OPTIMISTIC'];
    const run = await runRush(app, ...options, '--pay', '1', '--json');

    const report = reportOf(run);
    expect({ code: run.code, broken: brokenOf(report) }).toEqual({ code: 0, broken: [] });
    expect(report.enrolments).toMatchObject({ granted: 20, refused: { SOLD_OUT: 40 } });
    expect(report.payments.granted).toBe(20);
    expect(report.watchers.count).toBe(7);
    const [lockers] = await app.query("select sum(sold)::int as sold, sum(held)::int as held from pool where kind = 'locker'");
    expect(lockers).toEqual({ sold: 20, held: 0 });
  });

  test('without --json a person reads the same', async () => {
    await using app = await testApp();

    const { code, stdout } = await runRush(app, '--preset', 'eleven', '--watchers', '2');

    expect(code).toBe(0);
    expect(stdout).toContain('Won           10\n');
    expect(stdout).toContain('Refused       SOLD_OUT 1\n');
    expect(stdout).toContain('Every invariant was kept.\n');
  });
});

describe('a rush that must not pass', () => {
  test('a server that oversells: exit code 1, and it says so', async () => {
    await using app = await testApp();
    await app.sabotage('claim_holds', 'v_free[v_n] := v_free[v_n] - p_item_quantities[v_item];', 'null;');
    await app.query('alter table pool drop constraint pool_never_oversold');

    const run = await runRush(app, '--preset', 'eleven', '--json', '--settle', '2');

    const report = reportOf(run);
    expect(run.code).toBe(1);
    expect(report.enrolments.granted).toBe(11);
    expect(report.audit?.oversold).toBe(1);
    expect(brokenOf(report)).toEqual(
      expect.arrayContaining(['winners-within-places', 'every-place-given', 'nothing-oversold', 'audit-kept']),
    );
    // What it left behind is no leak but the point of the test.
    expect((await app.brokenInvariants()).map(({ check }) => check)).toEqual(['pool-never-oversold']);
  });

  test('a counter that was changed by hand, of another lesson: exit code 1 by the audit alone', async () => {
    await using app = await testApp();
    await app.query('update pool set sold = sold + 1 where id = $1', [uuidIn(await app.lesson())]);

    const run = await runRush(app, '--preset', 'eleven', '--json');

    const report = reportOf(run);
    expect({ code: run.code, ok: report.ok, broken: brokenOf(report) }).toEqual({ code: 1, ok: false, broken: ['audit-kept'] });
    expect(report.audit?.checks.filter(({ violations }) => violations > 0)).toMatchObject([
      { name: 'pool-counters-equal-holds', violations: 1 },
    ]);
  });

  test('a watcher who is told one place too many: exit code 1', async () => {
    await using app = await testApp();
    await using proxy = await lyingProxy(app.url, (message) => message.replace(/"free":(\d+)/, (_, free) => `"free":${Number(free) + 1}`));

    const run = await runRush(new TestStage(proxy.url, app.databaseUrl), '--preset', 'eleven', '--json', '--settle', '8');

    const report = reportOf(run);
    expect({ code: run.code, broken: brokenOf(report) }).toEqual({ code: 1, broken: ['watchers-know-the-truth'] });
    expect(report.invariants.find(({ name }) => name === 'watchers-know-the-truth')?.found).toBe('10 of 11');
  });

  test('a watcher whose versions go down: exit code 1', async () => {
    await using app = await testApp();
    // The first state is said to be of version 1,000,000; what follows is true.
    let told = 0;
    const lie = (message: string) =>
      message.includes('"version"') && told++ === 0 ? message.replace(/"version":\d+/, '"version":1000000') : message;
    await using proxy = await lyingProxy(app.url, lie);

    const run = await runRush(new TestStage(proxy.url, app.databaseUrl), '--preset', 'eleven', '--json');

    expect({ code: run.code, broken: brokenOf(reportOf(run)) }).toEqual({ code: 1, broken: ['versions-never-go-down'] });
  });
});

describe('a rush that cannot be held ends with 2, a sentence, and no report', () => {
  test('rehearsals are switched off', async () => {
    await using app = await testApp({ environment: { REHEARSALS: 'off' } });

    const { code, stdout, stderr } = await runRush(app, '--preset', 'eleven', '--json');

    expect(code).toBe(2);
    expect(stderr).toContain('Rehearsals are switched off on this server: start it with REHEARSALS=on');
    expect(JSON.parse(stdout)).toEqual({ ok: false, problem: expect.stringContaining('Rehearsals are switched off') });
  });

  test('the caller is no administrator', async () => {
    await using app = await testApp();
    const member = await app.member('ORGANIZER');
    const stage = new TestStage(app.url, app.databaseUrl);
    stage.admin = async () => member;

    const { code, stdout, stderr } = await runRush(stage, '--preset', 'eleven');

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('A rehearsal needs the role ADMIN');
    expect(await app.query('select id from lesson')).toEqual([]);
  });

  test('the server takes fewer sockets from one address than there are watchers; the sale is closed again', async () => {
    await using app = await testApp({ environment: { SOCKETS_PER_ADDRESS_MAX: '3' } });

    const { code, stdout, stderr } = await runRush(app, '--preset', 'eleven', '--watchers', '4');

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('Start it with SOCKETS_PER_ADDRESS_MAX (and SOCKETS_MAX) above the number of watchers');
    expect(await app.query('select held, closes_at <= clock_timestamp() as closed from pool')).toEqual([{ held: 0, closed: true }]);
  });

  test('nothing answers at --url', async () => {
    await using app = await testApp();
    const gone = new TestStage('http://127.0.0.1:1', app.databaseUrl);

    const { code, stdout, stderr } = await runRush(gone);

    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('No lastseat answers at http://127.0.0.1:1/health/ready');
  });

  test('the server closes a connection without an answer', async () => {
    await using app = await testApp();
    let asked = 0;
    await using proxy = await lyingProxy(
      app.url,
      (message) => message,
      (path) => path === '/health/live' && asked++ === 0,
    );

    const { code, stderr } = await runRush(new TestStage(proxy.url, app.databaseUrl), '--preset', 'eleven');

    expect(code).toBe(2);
    expect(stderr).toContain('The server does not answer on all of 11 connections');
    expect(await app.query('select held from pool')).toEqual([{ held: 0 }]);
  });
});

test('one question after the rush that fails is asked again: the report is not lost', async () => {
  await using app = await testApp();
  let metricsAsked = 0;
  // The second reading of /metrics is the first question after the rush.
  await using proxy = await lyingProxy(
    app.url,
    (message) => message,
    (path) => path === '/metrics' && ++metricsAsked === 2,
  );

  const run = await runRush(new TestStage(proxy.url, app.databaseUrl), '--preset', 'eleven', '--json');

  expect({ code: run.code, broken: brokenOf(reportOf(run)), metricsAsked }).toEqual({ code: 0, broken: [], metricsAsked: 3 });
});
