import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import type { ClaimAnswer } from '../../src/inventory/claim.ts';
import { POLICIES, type Policy } from '../../src/inventory/pool.entity.ts';
import { claimOf, expectViolationSeen, holdOf, itemOf, type PoolOptions, TestInventory } from '../support/inventory.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { waitingForLocks } from '../support/lock-waits.ts';

failOnLeaks();

const coolDown = { abandonedMax: 3, seconds: 600 };

/** A claimant with a pool whose third abandoned hold within ten minutes cools them down. */
async function open(policy: Policy = 'PESSIMISTIC', options: PoolOptions = {}, kernels = 1) {
  const inventory = await TestInventory.open({ kernels });
  const claimantId = randomUUID();
  const add = async (more: PoolOptions = {}) => {
    const pool = await inventory.pool({ policy, coolDown, holdSeconds: 60, ...options, ...more });
    for (const kernel of inventory.kernels) await kernel.meet([pool]);
    return pool;
  };
  const claim = (pool: string, turn = 0) => inventory.kernelOf(turn).place(claimOf({ claimantId, items: [itemOf(pool)] }));
  const release = async (pool: string) => {
    const hold = holdOf(await claim(pool));
    expect(await inventory.kernel.move('release', hold)).toBe('MOVED');
  };
  const pool = await add();
  return { inventory, pool, claimantId, add, claim, release };
}

/** Refused for about so many seconds more: at most so many, and fewer only by what the test itself took. */
function expectCooling(answer: ClaimAnswer, seconds: number): void {
  expect(answer).toEqual({ outcome: 'COOLING_DOWN', itemIndex: 0, limit: expect.any(Number) });
  const limit = (answer as { limit: number }).limit;
  expect(limit).toBeLessThanOrEqual(seconds);
  expect(limit).toBeGreaterThan(seconds - 30);
}

describe.each(POLICIES)('who keeps abandoning holds, %s', (policy) => {
  test('waits until the oldest of the last three is ten minutes old, and then may again', async () => {
    const { inventory, pool, claim, release } = await open(policy);
    await using _ = inventory;
    for (let turn = 0; turn < 3; turn++) {
      await release(pool);
      await inventory.letPass(100);
    }
    const before = await inventory.counters(pool);

    expectCooling(await claim(pool), 300);
    expect(await inventory.counters(pool)).toEqual(before);
    expect(await inventory.countOf('hold')).toBe(3);

    await inventory.letPass(250);
    expectCooling(await claim(pool), 50);
    await inventory.letPass(50);
    await release(pool);
    // The second of the four is 550 s old.
    expectCooling(await claim(pool), 100);
    await inventory.expectSound();
  });

  test('is not taken for somebody who pays, whose payment is refused, who was offered a place, or for somebody else', async () => {
    const { inventory, pool, claim, release } = await open(policy);
    await using _ = inventory;
    await release(pool);
    await release(pool);

    const paid = holdOf(await claim(pool));
    for (const verb of ['startPaying', 'confirm', 'giveBack'] as const) await inventory.kernel.move(verb, paid);
    const refused = holdOf(await claim(pool));
    for (const verb of ['startPaying', 'releaseUnpaid'] as const) await inventory.kernel.move(verb, refused);
    const offered = holdOf(await claim(pool));
    await inventory.query("update hold set expires_at = clock_timestamp() + interval '10 s' where id = $1", [offered]);
    await inventory.letPass(10);
    await inventory.kernel.inventory.sweep();
    expect(await inventory.stateOf(offered)).toBe('EXPIRED');

    await release(pool);
    expectCooling(await claim(pool), 600);
    holdOf(await inventory.kernel.place(claimOf({ items: [itemOf(pool)] })));
    await inventory.expectSound();
  });

  test.each(['swept', 'not swept'])('what ran out is abandoned from its deadline, %s', async (how) => {
    const { inventory, pool, claim } = await open(policy);
    await using _ = inventory;
    for (let turn = 0; turn < 3; turn++) holdOf(await claim(pool));
    await inventory.letPass(60 + 400);
    if (how === 'swept') await inventory.kernel.inventory.sweep();

    expectCooling(await claim(pool), 200);

    await inventory.letPass(200);
    holdOf(await claim(pool));
    await inventory.expectSound();
  });

  test('is known in every pool of the quota, and in no other', async () => {
    const quota = { key: 'performance', max: 8 };
    const { inventory, pool, add, claim, release } = await open(policy, { quota });
    await using _ = inventory;
    const [same, other, none] = [await add(), await add({ quota: { key: 'another', max: 8 } }), await add({ quota: null })];
    await release(pool);
    await release(same);
    await release(other);
    await release(none);
    await release(same);

    expectCooling(await claim(pool), 600);
    expectCooling(await claim(same), 600);
    for (const free of [other, none]) {
      await release(free);
      holdOf(await claim(free));
    }
    await inventory.expectSound();
  });

  test('cannot hide the pool behind one without a limit, and is told before any limit', async () => {
    const { inventory, pool, claimantId, add, release } = await open(policy, { perClaimantMax: 1 });
    await using _ = inventory;
    const [free, soldOut] = [await add({ coolDown: null }), await add({ coolDown: null, capacity: 0 })];
    for (let turn = 0; turn < 3; turn++) await release(pool);
    const place = (...items: ReturnType<typeof itemOf>[]) => inventory.kernel.place(claimOf({ claimantId, items }));

    expect(await place(itemOf(free), itemOf(pool))).toMatchObject({ outcome: 'COOLING_DOWN', itemIndex: 1 });
    expect(await place(itemOf(soldOut), itemOf(pool, { quantity: 2 }))).toMatchObject({ outcome: 'COOLING_DOWN', itemIndex: 1 });
    expect(await place(itemOf(pool), itemOf(randomUUID()))).toMatchObject({ outcome: 'NOT_FOUND', itemIndex: 1 });
    await inventory.query("update pool set opens_at = clock_timestamp() + interval '1 h' where id = $1", [pool]);
    expect(await place(itemOf(pool))).toMatchObject({ outcome: 'NOT_YET_ON_SALE' });
  });

  test('is answered with the same hold when a claim is sent again', async () => {
    const { inventory, pool, claimantId, release } = await open(policy);
    await using _ = inventory;
    const claim = claimOf({ claimantId, items: [itemOf(pool)] });
    const hold = holdOf(await inventory.kernel.place(claim));
    for (let turn = 0; turn < 3; turn++) await release(pool);

    expect(await inventory.kernel.place(claim)).toEqual({ outcome: 'REPLAYED', holdId: hold });
  });
});

