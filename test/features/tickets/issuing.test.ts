import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { issueTicketsTask } from '../../../src/features/tickets/index.ts';
import { type TestApp, testApp, testEnvironment, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { lockWaits, waitingForLocks } from '../../support/lock-waits.ts';
import { atCheckout, begin, ended, heldLesson, payFor } from '../../support/payments.ts';
import { ServerProcess } from '../../support/process.ts';
import { aShow } from '../../support/shows.ts';
import { eventually } from '../../support/wait.ts';
import { booked, hold, issued, storedTickets, ticketing } from './booked-tickets.ts';
import { keeper } from './rivals.ts';

failOnLeaks();

const jobs = (app: TestApp) =>
  app.query<{ task: string; locked: boolean }>(
    "select task_identifier as task, locked_by is not null as locked from graphile_worker.jobs where task_identifier = 'issue-tickets'",
  );

describe('with a worker', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await ticketing();
  });
  afterAll(() => app.close());

  test('a booking has a ticket for each of its seats and places, its member’s, in the order they were claimed', async () => {
    const show = await aShow(app, { sections: 2, standing: { capacity: 20, priceMinor: 30_000 } });

    const { member, holdId, ticketIds } = await booked(app, show, { seats: [57, 3], places: 2 });

    const { tiers } = show.uuids;
    const first = { owner_id: member.uuid, generation: 1, ordinal: 0 };
    expect(await storedTickets(app, holdId)).toMatchObject([
      { ...first, position: 0, tier_id: tiers.B, seat_number: 57 },
      { ...first, position: 1, tier_id: tiers.A, seat_number: 3 },
      { ...first, position: 2, tier_id: tiers.STANDING, seat_number: null },
      { ...first, position: 2, tier_id: tiers.STANDING, seat_number: null, ordinal: 1 },
    ]);
    const read = await member.client.run('TestTicketsOfHold', { id: holdId });
    expect(read).toMatchObject({
      state: 'CONFIRMED',
      tickets: [
        { seat: { number: 57, section: 'B', row: '1', label: '8' }, tier: { name: 'Section B' }, state: 'VALID' },
        { seat: { number: 3, section: 'A', row: '1', label: '4' }, tier: { name: 'Section A' } },
        { seat: null, tier: { name: 'Standing' } },
        { seat: null, tier: { name: 'Standing' } },
      ],
    });
    expect(read.tickets?.map(({ id }) => id)).toEqual(ticketIds);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a booking of nothing but places, for nothing, has its tickets too', async () => {
    const show = await aShow(app, { rows: 0, standing: { capacity: 20, priceMinor: 0 } });
    const member = await app.member();
    const holdId = await hold(app, member, show, { seats: [], places: 3 });

    const prepared = await member.client.run('TestPreparePayment', { input: { holdId, provider: 'TOSS', idempotencyKey: randomUUID() } });

    expect(prepared).toMatchObject({ __typename: 'PreparePaymentSuccess', hold: { state: 'CONFIRMED' } });
    expect(await issued(app, holdId, 3)).toHaveLength(3);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a late payment that is given another hold has tickets for that one alone', async () => {
    const show = await aShow(app);
    const member = await app.member();
    const holdId = await hold(app, member, show);
    const payment = await begin(member.client, holdId, 'KAKAOPAY');
    await app.query("update payment set pay_by = clock_timestamp() - interval '1 second', next_look_at = clock_timestamp() where id = $1", [
      uuidIn(payment.id),
    ]);
    await app.app.bookings.reconciler.round();
    await atCheckout(payment);

    const rescued = (await ended(member.client, payment.id)).hold?.id ?? '';

    expect(rescued).not.toBe(holdId);
    expect(await issued(app, rescued)).toHaveLength(1);
    expect(await storedTickets(app, holdId)).toEqual([]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('other bookings have neither tickets nor a job for them', async () => {
    const { client, holdId } = await heldLesson(app);

    await payFor(client, holdId);

    expect(await storedTickets(app, holdId)).toEqual([]);
    expect(await jobs(app)).toEqual([]);
  });

  test.each([
    ['tickets-issued', 'a missing one', 'delete from ticket where hold_id = $1 and ordinal = 1'],
    ['tickets-agree-with-holds', 'one beyond the items', 'update ticket set ordinal = 2 where hold_id = $1 and ordinal = 1'],
    [
      'tickets-agree-with-holds',
      'one of another tier',
      'update ticket t set tier_id = (select id from tier r where r.performance_id = t.performance_id and zone is not null) where hold_id = $1 and seat_number is null',
    ],
    ['tickets-agree-with-holds', 'another seat', 'update ticket set seat_number = 9 where hold_id = $1 and seat_number = 0'],
    [
      'tickets-change-hands-by-transfers',
      'a stolen one',
      "update ticket set owner_id = (select id from member where role = 'ORGANIZER' limit 1) where hold_id = $1",
    ],
    ['tickets-change-hands-by-transfers', 'a skipped generation', 'update ticket set generation = 2 where hold_id = $1'],
  ])('the check %s sees %s', async (check, _, harm) => {
    const show = await aShow(app, { standing: { capacity: 20, priceMinor: 30_000 } });
    const { holdId } = await booked(app, show, { places: 2 });
    await app.query("update hold set changed_at = clock_timestamp() - interval '61 seconds' where id = $1", [uuidIn(holdId)]);
    expect(await app.brokenInvariants()).toEqual([]);

    await app.query(harm, [uuidIn(holdId)]);

    const found = await app.brokenInvariants();
    await app.query('delete from ticket where hold_id = $1', [uuidIn(holdId)]);
    await issueTicketsTask(app.app.database.pool).handle({ holdId: uuidIn(holdId) }, { id: '1', attempt: 1, signal: undefined });
    expect(found.map((broken) => broken.check)).toEqual([check]);
    expect(await app.brokenInvariants()).toEqual([]);
  });
});

describe('without a worker', () => {
  /** A server that only serves, and a hold on two seats and two places that was paid for. */
  async function paid() {
    const app = await ticketing({ role: 'api' });
    const show = await aShow(app, { standing: { capacity: 20, priceMinor: 30_000 } });
    const member = await app.member();
    const holdId = await hold(app, member, show, { seats: [4, 5], places: 2 });
    await payFor(member.client, holdId);
    return { app, member, holdId };
  }
  const work = (app: TestApp, holdId: string) =>
    issueTicketsTask(app.app.database.pool).handle({ holdId: uuidIn(holdId) }, { id: '1', attempt: 1, signal: undefined });

  test('tickets wait for one: none at first, each once as soon as one is there', async () => {
    const { app, member, holdId } = await paid();
    await using _ = app;

    const before = await member.client.run('TestTicketsOfHold', { id: holdId });
    const waitingJobs = await jobs(app);
    const worker = await testApp({ role: 'worker', databaseUrl: app.databaseUrl, simulator: app.simulator });
    const tickets = await issued(app, holdId, 4);
    await eventually(async () => expect(await jobs(app)).toEqual([]));
    await worker.close();

    expect(before).toMatchObject({ state: 'CONFIRMED', tickets: [] });
    expect(waitingJobs).toEqual([{ task: 'issue-tickets', locked: false }]);
    expect(new Set(tickets).size).toBe(4);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a booking that was cancelled before has none', async () => {
    const { app, member, holdId } = await paid();
    await using _ = app;
    await member.client.run('TestCancelTickets', { input: { holdId } });

    await work(app, holdId);

    expect(await storedTickets(app, holdId)).toEqual([]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('the job six times, four of them at once: each ticket once, and the same ones', async () => {
    const { app, holdId } = await paid();
    await using _ = app;
    // Sessions that wait for the table as long as it takes: those of a server give up after two seconds, and their jobs are tried again later.
    const sessions = new pg.Pool({ connectionString: app.databaseUrl });
    const patiently = () => issueTicketsTask(sessions).handle({ holdId: uuidIn(holdId) }, { id: '1', attempt: 1, signal: undefined });
    const table = await keeper(app.databaseUrl, 'lock table ticket in share mode');

    const atOnce = Promise.all([1, 2, 3, 4].map(patiently));
    await waitingForLocks(app, 4);
    await table.letGo();
    await atOnce;
    const first = await storedTickets(app, holdId);
    for (let more = 0; more < 2; more++) await work(app, holdId);
    await sessions.end();

    expect(first).toHaveLength(4);
    expect(await storedTickets(app, holdId)).toEqual(first);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('the control: without its key, running twice would issue twice, and the check would see it', async () => {
    const { app, holdId } = await paid();
    await using _ = app;
    await app.query('alter table ticket drop constraint ticket_hold_id_position_ordinal_key');
    const { pool } = app.app.database;
    const query = pool.query.bind(pool) as (config: { text: string; values: unknown[] }) => Promise<unknown>;
    const unguarded = {
      query: ({ text, values }: { text: string; values: unknown[] }) => query({ text: text.replace(/on conflict.*$/s, ''), values }),
    };

    for (let run = 0; run < 2; run++)
      await issueTicketsTask(unguarded as never).handle({ holdId: uuidIn(holdId) }, { id: '1', attempt: 1, signal: undefined });

    await app.query("update hold set changed_at = clock_timestamp() - interval '61 seconds'");
    expect(await storedTickets(app, holdId)).toHaveLength(8);
    expect((await app.brokenInvariants()).map(({ check }) => check)).toEqual(['tickets-issued']);
  });

  test('a worker killed with -9 in the middle of it: another one ends it, each ticket once', async () => {
    const { app, holdId } = await paid();
    await using _ = app;
    const environment = { WORKER_DEAD_SECONDS: '5' };
    const table = await keeper(app.databaseUrl, 'lock table ticket in share mode');
    const victim = new ServerProcess(testEnvironment(app.databaseUrl, { ...environment, PAYMENT_SIMULATOR_URL: app.simulator.url }), [
      '--role',
      'worker',
    ]);
    // Stopped first: whoever waits then is in the middle for good. A server that had given the lock up before goes on, and tries again.
    await eventually(
      async () => {
        if ((await lockWaits(app)).length !== 1) return false;
        victim.signal('SIGSTOP');
        if ((await lockWaits(app)).length === 1) return true;
        victim.signal('SIGCONT');
        return false;
      },
      { withinMs: 60_000 },
    );

    await victim.kill();
    await table.letGo();
    const left = await jobs(app);
    const survivor = await testApp({ role: 'worker', databaseUrl: app.databaseUrl, simulator: app.simulator, environment });
    await eventually(async () => expect(await jobs(app)).toEqual([]), { withinMs: 60_000 });
    await survivor.close();

    expect(left).toEqual([{ task: 'issue-tickets', locked: true }]);
    expect(await issued(app, holdId, 4)).toHaveLength(4);
    expect(await app.brokenInvariants()).toEqual([]);
  }, 180_000);
});
