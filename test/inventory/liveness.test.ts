import { describe, expect, test } from '@jest/globals';
import { POLICIES } from '../../src/inventory/pool.entity.ts';
import { isConnectionLost } from '../../src/platform/database/sqlstates.ts';
import { claimOf, itemOf, outcomesOf, TestInventory } from '../support/inventory.ts';
import { KERNEL } from '../support/kernel.ts';
import { eventually } from '../support/wait.ts';

const POOL_MAX = 4;

describe.each(POLICIES)('%s: backends that are terminated under claims', (policy) => {
  test(`${3 * POOL_MAX} of them cost no slot of the pool, and nothing that was acknowledged`, async () => {
    await using inventory = await TestInventory.open({ poolMax: POOL_MAX, lanesMax: POOL_MAX });
    const { kernel } = inventory;
    const pools: string[] = [];
    for (let index = 0; index < POOL_MAX; index++) pools.push(await inventory.pool({ policy, capacity: 100_000 }));
    await kernel.meet(pools);

    // Members keep claiming while backends that are at work are terminated.
    const acknowledged: string[] = [];
    const errors: unknown[] = [];
    let isOver = false;
    const members = Array.from({ length: 12 }, async (_, member) => {
      while (!isOver) {
        try {
          const answer = await kernel.place(claimOf({ items: [itemOf(pools[member % POOL_MAX] ?? '')] }));
          if ('holdId' in answer) acknowledged.push(answer.holdId);
        } catch (error) {
          errors.push(error);
        }
      }
    });
    for (let terminated = 0; terminated < 3 * POOL_MAX || acknowledged.length === 0; ) {
      const [gone] = await inventory.query<{ gone: boolean }>(
        `select pg_terminate_backend(pid, 5000) as gone from pg_stat_activity
         where datname = current_database() and application_name = $1 and state <> 'idle' limit 1`,
        [KERNEL],
      );
      if (gone?.gone) terminated++;
    }
    isOver = true;
    await Promise.all(members);

    // Afterwards everything goes on as if nothing had been.
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, turn) => kernel.place(claimOf({ items: [itemOf(pools[turn % POOL_MAX] ?? '')] }))),
    );
    expect(outcomesOf(answers)).toEqual({ GRANTED: 40 });
    expect(errors.filter((error) => !isConnectionLost(error))).toEqual([]);
    const { pool } = kernel.database;
    expect(pool.totalCount).toBeLessThanOrEqual(POOL_MAX);
    await eventually(() => expect({ idle: pool.idleCount, waiting: pool.waitingCount }).toEqual({ idle: pool.totalCount, waiting: 0 }));
    await eventually(async () =>
      expect(
        await inventory.query(
          "select state, query from pg_stat_activity where datname = current_database() and application_name = $1 and state <> 'idle'",
          [KERNEL],
        ),
      ).toEqual([]),
    );
    const lost = await inventory.query('select id from unnest($1::uuid[]) id where not exists (select 1 from hold where hold.id = id)', [
      acknowledged,
    ]);
    expect(lost).toEqual([]);
    await inventory.expectSound();
  });
});
