import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import pg from 'pg';
import { Simulator } from '../../src/simulator/simulator.ts';
import { testEnvironment, uuidIn } from '../support/app.ts';
import { testDatabaseUrl } from '../support/database.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, begin, heldLesson, payFor } from '../support/payments.ts';
import { type ServerNode, startNode } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();
/** Servers of their own processes start slowly on a busy machine. */
jest.setTimeout(180_000);

describe('a process killed between the provider’s answer and our conclusion', () => {
  let database: Awaited<ReturnType<typeof testDatabaseUrl>>;
  let simulator: Simulator;
  /** Works too, so it finishes what others leave behind. */
  let survivor: ServerNode;
  const environment = () => testEnvironment(database.url, { PAYMENT_SIMULATOR_URL: simulator.url });
  beforeAll(async () => {
    [database, simulator] = await Promise.all([testDatabaseUrl(), Simulator.start()]);
    survivor = await startNode(environment(), '--role', 'all');
  });
  afterAll(async () => {
    await survivor.stop();
    await simulator.close();
    await database.drop();
  });

  const held = () => heldLesson(survivor, { capacity: 1 });

  /** What our books say of a hold and its payments, and what the provider's say. */
  async function stored(holdId: string) {
    const rows = await survivor.query<{ hold: string; payment: string; id: string }>(
      'select h.state as hold, p.state as payment, p.id from hold h left join payment p on p.hold_id = h.id where h.id = $1',
      [uuidIn(holdId)],
    );
    return rows.map(({ id, ...states }) => {
      const entries = simulator.payment(id)?.entries ?? [];
      return { ...states, provider: entries.map(({ kind, amountMinor }) => `${kind} ${amountMinor}`) };
    });
  }

  const CAPTURED = ['CAPTURE 80000'];
  const RETURNED = ['CAPTURE 80000', 'REFUND 80000'];

  /** The row of the pool is held, so that concluding waits; then the server dies, and the row is let go. */
  async function killWhileConcluding(victim: ServerNode, lessonId: string, work: () => Promise<unknown>): Promise<void> {
    const keeper = new pg.Client({ connectionString: database.url });
    await keeper.connect();
    await keeper.query('begin');
    await keeper.query('select 1 from pool where id = $1 for update', [uuidIn(lessonId)]);
    const begun = work().then(
      () => 'answered',
      () => 'not answered',
    );
    await eventually(async () =>
      expect(
        await survivor.query(
          `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query ~ 'move_hold|confirm_holds'`,
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
          "select 1 from pg_stat_activity where datname = current_database() and query ~ 'move_hold|confirm_holds' and state <> 'idle' and pid <> pg_backend_pid()",
        ),
      ).toEqual([]),
    );
  }

  /** The customer agreed; the provider took the money, and the server that was told so died. Answers the address the browser came back to. */
  async function killWhilePaying({ accessToken, lessonId, holdId }: Awaited<ReturnType<typeof held>>) {
    const victim = await startNode(environment(), '--role', 'api');
    const payment = await begin(victim.anonymous.as(accessToken), holdId);
    const told = simulator.calls.findLast(({ call, orderId }) => call === 'prepare' && orderId === uuidIn(payment.id));
    await killWhileConcluding(victim, lessonId, () => atCheckout(payment));
    if (!told) throw new Error('the provider was not told of the payment');
    const { body } = told.request as { body: { successUrl: string } };
    return { payment, pathname: new URL(body.successUrl).pathname };
  }

  /** Nobody but the reconciler comes, and only when the victim could no longer be at it: here that is now. */
  const letTheReconcilerCome = () =>
    survivor.query(
      'update payment set busy_until = clock_timestamp(), next_look_at = clock_timestamp() where busy_until > clock_timestamp()',
    );

  /** The reconciler leaves it alone from here on. */
  const keepTheReconcilerAway = () =>
    survivor.query('update payment set busy_until = null, next_look_at = null where busy_until > clock_timestamp()');

  test('of a payment: the reconciler finishes it', async () => {
    const member = await held();
    await killWhilePaying(member);
    expect(await stored(member.holdId)).toEqual([{ hold: 'PAYING', payment: 'PENDING', provider: CAPTURED }]);
    expect(await survivor.brokenInvariants()).toEqual([]);

    await letTheReconcilerCome();

    await eventually(async () =>
      expect(await stored(member.holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', provider: CAPTURED }]),
    );
    expect(await survivor.counters(member.lessonId)).toEqual({ capacity: 1, held: 0, sold: 1 });
    expect(await survivor.brokenInvariants()).toEqual([]);
  });

  test('of a payment: the customer who loads the page again finishes it at another node, charged once, after the time to pay too', async () => {
    const member = await held();
    const { payment, pathname } = await killWhilePaying(member);
    await keepTheReconcilerAway();
    await survivor.query("update payment set pay_by = clock_timestamp() - interval '1 second' where id = $1", [uuidIn(payment.id)]);

    const again = new URL(pathname, survivor.url);
    again.search = new URLSearchParams({
      paymentKey: simulator.payment(uuidIn(payment.id))?.reference ?? '',
      orderId: uuidIn(payment.id),
      amount: '80000',
    }).toString();
    const landed = await fetch(again);

    expect([landed.status, await landed.text()]).toEqual([200, expect.stringContaining('<h1>Paid</h1>')]);
    expect(await stored(member.holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', provider: CAPTURED }]);
    expect(await survivor.counters(member.lessonId)).toEqual({ capacity: 1, held: 0, sold: 1 });
    expect(await survivor.brokenInvariants()).toEqual([]);
  });

  test('of a payment: the member who repeats the request is answered with the same payment, and sees it end', async () => {
    const member = await held();
    const victim = await startNode(environment(), '--role', 'api');
    const input = { holdId: member.holdId, provider: 'TOSS' as const, idempotencyKey: 'once' };
    const { payment } = await victim.anonymous.as(member.accessToken).run('TestPreparePayment', { input });
    await killWhileConcluding(victim, member.lessonId, () => atCheckout(payment));

    const repeated = await member.client.run('TestPreparePayment', { input });
    await letTheReconcilerCome();

    expect(repeated).toMatchObject({ payment: { id: payment.id, state: 'PENDING', checkout: null }, hold: { state: 'PAYING' } });
    await eventually(async () =>
      expect(await member.client.run('TestPreparePayment', { input })).toMatchObject({
        payment: { id: payment.id, state: 'APPROVED' },
        hold: { id: member.holdId, state: 'CONFIRMED' },
      }),
    );
    expect(await stored(member.holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', provider: CAPTURED }]);
    expect(await survivor.brokenInvariants()).toEqual([]);
  });

  test('of a refused payment: the reconciler gives the place back', async () => {
    const member = await held();
    simulator.order({ provider: 'TOSS', call: 'approve', fault: 'REFUSE' });
    await killWhilePaying(member);
    expect(await stored(member.holdId)).toEqual([{ hold: 'PAYING', payment: 'PENDING', provider: [] }]);

    await letTheReconcilerCome();

    await eventually(async () => expect(await stored(member.holdId)).toEqual([{ hold: 'RELEASED', payment: 'REFUSED', provider: [] }]));
    expect(await survivor.counters(member.lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
    expect(await survivor.brokenInvariants()).toEqual([]);
  });

  test('of a refund: the reconciler finishes it, and the member who repeats the request has one refund', async () => {
    const member = await held();
    const { client, accessToken, lessonId, holdId } = member;
    await payFor(client, holdId);
    const victim = await startNode(environment(), '--role', 'api');
    await killWhileConcluding(victim, lessonId, () => victim.anonymous.as(accessToken).run('TestCancelBooking', { input: { holdId } }));
    expect(await stored(holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'REFUNDING', provider: RETURNED }]);
    expect(await survivor.brokenInvariants()).toEqual([]);

    const repeated = await client.run('TestCancelBooking', { input: { holdId } });
    await letTheReconcilerCome();

    expect(repeated).toMatchObject({ __typename: 'CancelBookingSuccess', hold: { id: holdId, state: 'CONFIRMED' } });
    await eventually(async () => expect(await stored(holdId)).toEqual([{ hold: 'RETURNED', payment: 'REFUNDED', provider: RETURNED }]));
    expect(await client.run('TestCancelBooking', { input: { holdId } })).toMatchObject({ hold: { id: holdId, state: 'RETURNED' } });
    expect(await survivor.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
    expect(
      await survivor.query('select count(*)::int as count from refund where payment_id in (select id from payment where hold_id = $1)', [
        uuidIn(holdId),
      ]),
    ).toEqual([{ count: 1 }]);
    expect(await survivor.brokenInvariants()).toEqual([]);
  });
});
