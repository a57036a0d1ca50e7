/**
 * One seat map of 5,000 seats that thousands watch while it sells, in three ways, in one run:
 *
 * - `raw`: `ws` writes the same text to every socket. The limit.
 * - `hub`: graphql-ws with the subscription hub: a change is executed once, serialised once, written to every socket, though each socket has a version of its own.
 * - `each`: graphql-ws as it is usually set up: every subscriber executes its own selection of the same change.
 *
 * Usage: node --experimental-transform-types bench/seat-map.ts [--watchers 1000,5000] [--seconds 5] [--seats 5000] [--json]
 *
 * The load generator is a process of its own. Each change is of 20 seats. First as fast as it goes: a change is made when every watcher has the one before the
 * last. Then two changes a second, for the time until watchers have one. Beside it: how many bytes a whole map has, and how long it takes to make one.
 */
import { fork } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import websocket from '@fastify/websocket';
import fastify from 'fastify';
import { buildSchema, execute, type GraphQLSchema, parse, validate } from 'graphql';
import { PubSub } from 'graphql-subscriptions';
import { makeHandler } from 'graphql-ws/use/@fastify/websocket';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { WebSocket, WebSocketServer } from 'ws';
import type { SectionedSeatMap } from '../src/features/seat-maps/index.ts';
import { changeSince, type SeatMapChange } from '../src/features/seat-maps/seat-map-change.ts';
import { GraphQLWebSockets } from '../src/platform/graphql/websocket.ts';
import { inProcessFanOut } from '../src/platform/subscriptions/fan-out.ts';
import { SubscriptionHub } from '../src/platform/subscriptions/hub.ts';
import { subscriptionMetrics } from '../src/platform/subscriptions/metrics.ts';

type Way = 'raw' | 'hub' | 'each';

interface Server {
  url: string;
  publish(map: SectionedSeatMap): void;
  stop(): Promise<void>;
}

/** What the load generator tells: all are watching, or all have this version, 99 % of them since then, in milliseconds of the epoch. */
type Report = { watching: true } | { version: number; mostAt: number; allAt: number };

const QUERY = `subscription ($id: ID!, $after: Int) { seatsChanged(performanceId: $id, after: $after) {
  version since sections { section from count free states } available held sold blocked } }`;
const ID = '01920000-0000-7000-8000-000000000000';
const SEATS_CHANGED = 20;
const SECTIONS = 10;
/** Versions on their way at once: with one, each would wait for the slowest watcher with the server idle. */
const WINDOW = 2;
const PAUSE_MS = 500;

/** The map of a performance that sells from the first seat on, again and again. */
function mapsOf(seats: number) {
  const perSection = Math.ceil(seats / SECTIONS);
  const sections = Array.from({ length: SECTIONS }, (_, n) => ({
    name: `Section ${n + 1}`,
    from: n * perSection,
    to: Math.min((n + 1) * perSection, seats) - 1,
  }));
  const first: SectionedSeatMap = {
    id: ID,
    planId: ID,
    version: 1,
    states: Uint8Array.from({ length: seats }, (_, number) => number % 3),
    changedIn: new Int32Array(seats).fill(1),
    sections,
    at: new Date(),
  };
  const next = (map: SectionedSeatMap): SectionedSeatMap => {
    const version = map.version + 1;
    const [states, changedIn] = [map.states.slice(), map.changedIn.slice()];
    for (let n = 0; n < SEATS_CHANGED; n++) {
      const number = (version * SEATS_CHANGED + n * 7) % seats;
      states[number] = ((states[number] as number) + 1) % 3;
      changedIn[number] = version;
    }
    return { ...map, version, states, changedIn, at: new Date() };
  };
  return { first, next };
}

