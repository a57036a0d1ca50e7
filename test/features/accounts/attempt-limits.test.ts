import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { AttemptLimits, RateLimitedError } from '../../../src/features/accounts/index.ts';
import { type TestDatabase, testDatabase } from '../../support/database.ts';
import { type TestRedis, testRedis } from '../../support/redis.ts';
import { eventually } from '../../support/wait.ts';

const MAXIMA = { signInsPerAccount: 2, signInsPerAddress: 5, signUpsPerAddress: 1, lookUpsPerMember: 2, windowSeconds: 900 };
const EMAIL = 'guessed@example.com';

describe('counters in Redis', () => {
  let db: TestDatabase;
  let server: TestRedis;
  let clients: Redis[];
  let nodes: AttemptLimits[];
  beforeAll(async () => {
    db = await testDatabase();
    server = await testRedis();
    clients = [1, 2].map(() => new Redis(server.url, { retryStrategy: () => 20, maxRetriesPerRequest: null }));
    for (const client of clients) client.on('error', () => undefined); // it says so each time a reconnect fails
    nodes = clients.map((redis) => new AttemptLimits({ pool: db.database.pool, redis }, MAXIMA));
    await eventually(() => Promise.resolve(clients.every(({ status }) => status === 'ready')));
  });
  afterAll(async () => {
    for (const client of clients) client.disconnect();
    await server.stop();
    await db.close();
  });

  const isLimited = async (node: number, email = EMAIL, ip = '192.0.2.1') =>
    (await nodes[node]?.signIn(email, ip)) instanceof RateLimitedError;

  test('are shared by all nodes, end by themselves, and name nobody', async () => {
    expect([await isLimited(0), await isLimited(1), await isLimited(0), await isLimited(1)]).toEqual([false, false, true, true]);

    const client = clients[0] as Redis;
    const keys = await client.keys('*');
    expect(keys.sort()).toEqual([expect.stringMatching(/^sign-in-account:[\w-]{43}$/), 'sign-in-network:192.0.2.1']);
    for (const key of keys) {
      const seconds = await client.ttl(key);
      expect(seconds > 0 && seconds <= 900).toBe(true);
    }
    expect(await db.query('select from attempt_counter')).toEqual([]);
  });

  test('while Redis is away each node counts for itself at once, and together again when it is back', async () => {
    await server.kill();
    await eventually(() => Promise.resolve(clients.every(({ status }) => status !== 'ready')));

    const away = [];
    for (const node of [0, 0, 0, 1, 1, 1]) away.push(await isLimited(node, 'away@example.com', '192.0.2.2'));
    expect(away).toEqual([false, false, true, false, false, true]);

    await server.restart();
    await eventually(() => Promise.resolve(clients.every(({ status }) => status === 'ready')));
    expect([await isLimited(0), await isLimited(1), await isLimited(0)]).toEqual([false, false, true]);
  });
});

describe('counters in the database', () => {
  let db: TestDatabase;
  beforeAll(async () => {
    db = await testDatabase();
  });
  afterAll(() => db.close());

  test('name nobody, and forget when the window is over', async () => {
    const limits = new AttemptLimits({ pool: db.database.pool }, MAXIMA);
    for (let attempt = 0; attempt < 3; attempt++) await limits.signIn(EMAIL, '192.0.2.1');
    expect(await limits.signIn(EMAIL, '192.0.2.1')).toBeInstanceOf(RateLimitedError);
    expect(await db.query('select key, points from attempt_counter order by key')).toEqual([
      { key: expect.stringMatching(/^sign-in-account:[\w-]{43}$/), points: 4 },
      { key: 'sign-in-network:192.0.2.1', points: 4 },
    ]);

    await db.query('update attempt_counter set expire = expire - 900 * 1000');

    expect(await limits.signIn(EMAIL, '192.0.2.1')).not.toBeInstanceOf(RateLimitedError);
  });

  test('addresses of one IPv6 network count as one caller', async () => {
    const limits = new AttemptLimits({ pool: db.database.pool }, MAXIMA);

    expect(await limits.signUp('2001:db8::1')).toBeNull();
    expect(await limits.signUp('2001:db8::ffff:2')).toBeInstanceOf(RateLimitedError);
    expect(await limits.signUp('2001:db8:0:1::1')).toBeNull();
  });
});
