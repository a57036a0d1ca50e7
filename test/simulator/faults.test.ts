import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import { payAs } from '../../src/simulator/customer.ts';
import type { Fault, SimulatedProvider } from '../../src/simulator/simulator.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { eventually } from '../support/wait.ts';
import { type Answered, agreed, booked, duringLatency, startWorld, type World } from './merchant.ts';

failOnLeaks();

/** An order that the customer agreed to, and the call that takes its money. */
interface Approval {
  orderId: string;
  approve(giveUp?: AbortSignal): Promise<Answered>;
}

const APPROVALS: Record<SimulatedProvider, (world: World) => Promise<Approval>> = {
  async KAKAOPAY(world) {
    const prepared = await world.merchant.kakaopay();
    const { pg_token } = await agreed(world, prepared);
    const { secretKey, cid } = world.simulator.settings.KAKAOPAY;
    const request = { headers: { authorization: `SECRET_KEY ${secretKey}` }, body: { cid, ...prepared.named, pg_token } };
    return {
      orderId: prepared.orderId,
      approve: (giveUp) => world.vendors.call('POST', '/online/v1/payment/approve', { ...request, ...(giveUp && { giveUp }) }),
    };
  },
  async TOSS(world) {
    const prepared = await world.merchant.toss();
    await agreed(world, prepared);
    const authorization = `Basic ${Buffer.from(`${world.simulator.settings.TOSS.secretKey}:`).toString('base64')}`;
    const request = { headers: { authorization }, body: prepared.named };
    return {
      orderId: prepared.orderId,
      approve: (giveUp) => world.vendors.call('POST', '/v1/payments/confirm', { ...request, ...(giveUp && { giveUp }) }),
    };
  },
  async PORTONE(world) {
    const prepared = await world.merchant.portone();
    const { paymentToken } = await agreed(world, prepared);
    const request = { headers: { authorization: `PortOne ${world.simulator.settings.PORTONE.apiSecret}` }, body: { paymentToken } };
    return {
      orderId: prepared.orderId,
      approve: (giveUp) => world.vendors.call('POST', `/payments/${prepared.orderId}/confirm`, { ...request, ...(giveUp && { giveUp }) }),
    };
  },
  async KISPG(world) {
    const prepared = world.merchant.kispg();
    const { tid = '' } = await agreed(world, prepared);
    const body = { ...world.vendors.kispgSigned('12000'), tid, goodsAmt: '12000' };
    return {
      orderId: prepared.orderId,
      approve: (giveUp) => world.vendors.call('POST', '/v2/payment', { body, ...(giveUp && { giveUp }) }),
    };
  },
};

const PROVIDERS = Object.keys(APPROVALS) as SimulatedProvider[];

/** What a caller notices of its call: an answer, a connection that was reset, or nothing until it gave up. */
async function noticed(calling: Promise<Answered>): Promise<string | Answered> {
  return calling.catch((error: Error & { code?: string }) => (error.name === 'TimeoutError' ? 'nothing' : (error.code ?? error.name)));
}

async function underFault(world: World, provider: SimulatedProvider, fault: Fault) {
  const { orderId, approve } = await APPROVALS[provider](world);
  world.simulator.order({ provider, call: 'approve', fault, orderId });
  const calling = new AbortController();
  const answer = noticed(approve(calling.signal));
  if (['HANG_BEFORE', 'HANG_AFTER', 'SLOW_DRIP'].includes(fault)) {
    // Nobody answers: the caller gives up some time after its call has had its effect.
    await eventually(() => world.simulator.calls.some((made) => made.orderId === orderId && made.call === 'approve'));
    if (fault !== 'HANG_BEFORE') await eventually(() => booked(world, orderId)?.captured === 12_000);
    await delay(200);
    calling.abort(new DOMException('The caller gave up.', 'TimeoutError'));
  }
  return { orderId, answer: await answer };
}

