/**
 * Messages per second that one process delivers to many listeners of one object, in three ways, in one run:
 *
 * - `raw`: `ws` writes the same text to every socket. The limit.
 * - `hub`: graphql-ws with the subscription hub: executed once, serialised once, written to every socket.
 * - `each`: graphql-ws as it is usually set up: every subscriber executes its own selection.
 *
 * Usage: node --experimental-transform-types bench/fan-out.ts [--listeners 1000,5000] [--seconds 5] [--json]
 *
 * The load generator is a process of its own. A new version is published when every listener has got the one before the last, so
 * nothing is conflated or dropped, and each way goes as fast as it can.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import websocket from '@fastify/websocket';
import fastify from 'fastify';
import { buildSchema, parse, validate } from 'graphql';
import { PubSub } from 'graphql-subscriptions';
import { makeHandler } from 'graphql-ws/use/@fastify/websocket';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { WebSocket, WebSocketServer } from 'ws';
import { GraphQLWebSockets } from '../src/platform/graphql/websocket.ts';
import { inProcessFanOut } from '../src/platform/subscriptions/fan-out.ts';
import { SubscriptionHub } from '../src/platform/subscriptions/hub.ts';
import { LiveObjects } from '../src/platform/subscriptions/live-objects.ts';
import { subscriptionMetrics } from '../src/platform/subscriptions/metrics.ts';

type Way = 'raw' | 'hub' | 'each';

interface Pool {
  id: string;
  version: number;
  capacity: number;
  free: number;
  at: string;
}

interface Server {
  url: string;
  publish(pool: Pool): void;
  stop(): Promise<void>;
}

/** What the load generator tells: all are listening, or all have got this version. */
type Report = { listening: true } | { version: number };

const QUERY = 'subscription ($ids: [ID!]!) { availabilityChanged(ids: $ids) { id version capacity free at } }';
const SCHEMA = `
  type Query { ok: Boolean }
  type Pool { id: ID! version: Int! capacity: Int! free: Int! at: String! }
  type Subscription { availabilityChanged(ids: [ID!]!): Pool! }
`;
const poolOf = (version: number): Pool => ({ id: 'pool_1', version, capacity: 1000, free: version % 1000, at: '2026-03-02T09:00:00.000Z' });
/** Versions on their way at once: with one, each would wait for the slowest listener with the server idle. */
const WINDOW = 2;

async function measure(way: Way, listeners: number, seconds: number) {
  const server = await SERVERS[way]();
  const load = fork(fileURLToPath(import.meta.url), ['--load', way, '--url', server.url, '--listeners', String(listeners)]);
  const exited = once(load, 'exit').then(() => {
    throw new Error('the load generator ended early');
  });
  exited.catch(() => undefined);
  await Promise.race([nextReport(load), exited]);

  let done = 1;
  load.on('message', (report: Report) => {
    if ('version' in report) done = report.version;
  });
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  let version = 1;
  while (performance.now() - startedAt < seconds * 1000) {
    if (version - done < WINDOW) server.publish(poolOf(++version));
    await nextTurn();
  }
  while (done < version) await nextTurn();
  const elapsedS = (performance.now() - startedAt) / 1000;
  const used = process.cpuUsage(cpu);

  const result = {
    way,
    listeners,
    messagesPerSecond: Math.round(((version - 1) * listeners) / elapsedS),
    serverCpuMicrosPerMessage: round((used.user + used.system) / ((version - 1) * listeners)),
  };
  load.kill();
  await server.stop();
  return result;
}

const nextReport = (load: ChildProcess) => once(load, 'message');

const round = (value: number) => Math.round(value * 100) / 100;

const SERVERS: Record<Way, () => Promise<Server>> = { raw: rawServer, hub: hubServer, each: eachServer };

