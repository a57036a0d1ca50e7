import { afterEach, expect, test } from '@jest/globals';
import { type RawSocket, rawSocket, startTankNode, TANK_CHANGED, type TankNode, type TankNodeOptions, Tanks } from './tank-node.ts';
import { until } from './until.ts';

const SUBSCRIBE = { id: '1', type: 'subscribe', payload: { query: TANK_CHANGED, variables: { ids: ['a'] } } };
const nodes: TankNode[] = [];
const raws: RawSocket[] = [];

afterEach(async () => {
  for (const { socket } of raws.splice(0)) socket.terminate();
  for (const node of nodes.splice(0)) await node.stop();
});

async function start(options: Partial<TankNodeOptions> = {}): Promise<TankNode> {
  const node = await startTankNode({ tanks: new Tanks(['a']), ...options });
  nodes.push(node);
  return node;
}

async function open(node: TankNode, options?: Parameters<typeof rawSocket>[1]): Promise<RawSocket> {
  const raw = await rawSocket(node.url, options);
  raws.push(raw);
  return raw;
}

test.each([
  ['nobody', {}, {}],
  ['an empty Authorization', { Authorization: '' }, {}],
  ['Authorization null', { Authorization: null }, {}],
  ['a token', { Authorization: 'Bearer token:s1:60000' }, {}],
  ['a token in lower case', { authorization: 'bearer token:s1:60000' }, {}],
  ['a token in the header of the upgrade', {}, { Authorization: 'Bearer token:s1:60000' }],
])('%s may subscribe to what is public', async (_name, init, headers) => {
  const raw = await open(await start(), { init, headers });

  raw.send(SUBSCRIBE);

  await until('the current state', () => raw.messages.length === 2);
  expect(raw.messages.map(({ type }) => type)).toEqual(['connection_ack', 'next']);
});

test.each([
  ['forged', { Authorization: 'Bearer forged' }, {}],
  ['without a scheme', { Authorization: 'token:s1:60000' }, {}],
  ['empty after its scheme', { Authorization: 'Bearer ' }, {}],
  ['not text', { Authorization: { toString: 'x' } }, {}],
  ['a list', { Authorization: ['Bearer token:s1:60000'] }, {}],
  ['forged in the header', {}, { Authorization: 'Bearer forged' }],
  ['expired', { Authorization: 'Bearer token:s1:0' }, {}],
])('a token that is %s closes the socket with 4403 before anything is executed', async (_name, init, headers) => {
  const node = await start();
  const raw = await open(node, { init, headers });
  if (raw.socket.readyState === raw.socket.OPEN) raw.send(SUBSCRIBE);

  expect((await raw.closed).code).toBe(4403);
  expect(node.counts.executions).toBe(0);
});

test('a socket is closed when its token expires', async () => {
  const node = await start();
  // Long enough to be served before, on a machine that does not stall, or on one that does.
  for (const milliseconds of [300, 6_000]) {
    const raw = await open(node, { init: { Authorization: `Bearer token:s1:${milliseconds}` } });
    if (raw.socket.readyState === raw.socket.OPEN) raw.send(SUBSCRIBE);
    const { code, reason } = await raw.closed;

    const wasServed = raw.messages.length === 2;
    if (!wasServed && milliseconds === 300) continue;
    expect({ code, reason, wasServed }).toEqual({ code: 4403, reason: 'Access token expired', wasServed: true });
    return;
  }
});

test('a token that lives for longer than a timer can wait does not close the socket', async () => {
  const raw = await open(await start(), { init: { Authorization: `Bearer token:s1:${40 * 24 * 3600 * 1000}` } });

  raw.send(SUBSCRIBE);

  await until('the current state', () => raw.messages.length === 2);
  expect(raw.socket.readyState).toBe(raw.socket.OPEN);
});

