import { ApolloClient, gql, InMemoryCache } from '@apollo/client';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createClient as createUrqlClient, subscriptionExchange } from '@urql/core';
import { createClient, type Sink, type SubscribePayload } from 'graphql-ws';
import { WebSocket } from 'ws';
import { startTankNode, TANK_CHANGED, type Tank, type TankNode, Tanks } from './tank-node.ts';
import { until } from './until.ts';

let node: TankNode;

beforeEach(async () => {
  node = await startTankNode({ tanks: new Tanks(['a']) });
});

afterEach(() => node.stop());

const connect = () =>
  createClient({ url: node.url, webSocketImpl: WebSocket, connectionParams: { authorization: 'Bearer token:s1:60000' } });
const variables = { ids: ['a'] };

test('graphql-ws: results as an iterator', async () => {
  const client = connect();
  const levels: number[] = [];

  for await (const { data } of client.iterate<{ tankChanged: Tank }>({ query: TANK_CHANGED, variables })) {
    levels.push(data!.tankChanged.level);
    if (levels.length === 1) node.change('a', 3);
    else break;
  }
  await client.dispose();

  expect(levels).toEqual([10, 3]);
  await until('nobody is left', () => node.hub.members === 0 && node.sockets.size === 0);
});

test('graphql-ws: a client reconnects after 1001 and has the current state again', async () => {
  const client = createClient({
    url: node.url,
    webSocketImpl: WebSocket,
    retryAttempts: 50,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, 20)),
  });
  const levels: number[] = [];
  client.subscribe<{ tankChanged: Tank }>(
    { query: TANK_CHANGED, variables },
    { next: ({ data }) => levels.push(data!.tankChanged.level), error: () => undefined, complete: () => undefined },
  );
  await until('the current state', () => levels.length === 1);

  for (const { socket } of (node.sockets as unknown as { connections: Set<{ socket: WebSocket }> }).connections)
    socket.close(1001, 'going away');
  node.tanks.fill('a', 2);

  await until('the state after the reconnection', () => levels.length === 2);
  expect(levels).toEqual([10, 2]);
  await client.dispose();
});

test('Apollo Client through GraphQLWsLink', async () => {
  const ws = connect();
  const client = new ApolloClient({ link: new GraphQLWsLink(ws), cache: new InMemoryCache() });
  const seen: unknown[] = [];

  const subscription = client
    .subscribe<{ tankChanged: Tank }>({ query: gql(TANK_CHANGED), variables })
    .subscribe(({ data }) => seen.push(data));
  await until('the current state', () => seen.length === 1);
  node.change('a', 3);
  await until('the next state', () => seen.length === 2);
  subscription.unsubscribe();

  expect(seen).toEqual([
    { tankChanged: { __typename: 'Tank', id: 'a', version: 1, level: 10 } },
    { tankChanged: { __typename: 'Tank', id: 'a', version: 2, level: 3 } },
  ]);
  await until('nobody is left', () => node.hub.members === 0);
  client.stop();
  await ws.dispose();
});

test('urql through subscriptionExchange', async () => {
  const ws = connect();
  const client = createUrqlClient({
    url: node.url.replace('ws', 'http'),
    exchanges: [
      subscriptionExchange({
        forwardSubscription: ({ query = '', ...rest }) => ({
          subscribe: (sink) => ({ unsubscribe: ws.subscribe({ ...rest, query } as SubscribePayload, sink as Sink) }),
        }),
      }),
    ],
  });
  const seen: unknown[] = [];

  const { unsubscribe } = client.subscription<{ tankChanged: Tank }>(TANK_CHANGED, variables).subscribe(({ data }) => seen.push(data));
  await until('the current state', () => seen.length === 1);
  node.change('a', 3);
  await until('the next state', () => seen.length === 2);
  unsubscribe();

  expect(seen).toEqual([
    { tankChanged: expect.objectContaining({ id: 'a', version: 1, level: 10 }) },
    { tankChanged: expect.objectContaining({ id: 'a', version: 2, level: 3 }) },
  ]);
  await until('nobody is left', () => node.hub.members === 0);
  await ws.dispose();
});
