import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import type { WebSocket } from 'ws';
import { Member } from '../../../src/platform/subscriptions/broadcast.ts';
import { ChangeBroadcast } from '../../../src/platform/subscriptions/change-broadcast.ts';
import { subscriptionMetrics } from '../../../src/platform/subscriptions/metrics.ts';
import { Outlet } from '../../../src/platform/subscriptions/outlet.ts';
import { until } from './until.ts';

/** A shelf of things that come and go: the version that changed each of them last. */
interface Shelf {
  id: string;
  version: number;
  changedIn: Record<string, number>;
}

type Sent = { since: number | null; version: number; changed: string[] };

/** A socket that keeps what is written until its reader reads. */
function aReader(metrics: ReturnType<typeof subscriptionMetrics>, after?: number, bufferedBytesMax = 10_000) {
  const unread: string[] = [];
  const socket = {
    OPEN: 1,
    readyState: 1,
    get bufferedAmount() {
      return unread.join('').length;
    },
    send: (text: string) => void unread.push(text),
    once: () => undefined,
    close: () => undefined,
    terminate: () => undefined,
  };
  const got: (Sent | 'failed')[] = [];
  const member = new Member(new Outlet(socket as unknown as WebSocket, { bufferedBytesMax, behindMsMax: 60_000 }, metrics), 'op', after);
  const read = () => {
    for (const text of unread.splice(0)) got.push(JSON.parse(text).payload);
    return got;
  };
  return { member, read };
}

function aShelf() {
  const metrics = subscriptionMetrics(new Registry());
  let shelf: Shelf = { id: 's', version: 1, changedIn: { a: 1, b: 1, c: 1 } };
  let listener: (state: Shelf) => void = () => undefined;
  const reaching: { version: number; resolve: (version: number) => void }[] = [];
  /** What was executed, in order; each waits for `finish` where `isHeld`. */
  const executed: (number | null)[] = [];
  const held: (() => void)[] = [];
  const control = { isHeld: false, failuresLeft: 0, delays: [] as number[] };
  const broadcast = new ChangeBroadcast<Shelf>(
    {
      live: {
        observe: (_id, given) => {
          listener = given;
          given(shelf);
          return () => undefined;
        },
        reach: (_id, version) =>
          version <= shelf.version ? Promise.resolve(shelf.version) : new Promise((resolve) => reaching.push({ version, resolve })),
      },
      idOf: () => 's',
      resumeArgument: 'after',
      afterOf: () => undefined,
      changeSince: ({ version, changedIn }, since) => ({
        since: since ?? null,
        version,
        changed: Object.keys(changedIn).filter((name) => (changedIn[name] as number) > (since ?? 0)),
      }),
    },
    's',
    {
      execute: async (change) => {
        executed.push((change as Sent).since);
        if (control.isHeld) await new Promise<void>((resolve) => held.push(resolve));
        if (control.failuresLeft > 0) {
          control.failuresLeft--;
          return { payload: '"failed"', mayHeal: true };
        }
        return { payload: JSON.stringify(change), mayHeal: false };
      },
      timers: {
        after: (ms, action) => {
          control.delays.push(ms);
          setImmediate(action);
          return () => undefined;
        },
      },
      metrics,
    },
  );
  return {
    metrics,
    broadcast,
    executed,
    held,
    reaching,
    control,
    change: (...names: string[]) => {
      const version = shelf.version + 1;
      shelf = { id: 's', version, changedIn: { ...shelf.changedIn, ...Object.fromEntries(names.map((name) => [name, version])) } };
      listener(shelf);
    },
    join: (after?: number, bufferedBytesMax?: number) => {
      const reader = aReader(metrics, after, bufferedBytesMax);
      broadcast.add(reader.member);
      return reader;
    },
  };
}

const turns = async (count = 10) => {
  for (let n = 0; n < count; n++) await nextTurn();
};
const whole = (version: number) => ({ since: null, version, changed: ['a', 'b', 'c'] });

test('all who keep up share one execution for each change; a late joiner gets the whole once', async () => {
  const { join, change, executed } = aShelf();
  const readers = [join(), join(), join()];
  await turns();

  change('a');
  await turns();
  const late = join();
  await turns();
  change('b', 'c');
  await turns();

  for (const { read } of readers)
    expect(read()).toEqual([whole(1), { since: 1, version: 2, changed: ['a'] }, { since: 2, version: 3, changed: ['b', 'c'] }]);
  expect(late.read()).toEqual([whole(2), { since: 2, version: 3, changed: ['b', 'c'] }]);
  expect(executed).toEqual([null, 1, null, 2]);
});

