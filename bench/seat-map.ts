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
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildSchema, execute, parse } from 'graphql';
import { PubSub } from 'graphql-subscriptions';
import type { SectionedSeatMap } from '../src/features/seat-maps/index.ts';
import { changeSince, type SeatMapChange } from '../src/features/seat-maps/seat-map-change.ts';
import {
  hubParts,
  LOAD_FLAGS,
  listen,
  now,
  rawServer,
  round,
  type Server,
  serveEach,
  serveHub,
  startListeners,
  WAYS,
  type Way,
} from './listeners.ts';

const QUERY = `subscription ($id: ID!, $after: Int) { seatsChanged(performanceId: $id, after: $after) {
  version since sections { section from count free states } available held sold blocked } }`;
const ID = '01920000-0000-7000-8000-000000000000';
const SEATS_CHANGED = 20;
const SECTIONS = 10;
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
  const load = await startListeners(fileURLToPath(import.meta.url), { way, url: server.url, count: watchers });
  let map = first;
  const publish = () => {
    map = next(map);
    server.publish(map);
  };

  const rushed = await load.rush(publish, seconds);

  const most: number[] = [];
  const all: number[] = [];
  for (let n = 0; n < Math.max(3, (seconds * 1000) / PAUSE_MS); n++) {
    const publishedAt = now();
    publish();
    const { mostAt, allAt } = await load.has(map.version);
    most.push(mostAt - publishedAt);
    all.push(allAt - publishedAt);
    await delay(PAUSE_MS);
  }

  load.stop();
  await server.stop();
  return { way, watchers, ...rushed, p99Ms: round(median(most)), lastMs: round(median(all)) };
}

const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

const SERVERS: Record<Way, (first: SectionedSeatMap) => Promise<Server<SectionedSeatMap>>> = {
  raw: (first) =>
    rawServer(
      () => dataOf(changeSince(first, undefined)),
      (map) => dataOf(changeSince(map, map.version - 1)),
    ),
  hub: hubServer,
  each: eachServer,
};

const dataOf = ({ performanceId: _, at: __, ...seatsChanged }: SeatMapChange) => ({ seatsChanged });

/** The schema as it is emitted: the same types, answered by the properties of a change. */
function schemaOfMaps() {
  const schema = buildSchema(readFileSync('schema/schema.graphql', 'utf8'));
  const field = schema.getSubscriptionType()?.getFields().seatsChanged;
  if (!field) throw new Error('schema/schema.graphql has no seatsChanged');
  field.resolve = (change) => change;
  return { schema, field };
}

async function hubServer(first: SectionedSeatMap): Promise<Server<SectionedSeatMap>> {
  let current = first;
  const listeners = new Set<(map: SectionedSeatMap) => void>();
  const source = {
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
  };
  return {
    ...(await serveHub(schemaOfMaps().schema, new Map([['seatsChanged', source]]), hubParts())),
    publish(map) {
      current = map;
      for (const listener of listeners) listener(map);
    },
  };
}

async function eachServer(first: SectionedSeatMap): Promise<Server<SectionedSeatMap>> {
  const { schema, field } = schemaOfMaps();
  const pubSub = new PubSub({ eventEmitter: new EventEmitter().setMaxListeners(0) });
  field.subscribe = async function* () {
    yield changeSince(first, undefined);
    yield* pubSub.asyncIterableIterator<SeatMapChange>('map') as unknown as AsyncIterable<SeatMapChange>;
  };
  return {
    ...(await serveEach(schema)),
    // The change itself is computed once here too: what differs is only who executes and serialises.
    publish: (map) => void pubSub.publish('map', changeSince(map, map.version - 1)),
  };
}

/** How large a message is and how long it takes to make, execution and serialising included: the whole map, and a change of 20 seats. */
async function measureMessages(seats: number) {
  const { first, next } = mapsOf(seats);
  const map = next(first);
  const { schema } = schemaOfMaps();
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

const { values } = parseArgs({
  options: {
    watchers: { type: 'string', default: '1000,5000' },
    seconds: { type: 'string', default: '5' },
    seats: { type: 'string', default: '5000' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
    ...LOAD_FLAGS,
  },
});

if (values.help) {
  console.log(`npm run bench -- seat-map [flags]

  --watchers 1000,5000    how many sockets watch one map
  --seconds 5             how long each way is measured
  --seats 5000            how many seats the map has
  --json                  the rows as JSON`);
} else if (values.load) {
  await listen(values, { query: QUERY, variables: { id: ID } });
} else {
  const messages = await measureMessages(Number(values.seats));
  const results: Awaited<ReturnType<typeof measure>>[] = [];
  for (const watchers of values.watchers.split(',').map(Number)) {
    for (const way of WAYS) results.push(await measure(way, watchers, Number(values.seconds), Number(values.seats)));
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
