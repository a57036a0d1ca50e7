import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, heldLesson } from '../../support/payments.ts';
import { eventually } from '../../support/wait.ts';
import { ring } from '../../support/webhooks.ts';
import { stored } from './stored.ts';

failOnLeaks();

let app: TestApp;
const calls = (paymentId: string) => app.simulator.calls.filter(({ orderId }) => orderId === uuidIn(paymentId)).map(({ call }) => call);

const dueOf = async (paymentId: string) =>
  (
    await app.query(
      'select next_look_at as "nextLookAt", busy_until as "busyUntil", rings - rings_answered as unanswered from payment where id = $1',
      [uuidIn(paymentId)],
    )
  )[0];

const AT_REST = { nextLookAt: null, busyUntil: null, unanswered: 0 };

describe('where nothing can be asked', () => {
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  test('an approval that was voided in vain, and is carried out after all, is voided when the provider tells of it', async () => {
    const { client, holdId } = await heldLesson(app, { priceMinor: 50_000 });
    const payment = await begin(client, holdId, 'KISPG');
    const orderId = uuidIn(payment.id);
    app.simulator.order({ provider: 'KISPG', call: 'approve', fault: 'RESET_BEFORE', orderId });
    app.simulator.order({ provider: 'KISPG', call: 'cancel', fault: 'REFUSE', code: '2012', orderId });

    await atCheckout(payment);
    const given = await stored(app, holdId);
    await carryOut(orderId);
    await eventually(() => app.simulator.payment(orderId)?.refundedMinor === 50_000);

    expect(given).toEqual([{ hold: 'RELEASED', payment: 'REFUSED', because: 'NOT_APPROVED', captured: 0, refunded: 0 }]);
    await eventually(async () => (await stored(app, holdId))[0]?.payment === 'REFUNDED');
    expect(await stored(app, holdId)).toEqual([
      { hold: 'RELEASED', payment: 'REFUNDED', because: null, captured: 50_000, refunded: 50_000 },
    ]);
    expect(app.simulator.payment(orderId)?.entries.map(({ kind, amountMinor }) => [kind, amountMinor])).toEqual([
      ['CAPTURE', 50_000],
      ['REFUND', 50_000],
    ]);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('a notification about a refused approval is answered by one void that finds nothing, and no more', async () => {
    const { client, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'KISPG');
    const orderId = uuidIn(payment.id);
    app.simulator.order({ provider: 'KISPG', call: 'approve', fault: 'REFUSE', code: '3095', orderId });
    await atCheckout(payment);

    const rung = await ring(app, 'KISPG', notification(orderId));

    await eventually(async () => (await dueOf(payment.id))?.unanswered === 0);
    expect(rung.status).toBe(200);
    expect(calls(payment.id).slice(-2)).toEqual(['approve', 'cancel']);
    expect(await dueOf(payment.id)).toEqual(AT_REST);
    expect(await stored(app, holdId)).toEqual([{ hold: 'RELEASED', payment: 'REFUSED', because: '3095', captured: 0, refunded: 0 }]);
    expect(await app.brokenInvariants()).toEqual([]);
  });
});

/** The approval that was sent and never answered reaches KISPG at last. */
async function carryOut(orderId: string): Promise<void> {
  const sent = app.simulator.calls.find(({ call, orderId: of }) => call === 'approve' && of === orderId);
  if (!sent) throw new Error('no approval was sent');
  const { url, headers, body } = sent.request as { url: string; headers: Record<string, string>; body: object };
  const answer = await fetch(`${app.simulator.url}${url}`, { method: 'POST', headers, body: JSON.stringify(body) });
  expect(answer.status).toBe(200);
}

/** What KISPG would send about an order: its hash covers merchant, date and amount. */
function notification(orderId: string) {
  const { merchantId, merchantKey } = app.simulator.settings.KISPG;
  const booked = app.simulator.payment(orderId);
  const amt = String(booked?.amountMinor);
  const ediDate = '20261121225000';
  const encData = createHash('sha256').update(`${merchantId}${ediDate}${amt}${merchantKey}`).digest('hex');
  const body = new URLSearchParams({
    mid: merchantId,
    tid: String(booked?.reference),
    moid: orderId,
    amt,
    resultCode: '3095',
    ediDate,
    encData,
  });
  return { headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: body.toString() };
}
