import { expect, test } from '@jest/globals';
import type { ClaimAnswer, ClaimRequest } from '../../src/inventory/claim.ts';
import { unitIdOf } from '../../src/inventory/units.ts';
import { claimOf, expectViolationSeen, holdOf, outcomesOf, TestInventory, whileLocked } from '../support/inventory.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { waitingForLocks } from '../support/lock-waits.ts';
import { aShow } from '../support/shows.ts';
import { waitPatiently } from '../support/waiting-patiently.ts';

failOnLeaks();

const TRIALS = 200;
/** Trials that run beside each other, each in a row of its own of the same performance: so their claims share batches. */
const ABREAST = 8;
const SEATS = 4;
/** Somebody who has the last seat of the row all the time, so that a counter that is wrong is not stopped at 0. */
const BYSTANDER = SEATS - 1;

/** Which rival has done before the other begins; `null`: neither, they race. */
type First = 0 | 1 | null;

interface Trial {
  inventory: TestInventory;
  number: number;
  first: First;
  performanceId: string;
  /** A claim of somebody new for these seats of the row. */
  claim(...seats: number[]): ClaimRequest;
  /** Places it on one node or the other; on the same one where both are given the same turn. */
  place(turn: number, claim: ClaimRequest): Promise<ClaimAnswer>;
  /** The seats of the row: state and holder. */
  row(): Promise<{ state: string; hold: string | null }[]>;
}

interface Race {
  run(trial: Trial): Promise<string>;
  /** The ends it may have: where the first rival is first, and where the second is. */
  ends: [string, string];
}

async function trials(
  inventory: TestInventory,
  count: number,
  run: (trial: Trial) => Promise<string>,
  first: First = null,
): Promise<Record<string, number>> {
  const show = await aShow(inventory, { rows: count, seatsPerRow: SEATS });
  const performanceId = show.uuids.performance;
  const ends: { outcome: string }[] = [];
  let next = 0;
  const lane = async () => {
    for (let number = next++; number < count; number = next++)
      ends.push({ outcome: await run(trialOf(inventory, performanceId, number, first)) });
  };
  // Every lane comes to its end before a failure goes further: what it left running would fail the next test.
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(ABREAST, count) }, lane));
  for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason;
  return outcomesOf(ends);
}

function trialOf(inventory: TestInventory, performanceId: string, number: number, first: First): Trial {
  const unitId = (seat: number) => unitIdOf(performanceId, number * SEATS + seat);
  return {
    inventory,
    number,
    first,
    performanceId,
    claim: (...seats) =>
      claimOf({ items: seats.map((seat) => ({ kind: 'performance', poolId: performanceId, unitId: unitId(seat), quantity: 1 })) }),
    place: (turn, claim) => inventory.kernelOf(turn).place(claim),
    row: () =>
      inventory.query<{ state: string; hold: string | null }>(
        'select state, hold_id as hold from unit where pool_id = $1 and number between $2 and $3 order by number',
        [performanceId, number * SEATS, number * SEATS + SEATS - 2],
      ),
  };
}

const FREE = { state: 'AVAILABLE', hold: null };
const heldBy = (hold: string) => ({ state: 'HELD', hold });

const sameSeat: Race = {
  async run({ number, first, claim, place, row }) {
    const answers = await rivals(
      first,
      () => place(number % 2, claim(0)),
      () => place(1 - (number % 2), claim(0)),
    );

    expect(outcomesOf(answers)).toEqual({ GRANTED: 1, UNIT_TAKEN: 1 });
    expect(answers.find(({ outcome }) => outcome === 'UNIT_TAKEN')).toMatchObject({ takenItems: [0] });
    expect(await row()).toEqual([heldBy(granted(answers)), FREE, FREE]);
    return answers[0]?.outcome === 'GRANTED' ? 'first' : 'second';
  },
  ends: ['first', 'second'],
};

