import 'reflect-metadata';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { GraphQLError } from 'graphql';
import { buildSmallSchema } from '../../support/small-schema.ts';
import { type GraphqlServer, startGraphqlServer } from './graphql-server.ts';

let failsIn: 'context' | 'context with a code' | undefined;
let server: GraphqlServer;
beforeAll(async () => {
  server = await startGraphqlServer(await buildSmallSchema(), {
    contextOf: (request) => {
      if (failsIn === 'context') throw new Error('relation "sessions" does not exist');
      if (failsIn) throw new GraphQLError('Sign in first.', { extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } } });
      return { requestId: `request-${request.id}` } as never;
    },
  });
});
afterAll(() => server[Symbol.asyncDispose]());
beforeEach(() => {
  failsIn = undefined;
  server.logged.length = 0;
});

const MASKED = 'Something went wrong on our side. Quote the request id when you report it.';
const ask = (text: string) =>
  server.post({ query: 'query ($text: String) { requestId thing(text: $text) { name } }', variables: { text } });

test.each([
  ['throw Error', 'connect ECONNREFUSED 10.0.0.7:5432'],
  ['throw foreign error with a known code', 'duplicate key (email)=(a@b.c)'],
  ['throw GraphQLError without code', 'select * from members'],
  ['throw GraphQLError with unknown code', 'select * from members'],
  ['throw string', 'Unexpected error value: "a secret string"'],
])('%s: masked, logged once with the request id, the rest of the answer stays', async (text, logged) => {
  const answer = await ask(text);

  const { requestId } = answer.body.data;
  expect(requestId).toMatch(/^request-req-/);
  expect(answer.body.data.thing).toBeNull();
  expect(answer.body.errors).toEqual([
    { message: MASKED, locations: [{ line: 1, column: 35 }], path: ['thing'], extensions: { code: 'INTERNAL_SERVER_ERROR', requestId } },
  ]);

  expect(server.logged).toHaveLength(1);
  expect(server.logged[0]).toMatchObject({ level: 50, requestId, path: 'thing', err: { message: logged } });
  expect(answer.text).not.toMatch(/select|secret|ECONN|duplicate|stack/);
});

test('an error of ours passes with what it carries, but not with its cause', async () => {
  const answer = await ask('throw known GraphQLError');

  expect(answer.body.errors).toEqual([
    {
      message: 'Too fast.',
      locations: [{ line: 1, column: 35 }],
      path: ['thing'],
      extensions: { code: 'TOO_MANY_REQUESTS', retryAfterSeconds: 7 },
    },
  ]);
  expect(server.logged).toEqual([]);
});

test('a request whose context cannot be made is masked with the id of the HTTP request', async () => {
  failsIn = 'context';
  const answer = await ask('hello');

  expect(answer.status).toBe(500);
  expect(answer.body.errors).toEqual([
    { message: MASKED, extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: expect.stringMatching(/^req-/) } },
  ]);
  expect(server.logged).toHaveLength(1);
  expect(server.logged[0]).toMatchObject({
    requestId: answer.body.errors[0].extensions.requestId,
    err: { message: 'relation "sessions" does not exist' },
  });
});

test('a refusal by the context keeps its status and its code', async () => {
  failsIn = 'context with a code';
  const answer = await ask('hello');

  expect(answer.status).toBe(401);
  expect(answer.body.errors).toEqual([{ message: 'Sign in first.', extensions: { code: 'UNAUTHENTICATED' } }]);
});
