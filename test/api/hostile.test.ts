import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { nextMonth, type TestApp, testApp } from '../support/app.ts';
import { sourceOf } from '../support/client.ts';
import { hostileDocuments } from '../support/hostile-documents.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { subscribeOnce } from '../support/subscribe-once.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();

describe('hostile documents against the real schema', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  const repeated = (count: number, text: (index: number) => string) => Array.from({ length: count }, (_, index) => text(index)).join(' ');

  /** Of the table for the small schema: what needs none of its types. */
  const ofNoSchema = (keyword: 'query' | 'subscription') => {
    const field = keyword === 'query' ? 'lessons' : 'availabilityChanged';
    const names = [
      'no GraphQL at all',
      'an unclosed brace',
      'more tokens than allowed',
      'braces that never close',
      'a list that opens a thousand lists',
    ];
    return hostileDocuments({ keyword, field }).filter(({ name }) => names.includes(name) || name.startsWith('introspection'));
  };

  const invalid = 'GRAPHQL_VALIDATION_FAILED';
  const queries = [
    ...ofNoSchema('query'),
    {
      name: '21 root fields',
      query: `{ ${repeated(21, (i) => `a${i}: me { id }`)} }`,
      code: invalid,
      says: '21 root fields',
    },
    { name: '31 aliases', query: `{ lesson(id: "x") { ${repeated(31, (i) => `a${i}: title`)} } }`, code: invalid, says: '31 aliases' },
    {
      name: 'six mutations',
      query: `mutation { ${repeated(6, (i) => `a${i}: closeLessonSale(lessonId: "x") { __typename }`)} }`,
      code: invalid,
      says: '6 mutations',
    },
    {
      name: 'ten sign-ins under aliases',
      query: `mutation { ${repeated(10, (i) => `a${i}: signIn(input: { email: "a@b.c", password: "x" }) { __typename }`)} }`,
      code: invalid,
      says: '10 mutations',
    },
    {
      name: 'a page of 100 with all its sessions',
      query: '{ lessons(first: 100) { nodes { sessions { startsAt } } } }',
      code: 'TOO_EXPENSIVE',
      says: 'more than the 1000 allowed',
    },
    {
      name: 'a page of a thousand million',
      query: 'query ($first: Int!) { lessons(first: $first) { nodes { id } } }',
      variables: { first: 1_000_000_000 },
      code: 'TOO_EXPENSIVE',
      says: 'more than the 1000 allowed',
    },
    {
      name: 'eleven audits',
      query: `{ ${repeated(11, (i) => `a${i}: inventoryAudit { ok }`)} }`,
      code: 'TOO_EXPENSIVE',
      says: 'more than the 1000 allowed',
    },
    {
      name: 'a field that is almost one of ours',
      query: '{ lesson(id: "x") { titel } }',
      code: invalid,
      says: 'Cannot query field "titel" on type "Lesson".',
    },
    {
      name: 'a private field of the entity',
      query: '{ me { id passwordHash } }',
      code: invalid,
      says: 'Cannot query field "passwordHash" on type "Member".',
    },
    {
      name: 'the claimant of a hold',
      query: '{ node(id: "x") { ... on Enrollment { claimantId clientIp } } }',
      code: invalid,
      says: 'Cannot query field "claimantId" on type "Enrollment".',
    },
    {
      name: 'U+0000 in an id',
      query: 'query ($id: ID!) { lesson(id: $id) { id } }',
      variables: { id: 'a\0' },
      code: 'BAD_USER_INPUT',
      says: 'variables.id contains U+0000',
    },
    {
      name: 'a lone surrogate in an id',
      query: 'query ($id: ID!) { node(id: $id) { id } }',
      variables: { id: '\udfff' },
      code: 'BAD_USER_INPUT',
      says: 'variables.id contains a lone surrogate',
    },
    {
      name: 'a subscription over HTTP',
      query: 'subscription { availabilityChanged(ids: ["x"]) { free } }',
      code: 'BAD_REQUEST',
      says: 'WebSocket',
    },
  ];

  test.each(queries)('over HTTP: $name', async ({ query, variables, code, says }: (typeof queries)[number] & { variables?: object }) => {
    const answer = await app.anonymous.post({ query, ...(variables && { variables }) });

    expect(answer.errors[0]).toMatchObject({ message: expect.stringContaining(says), extensions: { code } });
    expect(answer.data).toBeNull();
    expect(answer.status).toBe(400);
    expect(JSON.stringify(answer.errors)).not.toMatch(/Did you mean|stack|\bselect\b.*\bfrom\b|node_modules/);
    expect(app.logged).toEqual([]);
  });

  const subscription = (ids: string) => `subscription { availabilityChanged(ids: ${ids}) { free } }`;
  const subscriptions = [
    ...ofNoSchema('subscription'),
    { name: 'a query', query: '{ me { id } }', code: 'SUBSCRIPTIONS_ONLY', says: 'HTTP POST' },
    {
      name: 'a mutation',
      query: 'mutation { closeLessonSale(lessonId: "x") { __typename } }',
      code: 'SUBSCRIPTIONS_ONLY',
      says: 'HTTP POST',
    },
    {
      name: 'two root fields',
      query: 'subscription { a: availabilityChanged(ids: ["x"]) { free } b: availabilityChanged(ids: ["x"]) { free } }',
      code: invalid,
      says: 'only one top level field',
    },
    {
      name: '31 aliases',
      query: `subscription { availabilityChanged(ids: ["x"]) { ${repeated(31, (i) => `a${i}: free`)} } }`,
      code: invalid,
      says: '31 aliases',
    },
    { name: 'no id', query: subscription('[]'), code: 'BAD_USER_INPUT', says: '1 to 100' },
    { name: '101 ids', query: subscription(`[${repeated(101, () => '"x"')}]`), code: invalid, says: '101 items' },
    { name: 'an id that is none', query: subscription('["x"]'), code: 'BAD_USER_INPUT', says: 'not an id of' },
    {
      name: 'the id of a member',
      query: subscription(`["${Buffer.from(`Member:${randomUUID()}`).toString('base64url')}"]`),
      code: 'BAD_USER_INPUT',
      says: 'This is the id of a Member',
    },
    { name: 'null for the ids', query: 'subscription { availabilityChanged(ids: null) { free } }', code: invalid, says: '[ID!]!' },
    { name: 'U+0000 in an id', query: subscription('["\\u0000"]'), code: 'BAD_USER_INPUT', says: 'contains U+0000' },
    {
      name: 'a field that is not there',
      query: 'subscription { availabilityChanged(ids: ["x"]) { fre } }',
      code: invalid,
      says: 'Cannot query field "fre" on type "Availability".',
    },
  ];

  test.each(subscriptions)('over WebSocket: $name', async ({ query, code, says }) => {
    const answer = await subscribeOnce(app.url, { query });

    expect(answer.type).toBe('error');
    expect(answer.payload[0]).toMatchObject({ message: expect.stringContaining(says), extensions: { code } });
    expect(JSON.stringify(answer)).not.toMatch(/Did you mean|stack|\bselect\b.*\bfrom\b|node_modules/);
    expect(app.logged).toEqual([]);
  });

  test('over WebSocket: 101 ids in a variable', async () => {
    const ids = Array.from({ length: 101 }, () => 'x');

    const answer = await subscribeOnce(app.url, { query: sourceOf('TestAvailabilityChanged'), variables: { ids } });

    expect(answer.payload[0]).toMatchObject({ message: expect.stringContaining('101 items'), extensions: { code: 'BAD_USER_INPUT' } });
  });
});

