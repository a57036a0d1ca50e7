import 'reflect-metadata';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { getIntrospectionQuery } from 'graphql';
import { hostileDocuments } from '../../support/hostile-documents.ts';
import { buildSmallSchema, executions } from '../../support/small-schema.ts';
import { type GraphqlServer, startGraphqlServer } from './graphql-server.ts';

let server: GraphqlServer;
beforeAll(async () => {
  server = await startGraphqlServer(await buildSmallSchema());
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  executions.count = 0;
  server.logged.length = 0;
});

const targets = [
  { keyword: 'query', field: 'thing' },
  { keyword: 'mutation', field: 'touch' },
] as const;

describe.each(targets)('a hostile $keyword over HTTP is refused with 400 and does not run', (target) => {
  test.each(hostileDocuments(target))('$name', async ({ query, variables, operationName, code, says }) => {
    const answer = await server.post({ query, variables, operationName });

    expect(answer.body.errors[0]).toMatchObject({ message: expect.stringContaining(says), extensions: { code } });
    expect(answer.status).toBe(400);
    expect(answer.body.data).toBeUndefined();

    expect(executions.count).toBe(0);
    expect(server.logged).toEqual([]);
    expect(answer.text).not.toMatch(/Did you mean|stack|drop table/);
  });
});

test('the same fields run when they are asked for decently', async () => {
  const answer = await server.post({
    query: 'mutation ($v: ThingInput) { touch(input: $v) { name } }',
    variables: { v: { email: 'a@b.c', ids: ['x'] } },
  });

  expect(answer.status).toBe(200);
  expect(answer.body).toEqual({ data: { touch: { name: 'a thing' } }, extensions: { cost: { requested: 10, limit: 1000 } } });
  expect(executions.count).toBe(1);
});

test.each([
  ['depth', `{ thing { ${'self { '.repeat(8)} name ${'} '.repeat(8)} } }`],
  ['aliases', `{ thing { ${Array.from({ length: 30 }, (_, i) => `a${i}: name`).join(' ')} } }`],
  ['root fields', `{ ${Array.from({ length: 20 }, (_, i) => `a${i}: thing { name }`).join(' ')} }`],
  ['root mutations', `mutation { ${Array.from({ length: 5 }, (_, i) => `a${i}: touch { name }`).join(' ')} }`],
  ['list items', `{ thing(ids: [${'"x" '.repeat(100)}]) { name } }`],
  ['directives', `{ thing { ${'name @include(if: true) '.repeat(50)} } }`],
  ['text length', `{ thing(text: "${'x'.repeat(20_000)}") { name } }`],
])('exactly as much as the limit of %s allows is answered', async (_limit, query) => {
  const answer = await server.post({ query });

  expect(answer.body.errors).toBeUndefined();
  expect(answer.status).toBe(200);
});

test('a refusal for its price names both numbers', async () => {
  const answer = await server.post({ query: 'query ($n: Int!) { things(first: $n) { nodes { many { name } } } }', variables: { n: 100 } });

  // 1 + 100 * (1 + 31 * 1)
  expect(answer.body).toEqual({
    errors: [
      {
        message: 'This operation costs 3201, more than the 1000 allowed. Ask for fewer items or fewer fields.',
        extensions: { code: 'TOO_EXPENSIVE', requested: 3201, limit: 1000 },
      },
    ],
    extensions: { cost: { requested: 3201, limit: 1000 } },
  });
  expect(answer.status).toBe(400);
  expect(executions.count).toBe(0);
});

