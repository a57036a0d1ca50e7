import { describe, expect, test } from '@jest/globals';
import type { ClaimAnswer, ClaimRequest } from '../../src/inventory/claim.ts';
import { POLICIES, type Policy } from '../../src/inventory/pool.entity.ts';
import { claimOf, expectViolationSeen, holdOf, itemOf, outcomesOf, TestInventory, whileLocked } from '../support/inventory.ts';
import { waitingForLocks } from '../support/lock-waits.ts';
import { waitPatiently } from '../support/waiting-patiently.ts';

const TRIALS = 200;
/** Trials that run beside each other, each with a pool of its own. */
const ABREAST = 8;

interface Trial {
  inventory: TestInventory;
  number: number;
  pool: string;
  claim: ClaimRequest;
  /** Places the claim on one node or the other; on the same one where both are given the same turn. */
  place(turn: number, claim?: ClaimRequest): Promise<ClaimAnswer>;
}

/** Runs the trials, each on a new pool with one place, and counts how they ended. */
async function trials(
  inventory: TestInventory,
  policy: Policy,
  count: number,
  run: (trial: Trial) => Promise<string>,
  abreast = ABREAST,
): Promise<Record<string, number>> {
  const ends: { outcome: string }[] = [];
  let next = 0;
  const lane = async () => {
    while (next < count) {
      const number = next++;
      const pool = await inventory.pool({ policy, capacity: 1 });
      for (const kernel of inventory.kernels) await kernel.meet([pool]);
      const claim = claimOf({ items: [itemOf(pool)] });
      const place = (turn: number, another = claim) => inventory.kernelOf(turn).place(another);
      ends.push({ outcome: await run({ inventory, number, pool, claim, place }) });
    }
  };
  await Promise.all(Array.from({ length: abreast }, lane));
  return outcomesOf(ends);
}

/** A member pays in the last instants of a hold while somebody else waits for its place. The deadline is 5 to 34 ms ahead. */
async function confirmOrExpire({ inventory, number, pool, place }: Trial): Promise<string> {
  const hold = holdOf(await place(0));
  await inventory.query('update hold set expires_at = clock_timestamp() + make_interval(secs => $2 / 1000.0) where id = $1', [
    hold,
    5 + (number % 30),
  ]);

  const pay = async () => {
    // Somewhere in the same span of time: sometimes too late.
    await inventory.kernel.database.pool.query('select pg_sleep($1 / 1000.0)', [(number * 7) % 20]);
    const started = await inventory.kernelOf(0).move('startPaying', hold);
    return started === 'MOVED' ? inventory.kernelOf(1).move('confirm', hold) : started;
  };
  const takeOver = async (): Promise<ClaimAnswer> => {
    for (;;) {
      const answer = await place(1, claimOf({ items: [itemOf(pool)] }));
      const [late] = await inventory.query("select from hold where id = $1 and (state <> 'HELD' or expires_at < clock_timestamp())", [
        hold,
      ]);
      if (answer.outcome === 'GRANTED' || late) return answer.outcome === 'GRANTED' ? answer : place(1, claimOf({ items: [itemOf(pool)] }));
    }
  };
  const [paid, taken] = await Promise.all([pay(), takeOver()]);

  const state = await inventory.stateOf(hold);
  expect({ paid, taken: taken.outcome, state }).toEqual(
    paid === 'MOVED' ? { paid, taken: 'SOLD_OUT', state: 'CONFIRMED' } : { paid: 'EXPIRED', taken: 'GRANTED', state: 'EXPIRED' },
  );
  expect(await inventory.counters(pool)).toMatchObject(paid === 'MOVED' ? { held: 0, sold: 1 } : { held: 1, sold: 0 });
  return paid;
}

/** The provider's yes and no arrive at once, or a member cancels while paying. */
async function confirmOrRelease({ inventory, number, pool, place }: Trial): Promise<string> {
  const hold = holdOf(await place(0));
  await inventory.kernel.move('startPaying', hold);

  const verbs = number % 2 ? (['confirm', 'releaseUnpaid'] as const) : (['releaseUnpaid', 'confirm'] as const);
  const outcomes = await Promise.all(verbs.map((verb, turn) => inventory.kernelOf(turn).move(verb, hold)));

  const state = await inventory.stateOf(hold);
  expect(outcomes.sort()).toEqual([state, 'MOVED'].sort());
  expect(await inventory.counters(pool)).toMatchObject(state === 'CONFIRMED' ? { held: 0, sold: 1 } : { held: 0, sold: 0 });
  return `${state}`;
}

async function payOrRelease({ inventory, pool, claim, place }: Trial): Promise<string> {
  const hold = holdOf(await place(0));

  const [released, started] = await Promise.all([
    inventory.kernelOf(0).inventory.release(hold, claim.claimantId),
    inventory.kernelOf(1).move('startPaying', hold, claim.claimantId),
  ]);

  expect([released, started]).toEqual(released === 'MOVED' ? ['MOVED', 'RELEASED'] : ['PAYING', 'MOVED']);
  expect(await inventory.counters(pool)).toMatchObject({ held: released === 'MOVED' ? 0 : 1, sold: 0 });
  return released;
}

