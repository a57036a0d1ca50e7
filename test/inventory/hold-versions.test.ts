import { describe, expect, test } from '@jest/globals';
import { POLICIES } from '../../src/inventory/pool.entity.ts';
import { holdsByIds } from '../../src/inventory/read-holds.ts';
import { claimOf, holdOf, itemOf, TestInventory } from '../support/inventory.ts';

const open = async (policy: (typeof POLICIES)[number] = 'PESSIMISTIC') => {
  const inventory = await TestInventory.open();
  const pool = await inventory.pool({ policy });
  await inventory.kernel.meet([pool]);
  const claim = claimOf({ items: [itemOf(pool)] });
  const hold = holdOf(await inventory.kernel.place(claim));
  const view = async () => {
    const [{ state, version } = { state: null, version: 0 }] = await holdsByIds(inventory.kernel.database.pool, [hold]);
    return [state, version];
  };
  return { inventory, pool, claim, hold, view };
};

describe('the version of a hold', () => {
  test.each(POLICIES)('begins at 1 and grows with each arrow it takes, %s', async (policy) => {
    const { inventory, hold, view } = await open(policy);
    await using _ = inventory;
    const seen = [await view()];

    for (const verb of ['startPaying', 'confirm', 'giveBack'] as const) {
      expect(await inventory.kernel.move(verb, hold)).toBe('MOVED');
      seen.push(await view());
    }

    expect(seen).toEqual([
      ['HELD', 1],
      ['PAYING', 2],
      ['CONFIRMED', 3],
      ['RETURNED', 4],
    ]);
  });

  test('grows when it is released, and when its payment is refused', async () => {
    const one = await open();
    await using _one = one.inventory;
    const other = await open();
    await using _other = other.inventory;

    await one.inventory.kernel.move('release', one.hold);
    await other.inventory.kernel.move('startPaying', other.hold);
    await other.inventory.kernel.move('releaseUnpaid', other.hold);

    expect(await one.view()).toEqual(['RELEASED', 2]);
    expect(await other.view()).toEqual(['RELEASED', 3]);
  });

  test.each(['a sweep', 'a claim'])('grows when what has run out is taken back by %s, not before', async (by) => {
    const { inventory, pool, hold, view } = await open();
    await using _ = inventory;
    await inventory.runOut(hold); // itself an update
    expect(await view()).toEqual(['EXPIRED', 2]);

    if (by === 'a sweep') await inventory.kernel.inventory.sweep();
    else holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(pool)] })));

    expect(await view()).toEqual(['EXPIRED', 3]);
    await inventory.kernel.inventory.sweep();
    expect(await view()).toEqual(['EXPIRED', 3]);
  });

  test('stays with an arrow that cannot be taken, with a replay, and with a transaction that is rolled back', async () => {
    const { inventory, claim, hold, view } = await open();
    await using _ = inventory;

    expect(await inventory.kernel.move('confirm', hold)).toBe('HELD');
    expect(await inventory.kernel.place(claim)).toEqual({ outcome: 'REPLAYED', holdId: hold });
    await inventory.kernel.database
      .transact(
        async (em) => {
          await inventory.kernel.inventory.move(em, 'release', hold, null);
          throw new Error('changed my mind');
        },
        { name: 'changed-my-mind' },
      )
      .catch(() => undefined);

    expect(await view()).toEqual(['HELD', 1]);
  });

  test('never goes down, whatever an update says', async () => {
    const { inventory, hold } = await open();
    await using _ = inventory;

    await inventory.query('update hold set version = 0 where id = $1', [hold]);
    await inventory.query('update hold set changed_at = changed_at where id = $1', [hold]);

    expect(await inventory.query('select version from hold')).toEqual([{ version: 3 }]);
  });

  test('of ten at once for one arrow grows once', async () => {
    const { inventory, hold, view } = await open();
    await using _ = inventory;

    const outcomes = await Promise.all(Array.from({ length: 10 }, () => inventory.kernel.move('startPaying', hold)));

    expect(outcomes.toSorted()).toEqual(['MOVED', ...Array(9).fill('PAYING')]);
    expect(await view()).toEqual(['PAYING', 2]);
  });
});