test('what comes while something is executed waits for it, and the states in between are skipped', async () => {
  const { join, change, executed, held, control } = aShelf();
  const { read } = join();
  await turns();
  control.isHeld = true;

  for (const name of ['a', 'b', 'c']) change(name);
  await turns();
  expect(executed).toEqual([null, 1]);
  control.isHeld = false;
  held[0]?.();
  await turns();

  expect(executed).toEqual([null, 1, 2]);
  expect(read()).toEqual([whole(1), { since: 1, version: 2, changed: ['a'] }, { since: 2, version: 4, changed: ['b', 'c'] }]);
});

test('joiners with ever other versions do not keep a newer state from those who watch', async () => {
  const { join, change, executed, held, control } = aShelf();
  for (const name of ['a', 'b', 'c', 'a', 'b']) change(name);
  const { read } = join(6);
  await turns();
  control.isHeld = true;
  const resuming = [join(1)];
  await turns();
  change('a');
  for (const after of [2, 3, 4]) resuming.push(join(after));
  await turns();
  expect(executed).toEqual([6, 1]);

  control.isHeld = false;
  held[0]?.();
  await turns();

  expect(read()).toEqual([
    { since: 6, version: 6, changed: [] },
    { since: 6, version: 7, changed: ['a'] },
  ]);
  expect(resuming.map((reader) => reader.read().at(-1))).toMatchObject(
    [{ since: 6 }, { since: 2 }, { since: 3 }, { since: 4 }].map((sent) => ({ ...sent, version: 7 })),
  );
});

test('a reader that stops is kept one message, and gets one change for all it missed when it reads again', async () => {
  const { join, change, executed, metrics } = aShelf();
  const slow = join(undefined, 0);
  const quick = join();
  await turns();
  for (let n = 0; n < 50; n++) {
    change('abc'[n % 3] as string);
    await turns(3);
    quick.read();
  }
  // Nothing was made for the slow one meanwhile.
  expect(executed).toHaveLength(51);
  expect(quick.read()).toHaveLength(51);

  expect(slow.read()).toEqual([whole(1)]);
  await until('it has drained', () => slow.read().length === 2);

  expect(slow.read()[1]).toEqual({ since: 1, version: 51, changed: ['a', 'b', 'c'] });
  expect(executed).toHaveLength(52);
  expect((await metrics.droppedToLatest.get()).values[0]?.value).toBe(49);
});

test('a reader that is ahead of us waits until we have looked, and goes on from where it is', async () => {
  const { join, change, reaching } = aShelf();
  const { read } = join(3);
  await turns();
  expect([read(), reaching.map(({ version }) => version)]).toEqual([[], [3]]);

  change('a');
  await turns();
  expect(read()).toEqual([]);
  change('b');
  reaching[0]?.resolve(3);
  await turns();
  change('c');
  await turns();

  expect(read()).toEqual([
    { since: 3, version: 3, changed: [] },
    { since: 3, version: 4, changed: ['c'] },
  ]);
});

test('a reader with a version that the truth has not come to gets everything', async () => {
  const { join, reaching } = aShelf();
  const { read } = join(99);
  await turns();

  reaching[0]?.resolve(1);
  await turns();

  expect(read()).toEqual([whole(1)]);
});

test('one who leaves while we look gets nothing, and another who waits is still served', async () => {
  const { broadcast, join, reaching } = aShelf();
  const [one, two] = [join(5), join(6)];
  expect(broadcast.size).toBe(2);

  one.member.hasLeft = true;
  broadcast.remove(one.member);
  for (const { resolve } of reaching) resolve(1);
  await turns();

  expect([one.read(), two.read(), broadcast.size]).toEqual([[], [whole(1)], 1]);
});

test('a failure that heals is shown once, and then comes what was missed', async () => {
  const { join, change, control } = aShelf();
  const { read } = join();
  await turns();
  control.failuresLeft = 3;

  change('a');
  change('b');
  await turns(30);

  expect(read()).toEqual([whole(1), 'failed', { since: 1, version: 2, changed: ['a'] }, { since: 2, version: 3, changed: ['b'] }]);
  expect(control.delays).toEqual([500, 1000, 2000]);
});

test('however many versions are resumed from, 64 payloads are kept', async () => {
  const { broadcast, change, join } = aShelf();
  for (let n = 0; n < 200; n++) change('a');

  const readers = Array.from({ length: 200 }, (_, n) => join(n + 1));
  await turns(30);

  expect(readers.map(({ read }) => read())).toEqual(readers.map((_, n) => [{ since: n + 1, version: 201, changed: ['a'] }]));
  expect((broadcast as unknown as { payloads: Map<number, string> }).payloads.size).toBe(64);
});
