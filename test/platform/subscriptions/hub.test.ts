import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, expect, test } from '@jest/globals';
import type { Client } from 'graphql-ws';
import {
  follow,
  rawSocket,
  startTankNode,
  TANK_CHANGED,
  type Tank,
  type TankNode,
  type TankNodeOptions,
  Tanks,
  wsClient,
} from './tank-node.ts';
import { until } from './until.ts';

let node: TankNode | undefined;
const clients: Client[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) await client.dispose();
  await node?.stop();
  node = undefined;
});

async function start(options: Partial<TankNodeOptions> = {}): Promise<TankNode> {
  node = await startTankNode({ tanks: new Tanks(['a', 'b', 'c']), ...options });
  return node;
}

function client(connectionParams?: Record<string, unknown>): Client {
  const made = wsClient(node!.url, connectionParams);
  clients.push(made);
  return made;
}

const levels = (results: { tankChanged: Tank }[]) => results.map(({ tankChanged }) => tankChanged.level);

test('50 identical subscribers cost one execution per event, and each gets every result', async () => {
  const { change, counts, hub, metric } = await start();
  const all = Array.from({ length: 50 }, () => follow(client(), TANK_CHANGED, { ids: ['a'] }));
  await until('all have the current state', () => all.every(({ results }) => results.length === 1));
  expect([counts.executions, hub.size, hub.members]).toEqual([1, 1, 50]);

  change('a', 9);
  await until('all have the second', () => all.every(({ results }) => results.length === 2));
  change('a', 8);
  await until('all have the third', () => all.every(({ results }) => results.length === 3));

  expect(counts.executions).toBe(3);
  for (const { results } of all) expect(levels(results)).toEqual([10, 9, 8]);
  expect(await metric('executions_total', { kind: 'shared' })).toBe(3);
  expect(await metric('messages_total', { kind: 'shared' })).toBe(150);
});

test('personal subscriptions execute for each subscriber, with a new context for every event', async () => {
  const { change, metric } = await start();
  const query = 'subscription { myTankChanged(id: "a") { level readBy } }';
  type Result = { myTankChanged: { level: number; readBy: string } };
  const one = follow<Result>(client({ Authorization: 'Bearer token:s1:60000' }), query);
  const two = follow<Result>(client({ Authorization: 'Bearer token:s2:60000' }), query);
  await until('the current state', () => one.results.length === 1 && two.results.length === 1);

  change('a', 9);
  await until('the next state', () => one.results.length === 2 && two.results.length === 2);

  const readers = [...one.results, ...two.results].map(({ myTankChanged }) => myTankChanged.readBy);
  expect(readers.map((reader) => reader.split(' ')[0])).toEqual(['m-s1', 'm-s1', 'm-s2', 'm-s2']);
  expect(new Set(readers).size).toBe(4);
  expect(await metric('executions_total', { kind: 'personal' })).toBe(4);
  expect(await metric('operations', { kind: 'personal' })).toBe(2);
});

