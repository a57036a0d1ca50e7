/**
 * What the benches of subscriptions share: many sockets that listen to one object, and the three ways in which they are served.
 *
 * - `raw`: `ws` writes the same text to every socket. The limit.
 * - `hub`: graphql-ws with the subscription hub: executed once, serialised once, written to every socket.
 * - `each`: graphql-ws as it is usually set up: every subscriber executes its own selection.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import websocket from '@fastify/websocket';
import fastify, { type FastifyInstance } from 'fastify';
import { type GraphQLSchema, parse, validate } from 'graphql';
import { makeHandler } from 'graphql-ws/use/@fastify/websocket';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { WebSocket, WebSocketServer } from 'ws';
import { GraphQLWebSockets } from '../src/platform/graphql/websocket.ts';
import { inProcessFanOut } from '../src/platform/subscriptions/fan-out.ts';
import { type HubOptions, SubscriptionHub } from '../src/platform/subscriptions/hub.ts';
import { subscriptionMetrics } from '../src/platform/subscriptions/metrics.ts';
import { ownCpuMicros } from './calls.ts';

export const WAYS = ['raw', 'hub', 'each'] as const;
export type Way = (typeof WAYS)[number];

export interface Server<State> {
  url: string;
  publish(state: State): void;
  stop(): Promise<void>;
}

/** Every listener has this version, 99 % of them since `mostAt`, in milliseconds of the epoch. */
interface Received {
  version: number;
  mostAt: number;
  allAt: number;
}

/** Versions on their way at once: with one, each would wait for the slowest listener with the server idle. */
const WINDOW = 2;

export const now = () => performance.timeOrigin + performance.now();
export const round = (value: number) => Math.round(value * 100) / 100;

/** The listeners of a server, in a process of their own: the script that calls this, started again with `--load`. Answers when all are listening. */
export async function startListeners(script: string, { way, url, count }: { way: Way; url: string; count: number }) {
  const load = fork(script, ['--load', way, '--url', url, '--count', String(count)]);
  const exited = once(load, 'exit').then(() => {
    throw new Error('the load generator ended early');
  });
  exited.catch(() => undefined);
  await Promise.race([once(load, 'message'), exited]);
  let last: Received = { version: 1, mostAt: 0, allAt: 0 };
  load.on('message', (received: Received) => {
    last = received;
  });
  const has = async (version: number) => {
    while (last.version < version) await nextTurn();
    return last;
  };
  return {
    /** Waits until every listener has this version. */
    has,
    /** As fast as it goes: `publish` sends a next version whenever every listener has the one before the last. Counts from version 1. */
    async rush(publish: (version: number) => void, seconds: number) {
      const cpu = ownCpuMicros();
      const startedAt = performance.now();
      let version = 1;
      while (performance.now() - startedAt < seconds * 1000) {
        if (version - last.version < WINDOW) publish(++version);
        await nextTurn();
      }
      await has(version);
      const elapsedS = (performance.now() - startedAt) / 1000;
      const messages = (version - 1) * count;
      return {
        messagesPerSecond: Math.round(messages / elapsedS),
        serverCpuMicrosPerMessage: round((ownCpuMicros() - cpu) / messages),
      };
    },
    stop: () => load.kill(),
  };
}

/** The flags that {@link startListeners} gives to its process. */
export const LOAD_FLAGS = { load: { type: 'string' }, url: { type: 'string' }, count: { type: 'string' } } as const;

