import { hash } from 'node:crypto';
import { GraphQLError } from 'graphql';
import type { JsonValue } from '../subscriptions/fan-out.ts';

const KEY = /^[\x21-\x7e]{1,200}$/;

/** SHA-256 over the operation and the request as canonical JSON: the order in which a client names its fields makes no difference. */
export function requestHash(operation: string, request: JsonValue): Buffer {
  return hash('sha256', `${operation}\n${canonical(request)}`, 'buffer');
}

/** The key as given. Throws BAD_USER_INPUT unless it has 1 to 200 visible ASCII characters. */
export function checkedIdempotencyKey(key: string): string {
  if (KEY.test(key)) return key;
  throw new GraphQLError('`idempotencyKey` must have 1 to 200 visible ASCII characters; a UUID is a good one.', {
    extensions: { code: 'BAD_USER_INPUT' },
  });
}

function canonical(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const entries = Object.entries(value as { [key: string]: JsonValue }).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}