describe.each(PROVIDERS)('faults of %s at the approval', (provider) => {
  test.each([
    ['HANG_BEFORE', 'nothing', 0],
    ['HANG_AFTER', 'nothing', 12_000],
    ['SLOW_DRIP', 'nothing', 12_000],
    ['RESET_BEFORE', 'ECONNRESET', 0],
    ['RESET_AFTER', 'ECONNRESET', 12_000],
  ] as const)('%s: the caller notices %s, the books say %d, and the record has no status', async (fault, expected, captured) => {
    await using world = await startWorld();

    const { orderId, answer } = await underFault(world, provider, fault);

    expect(answer).toBe(expected);
    expect(booked(world, orderId)?.captured).toBe(captured);
    expect(world.simulator.calls.at(-1)).toMatchObject({ provider, call: 'approve', orderId, fault, status: null, response: null });
  });

  test.each([
    ['ERROR_BEFORE', 0],
    ['ERROR_AFTER', 12_000],
  ] as const)('%s: HTTP 500 in JSON, the books say %d', async (fault, captured) => {
    await using world = await startWorld();

    const { orderId, answer } = await underFault(world, provider, fault);

    expect(answer).toMatchObject({ status: 500, text: expect.stringMatching(/^\{/) });
    expect(booked(world, orderId)?.captured).toBe(captured);
  });

  test('REFUSE: a refusal in JSON, and nothing is taken', async () => {
    await using world = await startWorld();

    const { orderId, answer } = await underFault(world, provider, 'REFUSE');

    expect(answer).toMatchObject({ text: expect.stringMatching(/USER_LOCKED|REJECT_CARD_COMPANY|3095/) });
    expect(booked(world, orderId)?.captured).toBe(0);
  });

  test('GARBAGE: HTTP 200 that is not JSON, and the money was taken', async () => {
    await using world = await startWorld();

    const { orderId, answer } = await underFault(world, provider, 'GARBAGE');

    expect(answer).toMatchObject({ status: 200, text: expect.stringContaining('<html>') });
    expect(booked(world, orderId)?.captured).toBe(12_000);
  });

  test('LATENCY: the effect comes with the answer, also when the caller gave up before', async () => {
    await duringLatency(async (milliseconds) => {
      await using world = await startWorld();
      const { orderId, approve } = await APPROVALS[provider](world);
      world.simulator.order({ provider, call: 'approve', fault: 'LATENCY', milliseconds });

      const began = performance.now();
      const answer = await noticed(approve(AbortSignal.timeout(100)));
      const meanwhile = booked(world, orderId)?.captured;
      const waitedMs = performance.now() - began;

      await eventually(() => expect(booked(world, orderId)?.captured).toBe(12_000), { withinMs: 20_000 });
      return { waitedMs, check: () => expect([answer, meanwhile]).toEqual(['nothing', 0]) };
    });
  });

  test('a fault is used up by one call, and the next one is as usual', async () => {
    await using world = await startWorld();
    const { orderId, approve } = await APPROVALS[provider](world);
    world.simulator.order({ provider, call: 'approve', fault: 'RESET_BEFORE', times: 2 });

    const answers = [await noticed(approve()), await noticed(approve()), await noticed(approve())];

    expect(answers.slice(0, 2)).toEqual(['ECONNRESET', 'ECONNRESET']);
    expect(answers[2]).toMatchObject({ status: 200 });
    expect(booked(world, orderId)?.entries).toEqual([['CAPTURE', 12_000]]);
  });
});

describe('lies', () => {
  test.each([
    ['KAKAOPAY', { amount: { total: 13_000 } }, { partner_order_id: '00000000-0000-4000-8000-000000000000' }],
    ['TOSS', { totalAmount: 13_000, balanceAmount: 13_000 }, { orderId: '00000000-0000-4000-8000-000000000000' }],
    ['KISPG', { amt: '13000' }, { ordNo: '00000000-0000-4000-8000-000000000000' }],
  ] as const)('%s tells a wrong amount or order, and its books keep the right one', async (provider, wrongAmount, wrongOrder) => {
    await using world = await startWorld();

    const amount = await underFault(world, provider, 'WRONG_AMOUNT');
    const order = await underFault(world, provider, 'WRONG_ORDER');

    expect(amount.answer).toMatchObject({ status: 200, json: wrongAmount });
    expect(order.answer).toMatchObject({ status: 200, json: wrongOrder });
    expect([amount, order].map(({ orderId }) => booked(world, orderId)?.captured)).toEqual([12_000, 12_000]);
  });

  test('PortOne tells them when it is asked', async () => {
    await using world = await startWorld();
    const { orderId } = await underFault(world, 'PORTONE', 'LATENCY');
    world.simulator.order({ provider: 'PORTONE', call: 'find', fault: 'WRONG_AMOUNT' });
    world.simulator.order({ provider: 'PORTONE', call: 'find', fault: 'WRONG_ORDER' });

    const portone = world.vendors.portone();
    const [amount, order, truth] = [
      await portone.getPayment({ paymentId: orderId }),
      await portone.getPayment({ paymentId: orderId }),
      await portone.getPayment({ paymentId: orderId }),
    ];

    expect(amount).toMatchObject({ id: orderId, amount: { total: 13_000 } });
    expect(order).toMatchObject({ id: '00000000-0000-4000-8000-000000000000', amount: { total: 12_000 } });
    expect(truth).toMatchObject({ id: orderId, amount: { total: 12_000 } });
  });
});

describe('which call a fault meets', () => {
  test('only its order, its call and its provider', async () => {
    await using world = await startWorld();
    const [one, other, elsewhere] = [await APPROVALS.TOSS(world), await APPROVALS.TOSS(world), await APPROVALS.KAKAOPAY(world)];
    world.simulator.order({ provider: 'TOSS', call: 'approve', fault: 'RESET_BEFORE', orderId: other.orderId });

    const answers = [await noticed(elsewhere.approve()), await noticed(one.approve()), await noticed(other.approve())];

    expect(answers).toMatchObject([{ status: 200 }, { status: 200 }, 'ECONNRESET']);
  });

  test('none after the faults were cleared', async () => {
    await using world = await startWorld();
    const { approve } = await APPROVALS.TOSS(world);
    world.simulator.order({ provider: 'TOSS', call: 'approve', fault: 'RESET_BEFORE' });

    world.simulator.clearFaults();

    expect(await noticed(approve())).toMatchObject({ status: 200 });
  });

  test.each(PROVIDERS)('the step in the browser too, at %s: the agreement stands, the browser is lost', async (provider) => {
    await using world = await startWorld();
    const prepared = {
      KAKAOPAY: () => world.merchant.kakaopay(),
      TOSS: () => world.merchant.toss(),
      PORTONE: () => world.merchant.portone(),
      KISPG: async () => world.merchant.kispg(),
    };
    const { orderId, checkout } = await prepared[provider]();
    world.simulator.order({ provider, call: 'auth', fault: 'RESET_AFTER' });

    const paying = payAs(checkout, 'approve');

    await expect(paying).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(world.server.received).toEqual([]);
    expect(world.simulator.calls.at(-1)).toMatchObject({ provider, call: 'auth', orderId, status: null });
  });
});

describe('the whole simulator', () => {
  test('goes down, refuses connections and cuts those that hang, and comes up again at the same port with the same books', async () => {
    await using world = await startWorld();
    const { orderId, approve } = await APPROVALS.TOSS(world);
    const url = world.simulator.url;
    world.simulator.order({ provider: 'TOSS', call: 'approve', fault: 'HANG_AFTER' });
    const hanging = noticed(approve());
    await eventually(() => world.simulator.calls.some(({ call }) => call === 'approve'));

    await world.simulator.goDown();
    const cut = await hanging;
    const refused = await noticed(approve());
    await world.simulator.comeUp();
    const found = await world.vendors.toss('GET', `/orders/${orderId}`);

    expect(typeof cut).toBe('string');
    expect(refused).toBe('ECONNREFUSED');
    expect(world.simulator.url).toBe(url);
    expect(found.json.status).toBe('DONE');
  });

  test('goes down in the middle of a late answer without the effect', async () => {
    await using world = await startWorld();
    const { orderId, approve } = await APPROVALS.KISPG(world);
    world.simulator.order({ provider: 'KISPG', call: 'approve', fault: 'LATENCY', milliseconds: 60_000 });
    const waiting = noticed(approve());
    await eventually(() => world.simulator.calls.some(({ call }) => call === 'approve'));

    await world.simulator.goDown();
    await waiting;
    await world.simulator.comeUp();

    expect(booked(world, orderId)?.captured).toBe(0);
  });

  test('records what it was asked and what it answered, and no secret', async () => {
    await using world = await startWorld();
    const { orderId, approve } = await APPROVALS.TOSS(world);

    await approve();

    const record = world.simulator.calls.at(-1);
    expect(world.simulator.calls.map(({ call }) => call)).toEqual(['prepare', 'auth', 'approve']);
    expect(record).toMatchObject({
      provider: 'TOSS',
      orderId,
      fault: null,
      status: 200,
      request: { method: 'POST', url: '/v1/payments/confirm', body: { orderId, amount: 12_000 } },
      response: { status: 'DONE', orderId },
    });
    expect(JSON.stringify(world.simulator.calls)).not.toContain(
      Buffer.from(`${world.simulator.settings.TOSS.secretKey}:`).toString('base64'),
    );
  });
});

describe('a slow drip', () => {
  test('sends a byte now and then, so that a caller who only waits for the next one waits for ever', async () => {
    await using world = await startWorld();
    const { orderId } = await APPROVALS.TOSS(world);
    world.simulator.order({ provider: 'TOSS', call: 'find', fault: 'SLOW_DRIP' });
    const giveUp = new AbortController();

    const { body } = await request(`${world.simulator.url}/v1/payments/orders/${orderId}`, { signal: giveUp.signal });
    let heard = '';
    for await (const bytes of body) {
      heard += String(bytes);
      if (heard.length === 2) break;
    }
    giveUp.abort();

    expect(heard).toBe('{ ');
  });
});
