import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { payAs } from '../../src/simulator/customer.ts';
import type { SimulatedProvider } from '../../src/simulator/simulator.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { eventually } from '../support/wait.ts';
import { paidByKakaopay, paidByKispg, paidByPortone, paidByToss, type Received, startWorld, type World } from './merchant.ts';

failOnLeaks();

function listen(world: World, provider: SimulatedProvider): () => Received[] {
  world.simulator.registerWebhook(provider, `${world.server.url}/webhooks`);
  return () => world.server.received.filter(({ path }) => path === '/webhooks');
}

describe('webhooks, simulated', () => {
  test('Toss tells each change of status with its headers and the whole payment', async () => {
    await using world = await startWorld();
    const received = listen(world, 'TOSS');

    const { orderId, named } = await paidByToss(world);
    await world.vendors.toss('POST', `/${named.paymentKey}/cancel`, { cancelReason: '비', cancelAmount: 5_000 });
    await eventually(() => expect(received()).toHaveLength(2));

    const bodies = received().map(({ body }) => JSON.parse(body) as { eventType: string; data: { status: string; orderId: string } });
    expect(bodies.map(({ eventType, data }) => [eventType, data.orderId])).toEqual([1, 2].map(() => ['PAYMENT_STATUS_CHANGED', orderId]));
    expect(new Set(bodies.map(({ data }) => data.status))).toEqual(new Set(['DONE', 'PARTIAL_CANCELED']));
    for (const { headers } of received()) {
      expect(headers['tosspayments-webhook-transmission-id']).toMatch(/^[0-9a-f-]{36}$/);
      expect(headers['tosspayments-webhook-transmission-time']).toMatch(/\+09:00$/);
      expect(headers['tosspayments-webhook-transmission-retried-count']).toBe('0');
    }
  });

  test('Toss tells an abort, and nothing of a window that was closed', async () => {
    await using world = await startWorld();
    const [closed, declined] = [await world.merchant.toss(), await world.merchant.toss()];

    await payAs(closed.checkout, 'close');
    await payAs(declined.checkout, 'refuse');

    expect(world.simulator.webhooksOf(closed.orderId)).toEqual([]);
    expect(
      world.simulator.webhooksOf(declined.orderId).map(({ body }) => (JSON.parse(body) as { data: { status: string } }).data.status),
    ).toEqual(['ABORTED']);
  });

  test('KISPG notifies by a form that is hashed over merchant, moment and amount', async () => {
    await using world = await startWorld();
    const received = listen(world, 'KISPG');

    const { orderId, tid } = await paidByKispg(world);
    await eventually(() => expect(received()).toHaveLength(1));

    const { merchantId, merchantKey } = world.simulator.settings.KISPG;
    const fields = Object.fromEntries(new URLSearchParams(received()[0]?.body));
    expect(received()[0]?.headers['content-type']).toBe('application/x-www-form-urlencoded; charset=utf-8');
    expect(fields).toMatchObject({
      mid: merchantId,
      tid,
      ordNo: orderId,
      moid: orderId,
      amt: '12000',
      resultCode: '0000',
      cancelYN: 'N',
      payMethod: 'card',
    });
    expect(fields.encData).toBe(createHash('sha256').update(`${merchantId}${fields.ediDate}12000${merchantKey}`).digest('hex'));
  });

  test('KakaoPay tells nothing', async () => {
    await using world = await startWorld();

    const { orderId } = await paidByKakaopay(world);

    expect(world.simulator.webhooksOf(orderId)).toEqual([]);
  });

  test.each([
    ['TOSS', { status: 201, body: 'OK' }, paidByToss],
    ['KISPG', { status: 200, body: 'NOT OK' }, paidByKispg],
    ['PORTONE', { status: 503, body: '' }, paidByPortone],
  ] as const)('%s tries again when it was not taken (%j), with the same event', async (provider, notTaken, pay) => {
    await using world = await startWorld();
    const received = listen(world, provider);
    const ids = (of: Received) => of.headers['webhook-id'] ?? of.headers['tosspayments-webhook-transmission-id'] ?? of.body;
    // Each is taken at the third try.
    world.server.answers = (one) =>
      received().filter((other) => ids(other) === ids(one)).length < 3 ? notTaken : { status: 200, body: 'OK' };

    const { orderId } = await pay(world);
    const sent = world.simulator.webhooksOf(orderId);
    await eventually(() => expect(received().length).toBe(sent.length * 3));

    expect(new Set(received().map(ids)).size).toBe(sent.length);
    if (provider === 'TOSS')
      expect(received().map(({ headers }) => headers['tosspayments-webhook-transmission-retried-count'])).toEqual(['0', '1', '2']);
  });

  test('a webhook that was taken is not sent again', async () => {
    await using world = await startWorld();
    const received = listen(world, 'TOSS');
    const [taken, notTaken] = [await world.merchant.toss(), await world.merchant.toss()];
    world.server.answers = ({ body }) => ({ status: body.includes(notTaken.orderId) ? 500 : 200, body: '' });

    await payAs(taken.checkout, 'refuse');
    await payAs(notTaken.checkout, 'refuse');
    // The pauses are the same for both, and the one that is taken was sent first.
    await eventually(() => expect(received().filter(({ body }) => body.includes(notTaken.orderId)).length).toBeGreaterThanOrEqual(3));

    expect(received().filter(({ body }) => body.includes(taken.orderId))).toHaveLength(1);
  });

  test('none goes out by itself when that is switched off, and each can be delivered as it is, any number of times', async () => {
    await using world = await startWorld();
    const received = listen(world, 'PORTONE');
    world.simulator.sendsWebhooks = false;
    const { orderId } = await paidByPortone(world);
    const [, paid] = world.simulator.webhooksOf(orderId);
    const before = received().length;

    const statuses = [
      await world.simulator.deliver(paid!),
      await world.simulator.deliver(paid!),
      await world.simulator.deliver({ ...paid!, body: '{}' }),
    ];

    expect(before).toBe(0);
    expect(statuses).toEqual([200, 200, 200]);
    expect(received().map(({ body }) => body)).toEqual([paid!.body, paid!.body, '{}']);
    for (const { headers } of received()) expect(headers).toMatchObject(paid!.headers);
  });

  test('delivering answers what the merchant answered, and rejects when nobody listens', async () => {
    await using world = await startWorld();
    const { orderId } = await paidByToss(world);
    const [webhook] = world.simulator.webhooksOf(orderId);
    const unregistered = world.simulator.deliver(webhook!);
    await expect(unregistered).rejects.toThrow('TOSS has nowhere to send its webhooks');
    listen(world, 'TOSS');
    world.server.answers = { status: 401, body: '' };

    const status = await world.simulator.deliver(webhook!);

    expect(status).toBe(401);
  });

  test('a simulator that stops gives up what it still wanted to send', async () => {
    await using stopped = await startWorld();
    await using world = await startWorld();
    const received = listen(world, 'TOSS');
    stopped.simulator.registerWebhook('TOSS', `${world.server.url}/webhooks`);
    world.server.answers = { status: 500, body: '' };
    const { orderId } = await paidByToss(stopped);
    const heardOf = (id: string) => received().filter(({ body }) => body.includes(id)).length;
    await eventually(() => expect(heardOf(orderId)).toBeGreaterThanOrEqual(1));

    await stopped.simulator.close();
    const other = await paidByToss(world);
    // What was on its way has arrived by now.
    await eventually(() => expect(heardOf(other.orderId)).toBeGreaterThanOrEqual(1));
    const heardBefore = heardOf(orderId);
    // By the time that a simulator that goes on has tried three times, the stopped one would have tried once more.
    await eventually(() => expect(heardOf(other.orderId)).toBeGreaterThanOrEqual(3));

    expect(heardOf(orderId)).toBe(heardBefore);
  });
});