async function rawServer(): Promise<Server> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await once(server, 'listening');
  const send = (pool: Pool) => {
    const text = JSON.stringify({
      id: '7c9e6679-7425-40de-944b-e07fc1f90ae7',
      type: 'next',
      payload: { data: { availabilityChanged: pool } },
    });
    for (const socket of server.clients) socket.send(text);
  };
  server.on('connection', (socket) =>
    socket.send(JSON.stringify({ id: '1', type: 'next', payload: { data: { availabilityChanged: poolOf(1) } } })),
  );
  return {
    url: `ws://127.0.0.1:${(server.address() as { port: number }).port}`,
    publish: send,
    async stop() {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

async function hubServer(): Promise<Server> {
  const logger = pino({ level: 'silent' });
  const metrics = subscriptionMetrics(new Registry());
  const fanOut = inProcessFanOut(logger);
  const schema = buildSchema(SCHEMA);
  const field = schema.getSubscriptionType()!.getFields().availabilityChanged!;
  field.resolve = (pool) => pool;
  let latest = poolOf(1);
  const live = new LiveObjects<Pool>({
    name: 'pool',
    fanOut,
    read: async () => [latest],
    sameState: (a, b) => a.free === b.free,
    minIntervalMs: 0,
    logger,
    metrics,
  });
  const hub = new SubscriptionHub({
    schema,
    sources: new Map([['availabilityChanged', { live, idsOf: ({ ids }) => ids as string[] }]]),
    contextOf: () => ({}),
    formatResult: (result) => ({ data: result.data ?? null }),
    logger,
    metrics,
  });
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
    contextOf: () => ({}),
    maskErrors: (errors) => errors.map((error) => error.toJSON()),
    formatResult: (result) => ({ data: result.data ?? null }),
    limits: { socketsPerAddressMax: 100_000, socketsMax: 100_000 },
    logger,
    metrics,
  });
  await sockets.start();
  const app = fastify();
  await app.register(websocket, sockets.pluginOptions);
  app.route({ method: 'GET', url: '/graphql', handler: async () => '', wsHandler: sockets.wsHandler });
  const address = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    url: `${address.replace('http', 'ws')}/graphql`,
    publish(pool) {
      latest = pool;
      live.publish(pool);
    },
    async stop() {
      live.close();
      await sockets.close(1000);
      await app.close();
    },
  };
}

async function eachServer(): Promise<Server> {
  const schema = buildSchema(SCHEMA);
  const pubSub = new PubSub({ eventEmitter: new EventEmitter().setMaxListeners(0) });
  const field = schema.getSubscriptionType()!.getFields().availabilityChanged!;
  field.resolve = (pool) => pool;
  field.subscribe = async function* () {
    yield poolOf(1);
    yield* pubSub.asyncIterableIterator<Pool>('pool') as unknown as AsyncIterable<Pool>;
  };
  const app = fastify();
  await app.register(websocket, { options: { perMessageDeflate: false } });
  app.route({ method: 'GET', url: '/graphql', handler: async () => '', wsHandler: makeHandler({ schema }) });
  const address = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    url: `${address.replace('http', 'ws')}/graphql`,
    publish: (pool) => void pubSub.publish('pool', pool),
    async stop() {
      for (const socket of app.websocketServer.clients) socket.terminate();
      await app.close();
    },
  };
}

/** The listeners. They look for the version in the bytes only: parsing would cost the shared processor more than delivering does. */
async function listen(way: Way, url: string, listeners: number): Promise<void> {
  const remaining = new Map<number, number>();
  const got = (version: number) => {
    const left = (remaining.get(version) ?? listeners) - 1;
    remaining.set(version, left);
    if (left > 0) return;
    remaining.delete(version);
    process.send?.(version === 1 ? { listening: true } : { version });
  };
  for (let n = 0; n < listeners; n++) {
    const socket =
      way === 'raw'
        ? new WebSocket(url, { perMessageDeflate: false })
        : new WebSocket(url, 'graphql-transport-ws', { perMessageDeflate: false });
    socket.on('message', (data: Buffer) => {
      const at = data.indexOf(VERSION);
      if (at >= 0) got(versionAt(data, at + VERSION.length));
      else if (data.includes('connection_ack')) {
        const id = crypto.randomUUID();
        socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query: QUERY, variables: { ids: ['pool_1'] } } }));
      }
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

const { values } = parseArgs({
  options: {
    listeners: { type: 'string', default: '1000,5000' },
    seconds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
    load: { type: 'string' },
    url: { type: 'string' },
  },
});

if (values.help) {
  console.log(`npm run bench -- fan-out [flags]

  --listeners 1000,5000   how many sockets listen
  --seconds 5             how long each way is measured
  --json                  the rows as JSON`);
} else if (values.load) {
  process.on('disconnect', () => process.exit());
  await listen(values.load as Way, values.url ?? '', Number(values.listeners));
} else {
  const results: Awaited<ReturnType<typeof measure>>[] = [];
  for (const listeners of values.listeners.split(',').map(Number)) {
    for (const way of ['raw', 'hub', 'each'] as const) results.push(await measure(way, listeners, Number(values.seconds)));
  }
  const rows = results.map((result) => {
    const raw = results.find(({ way, listeners }) => way === 'raw' && listeners === result.listeners)!;
    return { ...result, ofRaw: round(result.messagesPerSecond / raw.messagesPerSecond) };
  });
  if (values.json) console.log(JSON.stringify(rows, null, 2));
  else console.table(rows);
  process.exit();
}