describe('two tabs at once', () => {
  /** The third hold is being given up in one tab, and not committed, when the other claims. */
  const tabs = async ({ inventory, pool, claim, release }: Awaited<ReturnType<typeof open>>) => {
    await release(pool);
    await release(pool);
    const third = holdOf(await claim(pool));
    const { database, inventory: kernel } = inventory.kernelOf(0);

    const { claimed } = await database.transact(
      async (em) => {
        await kernel.move(em, 'release', third, null);
        const claimed = claim(pool, 1);
        await waitingForLocks(inventory);
        return { claimed };
      },
      { name: 'tab-one' },
    );

    expectCooling(await claimed, 600);
  };

  test('the claim waits for the release, and is refused', async () => {
    const opened = await open('PESSIMISTIC', {}, 2);
    await using inventory = opened.inventory;

    await tabs(opened);

    await inventory.expectSound();
  });

  test('the claim would be granted without the lock', async () => {
    const opened = await open('PESSIMISTIC', {}, 2);
    await using inventory = opened.inventory;
    await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');

    await expectViolationSeen(tabs(opened));
  });

  test('of 20 tabs that hold and give up at once, from two nodes, none gets beyond the limit once it is reached', async () => {
    const { inventory, pool, claim } = await open('PESSIMISTIC', {}, 2);
    await using _ = inventory;

    const tab = async (turn: number) => {
      const answer = await claim(pool, turn);
      if (answer.outcome === 'GRANTED') await inventory.kernelOf(turn).move('release', answer.holdId);
      return answer.outcome;
    };
    const outcomes = [];
    for (let round = 0; round < 4; round++) outcomes.push(...(await Promise.all(Array.from({ length: 5 }, (_, turn) => tab(turn)))));

    // At most what was under way when the third was given up: the capacity of the first round.
    const granted = outcomes.filter((outcome) => outcome === 'GRANTED').length;
    expect(granted).toBeGreaterThanOrEqual(3);
    expect(granted).toBeLessThanOrEqual(5);
    expect(outcomes.slice(5)).toEqual(Array(15).fill('COOLING_DOWN'));
    await inventory.expectSound();
  });
});
