import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { buildSchema, isEnumType, isInputObjectType, isInterfaceType, isObjectType } from 'graphql';

const schema = buildSchema(readFileSync('schema/schema.graphql', 'utf8'));
const types = Object.values(schema.getTypeMap()).filter(
  ({ name }) => !name.startsWith('__') && !['String', 'Int', 'Float', 'Boolean', 'ID'].includes(name),
);

/** Everything a client developer reads, by its path. */
function* described(): Generator<{ path: string; description: string | null | undefined }> {
  for (const type of types) {
    // type-graphql makes the root types and gives them no description.
    if (!['Query', 'Mutation', 'Subscription'].includes(type.name)) yield { path: type.name, description: type.description };
    if (isEnumType(type))
      for (const value of type.getValues()) yield { path: `${type.name}.${value.name}`, description: value.description };
    if (isObjectType(type) || isInterfaceType(type) || isInputObjectType(type))
      for (const field of Object.values(type.getFields())) {
        yield { path: `${type.name}.${field.name}`, description: field.description };
        if ('args' in field)
          for (const arg of field.args) yield { path: `${type.name}.${field.name}(${arg.name})`, description: arg.description };
      }
  }
}

const fields = types
  .filter((type) => isObjectType(type))
  .flatMap((type) => Object.values(type.getFields()).map((field) => ({ type: type.name, field })));

test('everything has a description that is a sentence', () => {
  const items = [...described()];

  expect(items.length).toBeGreaterThan(300);
  expect(items.filter(({ description }) => !description?.trim().endsWith('.')).map(({ path }) => path)).toEqual([]);
});

test('every list of objects and every connection has a price or a size beside it', () => {
  const multiplying = fields.filter(({ field }) => /^\[[A-Z]/.test(String(field.type)) && !isLeaf(String(field.type)));
  const unpriced = multiplying.filter(({ field }) => !field.astNode?.directives?.length);

  expect(multiplying.length).toBeGreaterThan(5);
  expect(unpriced.map(({ type, field }) => `${type}.${field.name}`)).toEqual([]);
});

test('every mutation field may be null, and answers a union with a success and named errors', () => {
  const mutations = Object.values(schema.getMutationType()?.getFields() ?? {});

  expect(mutations.length).toBeGreaterThan(8);
  expect(mutations.filter(({ type }) => String(type).endsWith('!')).map(({ name }) => name)).toEqual([]);
  expect(mutations.filter(({ type }) => !String(type).endsWith('Result')).map(({ name }) => name)).toEqual([]);
});

function isLeaf(type: string): boolean {
  const named = schema.getType(type.replace(/[[\]!]/g, ''));
  return isEnumType(named) || !(isObjectType(named) || isInterfaceType(named));
}
