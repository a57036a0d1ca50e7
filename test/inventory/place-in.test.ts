import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import type { ClaimRequest } from '../../src/inventory/claim.ts';
import { POLICIES } from '../../src/inventory/pool.entity.ts';
import { claimOf, expectViolationSeenOnce, holdOf, itemOf, outcomesOf, TestInventory } from '../support/inventory.ts';
import type { Kernel } from '../support/kernel.ts';

/** Claims in a transaction of its own that also takes a note, tells the watchers, and answers. */
const placeNoted = async ({ database, inventory }: Kernel, claim: ClaimRequest) => {
  const { answer, pools } = await database.transact(
    async (em) => {
      const placed = await inventory.placeIn(em, claim);
      await em.execute('insert into note (outcome) values (?)', [placed.answer.outcome]);
      return placed;
    },
    { name: 'place-noted' },
  );
  inventory.tell(pools);
  return answer;
};

const open = async (options: Parameters<typeof TestInventory.open>[0] = {}) => {
  const inventory = await TestInventory.open(options);
  await inventory.query('create table note (outcome text)');
  return inventory;
};

const notesOf = async (inventory: TestInventory) =>
  (await inventory.query<{ outcome: string }>('select outcome from note')).map(({ outcome }) => outcome);

describe.each(POLICIES)("a claim in the caller's transaction, %s", (policy) => {
  test('is committed with what the caller writes, and its watchers are told', async () => {
    await using inventory = await open();
    const [lesson, locker] = [await inventory.pool({ policy, priceMinor: 70_000 }), await inventory.pool({ policy, priceMinor: 5_000 })];

    const claim = claimOf({ ifPaidLate: 'SAME', items: [itemOf(lesson), itemOf(locker)] });
    const answer = await placeNoted(inventory.kernel, claim);

    expect(answer).toMatchObject({ outcome: 'GRANTED', amountMinor: 75_000, currency: 'KRW' });
    expect(await inventory.query('select id, claimant_id, state, if_paid_late from hold')).toEqual([
      { id: holdOf(answer), claimant_id: claim.claimantId, state: 'HELD', if_paid_late: 'SAME' },
    ]);
    expect(await notesOf(inventory)).toEqual(['GRANTED']);
    for (const pool of [lesson, locker]) expect(await inventory.counters(pool)).toMatchObject({ held: 1, version: 2 });
    expect(inventory.kernel.told.map(({ id, held, version }) => ({ id, held, version }))).toEqual(
      [lesson, locker].sort().map((id) => ({ id, held: 1, version: 2 })),
    );
    await inventory.expectSound();
  });

  test('leaves nothing when the caller rolls back, not even what it took back', async () => {
    await using inventory = await open();
    const pool = await inventory.pool({ policy, capacity: 1 });
    const lost = holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(pool)] })));
    await inventory.runOut(lost);
    const before = await inventory.counters(pool);
    const claim = claimOf({ items: [itemOf(pool)] });

    const rolledBack = inventory.kernel.database.transact(
      async (em) => {
        const { answer } = await inventory.kernel.inventory.placeIn(em, claim);
        throw new Error(`${answer.outcome}, and then a mistake`);
      },
      { name: 'mistaken' },
    );

    await expect(rolledBack).rejects.toThrow('GRANTED, and then a mistake');
    expect(await inventory.counters(pool)).toEqual(before);
    expect(await inventory.query('select id, state from hold')).toEqual([{ id: lost, state: 'HELD' }]);
    // The key was not used up, the place is still there, and nobody was left with a lock.
    expect((await placeNoted(inventory.kernel, claim)).outcome).toBe('GRANTED');
    expect(await inventory.stateOf(lost)).toBe('EXPIRED');
    await inventory.expectSound();
  });

  test('keeps the rules of any claim, and the caller may go on after a refusal', async () => {
    await using inventory = await open();
    const { kernel } = inventory;
    const minute = 60_000;
    const early = await inventory.pool({ policy, opensAt: new Date(Date.now() + minute) });
    const closed = await inventory.pool({ policy, closesAt: new Date(Date.now() - minute) });
    const limited = await inventory.pool({ policy, perClaimantMax: 1 });
    const quota = { key: 'month', max: 1 };
    const [counted, countedToo] = [await inventory.pool({ policy, quota }), await inventory.pool({ policy, quota })];
    const soldOut = await inventory.pool({ policy, capacity: 0 });
    const claimantId = randomUUID();
    for (const pool of [limited, counted]) holdOf(await kernel.place(claimOf({ claimantId, items: [itemOf(pool)] })));
    const held = await inventory.countOf('hold');

    const answers = [];
    for (const pool of [early, closed, limited, countedToo, soldOut, randomUUID()])
      answers.push(await placeNoted(kernel, claimOf({ claimantId, items: [itemOf(pool)] })));

    const refusals = ['NOT_YET_ON_SALE', 'SALE_CLOSED', 'CLAIMANT_LIMIT', 'QUOTA_REACHED', 'SOLD_OUT', 'NOT_FOUND'];
    expect(answers.map(({ outcome }) => outcome)).toEqual(refusals);
    expect(await notesOf(inventory)).toEqual(refusals);
    expect(await inventory.countOf('hold')).toBe(held);
    await inventory.expectSound();
  });

  test('counts what the same transaction has given up, and what it has taken', async () => {
    await using inventory = await open();
    const { database, inventory: kernel } = inventory.kernel;
    const pool = await inventory.pool({ policy, capacity: 1, perClaimantMax: 1 });
    const claimantId = randomUUID();
    const hold = holdOf(await kernel.place(claimOf({ claimantId, items: [itemOf(pool)] })));

    const outcomes = await database.transact(
      async (em) => {
        await kernel.move(em, 'release', hold, null);
        const again = await kernel.placeIn(em, claimOf({ claimantId, items: [itemOf(pool)] }));
        const twice = await kernel.placeIn(em, claimOf({ claimantId, items: [itemOf(pool)] }));
        return [again, twice].map(({ answer }) => answer.outcome);
      },
      { name: 'take-again' },
    );

    expect(outcomes).toEqual(['GRANTED', 'CLAIMANT_LIMIT']);
    expect(await inventory.counters(pool)).toMatchObject({ held: 1, sold: 0 });
    await inventory.expectSound();
  });

  test('can be paid and confirmed in the same transaction', async () => {
    await using inventory = await open();
    const { database, inventory: kernel } = inventory.kernel;
    const pool = await inventory.pool({ policy, capacity: 1 });

    const hold = await database.transact(
      async (em) => {
        const id = holdOf((await kernel.placeIn(em, claimOf({ items: [itemOf(pool)] }))).answer);
        await kernel.move(em, 'startPaying', id, null);
        await kernel.move(em, 'confirm', id, null);
        return id;
      },
      { name: 'rescue' },
    );

    expect(await inventory.query('select id, state, version from hold')).toEqual([{ id: hold, state: 'CONFIRMED', version: 3 }]);
    expect(await inventory.counters(pool)).toMatchObject({ held: 0, sold: 1 });
    await inventory.expectSound();
  });

  test('sent again is answered with the same hold, and changes nothing', async () => {
    await using inventory = await open();
    const pool = await inventory.pool({ policy });
    const claim = claimOf({ items: [itemOf(pool)] });
    const hold = holdOf(await placeNoted(inventory.kernel, claim));
    inventory.kernel.told.length = 0;

    const again = await placeNoted(inventory.kernel, claim);
    const other = await placeNoted(inventory.kernel, { ...claim, requestHash: Buffer.alloc(32, 8) });

    expect(again).toEqual({ outcome: 'REPLAYED', holdId: hold });
    expect(other).toEqual({ outcome: 'KEY_REUSED', itemIndex: 0, limit: null });
    expect(inventory.kernel.told).toEqual([]);
    expect(await inventory.counters(pool)).toMatchObject({ held: 1, version: 2 });
  });

  const rivals = async (inventory: TestInventory) => {
    const pool = await inventory.pool({ policy, capacity: 10 });
    for (const kernel of inventory.kernels) await kernel.meet([pool]);
    const before = await inventory.countOf('hold');

    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, turn) => {
        const claim = claimOf({ items: [itemOf(pool)] });
        const kernel = inventory.kernelOf(turn >> 1);
        return turn % 2 === 0 ? kernel.place(claim) : placeNoted(kernel, claim);
      }),
    );

    expect(outcomesOf(answers)).toEqual({ GRANTED: 10, SOLD_OUT: 30 });
    expect(await inventory.counters(pool)).toMatchObject({ held: 10 });
    expect(await inventory.countOf('hold')).toBe(before + 10);
  };

  test('fights for the last places with those of buyers, on two nodes, and nobody gets one too many', async () => {
    await using inventory = await open({ kernels: 2 });

    await rivals(inventory);

    await inventory.expectSound();
  });

  test('would take one too many without the lock', async () => {
    await using inventory = await open({ kernels: 2 });
    await inventory.query('alter table pool drop constraint pool_never_oversold');
    await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');
    await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then', 'v_granted');

    await expectViolationSeenOnce(() => rivals(inventory));
  });
});

test("a numbered unit is taken in the caller's transaction, once", async () => {
  await using inventory = await open();
  const pool = await inventory.pool({ capacity: 2 });
  const [unit = ''] = await inventory.units(pool, 2);

  const answers = [];
  for (let turn = 0; turn < 2; turn++)
    answers.push(await placeNoted(inventory.kernel, claimOf({ items: [itemOf(pool, { unitId: unit })] })));

  expect(answers.map(({ outcome }) => outcome)).toEqual(['GRANTED', 'UNIT_TAKEN']);
  await inventory.expectSound();
});

test('outside a transaction it is a mistake of ours, and says so', async () => {
  await using inventory = await open();
  const pool = await inventory.pool();
  const { database, inventory: kernel } = inventory.kernel;

  await expect(kernel.placeIn(database.fork(), claimOf({ items: [itemOf(pool)] }))).rejects.toThrow('inside a transaction');

  expect(await inventory.countOf('hold')).toBe(0);
});
