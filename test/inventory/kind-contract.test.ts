import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, test } from '@jest/globals';
import '../../src/features/index.ts';
import type { ClaimAnswer } from '../../src/inventory/claim.ts';
import { allKinds, type Kind, kindOf } from '../../src/inventory/kind.ts';
import { POLICIES, type Policy } from '../../src/inventory/pool.entity.ts';
import { claimOf, expectViolationSeenOnce, holdOf, itemOf, outcomesOf, type PoolOptions, TestInventory } from '../support/inventory.ts';
import { eventually } from '../support/wait.ts';

/**
 * What every kind of limited thing must keep, under both policies, with two nodes on one database. Each promise is a scenario that is run twice: as
 * it is, and with the one protection switched off that it depends on, when its assertion must fail.
 */
const CAPACITY = 10;

interface Contract {
  promise: string;
  /** What to switch off to see it broken. */
  weaken(inventory: TestInventory, policy: Policy): Promise<void>;
  scenario(inventory: TestInventory, place: Place): Promise<void>;
}

/** A pool of the kind under test, known to both nodes, and a way to claim it. */
interface Place {
  poolId: string;
  claim(turn: number, claim?: { claimantId?: string; quantity?: number }): Promise<ClaimAnswer>;
}

const contracts: Contract[] = [
  {
    promise: 'of 200 claims at once for 10 places exactly 10 are granted',
    weaken: decideWithoutGuard,
    async scenario(inventory, { poolId, claim }) {
      const answers = await Promise.all(Array.from({ length: 200 }, (_, turn) => claim(turn)));

      expect(outcomesOf(answers)).toEqual({ GRANTED: 10, SOLD_OUT: 190 });
      expect(await inventory.counters(poolId)).toMatchObject({ held: 10, sold: 0 });
      expect(await inventory.countOf('hold')).toBe(10);
    },
  },
  {
    promise: 'of 11 claims at once for 10 places exactly 10 are granted',
    weaken: decideWithoutGuard,
    async scenario(inventory, { poolId, claim }) {
      const answers = await Promise.all(Array.from({ length: 11 }, (_, turn) => claim(turn)));

      expect(outcomesOf(answers)).toEqual({ GRANTED: 10, SOLD_OUT: 1 });
      expect(await inventory.counters(poolId)).toMatchObject({ held: 10, sold: 0 });
    },
  },
  {
    promise: 'with 5 of 10 places sold, of 7 claims at once exactly 5 are granted',
    weaken: decideWithoutGuard,
    async scenario(inventory, { poolId, claim }) {
      const holds = (await Promise.all(Array.from({ length: 5 }, (_, turn) => claim(turn)))).map(holdOf);
      for (const hold of holds) {
        await inventory.kernel.move('startPaying', hold);
        await inventory.kernel.move('confirm', hold);
      }

      const answers = await Promise.all(Array.from({ length: 7 }, (_, turn) => claim(turn)));

      expect(outcomesOf(answers)).toEqual({ GRANTED: 5, SOLD_OUT: 2 });
      expect(await inventory.counters(poolId)).toMatchObject({ held: 5, sold: 5 });
    },
  },
  {
    promise: 'places whose holds have run out are claimed at once, with nobody sweeping',
    weaken: (inventory) => inventory.rewrite('claim_holds', 'h.expires_at <= v_started', 'false'),
    async scenario(inventory, { claim }) {
      const holds = (await Promise.all(Array.from({ length: CAPACITY }, (_, turn) => claim(turn)))).map(holdOf);
      await inventory.runOut(...holds.slice(0, 3));

      const answers = await Promise.all(Array.from({ length: 5 }, (_, turn) => claim(turn)));

      expect(outcomesOf(answers)).toEqual({ GRANTED: 3, SOLD_OUT: 2 });
      expect(await inventory.countOf('hold', "state = 'EXPIRED'")).toBe(3);
    },
  },
  {
    promise: 'a hold that has run out can neither be paid nor confirmed, taken back or not',
    weaken: (inventory) => inventory.rewrite('move_hold', 'v_hold.expires_at <= clock_timestamp()', 'false'),
    async scenario(inventory, { poolId, claim }) {
      const hold = holdOf(await claim(0));
      await inventory.runOut(hold);

      expect(await inventory.kernel.move('startPaying', hold)).toBe('EXPIRED');
      expect(await inventory.kernel.move('confirm', hold)).toBe('EXPIRED');
      expect(await inventory.stateOf(hold)).toBe('HELD');
      expect(await inventory.counters(poolId)).toMatchObject({ held: 1, sold: 0 });

      await inventory.kernel.inventory.sweep();

      expect(await inventory.kernel.move('startPaying', hold)).toBe('EXPIRED');
      expect(await inventory.kernel.move('confirm', hold)).toBe('EXPIRED');
      expect(await inventory.counters(poolId)).toMatchObject({ held: 0, sold: 0 });
    },
  },
  {
    promise: 'of two confirmations at once one moves the hold and the other is told that it is confirmed',
    weaken: moveWithoutLock,
    async scenario(inventory, { poolId, claim }) {
      const hold = holdOf(await claim(0));
      await inventory.kernel.move('startPaying', hold);

      const outcomes = await Promise.all(inventory.kernels.map((kernel) => kernel.move('confirm', hold)));

      expect(outcomes.sort()).toEqual(['CONFIRMED', 'MOVED']);
      expect(await inventory.counters(poolId)).toMatchObject({ held: 0, sold: 1 });
    },
  },
  {
    promise: 'a stranger cannot release a hold nor learn that it exists',
    weaken: (inventory) => inventory.rewrite('move_hold', '(p_claimant is null or claimant_id = p_claimant)', 'true'),
    async scenario(inventory, { poolId, claim }) {
      const hold = holdOf(await claim(0));
      const before = await inventory.counters(poolId);

      expect(await inventory.kernel.inventory.release(hold, randomUUID())).toBe('NOT_FOUND');
      expect(await inventory.kernel.inventory.release(randomUUID(), randomUUID())).toBe('NOT_FOUND');
      expect(await inventory.stateOf(hold)).toBe('HELD');
      expect(await inventory.counters(poolId)).toEqual(before);
    },
  },
  {
    promise: 'of releasing, expiring and starting to pay at once exactly one happens',
    weaken: moveWithoutLock,
    async scenario(inventory, { claim }) {
      for (let trial = 0; trial < 10; trial++) {
        const claimantId = randomUUID();
        const hold = holdOf(await claim(trial, { claimantId }));
        await inventory.query('update hold set expires_at = clock_timestamp() + make_interval(secs => $2 / 1000.0) where id = $1', [
          hold,
          // From at once to long after both have begun, however slow the machine.
          trial === 9 ? 60_000 : 5 * trial ** 2,
        ]);

        const [released, started] = await Promise.all([
          inventory.kernelOf(0).inventory.release(hold, claimantId),
          inventory.kernelOf(1).move('startPaying', hold, claimantId),
          eventually(async () => {
            await inventory.kernelOf(1).inventory.sweep();
            return (await inventory.stateOf(hold)) !== 'HELD';
          }),
        ]);

        const state = await inventory.stateOf(hold);
        expect({ released: released === 'MOVED', started: started === 'MOVED', expired: state === 'EXPIRED' }).toEqual({
          released: state === 'RELEASED',
          started: state === 'PAYING',
          expired: state === 'EXPIRED',
        });
        if (state === 'PAYING') await inventory.kernel.move('releaseUnpaid', hold);
      }
    },
  },
  {
    promise: 'a claimant who claims twice at once with different keys gets no more than the limit',
    weaken: decideWithoutGuard,
    async scenario(inventory, { poolId, claim }) {
      await inventory.query('update pool set per_claimant_max = 1 where id = $1', [poolId]);
      const claimantId = randomUUID();

      const answers = await Promise.all([claim(0, { claimantId }), claim(1, { claimantId })]);

      expect(outcomesOf(answers)).toEqual({ GRANTED: 1, CLAIMANT_LIMIT: 1 });
      expect(await inventory.counters(poolId)).toMatchObject({ held: 1, sold: 0 });
    },
  },
  {
    promise: 'a killed process leaves what it was told of, nothing half done, and places that run out and are claimed by others',
    weaken: (inventory) => inventory.rewrite('claim_holds', 'h.expires_at <= v_started', 'false'),
    async scenario(inventory, { poolId, claim }) {
      const told = await killInTheMiddle(inventory, poolId);
      const left = (await inventory.query<{ id: string }>('select id from hold order by id')).map(({ id }) => id);
      expect(left).toEqual(expect.arrayContaining(told));
      expect(told).toHaveLength(4);
      const [paying = '', ...others] = left;
      expect(await inventory.stateOf(paying)).toBe('PAYING');
      await inventory.expectSound();

      expect(await inventory.kernel.move('confirm', paying)).toBe('MOVED');
      await inventory.runOut(...others);
      const answers = await Promise.all(Array.from({ length: CAPACITY }, (_, turn) => claim(turn)));

      expect(outcomesOf(answers)).toEqual({ GRANTED: CAPACITY - 1, SOLD_OUT: 1 });
      expect(await inventory.counters(poolId)).toMatchObject({ held: CAPACITY - 1, sold: 1 });
    },
  },
];

