import { test } from '@jest/globals';
import { claimOf, itemOf, TestInventory } from '../support/inventory.ts';
test.each([[200, 137, 5, 2], [2000, 1000, 3, 2], [5000, 3000, 1, 1]])('measure %s', async (n, capacity, rounds, kernels) => {
  await using inventory = await TestInventory.open({ kernels });
  const t: number[] = [];
  for (let r = 0; r < rounds; r++) {
    const pool = await inventory.pool({ policy: 'PESSIMISTIC', capacity });
    const s = performance.now();
    await Promise.all(Array.from({ length: n }, (_, turn) => inventory.kernelOf(turn).place(claimOf({ items: [itemOf(pool)] }))));
    t.push(Math.round(performance.now() - s));
  }
  const out: Record<string, number> = { retries: 0, tx: 0, batches: 0 };
  for (const k of inventory.kernels) { out.retries! += await k.count('lastseat_transaction_retries_total'); out.tx! += await k.count('lastseat_transactions_total'); }
  console.log(n, t, out);
});
