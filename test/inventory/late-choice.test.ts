import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { IF_PAID_LATE } from '../../src/inventory/claim.ts';
import { claimParameters } from '../../src/inventory/decide-claims.ts';
import { POLICIES } from '../../src/inventory/pool.entity.ts';
import { holdsByIds } from '../../src/inventory/read-holds.ts';
import { claimOf, holdOf, itemOf, TestInventory } from '../support/inventory.ts';

const choicesOf = async (inventory: TestInventory) =>
  (await inventory.query<{ choice: string }>('select if_paid_late as choice from hold order by idempotency_key')).map(
    ({ choice }) => choice,
  );

describe.each(POLICIES)('the choice for a late payment, %s', (policy) => {
  const open = async () => {
    const inventory = await TestInventory.open();
    const pool = await inventory.pool({ policy, capacity: 100 });
    await inventory.kernel.meet([pool]);
    return { inventory, pool };
  };

  test.each(IF_PAID_LATE)('%s is written with the hold and read with it', async (ifPaidLate) => {
    const { inventory, pool } = await open();
    await using _ = inventory;

    const hold = holdOf(await inventory.kernel.place(claimOf({ ifPaidLate, items: [itemOf(pool)] })));

    const [view] = await holdsByIds(inventory.kernel.database.pool, [hold]);
    expect(view).toMatchObject({ id: hold, state: 'HELD', ifPaidLate, version: 1 });
    // The policy under test is the one that wrote it.
    expect(await inventory.kernel.count('lastseat_transactions_total', { name: 'place-hold-by-version' })).toBe(
      policy === 'OPTIMISTIC' ? 1 : 0,
    );
  });

  test('is the same or an equal one where a claim says nothing', async () => {
    const { inventory, pool } = await open();
    await using _ = inventory;

    holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(pool)] })));

    expect(await choicesOf(inventory)).toEqual(['SAME_OR_EQUAL']);
  });

  test('of each claim of a batch is its own', async () => {
    const { inventory, pool } = await open();
    await using _ = inventory;
    const choices = Array.from({ length: 30 }, (_, turn) => (turn % 4 === 3 ? undefined : IF_PAID_LATE[turn % 4]));

    await Promise.all(
      choices.map((ifPaidLate, turn) =>
        inventory.kernel.place(
          claimOf({ idempotencyKey: String(turn).padStart(2, '0'), items: [itemOf(pool)], ...(ifPaidLate && { ifPaidLate }) }),
        ),
      ),
    );

    expect(await choicesOf(inventory)).toEqual(choices.map((choice) => choice ?? 'SAME_OR_EQUAL'));
    await inventory.expectSound();
  });

  test.each([undefined, 'REFUND'] as const)('%s: the same claim again is the same hold, as it was', async (ifPaidLate) => {
    const { inventory, pool } = await open();
    await using _ = inventory;
    const claim = claimOf({ items: [itemOf(pool)], ...(ifPaidLate && { ifPaidLate }) });
    const hold = holdOf(await inventory.kernel.place(claim));

    // What was asked is told by the hash; the hold keeps what it was placed with.
    const answers = [await inventory.kernel.place(claim), await inventory.kernel.place({ ...claim, ifPaidLate: 'SAME' })];

    expect(answers).toEqual(Array(2).fill({ outcome: 'REPLAYED', holdId: hold }));
    expect(await choicesOf(inventory)).toEqual([ifPaidLate ?? 'SAME_OR_EQUAL']);
  });

  test('that nobody knows is refused, and nothing is written', async () => {
    const { inventory, pool } = await open();
    await using _ = inventory;

    const placed = inventory.kernel.place(claimOf({ ifPaidLate: 'PERHAPS' as never, items: [itemOf(pool)] }));

    await expect(placed).rejects.toThrow(/hold_if_paid_late_check|Hold\.ifPaidLate/);
    expect(await inventory.counters(pool)).toMatchObject({ held: 0 });
    expect(await inventory.countOf('hold')).toBe(0);
  });
});

test('the release before, which knows of no choice, goes on claiming with its twelve parameters', async () => {
  await using inventory = await TestInventory.open();
  const pool = await inventory.pool({ capacity: 2 });
  const claims = [
    claimOf({ items: [itemOf(pool)] }),
    claimOf({ ifPaidLate: 'REFUND', items: [itemOf(pool)] }),
    claimOf({ items: [itemOf(pool)] }),
  ];

  const [row] = await inventory.query<{ decision: { claims: [string][] } }>(
    'select claim_holds($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) as decision',
    claimParameters(claims, true).slice(0, 12),
  );

  expect(row?.decision.claims.map(([outcome]) => outcome)).toEqual(['GRANTED', 'GRANTED', 'SOLD_OUT']);
  expect(await choicesOf(inventory)).toEqual(['SAME_OR_EQUAL', 'SAME_OR_EQUAL']);
  expect(await inventory.query('select version from hold')).toEqual([{ version: 1 }, { version: 1 }]);
  await inventory.expectSound();
});

test('the release before writes by version without a choice, and its holds have the default', async () => {
  await using inventory = await TestInventory.open();

  await inventory.query(
    `insert into hold (kind, claimant_id, state, amount_minor, currency, expires_at, idempotency_key, request_hash)
     values ('thing', $1, 'HELD', 0, 'KRW', now(), 'key', '')`,
    [randomUUID()],
  );

  expect(await inventory.query('select if_paid_late, version from hold')).toEqual([{ if_paid_late: 'SAME_OR_EQUAL', version: 1 }]);
});
