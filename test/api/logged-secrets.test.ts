import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Simulator } from '../../src/simulator/simulator.ts';
import { testEnvironment } from '../support/app.ts';
import { testDatabaseUrl } from '../support/database.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, begin, heldLesson, PROVIDERS, payFor } from '../support/payments.ts';
import { type ServerNode, startNode } from '../support/process.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();

describe('a server as it is deployed, told to log everything, writes down no secret of a payment', () => {
  let database: Awaited<ReturnType<typeof testDatabaseUrl>>;
  let simulator: Simulator;
  let node: ServerNode;
  const brought = { tokens: new Set<string>(), proofs: new Set<string>() };

  beforeAll(async () => {
    [database, simulator] = await Promise.all([testDatabaseUrl(), Simulator.start()]);
    node = await startNode(testEnvironment(database.url, { LOG_LEVEL: 'trace', PAYMENT_SIMULATOR_URL: simulator.url }));
  });
  afterAll(async () => {
    await node.stop();
    await simulator.close();
    await database.drop();
  });

  /** What a process says comes a moment later. */
  const said = (words: string) => eventually(() => expect(node.process.stderr).toContain(words));

  /** What the return addresses and the customers' agreements were made of so far, as the provider knows them. */
  function remember(): void {
    const known = JSON.stringify(simulator.calls);
    for (const [, token = ''] of known.matchAll(/\/payments\/[0-9a-f-]{36}\/([\w-]{22})\//g)) brought.tokens.add(token);
    for (const [, proof = ''] of known.matchAll(/"(?:pg_token|paymentToken)":"([^"]+)"/g)) brought.proofs.add(proof);
  }

  test('when everything goes well', async () => {
    for (const provider of PROVIDERS) {
      const { client, holdId } = await heldLesson(node);
      await payFor(client, holdId, provider);
      const cancelled = await client.run('TestCancelBooking', { input: { holdId } });
      expect(cancelled).toMatchObject({ hold: { state: 'RETURNED' } });
    }
  });

  test('when the database refuses what a customer brought, quoting the row', async () => {
    const { client, holdId } = await heldLesson(node);
    await node.query('alter table payment add constraint nothing_brought check (customer_authorization is null) not valid');

    const payment = await begin(client, holdId, 'KAKAOPAY');
    await atCheckout(payment);

    expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({ state: 'PENDING' });
    await said('a return from a provider');
    await node.query('alter table payment drop constraint nothing_brought');
    // It was not kept, so the customer comes back with it once more.
    await atCheckout(await begin(client, holdId, 'TOSS'));
  });

  test('when the record of an exchange cannot be written', async () => {
    await node.query('alter table provider_exchange rename to provider_exchange_gone');

    for (const provider of PROVIDERS) {
      const { client, holdId } = await heldLesson(node);
      const id = await payFor(client, holdId, provider);
      expect(await client.run('TestPayment', { id })).toMatchObject({ state: 'APPROVED' });
    }

    await said('exchanges with a payment provider could not be stored');
    await node.query('alter table provider_exchange_gone rename to provider_exchange');
  });

  test('when requests for a genuine address are malformed, too large, or met by a database that is gone', async () => {
    remember();
    const told = JSON.stringify(simulator.calls);
    const [, pathname = ''] = /(\/payments\/[0-9a-f-]{36}\/[\w-]{22})\/paid/.exec(told) ?? [];
    const ask = async (path: string, init: RequestInit = {}) =>
      (await fetch(`${node.url}${pathname}${path}`, { redirect: 'manual', ...init })).status;
    await node.query('alter table payment rename to payment_gone');

    const statuses = [
      await ask(''),
      await ask('/paid?pg_token=secretly'),
      await ask('/%E0%A4%A'),
      await ask('/paid/more'),
      await ask('/paid', { method: 'PUT' }),
      await ask('/paid', { method: 'POST', body: 'a'.repeat(70_000) }),
      await ask('/paid', { headers: { 'content-type': 'nonsense/' }, method: 'POST', body: 'x' }),
    ];

    await node.query('alter table payment_gone rename to payment');
    expect(statuses).toEqual([500, 303, 400, 404, 404, 413, 415]);
    await said('a provider or a returning customer could not be answered');
  });

  // Last: of all that was logged above.
  test('and that is so', async () => {
    remember();
    const { KAKAOPAY, TOSS, PORTONE, KISPG } = simulator.settings;
    const keys = [KAKAOPAY.secretKey, TOSS.secretKey, PORTONE.apiSecret, PORTONE.webhookSecret, KISPG.merchantKey];

    await node.process.stop(); // By then all that it said has been read.
    const log = node.process.stderr;

    expect(brought.tokens.size).toBeGreaterThanOrEqual(6);
    expect(brought.proofs.size).toBeGreaterThanOrEqual(4);
    const found = [...keys, ...brought.tokens, ...brought.proofs, 'secretly'].filter((secret) => log.includes(secret));
    expect(found.map((secret) => log.split('\n').find((line) => line.includes(secret)))).toEqual([]);
  });
});
