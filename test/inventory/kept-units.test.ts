import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import type { ClaimAnswer, ClaimRequest } from '../../src/inventory/claim.ts';
import { keepFor, keptUnits, letGoUnits, watchPools } from '../../src/inventory/units.ts';
import {
  claimOf,
  deadlocks,
  expectViolationSeen,
  expectViolationSeenOnce,
  holdOf,
  itemOf,
  outcomesOf,
  TestInventory,
} from '../support/inventory.ts';
import type { Kernel } from '../support/kernel.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { endedOrWaiting, waitingForLocks } from '../support/lock-waits.ts';

failOnLeaks();

const claimFor = (pool: string, unitId: string | undefined, claimantId: string = randomUUID()): ClaimRequest =>
  claimOf({ claimantId, items: [itemOf(pool, { unitId: unitId ?? null })] });
const taken = { outcome: 'UNIT_TAKEN', itemIndex: 0, limit: null, takenItems: [0] };

/** A watched pool whose units have been given back, all of them. */
const given = async (inventory: TestInventory, count: number, options: Parameters<TestInventory['numbered']>[1] = {}) => {
  const { pool, units } = await inventory.numbered(count, { isWatched: true, ...options });
  const claims = units.map((unit) => claimFor(pool, unit));
  const holds = (await Promise.all(claims.map((claim) => inventory.kernel.place(claim)))).map(holdOf);
  for (const hold of holds) await inventory.kernel.move('release', hold);
  return { pool, units, unit: units[0] as string, former: claims.map(({ claimantId }) => claimantId) };
};

const keep = ({ database }: Kernel, unit: string, claimantId: string) =>
  database.transact((em) => keepFor(em, unit, claimantId), { name: 'keep' });
const letGo = ({ database }: Kernel, units: string[]) => database.transact((em) => letGoUnits(em, units), { name: 'let-go' });

/** Lets what is kept for 10 seconds by `keeping` be kept for ten minutes more, so that no stall ends it; answers whether it was 10 seconds. */
const kept10Seconds = async (inventory: TestInventory, unit: string, keeping: () => Promise<unknown>): Promise<boolean> => {
  const now = async () => (await inventory.query<{ now: string }>('select clock_timestamp()::text as now'))[0]?.now;
  const before = await now();
  await keeping();
  const [row] = await inventory.query<{ exact: boolean }>(
    "select kept_until - interval '10 s' between $2::timestamptz and clock_timestamp() as exact from unit where id = $1",
    [unit, before],
  );
  await inventory.letPass(-600);
  return row?.exact === true;
};

/** Keeps a unit for a claimant and claims it in the same transaction, as an offer does. */
const offer = ({ database, inventory }: Kernel, pool: string, unit: string, claimantId: string, between = async () => {}) =>
  database.transact<ClaimAnswer | null>(
    async (em) => {
      if (!(await keepFor(em, unit, claimantId))) return null;
      await between();
      return (await inventory.placeIn(em, claimFor(pool, unit, claimantId))).answer;
    },
    { name: 'offer' },
  );

