import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, ended, heldLesson, payFor } from '../../support/payments.ts';
import { visit } from './browser.ts';
import { stored, unpaid } from './stored.ts';

failOnLeaks();

const ORIGIN = 'https://tickets.example';
const PAYING = { hold: 'PAYING', payment: 'PENDING', because: null, captured: 0, refunded: 0 };

const prepare = (client: TestClient, holdId: string, returnTo: string | null, provider: 'TOSS' | 'KAKAOPAY' = 'TOSS') =>
  client.run('TestPreparePayment', { input: { holdId, provider, returnTo, idempotencyKey: randomUUID() } });

describe('the way back', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp({ environment: { RETURN_ORIGINS: `${ORIGIN}, http://localhost:5173` } });
  });
  afterAll(() => app.close());

  describe('to a frontend', () => {
    test.each([
      ['with a path and a query of its own', `${ORIGIN}/done?theme=dark`, (id: string) => `${ORIGIN}/done?theme=dark&paymentId=${id}`],
      ['without a path', ORIGIN, (id: string) => `${ORIGIN}/?paymentId=${id}`],
      ['of another origin that is listed', 'http://localhost:5173/x#end', (id: string) => `http://localhost:5173/x?paymentId=${id}#end`],
      ['that names a payment already, which is replaced', `${ORIGIN}/?paymentId=other`, (id: string) => `${ORIGIN}/?paymentId=${id}`],
      [
        'with line ends in it, which are not passed on',
        `${ORIGIN}/\r\nSet-Cookie:a=b`,
        (id: string) => `${ORIGIN}/Set-Cookie:a=b?paymentId=${id}`,
      ],
      ['written in capitals', 'HTTPS://TICKETS.EXAMPLE/', (id: string) => `${ORIGIN}/?paymentId=${id}`],
      [
        'with a backslash, which browsers read as a slash',
        `${ORIGIN}\\@evil.example/`,
        (id: string) => `${ORIGIN}/@evil.example/?paymentId=${id}`,
      ],
    ])('%s: told which payment it was, and nothing else', async (_, returnTo, expected) => {
      const { client, holdId } = await heldLesson(app);
      const { payment } = await prepare(client, holdId, returnTo);

      const landed = await atCheckout(payment);
      const home = await visit(landed?.location ?? '');

      expect(home).toMatchObject({ status: 303, location: expected(payment.id) });
      expect(home.headers['set-cookie']).toBeUndefined();
      expect(await ended(client, payment.id)).toMatchObject({ state: 'APPROVED' });
    });

    test('also when the customer refused, and while nobody knows yet', async () => {
      const refusing = await heldLesson(app);
      const refused = await prepare(refusing.client, refusing.holdId, `${ORIGIN}/done`);
      const waiting = await heldLesson(app);
      const unknown = await prepare(waiting.client, waiting.holdId, `${ORIGIN}/done`, 'KAKAOPAY');
      app.simulator.order({ provider: 'KAKAOPAY', call: 'approve', fault: 'RESET_BEFORE', orderId: uuidIn(unknown.payment.id) });
      app.simulator.order({ provider: 'KAKAOPAY', call: 'find', fault: 'RESET_BEFORE', orderId: uuidIn(unknown.payment.id) });

      const homes = [
        await visit((await atCheckout(refused.payment, 'refuse'))?.location ?? ''),
        await visit((await atCheckout(unknown.payment))?.location ?? ''),
      ];

      expect(homes.map(({ location }) => location)).toEqual(
        [refused, unknown].map(({ payment }) => `${ORIGIN}/done?paymentId=${payment.id}`),
      );
      expect(await waiting.client.run('TestPayment', { id: unknown.payment.id })).toMatchObject({ state: 'PENDING' });
    });

    test.each([
      ['another host', 'https://evil.example/'],
      ['a host that begins like ours', `${ORIGIN}.evil.example/`],
      ['a host that ends like ours', 'https://eviltickets.example/'],
      ['a part of our host', 'https://example/'],
      ['our host as the name of a user', `${ORIGIN}@evil.example/`],
      ['a user at our host', 'https://somebody@tickets.example/'],
      ['a user and a password', 'https://somebody:secret@tickets.example/'],
      ['our host in a path', `https://evil.example/${ORIGIN}/`],
      ['our host in a query', `https://evil.example/?${ORIGIN}`],
      ['no scheme', '//tickets.example/'],
      ['a path', '/done'],
      ['another scheme', 'http://tickets.example/'],
      ['another port', `${ORIGIN}:8443/`],
      ['a script', 'javascript:alert(1)//https://tickets.example'],
      ['data', 'data:text/html,https://tickets.example'],
      ['a blob, whose origin is that of the address within', `blob:${ORIGIN}/4b5cd4a2`],
      ['a file', 'file:///https://tickets.example/'],
      ['nothing', ''],
      ['a word', 'tickets.example'],
      ['1,001 characters', `${ORIGIN}/${'x'.repeat(978)}`],
    ])('that is %s is refused, and nothing is begun', async (_, returnTo) => {
      const { client, holdId } = await heldLesson(app);

      const refused = await prepare(client, holdId, returnTo);

      expect(refused).toMatchObject({ __typename: 'ReturnAddressNotAllowedError', code: 'RETURN_ADDRESS_NOT_ALLOWED' });
      expect(await stored(app, holdId)).toEqual([unpaid('HELD')]);
    });

    test('of 1,000 characters is allowed', async () => {
      const { client, holdId } = await heldLesson(app);

      expect(await prepare(client, holdId, `${ORIGIN}/${'x'.repeat(976)}`)).toMatchObject({ __typename: 'PreparePaymentSuccess' });
    });

    test('is refused everywhere where the operator lists none', async () => {
      await using bare = await testApp();
      const { client, holdId } = await heldLesson(bare);

      expect(await prepare(client, holdId, `${ORIGIN}/`)).toMatchObject({ code: 'RETURN_ADDRESS_NOT_ALLOWED' });
      expect(await stored(bare, holdId)).toEqual([unpaid('HELD')]);
    });
  });

  describe('to our own page', () => {
    test('says what became of it, and tells its reader nothing else', async () => {
      const { client, holdId } = await heldLesson(app, { title: '<b>Dawn</b> & "masters"', priceMinor: 54_000 });
      const payment = await begin(client, holdId);
      const landed = await atCheckout(payment);

      const page = await visit(landed?.location ?? '');

      expect(page.status).toBe(200);
      expect(page.text).toContain('<h1>Paid</h1>');
      expect(page.text).toContain('&lt;b&gt;Dawn&lt;/b&gt; &amp; &quot;masters&quot;');
      expect(page.text).toContain('₩54,000');
      for (const secret of [uuidIn(payment.id), payment.id, uuidIn(holdId), '<script', '<b>', 'http-equiv'])
        expect(page.text).not.toContain(secret);
      expect(page.headers).toMatchObject({
        'content-type': 'text/html; charset=utf-8',
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'referrer-policy': 'no-referrer',
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
      });
    });

    test('goes on asking by itself while the outcome is not known, and stops when it is', async () => {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId, 'KAKAOPAY');
      app.simulator.order({ provider: 'KAKAOPAY', call: 'approve', fault: 'RESET_AFTER', orderId: uuidIn(payment.id) });
      app.simulator.order({ provider: 'KAKAOPAY', call: 'find', fault: 'RESET_BEFORE', orderId: uuidIn(payment.id) });
      const landed = await atCheckout(payment);
      const { client: admin } = await app.admin();

      const before = await visit(landed?.location ?? '');
      await admin.run('TestReconcilePayment', { paymentId: payment.id });
      const after = await visit(landed?.location ?? '');

      expect(before.text).toContain('<meta http-equiv="refresh" content="2">');
      expect(before.text).toContain('Your payment is being checked');
      expect(after.text).toContain('<h1>Paid</h1>');
      expect(after.text).not.toContain('http-equiv');
    });

    test('speaks the language the payment was begun in, and so does the title at the provider', async () => {
      const { client, holdId } = await heldLesson(app);
      const input = { holdId, provider: 'TOSS', idempotencyKey: randomUUID() };
      const { data } = await client.send('TestPreparePayment', { input }, { 'accept-language': 'ko-KR,ko;q=0.9' });

      const landed = await atCheckout(data.preparePayment.payment);
      const page = await visit(landed?.location ?? '', { headers: { 'accept-language': 'en' } });

      expect(page.text).toContain('<html lang="ko">');
      expect(page.text).toContain('<h1>결제 완료</h1>');
    });

    test('says that the money went back after a cancellation', async () => {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId);
      const landed = await atCheckout(payment);
      await client.run('TestCancelBooking', { input: { holdId } });

      expect((await visit(landed?.location ?? '')).text).toContain('<h1>Refunded</h1>');
    });
  });

  describe('that somebody makes up', () => {
    async function begun() {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId);
      const page = app.app.bookings.addresses.page(uuidIn(payment.id));
      return { client, holdId, payment, page };
    }

    test('with the token of another payment, or none, is not found and changes nothing', async () => {
      const { holdId, payment, page } = await begun();
      const another = await begun();
      const token = page.split('/').at(-1) ?? '';
      const anotherToken = another.page.split('/').at(-1) ?? '';
      const id = uuidIn(payment.id);

      const answers = await Promise.all(
        [
          `/payments/${id}/${anotherToken}`,
          `/payments/${id}/${anotherToken}/failed`,
          `/payments/${id}/${token.toLowerCase()}x/failed`,
          `/payments/${id}/x/failed`,
          `/payments/${id}/${token}/done`,
          `/payments/${randomUUID()}/${token}/failed`,
          `/payments/nothing/${token}/failed`,
        ].map((path) => visit(`${app.url}${path}`)),
      );

      expect(answers.map(({ status, text }) => [status, text])).toEqual(Array(7).fill([404, 'not found']));
      expect(await stored(app, holdId)).toEqual([PAYING]);
    });

    test.each([
      ['that it was paid, of another order', 'paid', { paymentKey: 'x', orderId: randomUUID(), amount: '80000' }],
      ['that it was paid, of another amount', 'paid', { paymentKey: 'x', amount: '1' }],
      ['that it was paid, without proof', 'paid', {}],
      ['that it was cancelled', 'cancelled', {}],
      ['that it failed', 'failed', { code: 'PAY_PROCESS_CANCELED' }],
    ])('with the right token says %s: the provider is believed, the browser is not', async (_, kind, said) => {
      const { client, holdId, payment, page } = await begun();
      const query = new URLSearchParams({ orderId: uuidIn(payment.id), ...said });

      const landed = await visit(`${page}/${kind}?${query}`);
      const meanwhile = await stored(app, holdId);
      await atCheckout(payment);

      expect(landed).toMatchObject({ status: 303, location: page });
      expect(meanwhile).toEqual([PAYING]);
      expect(await ended(client, payment.id)).toMatchObject({ state: 'APPROVED' });
    });

    test('with a payment key that Toss never gave does not spoil a payment under way', async () => {
      const { client, holdId, payment, page } = await begun();
      const query = new URLSearchParams({ orderId: uuidIn(payment.id), paymentKey: 'made-up', amount: '80000' });

      await visit(`${page}/paid?${query}`);
      const meanwhile = await stored(app, holdId);
      await atCheckout(payment);

      expect(meanwhile).toEqual([PAYING]);
      expect(await ended(client, payment.id)).toMatchObject({ state: 'APPROVED' });
    });

    test('says nothing more once it is paid', async () => {
      const { client, holdId } = await heldLesson(app);
      const paymentId = await payFor(client, holdId);
      const page = app.app.bookings.addresses.page(uuidIn(paymentId));

      for (const kind of ['paid', 'cancelled', 'failed']) expect((await visit(`${page}/${kind}`)).status).toBe(303);

      expect(await client.run('TestPayment', { id: paymentId })).toMatchObject({ state: 'APPROVED', refunds: [] });
    });

    test('by another method is not served', async () => {
      const { page } = await begun();

      expect((await visit(`${page}/paid`, { method: 'PUT' })).status).toBe(404);
      expect((await visit(`${page}/paid`, { method: 'HEAD' })).status).toBe(404);
    });
  });
});
