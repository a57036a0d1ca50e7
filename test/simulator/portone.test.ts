import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { Webhook } from '@portone/server-sdk';
import { payAs } from '../../src/simulator/customer.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { agreed, booked, paidByPortone, portoneProblem, startWorld } from './merchant.ts';

failOnLeaks();

const PAID_ONCE = { captured: 12_000, refunded: 0, entries: [['CAPTURE', 12_000]] };
const UNPAID = { captured: 0, refunded: 0, entries: [] };

describe('PortOne, simulated, through its own SDK', () => {
  test('a payment is registered, agreed to, confirmed, and given back in two parts', async () => {
    await using world = await startWorld();
    const portone = world.vendors.portone();

    const { orderId, txId, confirmed } = await paidByPortone(world);
    const paid = await portone.getPayment({ paymentId: orderId });
    const part = await portone.cancelPayment({ paymentId: orderId, reason: '비가 옴', amount: 5_000, currentCancellableAmount: 12_000 });
    const partly = await portone.getPayment({ paymentId: orderId });
    const rest = await portone.cancelPayment({ paymentId: orderId, reason: '비가 옴' });
    const wholly = await portone.getPayment({ paymentId: orderId });

    expect(confirmed).toEqual({ pgTxId: `pg_${txId}`, paidAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) });
    expect(paid).toMatchObject({
      status: 'PAID',
      id: orderId,
      transactionId: txId,
      storeId: 'store-simulated',
      channel: { type: 'TEST', key: 'channel-key-simulated' },
      amount: { total: 12_000, vat: 1_091, paid: 12_000, cancelled: 0 },
      currency: 'KRW',
    });
    expect(part.cancellation).toMatchObject({ status: 'SUCCEEDED', totalAmount: 5_000, reason: '비가 옴' });
    expect(partly).toMatchObject({
      status: 'PARTIAL_CANCELLED',
      amount: { total: 12_000, cancelled: 5_000 },
      cancellations: [{ totalAmount: 5_000 }],
    });
    expect(rest.cancellation).toMatchObject({ status: 'SUCCEEDED', totalAmount: 7_000 });
    expect(wholly).toMatchObject({
      status: 'CANCELLED',
      amount: { cancelled: 12_000 },
      cancellations: [{ totalAmount: 5_000 }, { totalAmount: 7_000 }],
    });
    expect(booked(world, orderId)).toEqual({
      captured: 12_000,
      refunded: 12_000,
      entries: [
        ['CAPTURE', 12_000],
        ['REFUND', 5_000],
        ['REFUND', 7_000],
      ],
    });
  });

  test('a channel that captures at once takes the money at the page and hands back no token', async () => {
    await using world = await startWorld({ portoneCapture: 'AT_ONCE' });
    const prepared = await world.merchant.portone();

    const back = await agreed(world, prepared);

    expect(back).toEqual({
      paymentId: prepared.orderId,
      transactionType: 'PAYMENT',
      txId: world.simulator.payment(prepared.orderId)?.reference,
    });
    expect(booked(world, prepared.orderId)).toEqual(PAID_ONCE);
    expect((await world.vendors.portone().getPayment({ paymentId: prepared.orderId })).status).toBe('PAID');
  });

  test('a registered payment is not found before the customer opened the checkout', async () => {
    await using world = await startWorld();
    const { orderId, checkout } = await world.merchant.portone();
    const portone = world.vendors.portone();

    const unopened = await portoneProblem(portone.getPayment({ paymentId: orderId }));
    await payAs(checkout, 'close');
    const opened = await portone.getPayment({ paymentId: orderId });

    expect(unopened.type).toBe('PAYMENT_NOT_FOUND');
    expect(opened.status).toBe('READY');
  });

  test('a refused customer comes back with a code, and may try again in another transaction', async () => {
    await using world = await startWorld();
    const prepared = await world.merchant.portone();

    await payAs(prepared.checkout, 'refuse');
    const failed = await world.vendors.portone().getPayment({ paymentId: prepared.orderId });
    const { txId, paymentToken = '' } = await agreed(world, prepared);
    await world.vendors.portone().confirmPayment({ paymentId: prepared.orderId, paymentToken });

    expect(world.server.received[0]?.query).toMatchObject({
      paymentId: prepared.orderId,
      code: 'FAILURE_TYPE_PG',
      pgCode: 'PAY_PROCESS_CANCELED',
    });
    expect(failed).toMatchObject({ status: 'FAILED', failure: { pgCode: 'PAY_PROCESS_CANCELED' } });
    expect(txId).not.toBe(world.server.received[0]?.query.txId);
    expect(booked(world, prepared.orderId)).toEqual(PAID_ONCE);
  });

  test.each([
    ['another amount', { totalAmount: '11999' }],
    ['another currency', { currency: 'USD' }],
    ['another store', { storeId: 'store-of-somebody' }],
    ['another channel', { channelKey: 'channel-of-somebody' }],
    ['no way back', { redirectUrl: 'javascript:alert(1)' }],
  ])('the checkout with %s than registered is refused', async (_name, change) => {
    await using world = await startWorld();
    const { orderId, checkout } = await world.merchant.portone();

    const paying = payAs({ ...checkout, fields: { ...checkout.fields, ...change } }, 'approve');

    await expect(paying).rejects.toThrow(' 400: ');
    expect(booked(world, orderId)).toEqual(UNPAID);
  });

  test.each([
    ['a wrong token', { paymentToken: 'guessed' }, 'INVALID_PAYMENT_TOKEN'],
    ['another transaction', { txId: randomUUID() }, 'INFORMATION_MISMATCH'],
    ['another amount', { totalAmount: 11_999 }, 'INFORMATION_MISMATCH'],
    ['another currency', { currency: 'USD' as const }, 'INFORMATION_MISMATCH'],
    ['a claim that it is no test', { isTest: false }, 'INFORMATION_MISMATCH'],
    ['another store', { storeId: 'store-of-somebody' }, 'FORBIDDEN'],
    ['a payment of nobody', { paymentId: randomUUID() }, 'PAYMENT_NOT_FOUND'],
  ])('confirming with %s is refused and takes nothing', async (_name, change, type) => {
    await using world = await startWorld();
    const prepared = await world.merchant.portone();
    const { paymentToken = '' } = await agreed(world, prepared);

    const problem = await portoneProblem(world.vendors.portone().confirmPayment({ paymentId: prepared.orderId, paymentToken, ...change }));

    expect(problem.type).toBe(type);
    expect(booked(world, prepared.orderId)).toEqual(UNPAID);
  });

  test('a second confirmation, registration and checkout of a paid payment are refused, without a second capture', async () => {
    await using world = await startWorld();
    const portone = world.vendors.portone();
    const { orderId, paymentToken, checkout } = await paidByPortone(world);

    const confirmed = await portoneProblem(portone.confirmPayment({ paymentId: orderId, paymentToken }));
    const registered = await portoneProblem(portone.preRegisterPayment({ paymentId: orderId, totalAmount: 1_000 }));
    const reopened = payAs(checkout, 'approve');

    expect([confirmed.type, registered.type]).toEqual(['ALREADY_PAID', 'ALREADY_PAID']);
    await expect(reopened).rejects.toThrow(' 409: ');
    expect(booked(world, orderId)).toEqual(PAID_ONCE);
  });

  test.each([
    ['more than is left', { amount: 12_001 }, 'CANCEL_AMOUNT_EXCEEDS_CANCELLABLE_AMOUNT'],
    ['with a wrong idea of what is left', { amount: 5_000, currentCancellableAmount: 7_000 }, 'CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN'],
    ['nothing', { amount: 0 }, 'INVALID_REQUEST'],
    ['for no reason', { reason: '' }, 'INVALID_REQUEST'],
  ])('cancelling %s is refused and gives nothing back', async (_name, change, type) => {
    await using world = await startWorld();
    const { orderId } = await paidByPortone(world);

    const problem = await portoneProblem(world.vendors.portone().cancelPayment({ paymentId: orderId, reason: '비가 옴', ...change }));

    expect(problem.type).toBe(type);
    expect(booked(world, orderId)).toEqual(PAID_ONCE);
  });

  test('a partial refund sent twice is refused the second time, because each names what was left', async () => {
    await using world = await startWorld();
    const portone = world.vendors.portone();
    const { orderId } = await paidByPortone(world);
    const refund = { paymentId: orderId, reason: '비가 옴', amount: 5_000, currentCancellableAmount: 12_000 };
    await portone.cancelPayment(refund);

    const problem = await portoneProblem(portone.cancelPayment(refund));

    expect(problem.type).toBe('CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN');
    expect(booked(world, orderId)?.refunded).toBe(5_000);
  });

  test('cancelling what was given back, and what was never paid, have a type each', async () => {
    await using world = await startWorld();
    const portone = world.vendors.portone();
    const [paid, unpaid] = [await paidByPortone(world), await world.merchant.portone()];
    await portone.cancelPayment({ paymentId: paid.orderId, reason: '비' });
    await payAs(unpaid.checkout, 'close');

    const again = await portoneProblem(portone.cancelPayment({ paymentId: paid.orderId, reason: '비' }));
    const never = await portoneProblem(portone.cancelPayment({ paymentId: unpaid.orderId, reason: '비' }));

    expect([again.type, never.type]).toEqual(['PAYMENT_ALREADY_CANCELLED', 'PAYMENT_NOT_PAID']);
  });

  test('a refused confirmation is the provider behind it, and fails the payment', async () => {
    await using world = await startWorld();
    const prepared = await world.merchant.portone();
    const { paymentToken = '' } = await agreed(world, prepared);
    world.simulator.order({ provider: 'PORTONE', call: 'approve', fault: 'REFUSE', code: 'REJECT_CARD_PAYMENT' });

    const problem = await portoneProblem(world.vendors.portone().confirmPayment({ paymentId: prepared.orderId, paymentToken }));

    expect(problem).toMatchObject({ type: 'PG_PROVIDER', pgCode: 'REJECT_CARD_PAYMENT' });
    expect((await world.vendors.portone().getPayment({ paymentId: prepared.orderId })).status).toBe('FAILED');
    expect(booked(world, prepared.orderId)).toEqual(UNPAID);
  });

  test('who does not know the secret is refused', async () => {
    await using world = await startWorld();

    const problem = await portoneProblem(
      world.vendors.portone('another').preRegisterPayment({ paymentId: randomUUID(), totalAmount: 12_000 }),
    );

    expect(problem.type).toBe('UNAUTHORIZED');
    expect(world.simulator.payments()).toEqual([]);
  });

  test('its webhooks are signed so that the SDK accepts them, and no changed one', async () => {
    await using world = await startWorld();
    const { webhookSecret } = world.simulator.settings.PORTONE;
    const { orderId, txId } = await paidByPortone(world);
    const { cancellation } = await world.vendors.portone().cancelPayment({ paymentId: orderId, reason: '비', amount: 5_000 });
    await world.vendors.portone().cancelPayment({ paymentId: orderId, reason: '비' });
    await world.vendors
      .portone()
      .cancelPayment({ paymentId: orderId, reason: '비' })
      .catch(() => undefined);

    const webhooks = world.simulator.webhooksOf(orderId);
    const events = await Promise.all(webhooks.map(({ body, headers }) => Webhook.verify(webhookSecret, body, headers)));
    const [first] = webhooks;
    const forged = Webhook.verify(webhookSecret, first!.body.replace(orderId, randomUUID()), first!.headers);

    expect(events.map((event) => event.type)).toEqual([
      'Transaction.Ready',
      'Transaction.Paid',
      'Transaction.PartialCancelled',
      'Transaction.Cancelled',
    ]);
    expect(events[1]).toMatchObject({ data: { paymentId: orderId, storeId: 'store-simulated', transactionId: txId } });
    expect(events[2]).toMatchObject({ data: { paymentId: orderId, cancellationId: 'id' in cancellation ? cancellation.id : '' } });
    await expect(forged).rejects.toMatchObject({ reason: 'NO_MATCHING_SIGNATURE' });
  });

  test('a cancellation that asks for no webhook sends none', async () => {
    await using world = await startWorld();
    const { orderId } = await paidByPortone(world);

    await world.vendors.portone().cancelPayment({ paymentId: orderId, reason: '비', skipWebhook: true });

    expect(world.simulator.webhooksOf(orderId).map(({ body }) => (JSON.parse(body) as { type: string }).type)).toEqual([
      'Transaction.Ready',
      'Transaction.Paid',
    ]);
  });

  test('a webhook is sent again on request, with the same id', async () => {
    await using world = await startWorld();
    const { orderId } = await paidByPortone(world);

    const { webhook } = await world.vendors.portone().resendWebhook({ paymentId: orderId });
    const unknown = await portoneProblem(world.vendors.portone().resendWebhook({ paymentId: orderId, webhookId: 'nobodys' }));

    const [, paid, again] = world.simulator.webhooksOf(orderId);
    expect(webhook).toMatchObject({ id: paid?.headers['webhook-id'], trigger: 'MANUAL', request: { body: paid?.body } });
    expect([again?.headers['webhook-id'], again?.body]).toEqual([paid?.headers['webhook-id'], paid?.body]);
    expect(unknown.type).toBe('WEBHOOK_NOT_FOUND');
  });
});
