import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { claimOf, deadlocks, holdOf, itemOf, outcomesOf, TestInventory, whileLocked } from '../support/inventory.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { waitingForLocks } from '../support/lock-waits.ts';

failOnLeaks();

const LOCK_POOL = 'select 1 from pool where id = $1 for update';

/** Holds of so many claimants, each on one place of every pool. */
async function holdsIn(inventory: TestInventory, count: number, ...pools: string[]) {
  const claims = Array.from({ length: count }, () => claimOf({ claimantId: randomUUID(), items: pools.map((pool) => itemOf(pool)) }));
  const holds = (await Promise.all(claims.map((claim) => inventory.kernel.place(claim)))).map(holdOf);
  return holds.map((holdId, index) => ({ holdId, claimantId: claims[index]?.claimantId as string }));
}
const transactions = (inventory: TestInventory) => inventory.kernel.count('lastseat_transactions_total', { name: 'release-holds' });

test('those who give up while a pool is busy do it in one transaction, and each is answered for themselves', async () => {
  await using inventory = await TestInventory.open();
  const pool = await inventory.pool({ capacity: 10 });
  const [first, own, strangers, expired, paying, given] = await holdsIn(inventory, 6, pool);
  const release = (held = own, claimantId = held?.claimantId) => inventory.kernel.inventory.release(held!.holdId, claimantId as string);
  await inventory.runOut(expired!.holdId);
  await inventory.kernel.move('startPaying', paying!.holdId);
  await inventory.kernel.move('release', given!.holdId);

  const { answers } = await whileLocked(inventory, LOCK_POOL, [pool], async () => {
    const begun = release(first);
    await waitingForLocks(inventory);
    const lane = release(own);
    await waitingForLocks(inventory, 2);
    return {
      answers: [
        begun,
        lane,
        release(own),
        release(strangers, randomUUID()),
        release(expired),
        release(paying),
        release(given),
        release({ holdId: randomUUID(), claimantId: randomUUID() }),
      ],
    };
  });

  expect(await Promise.all(answers)).toEqual(['MOVED', 'MOVED', 'RELEASED', 'NOT_FOUND', 'EXPIRED', 'PAYING', 'RELEASED', 'NOT_FOUND']);
  expect(await transactions(inventory)).toBe(3);
  expect(await inventory.stateOf(strangers!.holdId)).toBe('HELD');
  await inventory.kernel.inventory.sweep();
  expect(await inventory.counters(pool)).toMatchObject({ held: 2, sold: 0 });
  await inventory.expectSound();
});

test('100 on two nodes, of two pools each, while others claim and what has run out is swept: all places come back, and nobody waits in a circle', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  const pools = [await inventory.pool({ capacity: 200 }), await inventory.pool({ capacity: 200 })];
  const held = await holdsIn(inventory, 100, ...pools);
  const stale = await holdsIn(inventory, 50, ...pools.toReversed());
  await inventory.runOut(...stale.map(({ holdId }) => holdId));

  const [outcomes] = await Promise.all([
    Promise.all(held.flatMap(({ holdId, claimantId }) => inventory.kernels.map(({ inventory }) => inventory.release(holdId, claimantId)))),
    Promise.all(inventory.kernels.map(({ inventory }) => inventory.sweep())),
    ...pools.map((pool, turn) => inventory.kernelOf(turn).place(claimOf({ items: [itemOf(pool)] }))),
  ]);

  expect(outcomesOf(outcomes.map((outcome) => ({ outcome })))).toEqual({ MOVED: 100, RELEASED: 100 });
  await Promise.all(inventory.kernels.map(({ inventory }) => inventory.sweep()));
  for (const pool of pools) expect(await inventory.counters(pool)).toMatchObject({ held: 1, sold: 0 });
  expect(await deadlocks(inventory)).toBe(0);
  expect(await transactions(inventory)).toBeLessThan(100);
  await inventory.expectSound();
});

test('negative control: a hold that is not fenced by its state is given back twice', async () => {
  await using inventory = await TestInventory.open();
  const pool = await inventory.pool({ capacity: 3 });
  const [one] = await holdsIn(inventory, 3, pool);
  await inventory.rewrite('move_hold', 'if not v_hold.state = any (p_from) then', 'if false then');

  const answers = [1, 2].map(() => inventory.kernel.inventory.release(one!.holdId, one!.claimantId));

  expect(await Promise.all(answers)).toEqual(['MOVED', 'MOVED']);
  expect(Object.keys(await inventory.broken())).not.toEqual([]);
});
