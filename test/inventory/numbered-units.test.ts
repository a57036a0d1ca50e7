import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import type { ClaimItem } from '../../src/inventory/claim.ts';
import { type Blocked, blockUnits } from '../../src/inventory/units.ts';
import {
  claimOf,
  deadlocks,
  expectViolationSeen,
  expectViolationSeenOnce,
  holdOf,
  itemOf,
  outcomesOf,
  TestInventory,
  whileLocked,
} from '../support/inventory.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { waitingForLocks } from '../support/lock-waits.ts';
import { PoolFollower } from './pool-follower.ts';

failOnLeaks();

const seat = (poolId: string, unitId: string | undefined): ClaimItem => itemOf(poolId, { unitId: unitId ?? null });
const available = (version: number) => ['AVAILABLE', version];

describe('a claim for several units', () => {
  test('takes units and counts together, each unit at its own price or else at that of its pool', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(4, { priceMinor: 50_000, poolPriceMinor: 30_000 });
    await inventory.query('update unit set price_minor = null where id = $1', [units[2]]);
    const standing = await inventory.pool({ capacity: 10, priceMinor: 10_000 });

    const answer = await inventory.kernel.place(
      claimOf({ items: [seat(pool, units[2]), itemOf(standing, { quantity: 3 }), seat(pool, units[0])] }),
    );

    expect(answer).toMatchObject({ outcome: 'GRANTED', amountMinor: 30_000 + 3 * 10_000 + 50_000 });
    expect(await inventory.query('select pool_id, unit_id, quantity from hold_item order by position')).toEqual([
      { pool_id: pool, unit_id: units[2], quantity: 1 },
      { pool_id: standing, unit_id: null, quantity: 3 },
      { pool_id: pool, unit_id: units[0], quantity: 1 },
    ]);
    expect(await inventory.unitsOf(pool)).toEqual([['HELD', 2], available(1), ['HELD', 2], available(1)]);
    expect(await inventory.counters(pool)).toMatchObject({ held: 2, version: 2 });
    expect(await inventory.counters(standing)).toMatchObject({ held: 3, version: 2 });
    await inventory.expectSound();
  });

  test('takes nothing when one of its counts is sold out', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(2);
    const standing = await inventory.pool({ capacity: 2 });

    const answer = await inventory.kernel.place(
      claimOf({ items: [...units.map((unit) => seat(pool, unit)), itemOf(standing, { quantity: 3 })] }),
    );

    expect(answer).toEqual({ outcome: 'SOLD_OUT', itemIndex: 2, limit: 2 });
    expect(await inventory.unitsOf(pool)).toEqual([available(1), available(1)]);
    expect(await inventory.counters(pool)).toMatchObject({ held: 0, version: 1 });
    expect(await inventory.countOf('hold')).toBe(0);
  });

  test('is told every unit that is taken, whoever took it: held, sold, blocked, or named twice by the claim itself', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(6);
    const standing = await inventory.pool();
    holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[0])] })));
    const sold = holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[2])] })));
    for (const verb of ['startPaying', 'confirm'] as const) await inventory.kernel.move(verb, sold);
    await block(inventory, pool, [3]);
    const before = await inventory.unitsOf(pool);

    const asked = [1, 0, 2, 3, 1].map((number) => seat(pool, units[number]));
    const answer = await inventory.kernel.place(claimOf({ items: [itemOf(standing), ...asked] }));

    expect(answer).toEqual({ outcome: 'UNIT_TAKEN', itemIndex: 2, limit: null, takenItems: [2, 3, 4, 5] });
    expect(await inventory.unitsOf(pool)).toEqual(before);
    expect(await inventory.counters(standing)).toMatchObject({ held: 0 });
    await inventory.expectSound();
  });

  test('is told what others of its batch have just taken, and what it wanted besides stays free', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(5);
    const place = (...numbers: number[]) => inventory.kernel.place(claimOf({ items: numbers.map((number) => seat(pool, units[number])) }));

    const [, second, third, fourth] = await Promise.all([place(4), place(0, 1), place(1, 2, 0), place(2)]);

    expect(second.outcome).toBe('GRANTED');
    expect(third).toEqual({ outcome: 'UNIT_TAKEN', itemIndex: 0, limit: null, takenItems: [0, 2] });
    expect(fourth.outcome).toBe('GRANTED');
    // The first alone, the other three in one transaction: one version.
    expect(await inventory.unitsOf(pool)).toEqual([['HELD', 3], ['HELD', 3], ['HELD', 3], available(1), ['HELD', 2]]);
    await inventory.expectSound();
  });

  test('for a unit that its pool does not have finds nothing, whatever else is taken', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(2);
    const other = await inventory.numbered(1);
    holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[0])] })));

    for (const unknown of [randomUUID(), other.units[0]])
      expect(await inventory.kernel.place(claimOf({ items: [seat(pool, units[0]), seat(pool, unknown)] }))).toEqual({
        outcome: 'NOT_FOUND',
        itemIndex: 1,
        limit: null,
      });
    expect(await inventory.unitsOf(other.pool)).toEqual([available(1)]);
  });

  const overlapping = async (inventory: TestInventory) => {
    const { pool, units } = await inventory.numbered(4);
    const [a, b, c] = units.map((unit) => seat(pool, unit)) as [ClaimItem, ClaimItem, ClaimItem];

    const answers = await Promise.all(
      [
        [a, b],
        [b, c],
      ].map((items, turn) => inventory.kernelOf(turn).place(claimOf({ items }))),
    );

    expect(outcomesOf(answers)).toEqual({ GRANTED: 1, UNIT_TAKEN: 1 });
    expect(answers.map((answer) => ('takenItems' in answer ? answer.takenItems : null))).toContainEqual(
      answers[0]?.outcome === 'GRANTED' ? [0] : [1],
    );
    expect(await inventory.counters(pool)).toMatchObject({ held: 2, version: 2 });
    expect((await inventory.unitsOf(pool)).filter(([state]) => state === 'HELD')).toHaveLength(2);
  };

  test('of two that overlap, at once from two nodes, exactly one gets all of its own', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    for (let trial = 0; trial < 20; trial++) await overlapping(inventory);

    expect(await inventory.countOf('hold_item')).toBe(40);
    await inventory.expectSound();
  });

  test('of two that overlap both would get theirs without the lock', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');
    await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then');

    await expectViolationSeenOnce(() => overlapping(inventory));
    await expectViolationSeen(inventory.expectSound());
  });

  const opposite = async (inventory: TestInventory, rounds: number) => {
    const { pool, units } = await inventory.numbered(2);
    const items = units.map((unit) => seat(pool, unit));

    for (let round = 0; round < rounds; round++) {
      const answers = await Promise.all(
        [items, items.toReversed()].map((asked, turn) => inventory.kernelOf(turn).place(claimOf({ items: asked }))),
      );
      expect(outcomesOf(answers)).toEqual({ GRANTED: 1, UNIT_TAKEN: 1 });
      for (const answer of answers) if (answer.outcome === 'GRANTED') await inventory.kernel.move('release', answer.holdId);
    }
    expect(await deadlocks(inventory)).toBe(0);
  };

  test('of the same units in opposite orders never waits in a circle', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    await opposite(inventory, 20);

    await inventory.expectSound();
  });

  test('of the same units in opposite orders would, if each unit were locked as it is named', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then', 'false');
    await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');
    await inventory.rewrite(
      'claim_holds',
      'v_now := clock_timestamp();',
      'perform meet_rival() from unit where id = any (p_item_units) order by array_position(p_item_units, id) for update; v_now := clock_timestamp();',
    );

    await expectViolationSeenOnce(() => opposite(inventory, 1));
  });
});

