import { networkInterfaces } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { payAs } from '../../src/simulator/customer.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { eventually } from '../support/wait.ts';
import { agreed, paidByToss, startWorld, type World } from './merchant.ts';

failOnLeaks();

const pathOf = (url: string) => new URL(url).pathname;

describe("the customer's page", () => {
  test.each([
    ['ko', '토스페이먼츠 · 결제', '모의 결제입니다. 실제로 돈이 움직이지 않습니다.', ['결제하기', '결제 거절', '창 닫기'], '₩12,000'],
    ['en-GB,en;q=0.9', 'Toss Payments · payment', 'Simulation: no money moves.', ['Approve', 'Refuse', 'Close the window'], '₩12,000'],
  ])('says in the language of %s what is paid, and that it is no real payment', async (language, heading, notice, buttons, amount) => {
    await using world = await startWorld();
    const { orderId, checkout } = await world.merchant.toss();

    const { text } = await world.vendors.call('GET', pathOf(checkout.url), { headers: { 'accept-language': language } });

    for (const words of [`<h1>${heading}</h1>`, notice, ...buttons.map((button) => `>${button}</button>`), amount, orderId, '일일 강습권'])
      expect(text).toContain(words);
    expect(text).toContain(`<html lang="${language.slice(0, 2)}">`);
  });

  test('works without scripts and asks nothing of the network', async () => {
    await using world = await startWorld();
    const { checkout } = await world.merchant.toss();

    const { text } = await world.vendors.call('GET', pathOf(checkout.url));

    expect(text).not.toContain('<script');
    expect(text).not.toMatch(/\b(src|href)=/);
    expect(text).toContain('name="viewport" content="width=device-width, initial-scale=1"');
  });

  test('shows what the merchant wrote as text, never as markup', async () => {
    await using world = await startWorld();
    const { checkout } = world.merchant.kispg();
    const fields = {
      ...checkout.fields,
      goodsNm: `<script>alert('x')</script>`,
      ordNo: `"><img src=x onerror=alert(1)>`,
      mbsReserved: `"><b>`,
    };

    const { text } = await world.vendors.call('POST', '/v2/auth', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(fields).toString(),
    });
    const action = /action="([^"]*)"/.exec(text)?.[1] ?? '';
    const forwarding = await world.vendors.call('POST', action, { body: 'act=approve' });

    expect(text).toContain('&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;');
    expect(text).not.toMatch(/<script|<img/);
    expect(forwarding.text).not.toMatch(/<b>|<img/);
  });

  test("KISPG's way back is a form that submits itself, with a button for browsers without scripts", async () => {
    await using world = await startWorld();
    const { checkout } = world.merchant.kispg();
    const opened = await world.vendors.call('POST', '/v2/auth', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams(checkout.fields).toString(),
    });

    const { text } = await world.vendors.call('POST', /action="([^"]*)"/.exec(opened.text)?.[1] ?? '', { body: 'act=approve' });

    expect(text).toContain(`<form method="post" action="${world.server.url}/paid">`);
    expect(text).toMatch(/<button type="submit"[^>]*>Continue<\/button>/);
    expect(text).toContain('<script>document.forms[0].submit();</script>');
  });

  test('sends the browser only to where the merchant said, whatever the browser brings', async () => {
    await using world = await startWorld();
    const { checkout } = await world.merchant.toss();
    const evil = 'https://evil.test/';
    const forged = new URLSearchParams({
      act: 'approve',
      url: evil,
      redirect: evil,
      returnUrl: evil,
      redirectUrl: evil,
      successUrl: evil,
      approval_url: evil,
    });

    const browser = await followedNowhere(world, `${pathOf(checkout.url)}?${forged}`, forged.toString());

    expect(browser.status).toBe(303);
    expect(browser.location).toMatch(new RegExp(`^${world.server.url}/paid\\?`));
    expect(browser.location).not.toContain('evil');
  });

  test.each([
    ['no such page', '/pay/nobodys', 'act=approve', 404],
    ['no such act', null, 'act=steal', 400],
    ['no act', null, '', 400],
  ])('%s is an error page, and nothing happens', async (_name, path, body, status) => {
    await using world = await startWorld();
    const { orderId, checkout } = await world.merchant.toss();

    const answer = await world.vendors.call('POST', path ?? pathOf(checkout.url), { body });

    expect(answer.status).toBe(status);
    expect((await world.vendors.toss('GET', `/orders/${orderId}`)).json.status).toBe('READY');
  });

  test('a page that was used up sends nobody anywhere', async () => {
    await using world = await startWorld();
    const { checkout } = await paidByToss(world);
    const declined = await world.merchant.toss();
    await payAs(declined.checkout, 'refuse');
    const before = world.server.received.length;

    await expect(payAs(checkout, 'approve')).rejects.toThrow(' 409: 결제를 계속할 수 없습니다');
    await expect(payAs(declined.checkout, 'approve')).rejects.toThrow(' 409: ');

    expect(world.server.received).toHaveLength(before);
  });

  test('a customer whose browser died on the way back may press again, and brings the same', async () => {
    await using world = await startWorld();
    const prepared = await world.merchant.kakaopay();

    const lost = await payAs(prepared.checkout, 'approve', { return: false });
    const heardBefore = world.server.received.length;
    const first = await agreed(world, prepared);
    const second = await agreed(world, prepared);

    expect([lost, heardBefore]).toEqual([null, 0]);
    expect(second).toEqual(first);
  });

  test('the customer is told what our address answered, and its redirects are not followed', async () => {
    await using world = await startWorld();
    const { checkout } = await world.merchant.toss();
    world.server.answers = { status: 404, body: 'gone' };

    const landed = await payAs(checkout, 'approve');

    expect(landed).toEqual({ status: 404, location: null, url: expect.stringMatching(new RegExp(`^${world.server.url}/paid\\?`)) });
  });
});

