import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, jest, test } from '@jest/globals';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { LiveSeatMap } from '../../../src/features/seat-maps/live-seat-map.ts';
import type { SectionedSeatMap } from '../../../src/features/seat-maps/seat-map.ts';
import { subscriptionMetrics } from '../../../src/platform/subscriptions/metrics.ts';

const mapAt = (version: number) => ({ id: 'p', version }) as SectionedSeatMap;

/** What the clock says, in milliseconds. */
let clock = 0;
beforeEach(() => {
  jest.spyOn(performance, 'now').mockImplementation(() => clock);
});
afterEach(() => {
  jest.restoreAllMocks();
});

/** A map whose truth, clock and reads the test moves. */
function aMap() {
  const truth = { version: 1, isAway: false, hasSeats: true };
  const pauses: { ms: number; over: () => void }[] = [];
  const reads: { before: number | undefined; answer: () => void }[] = [];
  const metrics = subscriptionMetrics(new Registry());
  let ring: (hint: { version: number }) => void = () => undefined;
  let isRinging = true;
  const map = new LiveSeatMap({
    read: (before) =>
      new Promise((resolve, reject) => {
        const answer = () => (truth.isAway ? reject(new Error('away')) : resolve(truth.hasSeats ? mapAt(truth.version) : 'NO_SEATS'));
        reads.push({ before: before?.version, answer });
      }),
    ring: (listener) => {
      ring = listener;
      return () => {
        isRinging = false;
      };
    },
    timers: {
      after: (ms, over) => {
        pauses.push({ ms, over });
        return () => undefined;
      },
    },
    logger: pino({ level: 'silent' }),
    metrics,
  });
  const turn = async () => {
    for (let n = 0; n < 5; n++) await nextTurn();
  };
  return {
    map,
    truth,
    reads,
    pauses,
    metrics,
    isRinging: () => isRinging,
    hint: (version: number) => ring({ version }),
    answer: async () => {
      reads.at(-1)?.answer();
      await turn();
    },
    pass: async () => {
      pauses.at(-1)?.over();
      await turn();
    },
  };
}

test('a thousand hints while it reads and pauses cost one read more, which asks for what is newer only', async () => {
  const { map, truth, reads, pauses, hint, answer, pass } = aMap();
  const told: number[] = [];
  map.observe(({ version }) => told.push(version));

  for (let version = 2; version < 500; version++) hint(version);
  clock += 20;
  await answer();
  for (let version = 500; version < 1_000; version++) hint(version);
  truth.version = 999;
  // What is left of the 50 ms between two reads.
  expect([reads.length, pauses.map(({ ms }) => ms)]).toEqual([1, [30]]);
  await pass();
  await answer();
  await pass();

  expect(reads.map(({ before }) => before)).toEqual([undefined, 1]);
  expect(told).toEqual([1, 999]);
});

test('a hint of what it has, or is just reading, costs nothing', async () => {
  const { reads, hint, answer, pass } = aMap();
  hint(1);
  await answer();
  hint(1);
  await pass();

  hint(1);

  expect(reads).toHaveLength(1);
});

test('a hint of what is not there costs one read', async () => {
  const { reads, hint, answer, pass } = aMap();
  await answer();
  await pass();

  hint(1_000_000);
  await answer();
  await pass();

  expect(reads).toHaveLength(2);
});

test('a read that failed is tried again half a second later, without another hint', async () => {
  const { map, truth, reads, pauses, metrics, answer, pass } = aMap();
  truth.isAway = true;
  const reached = map.reach(1);

  await answer();
  expect([map.map, pauses.at(-1)?.ms]).toEqual([undefined, 500]);
  truth.isAway = false;
  await pass();
  await answer();

  expect([map.map?.version, reads.length, await reached]).toEqual([1, 2, 1]);
  expect((await metrics.rereadFailures.get()).values).toEqual([{ labels: { object: 'seat-map' }, value: 1 }]);
});

test('who asks how far the truth has come is answered by a read that began afterwards', async () => {
  const { map, truth, reads, answer, pass } = aMap();
  let reached: number | undefined;
  void map.reach(3).then((version) => {
    reached = version;
  });
  // The read under way may have seen what was before: it began before somebody asked for more.
  void map.reach(2);
  await answer();
  expect([reached, reads.length]).toEqual([undefined, 1]);
  truth.version = 3;
  await pass();
  await answer();

  expect([reached, await map.reach(2), reads.length]).toEqual([3, 3, 2]);
});

test('without numbered seats it is read once, and says nothing', async () => {
  const { map, truth, reads, hint, answer, pass } = aMap();
  truth.hasSeats = false;
  const told: unknown[] = [];
  map.observe((state) => told.push(state));
  await answer();
  await pass();

  hint(5);

  expect([reads.length, told, await map.reach(9)]).toEqual([1, [], 0]);
});

test('when it is closed nobody waits for it any more, and nothing is read again', async () => {
  const { map, reads, isRinging, hint, answer, pass } = aMap();
  await answer();
  const reached = map.reach(7);

  map.close();
  hint(8);
  await pass();

  expect([await reached, isRinging(), reads.length]).toEqual([1, false, 1]);
});
