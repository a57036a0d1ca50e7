import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { claimOf, holdOf, itemOf, outcomesOf, TestInventory } from '../support/inventory.ts';
import { eventually } from '../support/wait.ts';

test('two optimistic pools', async () => {
  await using inv = await TestInventory.open({ kernels: 2 });
  const a = await inv.pool({ policy: 'OPTIMISTIC', capacity: 100 });
  const b = await inv.pool({ policy: 'OPTIMISTIC', capacity: 100 });
  for (const k of inv.kernels) await k.meet([a, b]);
  const answers = await Promise.all(
    Array.from({ length: 100 }, (_, i) => inv.kernelOf(i).place(claimOf({ items: [itemOf(a), itemOf(b)] }))),
  );
  console.log(outcomesOf(answers), await inv.counters(a), await inv.counters(b));
  await inv.expectSound();
});

test('limit around deadline', async () => {
  await using inv = await TestInventory.open();
  const a = await inv.pool({ perClaimantMax: 1 });
  const claimantId = randomUUID();
  const first = holdOf(await inv.kernel.place(claimOf({ claimantId, items: [itemOf(a)] })));
  const rival = await inv.session();
  try {
    await inv.query("update hold set expires_at = clock_timestamp() + interval '100 ms' where id = $1", [first]);
    await rival.query('begin');
    const { rows } = await rival.query(`select move_hold($1, null, '{HELD}', 'PAYING') as answer`, [first]);
    expect(rows[0].answer.outcome).toBe('MOVED');
    await eventually(
      async () => (await inv.query('select expires_at < clock_timestamp() as past from hold where id = $1', [first]))[0]?.past === true,
    );
    const second = inv.kernel.place(claimOf({ claimantId, items: [itemOf(a)] }));
    await Promise.race([
      second,
      eventually(
        async () =>
          (await inv.query(`select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`)).length > 0,
      ),
    ]);
    await rival.query('commit');
    console.log(await second);
    await inv.expectSound();
  } finally {
    await rival.end();
  }
});

test('sold out while a sweeper has the expired hold', async () => {
  await using inv = await TestInventory.open();
  const a = await inv.pool({ capacity: 1 });
  const first = holdOf(await inv.kernel.place(claimOf({ items: [itemOf(a)] })));
  await inv.runOut(first);
  const rival = await inv.session();
  try {
    await rival.query('begin');
    await rival.query('select id from hold where id = $1 for update', [first]);
    const second = inv.kernel.place(claimOf({ items: [itemOf(a)] }));
    await Promise.race([
      second,
      eventually(
        async () =>
          (await inv.query(`select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`)).length > 0,
      ),
    ]);
    await rival.query('commit');
    expect((await second).outcome).toBe('GRANTED');
  } finally {
    await rival.end();
  }
});

test('unit twice', async () => {
  await using inv = await TestInventory.open();
  const a = await inv.pool({ capacity: 10 });
  const b = await inv.pool({ capacity: 10 });
  const [u] = await inv.units(a, 1);
  console.log(await inv.kernel.place(claimOf({ items: [itemOf(a, { unitId: u! }), itemOf(a, { unitId: u! })] })));
  console.log(await inv.broken());
});
test('unit of another pool', async () => {
  await using inv = await TestInventory.open();
  const a = await inv.pool({ capacity: 10 });
  const b = await inv.pool({ capacity: 10 });
  const [u] = await inv.units(a, 1);
  console.log(await inv.kernel.place(claimOf({ items: [itemOf(b, { unitId: u! })] })));
  console.log(await inv.kernel.place(claimOf({ items: [itemOf(b, { unitId: u! }), itemOf(a, { unitId: u! })] })));
  console.log(await inv.kernel.place(claimOf({ items: [itemOf(a, { unitId: u! }), itemOf(b, { unitId: u! })] })));
  console.log(await inv.broken(), await inv.query('select * from hold_item'));
});