describe('state and version of a unit', () => {
  test('follow its hold, and nothing else changes', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(2);
    const seen = [await inventory.unitsOf(pool)];

    const hold = holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[0])] })));
    seen.push(await inventory.unitsOf(pool));
    for (const verb of ['startPaying', 'confirm', 'giveBack'] as const) {
      await inventory.kernel.move(verb, hold);
      seen.push(await inventory.unitsOf(pool));
      expect(await inventory.broken()).toEqual({});
    }

    expect(seen.map(([first]) => first)).toEqual([
      ['AVAILABLE', 1],
      ['HELD', 2],
      ['HELD', 2],
      ['SOLD', 3],
      ['AVAILABLE', 4],
    ]);
    expect(seen.map(([, second]) => second)).toEqual(Array(5).fill(['AVAILABLE', 1]));
    expect(await inventory.counters(pool)).toMatchObject({ held: 0, sold: 0, version: 4 });
  });

  test.each(['release', 'a sweep', 'a claim for another unit', 'a refused payment'])('are those of a free one after %s', async (how) => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(3);
    const hold = holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[0]), seat(pool, units[1])] })));

    if (how === 'release') await inventory.kernel.move('release', hold);
    else if (how === 'a refused payment')
      for (const verb of ['startPaying', 'releaseUnpaid'] as const) await inventory.kernel.move(verb, hold);
    else await inventory.runOut(hold);
    if (how === 'a sweep') await inventory.kernel.inventory.sweep();
    if (how === 'a claim for another unit') holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[2])] })));

    // What a claim takes back has a version of its own: given back first, then the claim.
    const third = how === 'a claim for another unit' ? ['HELD', 4] : available(1);
    expect(await inventory.unitsOf(pool)).toEqual([available(3), available(3), third]);
    await inventory.expectSound();
  });

  test('stay when a transaction is rolled back, and when a claim is refused or sent again', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(2);
    const claim = claimOf({ items: [seat(pool, units[0])] });
    const hold = holdOf(await inventory.kernel.place(claim));

    const { database, inventory: kernel } = inventory.kernel;
    const mistaken = database.transact(
      async (em) => {
        await kernel.move(em, 'release', hold, null);
        throw new Error('changed my mind');
      },
      { name: 'mistaken' },
    );
    await expect(mistaken).rejects.toThrow('changed my mind');
    expect((await kernel.place(claim)).outcome).toBe('REPLAYED');
    expect((await kernel.place(claimOf({ items: claim.items }))).outcome).toBe('UNIT_TAKEN');

    expect(await inventory.unitsOf(pool)).toEqual([['HELD', 2], available(1)]);
    expect(await inventory.counters(pool)).toMatchObject({ held: 1, version: 2 });
  });
});

