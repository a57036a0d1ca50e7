import 'reflect-metadata';
import { once } from 'node:events';
import fastifyWebsocket from '@fastify/websocket';
import { expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { buildSmallSchema } from '../../support/small-schema.ts';
import { startGraphqlServer } from './graphql-server.ts';

test('GET answers queries and hands upgrades to the WebSocket handler, at one path', async () => {
  await using server = await startGraphqlServer(await buildSmallSchema(), {
    prepare: async (fastify) => {
      await fastify.register(fastifyWebsocket);
    },
    wsHandler: (socket) => socket.send('from the handler'),
  });

  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`);
  const [message] = await once(socket, 'message');
  const query = await server.send('/graphql?query=%7Bthing%7Bname%7D%7D', { headers: { 'content-type': 'application/json' } });
  socket.terminate();

  expect(String(message)).toBe('from the handler');
  expect(query.body.data).toEqual({ thing: { name: 'a thing' } });
});