/** The same request twice, to both nodes or twice to one. */
async function doubleClick({ inventory, number, pool, place }: Trial): Promise<string> {
  const answers = await Promise.all([place(number % 2), place(0)]);

  expect(outcomesOf(answers)).toEqual({ GRANTED: 1, REPLAYED: 1 });
  expect(new Set(answers.map((answer) => 'holdId' in answer && answer.holdId)).size).toBe(1);
  expect(await inventory.counters(pool)).toMatchObject({ held: 1 });
  return 'one hold';
}

const races: [name: string, { race(trial: Trial): Promise<string>; weaken(inventory: TestInventory): Promise<void> }][] = [
  // Both rivals move a hold that is being paid; who begins to pay has none to meet.
  ['confirm against release', { race: confirmOrRelease, weaken: (inventory) => moveWithoutLock(inventory, "p_to <> 'PAYING'") }],
  ['start to pay against release', { race: payOrRelease, weaken: (inventory) => moveWithoutLock(inventory) }],
  ['a double click', { race: doubleClick, weaken: placeWithoutKeys }],
];

describe.each(POLICIES)('%s', (policy) => {
  test.each([['confirm against expire', { race: confirmOrExpire }] as const, ...races])(
    `%s ends in one way, ${TRIALS} times`,
    async (_name, { race }) => {
      await using inventory = await TestInventory.open({ kernels: 2 });

      const ends = await trials(inventory, policy, TRIALS, race);

      expect(Object.values(ends).reduce((sum, count) => sum + count, 0)).toBe(TRIALS);
      await inventory.expectSound();
    },
    180_000,
  );

  test.each([
    ['in time', 'MOVED'],
    ['too late', 'EXPIRED'],
  ])('whoever pays %s: %s', async (when, expected) => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    const late = when === 'too late';

    const ends = await trials(inventory, policy, 4, async ({ pool, place }) => {
      const hold = holdOf(await place(0));
      if (late) await inventory.runOut(hold);
      const started = await inventory.kernelOf(0).move('startPaying', hold);
      const { outcome } = await place(1, claimOf({ items: [itemOf(pool)] }));
      expect({ started, outcome }).toEqual({ started: expected, outcome: late ? 'GRANTED' : 'SOLD_OUT' });
      return started;
    });

    expect(ends).toEqual({ [expected]: 4 });
    await inventory.expectSound();
  });

  test('confirm against expire is seen to end in two ways where a move does not lock its hold', async () => {
    await using inventory = await TestInventory.open({ kernels: 2 });
    await waitPatiently(inventory.query.bind(inventory));
    await trials(inventory, policy, 1, async ({ pool, place }) => {
      const hold = holdOf(await place(0));
      await inventory.rewrite('move_hold', 'claimant_id = p_claimant) for update', 'claimant_id = p_claimant)');
      await inventory.rewrite(
        'move_hold',
        "if p_to = 'PAYING' then",
        `perform pg_advisory_xact_lock_shared(${GATE}); if p_to = 'PAYING' then`,
      );

      // It has read that the hold is live, and has not moved it yet.
      const { started } = await whileLocked(inventory, 'select pg_advisory_xact_lock($1)', [GATE], async () => {
        const started = inventory.kernelOf(0).move('startPaying', hold);
        await waitingForLocks(inventory);
        await inventory.runOut(hold);
        holdOf(await place(1, claimOf({ items: [itemOf(pool)] })));
        return { started };
      });

      expect([await started, await inventory.kernelOf(1).move('confirm', hold)]).toEqual(['MOVED', 'MOVED']);
      return '';
    });

    await expectViolationSeen(inventory.expectSound());
  });

  test.each(races)(
    '%s is seen to end in two ways where nothing parts the rivals',
    async (_name, { race, weaken }) => {
      await using inventory = await TestInventory.open({ kernels: 2 });
      await weaken(inventory);

      // One after the other, so that rivals meet each other and nobody else. Those that a stall keeps from meeting run again.
      await expectViolationSeen(trials(inventory, policy, 10, race, 1));
    },
    180_000,
  );
});

/** A move reads its hold without a lock, and so does its rival before it writes. */
async function moveWithoutLock(inventory: TestInventory, when?: string): Promise<void> {
  await inventory.query('alter table pool drop constraint pool_never_oversold');
  await inventory.rewrite('move_hold', 'claimant_id = p_claimant) for update', 'claimant_id = p_claimant)');
  await inventory.letRivalsMeet('move_hold', "if p_to = 'PAYING' then", when);
}

async function placeWithoutKeys(inventory: TestInventory): Promise<void> {
  await inventory.query('alter table hold drop constraint hold_claimant_id_idempotency_key_key');
  await inventory.rewrite('claim_holds', 'h.idempotency_key = c.key', 'false');
}

/** Any number nobody else takes an advisory lock on. */
const GATE = 4711;
