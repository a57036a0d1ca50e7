import {
  type GraphQLError,
  type GraphQLInputType,
  type GraphQLSchema,
  getNullableType,
  isInputObjectType,
  isInputType,
  isListType,
  Kind,
  typeFromAST,
} from 'graphql';

/**
 * The message of an error about input without the value it quotes: graphql-js prints the whole value, which may be a
 * password, and messages end up in the logs of browsers and proxies. Names and types stay.
 */
export function withoutValues(error: GraphQLError, schema: GraphQLSchema): string {
  const node = error.nodes?.[0];
  if (node?.kind === Kind.VARIABLE_DEFINITION && error.message.includes('" got invalid value ')) {
    return messageOfVariable(node.variable.name.value, typeFromAST(schema, node.type), error);
  }
  return error.message
    .replace(/^(Argument "\w+" has invalid value) [\s\S]*$/, '$1.')
    .replace(/, found [\s\S]*$/, '.')
    .replace(/^((?:Int|Float|String|Boolean|ID|Enum "\w+") cannot represent [^:"]*)[:"][\s\S]*$/, '$1.')
    .replace(/^(?!Int |Float |String |Boolean |ID |Enum )(\w+) cannot represent [\s\S]*$/, 'Expected value of type "$1".')
    .replace(/^Value "[\s\S]*" does not exist in/, 'The value does not exist in');
}

/** Messages of graphql-js that name only types and fields. All others may quote the value. */
const SAFE =
  /^(Expected non-nullable type|Expected type "[^"]+" to be an object|Field "[^"]{1,100}" (of required type|is not defined|must be non-null)|Exactly one key)/;

function messageOfVariable(name: string, type: unknown, error: GraphQLError): string {
  const reason = error.originalError?.message ?? '';
  // The message is `Variable "$x" got invalid value <value> at "x.path"; <reason>`. A printed value escapes its quotes, so
  // only a real path ends in this shape.
  const beforeReason = error.message.slice(0, error.message.length - reason.length - '; '.length);
  const path = / at "([^"]*)"$/.exec(beforeReason)?.[1];
  const place = path ? ` at "${path}"` : '';
  const expected = SAFE.test(reason) ? reason : `Expected a value of type "${typeAt(type, path ?? name) ?? type}".`;
  return `Variable "$${name}" got an invalid value${place}. ${expected}`;
}

/** The input type at a path such as `input.items[0].count`, whose first name is the variable's. */
function typeAt(type: unknown, path: string): GraphQLInputType | undefined {
  let current = isInputType(type) ? type : undefined;
  for (const [, key, index] of path.matchAll(/\.(\w+)|\[(\d+)\]/g)) {
    const nullable = current && getNullableType(current);
    if (index !== undefined) current = isListType(nullable) ? nullable.ofType : undefined;
    else current = isInputObjectType(nullable) ? nullable.getFields()[key ?? '']?.type : undefined;
  }
  return current;
}