/** What the process of {@link startListeners} does. It looks for versions in the bytes only: parsing would cost the shared processor more than delivering does. */
export async function listen(
  { load: way, url = '', count: counted }: { load?: string | undefined; url?: string | undefined; count?: string | undefined },
  subscription: { query: string; variables: object },
): Promise<void> {
  process.on('disconnect', () => process.exit());
  const count = Number(counted);
  const most = Math.ceil(count * 0.99);
  const got = new Map<number, { count: number; mostAt: number }>();
  const receive = (version: number) => {
    const received = got.get(version) ?? { count: 0, mostAt: 0 };
    if (received.count === 0) got.set(version, received);
    received.count++;
    if (received.count === most) received.mostAt = now();
    if (received.count < count) return;
    got.delete(version);
    process.send?.({ version, mostAt: received.mostAt, allAt: now() } satisfies Received);
  };
  for (let n = 0; n < count; n++) {
    const socket =
      way === 'raw'
        ? new WebSocket(url, { perMessageDeflate: false })
        : new WebSocket(url, 'graphql-transport-ws', { perMessageDeflate: false });
    socket.on('message', (data: Buffer) => {
      const at = data.indexOf(VERSION);
      if (at >= 0) receive(versionAt(data, at + VERSION.length));
      else if (data.includes('connection_ack'))
        socket.send(JSON.stringify({ id: crypto.randomUUID(), type: 'subscribe', payload: subscription }));
    });
    await once(socket, 'open');
    if (way !== 'raw') socket.send('{"type":"connection_init"}');
  }
}

const VERSION = Buffer.from('"version":');

function versionAt(data: Buffer, start: number): number {
  let version = 0;
  for (let at = start; data[at]! >= 48 && data[at]! <= 57; at++) version = version * 10 + data[at]! - 48;
  return version;
}

/** `raw`. `first` is what a new socket is told. */
export async function rawServer<State>(first: () => object, dataOf: (state: State) => object): Promise<Server<State>> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await once(server, 'listening');
  const frameOf = (data: object) => JSON.stringify({ id: '7c9e6679-7425-40de-944b-e07fc1f90ae7', type: 'next', payload: { data } });
  server.on('connection', (socket) => socket.send(frameOf(first())));
  return {
    url: `ws://127.0.0.1:${(server.address() as { port: number }).port}`,
    publish(state) {
      const text = frameOf(dataOf(state));
      for (const socket of server.clients) socket.send(text);
    },
    async stop() {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

/** What a hub and its sources are made with. */
export function hubParts() {
  const logger = pino({ level: 'silent' });
  return { logger, metrics: subscriptionMetrics(new Registry()), fanOut: inProcessFanOut(logger) };
}

/** `hub`: the sockets of the product, without sessions and limits. */
export async function serveHub(
  schema: GraphQLSchema,
  sources: HubOptions['sources'],
  { logger, metrics, fanOut }: ReturnType<typeof hubParts>,
) {
  const contextOf = () => ({});
  const formatResult: HubOptions['formatResult'] = (result) => ({ data: result.data ?? null });
  const hub = new SubscriptionHub({ schema, sources, contextOf, formatResult, logger, metrics });
  const sockets = new GraphQLWebSockets({
    schema,
    hub,
    guard: {
      check(source) {
        const document = parse(source);
        const errors = validate(schema, document);
        return errors.length > 0 ? errors : { document, cost: { requested: 1, limit: 1 } };
      },
    },
    fanOut,
    authenticate: async () => null,
    sessionsStillLive: async (ids) => new Set(ids),
    contextOf,
    maskErrors: (errors) => errors.map((error) => error.toJSON()),
    formatResult,
    limits: { socketsPerAddressMax: 100_000, socketsMax: 100_000 },
    logger,
    metrics,
  });
  await sockets.start();
  const app = fastify();
  await app.register(websocket, sockets.pluginOptions);
  return {
    url: await serve(app, sockets.wsHandler),
    async stop() {
      await sockets.close(1000);
      await app.close();
    },
  };
}

/** `each`. */
export async function serveEach(schema: GraphQLSchema) {
  const app = fastify();
  await app.register(websocket, { options: { perMessageDeflate: false } });
  return {
    url: await serve(app, makeHandler({ schema })),
    async stop() {
      for (const socket of app.websocketServer.clients) socket.terminate();
      await app.close();
    },
  };
}

async function serve(app: FastifyInstance, wsHandler: websocket.WebsocketHandler): Promise<string> {
  app.route({ method: 'GET', url: '/graphql', handler: async () => '', wsHandler });
  const address = await app.listen({ host: '127.0.0.1', port: 0 });
  return `${address.replace('http', 'ws')}/graphql`;
}
