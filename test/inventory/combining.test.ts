import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { CLAIM_HOLDS, claimParameters, readDecision } from '../../src/inventory/decide-claims.ts';
import { claimOf, holdOf, itemOf, outcomesOf, TestInventory, whileLocked } from '../support/inventory.ts';
import { Kernel } from '../support/kernel.ts';
import { waitingForLocks } from '../support/lock-waits.ts';
import { tcpProxy } from '../support/tcp-proxy.ts';
import { eventually } from '../support/wait.ts';

const LOCK_POOL = 'select from pool where id = $1 for update';

const transactions = (kernel: Kernel) => kernel.count('lastseat_transactions_total', { name: 'claim-holds' });
const retries = (kernel: Kernel, cause: string) => kernel.count('lastseat_transaction_retries_total', { name: 'claim-holds', cause });

describe('combining', () => {
  test('a lone claim goes at once, in a transaction of its own', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool();

    for (let turn = 1; turn <= 3; turn++) {
      holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(pool)] })));
      expect(await transactions(inventory.kernel)).toBe(turn);
    }
  });

  test('500 claims at once for one pool are decided by 2 transactions', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ capacity: 400 });

    const answers = await Promise.all(Array.from({ length: 500 }, () => inventory.kernel.place(claimOf({ items: [itemOf(pool)] }))));

    expect(outcomesOf(answers)).toEqual({ GRANTED: 400, SOLD_OUT: 100 });
    // The first claim alone, all the others that came meanwhile together.
    expect(await transactions(inventory.kernel)).toBe(2);
    expect(await inventory.counters(pool)).toMatchObject({ held: 400 });
    await inventory.expectSound();
  });

  test('who came first gets it: of 20 claims in a row for 5 places the first 5', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ capacity: 5 });

    const answers = await Promise.all(Array.from({ length: 20 }, () => inventory.kernel.place(claimOf({ items: [itemOf(pool)] }))));

    expect(answers.map(({ outcome }) => outcome)).toEqual([...Array(5).fill('GRANTED'), ...Array(15).fill('SOLD_OUT')]);
  });

  test('a smaller claim behind a larger one that does not fit is granted', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ capacity: 3 });
    const sizes = [2, 2, 1, 1];

    const answers = await Promise.all(sizes.map((quantity) => inventory.kernel.place(claimOf({ items: [itemOf(pool, { quantity })] }))));

    expect(answers.map((answer) => ('holdId' in answer ? answer.outcome : `${answer.outcome} of ${answer.limit}`))).toEqual([
      'GRANTED',
      'SOLD_OUT of 1',
      'GRANTED',
      'SOLD_OUT of 0',
    ]);
    await inventory.expectSound();
  });

  test.each([
    ['a key with U+0000', claimOf({ idempotencyKey: 'a\0b', items: [] }), {}],
    ['a quantity of 0', claimOf({ items: [] }), { quantity: 0 }],
    ['a quantity below 0', claimOf({ items: [] }), { quantity: -5 }],
    ['a quantity no integer can be', claimOf({ items: [] }), { quantity: 2 ** 31 }],
    ['a pool that is no UUID', claimOf({ claimantId: 'nobody', items: [] }), {}],
    ['a claim that cannot even be read', claimOf({ requestHash: undefined as never, items: [] }), {}],
  ])('%s fails alone, the others of its batch are decided in their order', async (_what, poison, item) => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ capacity: 3 });
    const good = () => claimOf({ items: [itemOf(pool)] });

    const answers = await Promise.allSettled(
      [good(), good(), { ...poison, items: [itemOf(pool, item)] }, good(), good()].map((claim) => inventory.kernel.place(claim)),
    );

    expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value.outcome : 'failed'))).toEqual([
      'GRANTED',
      'GRANTED',
      'failed',
      'GRANTED',
      'SOLD_OUT',
    ]);
    expect(await inventory.counters(pool)).toMatchObject({ held: 3 });
    await inventory.expectSound();
    // The queue goes on.
    expect((await inventory.kernel.place(good())).outcome).toBe('SOLD_OUT');
  });

  test('a full queue tells to come back, and takes claims again when it has room', async () => {
    await using inventory = await TestInventory.open({ queueMax: 2 });
    const pool = await inventory.pool();
    const place = () => inventory.kernel.place(claimOf({ items: [itemOf(pool)] }));

    const { first, queued, refused } = await whileLocked(inventory, LOCK_POOL, [pool], async () => {
      const first = place();
      await waitingForLocks(inventory);
      const queued = [place(), place()];
      return { first, queued, refused: await place() };
    });

    expect(refused).toEqual({ outcome: 'BUSY', itemIndex: 0, limit: null });
    expect(outcomesOf(await Promise.all([first, ...queued]))).toEqual({ GRANTED: 3 });
    expect((await place()).outcome).toBe('GRANTED');
    expect(await inventory.counters(pool)).toMatchObject({ held: 4 });
  });

  test('a pool with a long queue does not keep another waiting for more than a batch', async () => {
    await using inventory = await TestInventory.open({ lanesMax: 1, batchMax: 2 });
    const hot = await inventory.pool();
    const calm = await inventory.pool();
    const order: string[] = [];
    const place = (pool: string, name: string) => inventory.kernel.place(claimOf({ items: [itemOf(pool)] })).then(() => order.push(name));

    const crowd = Array.from({ length: 7 }, () => place(hot, 'hot'));
    const lone = place(calm, 'calm');
    await Promise.all([...crowd, lone]);

    // The hot pool's first claim was on its way; one batch of two goes before, two after.
    expect(order).toEqual(['hot', 'hot', 'hot', 'calm', 'hot', 'hot', 'hot', 'hot']);
  });

  test('pools are decided beside each other: one that is stuck holds up nobody else', async () => {
    await using inventory = await TestInventory.open();
    const stuck = await inventory.pool();
    const free = await inventory.pool();

    const waiting = await whileLocked(inventory, LOCK_POOL, [stuck], async () => {
      const waiting = inventory.kernel.place(claimOf({ items: [itemOf(stuck)] }));
      await waitingForLocks(inventory);
      holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(free)] })));
      return { waiting };
    });

    holdOf(await waiting.waiting);
  });

  test('two claims of one claimant in the queue go into two batches: the second sees what the first was given', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ perClaimantMax: 1 });
    const claimantId = randomUUID();

    const answers = await Promise.all([
      inventory.kernel.place(claimOf({ items: [itemOf(pool)] })),
      inventory.kernel.place(claimOf({ claimantId, items: [itemOf(pool)] })),
      inventory.kernel.place(claimOf({ claimantId, items: [itemOf(pool)] })),
      inventory.kernel.place(claimOf({ items: [itemOf(pool)] })),
    ]);

    expect(answers.map(({ outcome }) => outcome)).toEqual(['GRANTED', 'GRANTED', 'CLAIMANT_LIMIT', 'GRANTED']);
    expect(await transactions(inventory.kernel)).toBe(3);
    await inventory.expectSound();
  });

  test('two claims of one claimant in one batch would both be granted', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ perClaimantMax: 1 });
    const claimantId = randomUUID();
    const batch = [claimOf({ claimantId, items: [itemOf(pool)] }), claimOf({ claimantId, items: [itemOf(pool)] })];

    const { rows } = await inventory.kernel.database.pool.query(CLAIM_HOLDS, claimParameters(batch, true));

    expect(outcomesOf(readDecision(rows[0].decision).answers)).toEqual({ GRANTED: 2 });
    expect(Object.keys(await inventory.broken())).toEqual(['claimant-limit-kept']);
  });
});