describe('a unit given back in a watched pool', () => {
  test.each(['a release', 'a sweep', 'a claim for another unit', 'a return'])('is kept, by %s too, and nobody can take it', async (how) => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(2, { isWatched: true });
    const claim = claimFor(pool, units[0]);
    const hold = holdOf(await inventory.kernel.place(claim));

    if (how === 'a release') await inventory.kernel.move('release', hold);
    else if (how === 'a return')
      for (const verb of ['startPaying', 'confirm', 'giveBack'] as const) await inventory.kernel.move(verb, hold);
    else await inventory.runOut(hold);
    if (how === 'a sweep') await inventory.kernel.inventory.sweep();
    if (how === 'a claim for another unit') holdOf(await inventory.kernel.place(claimFor(pool, units[1])));

    expect((await inventory.unitsOf(pool))[0]?.[0]).toBe('KEPT');
    expect(await inventory.kernel.place(claimFor(pool, units[0]))).toEqual(taken);
    expect(await inventory.kernel.place(claimFor(pool, units[0], claim.claimantId))).toEqual(taken);
    await inventory.expectSound();
  });

  test('whose hold has run out is kept from the very claim that takes it back', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(1, { isWatched: true });
    await inventory.runOut(holdOf(await inventory.kernel.place(claimFor(pool, units[0]))));

    expect(await inventory.kernel.place(claimFor(pool, units[0]))).toEqual(taken);

    expect(await inventory.unitsOf(pool)).toEqual([['KEPT', 3]]);
    await inventory.expectSound();
  });

  test('is for the claimant it is kept for and nobody else', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units, unit } = await given(inventory, 2);
    const follower = randomUUID();

    expect(await keep(inventory.kernel, unit, follower)).toBe(true);

    expect(await inventory.kernel.place(claimFor(pool, unit))).toEqual(taken);
    expect(await inventory.kernel.place(claimFor(pool, units[1], follower))).toEqual(taken);
    const answers = await Promise.all([
      inventory.kernel.place(claimFor(pool, unit)),
      inventory.kernel.place(claimFor(pool, unit, follower)),
      inventory.kernel.place(claimFor(pool, unit)),
    ]);
    expect(answers.map(({ outcome }) => outcome)).toEqual(['UNIT_TAKEN', 'GRANTED', 'UNIT_TAKEN']);
    expect(await inventory.query('select state, kept_until, kept_for from unit where id = $1', [unit])).toEqual([
      { state: 'HELD', kept_until: null, kept_for: null },
    ]);
    await inventory.expectSound();
  });

  test.each(['offered to nobody', 'offered to somebody'])('is for anybody after 10 seconds, %s, with no process running', async (how) => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(1, { isWatched: true });
    const unit = units[0] as string;
    const hold = holdOf(await inventory.kernel.place(claimFor(pool, unit)));

    const is10Seconds = await kept10Seconds(inventory, unit, async () => {
      await inventory.kernel.move('release', hold);
      if (how === 'offered to somebody') await keep(inventory.kernel, unit, randomUUID());
    });

    expect(is10Seconds).toBe(true);
    expect(await inventory.kernel.place(claimFor(pool, unit))).toEqual(taken);
    await inventory.letPass(600 + 10);

    expect((await inventory.kernel.place(claimFor(pool, unit))).outcome).toBe('GRANTED');
    await inventory.expectSound();
  });

  test('has its 10 seconds from the last time it was kept for somebody', async () => {
    await using inventory = await TestInventory.open();
    const { pool, unit } = await given(inventory, 1);
    const [first, second] = [randomUUID(), randomUUID()];
    await keep(inventory.kernel, unit, first);
    await inventory.letPass(9);

    const is10Seconds = await kept10Seconds(inventory, unit, async () => expect(await keep(inventory.kernel, unit, second)).toBe(true));
    expect(is10Seconds).toBe(true);

    expect(await inventory.kernel.place(claimFor(pool, unit, first))).toEqual(taken);
    expect((await inventory.kernel.place(claimFor(pool, unit, second))).outcome).toBe('GRANTED');
  });

  test('is free at once where the pool is not watched, or no longer', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(1);
    const giveBack = async () => inventory.kernel.move('release', holdOf(await inventory.kernel.place(claimFor(pool, units[0]))));
    const watch = (isWatched: boolean) => inventory.kernel.database.transact((em) => watchPools(em, [pool], isWatched), { name: 'watch' });

    await giveBack();
    expect(await inventory.unitsOf(pool)).toEqual([['AVAILABLE', 3]]);
    await watch(true);
    await watch(false);
    await giveBack();
    expect(await inventory.unitsOf(pool)).toEqual([['AVAILABLE', 5]]);
    await watch(true);
    await giveBack();
    expect(await inventory.unitsOf(pool)).toEqual([['KEPT', 7]]);
  });

  test('is kept again when whoever it was offered to gives it back', async () => {
    await using inventory = await TestInventory.open();
    const { pool, unit } = await given(inventory, 1);

    const answer = await offer(inventory.kernel, pool, unit, randomUUID());
    await inventory.kernel.move('release', holdOf(answer as ClaimAnswer));

    expect(await inventory.unitsOf(pool)).toEqual([['KEPT', 5]]);
    expect(await offer(inventory.kernel, pool, unit, randomUUID())).toMatchObject({ outcome: 'GRANTED' });
    await inventory.expectSound();
  });
});

