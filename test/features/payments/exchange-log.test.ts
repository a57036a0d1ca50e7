import { randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { type Exchange, ExchangeLog } from '../../../src/features/payments/index.ts';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, beginAtHasty, ended, heldLesson, PROVIDERS, payFor } from '../../support/payments.ts';

failOnLeaks();

describe('what is said to a provider', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  const exchangesOf = async (paymentId: string) => {
    const { client } = await app.admin();
    const { exchanges } = await client.run('TestPaymentExchanges', { id: paymentId });
    return exchanges ?? [];
  };
  const said = async (paymentId: string) => {
    const exchanges = await exchangesOf(paymentId);
    return exchanges.map(({ operation, outcome, code, status }) => [operation, outcome, code, status]);
  };
  /** Everything that is stored of all exchanges, as text. */
  const everything = async () => {
    const rows = await app.query<{ text: string }>('select to_jsonb(e)::text as text from provider_exchange e');
    return rows.map(({ text }) => text).join('\n');
  };
  const giveBack = async (paymentId: string, amountMinor: number) =>
    (await app.admin()).client.run('TestRefundPayment', {
      input: { paymentId, amountMinor, cancelsBooking: false, reason: 'The water was cold', idempotencyKey: randomUUID() },
    });

  test.each([
    ['KAKAOPAY', ['REFUND', 'APPROVE', 'PREPARE']],
    ['TOSS', ['REFUND', 'APPROVE', 'PREPARE']],
    ['PORTONE', ['REFUND', 'APPROVE', 'PREPARE']],
    // Its prepare is a form that the browser submits: nobody is called.
    ['KISPG', ['REFUND', 'APPROVE']],
  ] as const)(
    '%s: each call is stored once, newest first, with what was sent, what came back and how long it took',
    async (provider, operations) => {
      const { client, holdId } = await heldLesson(app, { priceMinor: 54_321 });
      const paymentId = await payFor(client, holdId, provider);
      await ended(client, paymentId);
      await giveBack(paymentId, 12_345);

      const exchanges = (await exchangesOf(paymentId)).filter(({ operation }) => operation !== 'FIND');

      expect(exchanges.map(({ operation }) => operation)).toEqual(operations);
      for (const exchange of exchanges) {
        expect(exchange).toMatchObject({ outcome: 'DONE', code: null, status: 200, latencyMs: expect.any(Number) });
        expect(exchange.request).toMatch(provider === 'PORTONE' ? /^@portone\/server-sdk \w+$/ : `POST ${app.simulator.url}/`);
        expect(() => JSON.parse(exchange.requestBody ?? '')).not.toThrow();
        expect(() => JSON.parse(exchange.responseBody ?? '')).not.toThrow();
      }
      expect(exchanges[0]?.requestBody).toContain('12345');
      // KakaoPay is told no reason.
      if (provider !== 'KAKAOPAY') expect(exchanges[0]?.requestBody).toContain('The water was cold');
    },
  );

  test('no secret is in it, whatever happened: no key, no signature, no token of the customer', async () => {
    const secrets: string[] = [];
    for (const provider of PROVIDERS) {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId, provider);
      const landed = await atCheckout(payment);
      await ended(client, payment.id);
      await giveBack(payment.id, 1_000);
      const refused = await heldLesson(app);
      const second = await begin(refused.client, refused.holdId, provider);
      app.simulator.order({ provider, call: 'approve', fault: 'GARBAGE', orderId: uuidIn(second.id) });
      const landedAgain = await atCheckout(second);
      for (const url of [landed?.url, landedAgain?.url]) {
        const { searchParams } = new URL(url ?? '');
        secrets.push(...['pg_token', 'paymentToken'].flatMap((name) => searchParams.getAll(name)));
      }
    }
    const tokens = secrets.length;
    const { KAKAOPAY, TOSS, PORTONE, KISPG } = app.simulator.settings;
    secrets.push(KAKAOPAY.secretKey, TOSS.secretKey, Buffer.from(`${TOSS.secretKey}:`).toString('base64'));
    secrets.push(PORTONE.apiSecret, PORTONE.webhookSecret, KISPG.merchantKey);
    const signatures = app.simulator.calls.flatMap(({ request }) => (request as { body?: { encData?: string } }).body?.encData ?? []);
    secrets.push(...signatures);

    const text = await everything();

    // Two customers each brought a token from KakaoPay and from PortOne.
    expect(tokens).toBe(4);
    expect(signatures.length).toBeGreaterThan(0);
    expect(text).toContain('SUCCESS');
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(JSON.stringify(app.logged)).not.toMatch(new RegExp(secrets.map((secret) => secret.replace(/[^\w]/g, '\\$&')).join('|')));
    for (const name of ['pg_token', 'paymentToken', 'encData'])
      expect(new Set([...text.matchAll(new RegExp(`"${name}": "([^"]*)"`, 'g'))].map(([, value]) => value))).toEqual(
        new Set(['[redacted]']),
      );
  });

  test.each([
    ['a refusal', 'REFUSE', ['APPROVE', 'REFUSED', expect.any(String), 400]],
    ['a connection that was cut', 'RESET_AFTER', ['APPROVE', 'UNKNOWN', 'RESET', null]],
    ['a provider that broke', 'ERROR_AFTER', ['APPROVE', 'UNKNOWN', 'SERVER_ERROR', 500]],
    ['bytes that no database would keep', 'GARBAGE', ['APPROVE', 'UNKNOWN', 'GARBAGE', 200]],
    ['an answer about another amount', 'WRONG_AMOUNT', ['APPROVE', 'UNKNOWN', 'MISMATCH', 200]],
  ] as const)('%s is stored as what it is', async (_, fault, expected) => {
    const { client, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'KAKAOPAY');
    app.simulator.order({ provider: 'KAKAOPAY', call: 'approve', fault, orderId: uuidIn(payment.id) });

    await atCheckout(payment);
    await ended(client, payment.id);

    expect(await said(payment.id)).toContainEqual(expected);
  });

  test('a time-out is stored as what it is', async () => {
    const environment = { PAYMENT_ANSWER_TIMEOUT_MS: '1000' };
    await using hasty = await testApp({ databaseUrl: app.databaseUrl, simulator: app.simulator, environment });
    const { accessToken, holdId } = await heldLesson(app);
    const payment = await beginAtHasty(hasty.anonymous.as(accessToken), holdId, 'KAKAOPAY');
    app.simulator.order({ provider: 'KAKAOPAY', call: 'approve', fault: 'HANG_AFTER', orderId: uuidIn(payment.id) });

    await atCheckout(payment);

    expect(await said(payment.id)).toContainEqual(['APPROVE', 'UNKNOWN', 'TIMEOUT', null]);
  });

  test('a call that never left says so', async () => {
    const { client, holdId } = await heldLesson(app);
    await app.simulator.goDown();

    await client.run('TestPreparePayment', { input: { holdId, provider: 'TOSS', idempotencyKey: randomUUID() } });
    await app.simulator.comeUp();

    const [row] = await app.query('select outcome, code, status, response_body from provider_exchange order by id desc limit 1');
    expect(row).toEqual({ outcome: 'UNKNOWN', code: 'NOT_SENT', status: null, response_body: null });
  });

  test('is for administrators: its member, an organizer and a stranger read nothing of it', async () => {
    const { client, holdId } = await heldLesson(app);
    const paymentId = await payFor(client, holdId, 'KAKAOPAY');
    const [organizer, stranger] = [await app.member('ORGANIZER'), await app.member()];

    const answers = [];
    for (const caller of [client, organizer.client, stranger.client])
      answers.push(await caller.send('TestPaymentExchanges', { id: paymentId }));
    const anonymous = await app.anonymous.send('TestPaymentExchanges', { id: paymentId });

    expect(answers.map(({ data }) => data)).toEqual([{ payment: { exchanges: null } }, { payment: null }, { payment: null }]);
    expect(answers[0]?.errors.map(({ extensions }) => extensions.code)).toEqual(['FORBIDDEN']);
    expect(anonymous.errors.map(({ extensions }) => extensions.code)).toEqual(['UNAUTHENTICATED']);
    expect(await exchangesOf(paymentId)).not.toEqual([]);
  });

  test('that it cannot be stored does not stop a payment, and is logged without secrets', async () => {
    const { client, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'KAKAOPAY');
    await app.query('alter table provider_exchange rename to provider_exchange_away');
    app.logged.length = 0;

    const landed = await atCheckout(payment);
    const end = await ended(client, payment.id);
    await app.query('alter table provider_exchange_away rename to provider_exchange');

    expect(end).toMatchObject({ state: 'APPROVED' });
    const logged = app.logged.filter(({ msg }) => String(msg).includes('could not be stored'));
    expect(logged).toMatchObject([{ exchanges: [{ operation: 'APPROVE', outcome: 'DONE', paymentId: uuidIn(payment.id) }] }]);
    expect(JSON.stringify(app.logged)).not.toContain(new URL(landed?.url ?? '').searchParams.get('pg_token'));
    expect((await said(payment.id)).map(([operation]) => operation)).toEqual(['PREPARE']);
  });

  test('shows at most the twenty newest of a payment', async () => {
    const { client, holdId } = await heldLesson(app);
    const paymentId = await payFor(client, holdId, 'KAKAOPAY');
    await app.query(
      `insert into provider_exchange (payment_id, provider, operation, request, outcome, latency_ms)
       select $1, 'KAKAOPAY', 'FIND', 'number ' || n, 'DONE', 1 from generate_series(1, 30) n`,
      [uuidIn(paymentId)],
    );

    const exchanges = await exchangesOf(paymentId);

    expect(exchanges.map(({ request }) => request)).toEqual(Array.from({ length: 20 }, (_, index) => `number ${30 - index}`));
  });

  describe('as it is written', () => {
    let pool: pg.Pool;
    const logged: string[] = [];
    const logger = pino(new Writable({ write: (line, _, done) => done(void logged.push(String(line))) }));
    beforeAll(() => {
      pool = new pg.Pool({ connectionString: app.databaseUrl, max: 4 });
    });
    afterAll(() => pool.end());

    const exchange = (paymentId: string, request: string): Exchange => ({
      provider: 'TOSS',
      operation: 'FIND',
      paymentId,
      request,
      requestBody: null,
      status: 200,
      responseBody: { text: 'x\u0000y\ud800z', list: [1, null] },
      code: null,
      outcome: 'DONE',
      latencyMs: 1.6,
    });

    test('it is durable when its promise says so, in order, and a rush costs few commits', async () => {
      const log = new ExchangeLog(pool, new Registry(), logger);
      const paymentId = randomUUID();

      await Promise.all(Array.from({ length: 1_200 }, (_, index) => log.record(exchange(paymentId, `number ${index}`))));

      const rows = await app.query<{ request: string; commit: string }>(
        'select request, xmin::text as commit from provider_exchange where payment_id = $1 order by id',
        [paymentId],
      );
      expect(rows.map(({ request }) => request)).toEqual(Array.from({ length: 1_200 }, (_, index) => `number ${index}`));
      // The first goes at once, the others wait for it: then 500, 500 and the rest.
      expect(new Set(rows.map(({ commit }) => commit)).size).toBe(4);
    });

    test('what no database can store is replaced, and the rest is kept as it came', async () => {
      const log = new ExchangeLog(pool, new Registry(), logger);
      const paymentId = randomUUID();

      await log.record(exchange(paymentId, 'POST \u0000'));

      expect(
        await app.query('select request, response_body, latency_ms from provider_exchange where payment_id = $1', [paymentId]),
      ).toEqual([{ request: 'POST ?', response_body: { text: 'x?y?z', list: [1, null] }, latency_ms: 2 }]);
      expect(logged).toEqual([]);
    });

    test('calls are measured by what came of them', async () => {
      const registry = new Registry();
      const log = new ExchangeLog(pool, registry, logger);
      const paymentId = randomUUID();
      const unknown = { ...exchange(paymentId, 'x'), outcome: 'UNKNOWN' as const, latencyMs: 2_000 };

      for (const code of ['TIMEOUT', 'NOT_SENT', 'TIMEOUT']) await log.record({ ...unknown, code });

      const { values = [] } = (await registry.getSingleMetric('lastseat_provider_call_seconds')?.get()) ?? {};
      const of = (name: string) =>
        values.filter((value) => 'metricName' in value && value.metricName === `lastseat_provider_call_seconds_${name}`);
      expect(of('count').map(({ labels, value }) => [labels.provider, labels.operation, labels.outcome, value])).toEqual([
        ['TOSS', 'FIND', 'UNKNOWN', 2],
        ['TOSS', 'FIND', 'NOT_SENT', 1],
      ]);
      expect(of('sum').map(({ value }) => value)).toEqual([4, 2]);
    });

    test('one that cannot be written is logged, and those after it are written', async () => {
      const log = new ExchangeLog(pool, new Registry(), logger);
      const paymentId = randomUUID();

      await log.record({ ...exchange(paymentId, 'first'), operation: 'NONE' as never });
      await log.record(exchange(paymentId, 'second'));

      expect(await app.query('select request from provider_exchange where payment_id = $1', [paymentId])).toEqual([{ request: 'second' }]);
      expect(logged.map((line) => JSON.parse(line).msg)).toEqual(['exchanges with a payment provider could not be stored']);
      logged.length = 0;
    });
  });
});