describe('a batch whose connection is lost', () => {
  test('while it waits is sent again, and everyone gets an answer', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ capacity: 4 });

    const answers = await whileLocked(inventory, LOCK_POOL, [pool], async () => {
      const answers = Array.from({ length: 6 }, () => inventory.kernel.place(claimOf({ items: [itemOf(pool)] })));
      const [pid] = await waitingForLocks(inventory);
      await inventory.query('select pg_terminate_backend($1, 5000)', [pid]);
      await waitingForLocks(inventory);
      return { answers };
    });

    expect((await Promise.all(answers.answers)).map(({ outcome }) => outcome)).toEqual([
      ...Array(4).fill('GRANTED'),
      'SOLD_OUT',
      'SOLD_OUT',
    ]);
    expect(await retries(inventory.kernel, 'connection')).toBe(1);
    expect(await inventory.countOf('hold')).toBe(4);
    expect(await inventory.counters(pool)).toMatchObject({ held: 4 });
    await inventory.expectSound();
  });

  test('after it committed is sent again and finds its holds: nobody holds twice', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool({ capacity: 3 });
    await using proxy = await tcpProxy(inventory.url);
    const remote = await Kernel.open(proxy.url);
    try {
      await remote.meet([pool]);

      proxy.swallowAnswers();
      const first = remote.place(claimOf({ items: [itemOf(pool)] }));
      const others = Array.from({ length: 3 }, () => remote.place(claimOf({ items: [itemOf(pool)] })));
      await eventually(async () => (await inventory.countOf('hold')) === 1);
      proxy.cut();

      const [hold] = await inventory.query<{ id: string }>('select id from hold order by id limit 1');
      expect(await first).toEqual({ outcome: 'REPLAYED', holdId: hold?.id });
      expect(outcomesOf(await Promise.all(others))).toEqual({ GRANTED: 2, SOLD_OUT: 1 });
      expect(await inventory.countOf('hold')).toBe(3);
      expect(await inventory.counters(pool)).toMatchObject({ held: 3 });
      await inventory.expectSound();
    } finally {
      await remote.close();
    }
  });
});