describe('what an operation costs', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  test('is in every response over HTTP, also where the operation was refused by its result', async () => {
    const { client } = await app.member();
    const lessonId = await app.lesson({ capacity: 0 });

    const costs = [];
    for (const { extensions } of [
      await app.anonymous.post({ query: '{ me { id } }' }),
      await app.anonymous.post({ query: 'query ($n: Int!) { lessons(first: $n) { nodes { id } } }', variables: { n: 7 } }),
      await app.anonymous.post({ query: '{ lessons { totalCount } }' }),
      await app.anonymous.post({ query: '{ inventoryAudit { ok } }' }),
      await client.send('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } }),
      await app.anonymous.post({ query: '{ myEnrollments { totalCount } }' }),
    ])
      costs.push(extensions?.cost);

    // 1 for the connection and 1 for each node; 10 to count; 10 for a mutation, with what its errors may load.
    expect(costs.slice(0, 4)).toEqual([
      { requested: 1, limit: 1000 },
      { requested: 8, limit: 1000 },
      { requested: 11, limit: 1000 },
      { requested: 100, limit: 1000 },
    ]);
    expect(costs[4]).toEqual({ requested: expect.any(Number), limit: 1000 });
    expect(costs[4]?.requested).toBeGreaterThanOrEqual(10);
    expect(costs[5]).toEqual({ requested: 11, limit: 1000 });
  });

  test('is in every message over WebSocket', async () => {
    const lessonId = await app.lesson();

    const answer = await subscribeOnce(app.url, {
      query: 'subscription ($ids: [ID!]!) { availabilityChanged(ids: $ids) { free } }',
      variables: { ids: [lessonId] },
    });

    expect(answer).toMatchObject({
      type: 'next',
      payload: { data: { availabilityChanged: { free: 10 } }, extensions: { cost: { requested: 5, limit: 1000 } } },
    });
  });

  test('the limit is what the configuration says', async () => {
    await using poor = await testApp({ environment: { GRAPHQL_COST_MAX: '10' } });

    const answer = await poor.anonymous.post({ query: '{ lessons(first: 10) { nodes { id } } }' });

    expect(answer.errors[0]?.extensions).toEqual({ code: 'TOO_EXPENSIVE', requested: 11, limit: 10 });
  });
});