test('a wrong value is not repeated, neither from variables nor from the document', async () => {
  const password = 'correct horse battery staple';
  const answers = await Promise.all([
    server.post({ query: 'query ($v: ThingInput) { thing(input: $v) { name } }', variables: { v: { password: { password } } } }),
    server.post({ query: 'query ($v: ThingInput) { thing(input: $v) { name } }', variables: { v: { count: password } } }),
    server.post({ query: 'query ($v: ThingInput) { thing(input: $v) { name } }', variables: { v: { at: password } } }),
    server.post({ query: 'query ($v: ThingInput) { thing(input: $v) { name } }', variables: { v: { month: password } } }),
    server.post({ query: 'query ($v: ThingInput) { thing(input: $v) { name } }', variables: { v: password } }),
    server.post({ query: `{ thing(number: "${password}") { name } }` }),
    server.post({ query: `{ thing(input: "${password}") { name } }` }),
    server.post({ query: `{ thing(input: { at: "${password}" }) { name } }` }),
    server.post({ query: `{ thing(input: { month: "${password}" }) { name } }` }),
    server.post({ query: `{ thing(input: { inner: [{ password: "${password}" }, "${password}"] }) { name } }` }),
  ]);

  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 400));
  expect(answers.map(({ body }) => body.errors[0].message)).toEqual([
    'Variable "$v" got an invalid value at "v.password". Expected a value of type "String".',
    'Variable "$v" got an invalid value at "v.count". Expected a value of type "Int".',
    'Variable "$v" got an invalid value at "v.at". Expected a value of type "DateTime".',
    'Variable "$v" got an invalid value at "v.month". Expected a value of type "YearMonth".',
    'Variable "$v" got an invalid value. Expected type "ThingInput" to be an object.',
    'Int cannot represent non-integer value.',
    'Expected value of type "ThingInput".',
    'Expected value of type "DateTime".',
    'Expected value of type "YearMonth".',
    'Expected value of type "ThingInput".',
  ]);
  for (const { text } of answers) expect(text).not.toContain('horse');
  expect(executions.count).toBe(0);
});

test('null for an argument that has a default is bad input, not our fault', async () => {
  const answer = await server.post({ query: 'query ($n: Int) { things(first: $n) { nodes { id } } }', variables: { n: null } });

  expect(answer.body.errors).toEqual([expect.objectContaining({ extensions: { code: 'BAD_USER_INPUT' } })]);
  expect(server.logged).toEqual([]);
});

test('hundreds of mistakes are answered with a few errors and not logged as ours', async () => {
  const values = await server.post({
    query: 'query ($v: [ID!]) { thing(ids: $v) { name } }',
    variables: { v: Array.from({ length: 100 }, () => ({})) },
  });
  const fields = await server.post({ query: `{ ${Array.from({ length: 300 }, (_, i) => `x${i}`).join(' ')} }` });

  for (const [answer, code] of [
    [values, 'BAD_USER_INPUT'],
    [fields, 'GRAPHQL_VALIDATION_FAILED'],
  ] as const) {
    expect(answer.status).toBe(400);
    // Ten, and the one that says that it stopped there.
    expect(answer.body.errors.map(({ extensions }: { extensions: { code: string } }) => extensions.code)).toEqual(Array(11).fill(code));
  }
  expect(executions.count).toBe(0);
  expect(server.logged).toEqual([]);
});

test('a body as deep as it may be long is refused like any other', async () => {
  const depth = 8_000;
  const deep = `${'{"inner":'.repeat(depth)}{}${'}'.repeat(depth)}`;
  const answer = await server.send('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"query":"query ($v: ThingInput) { thing(input: $v) { name } }","variables":{"v":${deep}}}`,
  });

  expect(answer.status).toBe(400);
  expect(answer.body.errors[0].message).toMatch(/^variables\.v\.inner.* nests more than 20 deep\.$/);
  expect(executions.count).toBe(0);
});

