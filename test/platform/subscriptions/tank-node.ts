import websocket from '@fastify/websocket';
import fastify from 'fastify';
import { buildSchema, GraphQLError, type GraphQLSchema, parse, validate } from 'graphql';
import { type Client, createClient } from 'graphql-ws';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { WebSocket } from 'ws';
import type { Viewer } from '../../../src/platform/graphql/context.ts';
import { GraphQLWebSockets, type WebSocketLimits } from '../../../src/platform/graphql/websocket.ts';
import { type FanOut, inProcessFanOut } from '../../../src/platform/subscriptions/fan-out.ts';
import { SubscriptionHub } from '../../../src/platform/subscriptions/hub.ts';
import { LiveObjects } from '../../../src/platform/subscriptions/live-objects.ts';
import { subscriptionMetrics } from '../../../src/platform/subscriptions/metrics.ts';

export interface Tank {
  id: string;
  version: number;
  level: number;
}

/** The truth of these tests: what a database would hold. */
export class Tanks {
  private readonly rows = new Map<string, Tank>();
  reads: string[][] = [];
  failing = false;

  constructor(ids: string[]) {
    for (const id of ids) this.rows.set(id, { id, version: 1, level: 10 });
  }

  get(id: string): Tank {
    const row = this.rows.get(id);
    if (!row) throw new Error(`no tank ${id}`);
    return row;
  }

  /** Commits the next version. */
  fill(id: string, level: number): Tank {
    const row = { id, version: this.get(id).version + 1, level };
    this.rows.set(id, row);
    return row;
  }

  /** Changes the state without its version, as the clock does. */
  drift(id: string, level: number): void {
    this.rows.set(id, { ...this.get(id), level });
  }

  read = async (ids: readonly string[]): Promise<Tank[]> => {
    this.reads.push([...ids]);
    if (this.failing) throw new Error('the database is away');
    return ids.flatMap((id) => this.rows.get(id) ?? []);
  };
}

const TYPE_DEFS = /* GraphQL */ `
  type Query { tank(id: ID!): Tank }
  type Mutation { fill(id: ID!): Tank }
  type Tank { id: ID!  version: Int!  level: Int!  label(prefix: String = "tank"): String!  padding: String!  greeting: String!  broken: Int!  readBy: String! }
  input Filter { a: Int  b: Int }
  type Subscription {
    "The same for everybody."
    tankChanged(ids: [ID!]!, filter: Filter): Tank!
    "Executed for each subscriber."
    myTankChanged(id: ID!): Tank!
    "Takes 50 ms to end."
    slowlyEnding: Tank!
  }
`;

interface TestContext {
  viewer: Viewer | null;
  locale: string;
  serial: number;
}

export interface TankNodeOptions {
  tanks: Tanks;
  fanOut?: FanOut;
  limits?: Partial<WebSocketLimits>;
  refreshMs?: number;
  minIntervalMs?: number;
  sessionsLive?: Set<string>;
  authenticate?: (token: string) => Promise<Viewer | null>;
  padding?: string;
}

