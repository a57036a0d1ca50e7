import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Client } from 'graphql-ws';
import { pino } from 'pino';
import { type FanOut, type JsonValue, redisFanOut } from '../../../src/platform/subscriptions/fan-out.ts';
import { RedisProcess } from './redis-process.ts';
import { type Following, follow, startTankNode, TANK_CHANGED, type Tank, type TankNode, Tanks, wsClient } from './tank-node.ts';
import { until } from './until.ts';

const IDS = ['a', 'b', 'c'];
const logger = pino({ level: 'silent' });
let redis: RedisProcess;
const cleanups: (() => Promise<unknown> | unknown)[] = [];

beforeAll(async () => {
  redis = await RedisProcess.start();
});

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

afterAll(() => redis.kill());

/** Two nodes on one truth and one Redis, each with 10 watchers of all tanks. */
async function twoNodes(refreshMs: number, wrap: (fanOut: FanOut) => FanOut = (fanOut) => fanOut) {
  const tanks = new Tanks(IDS);
  const nodes: TankNode[] = [];
  const watchers: Following<{ tankChanged: Tank }>[] = [];
  for (let n = 0; n < 2; n++) {
    const fanOut = wrap(await redisFanOut(redis.url, logger));
    const node = await startTankNode({ tanks, fanOut, refreshMs, minIntervalMs: 20 });
    cleanups.push(
      () => fanOut.close(),
      () => node.stop(),
    );
    nodes.push(node);
    for (let w = 0; w < 10; w++) {
      const client: Client = wsClient(node.url);
      cleanups.push(() => client.dispose());
      watchers.push(follow(client, TANK_CHANGED, { ids: IDS }));
    }
  }
  await until('all have the current states', () => watchers.every(({ results }) => results.length === 3));
  return { tanks, nodes: nodes as [TankNode, TankNode], watchers };
}

const lastOf = (watcher: Following<{ tankChanged: Tank }>, id: string) =>
  watcher.results.findLast(({ tankChanged }) => tankChanged.id === id)?.tankChanged;

const hasConverged = (tanks: Tanks, watchers: Following<{ tankChanged: Tank }>[]) =>
  watchers.every((watcher) => IDS.every((id) => lastOf(watcher, id)?.version === tanks.get(id).version));

function expectVersionsOnlyRise(watchers: Following<{ tankChanged: Tank }>[]) {
  for (const { results } of watchers) {
    for (const id of IDS) {
      const versions = results.filter(({ tankChanged }) => tankChanged.id === id).map(({ tankChanged }) => tankChanged.version);
      expect(versions).toEqual([...new Set(versions)].sort((x, y) => x - y));
    }
  }
}

test('what one node publishes reaches the watchers of both, executed once on each', async () => {
  const { tanks, nodes, watchers } = await twoNodes(600_000);
  const before = nodes.map(({ counts }) => counts.executions);

  nodes[0].change('a', 3);

  await until('all have it', () => hasConverged(tanks, watchers));
  expect(nodes.map(({ counts }, n) => counts.executions - before[n]!)).toEqual([1, 1]);
  expect(watchers.every((watcher) => lastOf(watcher, 'a')?.level === 3)).toBe(true);
});

test('Redis is killed and started again while both nodes change things: every watcher ends at the truth', async () => {
  const { tanks, nodes, watchers } = await twoNodes(300);
  const changeAll = (n: number) => nodes[n % 2]!.change(IDS[n % 3]!, n);

  for (let n = 0; n < 100; n++) changeAll(n);
  await redis.kill();
  for (let n = 100; n < 200; n++) changeAll(n);
  await until('the watchers follow without Redis', () => hasConverged(tanks, watchers));
  await redis.start();
  for (let n = 200; n < 300; n++) changeAll(n);

  await until('every watcher is at the truth', () => hasConverged(tanks, watchers));
  expectVersionsOnlyRise(watchers);
});

test.each([
  ['the reconnection alone makes the watchers converge, without waiting for a refresh', true],
  ['negative control: with neither reading after the reconnection nor a refresh, they stay behind', false],
])('%s', async (_name, readsAfterReconnect) => {
  let lastHints = 0;
  const watching = (fanOut: FanOut): FanOut => ({
    ...fanOut,
    publish: async (topic, message) => {
      await fanOut.publish(topic, message);
      if ((message as unknown as Tank).version === 11) lastHints++;
    },
    onReconnect: (listener) => (readsAfterReconnect ? fanOut.onReconnect(listener) : () => undefined),
  });
  const { tanks, nodes, watchers } = await twoNodes(600_000, watching);
  await redis.kill();
  await until('Redis is away', async () => !(await nodes[0].fanOut.ready()) && !(await nodes[1].fanOut.ready()));
  for (let n = 0; n < 30; n++) nodes[0].change(IDS[n % 3]!, n);
  await until('the last hint of each is lost', () => lastHints === 3);

  await redis.start();
  await until('Redis is back', async () => (await nodes[0].fanOut.ready()) && (await nodes[1].fanOut.ready()));

  const convergence = until('every watcher is at the truth', () => hasConverged(tanks, watchers), readsAfterReconnect ? 10_000 : 1000);
  if (readsAfterReconnect) await convergence;
  else await expect(convergence).rejects.toThrow('Still not so');
  expectVersionsOnlyRise(watchers);
});

/** Loses two of three messages without a word, as Redis may. */
const lossy = (fanOut: FanOut): FanOut => {
  let n = 0;
  return { ...fanOut, publish: (topic: string, message: JsonValue) => (n++ % 3 === 0 ? fanOut.publish(topic, message) : undefined) };
};

test('hints that are lost silently are made good by the refresh', async () => {
  const { tanks, nodes, watchers } = await twoNodes(300, lossy);

  for (let n = 0; n < 50; n++) nodes[n % 2]!.change(IDS[n % 3]!, n);

  await until('every watcher is at the truth', () => hasConverged(tanks, watchers));
  expectVersionsOnlyRise(watchers);
});

test('negative control: without a refresh, lost hints leave watchers behind', async () => {
  const { tanks, nodes, watchers } = await twoNodes(600_000, (fanOut) => ({ ...fanOut, publish: () => undefined }));

  nodes[0].change('a', 3);

  await expect(until('every watcher is at the truth', () => hasConverged(tanks, watchers), 500)).rejects.toThrow('Still not so');
});
