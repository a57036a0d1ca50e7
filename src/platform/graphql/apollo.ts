import { ApolloServer, type ApolloServerPlugin } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { GraphQLError, type GraphQLSchema, OperationTypeNode } from 'graphql';
import type { Logger } from 'pino';
import type { RequestContext } from './context.ts';
import type { Cost } from './cost.ts';
import { type DocumentGuard, withCost } from './limits.ts';
import type { ErrorMask } from './mask-errors.ts';
import { rememberRequestId, requestIdOf } from './request-ids.ts';

export interface ApolloOptions {
  schema: GraphQLSchema;
  /** The same guard the WebSocket side uses. */
  guard: DocumentGuard;
  /** The same mask the WebSocket side uses. */
  mask: ErrorMask;
  logger: Logger;
}

/**
 * An ApolloServer that refuses what the guard refuses, says what each operation cost, and masks errors.
 *
 * Every optional part of Apollo is switched off by name: the cache-control plugin alone instruments every field, and
 * persisted queries registered by anybody would fill a cache.
 */
export function buildApollo({ schema, guard, mask, logger }: ApolloOptions): ApolloServer<RequestContext> {
  return new ApolloServer<RequestContext>({
    schema,
    logger,
    // Read from the process otherwise; only defaults depend on it, and each one is set below.
    nodeEnv: 'production',
    // The guard's rules decide about introspection, on both transports alike.
    introspection: true,
    parseOptions: guard.parseOptions,
    validationRules: [...guard.validationRules],
    validationOptions: guard.validationOptions,
    executionOptions: { maxCoercionErrors: 10 },
    documentStore: guard.documents,
    includeStacktraceInErrorResponses: false,
    csrfPrevention: true,
    allowBatchedHttpRequests: false,
    persistedQueries: false,
    stopOnTerminationSignals: false,
    formatError: (_formatted, error) => mask(error, requestIdOf(error)),
    plugins: [
      guarding(guard),
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
    ],
  });
}

/** One plugin for everything: Apollo awaits every hook of every plugin, so several would each cost some microseconds. */
function guarding(guard: DocumentGuard): ApolloServerPlugin<RequestContext> {
  return {
    async requestDidStart() {
      let cost: Cost | undefined;
      return {
        async didResolveOperation({ document, operation, request }) {
          if (operation?.operation === OperationTypeNode.SUBSCRIPTION) throw subscriptionsNeedWebSocket();
          const admission = guard.admit({ document, operationName: request.operationName, variables: request.variables });
          cost = admission.cost;
          if (admission.refusal) throw asBadRequest(admission.refusal);
        },
        async didEncounterErrors({ errors, contextValue }) {
          for (const error of errors) rememberRequestId(error, contextValue.requestId);
        },
        async willSendResponse({ response }) {
          if (cost && response.body.kind === 'single') response.body.singleResult = withCost(response.body.singleResult, cost);
        },
      };
    },
  };
}

const subscriptionsNeedWebSocket = () =>
  asBadRequest(
    new GraphQLError('Subscriptions are served over WebSocket at this path, with the protocol graphql-transport-ws.', {
      extensions: { code: 'BAD_REQUEST' },
    }),
  );

/** Apollo answers an error of `didResolveOperation` with status 500 unless the error says otherwise. */
const asBadRequest = (error: GraphQLError) =>
  new GraphQLError(error.message, { extensions: { ...error.extensions, http: { status: 400 } } });
