import { describe, expect, test } from '@jest/globals';
import { POLICIES } from '../../src/inventory/pool.entity.ts';
import { claimOf, holdOf, itemOf, TestInventory } from '../support/inventory.ts';

describe.each(POLICIES)('watchers of a node hear of every change it committed, %s', (policy) => {
  const open = async (...capacities: number[]) => {
    const inventory = await TestInventory.open();
    const pools = await Promise.all(capacities.map((capacity) => inventory.pool({ policy, capacity })));
    await inventory.kernel.meet(pools);
    const [one = '', two = ''] = pools;
    /** What is in the database is what was told last. */
    const expectTold = async (...ids: string[]) => {
      const told = inventory.kernel.told.splice(0);
      expect(told.map(({ id }) => id).sort()).toEqual(ids.sort());
      for (const { id, free, held, sold, capacity, version, at } of told) {
        expect(await inventory.query('select capacity, held, sold, version from pool where id = $1', [id])).toEqual([
          { capacity, held, sold, version },
        ]);
        expect(free).toBe(capacity - held - sold);
        const [row] = await inventory.query<{ changed: Date }>('select changed_at as changed from pool where id = $1', [id]);
        expect(at).toEqual(row?.changed);
      }
    };
    return { inventory, one, two, expectTold };
  };

  test('a claim that was granted, and nothing of one that was refused', async () => {
    const { inventory, one, two, expectTold } = await open(1, 1);
    await using _ = inventory;

    holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(one), itemOf(two)] })));
    await expectTold(one, two);

    expect((await inventory.kernel.place(claimOf({ items: [itemOf(one), itemOf(two)] }))).outcome).toBe('SOLD_OUT');
    await expectTold();
  });

  test('what a claim took back, of all pools it was in, also when the claim itself was refused', async () => {
    const { inventory, one, two, expectTold } = await open(2, 1);
    await using _ = inventory;
    const hold = holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(one), itemOf(two)] })));
    await inventory.runOut(hold);
    await expectTold(one, two);

    // More than there is: refused, under the lock that is taken for what has run out.
    expect((await inventory.kernel.place(claimOf({ items: [itemOf(one, { quantity: 3 })] }))).outcome).toBe('SOLD_OUT');

    expect(await inventory.stateOf(hold)).toBe('EXPIRED');
    await expectTold(one, two);
  });

  test('a release, and a sweep', async () => {
    const { inventory, one, two, expectTold } = await open(5, 5);
    await using _ = inventory;
    const claim = claimOf({ items: [itemOf(one), itemOf(two)] });
    const released = holdOf(await inventory.kernel.place(claim));
    const swept = holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(two)] })));
    inventory.kernel.told.length = 0;

    expect(await inventory.kernel.inventory.release(released, claim.claimantId)).toBe('MOVED');
    await expectTold(one, two);

    await inventory.runOut(swept);
    await inventory.kernel.inventory.sweep();
    await expectTold(two);
    await inventory.kernel.inventory.sweep();
    await expectTold();
  });

  test('an adjusted capacity, with what was taken back for it, also when it was refused', async () => {
    const { inventory, one, two, expectTold } = await open(5, 5);
    await using _ = inventory;
    await inventory.kernel.place(claimOf({ items: [itemOf(one, { quantity: 2 })] }));
    const holds = [];
    for (let turn = 0; turn < 2; turn++) holds.push(holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(one), itemOf(two)] }))));
    inventory.kernel.told.length = 0;

    await inventory.runOut(holds[0] ?? '');
    expect(await inventory.kernel.inventory.adjustCapacity(one, 'thing', 1)).toEqual({ outcome: 'BELOW_TAKEN', held: 3, sold: 0 });
    await expectTold(one, two);

    await inventory.runOut(holds[1] ?? '');
    expect((await inventory.kernel.inventory.adjustCapacity(one, 'thing', 2)).outcome).toBe('ADJUSTED');
    await expectTold(one, two);
  });
});
