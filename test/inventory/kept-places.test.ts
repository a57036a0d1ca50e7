import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { availabilityAfter } from '../../src/inventory/availability.ts';
import { keepPlaces, letGoPlaces, takeKeptPlaces } from '../../src/inventory/units.ts';
import { claimOf, holdOf, itemOf, outcomesOf, TestInventory } from '../support/inventory.ts';
import type { Kernel } from '../support/kernel.ts';
import { failOnLeaks } from '../support/leaks.ts';

failOnLeaks();

const claimIn = (pool: string, quantity = 1, claimantId: string = randomUUID()) =>
  claimOf({ claimantId, items: [itemOf(pool, { quantity })] });
const soldOut = { outcome: 'SOLD_OUT', itemIndex: 0, limit: 0 };

/** A followed pool all of whose places are taken, each by a hold of its own. */
async function taken(inventory: TestInventory, count: number) {
  const pool = await inventory.pool({ capacity: count, isWatched: true });
  const answers = await Promise.all(Array.from({ length: count }, () => inventory.kernel.place(claimIn(pool))));
  return { pool, holds: answers.map(holdOf) };
}
const freeOf = async (inventory: TestInventory, pool: string) =>
  (await inventory.kernel.inventory.availabilityOf([pool])).map(({ free, held, capacity }) => ({ free, held, capacity }));

/** Claims for a follower what is kept, as an offer does. */
const offer = ({ database, inventory }: Kernel, pool: string, claimantId: string, quantity = 1) =>
  database.transact(
    async (em) => {
      const kept = await takeKeptPlaces(em, pool, claimantId, quantity);
      const { answer } = await inventory.placeIn(em, claimIn(pool, quantity, claimantId));
      if (answer.outcome !== 'GRANTED') await keepPlaces(em, pool, kept);
      return { kept, outcome: answer.outcome };
    },
    { name: 'offer' },
  );

test('what a followed pool gets back is for its followers: given back, run out, or added', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  const { pool, holds } = await taken(inventory, 3);

  expect(await inventory.kernel.move('release', holds[0]!)).toBe('MOVED');
  await inventory.runOut(holds[1]!);

  expect(await freeOf(inventory, pool)).toEqual([{ free: 0, held: 1, capacity: 3 }]);
  expect(await inventory.kernelOf(1).place(claimIn(pool))).toEqual(soldOut);
  const adjusted = await inventory.kernel.inventory.adjustCapacity(pool, 'thing', 5);
  expect(adjusted).toMatchObject({ outcome: 'ADJUSTED', pool: { kept: 4 } });
  expect(adjusted.outcome === 'ADJUSTED' && availabilityAfter(adjusted.pool).free).toBe(0);
  expect(await inventory.kernelOf(1).place(claimIn(pool))).toEqual(soldOut);

  expect(await offer(inventory.kernel, pool, randomUUID(), 3)).toEqual({ kept: 3, outcome: 'GRANTED' });
  expect(await inventory.kernelOf(1).place(claimIn(pool))).toEqual(soldOut);
  expect(await offer(inventory.kernel, pool, randomUUID(), 2)).toEqual({ kept: 1, outcome: 'SOLD_OUT' });
  expect(await offer(inventory.kernel, pool, randomUUID())).toEqual({ kept: 1, outcome: 'GRANTED' });
  expect(await freeOf(inventory, pool)).toEqual([{ free: 0, held: 5, capacity: 5 }]);
  await inventory.expectSound();
});

test('and for anybody 10 seconds later, or when it is let go, which watchers are told', async () => {
  await using inventory = await TestInventory.open();
  const { pool, holds } = await taken(inventory, 3);
  for (const hold of holds) await inventory.kernel.move('release', hold);

  await inventory.letPass(11);
  expect(await freeOf(inventory, pool)).toEqual([{ free: 3, held: 0, capacity: 3 }]);
  const hold = holdOf(await inventory.kernel.place(claimIn(pool, 3)));
  // What was kept before is not kept again with it.
  await inventory.kernel.move('release', hold);
  expect(await inventory.query('select kept from pool where id = $1', [pool])).toEqual([{ kept: 3 }]);

  const letGo = await inventory.kernel.database.transact((em) => letGoPlaces(em, pool), { name: 'let-go' });
  expect(letGo.map(availabilityAfter)).toMatchObject([{ id: pool, free: 3 }]);
  expect(await inventory.kernel.database.transact((em) => letGoPlaces(em, pool), { name: 'let-go' })).toEqual([]);
  expect(await inventory.kernel.place(claimIn(pool))).toMatchObject({ outcome: 'GRANTED' });
  await inventory.expectSound();
});

test('a pool that nobody follows keeps nothing, and less capacity keeps no more than there is', async () => {
  await using inventory = await TestInventory.open();
  const open = await inventory.pool({ capacity: 1 });
  await inventory.kernel.move('release', holdOf(await inventory.kernel.place(claimIn(open))));
  expect(await inventory.kernel.place(claimIn(open))).toMatchObject({ outcome: 'GRANTED' });

  const { pool, holds } = await taken(inventory, 4);
  for (const hold of holds.slice(0, 3)) await inventory.kernel.move('release', hold);
  expect(await inventory.kernel.inventory.adjustCapacity(pool, 'thing', 2)).toMatchObject({ pool: { kept: 1, held: 1 } });
  expect(await inventory.kernel.place(claimIn(pool))).toEqual(soldOut);
  expect(await offer(inventory.kernel, pool, randomUUID())).toEqual({ kept: 1, outcome: 'GRANTED' });
});

/** 40 places are given back and offered one after the other, while strangers of both nodes ask without a pause. Answers how they were served. */
async function rush(inventory: TestInventory): Promise<Record<'followers' | 'strangers', Record<string, number>>> {
  const { pool, holds } = await taken(inventory, 40);
  const over = new AbortController();
  const strangers = Promise.all(
    inventory.kernels.map(async (kernel) => {
      const answers = [];
      while (!over.signal.aborted) answers.push(await kernel.place(claimIn(pool)));
      return answers;
    }),
  );
  const followers = [];
  for (const [turn, hold] of holds.entries()) {
    await inventory.kernelOf(turn).move('release', hold);
    followers.push(await offer(inventory.kernelOf(turn + 1), pool, randomUUID()));
  }
  over.abort();
  const answers = (await strangers).flat();
  await inventory.expectSound();
  return { followers: outcomesOf(followers), strangers: outcomesOf(answers.filter(({ outcome }) => outcome === 'GRANTED')) };
}

test('strangers who ask all the time never come between, on no node', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });

  expect(await rush(inventory)).toEqual({ followers: { GRANTED: 40 }, strangers: {} });
});

test('negative control: where claims do not look at what is kept, strangers take it', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  await inventory.rewrite('claim_holds', 'case when v_pool.kept_until > v_now then v_pool.kept else 0 end', '0');
  const { pool, holds } = await taken(inventory, 1);
  await inventory.kernel.move('release', holds[0]!);

  expect(await inventory.kernelOf(1).place(claimIn(pool))).toMatchObject({ outcome: 'GRANTED' });
  expect(await offer(inventory.kernel, pool, randomUUID())).toEqual({ kept: 1, outcome: 'SOLD_OUT' });
});