/** A and B against B and C: whoever loses gets nothing, and is told of B alone. */
const overlappingPairs: Race = {
  async run({ number, first, claim, place, row }) {
    const answers = await rivals(
      first,
      () => place(number % 2, claim(0, 1)),
      () => place(1 - (number % 2), claim(1, 2)),
    );

    expect(outcomesOf(answers)).toEqual({ GRANTED: 1, UNIT_TAKEN: 1 });
    const hold = granted(answers);
    const isFirst = answers[0]?.outcome === 'GRANTED';
    expect(answers[isFirst ? 1 : 0]).toMatchObject({ takenItems: [isFirst ? 0 : 1] });
    expect(await row()).toEqual(isFirst ? [heldBy(hold), heldBy(hold), FREE] : [FREE, heldBy(hold), heldBy(hold)]);
    return isFirst ? 'AB' : 'BC';
  },
  ends: ['AB', 'BC'],
};

/** The same request twice, to both nodes or twice to one. */
const doubleClick: Race = {
  async run({ number, first, claim, place, row }) {
    const twin = claim(0, 1);

    const answers = await rivals(
      first,
      () => place(number % 2, twin),
      () => place(0, twin),
    );

    expect(outcomesOf(answers)).toEqual({ GRANTED: 1, REPLAYED: 1 });
    const hold = granted(answers);
    expect(answers.map((answer) => 'holdId' in answer && answer.holdId)).toEqual([hold, hold]);
    expect(await row()).toEqual([heldBy(hold), heldBy(hold), FREE]);
    return 'one hold';
  },
  ends: ['one hold', 'one hold'],
};

/** A member gives up two seats while another wants one of them. */
const holdAgainstRelease: Race = {
  async run({ inventory, number, first, claim, place, row }) {
    const mine = claim(0, 1);
    const hold = holdOf(await place(0, mine));

    const [released, answer] = await rivals(
      first ?? apart(inventory, number),
      () => inventory.kernelOf(0).inventory.release(hold, mine.claimantId),
      () => place(1, claim(1)),
    );

    expect(released).toBe('MOVED');
    if (answer.outcome !== 'GRANTED') expect(answer).toMatchObject({ outcome: 'UNIT_TAKEN', takenItems: [0] });
    expect(await row()).toEqual([FREE, answer.outcome === 'GRANTED' ? heldBy(answer.holdId) : FREE, FREE]);
    return answer.outcome;
  },
  ends: ['GRANTED', 'UNIT_TAKEN'],
};

/** A hold runs out while another member wants its seat and the other node tidies. */
const holdAgainstExpiry: Race = {
  async run({ inventory, number, first, claim, place, row }) {
    const hold = holdOf(await place(0, claim(0, 1)));
    if (first === null) await runsOutIn(inventory, hold, number % 20);

    const [answer] = await rivals(
      first ?? apart(inventory, number),
      () => place(1, claim(1)),
      async () => {
        if (first !== null) await inventory.runOut(hold);
        await inventory.kernelOf(0).inventory.sweep();
      },
    );

    const states = await row();
    if (answer.outcome === 'GRANTED') {
      expect(states).toEqual([FREE, heldBy(answer.holdId), FREE]);
      expect(await inventory.stateOf(hold)).toBe('EXPIRED');
    } else {
      expect(answer).toMatchObject({ outcome: 'UNIT_TAKEN', takenItems: [0] });
      // It was live then; by now it may have run out and been tidied.
      expect([
        [FREE, FREE, FREE],
        [heldBy(hold), heldBy(hold), FREE],
      ]).toContainEqual(states);
    }
    return answer.outcome;
  },
  ends: ['UNIT_TAKEN', 'GRANTED'],
};

