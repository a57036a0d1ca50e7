import 'reflect-metadata';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { buildSchema, type DocumentNode, type GraphQLSchema, parse, validate } from 'graphql';
import { costOf, hasOperation } from '../../../src/platform/graphql/cost.ts';
import { buildSmallSchema } from '../../support/small-schema.ts';

let schema: GraphQLSchema;
beforeAll(async () => {
  schema = await buildSmallSchema();
});

const valid = (source: string): DocumentNode => {
  const document = parse(source);
  expect(validate(schema, document)).toEqual([]);
  return document;
};
const cost = (source: string, variables?: Record<string, unknown>, operationName?: string) =>
  costOf(schema, valid(source), operationName, variables);

describe('the price of', () => {
  test.each<[string, string, Record<string, unknown> | undefined, number]>([
    ['a scalar of the query root', '{ requestId }', undefined, 0],
    ['__typename', '{ __typename }', undefined, 0],
    ['an object', '{ thing { id name } }', undefined, 1],
    ['objects inside', '{ thing { self { self { id } } } }', undefined, 3],
    ['an object without a price', '{ thing { price { currency } } }', undefined, 2],
    ['a mutation', 'mutation { touch { id } }', undefined, 10],
    ['a subscription', 'subscription { watched { id } }', undefined, 5],
    ['the same field twice', '{ a: thing { id } b: thing { id } }', undefined, 2],
    ['a list of a declared size', '{ thing { many { id } } }', undefined, 1 + 31],
    ['a list in a list', '{ thing { many { many { id } } } }', undefined, 1 + 31 * (1 + 31)],
    ['a list as long as its argument', '{ some(ids: ["a", "b", "c"]) { self { id } } }', undefined, 3 * 2],
    ['a list for one id that is no list', '{ some(ids: "a") { id } }', undefined, 1],
    ['a list for no ids', '{ some(ids: []) { self { id } } }', undefined, 0],
    ['a mutation times a list inside its input', 'mutation { claim(input: { ids: ["a", "b"] }) }', undefined, 10],
    ['the same by a variable', 'mutation ($v: ThingInput!) { claim(input: $v) }', { v: { ids: ['a', 'b', 'c'] } }, 15],
    ['the same by a variable inside', 'mutation ($v: [ID!]) { claim(input: { ids: $v }) }', { v: ['a', 'b', 'c', 'd'] }, 20],
    ['a mutation whose list is absent', 'mutation { claim(input: {}) }', undefined, 5 * 20],
    ['a page of the default size', '{ things { nodes { id } } }', undefined, 1 + 20],
    ['a page of a size', '{ things(first: 3) { nodes { self { id } } } }', undefined, 1 + 3 * 2],
    ['a page by edges', '{ things(first: 3) { edges { cursor node { id } } } }', undefined, 1 + 3 * 1],
    ['a page through a fragment', '{ things(first: 3) { ...A } } fragment A on ThingConnection { ... { nodes { id } } }', undefined, 1 + 3],
    ['page info', '{ things(first: 3) { pageInfo { hasNextPage } } }', undefined, 1],
    ['a total count, once whatever the page', '{ things(first: 100) { totalCount } }', undefined, 1 + 10],
    ['a page by a variable', 'query ($n: Int!) { things(first: $n) { nodes { id } } }', { n: 7 }, 1 + 7],
    ['a page by an absent variable', 'query ($n: Int) { things(first: $n) { nodes { id } } }', {}, 1 + 20],
    ['a page by the default of a variable', 'query ($n: Int = 4) { things(first: $n) { nodes { id } } }', {}, 1 + 4],
    ['a page of a negative size', '{ things(first: -5) { nodes { id } } }', undefined, 1],
    ['what is skipped, as if it were not', '{ thing @skip(if: true) { id } }', undefined, 1],
    ['a fragment', '{ thing { ...A } } fragment A on Thing { self { id } }', undefined, 2],
    ['an interface', '{ node(id: "x") { id ... on Thing { self { id } } } }', undefined, 2],
    ['the schema', '{ __schema { types { name } } }', undefined, 600],
  ])('%s', (_what, source, variables, expected) => {
    expect(cost(source, variables)).toBe(expected);
  });
});