test('a shared selection never sees a viewer', async () => {
  await start();
  const query = 'subscription { tankChanged(ids: ["a"]) { readBy } }';

  const { results } = follow<{ tankChanged: { readBy: string } }>(client({ Authorization: 'Bearer token:s1:60000' }), query);
  await until('the current state', () => results.length === 1);

  expect(results[0]?.tankChanged.readBy).toMatch(/^anonymous #/);
});

test('layout, comments, undeclared variables and the order of keys do not part subscribers; values, names and languages do', async () => {
  const { hub } = await start();
  const head = 'subscription S($ids: [ID!]!, $filter: Filter) {';
  const same = [
    [`${head} tankChanged(ids: $ids, filter: $filter) { id level } }`, { ids: ['a'], filter: { a: 1, b: 2 } }],
    [
      `${head}\n  # a comment\n  tankChanged(ids: $ids filter: $filter) {\n id, level } }`,
      { filter: { b: 2, a: 1 }, ids: ['a'], junk: Math.PI },
    ],
  ] as const;
  const other = [
    [`${head} tankChanged(ids: $ids, filter: $filter) { id level } }`, { ids: ['b'], filter: { a: 1, b: 2 } }],
    [`${head} tankChanged(ids: $ids, filter: $filter) { level id } }`, { ids: ['a'], filter: { a: 1, b: 2 } }],
    [`${head} tankChanged(ids: $ids, filter: $filter) { id level } }`, { ids: ['a'], filter: null }],
    [`${head} tankChanged(ids: $ids, filter: $filter) { id level } }`, { ids: ['a'] }],
  ] as const;

  const followed = [...same, ...other].map(([query, variables]) => follow(client(), query, variables));
  await until('all have the current state', () => followed.every(({ results }) => results.length === 1));
  expect([hub.size, hub.members]).toEqual([5, 6]);

  const korean = await rawSocket(node!.url, { headers: { 'Accept-Language': 'ko' } });
  korean.send({ id: '1', type: 'subscribe', payload: { query: same[0][0], variables: same[0][1] } });
  await until('the Korean one has it', () => korean.messages.length === 2);
  expect(hub.size).toBe(6);
  korean.socket.close();
});

test('the language of a broadcast is the language of its subscribers', async () => {
  await start();
  const query = 'subscription { tankChanged(ids: ["a"]) { greeting } }';
  const korean = await rawSocket(node!.url, { headers: { 'Accept-Language': 'ko-KR' } });
  const english = await rawSocket(node!.url);

  for (const { send } of [korean, english]) send({ id: '1', type: 'subscribe', payload: { query } });
  await until('both have it', () => korean.messages.length === 2 && english.messages.length === 2);

  expect(korean.messages[1]).toEqual({
    id: '1',
    type: 'next',
    payload: { data: { tankChanged: { greeting: '안녕' } }, extensions: { cost: { requested: 7, limit: 1000 } } },
  });
  expect(english.messages[1]).toMatchObject({ payload: { data: { tankChanged: { greeting: 'hello' } } } });
  korean.socket.close();
  english.socket.close();
});

test('aliases, fragments, directives, defaults and several operations are all executed as graphql-js would', async () => {
  const { hub } = await start();
  const document = /* GraphQL */ `
    query Other { tank(id: "a") { id } }
    subscription First { tankChanged(ids: ["b"]) { id } }
    subscription Second($ids: [ID!]! = ["a"], $more: Boolean!) { ...Root }
    fragment Root on Subscription { ... on Subscription { mine: tankChanged(ids: $ids) { ...Fields again: label(prefix: "x") level @include(if: $more) } } }
    fragment Fields on Tank { __typename id label }
  `;

  const withLevel = follow<Record<string, unknown>>(client(), document, { more: true }, 'Second');
  const without = follow<Record<string, unknown>>(client(), document, { more: false, ids: ['c'] }, 'Second');
  await until('both have the current state', () => withLevel.results.length === 1 && without.results.length === 1);

  expect(withLevel.results).toEqual([{ mine: { __typename: 'Tank', id: 'a', label: 'tank a', again: 'x a', level: 10 } }]);
  expect(without.results).toEqual([{ mine: { __typename: 'Tank', id: 'c', label: 'tank c', again: 'x c' } }]);
  expect(hub.size).toBe(2);
});

test('a late joiner gets the current state of every object without another execution or read', async () => {
  const { change, counts, tanks } = await start();
  const early = follow(client(), TANK_CHANGED, { ids: ['a', 'b'] });
  await until('the current states', () => early.results.length === 2);
  change('a', 3);
  await until('the change', () => early.results.length === 3);
  const before = { executions: counts.executions, reads: tanks.reads.length };

  const late = follow(client(), TANK_CHANGED, { ids: ['a', 'b'] });
  await until('the late joiner has both', () => late.results.length === 2);

  expect(late.results.map(({ tankChanged }) => tankChanged)).toEqual([
    { id: 'a', version: 2, level: 3 },
    { id: 'b', version: 1, level: 10 },
  ]);
  expect({ executions: counts.executions, reads: tanks.reads.length }).toEqual(before);
});

test.each([
  ['idsOf refuses', TANK_CHANGED, { ids: ['bad'] }, { message: 'No such tank.', extensions: { code: 'BAD_USER_INPUT' } }],
  ['idsOf crashes', TANK_CHANGED, { ids: ['crash'] }, { message: 'masked', extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
  ['a variable is missing', TANK_CHANGED, {}, { message: 'Variable "$ids" of required type "[ID!]!" was not provided.' }],
  ['a variable is of another type', TANK_CHANGED, { ids: [{}] }, { message: expect.stringContaining('ID cannot represent value') }],
  ['the document is not valid', 'subscription { nothing }', {}, { message: 'Cannot query field "nothing" on type "Subscription".' }],
])('%s: one error message and no broadcast', async (_name, query, variables, error) => {
  const { hub } = await start();

  const { ended, results } = follow(client(), query, variables);

  expect(await ended).toEqual([expect.objectContaining(error)]);
  expect([hub.size, hub.members, results.length]).toEqual([0, 0, 0]);
});

test('the operation goes on after an error that heals, and has the newest state then', async () => {
  const { change, counts } = await start();
  counts.failuresLeft = 1;
  const query = 'subscription { tankChanged(ids: ["a"]) { broken } }';
  const raw = await rawSocket(node!.url);
  raw.send({ id: '1', type: 'subscribe', payload: { query } });
  await until('the error', () => raw.messages.length === 2);

  change('a', 4);
  await until('the healed state', () => raw.messages.length === 3);

  expect(raw.messages[1]).toMatchObject({ type: 'next', payload: { data: null, errors: [{ message: 'masked' }] } });
  expect(raw.messages[2]).toMatchObject({ type: 'next', payload: { data: { tankChanged: { broken: 4 } } } });
  raw.socket.close();
});

test('complete ends one operation only; the id can be used again at once', async () => {
  const { hub, live } = await start();
  const raw = await rawSocket(node!.url);
  const subscribe = (id: string, ids: string[]) =>
    raw.send({ id, type: 'subscribe', payload: { query: TANK_CHANGED, variables: { ids } } });
  subscribe('1', ['a']);
  subscribe('2', ['b']);
  await until('both current states', () => raw.messages.length === 3);

  raw.send({ id: '1', type: 'complete' });
  subscribe('1', ['c']);
  await until('the third state', () => raw.messages.length === 4);
  node!.change('a', 1);
  node!.change('b', 2);
  node!.change('c', 3);
  await until('both changes', () => raw.messages.length === 6);

  expect(
    raw.messages.slice(4).map(({ id, payload }) => [id, (payload as unknown as { data: { tankChanged: Tank } }).data.tankChanged.id]),
  ).toEqual([
    ['2', 'b'],
    ['1', 'c'],
  ]);
  expect([hub.size, hub.members, live.objects]).toEqual([2, 2, 2]);

  for (let n = 0; n < 20; n++) {
    raw.send({ id: '1', type: 'complete' });
    subscribe('1', ['a']);
  }
  raw.socket.close();
  await until('nothing is left behind', () => hub.members === 0);
});

test('an operation whose id was used again while the one before it was still ending does not outlive its socket', async () => {
  const { hub, metric } = await start();
  const raw = await rawSocket(node!.url);
  raw.send({ id: '1', type: 'subscribe', payload: { query: 'subscription { slowlyEnding { id } }' } });
  await until('it runs', async () => (await metric('operations', { kind: 'personal' })) === 1);

  raw.send({ id: '1', type: 'complete' });
  raw.send({ id: '1', type: 'subscribe', payload: { query: TANK_CHANGED, variables: { ids: ['a'] } } });
  await until('the first has ended', () => raw.messages.some(({ type }) => type === 'complete'));
  await until('the second runs', () => hub.members === 1);
  raw.socket.close();

  await until('nothing is left behind', async () => hub.members === 0 && (await metric('operations')) === 0);
});

test('after everybody has gone, by complete, close or a cut line, nothing is counted any more', async () => {
  const { hub, live, metric, sockets } = await start();
  const completing = follow(client(), TANK_CHANGED, { ids: ['a', 'b'] });
  const closing = await rawSocket(node!.url);
  const cut = await rawSocket(node!.url);
  for (const { send } of [closing, cut]) {
    send({ id: '1', type: 'subscribe', payload: { query: TANK_CHANGED, variables: { ids: ['a'] } } });
    send({ id: '2', type: 'subscribe', payload: { query: 'subscription { myTankChanged(id: "c") { level } }' } });
  }
  await until(
    'all have their current states',
    () => completing.results.length === 2 && closing.messages.length === 3 && cut.messages.length === 3,
  );
  expect([hub.size, hub.members, live.objects, live.watchers, sockets.size]).toEqual([2, 3, 3, 4, 3]);

  completing.stop();
  closing.socket.close();
  cut.socket.terminate();
  await clients.splice(0)[0]?.dispose();

  await until('no socket is left', () => sockets.size === 0);
  await until('no watcher is left', () => live.watchers === 0);
  await until('nothing is left', () => hub.size === 0 && hub.members === 0 && live.objects === 0);
  for (const name of ['sockets', 'operations', 'broadcasts', 'watched_objects']) expect([name, await metric(name)]).toEqual([name, 0]);
});

test('a reader that stops gets only the latest state of each object when it reads again, and meanwhile next to nothing is kept for it', async () => {
  const padding = 'x'.repeat(20_000);
  const { change, metric, sockets } = await start({ padding, limits: { keepAliveMs: 600_000, behindMsMax: 600_000 } });
  const query = 'subscription { tankChanged(ids: ["a", "b"]) { id version padding } }';
  const slow = await rawSocket(node!.url);
  slow.send({ id: '1', type: 'subscribe', payload: { query } });
  const quick = follow(client(), query);
  await until('the current states', () => slow.messages.length === 3 && quick.results.length === 2);

  slow.socket.pause();
  // 2 x 1,500 x 20 KB = 60 MB: far more than both kernels buffer, so most of it can only be dropped.
  let bufferedMax = 0;
  for (let n = 0; n < 1500; n++) {
    change('a', n);
    change('b', n);
    await nextTurn();
    if (n % 50 === 0)
      await until('the quick reader keeps up', () => quick.results.slice(-2).every(({ tankChanged }) => tankChanged.version === n + 2));
    for (const connection of (sockets as unknown as { connections: Set<{ socket: { bufferedAmount: number } }> }).connections) {
      bufferedMax = Math.max(bufferedMax, connection.socket.bufferedAmount);
    }
  }
  await until('the quick reader has the last', () => quick.results.filter(({ tankChanged }) => tankChanged.version === 1501).length === 2);
  slow.socket.resume();
  const states = () =>
    slow.messages.slice(1).map(({ payload }) => (payload as unknown as { data: { tankChanged: Tank } }).data.tankChanged);
  await until('the slow reader has the last of both', () => states().filter(({ version }) => version === 1501).length === 2);

  expect(bufferedMax).toBeLessThan(256 * 1024 + 2 * 21_000);
  expect(await metric('dropped_to_latest_total')).toBeGreaterThan(1000);
  expect(states().length).toBeLessThan(1500);
  for (const id of ['a', 'b']) {
    const versions = states()
      .filter((tank) => tank.id === id)
      .map(({ version }) => version);
    expect(versions).toEqual([...new Set(versions)].sort((x, y) => x - y));
  }
  slow.socket.close();
});

test('a reader that stays behind is closed with 1013', async () => {
  const { change, metric, sockets } = await start({
    padding: 'x'.repeat(50_000),
    limits: { keepAliveMs: 600_000, behindMsMax: 100, bufferedBytesMax: 100_000 },
  });
  const slow = await rawSocket(node!.url);
  slow.send({ id: '1', type: 'subscribe', payload: { query: 'subscription { tankChanged(ids: ["a"]) { version padding } }' } });
  await until('the current state', () => slow.messages.length === 2);

  slow.socket.pause();
  await until('it has been closed', async () => {
    change('a', 1);
    return (await metric('slow_readers_closed_total')) === 1;
  });

  await until('the socket is gone', () => sockets.size === 0);
  slow.socket.terminate();
});