test('sessions are looked up in one call, and the sockets of ended ones are closed', async () => {
  const sessionsLive = new Set(['s1', 's2']);
  const node = await start({ sessionsLive, limits: { sessionsCheckMs: 30 } });
  const ended = [
    await open(node, { init: { Authorization: 'Bearer token:s1:60000' } }),
    await open(node, { init: { Authorization: 'Bearer token:s1:60000' } }),
  ];
  const other = await open(node, { init: { Authorization: 'Bearer token:s2:60000' } });
  const anonymous = await open(node);
  await until('a look-up of both', () => node.counts.sessionLookUps.some((ids) => ids.join() === 's1,s2'));

  sessionsLive.delete('s1');

  for (const raw of ended) expect(await raw.closed).toEqual({ code: 4403, reason: 'Session ended' });
  const lookUps = node.counts.sessionLookUps.length;
  await until('the next look-up', () => node.counts.sessionLookUps.length > lookUps + 1);
  expect(node.counts.sessionLookUps.at(-1)).toEqual(['s2']);
  for (const raw of [other, anonymous]) expect(raw.socket.readyState).toBe(raw.socket.OPEN);
});

test('closeSession closes at once, here and on the other node of the fan-out', async () => {
  const here = await start();
  const there = await start({ fanOut: here.fanOut });
  const mine = await open(here, { init: { Authorization: 'Bearer token:s1:60000' } });
  const mineThere = await open(there, { init: { Authorization: 'Bearer token:s1:60000' } });
  const other = await open(there, { init: { Authorization: 'Bearer token:s2:60000' } });

  here.sockets.closeSession('s1');

  expect([await mine.closed, await mineThere.closed]).toEqual([
    { code: 4403, reason: 'Session ended' },
    { code: 4403, reason: 'Session ended' },
  ]);
  expect(other.socket.readyState).toBe(other.socket.OPEN);
});

test('when authentication is broken the client is asked to come again, and nothing is said of why', async () => {
  const node = await start({
    authenticate: async () => {
      throw new Error('secret detail');
    },
  });

  const raw = await open(node, { init: { Authorization: 'Bearer token:s1:60000' } });

  expect(await raw.closed).toEqual({ code: 1013, reason: 'Try again later' });
});

test.each([
  ['query', 'query { tank(id: "a") { id } }'],
  ['mutation', 'mutation { fill(id: "a") { id } }'],
  ['introspection', '{ __schema { types { name } } }'],
])('a %s is refused over WebSocket', async (_name, query) => {
  const raw = await open(await start());

  raw.send({ id: '1', type: 'subscribe', payload: { query } });

  await until('the answer', () => raw.messages.length === 2);
  expect(raw.messages[1]).toEqual({
    id: '1',
    type: 'error',
    payload: [{ message: 'Send queries and mutations by HTTP POST.', extensions: { code: 'SUBSCRIPTIONS_ONLY' } }],
  });
});

test('a subscription of many operations needs a name', async () => {
  const raw = await open(await start());

  raw.send({
    id: '1',
    type: 'subscribe',
    payload: { query: `subscription A { tankChanged(ids: ["a"]) { id } } subscription B { tankChanged(ids: ["a"]) { id } }` },
  });

  await until('the answer', () => raw.messages.length === 2);
  expect(raw.messages[1]).toMatchObject({ type: 'error', payload: [{ extensions: { code: 'OPERATION_RESOLUTION_FAILURE' } }] });
});

test('the 21st subscription of a socket is refused; the others go on, and one completed makes room', async () => {
  const node = await start();
  const raw = await open(node);
  for (let n = 1; n <= 21; n++) raw.send({ ...SUBSCRIBE, id: `op${n}` });
  await until('21 answers', () => raw.messages.length === 22);

  const refused = raw.messages.filter(({ type }) => type === 'error');
  expect(refused).toEqual([
    { id: 'op21', type: 'error', payload: [expect.objectContaining({ extensions: { code: 'TOO_MANY_SUBSCRIPTIONS' } })] },
  ]);
  expect(node.hub.members).toBe(20);

  raw.send({ id: 'op1', type: 'complete' });
  raw.send({ ...SUBSCRIBE, id: 'op22' });
  await until('one more answer', () => raw.messages.length === 23);
  expect(raw.messages[22]).toMatchObject({ id: 'op22', type: 'next' });
});

test('an operation id of 129 characters is refused', async () => {
  const raw = await open(await start());

  raw.send({ ...SUBSCRIBE, id: 'x'.repeat(129) });

  await until('the answer', () => raw.messages.length === 2);
  expect(raw.messages[1]).toMatchObject({ type: 'error', payload: [{ extensions: { code: 'BAD_USER_INPUT' } }] });
});

