import { afterEach, expect, test } from '@jest/globals';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { inProcessFanOut } from '../../../src/platform/subscriptions/fan-out.ts';
import { LiveObjects, type LiveObjectsOptions } from '../../../src/platform/subscriptions/live-objects.ts';
import { subscriptionMetrics } from '../../../src/platform/subscriptions/metrics.ts';
import type { Timers } from '../../../src/platform/subscriptions/pace.ts';
import { type Tank, Tanks } from './tank-node.ts';
import { until } from './until.ts';

const logger = pino({ level: 'silent' });
const opened: LiveObjects<Tank>[] = [];

afterEach(() => {
  for (const live of opened.splice(0)) live.close();
});

/** A clock that the test turns. */
class HandClock implements Timers {
  private nowMs = 0;
  private readonly waiting = new Map<object, { atMs: number; action: () => void }>();

  after(ms: number, action: () => void) {
    const key = {};
    this.waiting.set(key, { atMs: this.nowMs + ms, action });
    return () => void this.waiting.delete(key);
  }

  advance(ms: number) {
    const end = this.nowMs + ms;
    for (;;) {
      const [next] = [...this.waiting].filter(([, { atMs }]) => atMs <= end).sort(([, a], [, b]) => a.atMs - b.atMs);
      if (!next) break;
      this.waiting.delete(next[0]);
      this.nowMs = next[1].atMs;
      next[1].action();
    }
    this.nowMs = end;
  }
}

function liveTanks(tanks: Tanks, options: Partial<LiveObjectsOptions<Tank>> = {}) {
  const fanOut = inProcessFanOut(logger);
  const metrics = subscriptionMetrics(new Registry());
  const live = new LiveObjects<Tank>({
    name: 'tank',
    fanOut,
    read: tanks.read,
    sameState: (a, b) => a.level === b.level,
    logger,
    metrics,
    ...options,
  });
  opened.push(live);
  return { live, fanOut };
}

test('a watcher gets the current state first and then the newer one', async () => {
  const tanks = new Tanks(['a']);
  const { live } = liveTanks(tanks);

  const states = live.watch(['a']);
  const first = await states.next();
  live.publish(tanks.fill('a', 9));
  const second = await states.next();

  expect(first).toEqual({ done: false, value: { id: 'a', version: 1, level: 10 } });
  expect(second).toEqual({ done: false, value: { id: 'a', version: 2, level: 9 } });
});

test('watchers that come together share one read, and later ones none', async () => {
  const ids = Array.from({ length: 30 }, (_, n) => `t${n}`);
  const tanks = new Tanks(ids);
  const { live } = liveTanks(tanks, { refreshMs: 1_000_000 });

  await Promise.all([live.watch(ids).next(), live.watch(ids.slice(0, 5)).next(), live.watch(['t7']).next()]);
  await live.watch(['t3', 't4']).next();

  expect(tanks.reads).toEqual([ids]);
});

test('250 watched objects are read in chunks of 100', async () => {
  const ids = Array.from({ length: 250 }, (_, n) => `t${n}`);
  const tanks = new Tanks(ids);
  const { live } = liveTanks(tanks, { refreshMs: 1_000_000 });
  const seen = new Set<string>();

  const stop = live.observe(ids, ({ id }) => seen.add(id));
  await until('all are seen', () => seen.size === 250);
  stop();

  expect(tanks.reads.map((read) => read.length)).toEqual([100, 100, 50]);
});

