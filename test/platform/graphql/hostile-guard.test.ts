import 'reflect-metadata';
import { beforeAll, beforeEach, expect, test } from '@jest/globals';
import { type ExecutionResult, type GraphQLFormattedError, type GraphQLSchema, subscribe } from 'graphql';
import { DEFAULT_LIMITS, type DocumentGuard, guardDocument } from '../../../src/platform/graphql/limits.ts';
import { type ErrorMask, formatResult, maskErrors } from '../../../src/platform/graphql/mask-errors.ts';
import { hostileDocuments } from '../../support/hostile-documents.ts';
import { buildSmallSchema, executions } from '../../support/small-schema.ts';

const logged: unknown[] = [];
let schema: GraphQLSchema;
let guard: DocumentGuard;
let mask: ErrorMask;
beforeAll(async () => {
  schema = await buildSmallSchema();
  guard = guardDocument({ schema, limits: DEFAULT_LIMITS });
  mask = maskErrors({ schema, introspection: false, logger: { error: (...line: unknown[]) => logged.push(line) } as never });
});
beforeEach(() => {
  executions.count = 0;
  logged.length = 0;
});

/** What the WebSocket side does with a `subscribe` message, up to the first result. */
async function refusalsOf(
  source: string,
  operationName?: string,
  variables?: Record<string, unknown>,
): Promise<readonly GraphQLFormattedError[]> {
  const checked = guard.check(source, operationName, variables);
  if (!('document' in checked)) return checked.map((error) => mask(error, 'request-1'));
  const { document, cost } = checked;
  const result = await subscribe({ schema, document, operationName, variableValues: variables });
  if (Symbol.asyncIterator in result) return [];
  return formatResult(mask, result as ExecutionResult, { cost, requestId: 'request-1' }).errors ?? [];
}

test.each(hostileDocuments({ keyword: 'subscription', field: 'watched' }))(
  'a hostile subscription is refused without Apollo too: $name',
  async ({ query, operationName, variables, code, says }) => {
    const refusals = await refusalsOf(query, operationName, variables);

    expect(refusals[0]).toMatchObject({ message: expect.stringContaining(says), extensions: { code } });
    expect(JSON.stringify(refusals)).not.toMatch(/Did you mean|drop table|"http"/);
    expect(executions.count).toBe(0);
    expect(logged).toEqual([]);
  },
);

test('a decent subscription runs', async () => {
  expect(await refusalsOf('subscription ($v: [ID!]) { watched(ids: $v) { name } }', undefined, { v: ['x'] })).toEqual([]);
});