describe('a batch that cannot have its pool', () => {
  // 2 s in production, four times over: the same in 4 × 50 ms.
  const impatient = (inventory: TestInventory) => inventory.rewrite('claim_holds', /lock_timeout TO '.*?'/, "lock_timeout TO '50ms'");

  test('is tried again: 4 times in all, then everyone is told to come back, with nothing done', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool();
    await impatient(inventory);

    const { answers } = await whileLocked(inventory, LOCK_POOL, [pool], async () => ({
      answers: await Promise.all(Array.from({ length: 3 }, () => inventory.kernel.place(claimOf({ items: [itemOf(pool)] })))),
    }));

    expect(outcomesOf(answers)).toEqual({ BUSY: 3 });
    // Two batches: the first claim, then the two that had come meanwhile.
    expect(await retries(inventory.kernel, 'lock_timeout')).toBe(6);
    expect(await inventory.countOf('hold')).toBe(0);
    holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(pool)] })));
    await inventory.expectSound();
  });

  test('unless it may have been done: its connection was lost before', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool();
    await impatient(inventory);

    const { answers } = await whileLocked(inventory, LOCK_POOL, [pool], async () => {
      await inventory.rewrite('claim_holds', "lock_timeout TO '50ms'", "lock_timeout TO '30s'");
      const answers = Promise.allSettled([inventory.kernel.place(claimOf({ items: [itemOf(pool)] }))]);
      const [pid] = await waitingForLocks(inventory);
      await impatient(inventory);
      await inventory.query('select pg_terminate_backend($1, 5000)', [pid]);
      return { answers: await answers };
    });

    expect(answers).toMatchObject([{ status: 'rejected', reason: { code: '55P03' } }]);
    expect(await retries(inventory.kernel, 'connection')).toBe(1);
  });

  test('and one that takes longer than a statement may', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool();
    await inventory.rewrite('claim_holds', 'perform 1 from pool', "raise exception using errcode = 'query_canceled'; perform 1 from pool");

    const answers = await Promise.all([1, 2, 3].map(() => inventory.kernel.place(claimOf({ items: [itemOf(pool)] }))));

    expect(outcomesOf(answers)).toEqual({ BUSY: 3 });
    expect(await inventory.countOf('hold')).toBe(0);
  });

  test('is granted when the pool comes free between two tries', async () => {
    await using inventory = await TestInventory.open();
    const pool = await inventory.pool();
    // The first try waits a moment, all others until the pool is free.
    await inventory.query('create sequence tries');
    await inventory.rewrite(
      'claim_holds',
      'perform 1 from pool',
      "perform set_config('lock_timeout', case when nextval('tries') = 1 then '50ms' else '30s' end, true); perform 1 from pool",
    );

    const { answer } = await whileLocked(inventory, LOCK_POOL, [pool], async () => {
      const answer = inventory.kernel.place(claimOf({ items: [itemOf(pool)] }));
      await eventually(async () => (await retries(inventory.kernel, 'lock_timeout')) > 0);
      return { answer };
    });

    holdOf(await answer);
    await inventory.expectSound();
  });
});
