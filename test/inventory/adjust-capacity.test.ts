import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { POLICIES } from '../../src/inventory/pool.entity.ts';
import { claimOf, expectViolationSeen, holdOf, itemOf, outcomesOf, TestInventory } from '../support/inventory.ts';

describe.each(POLICIES)('adjusting the capacity of a pool, %s', (policy) => {
  const open = async (capacity: number, kernels = 1) => {
    const inventory = await TestInventory.open({ kernels });
    const pool = await inventory.pool({ policy, capacity });
    for (const kernel of inventory.kernels) await kernel.meet([pool]);
    const claim = (turn = 0) => inventory.kernelOf(turn).place(claimOf({ items: [itemOf(pool)] }));
    return { inventory, pool, claim, adjust: (to: number) => inventory.kernel.inventory.adjustCapacity(pool, 'thing', to) };
  };

  test('up lets in exactly as many more', async () => {
    const { inventory, claim, adjust } = await open(2);
    await using _ = inventory;
    expect(outcomesOf(await Promise.all([claim(), claim(), claim()]))).toEqual({ GRANTED: 2, SOLD_OUT: 1 });

    expect(await adjust(4)).toMatchObject({ outcome: 'ADJUSTED', pool: { capacity: 4, held: 2, sold: 0 } });

    expect(outcomesOf(await Promise.all([claim(), claim(), claim()]))).toEqual({ GRANTED: 2, SOLD_OUT: 1 });
    await inventory.expectSound();
  });

  test('down goes as far as what is held and sold, not below', async () => {
    const { inventory, pool, claim, adjust } = await open(10);
    await using _ = inventory;
    const [sold] = (await Promise.all([claim(), claim(), claim()])).map(holdOf);
    await inventory.kernel.move('startPaying', sold ?? '');
    await inventory.kernel.move('confirm', sold ?? '');
    const before = await inventory.counters(pool);

    expect(await adjust(2)).toEqual({ outcome: 'BELOW_TAKEN', held: 2, sold: 1 });
    expect(await adjust(-1)).toEqual({ outcome: 'BELOW_TAKEN', held: 2, sold: 1 });
    expect(await inventory.counters(pool)).toEqual(before);

    expect(await adjust(3)).toMatchObject({ outcome: 'ADJUSTED', pool: { capacity: 3, version: before.version + 1 } });
    expect(await claim()).toEqual({ outcome: 'SOLD_OUT', itemIndex: 0, limit: 0 });
  });

  test('down is not stopped by holds that have run out', async () => {
    const { inventory, pool, claim, adjust } = await open(3);
    await using _ = inventory;
    const [one = '', two = ''] = (await Promise.all([claim(), claim(), claim()])).map(holdOf);
    await inventory.runOut(one, two);

    expect(await adjust(1)).toMatchObject({ outcome: 'ADJUSTED', pool: { capacity: 1, held: 1 } });

    expect(await inventory.counters(pool)).toMatchObject({ capacity: 1, held: 1 });
    await inventory.expectSound();
  });

  test('of an unknown pool, or as another kind, finds nothing', async () => {
    const { inventory, pool } = await open(3);
    await using _ = inventory;

    expect(await inventory.kernel.inventory.adjustCapacity(randomUUID(), 'thing', 5)).toEqual({ outcome: 'NOT_FOUND' });
    expect(await inventory.kernel.inventory.adjustCapacity(pool, 'another', 5)).toEqual({ outcome: 'NOT_FOUND' });
    expect(await inventory.counters(pool)).toMatchObject({ capacity: 3, version: 1 });
  });

  const underClaims = async ({ inventory, pool, claim }: Awaited<ReturnType<typeof open>>) => {
    const adjusting = (async () => {
      const seen = [];
      for (const to of [60, 20, 45, 1, 30, 40])
        seen.push({ to, ...(await inventory.kernelOf(1).inventory.adjustCapacity(pool, 'thing', to)) });
      return seen;
    })();
    const answers = await Promise.all(Array.from({ length: 100 }, (_, turn) => claim(turn)));
    const adjusted = await adjusting;

    const last = adjusted.findLast(({ outcome }) => outcome === 'ADJUSTED');
    const { capacity, held } = await inventory.counters(pool);
    expect(capacity).toBe(last?.to);
    expect(held).toBe(outcomesOf(answers).GRANTED);
    expect(held).toBeLessThanOrEqual(capacity);
    expect(await inventory.countOf('hold')).toBe(held);
  };

  test('under 100 claims at once from two nodes never leaves more taken than there is', async () => {
    const opened = await open(20, 2);
    await using inventory = opened.inventory;

    await underClaims(opened);

    await inventory.expectSound();
  });

  test('without its guard it would fall below what is taken', async () => {
    const { inventory, pool, claim } = await open(3);
    await using _ = inventory;
    await Promise.all([claim(), claim(), claim()]);
    await inventory.query('alter table pool drop constraint pool_never_oversold');

    await inventory.query('update pool set capacity = 1 where id = $1', [pool]);

    await expectViolationSeen(inventory.expectSound());
  });
});
