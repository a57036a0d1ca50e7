import Fastify, { type FastifyInstance } from 'fastify';
import type { GraphQLSchema } from 'graphql';
import { pino } from 'pino';
import { buildApollo } from '../../../src/platform/graphql/apollo.ts';
import type { RequestContext } from '../../../src/platform/graphql/context.ts';
import { type ContextOf, type GraphqlHttpOptions, registerGraphqlHttp } from '../../../src/platform/graphql/http.ts';
import { DEFAULT_LIMITS, type GraphqlLimits, guardDocument } from '../../../src/platform/graphql/limits.ts';
import { maskErrors } from '../../../src/platform/graphql/mask-errors.ts';

export interface GraphqlAnswer {
  status: number;
  headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests look at.
  body: any;
  text: string;
}

export interface GraphqlServer extends AsyncDisposable {
  fastify: FastifyInstance;
  url: string;
  /** Lines the server logged, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: the shape is what the tests look at.
  logged: any[];
  send(path: string, init?: RequestInit): Promise<GraphqlAnswer>;
  post(request: object): Promise<GraphqlAnswer>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface GraphqlServerOptions extends GraphqlHttpOptions {
  limits?: Partial<GraphqlLimits>;
  contextOf?: ContextOf;
  prepare?: (fastify: FastifyInstance) => void | Promise<void>;
}

/** A real server on a free port, as the application wires it, with a schema of the test. */
export async function startGraphqlServer(schema: GraphQLSchema, options: GraphqlServerOptions = {}): Promise<GraphqlServer> {
  const logged: unknown[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const guard = guardDocument({ schema, limits: { ...DEFAULT_LIMITS, ...options.limits } });
  const mask = maskErrors({ schema, introspection: guard.limits.introspection, logger });
  const fastify = Fastify();
  await options.prepare?.(fastify);
  const contextOf: ContextOf = (request) => ({ requestId: `request-${request.id}` }) as RequestContext;
  registerGraphqlHttp(fastify, buildApollo({ schema, guard, mask, logger }), options.contextOf ?? contextOf, options);
  const url = await fastify.listen({ host: '127.0.0.1', port: 0 });

  async function send(path: string, init?: RequestInit): Promise<GraphqlAnswer> {
    const response = await fetch(url + path, init);
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    return { status: response.status, headers: response.headers, text, body: isJson ? JSON.parse(text) : undefined };
  }

  return {
    fastify,
    url,
    logged,
    send,
    post: (request) => send('/graphql', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(request) }),
    [Symbol.asyncDispose]: async () => {
      await fastify.close();
    },
  };
}