describe('transport', () => {
  const mutation = '/graphql?query=mutation%7Btouch%7Bname%7D%7D';
  const query = '/graphql?query=%7Bthing%7Bname%7D%7D';
  const json = { 'content-type': 'application/json' };

  test('GET answers a query', async () => {
    const answer = await server.send(query, { headers: json });

    expect(answer.body.data).toEqual({ thing: { name: 'a thing' } });
  });

  const refused: [string, string, RequestInit, number, string][] = [
    ['a mutation by GET', mutation, { headers: json }, 405, 'BAD_REQUEST'],
    ['a GET that another site could make', query, {}, 400, 'BAD_REQUEST'],
    ['a GET without a query', '/graphql', { headers: json }, 400, 'BAD_REQUEST'],
    ['variables in a GET that are no JSON', `${query}&variables=%7B`, { headers: json }, 400, 'BAD_REQUEST'],
    ['a body that is not JSON', '/graphql', { method: 'POST', headers: json, body: '{"query":' }, 400, 'BAD_REQUEST'],
    ['an empty body', '/graphql', { method: 'POST', headers: json, body: '' }, 400, 'BAD_REQUEST'],
    ['a body that is a number', '/graphql', { method: 'POST', headers: json, body: '1' }, 400, 'BAD_REQUEST'],
    ['a body that is null', '/graphql', { method: 'POST', headers: json, body: 'null' }, 400, 'BAD_REQUEST'],
    ['a body without a query', '/graphql', { method: 'POST', headers: json, body: '{}' }, 400, 'BAD_REQUEST'],
    ['a query that is no text', '/graphql', { method: 'POST', headers: json, body: '{"query":{}}' }, 400, 'BAD_REQUEST'],
    [
      'variables that are a list',
      '/graphql',
      { method: 'POST', headers: json, body: '{"query":"{__typename}","variables":[1]}' },
      400,
      'BAD_REQUEST',
    ],
    [
      'a prototype in the body',
      '/graphql',
      { method: 'POST', headers: json, body: '{"query":"{__typename}","__proto__":{}}' },
      400,
      'BAD_REQUEST',
    ],
    ['a batch', '/graphql', { method: 'POST', headers: json, body: '[{"query":"{thing{name}}"}]' }, 400, 'BAD_REQUEST'],
    ['a body of plain text', '/graphql', { method: 'POST', body: '{"query":"mutation{touch{name}}"}' }, 415, 'BAD_REQUEST'],
    ['a form', '/graphql', { method: 'POST', body: new URLSearchParams({ query: 'mutation{touch{name}}' }) }, 415, 'BAD_REQUEST'],
    [
      'an oversize body',
      '/graphql',
      { method: 'POST', headers: json, body: JSON.stringify({ query: '{thing{name}}', variables: { v: 'x'.repeat(100 * 1024) } }) },
      413,
      'BAD_REQUEST',
    ],
    [
      'a persisted query to be registered',
      '/graphql',
      {
        method: 'POST',
        headers: json,
        body: JSON.stringify({ query: '{thing{name}}', extensions: { persistedQuery: { version: 1, sha256Hash: 'x' } } }),
      },
      200,
      'PERSISTED_QUERY_NOT_SUPPORTED',
    ],
    ['a subscription', '/graphql', { method: 'POST', headers: json, body: '{"query":"subscription{watched{name}}"}' }, 400, 'BAD_REQUEST'],
  ];
  test.each(refused)('%s is refused in the shape of GraphQL', async (_name, path, init, status, code) => {
    const answer = await server.send(path, init);

    expect(answer.body.errors).toEqual([expect.objectContaining({ message: expect.any(String), extensions: { code } })]);
    expect(answer.status).toBe(status);
    expect(executions.count).toBe(0);
  });

  test('HTML is never answered', async () => {
    const answer = await server.send('/graphql', { headers: { accept: 'text/html' } });

    expect(answer.headers.get('content-type')).toMatch(/json/);
    expect(answer.status).toBe(400);
  });
});

describe('introspection switched on', () => {
  let open: GraphqlServer;
  beforeAll(async () => {
    open = await startGraphqlServer(await buildSmallSchema(), { limits: { introspection: true } });
  });
  afterAll(() => open[Symbol.asyncDispose]());

  test('the query of the tools is answered', async () => {
    const query = getIntrospectionQuery({
      descriptions: true,
      specifiedByUrl: true,
      directiveIsRepeatable: true,
      schemaDescription: true,
      inputValueDeprecation: true,
      oneOf: true,
    });
    const answer = await open.post({ query });

    expect(answer.body.errors).toBeUndefined();
    expect(answer.body.extensions.cost).toEqual({ requested: 600, limit: 1000 });
  });

  test('names are suggested', async () => {
    const answer = await open.post({ query: '{ thing { nam } }' });

    expect(answer.body.errors[0].message).toBe('Cannot query field "nam" on type "Thing". Did you mean "name"?');
  });

  test.each([
    ['twice at once', '{ a: __schema { types { name } } b: __schema { types { name } } }', 'TOO_EXPENSIVE'],
    [
      'lists of fields inside each other',
      '{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }',
      'GRAPHQL_VALIDATION_FAILED',
    ],
    ['too deep', `{ __type(name: "Thing") { ${'ofType { '.repeat(15)} name ${'} '.repeat(15)} } }`, 'GRAPHQL_VALIDATION_FAILED'],
  ])('it is still limited: %s', async (_name, query, code) => {
    const answer = await open.post({ query });

    expect(answer.status).toBe(400);
    expect(answer.body.errors[0].extensions.code).toBe(code);
  });
});
