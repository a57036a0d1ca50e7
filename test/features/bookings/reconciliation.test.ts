import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, ended, heldLesson, payFor } from '../../support/payments.ts';
import { eventually } from '../../support/wait.ts';
import { stored } from './stored.ts';

failOnLeaks();

const LIMIT_SECONDS = 3_600;

describe('reconciliation', () => {
  let app: TestApp;
  let admin: TestClient;
  beforeAll(async () => {
    app = await testApp();
    admin = (await app.admin()).client;
  });
  afterAll(() => app.close());
  /** Whatever an earlier test left open is brought to its end. */
  beforeEach(async () => {
    app.simulator.clearFaults();
    await eventually(async () => {
      await app.query('update payment set next_look_at = clock_timestamp(), busy_until = null where next_look_at is not null');
      await app.app.bookings.reconciler.round();
      return (await admin.run('TestReconciliation')).open === 0;
    });
  });

  /** A payment whose approval was sent and never answered, nor can be asked about. */
  async function unknown() {
    const { client, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'KAKAOPAY');
    app.simulator.order({ provider: 'KAKAOPAY', call: 'approve', fault: 'RESET_AFTER', orderId: uuidIn(payment.id) });
    app.simulator.order({ provider: 'KAKAOPAY', call: 'find', fault: 'RESET_BEFORE', orderId: uuidIn(payment.id), times: 100 });
    await atCheckout(payment);
    return { client, holdId, paymentId: payment.id };
  }
  /** A refund that was sent and never answered, nor can be asked about. */
  async function refunding() {
    const { client, holdId } = await heldLesson(app);
    const paymentId = await payFor(client, holdId, 'TOSS');
    app.simulator.order({ provider: 'TOSS', call: 'cancel', fault: 'RESET_BEFORE', orderId: uuidIn(paymentId) });
    app.simulator.order({ provider: 'TOSS', call: 'find', fault: 'RESET_BEFORE', orderId: uuidIn(paymentId), times: 100 });
    await client.run('TestCancelBooking', { input: { holdId } });
    return { client, holdId, paymentId };
  }
  const age = (paymentId: string, seconds: number) =>
    app.query(
      `with aged as (update payment set approving_at = approving_at - make_interval(secs => $2) where id = $1)
       update refund set created_at = created_at - make_interval(secs => $2) where payment_id = $1`,
      [uuidIn(paymentId), seconds],
    );
  const gauge = async (name: string) => {
    const metric = await app.registry.getSingleMetric(name)?.get();
    return metric?.values[0]?.value;
  };

  test('at rest there is nothing: paid, refused, given up, given back and merely begun are no items', async () => {
    const paid = await heldLesson(app);
    const refused = await heldLesson(app);
    const givenUp = await heldLesson(app);
    const givenBack = await heldLesson(app);
    const begun = await heldLesson(app);
    await payFor(paid.client, paid.holdId);
    await atCheckout(await begin(refused.client, refused.holdId), 'refuse');
    await begin(givenUp.client, givenUp.holdId);
    await givenUp.client.run('TestCancelBooking', { input: { holdId: givenUp.holdId } });
    await payFor(givenBack.client, givenBack.holdId);
    await givenBack.client.run('TestCancelBooking', { input: { holdId: givenBack.holdId } });
    await begin(begun.client, begun.holdId);

    const report = await admin.run('TestReconciliation');

    expect(report).toEqual({
      open: 0,
      overdue: 0,
      oldestSince: null,
      deposits: { amountMinor: 0, currency: 'KRW' },
      items: { nodes: [], pageInfo: { hasNextPage: false, endCursor: null } },
    });
  });

  test('an approval and a refund that nobody knows the end of are items, since they were sent, and are looked at again', async () => {
    const approval = await unknown();
    const refund = await refunding();

    const report = await admin.run('TestReconciliation');

    const [sent] = await app.query<{ approving_at: Date }>('select approving_at from payment where id = $1', [uuidIn(approval.paymentId)]);
    expect(report).toMatchObject({
      open: 2,
      overdue: 0,
      oldestSince: sent?.approving_at.toISOString(),
      deposits: { amountMinor: 0 },
      items: {
        nodes: [
          { payment: { id: approval.paymentId, state: 'PENDING' }, looks: 1, isOverdue: false, nextLookAt: expect.any(String) },
          { payment: { id: refund.paymentId, state: 'REFUNDING' }, looks: 1, isOverdue: false, nextLookAt: expect.any(String) },
        ],
      },
    });
    // Of the two the approval alone is due.
    await app.query(
      "update payment set next_look_at = clock_timestamp() + case when id = $1 then interval '-1 second' else interval '1 hour' end where next_look_at is not null",
      [uuidIn(approval.paymentId)],
    );
    expect(await app.app.bookings.reconciler.round()).toBe(1);
    expect((await admin.run('TestReconciliation')).items.nodes[0]).toMatchObject({ looks: 2 });
  });

  test('the pauses between two looks double, up to five minutes', async () => {
    const { paymentId } = await unknown();

    for (const seconds of [2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]) {
      const [row] = await app.query<{ next: Date; seconds: number }>(
        'select next_look_at as next, looks as seconds from payment where id = $1',
        [uuidIn(paymentId)],
      );
      await app.query('update payment set next_look_at = clock_timestamp() where id = $1', [uuidIn(paymentId)]);
      const [before] = await app.query<{ now: Date }>('select clock_timestamp() as now');
      await app.app.bookings.saga.advance(uuidIn(paymentId));
      const [after] = await app.query<{ next: Date; now: Date }>(
        'select next_look_at as next, clock_timestamp() as now from payment where id = $1',
        [uuidIn(paymentId)],
      );
      expect(row?.next).not.toBeNull();
      // It counts from some moment of the look, and the clock is read to the millisecond.
      const countedFrom = (after?.next.getTime() ?? 0) - seconds * 1_000;
      expect(countedFrom).toBeGreaterThanOrEqual((before?.now.getTime() ?? 0) - 1);
      expect(countedFrom).toBeLessThanOrEqual((after?.now.getTime() ?? 0) + 1);
    }
  });

  test('whose time to pay is over is an item until it is known that nobody paid', async () => {
    const { client, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'PORTONE');
    app.simulator.order({ provider: 'PORTONE', call: 'find', fault: 'RESET_BEFORE', times: 100, orderId: uuidIn(payment.id) });
    await app.query("update payment set pay_by = clock_timestamp() - interval '2 hours', next_look_at = clock_timestamp() where id = $1", [
      uuidIn(payment.id),
    ]);

    await app.app.bookings.reconciler.round();
    const open = await admin.run('TestReconciliation');
    app.simulator.clearFaults();
    await admin.run('TestReconcilePayment', { paymentId: payment.id });

    // PortOne may take money by itself, so the place waits for the answer.
    expect(open).toMatchObject({
      open: 1,
      overdue: 1,
      items: { nodes: [{ payment: { id: payment.id, state: 'PENDING' }, isOverdue: true }] },
    });
    expect(await stored(app, holdId)).toEqual([{ hold: 'RELEASED', payment: 'ABANDONED', because: 'TIMED_OUT', captured: 0, refunded: 0 }]);
  });

  test('overdue is what is older than the limit, and the metrics and the log say so', async () => {
    const [young, old] = [await unknown(), await refunding()];
    await age(young.paymentId, LIMIT_SECONDS - 60);
    await age(old.paymentId, LIMIT_SECONDS + 60);
    app.logged.length = 0;

    await app.app.bookings.reconciler.round();
    const report = await admin.run('TestReconciliation');

    expect(report).toMatchObject({ open: 2, overdue: 1 });
    expect(report.items.nodes.map(({ payment, isOverdue }) => [payment.id, isOverdue])).toEqual([
      [old.paymentId, true],
      [young.paymentId, false],
    ]);
    expect([await gauge('lastseat_reconciliation_open'), await gauge('lastseat_reconciliation_overdue')]).toEqual([2, 1]);
    expect(app.logged).toContainEqual(expect.objectContaining({ overdue: 1, msg: expect.stringContaining('open for too long') }));
  });

  test('the metrics go back to nothing when everything has ended', async () => {
    const { client, paymentId } = await unknown();
    await app.app.bookings.reconciler.round();
    const before = await gauge('lastseat_reconciliation_open');
    app.simulator.clearFaults();

    await admin.run('TestReconcilePayment', { paymentId });
    await app.app.bookings.reconciler.round();

    expect(before).toBe(1);
    expect([await gauge('lastseat_reconciliation_open'), await gauge('lastseat_reconciliation_overdue')]).toEqual([0, 0]);
    expect(await client.run('TestPayment', { id: paymentId })).toMatchObject({ state: 'APPROVED' });
  });

  test('items come in pages, oldest first, each once, also those of one instant', async () => {
    const made = [];
    for (let count = 0; count < 5; count++) made.push(await unknown());
    const ids = made.map(({ paymentId }) => uuidIn(paymentId));
    // Three of one instant, whose order is that of their ids.
    await app.query(
      'update payment set approving_at = (select min(approving_at) from payment where id = any($1::uuid[])) where id = any($1::uuid[])',
      [ids.slice(1, 4)],
    );

    const seen: string[] = [];
    let after: string | null = null;
    const sizes: number[] = [];
    do {
      const { items }: Awaited<ReturnType<typeof page>> = await page(after);
      sizes.push(items.nodes.length);
      seen.push(...items.nodes.map(({ payment }) => payment.id));
      after = items.pageInfo.hasNextPage ? (items.pageInfo.endCursor ?? null) : null;
    } while (after);

    expect(sizes).toEqual([2, 2, 1]);
    expect(seen).toEqual(made.map(({ paymentId }) => paymentId));
  });
  const page = (after: string | null) => admin.run('TestReconciliation', { first: 2, after });

  test('reconcilePayment asks the provider now, whenever the next look would be, and answers what is then', async () => {
    const { holdId, paymentId } = await unknown();
    await app.query("update payment set next_look_at = clock_timestamp() + interval '1 hour' where id = $1", [uuidIn(paymentId)]);
    const still = await admin.run('TestReconcilePayment', { paymentId });
    app.simulator.clearFaults();

    const answers = await Promise.all(Array.from({ length: 4 }, () => admin.run('TestReconcilePayment', { paymentId })));

    expect(still).toMatchObject({ __typename: 'ReconcileSuccess', payment: { state: 'PENDING' } });
    expect(answers.map(({ payment }) => payment.state)).toEqual(Array(4).fill('APPROVED'));
    expect(await stored(app, holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 }]);
    expect(app.simulator.payment(uuidIn(paymentId))?.entries).toHaveLength(1);
  });

  test('reconcilePayment does nothing to what is at its end, and knows no payment that does not exist', async () => {
    const { client, holdId } = await heldLesson(app);
    const paymentId = await payFor(client, holdId, 'TOSS');
    const free = await heldLesson(app, { priceMinor: 0 });
    const { payment } = await free.client.run('TestPreparePayment', {
      input: { holdId: free.holdId, provider: 'TOSS', idempotencyKey: randomUUID() },
    });

    const answers = [
      await admin.run('TestReconcilePayment', { paymentId }),
      await admin.run('TestReconcilePayment', { paymentId: payment.id }),
      await admin.run('TestReconcilePayment', { paymentId: toNodeId('Payment', '00000000-0000-7000-8000-000000000000') }),
    ];

    expect(answers).toMatchObject([
      { payment: { state: 'APPROVED', captured: { amountMinor: 80_000 } } },
      { payment: { state: 'APPROVED', captured: { amountMinor: 0 } } },
      { __typename: 'PaymentNotFoundError', code: 'PAYMENT_NOT_FOUND' },
    ]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('is for administrators: others are forbidden, and nothing is asked', async () => {
    const { paymentId } = await unknown();
    const calls = () => app.simulator.calls.filter(({ orderId }) => orderId === uuidIn(paymentId)).length;
    const called = calls();
    const payer = await app.member();
    const organizer = await app.member('ORGANIZER');

    for (const { client } of [payer, organizer]) {
      for (const [name, variables] of [
        ['TestReconciliation', {}],
        ['TestReconcilePayment', { paymentId }],
        ['TestConcludeRefund', { input: { paymentId, wasRefunded: true } }],
      ] as const) {
        const { errors } = await client.send(name, variables);
        expect([name, errors.map(({ extensions }) => extensions.code)]).toEqual([name, ['FORBIDDEN']]);
      }
    }
    expect(calls()).toBe(called);
  });

  test('one payment that cannot be read does not stop the others', async () => {
    const [broken, fine] = [await unknown(), await unknown()];
    app.simulator.clearFaults();
    await app.query("update payment set provider = 'NOBODY', next_look_at = clock_timestamp() - interval '1 hour' where id = $1", [
      uuidIn(broken.paymentId),
    ]);
    await app.query('update payment set next_look_at = clock_timestamp() where id = $1', [uuidIn(fine.paymentId)]);
    app.logged.length = 0;

    await app.app.bookings.reconciler.round();

    expect(await fine.client.run('TestPayment', { id: fine.paymentId })).toMatchObject({ state: 'APPROVED' });
    expect(app.logged).toContainEqual(expect.objectContaining({ paymentId: uuidIn(broken.paymentId), level: 50 }));
    await app.query("update payment set provider = 'KAKAOPAY' where id = $1", [uuidIn(broken.paymentId)]);
    await eventually(async () => {
      await admin.run('TestReconcilePayment', { paymentId: broken.paymentId });
      return (await ended(broken.client, broken.paymentId)).state === 'APPROVED';
    });
  });
});

describe('a server that reconciles by itself', () => {
  test('brings everything to its end without anybody asking', async () => {
    await using app = await testApp({ role: 'all' });
    const { client, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'KAKAOPAY');
    app.simulator.order({ provider: 'KAKAOPAY', call: 'approve', fault: 'RESET_AFTER' });
    app.simulator.order({ provider: 'KAKAOPAY', call: 'find', fault: 'RESET_BEFORE' });

    await atCheckout(payment);
    const end = await ended(client, payment.id);

    expect(end).toMatchObject({ state: 'APPROVED' });
    expect(await app.brokenInvariants()).toEqual([]);
    const { client: admin } = await app.admin();
    expect(await admin.run('TestReconciliation')).toMatchObject({ open: 0, overdue: 0 });
  });
});