test('each operation of a document has its own price', () => {
  const source = 'query A { thing { id } } mutation B { touch { id } }';

  expect(cost(source, {}, 'A')).toBe(1);
  expect(cost(source, {}, 'B')).toBe(10);
  expect(cost(source, {}, 'C')).toBe(0);
  expect(hasOperation(schema, valid(source), 'C')).toBe(false);
  expect(hasOperation(schema, valid(source), undefined)).toBe(false);
  expect(hasOperation(schema, valid('query A { thing { id } }'), undefined)).toBe(true);
});

test('variables of a wrong type neither throw nor make an operation free', () => {
  const document = valid('query ($n: Int!, $ids: [ID!]!) { things(first: $n) { nodes { id } } some(ids: $ids) { id } }');

  for (const value of ['x', {}, [], true, Number.NaN, Number.POSITIVE_INFINITY, -1, 1e308, null, undefined]) {
    const price = costOf(schema, document, undefined, { n: value, ids: value });
    expect(price).toBeGreaterThanOrEqual(1);
    expect(price).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER);
  }
});

test('a document that spreads fragments without end is priced as the most there is, at once', () => {
  const fragments = Array.from({ length: 30 }, (_, i) => `fragment F${i} on Thing { a: self { ...F${i + 1} } b: self { ...F${i + 1} } }`);
  const document = parse(`{ thing { ...F0 } } ${fragments.join(' ')} fragment F30 on Thing { id }`);
  const cycle = parse('{ thing { ...A } } fragment A on Thing { self { ...A } }');

  expect(costOf(schema, document, undefined, {})).toBe(Number.MAX_SAFE_INTEGER);
  expect(costOf(schema, cycle, undefined, {})).toBe(2);
});

test('an unpriced list of objects counts as 20', () => {
  const plain = buildSchema('type Query { items: [Item!]! names: [String!]! } type Item { id: ID! }');

  expect(costOf(plain, parse('{ items { id } }'), undefined, {})).toBe(20);
  expect(costOf(plain, parse('{ names }'), undefined, {})).toBe(0);
});

/** A selection of things, written twice: with literals, and with variables and their values. */
interface Written {
  literal: string;
  withVariables: string;
  definitions: string[];
  variables: Record<string, unknown>;
}

const selection = fc.letrec<{ inside: (id: number) => Written }>((tie) => ({
  inside: fc.oneof(
    { maxDepth: 3 },
    fc.constant(() => both('id')),
    tie('inside').map((inner) => (id: number) => wrapped('self', inner(id))),
    tie('inside').map((inner) => (id: number) => wrapped('many', inner(id))),
  ),
})).inside;

const both = (text: string): Written => ({ literal: text, withVariables: text, definitions: [], variables: {} });
const wrapped = (field: string, inner: Written): Written => ({
  ...inner,
  literal: `${field} { ${inner.literal} }`,
  withVariables: `${field} { ${inner.withVariables} }`,
});

const rootField = fc.record({
  kind: fc.constantFrom('things', 'some'),
  size: fc.integer({ min: 0, max: 100 }),
  inside: selection,
});

test('an operation costs the same with variables as with literals', () => {
  const property = fc.property(fc.array(rootField, { minLength: 1, maxLength: 5 }), (fields) => {
    const parts = fields.map(({ kind, size, inside }, index): Written => {
      const inner = inside(index);
      const ids = Array.from({ length: size }, (_, id) => `i${id}`);
      const [argument, type, literal, value] =
        kind === 'things' ? ['first', 'Int!', String(size), size] : ['ids', '[ID!]!', JSON.stringify(ids), ids];
      const body = (text: string) => (kind === 'things' ? `{ nodes { ${text} } edges { node { ${text} } } }` : `{ ${text} }`);
      return {
        literal: `f${index}: ${kind}(${argument}: ${literal}) ${body(inner.literal)}`,
        withVariables: `f${index}: ${kind}(${argument}: $v${index}) ${body(inner.withVariables)}`,
        definitions: [`$v${index}: ${type}`],
        variables: { [`v${index}`]: value },
      };
    });
    const literal = `{ ${parts.map((part) => part.literal).join(' ')} }`;
    const withVariables = `query (${parts.flatMap((part) => part.definitions).join(', ')}) { ${parts.map((part) => part.withVariables).join(' ')} }`;
    const variables = Object.assign({}, ...parts.map((part) => part.variables));

    expect(cost(withVariables, variables)).toBe(cost(literal));
  });
  fc.assert(property, { numRuns: 200 });
});
