import { describe, expect, test } from '@jest/globals';
import { POLICIES, type Policy } from '../../src/inventory/pool.entity.ts';
import { claimOf, expectViolationSeen, itemOf, outcomesOf, TestInventory } from '../support/inventory.ts';

const CLAIMS = 200;
const CAPACITY = 137;

async function rush(inventory: TestInventory, policy: Policy): Promise<void> {
  const pool = await inventory.pool({ policy, capacity: CAPACITY });
  for (const kernel of inventory.kernels) await kernel.meet([pool]);

  const answers = await Promise.all(
    Array.from({ length: CLAIMS }, (_, turn) => inventory.kernelOf(turn).place(claimOf({ items: [itemOf(pool)] }))),
  );

  expect(outcomesOf(answers)).toEqual({ GRANTED: CAPACITY, SOLD_OUT: CLAIMS - CAPACITY });
  expect(await inventory.counters(pool)).toMatchObject({ held: CAPACITY, sold: 0 });
}

describe.each(POLICIES)('%s', (policy) => {
  test(`${CLAIMS} claims at once on two nodes take exactly ${CAPACITY} places, time after time`, async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    // Optimistic claims of one pool mostly lose: 200 of them begin some 700 transactions.
    for (let round = 0; round < (policy === 'PESSIMISTIC' ? 5 : 2); round++) await rush(inventory, policy);

    await inventory.expectSound();
    if (policy === 'PESSIMISTIC') {
      // The lock makes retries rare: fewer than 5 in 100 transactions.
      const [retried, begun] = await Promise.all([
        sum(inventory, 'lastseat_transaction_retries_total'),
        sum(inventory, 'lastseat_transactions_total'),
      ]);
      expect(retried / begun).toBeLessThan(0.05);
    }
  });

  test('they take more where they are not guarded', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.query('alter table pool drop constraint pool_never_oversold');
    await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then');
    if (policy === 'PESSIMISTIC') await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');
    else
      await inventory.query(`
        create function keep_version() returns trigger language plpgsql as $$ begin new.version := old.version; return new; end $$;
        create trigger keep_version before update on pool for each row execute function keep_version()`);

    await expectViolationSeen(rush(inventory, policy));
    await expectViolationSeen(inventory.expectSound());
  });
});

async function sum(inventory: TestInventory, metric: string): Promise<number> {
  let total = 0;
  for (const kernel of inventory.kernels) total += await kernel.count(metric);
  return total;
}
