/**
 * The codes a client may meet in top-level `errors`. Everything else that goes wrong is shown as `INTERNAL_SERVER_ERROR`.
 * Expected outcomes of a mutation are not here: they are members of its result union.
 */
export const ERROR_CODES = [
  'BAD_REQUEST',
  'BAD_USER_INPUT',
  'FORBIDDEN',
  'GRAPHQL_PARSE_FAILED',
  'GRAPHQL_VALIDATION_FAILED',
  'OPERATION_RESOLUTION_FAILURE',
  'PERSISTED_QUERY_NOT_SUPPORTED',
  'SUBSCRIPTIONS_ONLY',
  'TOO_EXPENSIVE',
  'TOO_MANY_REQUESTS',
  'TOO_MANY_SUBSCRIPTIONS',
  'UNAUTHENTICATED',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

const known: ReadonlySet<unknown> = new Set(ERROR_CODES);

export const isErrorCode = (code: unknown): code is ErrorCode => known.has(code);