describe.each(allKinds().map((kind) => [kind.name, kind] as const))('the kind %s', (_name, kind) => {
  // What is sold for a performance is always scarce.
  describe.each(['performance', 'tier'].includes(kind.name) ? (['PESSIMISTIC'] as const) : POLICIES)('%s', (policy) => {
    test.each(contracts.map((contract) => [contract.promise, contract] as const))('%s', async (_promise, { scenario }) => {
      await using inventory = await TestInventory.open({ kernels: 2 });

      await scenario(inventory, await placeOf(inventory, kind, policy));

      await inventory.expectSound();
    });
  });
});

/** The protections are the same for every kind: one shows that the contract can be seen broken. */
describe.each(POLICIES)('%s, is seen broken without its protection', (policy) => {
  test.each(contracts.map((contract) => [contract.promise, contract] as const))('%s', async (_promise, { weaken, scenario }) => {
    await expectViolationSeenOnce(async () => {
      await using inventory = await TestInventory.open({ kernels: 2 });
      const place = await placeOf(inventory, kindOf('lesson'), policy);
      await weaken(inventory, policy);

      await scenario(inventory, place);
    });
  });
});

test('there are kinds to test', () => {
  expect(allKinds().map((kind) => kind.name)).toEqual(expect.arrayContaining(['lesson', 'locker']));
});