describe('what is newer than a version', () => {
  test('is all that changed since, while two nodes claim, release, pay and sweep', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    const { pool, units } = await inventory.numbered(24);
    const follower = new PoolFollower(inventory, pool);
    let living = true;
    const following = (async () => {
      while (living) await follower.read();
    })();

    const life = async (turn: number) => {
      const kernel = inventory.kernelOf(turn);
      const numbers = [turn % 24, (turn * 7 + 3) % 24, (turn * 5 + 11) % 24].slice(0, 1 + (turn % 3));
      const answer = await kernel.place(claimOf({ items: [...new Set(numbers)].map((number) => seat(pool, units[number])) }));
      if (answer.outcome !== 'GRANTED') return;
      if (turn % 4 === 0) await inventory.runOut(answer.holdId);
      if (turn % 16 === 0) await kernel.inventory.sweep();
      if (turn % 4 === 1) await kernel.move('release', answer.holdId);
      if (turn % 4 >= 2) for (const verb of ['startPaying', 'confirm'] as const) await kernel.move(verb, answer.holdId);
      if (turn % 4 === 3) await kernel.move('giveBack', answer.holdId);
      if (turn % 4 === 2) sold.push(answer.holdId);
    };
    const sold: string[] = [];
    const isTold = async () => follower.reads > 10 && (await inventory.counters(pool)).version > 100;
    const lanes = Array.from({ length: 16 }, async (_, lane) => {
      // However the lanes share the machine: until much has changed, and been read while it did. What was sold comes back later, so that there is always something to take.
      for (let turn = lane; turn < 640 || !(await isTold()); turn += 16) {
        await life(turn);
        if (sold.length > 4) await inventory.kernelOf(turn).move('giveBack', sold.shift() as string);
      }
    });
    await Promise.all(lanes);
    living = false;
    await following;
    await follower.read();

    await inventory.expectSound();
  });

  /** One claim comes to the pool's lock late, because it waits for another pool first; meanwhile a second is decided and its change read. */
  const late = async (inventory: TestInventory) => {
    const { pool, units } = await inventory.numbered(2);
    const first = await inventory.pool({ id: '00000000-0000-4000-8000-000000000001' });
    const follower = new PoolFollower(inventory, pool);
    await follower.read();

    const { waiting } = await whileLocked(inventory, 'select from pool where id = $1 for update', [first], async () => {
      const waiting = inventory.kernelOf(0).place(claimOf({ items: [seat(pool, units[0]), itemOf(first)] }));
      await waitingForLocks(inventory);
      holdOf(await inventory.kernelOf(1).place(claimOf({ items: [seat(pool, units[1])] })));
      await follower.read();
      return { waiting };
    });
    holdOf(await waiting);

    await follower.read();
  };

  test('is what was committed since, also of a claim that began before', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    await late(inventory);

    await inventory.expectSound();
  });

  test('would have a gap if versions were given out before the lock', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.query('create sequence versions start 2');
    await inventory.rewrite(
      'claim_holds',
      'perform 1 from pool',
      "perform set_config('test.version', nextval('versions')::text, true); perform 1 from pool",
    );
    await inventory.rewrite('claim_holds', 'version = (v_pools[i.pool]).version + 1', "version = current_setting('test.version')::int");

    await expectViolationSeen(late(inventory));
  });
});

