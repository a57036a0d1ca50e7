import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { SeatMap } from '../../../src/features/seat-maps/index.ts';
import { letGoUnits, unitIdOf, watchPools } from '../../../src/inventory/units.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow, type Show } from '../../support/shows.ts';
import { eventually } from '../../support/wait.ts';
import { type Change, FollowedMap, MapWatch } from './followed-map.ts';
import { block, brokenInvariantsOfSeats, move, place } from './selling.ts';

failOnLeaks();

/** Performances that are sold beside each other; within each, one thing after the other, so that a model can say what its map must be. */
const LANES = 4;
const SEATS = 60;
const OPERATIONS = 10_000;
const RUNS = 5;

/** Numbers that name holds and watchers by their place: the model and the database have other ids in every run. */
type Operation =
  | { type: 'place'; numbers: number[] }
  | { type: 'release' | 'pay' | 'giveBack' | 'refuse' | 'runOut'; hold: number }
  | { type: 'block'; numbers: number[]; isBlocked: boolean }
  | { type: 'follow'; isWatched: boolean }
  | { type: 'join' | 'leave' | 'comeBack'; watcher: number }
  | { type: 'query'; watcher: number };

const aNumber = fc.nat({ max: SEATS - 1 });
const anIndex = fc.nat({ max: 20 });
const aWatcher = fc.nat({ max: 5 });
const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 40,
    arbitrary: fc.record({ type: fc.constant('place' as const), numbers: fc.uniqueArray(aNumber, { minLength: 1, maxLength: 4 }) }),
  },
  { weight: 12, arbitrary: fc.record({ type: fc.constant('release' as const), hold: anIndex }) },
  { weight: 12, arbitrary: fc.record({ type: fc.constant('pay' as const), hold: anIndex }) },
  { weight: 12, arbitrary: fc.record({ type: fc.constantFrom('giveBack' as const, 'refuse' as const), hold: anIndex }) },
  { weight: 3, arbitrary: fc.record({ type: fc.constant('runOut' as const), hold: anIndex }) },
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('block' as const),
      numbers: fc.uniqueArray(aNumber, { minLength: 1, maxLength: 5 }),
      isBlocked: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('follow' as const), isWatched: fc.boolean() }) },
  { weight: 6, arbitrary: fc.record({ type: fc.constantFrom('join' as const, 'leave' as const, 'comeBack' as const), watcher: aWatcher }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('query' as const), watcher: aWatcher }) },
);

/** One performance, what its map must be, and those who watch it. */
class Lane {
  /** By number: the code of the state. */
  readonly states = new Array<number>(SEATS).fill(0);
  private holds: { id: string; numbers: number[]; state: 'HELD' | 'PAYING' | 'CONFIRMED' }[] = [];
  private isFollowed = false;
  private kept = new Set<number>();
  private readonly watches = new Map<number, MapWatch>();
  /** What those had who left, to come back with. */
  private readonly left = new Map<number, FollowedMap>();
  readonly maps: FollowedMap[] = [];

  constructor(
    private readonly app: TestApp,
    readonly show: Show,
  ) {}

  async run(step: Operation): Promise<void> {
    switch (step.type) {
      case 'place': {
        const answer = await place(this.app, this.show, step.numbers);
        const isFree = step.numbers.every((number) => this.states[number] === 0);
        expect(answer.outcome).toBe(isFree ? 'GRANTED' : 'UNIT_TAKEN');
        if ('holdId' in answer) this.holds.push({ id: answer.holdId, numbers: step.numbers, state: 'HELD' });
        return this.set(isFree ? step.numbers : [], 1);
      }
      case 'release':
      case 'pay':
      case 'giveBack':
      case 'refuse':
      case 'runOut':
        return this.end(step.type, step.hold);
      case 'block': {
        const isNobodys = (number: number) => this.states[number] === 0 || this.kept.has(number);
        const changed = step.numbers.filter((number) => (step.isBlocked ? isNobodys(number) : this.states[number] === 3));
        const isDone = !step.isBlocked || step.numbers.every((number) => isNobodys(number) || this.states[number] === 3);
        expect(await block(this.app, this.show, step.numbers, step.isBlocked)).toBe(isDone ? 'DONE' : 'TAKEN');
        if (isDone) this.giveBack(changed, step.isBlocked ? 3 : 0);
        return;
      }
      case 'follow':
        return this.follow(step.isWatched);
      default:
        return this.watch(step);
    }
  }