/** A whole node as the composition root would build it, around a schema of one type. */
export async function startTankNode(options: TankNodeOptions) {
  const { tanks } = options;
  const logger = pino({ level: 'silent' });
  const registry = new Registry();
  const metrics = subscriptionMetrics(registry);
  const fanOut = options.fanOut ?? inProcessFanOut(logger);
  const live = new LiveObjects<Tank>({
    name: 'tank',
    fanOut,
    read: tanks.read,
    sameState: (a, b) => a.level === b.level,
    refreshMs: options.refreshMs ?? 3000,
    minIntervalMs: options.minIntervalMs ?? 0,
    logger,
    metrics,
  });

  /** How often the field `version` was resolved: once per execution that selects it. */
  const counts = { executions: 0, contexts: 0, failuresLeft: 0, sessionLookUps: [] as string[][] };
  const schema = tankSchema(live, counts, options.padding ?? '');
  const makeContext = (viewer: Viewer | null, locale: string): TestContext => ({ viewer, locale, serial: ++counts.contexts });
  const maskErrors = (errors: readonly GraphQLError[]) =>
    errors.map((error) =>
      error.extensions.code || error.nodes?.[0]?.kind === 'VariableDefinition' || !error.originalError
        ? error.toJSON()
        : { message: 'masked', extensions: { code: 'INTERNAL_SERVER_ERROR' } },
    );
  const formatResult = (result: { data?: unknown; errors?: readonly GraphQLError[] | undefined }, { cost }: { cost: object }) => ({
    ...(result.errors && { errors: maskErrors(result.errors) }),
    data: result.data as Record<string, unknown> | null,
    extensions: { cost },
  });

  const hub = new SubscriptionHub({
    schema,
    sources: new Map([
      [
        'tankChanged',
        {
          live,
          idsOf: ({ ids }) => {
            const asked = ids as string[];
            if (asked.includes('bad')) throw new GraphQLError('No such tank.', { extensions: { code: 'BAD_USER_INPUT' } });
            if (asked.includes('crash')) throw new Error('secret detail');
            return asked;
          },
        },
      ],
    ]),
    contextOf: (locale) => makeContext(null, locale),
    formatResult,
    logger,
    metrics,
  });

  const sessionsLive = options.sessionsLive ?? new Set(['s1', 's2']);
  const sockets = new GraphQLWebSockets({
    schema,
    hub,
    guard: {
      check(source) {
        try {
          const document = parse(source);
          const errors = validate(schema, document);
          return errors.length > 0 ? errors : { document, cost: { requested: 7, limit: 1000 } };
        } catch (error) {
          return [error as GraphQLError];
        }
      },
    },
    fanOut,
    authenticate: options.authenticate ?? (async (token) => viewerOfToken(token)),
    sessionsStillLive: async (ids) => {
      counts.sessionLookUps.push([...ids].sort());
      return new Set(ids.filter((id) => sessionsLive.has(id)));
    },
    contextOf: ({ viewer, locale }) => makeContext(viewer, locale),
    maskErrors,
    formatResult,
    // Fifty clients of this process may keep each other waiting for longer than a client may in production.
    limits: { connectionInitMs: 60_000, ...options.limits },
    logger,
    metrics,
  });
  await sockets.start();

  const app = fastify({ logger: false });
  await app.register(websocket, sockets.pluginOptions);
  app.route({ method: 'GET', url: '/graphql', handler: async () => 'use POST', wsHandler: sockets.wsHandler });
  const address = await app.listen({ port: 0, host: '127.0.0.1' });
  const url = `${address.replace('http', 'ws')}/graphql`;

  return {
    url,
    tanks,
    live,
    hub,
    sockets,
    counts,
    metrics,
    registry,
    fanOut,
    schema,
    /** Commits and publishes, as a service does. */
    change(id: string, level: number) {
      const state = tanks.fill(id, level);
      live.publish(state);
      return state;
    },
    metric: async (name: string, labels: Record<string, string> = {}) => {
      const metric = await registry.getSingleMetric(`lastseat_subscription_${name}`)?.get();
      const matching = metric?.values.filter((value) => Object.entries(labels).every(([key, label]) => value.labels[key] === label));
      return matching?.reduce((sum, { value }) => sum + value, 0) ?? 0;
    },
    async stop() {
      live.close();
      await app.close();
      if (!options.fanOut) await fanOut.close();
    },
  };
}

export type TankNode = Awaited<ReturnType<typeof startTankNode>>;

/** `token:<session>:<milliseconds to live>`; anything else is forged. */
function viewerOfToken(token: string): Viewer | null {
  const [, sessionId, ms] = /^token:(\w+):(\d+)$/.exec(token) ?? [];
  if (!sessionId) return null;
  return { memberId: `m-${sessionId}`, sessionId, role: 'MEMBER', expiresAt: new Date(Date.now() + Number(ms)) };
}