describe('what is kept', () => {
  test('is listed while it is for nobody yet, and when its time has passed, oldest first', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await given(inventory, 4);
    const listed = async (limit = 10) =>
      (await keptUnits(inventory.kernel.database.pool, limit)).map(({ id, poolId, number }) => [units.indexOf(id), poolId, number]);

    await keep(inventory.kernel, units[1] ?? '', randomUUID());
    await letGo(inventory.kernel, [units[2] ?? '']);
    expect(await listed()).toEqual([0, 3].map((number) => [number, pool, number]));
    expect(await listed(1)).toEqual([[0, pool, 0]]);

    await inventory.letPass(10);
    expect(await listed()).toEqual([0, 3, 1].map((number) => [number, pool, number]));
  });

  test('can be let go for anybody; what is not kept stays as it is', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await given(inventory, 4);
    const { version } = await inventory.counters(pool);
    await keep(inventory.kernel, units[1] ?? '', randomUUID());
    holdOf((await offer(inventory.kernel, pool, units[3] ?? '', randomUUID())) as ClaimAnswer);
    const before = await inventory.unitsOf(pool);

    const pools = await letGo(inventory.kernel, [units[0] ?? '', units[1] ?? '', units[3] ?? '', randomUUID()]);

    const now = version + 2;
    expect(pools.map(({ id, version, held }) => ({ id, version, held }))).toEqual([{ id: pool, version: now, held: 1 }]);
    expect(await inventory.unitsOf(pool)).toEqual([['AVAILABLE', now], ['AVAILABLE', now], before[2], before[3]]);
    expect(await letGo(inventory.kernel, [units[0] ?? '', units[3] ?? ''])).toEqual([]);
    expect((await inventory.counters(pool)).version).toBe(now);
    await inventory.expectSound();
  });

  test('can be blocked: nobody has it yet', async () => {
    await using inventory = await TestInventory.open();
    const { pool, unit } = await given(inventory, 2);
    await keep(inventory.kernel, unit, randomUUID());

    const [row] = await inventory.query<{ answer: { outcome: string } }>("select block_units($1, '{0,1}', true) as answer", [pool]);

    expect(row?.answer.outcome).toBe('DONE');
    expect(await inventory.query('select state, kept_until, kept_for from unit')).toEqual(
      Array(2).fill({ state: 'BLOCKED', kept_until: null, kept_for: null }),
    );
    expect(await keep(inventory.kernel, unit, randomUUID())).toBe(false);
    await inventory.expectSound();
  });

  test('cannot be kept for anybody when it is free, held, or nobody knows it', async () => {
    await using inventory = await TestInventory.open();
    const { pool, units } = await inventory.numbered(2, { isWatched: true });
    holdOf(await inventory.kernel.place(claimFor(pool, units[1])));

    for (const unit of [...units, randomUUID()]) expect(await keep(inventory.kernel, unit, randomUUID())).toBe(false);

    expect(await inventory.unitsOf(pool)).toEqual([
      ['AVAILABLE', 1],
      ['HELD', 2],
    ]);
  });
});

