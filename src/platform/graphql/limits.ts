import {
  type DocumentNode,
  GraphQLError,
  type GraphQLSchema,
  type ParseOptions,
  parse,
  specifiedRules,
  type ValidationRule,
  validate,
} from 'graphql';
import { type Cost, costOf, hasOperation } from './cost.ts';
import { DocumentCache } from './document-cache.ts';
import { documentLimitRules } from './document-limits.ts';
import { findBadLiteral, findBadVariable } from './text-hygiene.ts';

/** What one GraphQL request may ask for. Both transports refuse more than this before anything is executed. */
export interface GraphqlLimits {
  /** Lexical tokens of a document. Bounds the time of parsing and validating. */
  tokensMax: number;
  /** Fields inside fields; a root field alone is 1. */
  depthMax: number;
  /** Aliased fields of an operation, fragments expanded, `__typename` counted like any other. */
  aliasesMax: number;
  /** Root fields of one mutation: they run one after the other, each in its own transaction. */
  rootMutationsMax: number;
  /** Root fields of one query or subscription. */
  rootFieldsMax: number;
  /** Items of any list in variables or literals. */
  listItemsMax: number;
  /** The price of an operation, see `costOf`. */
  costMax: number;
  /** Directives written in a document. */
  directivesMax: number;
  /** Whether `__schema` and `__type` may be asked and error messages may suggest names of the schema. */
  introspection: boolean;
}

/**
 * The largest operation of our own clients uses about a third of each number. Introspection is off unless the
 * configuration switches it on; while on, it is limited too (see document-limits.ts and cost.ts).
 */
export const DEFAULT_LIMITS: Readonly<GraphqlLimits> = {
  tokensMax: 1000,
  depthMax: 10,
  aliasesMax: 30,
  rootMutationsMax: 5,
  rootFieldsMax: 20,
  listItemsMax: 100,
  costMax: 1000,
  directivesMax: 50,
  introspection: false,
};

/** Validation stops after so many errors: a hostile document would otherwise buy a long answer. */
const VALIDATION_ERRORS_MAX = 10;

export interface OperationRequest {
  document: DocumentNode;
  operationName: string | null | undefined;
  variables: Readonly<Record<string, unknown>> | null | undefined;
}

/** What was decided about an operation before its execution. `refusal` is null when it may run. */
export interface Admission {
  cost: Cost;
  refusal: GraphQLError | null;
}

export interface DocumentGuard {
  readonly limits: Readonly<GraphqlLimits>;
  /** For Apollo: our rules, to run beside the specified ones. */
  readonly validationRules: readonly ValidationRule[];
  readonly validationOptions: { maxErrors: number; hideSuggestions: boolean };
  readonly parseOptions: ParseOptions;
  /** Validated documents, shared by both transports. Apollo uses it by hash, WebSocket by source. */
  readonly documents: DocumentCache;
  /** Parses and validates, or returns why not: each error with its code. Never throws. Valid documents are remembered by source. */
  parseAndValidate(source: string): DocumentNode | readonly GraphQLError[];
  /** Judges a valid document together with its variables: text, list sizes, cost. Never throws. */
  admit(request: OperationRequest): Admission;
  /** Both in one: what WebSocket asks for each `subscribe`. Wrong types of variables are found by graphql-js when it executes. */
  check(
    source: string,
    operationName: string | null | undefined,
    variables: Readonly<Record<string, unknown>> | null | undefined,
  ): { document: DocumentNode; cost: Cost } | readonly GraphQLError[];
}

/** The one guard of both transports: Apollo (HTTP) and graphql-ws must be given the same instance. */
export function guardDocument({ schema, limits }: { schema: GraphQLSchema; limits: Readonly<GraphqlLimits> }): DocumentGuard {
  const parseOptions: ParseOptions = { maxTokens: limits.tokensMax };
  const validationOptions = { maxErrors: VALIDATION_ERRORS_MAX, hideSuggestions: !limits.introspection };
  const validationRules = documentLimitRules(limits);
  const rules = [...validationRules, ...specifiedRules];
  const documents = new DocumentCache();

  function parseAndValidate(source: string): DocumentNode | readonly GraphQLError[] {
    const cached = documents.lookup(source);
    if (cached) return cached;
    let document: DocumentNode;
    try {
      document = parse(source, parseOptions);
    } catch (error) {
      return [coded(error as GraphQLError, 'GRAPHQL_PARSE_FAILED')];
    }
    const errors = validate(schema, document, rules, validationOptions);
    if (errors.length > 0) return errors.map((error) => coded(error, 'GRAPHQL_VALIDATION_FAILED'));
    documents.remember(source, document);
    return document;
  }

  function admit({ document, operationName, variables }: OperationRequest): Admission {
    const cost: Cost = { requested: 0, limit: limits.costMax };
    if (!hasOperation(schema, document, operationName)) return { cost, refusal: noSuchOperation() };
    const bad = findBadLiteral(document) ?? (variables ? findBadVariable(variables, limits.listItemsMax) : null);
    if (bad) return { cost, refusal: badInput(bad) };
    cost.requested = costOf(schema, document, operationName, variables);
    return { cost, refusal: cost.requested > limits.costMax ? tooExpensive(cost) : null };
  }

  const check: DocumentGuard['check'] = (source, operationName, variables) => {
    const document = parseAndValidate(source);
    if (!('kind' in document)) return document;
    const { cost, refusal } = admit({ document, operationName, variables });
    return refusal ? [refusal] : { document, cost };
  };

  return { limits, validationRules, validationOptions, parseOptions, documents, parseAndValidate, admit, check };
}

/** Says in a result of either transport what the operation cost. */
export function withCost<Result extends { extensions?: Record<string, unknown> | null | undefined }>(result: Result, cost: Cost) {
  return { ...result, extensions: { ...result.extensions, cost } };
}

const badInput = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });

const noSuchOperation = () =>
  new GraphQLError('The document has no operation of this name, or several and `operationName` is missing.', {
    extensions: { code: 'OPERATION_RESOLUTION_FAILURE' },
  });

const tooExpensive = (cost: Cost) =>
  new GraphQLError(`This operation costs ${cost.requested}, more than the ${cost.limit} allowed. Ask for fewer items or fewer fields.`, {
    extensions: { code: 'TOO_EXPENSIVE', ...cost },
  });

const coded = (error: GraphQLError, code: string) =>
  new GraphQLError(error.message, {
    nodes: error.nodes ?? null,
    source: error.source ?? null,
    positions: error.positions ?? null,
    extensions: { ...error.extensions, code },
  });
