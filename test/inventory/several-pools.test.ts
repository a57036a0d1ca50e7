import { describe, expect, test } from '@jest/globals';
import { POLICIES } from '../../src/inventory/pool.entity.ts';
import { claimOf, deadlocks, expectViolationSeenOnce, holdOf, itemOf, outcomesOf, TestInventory } from '../support/inventory.ts';

describe.each(POLICIES)('a claim for several pools, %s', (policy) => {
  test('takes one of each in one hold, with the price of all', async () => {
    await using inventory = await TestInventory.open();
    const lesson = await inventory.pool({ policy, kind: 'lesson', priceMinor: 70_000, holdSeconds: 300 });
    const locker = await inventory.pool({ policy, kind: 'locker', priceMinor: 5_000, holdSeconds: 60 });
    await inventory.kernel.meet([lesson, locker]);

    const answer = await inventory.kernel.place(
      claimOf({ items: [itemOf(lesson, { kind: 'lesson' }), itemOf(locker, { kind: 'locker', quantity: 2 })] }),
    );

    expect(answer).toMatchObject({ outcome: 'GRANTED', amountMinor: 80_000, currency: 'KRW' });
    const rows = await inventory.query(
      `select i.position, i.pool_id, i.quantity, extract(epoch from h.expires_at - h.created_at)::int as seconds
       from hold h join hold_item i on i.hold_id = h.id order by i.position`,
    );
    expect(rows).toEqual([
      { position: 0, pool_id: lesson, quantity: 1, seconds: 60 },
      { position: 1, pool_id: locker, quantity: 2, seconds: 60 },
    ]);
    expect(await inventory.counters(lesson)).toMatchObject({ held: 1 });
    expect(await inventory.counters(locker)).toMatchObject({ held: 2 });
    await inventory.expectSound();
  });

  test.each([
    ['the first', [0, 10, 10], 0],
    ['the second', [10, 0, 10], 1],
    ['the last', [10, 10, 0], 2],
  ] as const)('takes nothing where %s of three is sold out', async (_which, capacities, itemIndex) => {
    await using inventory = await TestInventory.open();
    const pools = [];
    for (const capacity of capacities) pools.push(await inventory.pool({ policy, capacity }));
    await inventory.kernel.meet(pools);

    const answer = await inventory.kernel.place(claimOf({ items: pools.map((pool) => itemOf(pool)) }));

    expect(answer).toEqual({ outcome: 'SOLD_OUT', itemIndex, limit: 0 });
    for (const pool of pools) expect(await inventory.counters(pool)).toMatchObject({ held: 0, version: 1 });
    expect(await inventory.countOf('hold')).toBe(0);
    expect(await inventory.countOf('hold_item')).toBe(0);
  });

  test('counts all its items of one pool together', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ policy, capacity: 3 });
    await inventory.kernel.meet([pool]);

    const tooMany = await inventory.kernel.place(claimOf({ items: [itemOf(pool, { quantity: 2 }), itemOf(pool, { quantity: 2 })] }));
    const enough = await inventory.kernel.place(claimOf({ items: [itemOf(pool, { quantity: 2 }), itemOf(pool, { quantity: 1 })] }));

    expect(tooMany).toEqual({ outcome: 'SOLD_OUT', itemIndex: 0, limit: 3 });
    expect(enough.outcome).toBe('GRANTED');
    expect(await inventory.counters(pool)).toMatchObject({ held: 3 });
    await inventory.expectSound();
  });

  test('names the reason that comes first in precedence, wherever in the claim it is', async () => {
    await using inventory = await TestInventory.open();
    const soldOut = await inventory.pool({ policy, capacity: 0 });
    const closed = await inventory.pool({ policy, closesAt: new Date(Date.now() - 60_000) });
    const early = await inventory.pool({ policy, opensAt: new Date(Date.now() + 60_000) });
    await inventory.kernel.meet([soldOut, closed, early]);
    const place = (...items: Parameters<typeof claimOf>[0]['items']) => inventory.kernel.place(claimOf({ items }));

    expect(await place(itemOf(soldOut), itemOf(closed))).toEqual({ outcome: 'SALE_CLOSED', itemIndex: 1, limit: null });
    expect(await place(itemOf(soldOut), itemOf(closed), itemOf(early))).toEqual({ outcome: 'NOT_YET_ON_SALE', itemIndex: 2, limit: null });
    expect(await place(itemOf(early), itemOf(closed, { kind: 'another' }))).toEqual({ outcome: 'NOT_FOUND', itemIndex: 1, limit: null });
    expect(await inventory.countOf('hold')).toBe(0);
  });

  test('never takes more of either pool than there is, from two nodes at once', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    const lesson = await inventory.pool({ policy, capacity: 30 });
    const locker = await inventory.pool({ policy, capacity: 20 });
    for (const kernel of inventory.kernels) await kernel.meet([lesson, locker]);

    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, turn) => inventory.kernelOf(turn).place(claimOf({ items: [itemOf(lesson), itemOf(locker)] }))),
    );

    expect(outcomesOf(answers)).toEqual({ GRANTED: 20, SOLD_OUT: 40 });
    expect(await inventory.counters(lesson)).toMatchObject({ held: 20 });
    expect(await inventory.counters(locker)).toMatchObject({ held: 20 });
    await inventory.expectSound();
  });

  test('locks in one order: claims, releases, confirmations and sweeps of the same pools meet without a deadlock', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    const pools = [];
    for (let index = 0; index < 3; index++) pools.push(await inventory.pool({ policy, capacity: 40 }));
    for (const kernel of inventory.kernels) await kernel.meet(pools);
    const [a = '', b = '', c = ''] = pools;
    const orders = [
      [a, b, c],
      [c, b, a],
      [b, c],
      [c, a],
    ];

    const lives = Array.from({ length: 160 }, async (_, turn) => {
      const kernel = inventory.kernelOf(turn);
      const answer = await kernel.place(claimOf({ items: (orders[turn % 4] ?? []).map((pool) => itemOf(pool)) }));
      if (answer.outcome === 'GRANTED') {
        if (turn % 3 === 0) await kernel.move('release', answer.holdId);
        else if (turn % 3 === 1) await inventory.runOut(answer.holdId);
        else {
          await kernel.move('startPaying', answer.holdId);
          await kernel.move('confirm', answer.holdId);
        }
      }
      if (turn % 8 === 0) await kernel.inventory.sweep();
      return answer;
    });
    const answers = await Promise.all(lives);

    expect(Object.keys(outcomesOf(answers)).filter((outcome) => outcome !== 'GRANTED' && outcome !== 'SOLD_OUT')).toEqual([]);
    expect(await deadlocks(inventory)).toBe(0);
    await inventory.expectSound();
  });
});

