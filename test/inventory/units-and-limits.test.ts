import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { POLICIES } from '../../src/inventory/pool.entity.ts';
import {
  claimOf,
  expectViolationSeen,
  expectViolationSeenOnce,
  holdOf,
  itemOf,
  outcomesOf,
  TestInventory,
  whileLocked,
} from '../support/inventory.ts';
import { waitingForLocks } from '../support/lock-waits.ts';
import { eventually } from '../support/wait.ts';

describe('a numbered unit', () => {
  const rivals = async (inventory: TestInventory) => {
    const pool = await inventory.pool();
    const [unit = ''] = await inventory.units(pool, 1);

    const answers = await Promise.all(
      inventory.kernels.map((kernel) => kernel.place(claimOf({ items: [itemOf(pool, { unitId: unit })] }))),
    );

    expect(outcomesOf(answers)).toEqual({ GRANTED: 1, UNIT_TAKEN: 1 });
    expect(await inventory.counters(pool)).toMatchObject({ held: 1 });
  };

  test('is taken by one of two who claim it at once', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    await rivals(inventory);

    await inventory.expectSound();
  });

  test('would be taken by both without the lock', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');
    await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then');

    await expectViolationSeenOnce(() => rivals(inventory));
    await expectViolationSeen(inventory.expectSound());
  });

  test('is taken by the first of two who claim it in one batch', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool();
    const [unit = ''] = await inventory.units(pool, 1);

    const [, first, second] = await Promise.all([
      inventory.kernel.place(claimOf({ items: [itemOf(pool)] })),
      inventory.kernel.place(claimOf({ items: [itemOf(pool, { unitId: unit })] })),
      inventory.kernel.place(claimOf({ items: [itemOf(pool, { unitId: unit })] })),
    ]);

    expect(first.outcome).toBe('GRANTED');
    expect(second).toEqual({ outcome: 'UNIT_TAKEN', itemIndex: 0, limit: null, takenItems: [0] });
    expect(await inventory.kernel.count('lastseat_transactions_total', { name: 'claim-holds' })).toBe(2);
    await inventory.expectSound();
  });

  test('cannot be taken twice by one claim', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool();
    const [one = '', two = ''] = await inventory.units(pool, 2);

    const answer = await inventory.kernel.place(
      claimOf({ items: [itemOf(pool, { unitId: one }), itemOf(pool, { unitId: two }), itemOf(pool, { unitId: one })] }),
    );

    expect(answer).toEqual({ outcome: 'UNIT_TAKEN', itemIndex: 2, limit: null, takenItems: [2] });
    expect(await inventory.counters(pool)).toMatchObject({ held: 0 });
    expect(await inventory.countOf('hold')).toBe(0);
  });

  test('is not found in another pool, nor does naming it there take it from who names it rightly', async () => {
    await using inventory = await TestInventory.open();
    // Whatever order the two pools have.
    for (const descending of [false, true]) {
      const [its = '', another = ''] = [randomUUID(), randomUUID()].sort((a, b) => (a < b === descending ? 1 : -1));
      await inventory.pool({ id: its });
      await inventory.pool({ id: another });
      const [unit = ''] = await inventory.units(its, 1);
      const wrongly = () => inventory.kernel.place(claimOf({ items: [itemOf(another, { unitId: unit })] }));

      // The first item decides the queue: with a common first item they share a batch.
      const [, inBatch, right] = await Promise.all([
        inventory.kernel.place(claimOf({ items: [itemOf(its)] })),
        inventory.kernel.place(claimOf({ items: [itemOf(its), itemOf(another, { unitId: unit })] })),
        inventory.kernel.place(claimOf({ items: [itemOf(its), itemOf(its, { unitId: unit })] })),
      ]);

      expect(inBatch).toEqual({ outcome: 'NOT_FOUND', itemIndex: 1, limit: null });
      expect(right.outcome).toBe('GRANTED');
      expect(await wrongly()).toEqual({ outcome: 'NOT_FOUND', itemIndex: 0, limit: null });
      expect(await inventory.counters(another)).toMatchObject({ held: 0 });
      await inventory.expectSound();
    }
  });

  test('of another pool cannot be had by naming it rightly in the same claim', async () => {
    await using inventory = await TestInventory.open();
    const its = await inventory.pool();
    const another = await inventory.pool();
    const [unit = ''] = await inventory.units(its, 1);
    const place = (...pools: string[]) => inventory.kernel.place(claimOf({ items: pools.map((pool) => itemOf(pool, { unitId: unit })) }));

    expect(await place(its, another)).toEqual({ outcome: 'NOT_FOUND', itemIndex: 1, limit: null });
    expect(await place(another, its)).toEqual({ outcome: 'NOT_FOUND', itemIndex: 0, limit: null });
    expect(await inventory.countOf('hold')).toBe(0);
  });

  test.each(['released', 'run out', 'returned'])('can be claimed again when its hold was %s', async (how) => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ capacity: 1 });
    const [unit = ''] = await inventory.units(pool, 1);
    const claim = () => inventory.kernel.place(claimOf({ items: [itemOf(pool, { unitId: unit })] }));
    const hold = holdOf(await claim());
    expect((await claim()).outcome).toBe('UNIT_TAKEN');

    if (how === 'released') await inventory.kernel.move('release', hold);
    if (how === 'run out') await inventory.runOut(hold);
    if (how === 'returned') for (const verb of ['startPaying', 'confirm', 'giveBack'] as const) await inventory.kernel.move(verb, hold);

    const again = holdOf(await claim());
    expect(await inventory.query('select hold_id from unit')).toEqual([{ hold_id: again }]);
    await inventory.expectSound();
  });
});

