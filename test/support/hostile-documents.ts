/** A request that must be refused before anything of it runs. */
export interface HostileDocument {
  name: string;
  query: string;
  variables?: Record<string, unknown>;
  operationName?: string;
  /** The code of the first error. */
  code: string;
  /** A part of the first message that says what was wrong. */
  says: string;
}

/** Where to aim: a root field with the arguments of `thing`, `touch` and `watched` of the small schema. */
export interface HostileTarget {
  keyword: 'query' | 'mutation' | 'subscription';
  field: string;
}

const repeated = (count: number, text: (index: number) => string) => Array.from({ length: count }, (_, index) => text(index)).join(' ');

const nested = (depth: number, open: string, inside: string) => `${open.repeat(depth)}${inside}${'}'.repeat(depth)}`;

/** Variables inside each other. */
const deepInput = (depth: number) => {
  let input: Record<string, unknown> = { count: 1 };
  for (let level = 0; level < depth; level++) input = { inner: input };
  return input;
};

/**
 * Documents of an attacker, for the default limits with introspection off. Both transports must refuse each of them, with
 * the same code, without running the field.
 */
export const hostileDocuments = ({ keyword, field }: HostileTarget): HostileDocument[] => {
  const invalid = 'GRAPHQL_VALIDATION_FAILED';
  const badInput = 'BAD_USER_INPUT';
  const withVariable = (type: string, argument: string) => `${keyword} ($v: ${type}) { ${field}(${argument}: $v) { name } }`;
  return [
    { name: 'no GraphQL at all', query: 'hello', code: 'GRAPHQL_PARSE_FAILED', says: 'Syntax Error' },
    { name: 'an unclosed brace', query: `${keyword} { ${field} {`, code: 'GRAPHQL_PARSE_FAILED', says: 'Syntax Error' },
    {
      name: 'more tokens than allowed',
      query: `${keyword} { ${field} { ${'name '.repeat(1000)} } }`,
      code: 'GRAPHQL_PARSE_FAILED',
      says: '1000 tokens',
    },
    { name: 'braces that never close', query: '{'.repeat(50_000), code: 'GRAPHQL_PARSE_FAILED', says: 'Syntax Error' },
    {
      name: 'a list that opens a thousand lists',
      query: `${keyword} { ${field}(ids: ${'['.repeat(20_000)}`,
      code: 'GRAPHQL_PARSE_FAILED',
      says: 'tokens',
    },
    {
      name: 'fields nested too deep',
      query: `${keyword} { ${field} { ${nested(9, 'self { ', 'name')} } }`,
      code: invalid,
      says: '11 deep',
    },
    {
      name: 'fields nested too deep through fragments',
      query: `${keyword} { ${field} { ...A } } fragment A on Thing { self { self { self { ...B } } } } fragment B on Thing { self { self { self { ...C } } } } fragment C on Thing { self { self { self { name } } } }`,
      code: invalid,
      says: '11 deep',
    },
    {
      name: 'many aliases of a field',
      query: `${keyword} { ${field} { ${repeated(31, (i) => `a${i}: name`)} } }`,
      code: invalid,
      says: '31 aliases',
    },
    {
      name: 'many aliases of __typename',
      query: `${keyword} { ${field} { ${repeated(31, (i) => `a${i}: __typename`)} } }`,
      code: invalid,
      says: '31 aliases',
    },
    {
      name: 'few aliases spread many times',
      query: `${keyword} { ${field} { a: self { ...A } b: self { ...A } c: self { ...A } d: self { ...A } } } fragment A on Thing { ${repeated(7, (i) => `x${i}: name`)} }`,
      code: invalid,
      says: '32 aliases',
    },
    {
      name: 'aliases that grow exponentially through fragments',
      query: `${keyword} { ${field} { ...F0 } } ${repeated(25, (i) => `fragment F${i} on Thing { a: self { ...F${i + 1} } b: self { ...F${i + 1} } }`)} fragment F25 on Thing { name }`,
      code: invalid,
      says: 'deep',
    },
    {
      name: 'many root fields',
      query: `${keyword} { ${repeated(21, (i) => `a${i}: ${field} { name }`)} }`,
      code: invalid,
      says: keyword === 'mutation' ? '21 mutations' : keyword === 'query' ? '21 root fields' : '',
    },
    {
      name: 'a fragment inside itself',
      query: `${keyword} { ${field} { ...A } } fragment A on Thing { self { ...A } }`,
      code: invalid,
      says: 'Cannot spread fragment "A" within itself',
    },
    {
      name: 'fragments inside each other',
      query: `${keyword} { ${field} { ...A } } fragment A on Thing { self { ...B } } fragment B on Thing { self { ...A } }`,
      code: invalid,
      says: 'within itself',
    },
    {
      name: 'many directives',
      query: `${keyword} { ${field} { ${repeated(51, () => 'name @include(if: true)')} } }`,
      code: invalid,
      says: '51 directives',
    },
    {
      name: 'a long list in the document',
      query: `${keyword} { ${field}(ids: [${repeated(101, () => '"x"')}]) { name } }`,
      code: invalid,
      says: '101 items',
    },
    {
      name: 'a long list in a default value',
      query: `${keyword} ($v: [ID!] = [${repeated(101, () => '"x"')}]) { ${field}(ids: $v) { name } }`,
      code: invalid,
      says: '101 items',
    },
    {
      name: 'a long list in the variables',
      query: withVariable('[ID!]', 'ids'),
      variables: { v: Array.from({ length: 101 }, () => 'x') },
      code: badInput,
      says: 'variables.v has 101 items',
    },
    {
      name: 'a long list deep in the variables',
      query: withVariable('ThingInput', 'input'),
      variables: { v: { inner: { ids: Array.from({ length: 101 }, () => 'x') } } },
      code: badInput,
      says: 'variables.v.inner.ids has 101 items',
    },
    {
      name: 'variables nested too deep',
      query: withVariable('ThingInput', 'input'),
      variables: { v: deepInput(1_000) },
      code: badInput,
      says: 'deep',
    },
    {
      name: 'a price above the limit',
      query: `${keyword} { ${field} { many { many { many { name } } } } }`,
      code: 'TOO_EXPENSIVE',
      says: 'more than the 1000 allowed',
    },
    {
      name: 'introspection of the schema',
      query: '{ __schema { types { name } } }',
      code: invalid,
      says: 'introspection has been disabled',
    },
    {
      name: 'introspection of a type',
      query: '{ __type(name: "Thing") { name } }',
      code: invalid,
      says: 'introspection has been disabled',
    },
    {
      name: 'an unknown field',
      query: `${keyword} { ${field} { nam } }`,
      code: invalid,
      says: 'Cannot query field "nam" on type "Thing".',
    },
    { name: 'an unknown argument', query: `${keyword} { ${field}(tex: "x") { name } }`, code: invalid, says: 'Unknown argument "tex"' },
    { name: 'an unknown type', query: `${keyword} { ${field} { ... on Thin { name } } }`, code: invalid, says: 'Unknown type "Thin".' },
    { name: 'an unknown variable', query: `${keyword} { ${field}(text: $v) { name } }`, code: invalid, says: 'not defined' },
    {
      name: 'U+0000 in a variable',
      query: withVariable('String', 'text'),
      variables: { v: 'a\0b' },
      code: badInput,
      says: 'variables.v contains U+0000',
    },
    {
      name: 'U+0000 deep in a variable',
      query: withVariable('ThingInput', 'input'),
      variables: { v: { inner: { email: 'a\0b' } } },
      code: badInput,
      says: 'variables.v.inner.email contains U+0000',
    },
    {
      name: 'U+0000 in the name of a variable',
      query: withVariable('ThingInput', 'input'),
      variables: { v: { 'a\0': 1 } },
      code: badInput,
      says: 'contains U+0000',
    },
    {
      name: 'U+0000 in the document',
      query: `${keyword} { ${field}(text: "a\\u0000b") { name } }`,
      code: badInput,
      says: `${field}.text contains U+0000`,
    },
    {
      name: 'U+0000 in a default value',
      query: `${keyword} ($v: String = "\\u0000") { ${field}(text: $v) { name } }`,
      code: badInput,
      says: '$v contains U+0000',
    },
    {
      name: 'a lone surrogate in a variable',
      query: withVariable('[ID!]', 'ids'),
      variables: { v: ['x', 'a\ud800b'] },
      code: badInput,
      says: 'variables.v[1] contains a lone surrogate',
    },
    {
      name: 'a lone surrogate in the document',
      query: `${keyword} { ${field}(text: "a\\ud800b") { name } }`,
      code: 'GRAPHQL_PARSE_FAILED',
      says: 'Syntax Error',
    },
    {
      name: 'a very long text in a variable',
      query: withVariable('String', 'text'),
      variables: { v: 'x'.repeat(20_001) },
      code: badInput,
      says: 'variables.v is longer than 20000 characters',
    },
    {
      name: 'a very long text in the document',
      query: `${keyword} { ${field}(input: { email: "${'x'.repeat(20_001)}" }) { name } }`,
      code: badInput,
      says: `${field}.input.email is longer than 20000 characters`,
    },
    {
      name: 'a huge Int in a variable',
      query: withVariable('Int', 'number'),
      variables: { v: 2 ** 31 },
      code: badInput,
      says: 'Variable "$v" got an invalid value. Expected a value of type "Int".',
    },
    {
      name: 'a huge Int in the document',
      query: `${keyword} { ${field}(number: 2147483648) { name } }`,
      code: invalid,
      says: 'Int cannot represent',
    },
    {
      name: 'a fraction for an Int',
      query: withVariable('ThingInput', 'input'),
      variables: { v: { inner: { count: 1.5 } } },
      code: badInput,
      says: 'at "v.inner.count". Expected a value of type "Int".',
    },
    {
      name: 'a text for an Int',
      query: withVariable('Int', 'number'),
      variables: { v: '1; drop table' },
      code: badInput,
      says: 'type "Int"',
    },
    {
      name: 'an object for a text',
      query: withVariable('String', 'text'),
      variables: { v: { $ne: '' } },
      code: badInput,
      says: 'type "String"',
    },
    {
      name: 'an unknown input field',
      query: withVariable('ThingInput', 'input'),
      variables: { v: { emai: 'x' } },
      code: badInput,
      says: 'Field "emai" is not defined by type "ThingInput".',
    },
    {
      name: 'a missing variable',
      query: `${keyword} ($v: String!) { ${field}(text: $v) { name } }`,
      code: badInput,
      says: 'was not provided',
    },
    {
      name: 'an unknown operation name',
      query: `${keyword} A { ${field} { name } }`,
      operationName: 'B',
      code: 'OPERATION_RESOLUTION_FAILURE',
      says: '',
    },
    {
      name: 'several operations without a name',
      query: `${keyword} A { ${field} { name } } ${keyword} B { ${field} { name } }`,
      code: 'OPERATION_RESOLUTION_FAILURE',
      says: '',
    },
  ];
};