test('pools locked in the order they are named would deadlock', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  const a = await inventory.pool();
  const b = await inventory.pool();
  await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by array_position(p_item_pools, id) for no key update');
  await inventory.letRivalsMeet('claim_holds', 'perform 1 from pool');
  await inventory.rewrite('claim_holds', 'perform 1 from pool', 'perform meet_rival() from pool');

  await expectViolationSeenOnce(async () => {
    const answers = await Promise.all([
      inventory.kernelOf(0).place(claimOf({ items: [itemOf(a), itemOf(b)] })),
      inventory.kernelOf(1).place(claimOf({ items: [itemOf(b), itemOf(a)] })),
    ]);
    answers.map(holdOf);
    expect(await deadlocks(inventory)).toBe(0);
  });
});

test('two optimistic pools whose versions are not checked would lose places', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  const a = await inventory.pool({ policy: 'OPTIMISTIC', capacity: 100 });
  const b = await inventory.pool({ policy: 'OPTIMISTIC', capacity: 100 });
  for (const kernel of inventory.kernels) await kernel.meet([a, b]);
  await inventory.query(`
    create function keep_version() returns trigger language plpgsql as $$ begin new.version := old.version; return new; end $$;
    create trigger keep_version before update on pool for each row execute function keep_version()`);

  // Two by two have read the same before either writes.
  await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then', 'v_granted');

  await expectViolationSeenOnce(async () => {
    const claims = Array.from({ length: 8 }, (_, turn) => inventory.kernelOf(turn).place(claimOf({ items: [itemOf(a), itemOf(b)] })));
    await Promise.all(claims);
    await inventory.expectSound();
  });
});
