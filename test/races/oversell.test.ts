import { describe, expect, test } from '@jest/globals';
import { POLICIES, type Policy } from '../../src/inventory/pool.entity.ts';
import { claimOf, expectViolationSeen, itemOf, outcomesOf, TestInventory } from '../support/inventory.ts';

const CLAIMS = 200;
const CAPACITY = 137;

async function rush(inventory: TestInventory, policy: Policy): Promise<void> {
  const pool = await inventory.pool({ policy, capacity: CAPACITY });
  for (const kernel of inventory.kernels) await kernel.meet([pool]);
  // As long as it takes: 200 transactions share the ten connections of a node, and here nobody gives up waiting for one.
  for (const { database } of inventory.kernels) database.pool.options.connectionTimeoutMillis = 120_000;

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
    // Under the lock nobody is overtaken and nobody waits in a circle; only the machine can keep somebody waiting for too long.
    if (policy === 'PESSIMISTIC')
      for (const cause of ['version', 'deadlock', 'serialization']) expect([cause, await retriesOf(inventory, cause)]).toEqual([cause, 0]);
  }, 180_000);

  test('they take more where they are not guarded', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.query('alter table pool drop constraint pool_never_oversold');
    await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then');
    if (policy === 'PESSIMISTIC') await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');
    else
      await inventory.query(`
        create function keep_version() returns trigger language plpgsql as $$ begin new.version := old.version; return new; end $$;
        create trigger keep_version before update on pool for each row execute function keep_version()`);

    await expectViolationSeen(untilSeen(() => rush(inventory, policy)));
    await expectViolationSeen(inventory.expectSound());
  }, 180_000);
});

/** Rivals that a stall keeps from meeting decide one after the other: then they run again. */
async function untilSeen(run: () => Promise<void>): Promise<void> {
  for (let round = 0; round < 10; round++) await run();
}

async function retriesOf(inventory: TestInventory, cause: string): Promise<number> {
  let total = 0;
  for (const kernel of inventory.kernels) total += await kernel.count('lastseat_transaction_retries_total', { cause });
  return total;
}
