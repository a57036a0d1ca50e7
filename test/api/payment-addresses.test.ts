import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, testApp, uuidIn } from '../support/app.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { begin, heldLesson, PROVIDERS, payFor } from '../support/payments.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();

interface Sent {
  method?: string;
  /** As it is: no client makes it tidy. */
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

interface Heard {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
}

describe('the addresses for providers and for browsers they send back', () => {
  let app: TestApp;
  /** Begun with Toss, not paid: what an attacker would like to end. */
  let begun: { id: string; token: string; holdId: string; lessonId: string };
  let other: { id: string; token: string };

  const tokenOf = (id: string) => app.app.bookings.addresses.page(id).split('/').at(-1) ?? '';

  beforeAll(async () => {
    app = await testApp({ environment: { LOG_LEVEL: 'trace', RETURN_ORIGINS: 'https://pool.example' } });
    app.simulator.sendsWebhooks = false;
    const place = async () => {
      const { client, holdId, lessonId } = await heldLesson(app);
      const id = uuidIn((await begin(client, holdId)).id);
      return { id, token: tokenOf(id), holdId, lessonId };
    };
    begun = await place();
    other = await place();
  });
  afterAll(() => app.close());

  const send = ({ method = 'GET', path, headers = {}, body = '' }: Sent): Promise<Heard> =>
    new Promise((resolve, reject) => {
      const { hostname, port } = new URL(app.url);
      const sent = request({ hostname, port, method, path, headers, agent: false }, (answer) => {
        let text = '';
        answer.setEncoding('utf8');
        answer.on('data', (chunk) => {
          text += chunk;
        });
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, text }));
        answer.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(body);
    });

  /** Everything about payments that is stored, and what was asked of the providers. */
  async function fingerprint() {
    const tables = ['payment', 'refund', 'hold', 'pool', 'provider_exchange', 'webhook_receipt', 'ledger_entry'];
    const sums = tables.map((table) => `(select coalesce(md5(string_agg(t::text, '' order by t::text)), '') from ${table} t)`);
    const [row] = await app.query<{ sum: string }>(`select ${sums.join(' || ')} as sum`);
    return `${row?.sum} ${app.simulator.calls.length}`;
  }

  const paidQuery = () => `paymentKey=${'k'.repeat(20)}&orderId=${begun.id}&amount=80000`;

  const strangers: { name: string; sent: () => Sent; status: number }[] = [
    {
      name: 'a token of as many characters',
      sent: () => ({ path: `/payments/${begun.id}/${'A'.repeat(22)}/paid?${paidQuery()}` }),
      status: 404,
    },
    {
      name: 'the token of another payment',
      sent: () => ({ path: `/payments/${begun.id}/${other.token}/paid?${paidQuery()}` }),
      status: 404,
    },
    { name: 'the token of another payment, for the page', sent: () => ({ path: `/payments/${begun.id}/${other.token}` }), status: 404 },
    { name: 'a token cut short', sent: () => ({ path: `/payments/${begun.id}/${begun.token.slice(0, 21)}/cancelled` }), status: 404 },
    { name: 'a token with something behind it', sent: () => ({ path: `/payments/${begun.id}/${begun.token}=/cancelled` }), status: 404 },
    {
      name: 'a token of no ASCII',
      sent: () => ({ path: `/payments/${begun.id}/${encodeURIComponent('é'.repeat(11))}/cancelled` }),
      status: 404,
    },
    { name: 'no token', sent: () => ({ path: `/payments/${begun.id}//cancelled` }), status: 404 },
    { name: 'a form with a wrong token', sent: () => form(`/payments/${begun.id}/${'A'.repeat(22)}/paid`, 'resultCd=0000'), status: 404 },
    { name: 'a payment that does not exist', sent: () => ({ path: `/payments/${UNKNOWN}/${begun.token}/paid` }), status: 404 },
    {
      name: 'a payment that does not exist, with its token',
      sent: () => ({ path: `/payments/${UNKNOWN}/${tokenOf(UNKNOWN)}/paid` }),
      status: 404,
    },
    {
      name: 'the page of a payment that does not exist, with its token',
      sent: () => ({ path: `/payments/${UNKNOWN}/${tokenOf(UNKNOWN)}` }),
      status: 404,
    },
    {
      name: 'an id in capitals',
      sent: () => ({ path: `/payments/${begun.id.toUpperCase()}/${tokenOf(begun.id.toUpperCase())}/paid` }),
      status: 404,
    },
    { name: 'an id that is none', sent: () => ({ path: `/payments/x/${tokenOf('x')}/paid` }), status: 404 },
    { name: 'U+0000 for an id', sent: () => ({ path: `/payments/%00/${tokenOf('\0')}/paid` }), status: 404 },
    { name: 'a quote for an id', sent: () => ({ path: `/payments/'%20or%201=1--/${begun.token}/paid` }), status: 404 },
    { name: 'a way up', sent: () => ({ path: `/payments/../payments/${begun.id}/${begun.token}/paid` }), status: 404 },
    { name: 'an escape that is none', sent: () => ({ path: `/payments/%E0%A4%A/${begun.token}/paid` }), status: 400 },
    {
      name: 'a way back that there is not',
      sent: () => ({ path: `/payments/${begun.id}/${begun.token}/PAID?${paidQuery()}` }),
      status: 404,
    },
    { name: 'a way back named like a property', sent: () => ({ path: `/payments/${begun.id}/${begun.token}/__proto__` }), status: 404 },
    { name: 'something behind the way back', sent: () => ({ path: `/payments/${begun.id}/${begun.token}/paid/x` }), status: 404 },
    { name: 'HEAD of a way back', sent: () => ({ method: 'HEAD', path: `/payments/${begun.id}/${begun.token}/cancelled` }), status: 404 },
    { name: 'PUT', sent: () => ({ method: 'PUT', path: `/payments/${begun.id}/${begun.token}/paid?${paidQuery()}` }), status: 404 },
    { name: 'DELETE', sent: () => ({ method: 'DELETE', path: `/payments/${begun.id}/${begun.token}` }), status: 404 },
    { name: 'POST to the page', sent: () => form(`/payments/${begun.id}/${begun.token}`, 'resultCd=0000'), status: 404 },
    { name: 'a token of 10,000 characters', sent: () => ({ path: `/payments/${begun.id}/${'A'.repeat(10_000)}/paid` }), status: 414 },
    { name: 'a path of 100,000 characters', sent: () => ({ path: `/payments/${'a/'.repeat(50_000)}` }), status: 431 },
    {
      name: 'a query of 100,000 characters',
      sent: () => ({ path: `/payments/${begun.id}/${begun.token}/paid?a=${'b'.repeat(100_000)}` }),
      status: 431,
    },
    {
      name: 'a form larger than any',
      sent: () => form(`/payments/${begun.id}/${begun.token}/paid`, `a=${'b'.repeat(65_536)}`),
      status: 413,
    },
    { name: 'a webhook larger than any', sent: () => json('/webhooks/toss', JSON.stringify({ data: 'x'.repeat(65_536) })), status: 413 },
    { name: 'a webhook of no provider', sent: () => json('/webhooks/stripe', '{}'), status: 404 },
    { name: 'a webhook of a provider that sends none', sent: () => json('/webhooks/kakaopay', '{}'), status: 404 },
    { name: 'a webhook of __proto__', sent: () => json('/webhooks/__proto__', '{}'), status: 404 },
    { name: 'a webhook of a name of 10,000 characters', sent: () => json(`/webhooks/${'t'.repeat(10_000)}`, '{}'), status: 414 },
    { name: 'GET of a webhook', sent: () => ({ path: '/webhooks/toss' }), status: 404 },
    { name: 'PUT of a webhook', sent: () => ({ ...json('/webhooks/toss', '{}'), method: 'PUT' }), status: 404 },
    { name: 'a webhook without a body', sent: () => ({ method: 'POST', path: '/webhooks/toss' }), status: 401 },
    { name: 'a webhook of 30,000 lists in each other', sent: () => json('/webhooks/toss', '['.repeat(30_000)), status: 401 },
    {
      name: 'a webhook about __proto__',
      sent: () => json('/webhooks/toss', '{"__proto__":{"eventType":"PAYMENT_STATUS_CHANGED"}}'),
      status: 401,
    },
    { name: 'a webhook without a signature', sent: () => json('/webhooks/portone', '{"type":"Transaction.Paid"}'), status: 401 },
    {
      name: 'a notification for a payment, with a hash of nothing',
      sent: () =>
        form(
          '/webhooks/kispg',
          `mid=kistest00m&tid=t&moid=${begun.id}&ordNo=${begun.id}&amt=80000&resultCode=0000&ediDate=1&encData=${'0'.repeat(64)}`,
        ),
      status: 401,
    },
  ];

  test.each(strangers)('$name is refused with $status, and nothing changes', async ({ sent, status }) => {
    const before = await fingerprint();

    const heard = await send(sent());

    expect({ status: heard.status, text: heard.text }).toEqual({ status, text: expect.any(String) });
    expect(heard.text).not.toMatch(/stack|node_modules|select |postgres|orm|Error:|<script/i);
    expect(heard.text.length).toBeLessThan(20_000);
    expect(await fingerprint()).toBe(before);
  });

  const lies: { name: string; sent: () => Sent }[] = [
    { name: 'another order', sent: () => returned(`paymentKey=k&orderId=${other.id}&amount=80000`) },
    { name: 'a smaller amount', sent: () => returned(`paymentKey=k&orderId=${begun.id}&amount=1`) },
    { name: 'a paymentKey twice', sent: () => returned(`paymentKey=k&paymentKey=l&orderId=${begun.id}&amount=80000`) },
    {
      name: 'a paymentKey of 10,000 characters',
      sent: () => returned(`paymentKey=${'k'.repeat(10_000)}&orderId=${begun.id}&amount=80000`),
    },
    { name: 'nothing at all', sent: () => returned('') },
    { name: 'properties of objects', sent: () => returned('__proto__=x&constructor=y&toString=z') },
    { name: '1,000 names', sent: () => returned(Array.from({ length: 1_000 }, (_, index) => `a${index}=1`).join('&')) },
    { name: 'a body that is no form', sent: () => json(`/payments/${begun.id}/${begun.token}/paid`, '{"paymentKey":"k"}') },
  ];

  test.each(lies)('a browser that comes back with $name ends at the page, and nothing changes', async ({ sent }) => {
    const before = await fingerprint();

    const heard = await send(sent());

    expect([heard.status, heard.headers.location]).toEqual([303, `${app.url}/payments/${begun.id}/${begun.token}`]);
    expect(await fingerprint()).toBe(before);
  });

  test('a browser that comes back with a paymentKey that is not the order’s makes us ask the provider, and takes nothing', async () => {
    const heard = await send(returned(paidQuery()));

    expect(heard.status).toBe(303);
    expect(app.simulator.payment(begun.id)?.entries).toEqual([]);
    expect(await app.counters(begun.lessonId)).toEqual({ capacity: 3, held: 1, sold: 0 });
    expect(await app.query('select state from payment where id = $1', [begun.id])).toEqual([{ state: 'PENDING' }]);
  });

  test('a Host and forwarded headers of somebody else lead nowhere else', async () => {
    const headers = {
      host: 'evil.example',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'gopher',
      forwarded: 'host=evil.example',
    };

    const heard = await send({ ...returned(''), headers });

    expect([heard.status, heard.headers.location]).toEqual([303, `${app.url}/payments/${begun.id}/${begun.token}`]);
  });

  test('HEAD of the page is the page without its text', async () => {
    const before = await fingerprint();

    const heard = await send({ method: 'HEAD', path: `/payments/${begun.id}/${begun.token}` });

    expect([heard.status, heard.text]).toEqual([200, '']);
    expect(await fingerprint()).toBe(before);
  });

  test('a line break in returnTo does not reach the headers', async () => {
    const { client, holdId } = await heldLesson(app);
    const returnTo = 'https://pool.example/done\r\nSet-Cookie: a=b\r\n\r\n<script>';

    const prepared = await client.run('TestPreparePayment', {
      input: { holdId, provider: 'TOSS', returnTo, idempotencyKey: randomUUID() },
    });

    const id = uuidIn(prepared.payment.id);
    const heard = await send({ path: `/payments/${id}/${tokenOf(id)}` });
    expect(heard.status).toBe(303);
    expect(heard.headers.location).toMatch(/^https:\/\/pool\.example\/done[!-~]*\?paymentId=[\w-]+$/);
    expect(heard.headers['set-cookie']).toBeUndefined();
  });

  test('100 browsers at once with the same return: one approval, one booking, all end at the page', async () => {
    const { client, holdId, lessonId } = await heldLesson(app);
    const payment = await begin(client, holdId);
    const id = uuidIn(payment.id);
    const landed = await agreeWithoutComingBack(payment);

    const heard = await Promise.all(Array.from({ length: 100 }, () => send({ path: landed })));

    expect(new Set(heard.map(({ status, headers }) => `${status} ${headers.location}`))).toEqual(
      new Set([`303 ${app.url}/payments/${id}/${tokenOf(id)}`]),
    );
    await eventually(async () => expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({ state: 'APPROVED' }));
    expect(app.simulator.calls.filter(({ call, orderId }) => call === 'approve' && orderId === id)).toHaveLength(1);
    expect(app.simulator.payment(id)?.entries).toHaveLength(1);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('what goes wrong on our side says nothing of it to a browser or a provider, and the next try succeeds', async () => {
    const { client, holdId } = await heldLesson(app);
    const paidId = uuidIn(await payFor(client, holdId));
    const [webhook] = app.simulator.webhooksOf(paidId);
    await app.query('alter table payment rename to payment_gone');

    const page = await send({ path: `/payments/${begun.id}/${begun.token}` });
    const wayBack = await send({ path: `/payments/${begun.id}/${begun.token}/cancelled` });
    const rung = await app.simulator.deliver(webhook!);

    await app.query('alter table payment_gone rename to payment');
    expect([page.status, page.text]).toEqual([500, 'something went wrong; try again']);
    // The browser waits at the page, which asks again.
    expect([wayBack.status, wayBack.text]).toEqual([303, '']);
    expect(rung).toBe(503);
    expect((await send({ path: `/payments/${begun.id}/${begun.token}` })).status).toBe(200);
    expect(await app.simulator.deliver(webhook!)).toBe(200);
    expect(await app.query('select copies from webhook_receipt where payment_id = $1', [paidId])).toEqual([{ copies: 1 }]);
  });

  // Last: it reads what all the others had logged, and some more.
  test('nothing secret was logged: no token of a return address, no key, nothing a customer agreed with', async () => {
    for (const provider of PROVIDERS) {
      const { client, holdId } = await heldLesson(app);
      await payFor(client, holdId, provider);
      await client.run('TestCancelBooking', { input: { holdId } });
    }
    const authorizations = app.simulator.calls.flatMap(({ call, request: sent }) => (call === 'approve' ? [JSON.stringify(sent)] : []));
    const proofs = authorizations.flatMap((text) => [...text.matchAll(/"(?:pg_token|paymentToken)":"([^"]+)"/g)].map(([, proof]) => proof));
    const { KAKAOPAY, TOSS, PORTONE, KISPG } = app.simulator.settings;
    const ids = (await app.query<{ id: string }>('select id from payment')).map(({ id }) => id);

    const log = JSON.stringify(app.logged);

    expect(app.logged.length).toBeGreaterThan(10);
    expect(proofs.length).toBeGreaterThanOrEqual(2);
    const secrets = [KAKAOPAY.secretKey, TOSS.secretKey, PORTONE.apiSecret, PORTONE.webhookSecret, KISPG.merchantKey];
    for (const secret of [...secrets, ...proofs, ...ids.map(tokenOf)]) expect(log).not.toContain(secret);
  });

  const returned = (query: string): Sent => ({ path: `/payments/${begun.id}/${begun.token}/paid?${query}` });

  /** Agrees at the provider's page, and answers the path that the browser would have come back to. */
  async function agreeWithoutComingBack(payment: Awaited<ReturnType<typeof begin>>): Promise<string> {
    const page = await fetch(payment.checkout?.url ?? '');
    const action = /<form[^>]*\baction="([^"]*)"/.exec(await page.text())?.[1] ?? '';
    const answer = await fetch(new URL(action.replaceAll('&#38;', '&').replaceAll('&amp;', '&'), page.url), {
      method: 'POST',
      body: new URLSearchParams({ act: 'approve' }),
      redirect: 'manual',
    });
    const back = new URL(answer.headers.get('location') ?? '');
    return back.pathname + back.search;
  }
});

const UNKNOWN = '00000000-0000-7000-8000-000000000000';

const form = (path: string, body: string): Sent => ({
  method: 'POST',
  path,
  body,
  headers: { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(Buffer.byteLength(body)) },
});

const json = (path: string, body: string): Sent => ({
  method: 'POST',
  path,
  body,
  headers: { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) },
});