describe('the control face', () => {
  test('explains itself and lists what happened', async () => {
    await using world = await startWorld();
    const { orderId } = await paidByToss(world);

    const { status, text } = await world.vendors.call('GET', '/', { headers: { 'accept-language': 'en' } });

    expect(status).toBe(200);
    expect(text).toContain('The simulated payment providers');
    expect(text).toContain('POST /simulator/faults');
    expect(text).toContain(orderId);
    expect(text).toContain('<td>approve</td>');
  });

  test('takes an order for a fault, and forgets it again', async () => {
    await using world = await startWorld();
    const fault = { provider: 'TOSS', call: 'find', fault: 'REFUSE', code: 'FDS_ERROR', times: 2 };

    const ordered = await world.vendors.call('POST', '/simulator/faults', { body: fault });
    const refused = await world.vendors.toss('GET', '/orders/nobodys');
    const cleared = await world.vendors.call('DELETE', '/simulator/faults');
    const usual = await world.vendors.toss('GET', '/orders/nobodys');

    expect([ordered.status, ordered.json]).toEqual([201, fault]);
    expect([refused.json.code, cleared.status, usual.json.code]).toEqual(['FDS_ERROR', 200, 'NOT_FOUND_PAYMENT']);
  });

  test('registers webhooks, which then arrive', async () => {
    await using world = await startWorld();
    const url = `${world.server.url}/webhooks`;

    const put = await world.vendors.call('PUT', '/simulator/webhooks', { body: { provider: 'TOSS', url } });
    const got = await world.vendors.call('GET', '/simulator/webhooks');
    await paidByToss(world);

    expect([put.json, got.json]).toEqual([{ TOSS: url }, { TOSS: url }]);
    await eventually(() => world.server.received.some(({ path }) => path === '/webhooks'));
  });

  test('lists payments and calls for other processes', async () => {
    await using world = await startWorld();
    const { orderId } = await paidByToss(world);

    const payments = JSON.parse((await world.vendors.call('GET', '/simulator/payments')).text) as unknown;
    const calls = JSON.parse((await world.vendors.call('GET', '/simulator/calls')).text) as { call: string; orderId: string }[];

    expect(payments).toMatchObject([{ provider: 'TOSS', orderId, capturedMinor: 12_000, refundedMinor: 0 }]);
    expect(calls.map(({ call }) => call)).toEqual(['prepare', 'auth', 'approve']);
  });

  test.each([
    ['POST', '/simulator/faults', { provider: 'TOSS', call: 'approve', fault: 'EXPLODE' }, /at fault/],
    ['POST', '/simulator/faults', { provider: 'TOSS', call: 'approve', fault: 'REFUSE', times: 0 }, /at times/],
    ['POST', '/simulator/faults', { provider: 'TOSS', call: 'approve', fault: 'REFUSE', also: 'this' }, /"also"/],
    ['PUT', '/simulator/webhooks', { provider: 'TOSS', url: 'file:///etc/passwd' }, /at url/],
    ['PUT', '/simulator/webhooks', { provider: 'STRIPE', url: null }, /at provider/],
  ] as const)('refuses %s %s with %j, and says why', async (method, path, body, explained) => {
    await using world = await startWorld();

    const { status, json } = await world.vendors.call(method, path, { body });

    expect(status).toBe(400);
    expect(json.message).toEqual(expect.stringMatching(explained));
    expect((await world.vendors.call('GET', '/simulator/webhooks')).json).toEqual({});
  });

  test('takes no orders from the form of a page in somebody’s browser', async () => {
    await using world = await startWorld();

    const { status } = await world.vendors.call('POST', '/simulator/faults', {
      headers: { 'content-type': 'text/plain' },
      body: JSON.stringify({ provider: 'TOSS', call: 'find', fault: 'REFUSE', code: 'FDS_ERROR' }),
    });

    expect(status).toBe(415);
    expect((await world.vendors.toss('GET', '/orders/nobodys')).json.code).toBe('NOT_FOUND_PAYMENT');
  });

  const elsewhere = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal)?.address;

  // A machine without a network has no address that is not its own.
  (elsewhere === undefined ? test.skip : test)('is for its own machine only, while the protocols are for everybody', async () => {
    await using world = await startWorld({ host: '0.0.0.0' });
    const from = (path: string) =>
      fetch(`http://${elsewhere}:${new URL(world.simulator.url).port}${path}`, { headers: { connection: 'close' } });

    const [control, list, protocol] = [await from('/'), await from('/simulator/calls'), await from('/v1/payments/nobodys')];

    expect([control.status, list.status]).toEqual([403, 403]);
    expect(await protocol.json()).toMatchObject({ code: 'UNAUTHORIZED_KEY' });
    expect(await control.json()).toEqual({ message: 'The simulator is controlled from its own machine only.' });
    await list.text();
  });
});

/** A browser's POST whose redirect is looked at instead of followed. */
async function followedNowhere({ simulator }: World, path: string, form: string) {
  const answer = await fetch(`${simulator.url}${path}`, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'content-type': 'application/x-www-form-urlencoded', connection: 'close' },
    body: form,
  });
  await answer.text();
  return { status: answer.status, location: answer.headers.get('location') };
}
