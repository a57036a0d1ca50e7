import { expect, test } from '@jest/globals';
import { buildSchema, getOperationAST, parse } from 'graphql';
import { keyOf, onlyVariableOf, type RootField, rootFieldOf } from '../../../src/platform/subscriptions/shared-operation.ts';

const schema = buildSchema(`
  type Query { ok: Boolean }
  type Map { version: Int  near(seat: Int): Int }
  type Subscription { changed(id: ID!, after: Int): Map }
`);

/** The key of a subscription whose `after` only says what its subscriber has. */
function keyFor(source: string, variables: Record<string, unknown>): string {
  const document = parse(source);
  const operation = getOperationAST(document)!;
  const { node } = rootFieldOf(schema, document, operation, variables) as RootField;
  return keyOf(document, operation, variables, 'en', onlyVariableOf(document, node, 'after'));
}

const PLAIN = 'subscription ($id: ID!, $after: Int) { changed(id: $id, after: $after) { version } }';

test('a variable that only says what a subscriber has does not part subscribers', () => {
  const keys = [{ id: 'a' }, { id: 'a', after: null }, { id: 'a', after: 1 }, { id: 'a', after: 2 }].map((variables) =>
    keyFor(PLAIN, variables),
  );

  expect(new Set(keys).size).toBe(1);
  expect(keyFor(PLAIN, { id: 'b', after: 1 })).not.toBe(keys[0]);
});

test.each([
  [
    'that is used for something else too',
    'subscription ($id: ID!, $after: Int) { changed(id: $id, after: $after) { version near(seat: $after) } }',
  ],
  ['of another argument', 'subscription ($id: ID!, $after: Int) { changed(id: $id) { version near(seat: $after) } }'],
])('a variable %s does', (_name, source) => {
  expect(keyFor(source, { id: 'a', after: 1 })).not.toBe(keyFor(source, { id: 'a', after: 2 }));
});

test('its name may begin like that of another', () => {
  const source = 'subscription ($id: ID!, $a: Int, $ab: Int) { changed(id: $id, after: $a) { near(seat: $ab) } }';

  expect(keyFor(source, { id: 'x', a: 1, ab: 5 })).toBe(keyFor(source, { id: 'x', a: 2, ab: 5 }));
  expect(keyFor(source, { id: 'x', a: 1, ab: 5 })).not.toBe(keyFor(source, { id: 'x', a: 1, ab: 6 }));
});

test('a version written into the document parts subscribers: the documents are two', () => {
  const source = (after: number) => `subscription { changed(id: "a", after: ${after}) { version } }`;

  expect(keyFor(source(1), {})).not.toBe(keyFor(source(2), {}));
});
