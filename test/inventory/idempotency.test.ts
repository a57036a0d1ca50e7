import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { POLICIES } from '../../src/inventory/pool.entity.ts';
import { claimOf, expectViolationSeen, holdOf, itemOf, outcomesOf, TestInventory } from '../support/inventory.ts';

const OTHER_HASH = Buffer.alloc(32, 8);

describe.each(POLICIES)('the key of a claim, %s', (policy) => {
  const open = async (kernels = 1) => {
    const inventory = await TestInventory.open({ kernels });
    const pool = await inventory.pool({ policy, capacity: 10, perClaimantMax: 1 });
    for (const kernel of inventory.kernels) await kernel.meet([pool]);
    return { inventory, pool };
  };

  test.each(['HELD', 'run out', 'EXPIRED', 'RELEASED', 'PAYING', 'CONFIRMED', 'RETURNED'])(
    'names the same hold when it is %s',
    async (state) => {
      const { inventory, pool } = await open();
      await using _ = inventory;
      const claim = claimOf({ items: [itemOf(pool)] });
      const hold = holdOf(await inventory.kernel.place(claim));
      if (state === 'run out' || state === 'EXPIRED') await inventory.runOut(hold);
      if (state === 'EXPIRED') await inventory.kernel.inventory.sweep();
      if (state === 'RELEASED') await inventory.kernel.move('release', hold);
      for (const [verb, reached] of [
        ['startPaying', 'PAYING CONFIRMED RETURNED'],
        ['confirm', 'CONFIRMED RETURNED'],
        ['giveBack', 'RETURNED'],
      ] as const)
        if (reached.includes(state)) await inventory.kernel.move(verb, hold);

      const answer = await inventory.kernel.place(claim);

      expect(answer).toEqual({ outcome: 'REPLAYED', holdId: hold });
      expect(await inventory.countOf('hold')).toBe(1);
      // What has run out may be taken back on this occasion, nothing else moves.
      if (state !== 'run out') expect(await inventory.stateOf(hold)).toBe(state);
      await inventory.expectSound();
    },
  );

  test('with another request is refused, tells nothing and changes nothing', async () => {
    const { inventory, pool } = await open();
    await using _ = inventory;
    const claim = claimOf({ items: [itemOf(pool)] });
    const hold = holdOf(await inventory.kernel.place(claim));
    const before = await inventory.counters(pool);

    const answer = await inventory.kernel.place({ ...claim, requestHash: OTHER_HASH });

    expect(answer).toEqual({ outcome: 'KEY_REUSED', itemIndex: 0, limit: null });
    expect(JSON.stringify(answer)).not.toContain(hold);
    expect(await inventory.counters(pool)).toEqual(before);
    expect(await inventory.countOf('hold')).toBe(1);
  });

  test('of another claimant is nothing special', async () => {
    const { inventory, pool } = await open();
    await using _ = inventory;
    const claim = claimOf({ items: [itemOf(pool)] });
    const hold = holdOf(await inventory.kernel.place(claim));

    const same = holdOf(await inventory.kernel.place({ ...claim, claimantId: randomUUID() }));
    const other = holdOf(await inventory.kernel.place({ ...claim, claimantId: randomUUID(), requestHash: OTHER_HASH }));

    expect(new Set([hold, same, other]).size).toBe(3);
    await inventory.expectSound();
  });

  test('is not kept by a refusal: the same claim succeeds later', async () => {
    const { inventory, pool } = await open();
    await using _ = inventory;
    await inventory.query('update pool set capacity = 0');
    const claim = claimOf({ items: [itemOf(pool)] });
    expect((await inventory.kernel.place(claim)).outcome).toBe('SOLD_OUT');

    await inventory.kernel.inventory.adjustCapacity(pool, 'thing', 1);

    expect((await inventory.kernel.place(claim)).outcome).toBe('GRANTED');
  });

  const fiftyTimes = async (inventory: TestInventory, pool: string) => {
    const claim = claimOf({ items: [itemOf(pool)] });

    const answers = await Promise.all(Array.from({ length: 50 }, (_, turn) => inventory.kernelOf(turn).place(claim)));

    expect(outcomesOf(answers)).toEqual({ GRANTED: 1, REPLAYED: 49 });
    expect(new Set(answers.map((answer) => 'holdId' in answer && answer.holdId)).size).toBe(1);
    expect(await inventory.countOf('hold')).toBe(1);
    expect(await inventory.counters(pool)).toMatchObject({ held: 1 });
  };

  test('sent 50 times at once to two nodes makes one hold', async () => {
    const { inventory, pool } = await open(2);
    await using _ = inventory;

    await fiftyTimes(inventory, pool);

    await inventory.expectSound();
  });

  test('sent 50 times at once would make more where nothing looks for it', async () => {
    const { inventory, pool } = await open(2);
    await using _ = inventory;
    await inventory.query('alter table hold drop constraint hold_claimant_id_idempotency_key_key; update pool set per_claimant_max = null');
    await inventory.rewrite('claim_holds', 'h.idempotency_key = c.key', 'false');

    await expectViolationSeen(fiftyTimes(inventory, pool));
  });

  test('is found within a batch, beside claims that are new', async () => {
    const { inventory, pool } = await open();
    await using _ = inventory;
    const known = claimOf({ items: [itemOf(pool)] });
    const hold = holdOf(await inventory.kernel.place(known));
    const batch = [
      claimOf({ items: [itemOf(pool)] }),
      claimOf({ items: [itemOf(pool)] }),
      known,
      { ...known, requestHash: OTHER_HASH },
      claimOf({ items: [itemOf(pool)] }),
    ];

    const answers = await Promise.all(batch.map((claim) => inventory.kernel.place(claim)));

    expect(answers.map(({ outcome }) => outcome)).toEqual(['GRANTED', 'GRANTED', 'REPLAYED', 'KEY_REUSED', 'GRANTED']);
    expect(answers[2]).toEqual({ outcome: 'REPLAYED', holdId: hold });
    expect(await inventory.counters(pool)).toMatchObject({ held: 4 });
    await inventory.expectSound();
  });
});
