import { randomUUID } from 'node:crypto';
import { beforeAll, describe, expect, test } from '@jest/globals';
import type { PaymentSaga } from '../../../src/features/bookings/payment-saga.ts';
import type { CallName } from '../../../src/simulator/simulator.ts';
import { type TestApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { inside } from '../../support/interleaving.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { heldLesson, payFor } from '../../support/payments.ts';
import { onTwoNodes } from '../../support/two-nodes.ts';
import { eventually } from '../../support/wait.ts';
import { stored } from './stored.ts';

failOnLeaks();

const BOOKED = { hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 };

describe('a refund that is asked for while others look at its payment', () => {
  let app: TestApp;
  let other: TestApp;
  let admin: TestClient;
  onTwoNodes((...nodes) => {
    [app, other] = nodes;
    app.simulator.sendsWebhooks = false;
  });
  beforeAll(async () => {
    admin = (await app.admin()).client;
  });

  async function booked() {
    const { client, holdId } = await heldLesson(app);
    return { holdId, paymentId: await payFor(client, holdId, 'KAKAOPAY') };
  }
  const giveBack = (paymentId: string, amountMinor: number) =>
    admin.run('TestRefundPayment', {
      input: { paymentId, amountMinor, cancelsBooking: false, reason: 'The water was cold', idempotencyKey: randomUUID() },
    });
  const timesCalled = (paymentId: string, name: CallName) =>
    app.simulator.calls.filter(({ orderId, call }) => orderId === uuidIn(paymentId) && call === name).length;
  const look = ({ app: { bookings } }: TestApp, paymentId: string) => bookings.saga.advance(uuidIn(paymentId), { isAsked: true });

  test('whoever asked hears how it ended, and nobody else sends it', async () => {
    const { holdId, paymentId } = await booked();
    const enough = new AbortController();
    const lookers = Promise.all(
      [other, app, other, app].map(async (node) => {
        while (!enough.signal.aborted) await look(node, paymentId);
      }),
    );

    const states: unknown[] = [];
    for (let part = 0; part < 10; part++) states.push((await giveBack(paymentId, 1_000)).refund.state);
    enough.abort();
    await lookers;

    expect(states).toEqual(Array(10).fill('DONE'));
    expect(timesCalled(paymentId, 'cancel')).toBe(10);
    expect(await stored(app, holdId)).toEqual([{ ...BOOKED, refunded: 10_000 }]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('what the provider said before it was sent is no news of it: it is not sent again', async () => {
    const { paymentId } = await booked();
    app.simulator.order({ provider: 'KAKAOPAY', call: 'cancel', fault: 'LATENCY', milliseconds: 2_000, orderId: uuidIn(paymentId) });
    let given: ReturnType<typeof giveBack> | undefined;
    const isSent = inside(app, other.app.bookings.saga as unknown as Concluding, 'concludeWith', () => {
      given = giveBack(paymentId, 1_000);
      return eventually(() => timesCalled(paymentId, 'cancel') === 1);
    });

    await look(other, paymentId);
    await isSent;
    const sent = await app.query('select sent_at is not null as "isSent" from refund where payment_id = $1', [uuidIn(paymentId)]);

    expect(sent).toEqual([{ isSent: true }]);
    expect(await given).toMatchObject({ refund: { state: 'DONE' } });
    expect(timesCalled(paymentId, 'cancel')).toBe(1);
  });

  test('who rang before it, and was not asked about yet, is asked about when it is over', async () => {
    const { paymentId } = await booked();
    const asked = timesCalled(paymentId, 'find');
    await app.query('update payment set rings = rings + 1 where id = $1', [uuidIn(paymentId)]);

    await giveBack(paymentId, 1_000);

    expect(timesCalled(paymentId, 'find')).toBe(asked + 1);
    expect(await app.query('select rings - rings_answered as unanswered from payment where id = $1', [uuidIn(paymentId)])).toEqual([
      { unanswered: 0 },
    ]);
  });
});

/** What a saga does with an answer, which is its own affair. */
type Concluding = { concludeWith: PaymentSaga['advance'] };
