import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import {
  type FanOut,
  inProcessFanOut,
  type JsonValue,
  RedisUnreachableError,
  redisFanOut,
} from '../../../src/platform/subscriptions/fan-out.ts';
import { subscriptionMetrics } from '../../../src/platform/subscriptions/metrics.ts';
import { RedisProcess } from './redis-process.ts';
import { until } from './until.ts';

const logger = pino({ level: 'silent' });
let redis: RedisProcess;
const opened: FanOut[] = [];

beforeAll(async () => {
  redis = await RedisProcess.start();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map((fanOut) => fanOut.close()));
});

afterAll(() => redis.kill());

async function open(kind: string): Promise<FanOut> {
  const fanOut = kind === 'redis' ? await redisFanOut(redis.url, logger) : inProcessFanOut(logger);
  opened.push(fanOut);
  return fanOut;
}

test.each(['in-process', 'redis'])('%s: a message reaches every listener of its topic and nobody after it left', async (kind) => {
  const fanOut = await open(kind);
  const heard: [string, JsonValue][] = [];
  const stopFirst = await fanOut.subscribe('a', (message) => heard.push(['first', message]));
  const stopSecond = await fanOut.subscribe('a', (message) => heard.push(['second', message]));
  await fanOut.subscribe('b', (message) => heard.push(['other', message]));

  await fanOut.publish('a', { n: 1 });
  await until('both heard it', () => heard.length === 2);
  await stopFirst();
  await fanOut.publish('a', { n: 2 });
  await until('one heard it', () => heard.length === 3);
  await stopSecond();
  await fanOut.publish('a', { n: 3 });
  await fanOut.publish('b', { n: 4 });
  await until('the other heard its own', () => heard.length === 4);

  expect(heard).toEqual([
    ['first', { n: 1 }],
    ['second', { n: 1 }],
    ['second', { n: 2 }],
    ['other', { n: 4 }],
  ]);
  expect(fanOut.kind).toBe(kind);
  expect(await fanOut.ready()).toBe(true);
});

test.each(['in-process', 'redis'])('%s: a listener that throws harms neither publisher nor neighbour', async (kind) => {
  const fanOut = await open(kind);
  const heard: JsonValue[] = [];
  await fanOut.subscribe('a', () => {
    throw new Error('a bug');
  });
  await fanOut.subscribe('a', (message) => heard.push(message));

  await fanOut.publish('a', 'x');

  await until('the neighbour heard it', () => heard.length === 1);
});

test.each(['in-process', 'redis'])('%s: a listener gets its own copy, as JSON has it', async (kind) => {
  const fanOut = await open(kind);
  const heard: JsonValue[] = [];
  await fanOut.subscribe('a', (message) => heard.push(message));
  const sent = { at: new Date(0) as unknown as JsonValue };

  await fanOut.publish('a', sent);
  await until('it was heard', () => heard.length === 1);

  expect(heard).toEqual([{ at: '1970-01-01T00:00:00.000Z' }]);
});

test('an unreachable Redis is one sentence without the password', async () => {
  // A port that nothing is given by chance.
  const url = 'redis://user:hunter2@127.0.0.1:1';

  const error = await redisFanOut(url, logger).catch((caught) => caught);

  expect(error).toBeInstanceOf(RedisUnreachableError);
  expect(error.message).toMatch(
    /^Redis at redis:\/\/127\.0\.0\.1:\d+ cannot be reached \(.*ECONNREFUSED.*\): start it, or correct or unset REDIS_URL\.$/,
  );
  expect(String(error.stack)).not.toContain('hunter2');
});

test('a wrong password is said as such', async () => {
  const error = await redisFanOut(redis.url.replace('//', '//nobody:hunter2@'), logger).catch((caught) => caught);

  expect(error).toBeInstanceOf(RedisUnreachableError);
  expect(error.message).toContain('WRONGPASS');
});

test('what is published while Redis is away is counted and dropped; later messages arrive, also for topics of meanwhile', async () => {
  const registry = new Registry();
  const metrics = subscriptionMetrics(registry);
  const fanOut = await redisFanOut(redis.url, logger, { metrics });
  opened.push(fanOut);
  let reconnects = 0;
  fanOut.onReconnect(() => reconnects++);
  const heard: [string, JsonValue][] = [];
  await fanOut.subscribe('before', (message) => heard.push(['before', message]));
  const stopGone = await fanOut.subscribe('gone', (message) => heard.push(['gone', message]));

  await redis.kill();
  await until('it is not ready', async () => !(await fanOut.ready()));
  await fanOut.publish('before', 1);
  await fanOut.subscribe('meanwhile', (message) => heard.push(['meanwhile', message]));
  await stopGone();
  await redis.start();
  await until('it is ready again', () => fanOut.ready());
  await until('it has told so', () => reconnects === 1);
  await fanOut.publish('gone', 2);
  await fanOut.publish('before', 3);
  await fanOut.publish('meanwhile', 4);
  await until('both arrived', () => heard.length === 2);

  expect(heard).toEqual([
    ['before', 3],
    ['meanwhile', 4],
  ]);
  expect((await registry.getSingleMetric('lastseat_subscription_publish_failures_total')?.get())?.values[0]?.value).toBe(1);
});

test('close during an outage leaves nothing unhandled and no connection', async () => {
  const fanOut = await redisFanOut(redis.url, logger);
  const stop = await fanOut.subscribe('a', () => undefined);
  await redis.kill();
  await until('it is not ready', async () => !(await fanOut.ready()));

  await fanOut.subscribe('b', () => undefined);
  await stop();
  await fanOut.close();
  await fanOut.publish('a', 1);
  expect(await fanOut.ready()).toBe(false);

  await redis.start();
  const observer = new Redis(redis.url);
  // The one that waited until Redis answered may just be leaving.
  await until(
    'nobody but the observer',
    async () =>
      String(await observer.client('LIST'))
        .trim()
        .split('\n').length === 1,
  ).finally(() => observer.disconnect());
});
