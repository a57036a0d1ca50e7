import 'reflect-metadata';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { RequestContext } from '../../../src/platform/graphql/context.ts';
import { nodeTypesWithoutLoader, parseNodeId, toNodeId, uuidOf } from '../../../src/platform/graphql/node-ids.ts';
import { buildSmallSchema } from '../../support/small-schema.ts';
import { startGraphqlServer } from './graphql-server.ts';

const UUID = '0192d5f0-7c1e-7abc-8def-0123456789ab';
const encoded = (text: string) => Buffer.from(text).toString('base64url');

test('an id carries its type and uuid, opaque and safe in a URL', () => {
  expect(toNodeId('Thing', UUID)).toBe('VGhpbmc6MDE5MmQ1ZjAtN2MxZS03YWJjLThkZWYtMDEyMzQ1Njc4OWFi');
  expect(parseNodeId(toNodeId('Thing', UUID))).toEqual({ type: 'Thing', uuid: UUID });
  expect(parseNodeId(toNodeId('Thing', UUID), 'Other', 'Thing')).toEqual({ type: 'Thing', uuid: UUID });
  expect(parseNodeId(toNodeId('Thing', UUID), 'Other')).toBeNull();
});

test.each([
  ['nothing', ''],
  ['a bare uuid', UUID],
  ['no type', encoded(`:${UUID}`)],
  ['no colon', encoded(`Thing${UUID}`)],
  ['a type in lower case', encoded(`thing:${UUID}`)],
  ['a uuid in upper case', encoded(`Thing:${UUID.toUpperCase()}`)],
  ['a short uuid', encoded('Thing:0192d5f0')],
  ['something after it', encoded(`Thing:${UUID}'`)],
  ['a line break after it', encoded(`Thing:${UUID}\n`)],
  ['padding', `${toNodeId('Things', UUID)}=`],
  ['other letters between', ` ${toNodeId('Thing', UUID)}`],
  ['a very long text', 'VGhpbmc6'.repeat(10_000)],
])('%s is no id', (_name, id) => {
  expect(parseNodeId(id)).toBeNull();
  expect(() => uuidOf(id, 'Thing')).toThrow(
    expect.objectContaining({ message: 'This is not an id of Thing.', extensions: { code: 'BAD_USER_INPUT' } }),
  );
});

test('an id of another type is refused with both types', () => {
  expect(uuidOf(toNodeId('Thing', UUID), 'Thing', 'Other')).toBe(UUID);
  expect(() => uuidOf(toNodeId('Pool', UUID), 'Thing', 'Other')).toThrow(
    'This is the id of a Pool; an id of Thing or Other is expected here.',
  );
});

test('every text either is the one id of its node or none', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.base64String(),
        fc.uuid().map((uuid) => toNodeId('Thing', uuid)),
      ),
      (id) => {
        const node = parseNodeId(id);
        if (node) expect(toNodeId(node.type, node.uuid)).toBe(id);
      },
    ),
  );
});

describe('the query node', () => {
  const seen: { uuid: string; requestId: string }[] = [];
  const nodeTypes = new Map([
    [
      'Thing',
      async (context: RequestContext, uuid: string) => {
        seen.push({ uuid, requestId: context.requestId });
        return uuid === UUID ? { id: 'as the entity has it', name: 'found' } : null;
      },
    ],
  ]);
  const query = 'query ($id: ID!) { node(id: $id) { __typename id ... on Thing { name } } }';

  test('reads any known type, as an entity that is no instance of its GraphQL class', async () => {
    await using server = await startGraphqlServer(await buildSmallSchema(nodeTypes));
    const answer = await server.post({ query, variables: { id: toNodeId('Thing', UUID) } });

    expect(answer.body.data).toEqual({ node: { __typename: 'Thing', id: 'as the entity has it', name: 'found' } });
    expect(seen).toEqual([{ uuid: UUID, requestId: 'request-req-1' }]);
  });

  test('answers null for what is malformed, unknown or of a type nobody loads', async () => {
    seen.length = 0;
    await using server = await startGraphqlServer(await buildSmallSchema(nodeTypes));
    const ids = ['x', toNodeId('Thing', UUID.replace('0', '1')), toNodeId('Member', UUID), toNodeId('Query', UUID)];
    const answers = await Promise.all(ids.map((id) => server.post({ query, variables: { id } })));

    expect(answers.map(({ body }) => [body.data, body.errors])).toEqual(ids.map(() => [{ node: null }, undefined]));
    expect(seen).toHaveLength(1);
  });

  test('a type without a loader is found at start', async () => {
    const schema = await buildSmallSchema();

    expect(nodeTypesWithoutLoader(Object.values(schema.getTypeMap()), nodeTypes)).toEqual([]);
    expect(nodeTypesWithoutLoader(Object.values(schema.getTypeMap()), new Map())).toEqual(['Thing']);
  });
});