async function measure(way: Way, watchers: number, seconds: number, seats: number) {
  const { first, next } = mapsOf(seats);
  const server = await SERVERS[way](first);
  const load = fork(fileURLToPath(import.meta.url), ['--load', way, '--url', server.url, '--watchers', String(watchers)]);
  const exited = once(load, 'exit').then(() => {
    throw new Error('the load generator ended early');
  });
  exited.catch(() => undefined);
  await Promise.race([once(load, 'message'), exited]);

  let done = 1;
  let reported: Extract<Report, { version: number }> | undefined;
  load.on('message', (report: Report) => {
    if (!('version' in report)) return;
    done = report.version;
    reported = report;
  });
  let map = first;
  const publish = () => {
    map = next(map);
    server.publish(map);
  };

  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  while (performance.now() - startedAt < seconds * 1000) {
    if (map.version - done < WINDOW) publish();
    await nextTurn();
  }
  while (done < map.version) await nextTurn();
  const elapsedS = (performance.now() - startedAt) / 1000;
  const used = process.cpuUsage(cpu);
  const messages = (map.version - 1) * watchers;

  const most: number[] = [];
  const all: number[] = [];
  for (let n = 0; n < Math.max(3, (seconds * 1000) / PAUSE_MS); n++) {
    const publishedAt = now();
    publish();
    while (done < map.version) await nextTurn();
    most.push((reported?.mostAt ?? 0) - publishedAt);
    all.push((reported?.allAt ?? 0) - publishedAt);
    await delay(PAUSE_MS);
  }

  load.kill();
  await server.stop();
  return {
    way,
    watchers,
    messagesPerSecond: Math.round(messages / elapsedS),
    serverCpuMicrosPerMessage: round((used.user + used.system) / messages),
    p99Ms: round(median(most)),
    lastMs: round(median(all)),
  };
}

const now = () => performance.timeOrigin + performance.now();
const round = (value: number) => Math.round(value * 100) / 100;
const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const SERVERS: Record<Way, (first: SectionedSeatMap) => Promise<Server>> = { raw: rawServer, hub: hubServer, each: eachServer };

/** The schema as it is emitted: the same types, answered by the properties of a change. */
function schemaOfMaps(): GraphQLSchema {
  const schema = buildSchema(readFileSync('schema/schema.graphql', 'utf8'));
  const field = schema.getSubscriptionType()?.getFields().seatsChanged;
  if (!field) throw new Error('schema/schema.graphql has no seatsChanged');
  field.resolve = (change) => change;
  return schema;
}

const frameOf = (change: SeatMapChange) => {
  const { performanceId: _, at: __, ...seatsChanged } = change;
  return JSON.stringify({ id: '7c9e6679-7425-40de-944b-e07fc1f90ae7', type: 'next', payload: { data: { seatsChanged } } });
};

async function rawServer(first: SectionedSeatMap): Promise<Server> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  await once(server, 'listening');
  server.on('connection', (socket) => socket.send(frameOf(changeSince(first, undefined))));
  return {
    url: `ws://127.0.0.1:${(server.address() as { port: number }).port}`,
    publish(map) {
      const text = frameOf(changeSince(map, map.version - 1));
      for (const socket of server.clients) socket.send(text);
    },
    async stop() {
      for (const socket of server.clients) socket.terminate();
      server.close();
    },
  };
}

