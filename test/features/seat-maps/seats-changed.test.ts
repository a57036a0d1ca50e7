import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { WebSocket } from 'ws';
import { letGoUnits, unitIdOf, watchPools } from '../../../src/inventory/units.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { sourceOf } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow, type Show } from '../../support/shows.ts';
import { subscribeOnce } from '../../support/subscribe-once.ts';
import { eventually } from '../../support/wait.ts';
import { type Change, FollowedMap, MapWatch } from './followed-map.ts';
import { block, brokenInvariantsOfSeats, hold, move } from './selling.ts';

failOnLeaks();

const NOBODY = '00000000-0000-7000-8000-000000000000';

describe('seatsChanged', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
    // Here pools are watched for nobody, and what is kept stays kept.
    await app.app.seatOffers.stop();
  });
  afterAll(() => app.close());

  const watchesOf = async (performanceId: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => MapWatch.open(app.url, performanceId)));
  const metric = async (name: string, labels: Record<string, string> = {}) => {
    const found = await app.registry.getSingleMetric(`lastseat_subscription_${name}`)?.get();
    const matching = found?.values.filter((value) => Object.entries(labels).every(([key, label]) => value.labels[key] === label));
    return matching?.reduce((sum, { value }) => sum + value, 0) ?? 0;
  };
  const lists = ({ available, held, sold, blocked }: Change) => ({ available, held, sold, blocked });
  const nothing = { available: [], held: [], sold: [], blocked: [] };
  const atRest = () =>
    eventually(() => expect([app.app.sockets.size, app.app.maps.size, app.app.live.watchers, app.app.live.objects]).toEqual([0, 0, 0, 0]));

  test('first the whole map, section by section, then what becomes of each seat, each change from where the one before ended', async () => {
    const show = await aShow(app, { sections: 2, rows: 2, seatsPerRow: 5, blocked: [9, 19] });
    const watch = await MapWatch.open(app.url, show.performanceId);
    const changes = () => watch.map.changes;
    expect(changes()).toEqual([
      {
        performanceId: show.performanceId,
        version: 1,
        since: null,
        sections: [
          { section: 'A', from: 0, count: 10, free: 9, states: Buffer.from([0, 0, 0b1100]).toString('base64') },
          { section: 'B', from: 10, count: 10, free: 9, states: Buffer.from([0, 0, 0b1100]).toString('base64') },
        ],
        ...nothing,
        at: expect.stringMatching(/^20\d\d-/),
      },
    ]);

    const next = async (act: () => Promise<unknown>) => {
      const before = changes().length;
      await act();
      await eventually(() => changes().length > before);
      expect(changes()).toHaveLength(before + 1);
      return lists(changes().at(-1) as Change);
    };
    let holdId = '';
    expect(await next(async () => (holdId = await hold(app, show, [3, 4, 12])))).toEqual({ ...nothing, held: [3, 4, 12] });
    expect(await next(() => move(app, holdId, 'startPaying', 'confirm'))).toEqual({ ...nothing, sold: [3, 4, 12] });
    expect(await next(() => move(app, holdId, 'giveBack'))).toEqual({ ...nothing, available: [3, 4, 12] });
    expect(await next(async () => (holdId = await hold(app, show, [0])))).toEqual({ ...nothing, held: [0] });
    expect(await next(() => move(app, holdId, 'release'))).toEqual({ ...nothing, available: [0] });
    expect(await next(() => block(app, show, [7, 8]))).toEqual({ ...nothing, blocked: [7, 8] });
    expect(await next(() => block(app, show, [7, 9], false))).toEqual({ ...nothing, available: [7, 9] });
    holdId = await hold(app, show, [1]);
    await eventually(() => watch.map.seats('held').length === 1);
    expect(await next(() => app.expire(toNodeId('TicketHold', holdId)))).toEqual({ ...nothing, available: [1] });

    expect(changes().map(({ since }) => since)).toEqual([
      null,
      ...changes()
        .slice(0, -1)
        .map(({ version }) => version),
    ]);
    expect([watch.map.gaps, watch.errors]).toEqual([[], []]);
    await watch.close();
  });

  test('a seat that is kept for whoever follows it reads as held until anybody can take it', async () => {
    const show = await aShow(app, { rows: 1, seatsPerRow: 4 });
    const { database, inventory } = app.app;
    await database.transact((em) => watchPools(em, [show.uuids.performance], true), { name: 'watch' });
    const watch = await MapWatch.open(app.url, show.performanceId);
    const holdId = await hold(app, show, [2]);
    await eventually(() => expect(watch.map.version).toBe(2));

    await move(app, holdId, 'release');
    await eventually(() => expect(watch.map.version).toBe(3));
    expect(watch.map.seats('held')).toEqual([2]);

    inventory.tell(await database.transact((em) => letGoUnits(em, [unitIdOf(show.uuids.performance, 2)]), { name: 'let-go' }));
    await eventually(() => expect(watch.map.version).toBe(4));
    expect(watch.map.seats('held')).toEqual([]);
    await watch.close();
  });

  test('5,000 seats come in less than 5 KB', async () => {
    const show = await aShow(app, { sections: 5, rows: 25, seatsPerRow: 40 });
    await hold(app, show, [0, 1, 4_999]);

    const message = await subscribeOnce(app.url, {
      query: sourceOf('TestSeatsChanged'),
      variables: { performanceId: show.performanceId },
    });

    const map = new FollowedMap();
    map.apply((message.payload as unknown as { data: { seatsChanged: Change } }).data.seatsChanged);
    expect(map.states).toHaveLength(5_000);
    expect(map.seats('held')).toEqual([0, 1, 4_999]);
    expect(JSON.stringify(message).length).toBeLessThan(5 * 1024);
    expect(JSON.stringify(message).length).toBeGreaterThan(5_000 / 4);
  });

  test('200 who watch cost one execution for each change, whichever version each of them came with', async () => {
    const show = await aShow(app, { rows: 5, seatsPerRow: 20 });
    await hold(app, show, [0]);
    const maps = await watchesOf(show.performanceId, 4);
    const resumed = await Promise.all(
      Array.from({ length: 196 }, (_, n) => {
        const map = new FollowedMap();
        map.version = 1 + (n % 2);
        return MapWatch.open(app.url, show.performanceId, map);
      }),
    );
    const all = [...maps, ...resumed];
    expect([await metric('broadcasts'), await metric('operations', { kind: 'shared' })]).toEqual([1, 200]);
    const before = {
      executions: await metric('executions_total'),
      messages: await metric('messages_total'),
      reads: await metric('rereads_total', { object: 'seat-map' }),
    };

    for (const number of [1, 2, 3]) {
      await hold(app, show, [number]);
      await eventually(() => all.every(({ map }) => map.states[number] === 1));
    }

    expect((await metric('executions_total')) - before.executions).toBe(3);
    expect((await metric('messages_total')) - before.messages).toBe(600);
    expect((await metric('rereads_total', { object: 'seat-map' })) - before.reads).toBe(3);
    expect(all.flatMap(({ map, errors }) => [...map.gaps, ...errors])).toEqual([]);
    for (const watch of all) await watch.close();
    await atRest();
  });

  test('who comes late gets the whole map of now, made once for all who do', async () => {
    const show = await aShow(app, { rows: 5, seatsPerRow: 20 });
    const early = await MapWatch.open(app.url, show.performanceId);
    await hold(app, show, [5, 6]);
    await eventually(() => expect(early.map.version).toBe(2));
    const before = await metric('executions_total');

    const late = await watchesOf(show.performanceId, 10);

    expect(new Set(late.map(({ map }) => JSON.stringify(map.changes))).size).toBe(1);
    expect(late[0]?.map.changes).toMatchObject([{ version: 2, since: null, sections: [{ free: 98 }] }]);
    expect((await metric('executions_total')) - before).toBe(1);
    for (const watch of [early, ...late]) await watch.close();
    await atRest();
  });

  test('who comes back gets one change for all that was missed, also from a server that kept nothing', async () => {
    const show = await aShow(app, { rows: 5, seatsPerRow: 20 });
    const watch = await MapWatch.open(app.url, show.performanceId);
    const first = await hold(app, show, [1, 2]);
    await eventually(() => expect(watch.map.version).toBe(2));
    await watch.close();
    await atRest();
    await move(app, first, 'release');
    await hold(app, show, [2, 3]);
    await hold(app, show, [50]);

    const back = await MapWatch.open(app.url, show.performanceId, watch.map);

    expect(back.map.changes.slice(2)).toMatchObject([{ since: 2, version: 5, sections: [], available: [1], held: [2, 3, 50], sold: [] }]);
    await hold(app, show, [51]);
    await eventually(() => expect(back.map.seats('held')).toEqual([2, 3, 50, 51]));
    expect(back.map.gaps).toEqual([]);
    await back.close();
  });

  test('who has missed nothing is told so', async () => {
    const show = await aShow(app);
    await hold(app, show, [1]);

    const watch = await MapWatch.open(app.url, show.performanceId, undefined, 2);

    expect(watch.map.changes).toMatchObject([{ since: 2, version: 2, sections: [], ...nothing }]);
    await watch.close();
  });

  test('the whole map comes in place of a change that would be longer', async () => {
    const show = await aShow(app, { rows: 20, seatsPerRow: 20, perMemberMax: 100 });
    const watch = await MapWatch.open(app.url, show.performanceId);
    const count = (numbers: number) => Array.from({ length: numbers }, (_, number) => number);

    await block(app, show, count(30));
    await eventually(() => expect(watch.map.version).toBe(2));
    await block(app, show, count(230));
    await eventually(() => expect(watch.map.version).toBe(3));

    expect(watch.map.changes.map(({ since, blocked }) => [since, blocked.length])).toEqual([
      [null, 0],
      [1, 30],
      [null, 0],
    ]);
    expect(watch.map.seats('blocked')).toEqual(count(230));
    await watch.close();
  });

  test('a version the map never had, as from another database, is answered with the whole map', async () => {
    const show = await aShow(app);
    await hold(app, show, [1]);
    const other = await MapWatch.open(app.url, show.performanceId);

    const watch = await MapWatch.open(app.url, show.performanceId, undefined, 2_000_000_000);

    expect(watch.map.changes).toMatchObject([{ since: null, version: 2, sections: [{ free: 49 }] }]);
    await hold(app, show, [2]);
    await eventually(() => expect(watch.map.seats('held')).toEqual([1, 2]));
    expect(watch.map.gaps).toEqual([]);
    for (const each of [watch, other]) await each.close();
  });

  test('after a restore, done as the operations manual says, whoever comes back is sent the whole map', async () => {
    await using restored = await testApp();
    const show = await aShow(restored);
    const watch = await MapWatch.open(restored.url, show.performanceId);
    for (const number of [1, 2, 3]) await hold(restored, show, [number]);
    await eventually(() => expect(watch.map.version).toBe(4));
    await watch.close();
    const raise = /`(with raised as [^`]+)`/.exec(readFileSync('docs/operations.md', 'utf8'))?.[1] ?? '';
    // The second and third claim are lost; other seats were sold since, under versions the client has seen.
    await restored.query("update unit set state = 'AVAILABLE', hold_id = null, version = 1 where pool_id = $1 and number in (2, 3)", [
      show.uuids.performance,
    ]);
    await restored.query('update pool set version = 2 where id = $1', [show.uuids.performance]);
    await restored.query(raise);
    await hold(restored, show, [7]);

    const back = await MapWatch.open(restored.url, show.performanceId, watch.map);

    expect(back.map.changes.at(-1)).toMatchObject({ since: null, version: 1_000_003 });
    expect(back.map.seats('held')).toEqual([1, 7]);
    await back.close();
  });

  test('a performance that nobody knows, and one without numbered seats, say nothing and leave nothing behind', async () => {
    const standing = await aShow(app, { rows: 0, standing: { capacity: 100, priceMinor: 30_000 } });
    const seated = await aShow(app);
    const socket = new WebSocket(`${app.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
    const messages: { id?: string; type: string }[] = [];
    socket.on('message', (data) => messages.push(JSON.parse(String(data))));
    await new Promise((resolve) => socket.once('open', resolve));
    socket.send('{"type":"connection_init"}');
    await eventually(() => messages.length === 1);

    for (const [id, performanceId] of [toNodeId('Performance', NOBODY), standing.performanceId, seated.performanceId].entries())
      for (const after of [null, 7])
        socket.send(
          JSON.stringify({
            id: `${id} ${after}`,
            type: 'subscribe',
            payload: { query: sourceOf('TestSeatsChanged'), variables: { performanceId, after } },
          }),
        );
    await eventually(() => messages.filter(({ type }) => type === 'next').length === 2);
    await eventually(() => expect(app.app.maps.size).toBe(3));
    // What the others had to say would have come before the change of a seat that is claimed afterwards.
    await hold(app, seated, [1]);
    await eventually(() => messages.filter(({ type }) => type === 'next').length === 4);

    expect(
      messages
        .slice(1)
        .map(({ id }) => id)
        .sort(),
    ).toEqual(['2 7', '2 7', '2 null', '2 null']);
    socket.terminate();
    await atRest();
  });

  const invalid = { code: 'BAD_USER_INPUT' };
  test.each<[string, (show: Show) => object, string]>([
    [
      'no version at all: 0',
      ({ performanceId }) => ({ performanceId, after: 0 }),
      '`after` is the version of a map you were sent, at least 1; leave it out to get the whole map.',
    ],
    [
      'a negative version',
      ({ performanceId }) => ({ performanceId, after: -2_147_483_648 }),
      '`after` is the version of a map you were sent, at least 1; leave it out to get the whole map.',
    ],
    [
      'a version that is none',
      ({ performanceId }) => ({ performanceId, after: '2' }),
      'Variable "$after" got an invalid value. Expected a value of type "Int".',
    ],
    [
      'a version beyond all numbers',
      ({ performanceId }) => ({ performanceId, after: 2_147_483_648 }),
      'Variable "$after" got an invalid value. Expected a value of type "Int".',
    ],
    ['an id that is none', () => ({ performanceId: "x' or 1=1" }), 'This is not an id of Performance.'],
    [
      'the id of its event',
      ({ eventId }) => ({ performanceId: eventId }),
      'This is the id of a Event; an id of Performance is expected here.',
    ],
    ['no id', () => ({}), 'Variable "$performanceId" of required type "ID!" was not provided.'],
  ])('%s is refused by subscription and query alike, and nothing is watched', async (_name, variablesOf, message) => {
    const variables = variablesOf(await aShow(app));

    const refused = await subscribeOnce(app.url, { query: sourceOf('TestSeatsChanged'), variables });
    const { errors } = await app.anonymous.send('TestSeatMap', variables);

    expect(refused).toMatchObject({ type: 'error', payload: [{ message, extensions: invalid }] });
    expect(errors).toMatchObject([{ message, extensions: invalid }]);
    expect(app.app.maps.size).toBe(0);
  });

  test('the version written into the document is understood too', async () => {
    const show = await aShow(app);
    const query = `subscription { seatsChanged(performanceId: "${show.performanceId}", after: 1) { since version } }`;

    const message = await subscribeOnce(app.url, { query });

    expect(message.payload).toMatchObject({ data: { seatsChanged: { since: 1, version: 1 } }, extensions: { cost: { requested: 5 } } });
  });

  describe('the query seatMap', () => {
    test('says what the subscription says, whole or since a version', async () => {
      const show = await aShow(app, { sections: 3 });
      const watch = await MapWatch.open(app.url, show.performanceId);
      await move(app, await hold(app, show, [1, 2]), 'startPaying', 'confirm');
      await hold(app, show, [149]);
      await eventually(() => expect(watch.map.version).toBe(4));

      const watched = await app.anonymous.run('TestSeatMap', { performanceId: show.performanceId });
      const since = await app.anonymous.run('TestSeatMap', { performanceId: show.performanceId, after: 3 });
      await watch.close();
      await atRest();
      const unwatched = await app.anonymous.run('TestSeatMap', { performanceId: show.performanceId });
      const beyond = await app.anonymous.run('TestSeatMap', { performanceId: show.performanceId, after: 99 });

      const map = new FollowedMap();
      map.apply(watched as Change);
      expect(map.states).toEqual(watch.map.states);
      expect(since).toMatchObject({ since: 3, version: 4, sections: [], ...nothing, held: [149] });
      const { at: _, ...whole } = watched;
      expect([unwatched, beyond]).toMatchObject([whole, whole]);
    });

    test('is null for a performance that nobody knows and for one without numbered seats', async () => {
      const standing = await aShow(app, { rows: 0, standing: { capacity: 100, priceMinor: 30_000 } });

      for (const performanceId of [toNodeId('Performance', NOBODY), standing.performanceId])
        expect((await app.anonymous.send('TestSeatMap', { performanceId })).data).toEqual({ seatMap: null });
    });

    test('hundreds who ask at once share the reads', async () => {
      const show = await aShow(app);
      const { read } = app.app.maps;
      let reads = 0;
      app.app.maps.read = (id) => {
        reads++;
        return read.call(app.app.maps, id);
      };

      const answers = await Promise.all(Array.from({ length: 300 }, () => app.app.maps.current(show.uuids.performance)));

      expect(new Set(answers).size).toBe(1);
      expect(reads).toBe(1);
      app.app.maps.read = read;
    });

    test('whoever asks for a version that was just made gets it, however young the map is that others share', async () => {
      const show = await aShow(app);
      await app.app.maps.current(show.uuids.performance);
      await hold(app, show, [7]);

      const change = await app.anonymous.run('TestSeatMap', { performanceId: show.performanceId, after: 2 });

      expect(change).toMatchObject({ since: 2, version: 2 });
    });
  });

  test('after all of it nothing is broken', async () => {
    await app.app.seatOffers.round();

    expect(await brokenInvariantsOfSeats(app)).toEqual([]);
  });
});