test('a message of more than 64 KiB closes the socket with 1009; one just below is answered', async () => {
  const node = await start();
  const raw = await open(node);
  const padded = (length: number) => ({ ...SUBSCRIBE, payload: { ...SUBSCRIBE.payload, query: `${TANK_CHANGED} #${'x'.repeat(length)}` } });
  raw.send(padded(64 * 1024 - 300));
  await until('the answer', () => raw.messages.length === 2);

  raw.send(padded(64 * 1024));

  expect((await raw.closed).code).toBe(1009);
  await until('it is forgotten', () => node.sockets.size === 0 && node.hub.members === 0);
});

test('the 101st message within the window closes the socket with 4429', async () => {
  const raw = await open(await start());

  for (let n = 0; n < 110; n++) raw.send({ type: 'ping' });

  expect(await raw.closed).toEqual({ code: 4429, reason: 'Too many messages' });
  // 99 pongs: connection_init was the first of the hundred.
  expect(raw.messages.filter(({ type }) => type === 'pong').length).toBe(99);
});

test.each([
  ['no protocol', null],
  ['an unknown protocol', 'soap'],
  ['the old protocol graphql-ws', 'graphql-ws'],
])('a client with %s gets no subscription', async (_name, protocol) => {
  const node = await start();
  const raw = await open(node, { protocol, init: null });

  const { code } = await raw.closed;

  // The client of ws itself ends (1006) when its offer was not taken.
  expect(code).toBe(protocol === null ? 4406 : 1006);
  await until('it is forgotten', () => node.sockets.size === 0);
});

test.each([
  ['no JSON', '{', 4400],
  ['an unknown type', '{"type":"stop"}', 4400],
  ['subscribe before connection_init', JSON.stringify(SUBSCRIBE), 4401],
])('%s closes the socket with its code', async (_name, message, code) => {
  const raw = await open(await start(), { init: null });

  raw.socket.send(message);

  expect((await raw.closed).code).toBe(code);
});

test('a client that says nothing is closed with 4408', async () => {
  const raw = await open(await start({ limits: { connectionInitMs: 50 } }), { init: null });

  expect((await raw.closed).code).toBe(4408);
});

test('a client that does not answer pings is ended, one that does stays', async () => {
  // Client and server are one process: one that stalls for the time between two pings does not answer either. Then there is more time.
  for (const keepAliveMs of [100, 3_000]) {
    const node = await start({ limits: { keepAliveMs } });
    const dead = await open(node);
    const alive = await open(node);
    let pings = 0;
    alive.socket.on('ping', () => pings++);

    dead.socket.pause();

    await until('the one is ended', () => node.sockets.size < 2);
    await until('some more pings', () => pings > 3 || node.sockets.size === 0, 20_000);
    if (node.sockets.size === 0 && keepAliveMs === 100) continue;
    expect([node.sockets.size, alive.socket.readyState]).toEqual([1, alive.socket.OPEN]);
    return;
  }
});

test('sockets over the limit of an address or of the process are asked to come again', async () => {
  const perAddress = await start({ limits: { socketsPerAddressMax: 2 } });
  const inAll = await start({ limits: { socketsMax: 2 } });
  for (const [node, reason] of [
    [perAddress, 'Too many connections from this address: try again later'],
    [inAll, 'Too many connections: try again later'],
  ] as const) {
    const [first] = [await open(node), await open(node)];

    const third = await open(node);
    expect(await third.closed).toEqual({ code: 1013, reason });

    first?.socket.close();
    await until('there is room', () => node.sockets.size === 1);
    const fourth = await open(node);
    expect(fourth.messages).toEqual([{ type: 'connection_ack' }]);
  }
});

test('close ends every socket with 1001, refuses new ones and leaves nothing behind', async () => {
  const node = await start();
  const all = await Promise.all(Array.from({ length: 5 }, () => open(node)));
  for (const raw of all) raw.send(SUBSCRIBE);
  await until('all are served', () => node.hub.members === 5);

  await node.sockets.close();

  for (const raw of all) expect(await raw.closed).toEqual({ code: 1001, reason: 'The server is going away' });
  expect([node.sockets.size, node.hub.members, node.live.watchers, node.live.objects]).toEqual([0, 0, 0, 0]);
  const late = await open(node);
  expect((await late.closed).code).toBe(1001);
});

test('close does not wait for a client that does not answer', async () => {
  const node = await start();
  const raw = await open(node);
  raw.socket.pause();

  await node.sockets.close(50);

  expect(node.sockets.size).toBe(0);
});