  private set(numbers: readonly number[], code: number): void {
    for (const number of numbers) this.states[number] = code;
  }

  private async end(type: 'release' | 'pay' | 'giveBack' | 'refuse' | 'runOut', index: number): Promise<void> {
    const hold = this.holds[index % this.holds.length];
    const from = { release: 'HELD', pay: 'HELD', refuse: 'HELD', runOut: 'HELD', giveBack: 'CONFIRMED' }[type];
    if (hold?.state !== from) return;
    if (type === 'pay') {
      await move(this.app, hold.id, 'startPaying', 'confirm');
      hold.state = 'CONFIRMED';
      return this.set(hold.numbers, 2);
    }
    if (type === 'release') await move(this.app, hold.id, 'release');
    if (type === 'giveBack') await move(this.app, hold.id, 'giveBack');
    if (type === 'refuse') await move(this.app, hold.id, 'startPaying', 'releaseUnpaid');
    if (type === 'runOut') {
      await this.app.app.database.pool.query("update hold set expires_at = clock_timestamp() - interval '1 s' where id = $1", [hold.id]);
      await this.app.app.inventory.sweep();
      // Or another process swept it between the two, or does at this moment.
      await eventually(async () => {
        const { rows } = await this.app.app.database.pool.query('select 1 from hold where id = $1 and state = $2', [hold.id, 'EXPIRED']);
        return rows.length === 1;
      });
    }
    this.holds = this.holds.filter((other) => other !== hold);
    this.giveBack(hold.numbers, 0);
  }

  /** What somebody could take is kept for followers where there are some. */
  private giveBack(numbers: readonly number[], code: 0 | 3): void {
    const isKept = code === 0 && this.isFollowed;
    for (const number of numbers) this.kept[isKept ? 'add' : 'delete'](number);
    this.set(numbers, isKept ? 1 : code);
  }

  /** What is kept is let go when nobody follows any more. */
  private async follow(isFollowed: boolean): Promise<void> {
    const { database, inventory } = this.app.app;
    const { performance } = this.show.uuids;
    await database.transact((em) => watchPools(em, [performance], isFollowed), { name: 'watch' });
    this.isFollowed = isFollowed;
    if (isFollowed) return;
    const units = [...this.kept].map((number) => unitIdOf(performance, number));
    inventory.tell(await database.transact((em) => letGoUnits(em, units), { name: 'let-go' }));
    this.set([...this.kept], 0);
    this.kept.clear();
  }

  private async watch({ type, watcher }: Extract<Operation, { watcher: number }>): Promise<void> {
    const watch = this.watches.get(watcher);
    if (type === 'query') {
      const map = new FollowedMap();
      map.apply((await this.app.anonymous.run('TestSeatMap', { performanceId: this.show.performanceId })) as Change);
      this.maps.push(map);
      if (!watch) this.left.set(watcher, map);
    } else if (watch) {
      if (type === 'join') return;
      this.watches.delete(watcher);
      this.left.set(watcher, watch.map);
      await watch.close();
      if (type === 'comeBack') this.open(watcher, watch.map);
    } else if (type === 'join') this.open(watcher, new FollowedMap());
    else if (type === 'comeBack') this.open(watcher, this.left.get(watcher) ?? new FollowedMap());
  }

  private open(watcher: number, map: FollowedMap): void {
    this.maps.push(map);
    this.watches.set(watcher, new MapWatch(this.app.url, this.show.performanceId, map));
  }

  /** Everybody who watches has a map. */
  everybodyFollows(): Promise<unknown> {
    return eventually(() => [...this.watches.values()].every(({ map }) => map.version !== undefined));
  }

  /** How far everybody who watches is from the truth and from the model, once they have come to its version. */
  async divergence(): Promise<string[]> {
    const truth = new FollowedMap();
    truth.apply((await this.app.anonymous.run('TestSeatMap', { performanceId: this.show.performanceId, after: 1_000_000_000 })) as Change);
    const differs = (map: FollowedMap) => String(map.states) !== String(this.states);
    const all = [...this.watches.values()];
    await eventually(() => all.every(({ map }) => map.version === truth.version)).catch(() => undefined);
    return [
      ...(differs(truth) ? ['the truth'] : []),
      ...all.flatMap(({ map, errors }, n) => (map.version !== truth.version || differs(map) || errors.length > 0 ? [`watcher ${n}`] : [])),
      ...this.maps.flatMap(({ gaps }) => gaps),
    ];
  }

