import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, tally, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';

failOnLeaks();

describe('cancelBooking', () => {
  let app: TestApp;
  let other: TestApp;
  beforeAll(async () => {
    app = await testApp();
    other = await testApp({ databaseUrl: app.databaseUrl });
  });
  afterAll(async () => {
    await other.close();
    await app.close();
  });

  async function booked({ paid }: { paid: boolean }) {
    const lessonId = await app.lesson({ capacity: 1 });
    const member = await app.member();
    const { enrollment } = await member.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    if (paid) await pay(member.client, enrollment.id);
    return { ...member, lessonId, holdId: enrollment.id };
  }
  const pay = (client: TestClient, holdId: string) =>
    client.run('TestPreparePayment', { input: { holdId, provider: 'SANDBOX', idempotencyKey: randomUUID() } });
  const cancel = (client: TestClient, holdId: string) => client.run('TestCancelBooking', { input: { holdId } });
  const stored = (holdId: string) =>
    app.query(
      `select h.state as hold, p.state as payment, c.state as charge from hold h
       left join payment p on p.hold_id = h.id left join sandbox_charge c on c.payment_id = p.id where h.id = $1`,
      [uuidIn(holdId)],
    );

  test('unpaid: the place goes back, and cancelling again answers the same', async () => {
    const { client, holdId, lessonId } = await booked({ paid: false });

    const answers = [await cancel(client, holdId), await cancel(client, holdId)];

    expect(answers).toEqual(
      Array(2).fill({ __typename: 'CancelBookingSuccess', hold: { __typename: 'Enrollment', id: holdId, state: 'RELEASED' } }),
    );
    expect(await stored(holdId)).toEqual([{ hold: 'RELEASED', payment: null, charge: null }]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
  });

  test('paid: place and money go back, and cancelling again answers the same', async () => {
    const { client, holdId, lessonId } = await booked({ paid: true });

    const answers = [await cancel(client, holdId), await cancel(client, holdId)];

    expect(answers).toEqual(
      Array(2).fill({ __typename: 'CancelBookingSuccess', hold: { __typename: 'Enrollment', id: holdId, state: 'RETURNED' } }),
    );
    expect(await stored(holdId)).toEqual([{ hold: 'RETURNED', payment: 'REFUNDED', charge: 'REFUNDED' }]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
    const next = await app.member();
    expect(await next.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } })).toMatchObject({
      __typename: 'EnrollSuccess',
    });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test.each([
    ['unpaid', false, { hold: 'RELEASED', payment: null, charge: null }],
    ['paid', true, { hold: 'RETURNED', payment: 'REFUNDED', charge: 'REFUNDED' }],
  ])('%s, four times at once on two nodes: one effect', async (_, paid, end) => {
    const { client, accessToken, holdId, lessonId } = await booked({ paid });
    const elsewhere = other.anonymous.as(accessToken);

    const answers = await Promise.all([client, elsewhere, client, elsewhere].map((node) => cancel(node, holdId)));

    expect(tally(answers)).toEqual({ CancelBookingSuccess: 4 });
    expect(await stored(holdId)).toEqual([end]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test.each([
    ['unpaid', false],
    ['paid', true],
  ])('%s, by somebody else: not found, and nothing changed', async (_, paid) => {
    const { holdId, lessonId } = await booked({ paid });
    const before = [await stored(holdId), await app.counters(lessonId)];

    for (const { client } of [await app.member(), await app.admin()])
      expect(await cancel(client, holdId)).toMatchObject({ __typename: 'HoldNotFoundError', code: 'HOLD_NOT_FOUND' });

    expect([await stored(holdId), await app.counters(lessonId)]).toEqual(before);
  });

  test('paying and cancelling at once ends paid, or given back with nothing charged that is kept', async () => {
    for (let round = 0; round < 5; round++) {
      const { client, accessToken, holdId } = await booked({ paid: false });

      await Promise.all([pay(client, holdId), cancel(other.anonymous.as(accessToken), holdId)]);

      const [end] = await stored(holdId);
      expect([
        { hold: 'CONFIRMED', payment: 'APPROVED', charge: 'APPROVED' },
        { hold: 'RELEASED', payment: null, charge: null },
        { hold: 'RETURNED', payment: 'REFUNDED', charge: 'REFUNDED' },
      ]).toContainEqual(end);
    }
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('an expired hold cannot be cancelled, swept or not', async () => {
    const { client, holdId } = await booked({ paid: false });
    await app.stopSweeping();
    await app.expire(holdId);

    expect(await cancel(client, holdId)).toMatchObject({ __typename: 'HoldExpiredError', code: 'HOLD_EXPIRED' });
    expect((await client.run('TestMyEnrollments')).nodes).toMatchObject([{ state: 'EXPIRED' }]);
  });
});