test('a burst of 1,000 versions in a second becomes at most 21 messages, and the last one is among them', async () => {
  const tanks = new Tanks(['a']);
  const clock = new HandClock();
  const { live } = liveTanks(tanks, { timers: clock, minIntervalMs: 50, refreshMs: 1_000_000 });
  const versions: number[] = [];
  live.observe(['a'], ({ version }) => versions.push(version));
  await until('the first state', () => versions.length === 1);
  clock.advance(1000);

  for (let n = 0; n < 1000; n++) {
    live.publish(tanks.fill('a', n));
    clock.advance(1);
  }
  clock.advance(200);

  const messages = versions.slice(1);
  expect(messages.length).toBeLessThanOrEqual(21);
  expect(messages.length).toBeGreaterThanOrEqual(19);
  expect(messages.at(-1)).toBe(1001);
  expect(messages).toEqual([...messages].sort((a, b) => a - b));
});

test('without a conflating interval the same burst is 1,000 messages', async () => {
  const tanks = new Tanks(['a']);
  const { live } = liveTanks(tanks, { minIntervalMs: 0 });
  const versions: number[] = [];
  live.observe(['a'], ({ version }) => versions.push(version));
  await until('the first state', () => versions.length === 1);

  for (let n = 0; n < 1000; n++) live.publish(tanks.fill('a', n));

  expect(versions.length).toBe(1001);
});

test('close sends the state that was waiting', async () => {
  const tanks = new Tanks(['a']);
  const { live, fanOut } = liveTanks(tanks, { timers: new HandClock() });
  const heard: unknown[] = [];
  await fanOut.subscribe('tank:a', (message) => heard.push(message));

  live.publish(tanks.fill('a', 9));
  live.publish(tanks.fill('a', 8));
  live.publish(tanks.fill('a', 7));
  live.close();

  expect(heard).toEqual([
    { id: 'a', version: 2, level: 9 },
    { id: 'a', version: 4, level: 7 },
  ]);
});

test('an older version never follows a newer one, whether hinted or read', async () => {
  const tanks = new Tanks(['a']);
  let stale: Tank[] | undefined;
  let staleReads = 0;
  const read = async (ids: readonly string[]) => {
    if (stale) staleReads++;
    return stale ?? tanks.read(ids);
  };
  const clock = new HandClock();
  const { live, fanOut } = liveTanks(tanks, { read, timers: clock, minIntervalMs: 0 });
  const versions: number[] = [];
  live.observe(['a'], ({ version }) => versions.push(version));
  await until('the first state', () => versions.length === 1);

  stale = [{ id: 'a', version: 1, level: 99 }];
  live.publish(tanks.fill('a', 9));
  live.publish(tanks.fill('a', 8));
  await fanOut.publish('tank:a', { id: 'a', version: 2, level: 9 });
  clock.advance(3000);
  await until('the stale read', () => staleReads === 1);
  stale = undefined;
  clock.advance(3000);
  await until('the true read', () => tanks.reads.length === 2);
  live.publish(tanks.fill('a', 7));

  expect(versions).toEqual([1, 2, 3, 4]);
});

test('a state that the clock changed without a new version is found by the refresh', async () => {
  const tanks = new Tanks(['a']);
  const clock = new HandClock();
  const { live } = liveTanks(tanks, { timers: clock });
  const states = live.watch(['a']);
  await states.next();

  tanks.drift('a', 5);
  clock.advance(3000);

  expect(await states.next()).toEqual({ done: false, value: { id: 'a', version: 1, level: 5 } });
});

test('a hint of the known version with another state is not believed but read again', async () => {
  const tanks = new Tanks(['a']);
  const { live, fanOut } = liveTanks(tanks, { refreshMs: 1_000_000 });
  const states = live.watch(['a']);
  await states.next();

  tanks.drift('a', 5);
  await fanOut.publish('tank:a', { id: 'a', version: 1, level: 77 });

  expect(await states.next()).toEqual({ done: false, value: { id: 'a', version: 1, level: 5 } });
  expect(tanks.reads).toEqual([['a'], ['a']]);
});

