import 'reflect-metadata';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { decodeCursor, encodeCursor } from '../../../src/platform/graphql/connections.ts';
import { buildSmallSchema, executions } from '../../support/small-schema.ts';
import { type GraphqlServer, startGraphqlServer } from './graphql-server.ts';

let server: GraphqlServer;
beforeAll(async () => {
  server = await startGraphqlServer(await buildSmallSchema());
});
afterAll(() => server[Symbol.asyncDispose]());

const query = `query ($first: Int, $after: String) {
  things(first: $first, after: $after) { nodes { id } edges { cursor node { id } } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }
}`;
const last = (id: string) => Number(id.slice(-4));

test('pages follow each other without gap or repetition until the last one says so', async () => {
  const seen: number[] = [];
  const pages: [boolean, boolean, number][] = [];
  let after: string | null = null;
  do {
    const { body } = await server.post({ query, variables: { first: 10, after } });
    const { nodes, edges, pageInfo } = body.data.things;
    seen.push(...nodes.map(({ id }: { id: string }) => last(id)));
    expect(edges.map((edge: { node: unknown }) => edge.node)).toEqual(nodes);
    expect([pageInfo.startCursor, pageInfo.endCursor]).toEqual([edges[0].cursor, edges.at(-1).cursor]);
    pages.push([pageInfo.hasPreviousPage, pageInfo.hasNextPage, nodes.length]);
    after = pageInfo.hasNextPage ? pageInfo.endCursor : null;
  } while (after);

  expect(seen).toEqual(Array.from({ length: 25 }, (_, rank) => rank));
  expect(pages).toEqual([
    [false, true, 10],
    [true, true, 10],
    [true, false, 5],
  ]);
});

test('a page after the last item is empty', async () => {
  const after = encodeCursor([24, '00000000-0000-4000-8000-000000000024']);
  const { body } = await server.post({ query, variables: { first: 10, after } });

  expect(body.data.things).toEqual({
    nodes: [],
    edges: [],
    pageInfo: { hasNextPage: false, hasPreviousPage: true, startCursor: null, endCursor: null },
  });
});

test('20 items are answered when nothing is said', async () => {
  const { body } = await server.post({ query: '{ things { nodes { id } } }' });

  expect(body.data.things.nodes).toHaveLength(20);
});

test('the total is counted only for who asks', async () => {
  const before = executions.totalCounts;
  await server.post({ query: '{ things { nodes { id } } }' });
  expect(executions.totalCounts).toBe(before);

  const { body } = await server.post({ query: '{ things(first: 1) { totalCount } }' });
  expect(body.data.things).toEqual({ totalCount: 25 });
  expect(executions.totalCounts).toBe(before + 1);
});

test.each([0, -1, 101, -(2 ** 31)])('a page of %i is bad input', async (first) => {
  const { body } = await server.post({ query, variables: { first } });

  expect(body.errors).toEqual([
    expect.objectContaining({ message: '`first` must be from 1 to 100.', extensions: { code: 'BAD_USER_INPUT' } }),
  ]);
});

const uuid = '00000000-0000-4000-8000-000000000024';
test.each<[string, string]>([
  ['nothing', ''],
  ['no base64', '***'],
  ['no JSON', Buffer.from('[1,').toString('base64url')],
  ['no list', Buffer.from('{"length":2}').toString('base64url')],
  ['too few values', encodeCursor([1])],
  ['too many values', encodeCursor([1, uuid, 1])],
  ['a text for a number', encodeCursor(['1', uuid])],
  ['a fraction', encodeCursor([1.5, uuid])],
  ['a number PostgreSQL cannot compare', encodeCursor([2 ** 31, uuid])],
  ['infinity', Buffer.from(`[1e999,"${uuid}"]`).toString('base64url')],
  ['a text that is no uuid', encodeCursor([1, "' or 1=1"])],
  ['a very long one', encodeCursor([1, 'x'.repeat(100_000).slice(0, 5_000)])],
])('a cursor of %s is bad input', async (_name, after) => {
  const { body } = await server.post({ query, variables: { first: 1, after } });

  expect(body.errors).toEqual([expect.objectContaining({ extensions: { code: 'BAD_USER_INPUT' } })]);
  expect(body.errors[0].message).toMatch(/^`after` is not a cursor of this list\./);
});

test('texts and instants in a cursor are checked too', () => {
  const shape = ['text', 'instant'] as const;
  const instant = '2026-12-01T00:00:00.000Z';

  expect(decodeCursor(encodeCursor(['수영', instant]), shape)).toEqual(['수영', instant]);
  for (const values of [
    ['a\0', instant],
    ['a\ud800', instant],
    ['a', '2026-13-01T00:00:00.000Z'],
    ['a', 'now'],
    ['a', '0000-01-01T00:00:00.000Z'],
  ])
    expect(() => decodeCursor(encodeCursor(values), shape)).toThrow('not a cursor of this list');
});
