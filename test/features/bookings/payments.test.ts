import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { nextMonth, type TestApp, type TestMember, tally, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';

failOnLeaks();

describe('preparePayment', () => {
  let app: TestApp;
  /** A second node on the same database. */
  let other: TestApp;
  beforeAll(async () => {
    app = await testApp();
    other = await testApp({ databaseUrl: app.databaseUrl });
  });
  afterAll(async () => {
    await other.close();
    await app.close();
  });

  async function held(input: object = {}): Promise<TestMember & { lessonId: string; holdId: string }> {
    const lessonId = await app.lesson({ capacity: 3, ...input });
    const member = await app.member();
    const { enrollment } = await member.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    return { ...member, lessonId, holdId: enrollment.id };
  }
  const pay = (client: TestClient, holdId: string, more: { idempotencyKey?: string; sandboxOutcome?: 'APPROVE' | 'REFUSE' } = {}) =>
    client.run('TestPreparePayment', { input: { holdId, provider: 'SANDBOX', idempotencyKey: randomUUID(), ...more } });

  /** What is stored about a hold: its state, and each payment and charge of it. */
  const stored = (holdId: string) =>
    app.query(
      `select h.state as hold, p.state as payment, c.state as charge from hold h
       left join payment p on p.hold_id = h.id left join sandbox_charge c on c.payment_id = p.id where h.id = $1`,
      [uuidIn(holdId)],
    );

  test('approved: the place is sold and the payment can be read', async () => {
    const { client, holdId, lessonId } = await held({ priceMinor: 54_000 });

    const paid = await pay(client, holdId);

    expect(paid).toMatchObject({
      __typename: 'PreparePaymentSuccess',
      payment: { state: 'APPROVED', amount: { amountMinor: 54_000, currency: 'KRW' } },
      hold: { __typename: 'Enrollment', id: holdId, state: 'CONFIRMED' },
    });
    expect(await client.run('TestPayment', { id: paid.payment.id })).toMatchObject({ id: paid.payment.id, state: 'APPROVED' });
    expect(await stored(holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', charge: 'APPROVED' }]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('refused: the place and the locker go back, and a repeat is refused the same way', async () => {
    const month = nextMonth();
    const lockerId = await app.lockers(month, 'FEMALE', 1);
    const lessonId = await app.lesson({ month });
    const { client } = await app.member();
    const { enrollment } = await client.run('TestEnroll', { input: { lessonId, withLocker: true, idempotencyKey: randomUUID() } });
    const idempotencyKey = randomUUID();

    const refused = await pay(client, enrollment.id, { sandboxOutcome: 'REFUSE', idempotencyKey });
    const repeated = await pay(client, enrollment.id, { sandboxOutcome: 'REFUSE', idempotencyKey });

    expect(refused).toMatchObject({ __typename: 'PaymentRefusedError', code: 'PAYMENT_REFUSED', providerCode: 'SANDBOX_REFUSED' });
    expect(repeated).toEqual(refused);
    expect(await stored(enrollment.id)).toEqual([{ hold: 'RELEASED', payment: 'REFUSED', charge: 'REFUSED' }]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });
    expect(await app.counters(lockerId)).toEqual({ capacity: 1, held: 0, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a refused payment frees the lesson for the same member', async () => {
    const { client, holdId, lessonId } = await held();
    await pay(client, holdId, { sandboxOutcome: 'REFUSE' });

    const again = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });

    expect(await pay(client, again.enrollment.id)).toMatchObject({ payment: { state: 'APPROVED' } });
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
  });

  test('a double click with one key, on two nodes, is one payment and one answer', async () => {
    const { client, accessToken, holdId } = await held();
    const elsewhere = other.anonymous.as(accessToken);
    const idempotencyKey = randomUUID();

    const answers = await Promise.all([client, elsewhere, client, elsewhere].map((node) => pay(node, holdId, { idempotencyKey })));
    const later = await pay(client, holdId, { idempotencyKey });

    expect(tally(answers)).toEqual({ PreparePaymentSuccess: 4 });
    expect(new Set([...answers, later].map(({ payment }) => payment.id)).size).toBe(1);
    expect([...answers, later].map(({ payment }) => payment.state)).toEqual(Array(5).fill('APPROVED'));
    expect(await stored(holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', charge: 'APPROVED' }]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('two tries with keys of their own at once are one payment; the other is told that the hold is not open', async () => {
    const { client, accessToken, holdId, lessonId } = await held();
    const elsewhere = other.anonymous.as(accessToken);

    const answers = await Promise.all([client, elsewhere, client, elsewhere].map((node) => pay(node, holdId)));

    expect(tally(answers)).toEqual({ PreparePaymentSuccess: 1, HoldNotOpenError: 3 });
    expect(await stored(holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', charge: 'APPROVED' }]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('one key for two holds at once pays one of them', async () => {
    const { client, holdId } = await held();
    const second = await client.run('TestEnroll', { input: { lessonId: await app.lesson(), idempotencyKey: randomUUID() } });
    const idempotencyKey = randomUUID();
    const endSlowness = await app.slowInserts('payment');

    const answers = await Promise.all([holdId, second.enrollment.id].map((id) => pay(client, id, { idempotencyKey })));
    await endSlowness();

    expect(tally(answers)).toEqual({ PreparePaymentSuccess: 1, IdempotencyKeyReusedError: 1 });
    const states = [...(await stored(holdId)), ...(await stored(second.enrollment.id))].map(({ hold }) => hold).sort();
    expect(states).toEqual(['CONFIRMED', 'HELD']);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('the same key with another body is refused and changes nothing', async () => {
    const { client, holdId } = await held();
    const second = await client.run('TestEnroll', { input: { lessonId: await app.lesson(), idempotencyKey: randomUUID() } });
    const idempotencyKey = randomUUID();
    await pay(client, holdId, { idempotencyKey });

    expect(await pay(client, holdId, { idempotencyKey, sandboxOutcome: 'REFUSE' })).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await pay(client, second.enrollment.id, { idempotencyKey })).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });

    expect(await stored(holdId)).toEqual([{ hold: 'CONFIRMED', payment: 'APPROVED', charge: 'APPROVED' }]);
    expect(await stored(second.enrollment.id)).toEqual([{ hold: 'HELD', payment: null, charge: null }]);
  });

  test('a hold of somebody else is not found, and stays as it is', async () => {
    const { holdId, lessonId } = await held();
    const thief = await app.member();
    const admin = await app.admin();

    for (const { client } of [thief, admin])
      expect(await pay(client, holdId)).toMatchObject({ __typename: 'HoldNotFoundError', code: 'HOLD_NOT_FOUND' });

    expect(await stored(holdId)).toEqual([{ hold: 'HELD', payment: null, charge: null }]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 1, sold: 0 });
  });

  test('what was paid, given back or given up cannot be paid', async () => {
    const paid = await held();
    await pay(paid.client, paid.holdId);
    const cancelled = await held();
    await cancelled.client.run('TestCancelBooking', { input: { holdId: cancelled.holdId } });

    expect(await pay(paid.client, paid.holdId)).toMatchObject({ code: 'HOLD_NOT_OPEN', state: 'CONFIRMED' });
    expect(await pay(cancelled.client, cancelled.holdId)).toMatchObject({ code: 'HOLD_NOT_OPEN', state: 'RELEASED' });
    await paid.client.run('TestCancelBooking', { input: { holdId: paid.holdId } });
    expect(await pay(paid.client, paid.holdId)).toMatchObject({ code: 'HOLD_NOT_OPEN', state: 'RETURNED' });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a payment that has begun does not run out with its hold', async () => {
    const { client, holdId, lessonId } = await held();
    await app.query("update hold set state = 'PAYING' where id = $1", [uuidIn(holdId)]);
    await app.expire(holdId);

    await app.app.inventory.sweep();

    expect(await stored(holdId)).toEqual([{ hold: 'PAYING', payment: null, charge: null }]);
    expect((await app.anonymous.run('TestLesson', { id: lessonId })).availability).toMatchObject({ free: 2, held: 1 });
    expect(await client.run('TestCancelBooking', { input: { holdId } })).toMatchObject({ code: 'HOLD_NOT_OPEN', state: 'PAYING' });
    await app.query("update hold set state = 'HELD' where id = $1", [uuidIn(holdId)]);
  });

  test.each([['nobody placed', toNodeId('Enrollment', '00000000-0000-7000-8000-000000000000')]])(
    'a hold %s is not found',
    async (_, holdId) => {
      const { client } = await app.member();

      expect(await pay(client, holdId)).toMatchObject({ code: 'HOLD_NOT_FOUND' });
    },
  );

  test.each([
    ['of a lesson', toNodeId('Lesson', '00000000-0000-7000-8000-000000000000')],
    ['of nothing', 'x'],
    ['of the interface', toNodeId('Hold', '00000000-0000-7000-8000-000000000000')],
  ])('an id %s is bad input', async (_, holdId) => {
    const { client } = await app.member();

    for (const [name, input] of [
      ['TestPreparePayment', { holdId, provider: 'SANDBOX', idempotencyKey: randomUUID() }],
      ['TestCancelBooking', { holdId }],
    ] as const)
      expect((await client.send(name, { input })).errors).toEqual([expect.objectContaining({ extensions: { code: 'BAD_USER_INPUT' } })]);
  });

  test('a provider that is not set up touches nothing', async () => {
    await using production = await testApp({ environment: { SANDBOX_PAYMENTS: 'off' } });
    const lessonId = await production.lesson();
    const { client } = await production.member();
    const { enrollment } = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });

    expect(await pay(client, enrollment.id)).toMatchObject({
      __typename: 'PaymentProviderUnavailableError',
      code: 'PAYMENT_PROVIDER_UNAVAILABLE',
    });
    expect(await production.query('select state from hold')).toEqual([{ state: 'HELD' }]);
    expect(await production.query('select id from payment')).toEqual([]);
  });
});

test('negative control: without the lock of the hold and the one payment for each, a double click pays twice', async () => {
  await using app = await testApp();
  const lessonId = await app.lesson();
  const { client } = await app.member();
  const { enrollment } = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
  await app.query('alter table payment drop constraint payment_hold_id_key');
  await app.sabotage('move_hold', 'for update;', ';');
  // Both have found the hold open before one of them moves it.
  const gate = await app.gate('move_hold', "if p_to = 'PAYING' then");

  const asked = [1, 2].map(() =>
    client.send('TestPreparePayment', { input: { holdId: enrollment.id, provider: 'SANDBOX', idempotencyKey: randomUUID() } }),
  );
  await gate.openFor(2);
  await Promise.all(asked);

  expect(await app.query('select state from sandbox_charge')).toEqual([{ state: 'APPROVED' }, { state: 'APPROVED' }]);
});
