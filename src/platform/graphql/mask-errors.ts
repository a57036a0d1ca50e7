import {
  type ExecutionResult,
  type FormattedExecutionResult,
  GraphQLError,
  type GraphQLFormattedError,
  type GraphQLSchema,
  Kind,
} from 'graphql';
import type { Logger } from 'pino';
import type { Cost } from './cost.ts';
import { type ErrorCode, isErrorCode } from './error-codes.ts';
import { withoutValues } from './input-messages.ts';
import { withCost } from './limits.ts';

/**
 * Turns whatever went wrong into what a client may read, for both transports. Errors we threw on purpose (a GraphQLError
 * with a code of `ERROR_CODES`) and graphql-js' own about the request pass, without the values they quote and, when
 * introspection is off, without names of the schema they suggest. Everything else is logged, once, and shown as
 * `INTERNAL_SERVER_ERROR` with the request id and nothing more. Never throws.
 */
export type ErrorMask = (error: unknown, requestId: string | undefined) => GraphQLFormattedError;

export const INTERNAL_ERROR_MESSAGE = 'Something went wrong on our side. Quote the request id when you report it.';

export interface ErrorMaskOptions {
  schema: GraphQLSchema;
  introspection: boolean;
  logger: Pick<Logger, 'error'>;
}

export function maskErrors({ schema, introspection, logger }: ErrorMaskOptions): ErrorMask {
  return (error, requestId) => {
    const code = codeOf(error);
    if (code === undefined || !(error instanceof GraphQLError)) {
      const path = error instanceof GraphQLError ? error.path : undefined;
      logger.error({ err: causeOf(error), requestId, path: path?.join('.') }, 'A GraphQL request failed unexpectedly.');
      return {
        message: INTERNAL_ERROR_MESSAGE,
        ...placeOf(error),
        extensions: { code: 'INTERNAL_SERVER_ERROR', ...(requestId && { requestId }) },
      };
    }
    const { http: _, stacktrace: __, ...extensions } = error.extensions;
    // What a resolver throws has a path, and words of its own.
    const message = error.path === undefined || isAboutInput(error) ? withoutValues(error, schema) : error.message;
    return {
      message: introspection ? message : withoutSuggestions(message),
      ...placeOf(error),
      extensions: { ...extensions, code },
    };
  };
}

/** A result as a client may read it: errors masked, and what the operation cost. For WebSocket; Apollo has hooks of its own. */
export function formatResult(
  mask: ErrorMask,
  { errors, ...result }: ExecutionResult,
  { cost, requestId }: { cost: Cost; requestId: string },
): FormattedExecutionResult {
  return withCost({ ...(errors && { errors: errors.map((error) => mask(error, requestId)) }), ...result }, cost);
}

/** The code a client may see, or undefined if the error is not for clients. */
function codeOf(error: unknown): ErrorCode | undefined {
  if (!(error instanceof GraphQLError)) return undefined;
  // An error located at a field copies `extensions` of what was thrown there, also of a foreign error: look at the thrown one.
  const isForeign = error.path !== undefined && error.originalError !== undefined && !(error.originalError instanceof GraphQLError);
  if (isForeign) return undefined;
  if (isErrorCode(error.extensions.code)) return error.extensions.code;
  return isAboutInput(error) ? 'BAD_USER_INPUT' : undefined;
}

const VALUE_KINDS: ReadonlySet<string> = new Set([
  Kind.VARIABLE,
  Kind.INT,
  Kind.FLOAT,
  Kind.STRING,
  Kind.BOOLEAN,
  Kind.NULL,
  Kind.ENUM,
  Kind.LIST,
  Kind.OBJECT,
]);

/** graphql-js gives no code to what it finds wrong with variables and arguments while it starts to execute. */
function isAboutInput(error: GraphQLError): boolean {
  if (error.message.startsWith('Too many errors processing variables'))
    return error.path === undefined && error.originalError === undefined;
  const kind = error.nodes?.[0]?.kind;
  if (kind === Kind.VARIABLE_DEFINITION) return error.path === undefined;
  // Only graphql-js names a value as the place of an error; what a resolver throws is located at its field.
  return kind !== undefined && VALUE_KINDS.has(kind) && error.message.startsWith('Argument "');
}

function causeOf(error: unknown): unknown {
  let cause = error;
  while (cause instanceof GraphQLError && cause.originalError) cause = cause.originalError;
  return cause;
}

function placeOf(error: unknown): Pick<GraphQLFormattedError, 'locations' | 'path'> {
  if (!(error instanceof GraphQLError)) return {};
  return { ...(error.locations && { locations: error.locations }), ...(error.path && { path: error.path }) };
}

/** graphql-js appends ` Did you mean "a", "b", or "c"?` to a sentence, and nothing after it. */
const withoutSuggestions = (message: string) => message.replace(/ ?Did you mean [^?]*\?$/, '');