async function hubServer(first: SectionedSeatMap): Promise<Server> {
  const logger = pino({ level: 'silent' });
  const metrics = subscriptionMetrics(new Registry());
  const fanOut = inProcessFanOut(logger);
  const schema = schemaOfMaps();
  let current = first;
  const listeners = new Set<(map: SectionedSeatMap) => void>();
  const hub = new SubscriptionHub({
    schema,
    sources: new Map([
      [
        'seatsChanged',
        {
          live: {
            observe: (_id: string, listener: (map: SectionedSeatMap) => void) => {
              listeners.add(listener);
              listener(current);
              return () => void listeners.delete(listener);
            },
            reach: async () => current.version,
          },
          idOf: () => ID,
          resumeArgument: 'after',
          afterOf: ({ after }: Record<string, unknown>) => after as number | undefined,
          changeSince,
        },
      ],
    ]),
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
    publish(map) {
      current = map;
      for (const listener of listeners) listener(map);
    },
    async stop() {
      await sockets.close(1000);
      await app.close();
    },
  };
}

async function eachServer(first: SectionedSeatMap): Promise<Server> {
  const schema = schemaOfMaps();
  const pubSub = new PubSub({ eventEmitter: new EventEmitter().setMaxListeners(0) });
  const field = schema.getSubscriptionType()?.getFields().seatsChanged;
  if (field)
    field.subscribe = async function* () {
      yield changeSince(first, undefined);
      yield* pubSub.asyncIterableIterator<SeatMapChange>('map') as unknown as AsyncIterable<SeatMapChange>;
    };
  const app = fastify();
  await app.register(websocket, { options: { perMessageDeflate: false } });
  app.route({ method: 'GET', url: '/graphql', handler: async () => '', wsHandler: makeHandler({ schema }) });
  const address = await app.listen({ host: '127.0.0.1', port: 0 });
  return {
    url: `${address.replace('http', 'ws')}/graphql`,
    // The change itself is computed once here too: what differs is only who executes and serialises.
    publish: (map) => void pubSub.publish('map', changeSince(map, map.version - 1)),
    async stop() {
      for (const socket of app.websocketServer.clients) socket.terminate();
      await app.close();
    },
  };
}

/** How large a message is and how long it takes to make, execution and serialising included: the whole map, and a change of 20 seats. */
async function measureMessages(seats: number) {
  const { first, next } = mapsOf(seats);
  const map = next(first);
  const schema = schemaOfMaps();
  const document = parse(QUERY);
  const make = async (since: number | undefined) =>
    JSON.stringify(await execute({ schema, document, variableValues: { id: ID }, rootValue: changeSince(map, since) }));
  const rows = [];
  for (const [message, since] of [
    ['whole map', undefined],
    [`change of ${SEATS_CHANGED} seats`, 1],
  ] as const) {
    for (let n = 0; n < 500; n++) await make(since);
    const startedAt = performance.now();
    for (let n = 0; n < 500; n++) await make(since);
    const micros = Math.round(((performance.now() - startedAt) / 500) * 1000);
    rows.push({ message, seats, bytes: (await make(since)).length, micros });
  }
  return rows;
}

/** The watchers. They look for the version in the bytes only: parsing would cost the shared processor more than delivering does. */
async function watch(way: Way, url: string, watchers: number): Promise<void> {
  const got = new Map<number, { count: number; mostAt: number }>();
  const most = Math.ceil(watchers * 0.99);
  const receive = (version: number) => {
    const received = got.get(version) ?? { count: 0, mostAt: 0 };
    got.set(version, received);
    received.count++;
    if (received.count === most) received.mostAt = now();
    if (received.count < watchers) return;
    got.delete(version);
    process.send?.(version === 1 ? { watching: true } : { version, mostAt: received.mostAt, allAt: now() });
  };
  for (let n = 0; n < watchers; n++) {
    const socket =
      way === 'raw'
        ? new WebSocket(url, { perMessageDeflate: false })
        : new WebSocket(url, 'graphql-transport-ws', { perMessageDeflate: false });
    socket.on('message', (data: Buffer) => {
      const at = data.indexOf(VERSION);
      if (at >= 0) receive(versionAt(data, at + VERSION.length));
      else if (data.includes('connection_ack'))
        socket.send(JSON.stringify({ id: crypto.randomUUID(), type: 'subscribe', payload: { query: QUERY, variables: { id: ID } } }));
    });
    await once(socket, 'open');
    if (way !== 'raw') socket.send('{"type":"connection_init"}');
  }
}

const VERSION = Buffer.from('"version":');

function versionAt(data: Buffer, start: number): number {
  let version = 0;
  for (let at = start; (data[at] as number) >= 48 && (data[at] as number) <= 57; at++) version = version * 10 + (data[at] as number) - 48;
  return version;
}

const { values } = parseArgs({
  options: {
    watchers: { type: 'string', default: '1000,5000' },
    seconds: { type: 'string', default: '5' },
    seats: { type: 'string', default: '5000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
    load: { type: 'string' },
    url: { type: 'string' },
  },
});

if (values.help) {
  console.log(`npm run bench -- seat-map [flags]

  --watchers 1000,5000    how many sockets watch one map
  --seconds 5             how long each way is measured
  --seats 5000            how many seats the map has
  --json                  the rows as JSON`);
} else if (values.load) {
  process.on('disconnect', () => process.exit());
  await watch(values.load as Way, values.url ?? '', Number(values.watchers));
} else {
  const messages = await measureMessages(Number(values.seats));
  const results: Awaited<ReturnType<typeof measure>>[] = [];
  for (const watchers of values.watchers.split(',').map(Number)) {
    for (const way of ['raw', 'hub', 'each'] as const)
      results.push(await measure(way, watchers, Number(values.seconds), Number(values.seats)));
  }
  const rows = results.map((result) => {
    const [raw, each] = (['raw', 'each'] as const).map((way) => results.find((row) => row.way === way && row.watchers === result.watchers));
    const times = (value = 0, of = 1) => round(value / of);
    return {
      ...result,
      ofRaw: times(result.messagesPerSecond, raw?.messagesPerSecond),
      ofEach: times(result.messagesPerSecond, each?.messagesPerSecond),
      ofEachByCpu: times(each?.serverCpuMicrosPerMessage, result.serverCpuMicrosPerMessage),
    };
  });
  if (values.json) console.log(JSON.stringify({ messages, rows }, null, 2));
  else {
    console.table(messages);
    console.table(rows);
  }
  process.exit();
}
