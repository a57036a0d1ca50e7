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
import { EventEmitter } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildSchema } from 'graphql';
import { PubSub } from 'graphql-subscriptions';
import { LiveObjects } from '../src/platform/subscriptions/live-objects.ts';
import {
  hubParts,
  LOAD_FLAGS,
  listen,
  rawServer,
  round,
  type Server,
  serveEach,
  serveHub,
  startListeners,
  WAYS,
  type Way,
} from './listeners.ts';

interface Pool {
  id: string;
  version: number;
  capacity: number;
  free: number;
  at: string;
}

const QUERY = 'subscription ($ids: [ID!]!) { availabilityChanged(ids: $ids) { id version capacity free at } }';
const SCHEMA = `
  type Query { ok: Boolean }
  type Pool { id: ID! version: Int! capacity: Int! free: Int! at: String! }
  type Subscription { availabilityChanged(ids: [ID!]!): Pool! }
`;
const poolOf = (version: number): Pool => ({ id: 'pool_1', version, capacity: 1000, free: version % 1000, at: '2026-03-02T09:00:00.000Z' });

async function measure(way: Way, listeners: number, seconds: number) {
  const server = await SERVERS[way]();
  const load = await startListeners(fileURLToPath(import.meta.url), { way, url: server.url, count: listeners });
  const measured = await load.rush((version) => server.publish(poolOf(version)), seconds);
  load.stop();
  await server.stop();
  return { way, listeners, ...measured };
}

const SERVERS: Record<Way, () => Promise<Server<Pool>>> = {
  raw: () =>
    rawServer(
      () => ({ availabilityChanged: poolOf(1) }),
      (pool) => ({ availabilityChanged: pool }),
    ),
  hub: hubServer,
  each: eachServer,
};

function schemaOfPools() {
  const schema = buildSchema(SCHEMA);
  const field = schema.getSubscriptionType()!.getFields().availabilityChanged!;
  field.resolve = (pool) => pool;
  return { schema, field };
}

async function hubServer(): Promise<Server<Pool>> {
  const parts = hubParts();
  let latest = poolOf(1);
  const live = new LiveObjects<Pool>({
    name: 'pool',
    read: async () => [latest],
    sameState: (a, b) => a.free === b.free,
    minIntervalMs: 0,
    ...parts,
  });
  const sources = new Map([['availabilityChanged', { live, idsOf: ({ ids }: Record<string, unknown>) => ids as string[] }]]);
  const { url, stop } = await serveHub(schemaOfPools().schema, sources, parts);
  return {
    url,
    publish(pool) {
      latest = pool;
      live.publish(pool);
    },
    async stop() {
      live.close();
      await stop();
    },
  };
}

async function eachServer(): Promise<Server<Pool>> {
  const { schema, field } = schemaOfPools();
  const pubSub = new PubSub({ eventEmitter: new EventEmitter().setMaxListeners(0) });
  field.subscribe = async function* () {
    yield poolOf(1);
    yield* pubSub.asyncIterableIterator<Pool>('pool') as unknown as AsyncIterable<Pool>;
  };
  return { ...(await serveEach(schema)), publish: (pool) => void pubSub.publish('pool', pool) };
}

const { values } = parseArgs({
  options: {
    listeners: { type: 'string', default: '1000,5000' },
    seconds: { type: 'string', default: '5' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
    ...LOAD_FLAGS,
  },
});

if (values.help) {
  console.log(`npm run bench -- fan-out [flags]

  --listeners 1000,5000   how many sockets listen
  --seconds 5             how long each way is measured
  --json                  the rows as JSON`);
} else if (values.load) {
  await listen(values, { query: QUERY, variables: { ids: ['pool_1'] } });
} else {
  const results: Awaited<ReturnType<typeof measure>>[] = [];
  for (const listeners of values.listeners.split(',').map(Number)) {
    for (const way of WAYS) results.push(await measure(way, listeners, Number(values.seconds)));
  }
  const rows = results.map((result) => {
    const raw = results.find(({ way, listeners }) => way === 'raw' && listeners === result.listeners)!;
    return { ...result, ofRaw: round(result.messagesPerSecond / raw.messagesPerSecond) };
  });
  if (values.json) console.log(JSON.stringify(rows, null, 2));
  else console.table(rows);
  process.exit();
}