/** A member pays in the last instants of a hold while somebody else waits for its seat. The deadline is 5 to 34 ms ahead. */
const confirmAgainstExpire: Race = {
  async run({ inventory, number, first, claim, place, row }) {
    const hold = holdOf(await place(0, claim(0, 1)));
    if (first === null) await runsOutIn(inventory, hold, 5 + (number % 30));

    const pay = async () => {
      // Somewhere in the same span of time: sometimes too late.
      if (first === null) await inventory.kernel.database.pool.query('select pg_sleep($1 / 1000.0)', [(number * 7) % 20]);
      const started = await inventory.kernelOf(0).move('startPaying', hold);
      return started === 'MOVED' ? inventory.kernelOf(1).move('confirm', hold) : started;
    };
    const takeOver = async () => {
      if (first === 1) await inventory.runOut(hold);
      for (;;) {
        const answer = await place(1, claim(1));
        const [late] = await inventory.query("select from hold where id = $1 and (state <> 'HELD' or expires_at < clock_timestamp())", [
          hold,
        ]);
        if (answer.outcome === 'GRANTED') return answer;
        if (late) return place(1, claim(1));
      }
    };
    const [paid, taken] = await rivals(first, pay, takeOver);

    const sold = { state: 'SOLD', hold };
    if (paid === 'MOVED') expect([taken.outcome, await row()]).toEqual(['UNIT_TAKEN', [sold, sold, FREE]]);
    else expect([paid, await row()]).toEqual(['EXPIRED', [FREE, heldBy(holdOf(taken)), FREE]]);
    return paid === 'MOVED' ? 'paid' : 'too late';
  },
  ends: ['paid', 'too late'],
};

test.each([
  ['two members and the same seat', sameSeat],
  ['two members and pairs that share a seat', overlappingPairs],
  ['a double click', doubleClick],
  ['a hold against a release', holdAgainstRelease],
  ['a hold against an expiry', holdAgainstExpiry],
  ['confirm against expire', confirmAgainstExpire],
])(
  `%s: ${TRIALS} times, on two nodes, it ends in one of the ways it may`,
  async (_, { run, ends }) => {
    await using inventory = await TestInventory.open({ kernels: 2 });

    const counted = await trials(inventory, TRIALS, run);

    expect(Object.keys(counted).filter((end) => !ends.includes(end))).toEqual([]);
    expect(Object.values(counted).reduce((sum, count) => sum + count, 0)).toBe(TRIALS);
    // Which of them wins is up to the machine; each does where it is first.
    for (const first of [0, 1] as const) expect(await trials(inventory, 2, run, first)).toEqual({ [ends[first]]: 2 });
    await inventory.expectSound();
  },
  180_000,
);

test.each([
  ['the same seat', sameSeat],
  ['pairs that share a seat', overlappingPairs],
])('%s: given twice without the lock of the pool', async (_, { run }) => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');
  await inventory.letRivalsMeet('claim_holds', 'if v_granted and p_write then');

  // Rivals that a stall keeps from meeting decide one after the other: then they run again.
  await expectViolationSeen(
    (async () => {
      for (let round = 0; round < 10; round++) await trials(inventory, 1, run);
    })(),
  );

  await expectViolationSeen(inventory.expectSound());
});

test('a double click: refused as taken, by its own twin, where nobody looks for its key', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  await inventory.rewrite('claim_holds', 'h.idempotency_key = c.key', 'false');
  await inventory.query('alter table hold drop constraint hold_claimant_id_idempotency_key_key');

  await expectViolationSeen(trials(inventory, 1, doubleClick.run));
});

/** Makes whoever runs a function wait at a place in its text while a rival comes and goes. */
async function meanwhile<T>(
  inventory: TestInventory,
  [name, place]: [name: string, place: string],
  one: () => Promise<T>,
  rival: () => Promise<unknown>,
): Promise<T> {
  await waitPatiently(inventory.query.bind(inventory));
  await inventory.rewrite(name, place, `perform pg_advisory_xact_lock_shared(${GATE}); ${place}`);
  const { waiting } = await whileLocked(inventory, 'select pg_advisory_xact_lock($1)', [GATE], async () => {
    const waiting = one();
    await waitingForLocks(inventory);
    await rival();
    return { waiting };
  });
  return waiting;
}

/** Any number nobody else takes an advisory lock on. */
const GATE = 4711;