describe.each(POLICIES)('limits, %s', (policy) => {
  test('a claimant has no more of a pool than its limit, units of all holds counted', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ policy, perClaimantMax: 3 });
    await inventory.kernel.meet([pool]);
    const claimantId = randomUUID();
    const claim = (quantity: number) => inventory.kernel.place(claimOf({ claimantId, items: [itemOf(pool, { quantity })] }));

    const paid = holdOf(await claim(1));
    await inventory.kernel.move('startPaying', paid);
    await inventory.kernel.move('confirm', paid);
    const held = holdOf(await claim(1));

    expect(await claim(2)).toEqual({ outcome: 'CLAIMANT_LIMIT', itemIndex: 0, limit: 3 });
    await inventory.kernel.move('release', held);
    expect((await claim(2)).outcome).toBe('GRANTED');
    expect((await inventory.kernel.place(claimOf({ items: [itemOf(pool, { quantity: 3 })] }))).outcome).toBe('GRANTED');
    await inventory.expectSound();
  });

  test('a hold that has run out no longer counts for its claimant, in this pool or another of the quota', async () => {
    await using inventory = await TestInventory.open();
    const quota = { key: 'month', max: 1 };
    const one = await inventory.pool({ policy, perClaimantMax: 1, quota });
    const two = await inventory.pool({ policy, quota });
    await inventory.kernel.meet([one, two]);
    const claimantId = randomUUID();
    const claim = (pool: string) => inventory.kernel.place(claimOf({ claimantId, items: [itemOf(pool)] }));

    const first = holdOf(await claim(one));
    expect(await claim(two)).toEqual({ outcome: 'QUOTA_REACHED', itemIndex: 0, limit: 1 });
    await inventory.runOut(first);
    const second = holdOf(await claim(two));
    await inventory.runOut(second);
    holdOf(await claim(one));

    await inventory.expectSound();
  });

  test.each(['limit', 'quota'])('who starts to pay in the last instant of a hold still has it: the %s is kept', async (which) => {
    await using inventory = await TestInventory.open();
    const quota = which === 'quota' ? { key: 'month', max: 1 } : null;
    const one = await inventory.pool({ policy, perClaimantMax: which === 'limit' ? 1 : null, quota });
    const other = which === 'quota' ? await inventory.pool({ policy, quota }) : one;
    await inventory.kernel.meet([one, other]);
    const claimantId = randomUUID();
    const hold = holdOf(await inventory.kernel.place(claimOf({ claimantId, items: [itemOf(one)] })));

    /** Begins to pay so short before the deadline, and claims after it. Null where the deadline was faster. */
    const payLate = async (milliseconds: number) => {
      await inventory.query("update hold set expires_at = clock_timestamp() + $2 * interval '1 ms' where id = $1", [hold, milliseconds]);
      return whileLocked(inventory, 'select', [], async (payer) => {
        const { rows } = await payer.query(`select move_hold($1, null, '{HELD}', 'PAYING')->>'outcome' as outcome`, [hold]);
        if (rows[0]?.outcome === 'EXPIRED') return null;
        await eventually(async () => (await inventory.query('select from hold where expires_at < clock_timestamp()')).length === 1);
        const claimed = inventory.kernel.place(claimOf({ claimantId, items: [itemOf(other)] }));
        await Promise.race([claimed, waitingForLocks(inventory)]);
        return { claimed };
      });
    };
    const second = (await payLate(200)) ?? (await payLate(4_000));

    expect(await second?.claimed).toMatchObject({ outcome: which === 'quota' ? 'QUOTA_REACHED' : 'CLAIMANT_LIMIT' });
    expect(await inventory.stateOf(hold)).toBe('PAYING');
    await inventory.expectSound();
  });

  test('a place whose hold is being tidied is not refused: the claim waits for the tidying', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ policy, capacity: 1 });
    await inventory.kernel.meet([pool]);
    const hold = holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(pool)] })));
    await inventory.runOut(hold);

    const next = await whileLocked(inventory, 'select from hold where id = $1 for update', [hold], async () => {
      const claimed = inventory.kernel.place(claimOf({ items: [itemOf(pool)] }));
      await Promise.race([claimed, waitingForLocks(inventory)]);
      return { claimed };
    });

    expect((await next.claimed).outcome).toBe('GRANTED');
    expect(await inventory.stateOf(hold)).toBe('EXPIRED');
    await inventory.expectSound();
  });

  const overQuota = async (inventory: TestInventory) => {
    const quota = { key: 'month', max: 1 };
    const pools = [await inventory.pool({ policy, quota }), await inventory.pool({ policy, quota })];
    for (const kernel of inventory.kernels) await kernel.meet(pools);
    const claimantId = randomUUID();

    const answers = await Promise.all(
      pools.map((pool, turn) => inventory.kernelOf(turn).place(claimOf({ claimantId, items: [itemOf(pool)] }))),
    );

    expect(outcomesOf(answers)).toEqual({ GRANTED: 1, QUOTA_REACHED: 1 });
  };

  test('a quota over two pools is kept when both are claimed at once, from two nodes', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    for (let trial = 0; trial < 10; trial++) await overQuota(inventory);

    await inventory.expectSound();
  });

  test('a quota over two pools would be broken without its lock', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.rewrite('claim_holds', 'pg_advisory_xact_lock(', 'abs(');
    await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then', 'v_granted');

    await expectViolationSeenOnce(() => overQuota(inventory));
    await expectViolationSeen(inventory.expectSound());
  });

  test('a quota belongs to one claimant and one key', async () => {
    await using inventory = await TestInventory.open();
    const pools = [];
    for (const key of ['july', 'july', 'august']) pools.push(await inventory.pool({ policy, quota: { key, max: 2 } }));
    await inventory.kernel.meet(pools);
    const [one = '', two = '', august = ''] = pools;
    const claimantId = randomUUID();

    expect(await inventory.kernel.place(claimOf({ claimantId, items: [itemOf(one, { quantity: 2 }), itemOf(two)] }))).toEqual({
      outcome: 'QUOTA_REACHED',
      itemIndex: 0,
      limit: 2,
    });
    holdOf(await inventory.kernel.place(claimOf({ claimantId, items: [itemOf(one), itemOf(two)] })));
    holdOf(await inventory.kernel.place(claimOf({ claimantId, items: [itemOf(august, { quantity: 2 })] })));
    holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(one, { quantity: 2 })] })));
    await inventory.expectSound();
  });
});