describe('an offer', () => {
  /** A stranger claims a unit whose time has passed while it is offered once more: both are right, one gets it. */
  const rivals = async (inventory: TestInventory) => {
    const { pool, unit } = await given(inventory, 1);
    await inventory.letPass(10);

    const [offered, claimed] = await Promise.all([
      offer(inventory.kernelOf(0), pool, unit, randomUUID()),
      inventory.kernelOf(1).place(claimFor(pool, unit)),
    ]);

    // Whoever was told that it is kept for them gets it, and nobody has to be stopped for that.
    expect(outcomesOf([offered ?? { outcome: 'not kept' }, claimed])).toEqual(
      offered ? { GRANTED: 1, UNIT_TAKEN: 1 } : { 'not kept': 1, GRANTED: 1 },
    );
    expect(await deadlocks(inventory)).toBe(0);
  };

  test('and a claim of a stranger at the same moment: one gets it', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    for (let trial = 0; trial < 20; trial++) await rivals(inventory);

    await inventory.expectSound();
  });

  test("and a claim of a stranger would wait for each other if only the unit's row were locked", async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then');
    await inventory.letRivalsMeet('keep_unit_for', 'return found;\nend');
    await inventory.rewrite('lock_as_claim', 'order by id for no key update', 'order by id');

    await expectViolationSeenOnce(() => rivals(inventory));
  });

  /** The follower has the page open and claims by hand while the offer is being made. */
  const byHand = async (inventory: TestInventory) => {
    const quota = { key: randomUUID(), max: 1 };
    const { pool, unit } = await given(inventory, 1, { quota });
    const follower = randomUUID();
    let own: Promise<ClaimAnswer> | undefined;

    const offered = await offer(inventory.kernelOf(0), pool, unit, follower, async () => {
      own = inventory.kernelOf(1).place(claimFor(pool, unit, follower));
      await waitingForLocks(inventory);
    });

    expect(offered?.outcome).toBe('GRANTED');
    expect(await own).toMatchObject({ outcome: 'QUOTA_REACHED' });
    expect(await deadlocks(inventory)).toBe(0);
  };

  test('and a claim of the follower at the same moment: the offer is the one', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    await byHand(inventory);

    await inventory.expectSound();
  });

  test('and a claim of the follower would wait for each other if the quota were locked after the pool', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.rewrite('lock_as_claim', 'pg_advisory_xact_lock(', 'abs(');

    await expectViolationSeen(byHand(inventory));
  });

  /** While the offer is made, a sweep has a hold that has run out and comes for its pool. */
  const swept = async (inventory: TestInventory) => {
    const { pool, units, unit } = await given(inventory, 2);
    await letGo(inventory.kernel, [units[1] ?? '']);
    await inventory.runOut(holdOf(await inventory.kernel.place(claimFor(pool, units[1]))));
    let sweep: Promise<string> | undefined;

    const offered = await offer(inventory.kernelOf(0), pool, unit, randomUUID(), async () => {
      sweep = inventory
        .kernelOf(1)
        .inventory.sweep()
        .then(
          () => 'swept',
          (error: Error) => error.message,
        );
      await endedOrWaiting(inventory, sweep);
    });

    expect(await sweep).toBe('swept');
    expect(offered?.outcome).toBe('GRANTED');
    expect((await inventory.unitsOf(pool)).map(([state]) => state)).toEqual(['HELD', 'KEPT']);
    expect(await deadlocks(inventory)).toBe(0);
  };

  test('and a sweep do not wait for each other', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    await swept(inventory);

    await inventory.expectSound();
  });

  test('and a sweep would wait for each other if the pool were locked before what has run out', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await inventory.rewrite('lock_as_claim', "where h.state = 'HELD' and", "where h.state = 'none' and");

    await expectViolationSeen(swept(inventory));
  });

  test('that is refused leaves the unit for the next follower, in the same transaction', async () => {
    await using inventory = await TestInventory.open();
    const quota = { key: randomUUID(), max: 1 };
    const { pool, unit } = await given(inventory, 1, { quota });
    const other = await inventory.pool({ quota });
    const [full, next] = [randomUUID(), randomUUID()];
    holdOf(await inventory.kernel.place(claimOf({ claimantId: full, items: [itemOf(other)] })));
    const { database, inventory: kernel } = inventory.kernel;

    const outcomes = await database.transact(
      async (em) => {
        const answers = [];
        for (const follower of [full, next]) {
          expect(await keepFor(em, unit, follower)).toBe(true);
          answers.push((await kernel.placeIn(em, claimFor(pool, unit, follower))).answer.outcome);
        }
        return answers;
      },
      { name: 'offers' },
    );

    expect(outcomes).toEqual(['QUOTA_REACHED', 'GRANTED']);
    await inventory.expectSound();
  });
});
