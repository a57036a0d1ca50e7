import { expect, test } from '@jest/globals';
import { buildSchema, type DocumentNode, parse } from 'graphql';
import { DocumentCache } from '../../../src/platform/graphql/document-cache.ts';
import { DEFAULT_LIMITS, guardDocument } from '../../../src/platform/graphql/limits.ts';

const guard = () => guardDocument({ schema: buildSchema('type Query { a(text: String): Int b: Int }'), limits: DEFAULT_LIMITS });

test('a valid document is parsed once', () => {
  const { parseAndValidate, documents } = guard();
  const first = parseAndValidate('{ a }') as DocumentNode;

  expect(first.kind).toBe('Document');
  expect(parseAndValidate('{ a }')).toBe(first);
  expect(documents.size).toBe(1);
});

test('what is refused is not remembered, and every refusal has a code', () => {
  const { parseAndValidate, documents } = guard();

  expect(parseAndValidate('{ a')).toEqual([expect.objectContaining({ extensions: { code: 'GRAPHQL_PARSE_FAILED' } })]);
  expect(parseAndValidate('{ aa }')).toEqual([
    expect.objectContaining({ message: 'Cannot query field "aa" on type "Query".', extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }),
  ]);
  expect(documents.size).toBe(0);
});

test('a document that is too long is answered and not remembered', () => {
  const { parseAndValidate, documents } = guard();

  expect(parseAndValidate(`{ a(text: "${'x'.repeat(9_000)}") }`)).toMatchObject({ kind: 'Document' });
  expect(documents.size).toBe(0);
});

test('a flood of documents pushes out the least recently used', () => {
  const cache = new DocumentCache(50);
  const remember = (source: string) => cache.remember(source, parse(source));
  remember('{ aaaaaaaaaaaaaaaa }');
  remember('{ bbbbbbbbbbbbbbbb }');
  cache.lookup('{ aaaaaaaaaaaaaaaa }');
  remember('{ cccccccccccccccc }');

  expect(cache.size).toBe(2);
  expect(cache.lookup('{ bbbbbbbbbbbbbbbb }')).toBeUndefined();
  expect(cache.lookup('{ aaaaaaaaaaaaaaaa }')).toBeDefined();

  cache.forget('{ aaaaaaaaaaaaaaaa }');
  cache.forget('{ aaaaaaaaaaaaaaaa }');
  remember('{ dddddddddddddddd }');
  expect(cache.size).toBe(2);
});