async function placeOf(inventory: TestInventory, kind: Kind, policy: Policy): Promise<Place> {
  const options: PoolOptions = {
    kind: kind.name,
    capacity: CAPACITY,
    policy,
    perClaimantMax: kind.perClaimantMax,
    holdSeconds: kind.holdSeconds,
  };
  const poolId = await inventory.pool(options);
  for (const kernel of inventory.kernels) await kernel.meet([poolId]);
  return {
    poolId,
    claim: (turn, { quantity = 1, ...claim } = {}) =>
      inventory.kernelOf(turn).place(claimOf({ ...claim, items: [itemOf(poolId, { kind: kind.name, quantity })] })),
  };
}

/** Makes the policy's guard a plain read, decide and write, with a rival in between. The constraint goes too: it must not be what saves us. */
async function decideWithoutGuard(inventory: TestInventory, policy: Policy): Promise<void> {
  await inventory.query('alter table pool drop constraint pool_never_oversold');
  await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then', 'v_granted');
  if (policy === 'PESSIMISTIC') await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');
  else
    await inventory.query(`
      create function keep_version() returns trigger language plpgsql as $$ begin new.version := old.version; return new; end $$;
      create trigger keep_version before update on pool for each row execute function keep_version()`);
}

/** A move that reads its hold without a lock, with a rival before it writes. */
async function moveWithoutLock(inventory: TestInventory): Promise<void> {
  await inventory.query('alter table pool drop constraint pool_never_oversold');
  await inventory.rewrite('move_hold', 'claimant_id = p_claimant) for update', 'claimant_id = p_claimant)');
  await inventory.letRivalsMeet('move_hold', "if p_to = 'PAYING' then");
}

/** Runs `claiming-process.ts`, kills it where it waits to be killed, and waits until the database noticed. Resolves to the holds it was told of. */
async function killInTheMiddle(inventory: TestInventory, poolId: string): Promise<string[]> {
  const [began] = await inventory.query<{ at: string }>('select clock_timestamp()::text as at');
  const child = spawn(
    process.execPath,
    [
      '--import',
      './test/support/typescript-loader.mjs',
      '--import',
      'reflect-metadata',
      'test/inventory/claiming-process.ts',
      inventory.url,
      poolId,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'], env: {}, cwd: path.join(import.meta.dirname, '../..') },
  );
  const exited = once(child, 'exit');
  const told: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'in the middle') child.kill('SIGKILL');
    else told.push(line);
  }
  await exited;
  // Nobody else has connected meanwhile.
  await eventually(async () =>
    expect(
      await inventory.query('select pid from pg_stat_activity where datname = current_database() and backend_start > $1', [began?.at]),
    ).toEqual([]),
  );
  return told;
}