test('confirm against expire: a seat is paid for that somebody else has, where a move does not lock its hold', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  await trials(inventory, 1, async ({ claim, place }) => {
    const hold = holdOf(await place(0, claim(0)));
    await inventory.rewrite('move_hold', 'claimant_id = p_claimant) for update', 'claimant_id = p_claimant)');

    // It has read that the hold is live, and has not moved it yet.
    const started = await meanwhile(
      inventory,
      ['move_hold', "if p_to = 'PAYING' then"],
      () => inventory.kernelOf(0).move('startPaying', hold),
      async () => {
        await inventory.runOut(hold);
        holdOf(await place(1, claim(0)));
      },
    );

    expect([started, await inventory.kernelOf(0).move('confirm', hold)]).toEqual(['MOVED', 'MOVED']);
    return '';
  });

  await expectViolationSeen(inventory.expectSound());
});

test('a hold against a release: without the lock of the pool a seat changes behind the back of those who follow by version', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  await trials(inventory, 1, async ({ claim, place, performanceId }) => {
    const mine = claim(0);
    const hold = holdOf(await place(0, mine));
    await inventory.rewrite('claim_holds', 'order by id for no key update', 'order by id');

    // It has read the version of the pool, and not yet its seats.
    const answer = await meanwhile(
      inventory,
      ['claim_holds', "if array_remove(p_item_units, null) <> '{}' then"],
      () => place(1, claim(0)),
      () => inventory.kernelOf(0).inventory.release(hold, mine.claimantId),
    );

    expect(answer.outcome).toBe('GRANTED');
    const [versions] = await inventory.query<{ unit: number; pool: number }>(
      'select u.version as unit, p.version as pool from unit u join pool p on p.id = u.pool_id where p.id = $1 and u.number = 0',
      [performanceId],
    );
    // Whoever read the map after the release has this version of the pool already, and never hears of the seat again.
    expect(versions).toEqual({ unit: 3, pool: 4 });
    return '';
  });
});

test('a hold against an expiry: what has run out is given back twice where a claim does not look again under the lock', async () => {
  await using inventory = await TestInventory.open({ kernels: 2 });
  await trials(inventory, 1, async ({ claim, place }) => {
    await place(0, claim(BYSTANDER));
    const hold = holdOf(await place(0, claim(0)));
    await inventory.runOut(hold);
    await inventory.rewrite(
      'claim_holds',
      "where id = any (v_expired) and state = 'HELD' order by id for update",
      'where id = any (v_expired) order by id for update',
    );

    // It has found what has run out, and has not locked it yet.
    await meanwhile(
      inventory,
      ['claim_holds', 'if v_lock and p_write then'],
      () => place(1, claim(0)),
      () => inventory.kernelOf(0).inventory.sweep(),
    );
    return '';
  });

  await expectViolationSeen(inventory.expectSound());
});

function granted(answers: readonly ClaimAnswer[]): string {
  const answer = answers.find(({ outcome }) => outcome === 'GRANTED');
  if (!answer) throw new Error(`Nobody was granted anything: ${JSON.stringify(answers)}`);
  return holdOf(answer);
}

const runsOutIn = (inventory: TestInventory, hold: string, milliseconds: number) =>
  inventory.query('update hold set expires_at = clock_timestamp() + make_interval(secs => $2 / 1000.0) where id = $1', [
    hold,
    milliseconds,
  ]);

/** Lets rivals race, after so long each, or one come to its end before the other begins. */
async function rivals<One, Other>(start: First | Pauses, one: () => Promise<One>, other: () => Promise<Other>): Promise<[One, Other]> {
  if (start === 0) return [await one(), await other()];
  if (start === 1) {
    const ended = await other();
    return [await one(), ended];
  }
  if (start === null) return Promise.all([one(), other()]);
  const [pauseOne, pauseOther] = start;
  return Promise.all([pauseOne().then(one), pauseOther().then(other)]);
}

type Pauses = [one: () => Promise<unknown>, other: () => Promise<unknown>];

/** Begins one rival up to 10 ms before or after the other, spread over the trials, so that they meet at every point of each other. */
function apart(inventory: TestInventory, number: number): Pauses {
  const headStartMs = ((number * 7) % 21) - 10;
  const pause = (milliseconds: number) => async () => {
    if (milliseconds > 0) await inventory.kernel.database.pool.query('select pg_sleep($1 / 1000.0)', [milliseconds]);
  };
  return [pause(-headStartMs), pause(headStartMs)];
}