  async close(): Promise<void> {
    for (const watch of this.watches.values()) await watch.close();
  }
}

describe('whatever happens to the seats, whole map and changes add up to the truth', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
    // Anybody could claim what is kept after ten seconds, which the model does not know.
    for (const name of ['give_back', 'block_units']) await app.sabotage(name, "interval '10 s'", "interval '1 day'");
    await app.app.inventory.sweep();
    // Here pools are followed by nobody, and what is kept stays kept.
    await app.app.seatOffers.stop();
  });
  afterAll(() => app.close());

  /**
   * Runs operations on some performances at once, and answers who does not have the truth in the end. When it is said what the first of them lead to, they begin
   * with everybody following, and the others wait for that.
   */
  async function diverging(operations: readonly Operation[], hasBegun?: () => boolean): Promise<string[]> {
    const options = { sections: 2, rows: 3, seatsPerRow: SEATS / 6, holdSeconds: 3_600 };
    const lanes = await Promise.all(Array.from({ length: LANES }, async () => new Lane(app, await aShow(app, options))));
    try {
      await Promise.all(
        lanes.map(async (lane, index) => {
          for (let watcher = 0; watcher < 2; watcher++) await lane.run({ type: 'join', watcher });
          if (hasBegun) await lane.everybodyFollows();
          for (let n = index; n < operations.length; n += LANES) {
            await lane.run(operations[n] as Operation);
            if (hasBegun && n === index) await eventually(hasBegun);
          }
        }),
      );
      return (await Promise.all(lanes.map((lane) => lane.divergence()))).flat();
    } finally {
      await Promise.all(lanes.map((lane) => lane.close()));
    }
  }

  const some = (count: number) => fc.array(operation, { minLength: count, maxLength: count });

  test(`in ${RUNS} runs of ${OPERATIONS / RUNS} operations`, async () => {
    await fc.assert(
      fc.asyncProperty(some(OPERATIONS / RUNS), async (operations) => {
        expect(await diverging(operations)).toEqual([]);
      }),
      { numRuns: RUNS, endOnFailure: true },
    );

    await app.app.seatOffers.round();
    expect(await brokenInvariantsOfSeats(app)).toEqual([]);
    await eventually(() => expect([app.app.maps.size, app.app.live.watchers, app.app.sockets.size]).toEqual([0, 0, 0]));
  }, 300_000);

  test.each<[string, (reader: Reader, begin: () => void) => Reader['read']]>([
    [
      'one change is lost on its way into memory',
      (reader, begin) => {
        let reads = 0;
        return async (id, before) => {
          const map = await reader.read(id, before);
          if (!before || ++reads > 1) return map;
          begin();
          return { ...map, states: before.states, changedIn: before.changedIn };
        };
      },
    ],
    [
      'the version is read after the changes and not with them',
      (reader, begin) => {
        let reads = 0;
        return async (id, before) => {
          const map = await reader.read(id, before);
          if (!before || ++reads > 1) return map;
          begin();
          const newer = await eventually(async () => {
            const now = await reader.read(id);
            return now.version > map.version && now;
          });
          return { ...map, version: newer.version };
        };
      },
    ],
  ])('negative control: when %s, somebody does not have the truth', async (_name, sabotaged) => {
    const { reader } = app.app.maps as unknown as { reader: Reader };
    const read = reader.read.bind(reader);
    let hasBegun = false;
    reader.read = sabotaged({ read }, () => {
      hasBegun = true;
    });
    // To each seat something happens once, so that no later change of it hides what was lost.
    const operations = Array.from({ length: LANES * SEATS }, (_, n): Operation => ({ type: 'place', numbers: [Math.floor(n / LANES)] }));

    const diverged = await diverging(operations, () => hasBegun).finally(() => {
      reader.read = read;
    });

    expect(diverged.filter((who) => who.startsWith('watcher'))).not.toEqual([]);
  });
});

/** What reads the maps of a node, as far as it is sabotaged here. */
interface Reader {
  read(id: string, before?: SeatMap): Promise<SeatMap>;
}
