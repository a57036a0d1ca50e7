import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { type TestRedis, testRedis } from '../../support/redis.ts';
import { aShow, type Show } from '../../support/shows.ts';
import { type TcpProxy, tcpProxy } from '../../support/tcp-proxy.ts';
import { eventually } from '../../support/wait.ts';
import { type Change, FollowedMap, MapWatch } from './followed-map.ts';
import { brokenInvariantsOfSeats, hold, move } from './selling.ts';

failOnLeaks();

describe('two nodes, one Redis, and wires that are cut', () => {
  let redis: TestRedis;
  let nodes: [TestApp, TestApp];
  let wires: TcpProxy[];
  const cleanups: (() => Promise<unknown>)[] = [];

  beforeAll(async () => {
    redis = await testRedis();
    const one = await testApp({ redisUrl: redis.url });
    nodes = [one, await testApp({ redisUrl: redis.url, databaseUrl: one.databaseUrl, simulator: one.simulator })];
    wires = await Promise.all(nodes.map(({ url }) => tcpProxy(url)));
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
  afterAll(async () => {
    for (const wire of wires) await wire[Symbol.asyncDispose]();
    for (const node of [...nodes].reverse()) await node.close();
    await redis.stop();
  });

  /** Some watchers of each node, through wires that can be cut. */
  async function watchersOf({ performanceId }: Show, ofEach: number): Promise<MapWatch[]> {
    const watches = await Promise.all(
      wires.flatMap((wire) => Array.from({ length: ofEach }, () => MapWatch.open(wire.url.replace(/\/$/, ''), performanceId))),
    );
    cleanups.push(async () => {
      for (const watch of watches) await watch.close();
    });
    return watches;
  }

  async function truthOf({ performanceId }: Show): Promise<FollowedMap> {
    const truth = new FollowedMap();
    truth.apply((await nodes[0].anonymous.run('TestSeatMap', { performanceId, after: 1_000_000_000 })) as Change);
    return truth;
  }

  const hasConverged = (watches: MapWatch[], truth: FollowedMap) =>
    watches.every(({ map }) => map.version === truth.version && String(map.states) === String(truth.states));

  /** Holds, gives up and sells seats at both nodes, a few at a time. */
  async function sell(show: Show, from: number, count: number, meanwhile: (sold: number) => unknown = () => undefined): Promise<void> {
    for (let n = 0; n < count; n++) {
      const node = nodes[n % 2] as TestApp;
      const holdId = await hold(node, show, [from + n]);
      if (n % 3 === 0) await move(nodes[(n + 1) % 2] as TestApp, holdId, 'release');
      if (n % 3 === 1) await move(node, holdId, 'startPaying', 'confirm');
      await meanwhile(n);
    }
  }

  test('what one node sells the watchers of both see', async () => {
    const show = await aShow(nodes[0]);
    const watches = await watchersOf(show, 3);

    await hold(nodes[0], show, [1]);
    await hold(nodes[1], show, [2]);

    await eventually(() => expect(watches.map(({ map }) => map.seats('held'))).toEqual(watches.map(() => [1, 2])));
    expect(watches.flatMap(({ map }) => map.gaps)).toEqual([]);
  });

  test('wires are cut again and again, Redis is killed and started while both nodes sell: everybody ends with the truth, without a gap', async () => {
    const show = await aShow(nodes[0], { sections: 2, rows: 15, seatsPerRow: 10 });
    const watches = await watchersOf(show, 5);
    const cut = (n: number) => wires[n % 2]?.cut();
    // At first whoever was cut off is back before they are again, so that everybody comes back each time.
    const cuts: [number, number] = [0, 0];
    const cutAll = async (n: number) => {
      const wire = n % 2 === 0 ? 0 : 1;
      const before = ++cuts[wire];
      await eventually(() => watches.slice(wire * 5, wire * 5 + 5).every(({ connections }) => connections >= before));
      cut(n);
    };

    await sell(show, 0, 100, (n) => n % 15 === 14 && cutAll(n));
    await redis.kill();
    await sell(show, 100, 100, (n) => n % 25 === 24 && cut(n));
    await redis.restart();
    await sell(show, 200, 100, (n) => n % 15 === 14 && cut(n));

    const truth = await truthOf(show);
    expect(truth.seats('sold')).toHaveLength(99);
    await eventually(() => expect(hasConverged(watches, truth)).toBe(true));
    expect(watches.flatMap(({ map }) => map.gaps)).toEqual([]);
    expect(watches.filter(({ connections }) => connections < 4)).toHaveLength(0);
    // Whoever came back had something already: nobody was sent the whole map a second time, but where it is shorter. Each version is of one seat.
    expect(watches.flatMap(({ map }) => map.wholeAfter.filter((versions) => versions < 50))).toEqual([]);
    expect(await brokenInvariantsOfSeats(nodes[0])).toEqual([]);
  }, 180_000);

  test('negative control: when one change is lost inside a node, its watchers do not end with the truth', async () => {
    const show = await aShow(nodes[0]);
    const watches = await watchersOf(show, 1);
    const { reader } = nodes[1].app.maps as unknown as { reader: Reader };
    const read = reader.read.bind(reader);
    let lost = 0;
    reader.read = async (id, before) => {
      const map = await read(id, before);
      return before && lost++ === 0 ? { ...map, states: before.states, changedIn: before.changedIn } : map;
    };

    await hold(nodes[0], show, [1]);
    await eventually(() => lost === 1);
    await sell(show, 10, 10);

    const truth = await truthOf(show);
    await eventually(() => watches.every(({ map }) => map.version === truth.version));
    reader.read = read;
    expect(watches.map((watch) => hasConverged([watch], truth))).toEqual([true, false]);
  });

  test('who comes back to a node that has not heard yet goes on from where it was, and not from what that node has', async () => {
    const show = await aShow(nodes[0]);
    const [here, there] = (await watchersOf(show, 1)) as [MapWatch, MapWatch];
    // The second node hears nothing and finds nothing by itself: it learns of the claims by whoever comes, or not at all.
    const deaf = nodes[1].app.live as unknown as { learn: unknown };
    const { learn } = deaf;
    deaf.learn = () => undefined;
    await hold(nodes[0], show, [1]);
    await hold(nodes[0], show, [2]);
    await eventually(() => expect(here.map.version).toBe(3));
    expect(there.map.version).toBe(1);

    await here.close();
    const moved = await MapWatch.open(nodes[1].url, show.performanceId, here.map);

    expect(moved.map.changes.at(-1)).toMatchObject({ since: 3, version: 3, sections: [], held: [] });
    await eventually(() => expect([moved.map.gaps, there.map.seats('held')]).toEqual([[], [1, 2]]));
    deaf.learn = learn;
    await moved.close();
  });
});

/** What reads the maps of a node, as far as it is sabotaged here. */
interface Reader {
  read(id: string, before?: { states: unknown; changedIn: unknown }): Promise<{ states: unknown; changedIn: unknown }>;
}
