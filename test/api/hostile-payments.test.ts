import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, testApp, uuidIn } from '../support/app.ts';
import type { OperationName } from '../support/client.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { begin, heldLesson, payFor } from '../support/payments.ts';
import { subscribeOnce } from '../support/subscribe-once.ts';

failOnLeaks();

describe('hostile inputs to what moves money', () => {
  let app: TestApp;
  let member: TestMember & { holdId: string; lessonId: string };
  let admin: TestMember;
  let paymentId: string;

  beforeAll(async () => {
    app = await testApp({ environment: { RETURN_ORIGINS: 'https://pool.example,http://localhost:3000' } });
    app.simulator.sendsWebhooks = false;
    admin = await app.admin();
    member = await heldLesson(app);
    const paid = await heldLesson(app);
    paymentId = await payFor(paid.client, paid.holdId);
    await app.query('update payment set member_id = $1 where id = $2', [member.uuid, uuidIn(paymentId)]);
    // However long the table takes.
    await app.query("update hold set expires_at = expires_at + interval '1 day' where state = 'HELD'");
  });
  afterAll(() => app.close());

  /** Everything about payments that is stored, and what was asked of the providers. */
  async function fingerprint() {
    const tables = ['payment', 'refund', 'hold', 'pool', 'provider_exchange', 'ledger_entry', 'idempotent_answer'];
    const sums = tables.map((table) => `(select coalesce(md5(string_agg(t::text, '' order by t::text)), '') from ${table} t)`);
    const [row] = await app.query<{ sum: string }>(`select ${sums.join(' || ')} as sum`);
    return `${row?.sum} ${app.simulator.calls.length}`;
  }

  const key = () => ({ idempotencyKey: randomUUID() });

  /** Where an id of one type is wanted, everything else that may come instead. */
  const noIdsOf = (wanted: 'hold' | 'payment'): { name: string; id: () => unknown }[] => [
    { name: 'an id of a lesson', id: () => member.lessonId },
    { name: 'an id of a member', id: () => member.id },
    { name: 'an id of a refund', id: () => toNodeId('Refund', randomUUID()) },
    { name: 'an id of the other kind', id: () => (wanted === 'hold' ? paymentId : member.holdId) },
    { name: 'a bare UUID', id: () => uuidIn(wanted === 'hold' ? member.holdId : paymentId) },
    {
      name: 'an id with more behind it',
      id: () => Buffer.from(`${wanted === 'hold' ? 'Enrollment' : 'Payment'}:${randomUUID()}'--`).toString('base64url'),
    },
    { name: 'nothing', id: () => '' },
    { name: '10,000 characters', id: () => 'x'.repeat(10_000) },
    { name: 'U+0000', id: () => '\0' },
    { name: 'a lone surrogate', id: () => '\ud800' },
    { name: 'null', id: () => null },
    { name: 'a list', id: () => ['x', 'y'] },
    { name: 'an object', id: () => ({ id: 'x' }) },
    { name: '-1', id: () => -1 },
  ];

  const noKeys: { name: string; idempotencyKey: unknown }[] = [
    { name: 'an empty key', idempotencyKey: '' },
    { name: 'a key of 201 characters', idempotencyKey: 'k'.repeat(201) },
    { name: 'a key of 90,000 characters', idempotencyKey: 'k'.repeat(90_000) },
    { name: 'a key with a space', idempotencyKey: 'k k' },
    { name: 'a key with a line break', idempotencyKey: 'k\r\nX-Injected: 1' },
    { name: 'a key of no ASCII', idempotencyKey: '열쇠' },
    { name: 'null for a key', idempotencyKey: null },
  ];

  interface Row {
    operation: OperationName;
    name: string;
    variables: () => object;
  }

  const row = (operation: OperationName, name: string, variables: () => object): Row => ({ operation, name, variables });

  const pay = (name: string, more: () => object) =>
    row('TestPreparePayment', name, () => ({ input: { holdId: member.holdId, provider: 'TOSS', ...key(), ...more() } }));
  const giveBack = (name: string, more: () => object) =>
    row('TestRefundPayment', name, () => ({ input: { paymentId, reason: 'Cold water', ...key(), ...more() } }));

  const badInputs: Row[] = [
    ...noIdsOf('hold').flatMap(({ name, id }) => [
      pay(name, () => ({ holdId: id() })),
      row('TestCancelBooking', name, () => ({ input: { holdId: id() } })),
    ]),
    ...noIdsOf('payment').flatMap(({ name, id }) => [
      giveBack(name, () => ({ paymentId: id() })),
      row('TestReconcilePayment', name, () => ({ paymentId: id() })),
      row('TestConcludeRefund', name, () => ({ input: { paymentId: id(), wasRefunded: true } })),
      row('TestPayment', name, () => ({ id: id() })),
    ]),
    ...noKeys.flatMap(({ name, idempotencyKey }) => [pay(name, () => ({ idempotencyKey })), giveBack(name, () => ({ idempotencyKey }))]),
    pay('the sandbox of before', () => ({ provider: 'SANDBOX' })),
    pay('a provider in small letters', () => ({ provider: 'toss' })),
    pay('no provider', () => ({ provider: null })),
    pay('a field nobody knows', () => ({ amountMinor: 1 })),
    pay('U+0000 in returnTo', () => ({ returnTo: 'https://pool.example/\0' })),
    pay('a lone surrogate in returnTo', () => ({ returnTo: 'https://pool.example/\ud800' })),
    pay('90,000 characters in returnTo', () => ({ returnTo: `https://pool.example/${'a'.repeat(90_000)}` })),
    pay('a number for returnTo', () => ({ returnTo: 1 })),
    giveBack('an amount past 32 bits', () => ({ amountMinor: 2_147_483_648 })),
    giveBack('an amount past what counts exactly', () => ({ amountMinor: Number.MAX_SAFE_INTEGER })),
    giveBack('half of a won', () => ({ amountMinor: 0.5 })),
    giveBack('an amount as text', () => ({ amountMinor: '1000' })),
    giveBack('no reason', () => ({ reason: '' })),
    giveBack('a reason of spaces', () => ({ reason: ' \n\t ' })),
    giveBack('a reason of 101 characters', () => ({ reason: 'r'.repeat(101) })),
    giveBack('a reason of 90,000 characters', () => ({ reason: 'r'.repeat(90_000) })),
    giveBack('U+0000 in the reason', () => ({ reason: 'a\0' })),
    giveBack('null for cancelsBooking', () => ({ cancelsBooking: null })),
    row('TestConcludeRefund', 'null for wasRefunded', () => ({ input: { paymentId, wasRefunded: null } })),
    ...(['TestMyPayments', 'TestReconciliation'] as const).flatMap((operation) => [
      row(operation, 'a page of none', () => ({ first: 0 })),
      row(operation, 'a page of -1', () => ({ first: -1 })),
      row(operation, 'a page of 101', () => ({ first: 101 })),
      row(operation, 'a cursor of nothing', () => ({ after: '' })),
      row(operation, 'a cursor of 90,000 characters', () => ({ after: 'x'.repeat(90_000) })),
      row(operation, 'a cursor of another list', () => ({ after: cursor('2027-01-01', 3, randomUUID()) })),
      row(operation, 'a cursor with SQL', () => ({ after: cursor("' or 1=1 --", "'") })),
      row(operation, 'a cursor of the 13th month', () => ({ after: cursor('2027-13-01T00:00:00.000Z', randomUUID()) })),
      row(operation, 'a cursor of an object', () => ({ after: Buffer.from('{"length":1,"0":"x"}').toString('base64url') })),
    ]),
  ];

  test.each(badInputs)('$operation with $name is bad input, and nothing changes', async ({ operation, variables }) => {
    const before = await fingerprint();
    const { client } = operation === 'TestPreparePayment' || operation === 'TestCancelBooking' ? member : admin;

    const answer = await client.send(operation, variables());

    expect(answer.errors.map(({ extensions }) => extensions.code)).toEqual([answer.errors[0]?.extensions.code]);
    expect(['BAD_USER_INPUT', 'TOO_EXPENSIVE']).toContain(answer.errors[0]?.extensions.code);
    expect(answer.errors[0]?.message.length).toBeLessThan(1_000);
    expect(JSON.stringify(answer.errors)).not.toMatch(/Did you mean|stack|\bselect\b.*\bfrom\b|node_modules/);
    expect(await fingerprint()).toBe(before);
    expect(app.logged).toEqual([]);
  });

  test.each([
    ['javascript', 'javascript:alert(1)//https://pool.example'],
    ['data', 'data:text/html,<script>alert(1)</script>'],
    ['a file', 'file:///etc/passwd'],
    ['a blob of an allowed origin', 'blob:https://pool.example/1b4e28ba-2fa1-11d2-883f-0016d3cca427'],
    ['no scheme', '//pool.example/done'],
    ['a path', '/done'],
    ['nothing', ''],
    ['another origin', 'https://evil.example/'],
    ['an origin that begins like ours', 'https://pool.example.evil.example/'],
    ['an origin that ends like ours', 'https://evilpool.example/'],
    ['our origin as a user', 'https://pool.example@evil.example/'],
    ['our origin as a user, with a slash in disguise', 'https://pool.example%2F@evil.example/'],
    ['a user at our origin', 'https://user:password@pool.example/'],
    ['another port', 'https://pool.example:8443/'],
    ['another scheme', 'http://pool.example/'],
    ['another port of this machine', 'http://localhost:3001/'],
    ['letters that look like ours', 'https://рool.example/'],
    ['1,001 characters', `https://pool.example/${'a'.repeat(980)}`],
    ['9,000 characters', `https://pool.example/${'a'.repeat(9_000)}`],
  ])('preparePayment with %s for returnTo is refused by its name, and nothing changes', async (_, returnTo) => {
    const before = await fingerprint();

    const refused = await member.client.run('TestPreparePayment', {
      input: { holdId: member.holdId, provider: 'TOSS', returnTo, ...key() },
    });

    expect(refused).toMatchObject({ __typename: 'ReturnAddressNotAllowedError', code: 'RETURN_ADDRESS_NOT_ALLOWED' });
    expect(JSON.stringify(refused)).not.toContain('evil');
    expect(await fingerprint()).toBe(before);
  });

  test.each([0, -1, -2_147_483_648, 80_001, 2_147_483_647])(
    'a refund of %s is refused by its name, and nothing changes',
    async (amountMinor) => {
      const before = await fingerprint();

      const refused = await admin.client.run('TestRefundPayment', { input: { paymentId, amountMinor, reason: 'Cold water', ...key() } });

      expect(refused).toMatchObject({ __typename: 'RefundExceedsPaymentError', left: { amountMinor: 80_000 } });
      expect(await fingerprint()).toBe(before);
    },
  );

  test('a page behind the end of time is empty, and one before its beginning is the first', async () => {
    const last = await admin.client.run('TestReconciliation', { after: cursor('9999-12-31T23:59:59.999Z', randomUUID()) });
    const first = await member.client.run('TestMyPayments', { after: cursor('ffffffff-ffff-ffff-ffff-ffffffffffff') });

    expect(last.items.nodes).toEqual([]);
    expect(first.nodes).toEqual([{ id: paymentId, state: 'APPROVED' }]);
  });

  test.each([
    ['another provider', { provider: 'KISPG' as const }],
    ['another returnTo', { returnTo: 'https://pool.example/' }],
  ])('a key that is used again with %s is refused by its name', async (_, other) => {
    const held = await heldLesson(app);
    const input = { holdId: held.holdId, provider: 'TOSS' as const, ...key() };
    await held.client.run('TestPreparePayment', { input });

    const reused = await held.client.run('TestPreparePayment', { input: { ...input, ...other } });

    expect(reused).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
  });

  test.each(noIdsOf('hold'))('over WebSocket: bookingChanged of $name is bad input', async ({ id }) => {
    const query = 'subscription ($id: ID!) { bookingChanged(holdId: $id) { holdState } }';

    const answer = await subscribeOnce(app.url, { query, variables: { id: id() } }, member.accessToken);

    const { errors } = (Array.isArray(answer.payload) ? { errors: answer.payload } : answer.payload) as {
      errors: { message: string; extensions: { code: string } }[];
    };
    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
    expect(errors[0]?.message.length).toBeLessThan(1_000);
    expect(answer.payload).not.toHaveProperty('data.bookingChanged.holdState');
    expect(app.logged).toEqual([]);
  });

  const overSocket: [name: string, query: string, code: string][] = [
    [
      'a mutation that pays',
      'mutation { preparePayment(input: { holdId: "x", provider: TOSS, idempotencyKey: "k" }) { __typename } }',
      'SUBSCRIPTIONS_ONLY',
    ],
    [
      'a mutation that refunds',
      'mutation { refundPayment(input: { paymentId: "x", reason: "r", idempotencyKey: "k" }) { __typename } }',
      'SUBSCRIPTIONS_ONLY',
    ],
    ['the reconciliation', '{ reconciliation { open } }', 'SUBSCRIPTIONS_ONLY'],
    [
      'two bookings',
      'subscription { a: bookingChanged(holdId: "x") { version } b: bookingChanged(holdId: "y") { version } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
    ['no booking', 'subscription { bookingChanged { version } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['null for a booking', 'subscription { bookingChanged(holdId: null) { version } }', 'GRAPHQL_VALIDATION_FAILED'],
    [
      'a booking with 31 aliases of its payment',
      `subscription { bookingChanged(holdId: "x") { ${aliases(31, 'payment { id }')} } }`,
      'GRAPHQL_VALIDATION_FAILED',
    ],
    [
      'a booking that costs too much',
      `subscription { bookingChanged(holdId: "x") { ${aliases(29, 'payment { exchanges { at } refunds { amount { amountMinor } } }')} } }`,
      'TOO_EXPENSIVE',
    ],
  ];

  test.each(overSocket)('over WebSocket: %s is refused before anything runs', async (_, query, code) => {
    const answer = await subscribeOnce(app.url, { query }, member.accessToken);

    expect(answer.type).toBe('error');
    expect(answer.payload[0]?.extensions.code).toBe(code);
  });

  const tooMuch: [name: string, query: string, code: string][] = [
    [
      'payments, holds, lessons and sessions of a page of 100',
      '{ myPayments(first: 100) { nodes { hold { ... on Enrollment { lesson { sessions { startsAt } } } } } } }',
      'TOO_EXPENSIVE',
    ],
    ['exchanges of a page of 100', '{ myPayments(first: 100) { nodes { exchanges { at } } } }', 'TOO_EXPENSIVE'],
    ['refunds of a page of 100', '{ myPayments(first: 100) { nodes { refunds { amount { amountMinor } } } } }', 'TOO_EXPENSIVE'],
    ['exchanges of 100 open items', '{ reconciliation { items(first: 100) { nodes { payment { exchanges { at } } } } } }', 'TOO_EXPENSIVE'],
    ['a payment under 21 names', `{ ${aliases(21, 'payment(id: "x") { id }')} }`, 'GRAPHQL_VALIDATION_FAILED'],
    ['exchanges under 31 names', `{ payment(id: "x") { ${aliases(31, 'exchanges { at }')} } }`, 'GRAPHQL_VALIDATION_FAILED'],
    [
      'six refunds in one request',
      `mutation { ${aliases(6, 'refundPayment(input: { paymentId: "x", reason: "r", idempotencyKey: "k" }) { __typename }')} }`,
      'GRAPHQL_VALIDATION_FAILED',
    ],
    [
      'a payment’s hold’s payment: there is no way back',
      '{ payment(id: "x") { hold { ... on Enrollment { payment { hold { id } } } } } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
    ['what the customer brought', '{ payment(id: "x") { customerAuthorization } }', 'GRAPHQL_VALIDATION_FAILED'],
    ['the key of a payment', '{ payment(id: "x") { idempotencyKey requestHash reference memberId } }', 'GRAPHQL_VALIDATION_FAILED'],
  ];

  test.each(tooMuch)('%s is refused before anything runs', async (_, query, code) => {
    const { status, errors, data } = await admin.client.post({ query });

    expect([status, data, errors[0]?.extensions.code]).toEqual([400, null, code]);
  });

  test('what the operations of payments cost', async () => {
    const requested = async (operation: OperationName, variables: object = {}) =>
      (await admin.client.send(operation, variables)).extensions?.cost?.requested;
    const unknown = toNodeId('Payment', randomUUID());

    const costs = {
      providers: await requested('TestPaymentProviders'),
      payment: await requested('TestPayment', { id: unknown }),
      exchanges: await requested('TestPaymentExchanges', { id: unknown }),
      page: await requested('TestMyPayments', { first: 20 }),
      prepare: await requested('TestPreparePayment', { input: { holdId: member.holdId, provider: 'TOSS', ...key() } }),
      cancel: await requested('TestCancelBooking', { input: { holdId: toNodeId('Enrollment', randomUUID()) } }),
      refund: await requested('TestRefundPayment', { input: { paymentId: unknown, reason: 'r', ...key() } }),
      reconcile: await requested('TestReconcilePayment', { paymentId: unknown }),
      reconciliation: await requested('TestReconciliation', { first: 20 }),
    };

    expect(costs).toEqual({
      providers: 4,
      payment: 25,
      exchanges: 21,
      // 1 for the page, 1 for each payment, and 10 to count them.
      page: 31,
      prepare: 34,
      cancel: 10,
      refund: 11,
      reconcile: 33,
      // 10 for the summary, 1 for the page, 2 for each item with its payment; it knows the total.
      reconciliation: 52,
    });
  });

  test('a member who begins again and again with new keys has one payment that counts, and the others take nothing', async () => {
    const { client, holdId, lessonId } = await heldLesson(app);

    for (let tries = 0; tries < 10; tries++) await begin(client, holdId, tries % 2 === 0 ? 'TOSS' : 'KAKAOPAY');

    const states = await app.query(
      'select state, ended_because, count(*)::int as count from payment where hold_id = $1 group by 1, 2 order by 1',
      [uuidIn(holdId)],
    );
    expect(states).toEqual([
      { state: 'ABANDONED', ended_because: 'REPLACED', count: 9 },
      { state: 'PENDING', ended_because: null, count: 1 },
    ]);
    expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 1, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });
});

const cursor = (...values: unknown[]) => Buffer.from(JSON.stringify(values)).toString('base64url');

function aliases(count: number, field: string): string {
  return Array.from({ length: count }, (_, index) => `a${index}: ${field}`).join(' ');
}