test.each([null, 'x', 7, [], {}, { id: 'b', version: 9 }, { id: 'a', version: '9' }, { id: 'a', version: 1.5 }])(
  'the hint %j is ignored',
  async (hint) => {
    const tanks = new Tanks(['a']);
    const { live, fanOut } = liveTanks(tanks);
    const states: Tank[] = [];
    live.observe(['a'], (state) => states.push(state));
    await until('the first state', () => states.length === 1);

    await fanOut.publish('tank:a', hint);
    live.publish(tanks.fill('a', 9));

    await until('the next true state', () => states.length === 2);
    expect(states[1]).toEqual({ id: 'a', version: 2, level: 9 });
  },
);

test('a consumer that does not read keeps one state per object', async () => {
  const tanks = new Tanks(['a', 'b']);
  const { live } = liveTanks(tanks, { minIntervalMs: 0 });
  const states = live.watch(['a', 'b']);
  await states.next();

  for (let n = 0; n < 500; n++) {
    live.publish(tanks.fill('a', n));
    live.publish(tanks.fill('b', n));
  }
  const rest = [await states.next(), await states.next()].map(({ value }) => value);

  expect(rest).toEqual(expect.arrayContaining([tanks.get('a'), tanks.get('b')]));
  const none = states.next();
  live.publish(tanks.fill('a', 1));
  expect((await none).value).toEqual(tanks.get('a'));
});

test('a failed first read heals at the next refresh', async () => {
  const tanks = new Tanks(['a']);
  const clock = new HandClock();
  const { live } = liveTanks(tanks, { timers: clock });
  tanks.failing = true;
  const first = live.watch(['a']).next();
  await until('the failed read', () => tanks.reads.length === 1);

  tanks.failing = false;
  clock.advance(3000);

  expect((await first).value).toEqual({ id: 'a', version: 1, level: 10 });
});

test('an unknown object gives nothing and is reported once', async () => {
  const missing: string[] = [];
  const tanks = new Tanks(['a']);
  const clock = new HandClock();
  const { live } = liveTanks(tanks, { timers: clock, onMissing: (id) => missing.push(id) });
  const states = live.watch(['none', 'a']);

  expect((await states.next()).value).toEqual({ id: 'a', version: 1, level: 10 });
  clock.advance(3000);
  await until('the refresh', () => tanks.reads.length === 2);

  expect(missing).toEqual(['none']);
});

test('after return, abort and stop nothing is watched and the pending next ends', async () => {
  const tanks = new Tanks(['a', 'b']);
  const { live } = liveTanks(tanks);
  const abort = new AbortController();
  const returned = live.watch(['a', 'b']);
  const aborted = live.watch(['a'], { signal: abort.signal });
  const stop = live.observe(['a', 'a'], () => undefined);
  await Promise.all([returned.next(), aborted.next()]);
  await returned.next();
  expect([live.watchers, live.objects]).toEqual([3, 2]);
  const pending = [returned.next(), aborted.next()];

  await returned.return?.();
  abort.abort();
  stop();
  stop();

  expect(await Promise.all(pending)).toEqual([
    { done: true, value: undefined },
    { done: true, value: undefined },
  ]);
  expect([live.watchers, live.objects]).toEqual([0, 0]);
  expect(await live.watch(['a'], { signal: abort.signal }).next()).toEqual({ done: true, value: undefined });
  expect(live.watchers).toBe(0);
});

test('an iterator that is never read watches nothing', () => {
  const tanks = new Tanks(['a']);
  const { live } = liveTanks(tanks);

  live.watch(['a']);

  expect([live.watchers, live.objects]).toEqual([0, 0]);
});

test('a watcher that throws does not stop the others', async () => {
  const tanks = new Tanks(['a']);
  const { live } = liveTanks(tanks);
  const versions: number[] = [];
  live.observe(['a'], () => {
    throw new Error('a bug');
  });
  live.observe(['a'], ({ version }) => versions.push(version));

  await until('the current state', () => versions.length === 1);
  live.publish(tanks.fill('a', 9));

  await until('the next state', () => versions.length === 2);
  expect(versions).toEqual([1, 2]);
});