describe('production', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp({
      environment: { NODE_ENV: 'production', INTROSPECTION: '', GRAPHIQL: '', SEED: '', REHEARSALS: '', PAYMENT_SIMULATOR: 'off' },
    });
  });
  afterAll(() => app.close());

  test('has no introspection on either transport, no suggestions and no GraphiQL', async () => {
    const overHttp = await app.anonymous.post({ query: '{ __schema { types { name } } }' });
    const overSocket = await subscribeOnce(app.url, { query: '{ __type(name: "Lesson") { name } }' });
    const mistyped = await app.anonymous.post({ query: '{ lesson(id: "x") { titl } }' });
    const page = await fetch(`${app.url}/graphiql`);
    await page.text();

    expect(overHttp.errors[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
    expect(overSocket.payload[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
    expect(mistyped.errors[0]?.message).toBe('Cannot query field "titl" on type "Lesson".');
    expect(page.status).toBe(404);
  });

  test('has no demonstration lessons, no demonstration accounts, no rehearsals and no simulated payments', async () => {
    const { client } = await app.member();
    const signIn = await app.anonymous.run('TestSignIn', { input: { email: 'admin@lastseat.test', password: 'lastseat-demo' } });
    const rehearsal = await (await app.admin()).client.post({ query: 'mutation { createRehearsalMembers(count: 1) { memberId } }' });
    const lessonId = await app.lesson();
    const { enrollment } = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    const paid = await client.run('TestPreparePayment', {
      input: { holdId: enrollment.id, provider: 'TOSS', idempotencyKey: randomUUID() },
    });

    expect(signIn.code).toBe('INVALID_CREDENTIALS');
    expect(rehearsal.errors[0]?.extensions.code).toBe('GRAPHQL_VALIDATION_FAILED');
    expect((await app.anonymous.run('TestLessons')).totalCount).toBe(1);
    expect(await app.anonymous.run('TestPaymentProviders')).toEqual([]);
    expect(paid.code).toBe('PAYMENT_PROVIDER_UNAVAILABLE');
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 1, sold: 0 });
  });
});

describe('what goes wrong on our side', () => {
  test('is masked with a request id that the log has too, and leaves the rest of the answer alone', async () => {
    await using app = await testApp({ environment: { INTROSPECTION: 'on' } });
    const lessonId = await app.lesson({ month: nextMonth() });
    await app.query('alter table instructor rename to instructor_gone');

    const answer = await app.anonymous.post({
      query: 'query ($id: ID!) { lesson(id: $id) { title instructor { name } } lockers(month: "2031-01") { id } }',
      variables: { id: lessonId },
    });

    expect(answer.data).toEqual({ lesson: { title: 'Dawn masters', instructor: null }, lockers: [] });
    expect(answer.errors).toEqual([
      {
        message: 'Something went wrong on our side. Quote the request id when you report it.',
        locations: expect.any(Array),
        path: ['lesson', 'instructor'],
        extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.any(String) },
      },
    ]);
    const { requestId } = answer.errors[0]!.extensions;
    const lines = app.logged.filter((line) => line.requestId === requestId);
    expect(lines).toHaveLength(1);
    expect(JSON.stringify(answer.errors)).not.toMatch(/instructor_gone|relation|select|pg|stack/i);
    await app.query('alter table instructor_gone rename to instructor');
    expect((await app.anonymous.run('TestLesson', { id: lessonId })).instructor).toMatchObject({ name: 'Seo-yeon Kim' });
  });

  test('in a mutation rolls back, and the same request succeeds when it is repeated', async () => {
    await using app = await testApp();
    const lessonId = await app.lesson();
    const { client } = await app.member();
    const input = { lessonId, idempotencyKey: randomUUID() };
    await app.query('alter table hold_item rename to hold_item_gone');

    const failed = await client.send('TestEnroll', { input });

    expect(failed.data).toEqual({ enroll: null });
    expect(failed.errors[0]?.extensions.code).toBe('INTERNAL_SERVER_ERROR');
    await app.query('alter table hold_item_gone rename to hold_item');
    expect(await app.counters(lessonId)).toEqual({ capacity: 10, held: 0, sold: 0 });
    expect(await client.run('TestEnroll', { input })).toMatchObject({ __typename: 'EnrollSuccess' });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('in a subscription is masked too, and heals', async () => {
    await using app = await testApp();
    const lessonId = await app.lesson();
    const watch = await app.anonymous.watch(lessonId);
    await app.query('alter view pool_availability rename to pool_availability_gone');
    const { client } = await app.member();

    await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    await app.query('alter view pool_availability_gone rename to pool_availability');

    await eventually(() => expect(watch.lastOf(lessonId)).toMatchObject({ free: 9 }));
    expect(watch.errors).toEqual([]);
    await watch.close();
  });
});