function tankSchema(live: LiveObjects<Tank>, counts: { executions: number; failuresLeft: number }, padding: string): GraphQLSchema {
  const schema = buildSchema(TYPE_DEFS);
  const subscriptions = schema.getSubscriptionType()!.getFields();
  const tank = schema.getType('Tank') as unknown as { getFields(): Record<string, { resolve: unknown }> };
  for (const field of Object.values(subscriptions)) field.resolve = (state) => state;
  subscriptions.tankChanged!.subscribe = (_root, { ids }) => live.watch(ids);
  subscriptions.myTankChanged!.subscribe = (_root, { id }) => live.watch([id]);
  subscriptions.slowlyEnding!.subscribe = () => {
    const ended = Promise.withResolvers<IteratorResult<Tank>>();
    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: () => ended.promise,
      return: async () => {
        setTimeout(() => ended.resolve({ done: true, value: undefined }), 50);
        return { done: true, value: undefined };
      },
    };
  };
  const fields = tank.getFields();
  fields.version!.resolve = (state: Tank) => {
    counts.executions++;
    return state.version;
  };
  fields.label!.resolve = (state: Tank, { prefix }: { prefix: string }) => `${prefix} ${state.id}`;
  fields.padding!.resolve = () => padding;
  fields.greeting!.resolve = (_: Tank, __: unknown, context: TestContext) => (context.locale === 'ko' ? '안녕' : 'hello');
  fields.readBy!.resolve = (_: Tank, __: unknown, { viewer, serial }: TestContext) => `${viewer?.memberId ?? 'anonymous'} #${serial}`;
  fields.broken!.resolve = (state: Tank) => {
    if (counts.failuresLeft-- > 0) throw new Error('secret detail');
    return state.level;
  };
  return schema;
}

export const TANK_CHANGED = 'subscription ($ids: [ID!]!) { tankChanged(ids: $ids) { id version level } }';

export function wsClient(url: string, connectionParams?: Record<string, unknown>): Client {
  return createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, ...(connectionParams && { connectionParams }) });
}

export interface Following<T> {
  /** Every result so far. */
  results: T[];
  /** Errors or the close event that ended it; null when it was completed. */
  ended: Promise<unknown>;
  stop(): void;
}

/** Subscribes and collects. */
export function follow<T = { tankChanged: Tank }>(
  client: Client,
  query: string,
  variables?: Record<string, unknown>,
  operationName?: string,
): Following<T> {
  const results: T[] = [];
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const stop = client.subscribe<T>(
    { query, ...(variables && { variables }), ...(operationName && { operationName }) },
    { next: ({ data }) => results.push(data as T), error: resolve, complete: () => resolve(null) },
  );
  return { results, ended: promise, stop };
}

export interface RawSocket {
  socket: WebSocket;
  messages: { id?: string; type: string; payload?: never }[];
  closed: Promise<{ code: number; reason: string }>;
  send(message: object): void;
}

/** A client that speaks the protocol by hand, for what a well-behaved one does not do. */
export async function rawSocket(
  url: string,
  options: { protocol?: string | null; init?: object | null; headers?: Record<string, string> } = {},
): Promise<RawSocket> {
  const { protocol = 'graphql-transport-ws', init = {}, headers = {} } = options;
  const socket = protocol === null ? new WebSocket(url, { headers }) : new WebSocket(url, protocol, { headers });
  const messages: RawSocket['messages'] = [];
  const closed = Promise.withResolvers<{ code: number; reason: string }>();
  socket.on('message', (data) => messages.push(JSON.parse(String(data))));
  socket.on('error', () => undefined);
  socket.on('close', (code, reason) => closed.resolve({ code, reason: String(reason) }));
  const raw: RawSocket = { socket, messages, closed: closed.promise, send: (message) => socket.send(JSON.stringify(message)) };
  await Promise.race([new Promise((resolve) => socket.once('open', resolve)), closed.promise]);
  if (init && socket.readyState === socket.OPEN) {
    raw.send({ type: 'connection_init', payload: init });
    await Promise.race([new Promise((resolve) => socket.once('message', resolve)), closed.promise]);
  }
  return raw;
}
