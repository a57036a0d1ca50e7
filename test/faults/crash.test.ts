import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { testEnvironment, uuidIn } from '../support/app.ts';
import { testDatabaseUrl } from '../support/database.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { type ServerNode, startNode } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();

describe('a process killed between the provider’s answer and our conclusion', () => {
  let database: Awaited<ReturnType<typeof testDatabaseUrl>>;
  /** Works too, so it finishes what others leave behind. */
  let survivor: ServerNode;
  beforeAll(async () => {
    database = await testDatabaseUrl();
    survivor = await startNode(testEnvironment(database.url), '--role', 'all');
  });
  afterAll(async () => {
    await survivor.stop();
    await database.drop();
  });

  const stored = (holdId: string) =>
    survivor.query(
      `select h.state as hold, p.state as payment, c.state as charge from hold h
       left join payment p on p.hold_id = h.id left join sandbox_charge c on c.payment_id = p.id where h.id = $1`,
      [uuidIn(holdId)],
    );

  /** The row of the pool is held, so that concluding waits; then the server dies, and the row is let go. */
  async function killWhileConcluding(lessonId: string, begin: (victim: ServerNode) => Promise<unknown>): Promise<void> {
    const victim = await startNode(testEnvironment(database.url), '--role', 'api');
    const keeper = new pg.Client({ connectionString: database.url });
    await keeper.connect();
    await keeper.query('begin');
    await keeper.query('select 1 from pool where id = $1 for update', [uuidIn(lessonId)]);
    const begun = begin(victim).then(
      () => 'answered',
      () => 'not answered',
    );
    await eventually(async () =>
      expect(
        await survivor.query(
          `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%move_hold%'`,
        ),
      ).toHaveLength(1),
    );

    await victim.process.kill();

    expect(await begun).toBe('not answered');
    await keeper.query('rollback');
    await keeper.end();
    await victim.stop();
    // The connection of the dead process has noticed, and what it had not committed is undone.
    await eventually(async () =>
      expect(
        await survivor.query(
          "select 1 from pg_stat_activity where datname = current_database() and query like '%move_hold%' and state <> 'idle' and pid <> pg_backend_pid()",
        ),
      ).toEqual([]),
    );
  }

  const held = async () => {
    const lessonId = await survivor.lesson({ capacity: 1 });
    const member = await survivor.member();
    const { enrollment } = await member.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    return { ...member, lessonId, holdId: enrollment.id };
  };

  /** The job that looks after the payment is due in 30 s; here it is due now. */
  const letTheJobRun = () =>
    survivor.query("update graphile_worker._private_jobs set run_at = clock_timestamp() where key like 'settle-payment:%'");

  test('of a payment: the worker finishes it', async () => {
    const { accessToken, lessonId, holdId } = await held();
    await killWhileConcluding(lessonId, (victim) =>
      victim.anonymous.as(accessToken).run('TestPreparePayment', { input: { holdId, provider: 'SANDBOX', idempotencyKey: 'once' } }),
    );
    expect(await stored(holdId)).toEqual([{ hold: 'PAYING', payment: 'PENDING', charge: 'APPROVED' }]);
    expect(await survivor.brokenInvariants()).toEqual([]);

    await letTheJobRun();

    await eventually(async () => expect(await stored(holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', charge: 'APPROVED' }]));
    expect(await survivor.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 1 });
    expect(await survivor.brokenInvariants()).toEqual([]);
  });

  test('of a payment: the member who repeats the request finishes it, charged once', async () => {
    const { client, accessToken, lessonId, holdId } = await held();
    const input = { holdId, provider: 'SANDBOX' as const, idempotencyKey: 'once' };
    await killWhileConcluding(lessonId, (victim) => victim.anonymous.as(accessToken).run('TestPreparePayment', { input }));
    // The deadline has passed meanwhile: a payment that began in time is not lost by it.
    await survivor.expire(holdId);

    const repeated = await client.run('TestPreparePayment', { input });

    expect(repeated).toMatchObject({ payment: { state: 'APPROVED' }, hold: { id: holdId, state: 'CONFIRMED' } });
    expect(await stored(holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', charge: 'APPROVED' }]);
    expect(await survivor.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 1 });
    expect(await survivor.brokenInvariants()).toEqual([]);
  });

  test('of a refused payment: the worker gives the place back', async () => {
    const { accessToken, lessonId, holdId } = await held();
    await killWhileConcluding(lessonId, (victim) =>
      victim.anonymous
        .as(accessToken)
        .run('TestPreparePayment', { input: { holdId, provider: 'SANDBOX', sandboxOutcome: 'REFUSE', idempotencyKey: 'once' } }),
    );
    expect(await stored(holdId)).toEqual([{ hold: 'PAYING', payment: 'PENDING', charge: 'REFUSED' }]);

    await letTheJobRun();

    await eventually(async () => expect(await stored(holdId)).toEqual([{ hold: 'RELEASED', payment: 'REFUSED', charge: 'REFUSED' }]));
    expect(await survivor.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
    expect(await survivor.brokenInvariants()).toEqual([]);
  });

  test.each(['the worker', 'the member who repeats the request'])('of a refund: %s finishes it', async (who) => {
    const { client, accessToken, lessonId, holdId } = await held();
    await client.run('TestPreparePayment', { input: { holdId, provider: 'SANDBOX', idempotencyKey: 'once' } });
    await killWhileConcluding(lessonId, (victim) => victim.anonymous.as(accessToken).run('TestCancelBooking', { input: { holdId } }));
    expect(await stored(holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'REFUNDING', charge: 'REFUNDED' }]);
    expect(await survivor.brokenInvariants()).toEqual([]);

    if (who === 'the worker') await letTheJobRun();
    else expect((await client.run('TestCancelBooking', { input: { holdId } })).hold).toMatchObject({ id: holdId, state: 'RETURNED' });

    await eventually(async () => expect(await stored(holdId)).toEqual([{ hold: 'RETURNED', payment: 'REFUNDED', charge: 'REFUNDED' }]));
    expect(await survivor.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
    expect(await survivor.brokenInvariants()).toEqual([]);
  });
});
