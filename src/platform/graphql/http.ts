import type { ApolloServer } from '@apollo/server';
import { fastifyApolloHandler } from '@as-integrations/fastify';
import type { WebsocketHandler } from '@fastify/websocket';
import type { FastifyError, FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import type { RequestContext } from './context.ts';
import { INTERNAL_ERROR_MESSAGE } from './mask-errors.ts';
import { rememberRequestId } from './request-ids.ts';

/** Bytes of a request body. The largest operation of our own clients has under 10 KiB with its variables. */
export const BODY_BYTES_MAX = 100 * 1024;

export type ContextOf = (request: FastifyRequest, reply: FastifyReply) => RequestContext | Promise<RequestContext>;

export interface GraphqlHttpOptions {
  /** `/graphql` unless said otherwise. */
  path?: string;
  /** Takes over GET requests that upgrade. `@fastify/websocket` must be registered before. */
  wsHandler?: WebsocketHandler;
}

/**
 * Serves GraphQL over HTTP: POST with `application/json`, and GET for queries. Starts Apollo when Fastify gets ready and
 * stops it when Fastify closes. What Fastify itself refuses (body too large, not JSON, wrong type) is answered in
 * GraphQL's shape, `{ errors: [{ message, extensions: { code } }] }`, with its 4xx status.
 *
 * POST and GET are two routes because `@fastify/websocket` wants the upgrade on a route of GET alone.
 */
export function registerGraphqlHttp(
  fastify: FastifyInstance,
  apollo: ApolloServer<RequestContext>,
  contextOf: ContextOf,
  { path = '/graphql', wsHandler }: GraphqlHttpOptions = {},
): void {
  const routes: FastifyPluginAsync = async (scope) => {
    await apollo.start();
    scope.addHook('onClose', () => apollo.stop());
    // Without a parser for it, `text/plain` is refused: it is what a form of another site could send.
    scope.removeContentTypeParser('text/plain');
    scope.setErrorHandler(answerInGraphqlShape);

    const handler = fastifyApolloHandler(apollo, {
      context: async (request, reply) => {
        try {
          return await contextOf(request, reply);
        } catch (error) {
          rememberRequestId(error, request.id);
          throw error;
        }
      },
    });
    scope.route({ method: 'POST', url: path, bodyLimit: BODY_BYTES_MAX, handler });
    scope.route({ method: 'GET', url: path, exposeHeadRoute: false, handler, ...(wsHandler && { wsHandler }) });
  };
  void fastify.register(routes);
}

function answerInGraphqlShape(error: FastifyError, request: FastifyRequest, reply: FastifyReply) {
  const status = error.statusCode ?? 500;
  void reply.code(status >= 400 && status < 500 ? status : 500);
  if (reply.statusCode < 500) return { errors: [{ message: messageOf(error), extensions: { code: 'BAD_REQUEST' } }] };
  request.log.error({ err: error, requestId: request.id }, 'A GraphQL request failed outside GraphQL.');
  return { errors: [{ message: INTERNAL_ERROR_MESSAGE, extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: request.id } }] };
}

/** Our words for Fastify's refusals: its own message may quote what was sent. */
function messageOf(error: FastifyError): string {
  switch (error.statusCode) {
    case 413:
      return `The request body is larger than ${BODY_BYTES_MAX} bytes.`;
    case 415:
      return 'Send the request as `content-type: application/json`.';
    default:
      return 'The request body is not a JSON object that GraphQL over HTTP understands.';
  }
}