describe('blocking units', () => {
  test('takes them out of the sale and puts them back, and the capacity follows', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(4);

    expect(await block(inventory, pool, [1, 3])).toMatchObject({ outcome: 'DONE', pools: [{ id: pool, capacity: 2, version: 2 }] });
    expect(await inventory.unitsOf(pool)).toEqual([available(1), ['BLOCKED', 2], available(1), ['BLOCKED', 2]]);
    expect(await inventory.kernel.place(claimOf({ items: [seat(pool, units[1])] }))).toMatchObject({ outcome: 'UNIT_TAKEN' });
    await inventory.expectSound();

    expect(await block(inventory, pool, [3, 2], false)).toMatchObject({ outcome: 'DONE', pools: [{ capacity: 3, version: 3 }] });
    expect(await inventory.unitsOf(pool)).toEqual([available(1), ['BLOCKED', 2], available(1), available(3)]);
    holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[3])] })));
    await inventory.expectSound();
  });

  test('of what is so already changes nothing', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(2);
    await block(inventory, pool, [0]);
    holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[1])] })));

    expect(await block(inventory, pool, [0, 0])).toEqual({ outcome: 'DONE', pools: [] });
    expect(await block(inventory, pool, [1], false)).toEqual({ outcome: 'DONE', pools: [] });
    expect(await block(inventory, pool, [])).toEqual({ outcome: 'DONE', pools: [] });

    expect(await inventory.unitsOf(pool)).toEqual([
      ['BLOCKED', 2],
      ['HELD', 3],
    ]);
    await inventory.expectSound();
  });

  test('is all or none: it names those that are taken, or that nobody has', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(4);
    holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[2])] })));
    const sold = holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[0])] })));
    for (const verb of ['startPaying', 'confirm'] as const) await inventory.kernel.move(verb, sold);
    const before = await inventory.unitsOf(pool);

    expect(await block(inventory, pool, [2, 1, 0])).toEqual({ outcome: 'TAKEN', numbers: [0, 2], pools: [] });
    expect(await block(inventory, pool, [9, 0, 4, 9])).toEqual({ outcome: 'NOT_FOUND', numbers: [4, 9], pools: [] });
    expect(await block(inventory, randomUUID(), [0])).toEqual({ outcome: 'NOT_FOUND', numbers: [0], pools: [] });

    expect(await inventory.unitsOf(pool)).toEqual(before);
    expect(await inventory.counters(pool)).toMatchObject({ capacity: 4 });
    await inventory.expectSound();
  });

  test('is not stopped by holds that have run out, and tells of all their pools', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(2);
    const standing = await inventory.pool();
    const hold = holdOf(await inventory.kernel.place(claimOf({ items: [seat(pool, units[0]), itemOf(standing)] })));
    await inventory.runOut(hold);

    const blocked = await block(inventory, pool, [0]);

    expect(blocked.outcome).toBe('DONE');
    expect(blocked.pools.map(({ id, held, version }) => ({ id, held, version }))).toEqual(
      [
        { id: pool, held: 0, version: 4 },
        { id: standing, held: 0, version: 3 },
      ].toSorted((a, b) => (a.id < b.id ? -1 : 1)),
    );
    expect(await inventory.stateOf(hold)).toBe('EXPIRED');
    expect(await inventory.unitsOf(pool)).toEqual([['BLOCKED', 4], available(1)]);
    await inventory.expectSound();
  });

  const claimFirst = async (inventory: TestInventory) => {
    const { pool, units } = await inventory.numbered(2);
    const { database, inventory: kernel } = inventory.kernelOf(0);

    const { blocking } = await database.transact(
      async (em) => {
        holdOf((await kernel.placeIn(em, claimOf({ items: [seat(pool, units[0])] }))).answer);
        const blocking = block(inventory, pool, [0], true, 1);
        await waitingForLocks(inventory);
        return { blocking };
      },
      { name: 'claim-first' },
    );

    expect(await blocking).toMatchObject({ outcome: 'TAKEN', numbers: [0] });
    expect(await inventory.unitsOf(pool)).toEqual([['HELD', 2], available(1)]);
  };

  const blockFirst = async (inventory: TestInventory) => {
    const { pool, units } = await inventory.numbered(2);

    const { claiming } = await inventory.kernelOf(0).database.transact(
      async (em) => {
        expect((await blockUnits(em, pool, [0], true)).outcome).toBe('DONE');
        const claiming = inventory.kernelOf(1).place(claimOf({ items: [seat(pool, units[0])] }));
        await waitingForLocks(inventory);
        return { claiming };
      },
      { name: 'block-first' },
    );

    expect(await claiming).toEqual({ outcome: 'UNIT_TAKEN', itemIndex: 0, limit: null, takenItems: [0] });
    expect(await inventory.unitsOf(pool)).toEqual([['BLOCKED', 2], available(1)]);
  };

  test('waits for a claim that came first, and a claim for it', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    await claimFirst(inventory);
    await blockFirst(inventory);

    await inventory.expectSound();
  });

  test('would block what was just taken without its lock', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.query('alter table unit drop constraint unit_state_agrees');
    await inventory.rewrite('block_units', 'where id = p_pool for no key update', 'where id = p_pool');

    await expectViolationSeen(claimFirst(inventory));
    await expectViolationSeen(inventory.expectSound());
  });

  test('would be claimed over without the lock of the claim', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');

    await expectViolationSeen(blockFirst(inventory));
    await expectViolationSeen(inventory.expectSound());
  });
});

/** In a transaction of its own. */
const block = (inventory: TestInventory, pool: string, numbers: number[], isBlocked = true, turn = 0): Promise<Blocked> =>
  inventory.kernelOf(turn).database.transact((em) => blockUnits(em, pool, numbers, isBlocked), { name: 'block' });
