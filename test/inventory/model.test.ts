import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ClaimAnswer, ClaimRequest } from '../../src/inventory/claim.ts';
import { TRANSITIONS } from '../../src/inventory/hold-states.ts';
import { POLICIES, type Policy } from '../../src/inventory/pool.entity.ts';
import { holdsByIds } from '../../src/inventory/read-holds.ts';
import {
  blockUnits,
  insertUnits,
  keepFor,
  keepPlaces,
  letGoPlaces,
  letGoUnits,
  takeKeptPlaces,
  unitIdOf,
  watchPools,
} from '../../src/inventory/units.ts';
import { claimOf, itemOf, TestInventory } from '../support/inventory.ts';
import { InventoryModel, type ModelPool, type ModelUnit } from './model.ts';
import { PoolFollower } from './pool-follower.ts';

/** Numbers that name things by their place: the model and the database have other ids in every run. */
interface ClaimPlan {
  claimant: number;
  items: { pool: number; unit: number | null; quantity: number; kind: string | null }[];
}

interface Real {
  inventory: TestInventory;
  claimants: string[];
  follower: PoolFollower;
}
type Command = fc.AsyncCommand<InventoryModel, Real>;

const VERBS = Object.keys(TRANSITIONS) as (keyof typeof TRANSITIONS)[];
const RUNS = 50;
/** A control ends when the bug is found: so many lives are only the most it may take. */
const RUNS_UNTIL_FOUND = 300;
/** Of the controls: that a bug is found must not depend on what is drawn. */
const SEED = 1;
const COMMANDS_MAX = 60;
/** Thousands of transactions: on a busy machine more than the usual minute. */
const WITHIN_MS = 300_000;

const command = (name: string, run: (model: InventoryModel, real: Real) => Promise<void>): Command => ({
  check: () => true,
  run,
  toString: () => name,
});

const onHold = (
  name: string,
  index: number,
  run: (model: InventoryModel, real: Real, hold: InventoryModel['holds'][number]) => Promise<void>,
) => ({
  ...command(name, (model, real) => run(model, real, model.holds[index % model.holds.length] as InventoryModel['holds'][number])),
  check: (model: Readonly<InventoryModel>) => model.holds.length > 0,
});

const place = (plan: ClaimPlan, turn: number): Command =>
  command(`place(${JSON.stringify(plan)})`, async (model, { inventory, claimants }) => {
    const claim = claimOf({
      claimantId: claimants[plan.claimant] as string,
      items: plan.items.map((item) => {
        const { id, kind } = model.pools[item.pool] as ModelPool;
        const unitId = item.unit === null ? null : unitOf(model, item.unit).id;
        return itemOf(id, { kind: item.kind ?? kind, unitId, quantity: unitId ? 1 : item.quantity });
      }),
    });
    const expected = model.place(claim);

    expectPlaced(model, claim, expected, await inventory.kernelOf(turn).place(claim));
  });

const unitOf = (model: InventoryModel, index: number) => model.pools.flatMap((pool) => pool.units)[index] as ModelUnit;

function expectPlaced(
  model: InventoryModel,
  claim: ClaimRequest,
  expected: ReturnType<InventoryModel['place']>,
  answer: ClaimAnswer,
): void {
  if (answer.outcome !== 'GRANTED') {
    expect(answer).toEqual(expected);
    return;
  }
  expect(answer).toMatchObject(expected);
  model.granted(answer.holdId, claim);
}

const replay = (index: number, isSame: boolean, turn: number): Command =>
  onHold(`replay(hold ${index}, ${isSame ? 'same' : 'another'} request)`, index, async (model, { inventory }, hold) => {
    const claim = { ...hold.claim, requestHash: isSame ? hold.claim.requestHash : Buffer.alloc(32, 9) };

    expect(await inventory.kernelOf(turn).place(claim)).toEqual(model.place(claim));
  });

const move = (verb: (typeof VERBS)[number], index: number, as: number | null, turn: number): Command =>
  onHold(`${verb}(hold ${index}, claimant ${as})`, index, async (model, { inventory, claimants }, hold) => {
    const claimantId = as === null ? null : (claimants[as] as string);

    const outcome = await inventory.kernelOf(turn).move(verb, hold.id, claimantId);

    expect(outcome).toBe(model.move(verb, hold, claimantId));
  });

/** The steps a hold goes from here to its end in, so that runs get beyond HELD. */
const pay = (index: number, steps: number): Command =>
  onHold(`pay(hold ${index}, ${steps} steps)`, index, async (model, { inventory }, hold) => {
    for (const verb of (['startPaying', 'confirm', 'giveBack'] as const).slice(0, steps))
      expect(await inventory.kernel.move(verb, hold.id)).toBe(model.move(verb, hold, null));
  });

const runOut = (index: number): Command =>
  onHold(`runOut(hold ${index})`, index, async (model, { inventory }, hold) => {
    await inventory.runOut(hold.id);
    model.runOut(hold);
  });

const sweep = (): Command => command('sweep()', (_model, { inventory }) => inventory.kernel.inventory.sweep());

const adjust = (index: number, capacity: number): Command =>
  command(`adjust(pool ${index}, ${capacity})`, async (model, { inventory }) => {
    const pool = model.pools[index] as ModelPool;

    const adjusted = await inventory.kernel.inventory.adjustCapacity(pool.id, pool.kind, capacity);

    expect(adjusted).toMatchObject(model.adjust(pool, capacity));
    await keepPlacesLonger(inventory);
  });

/**
 * A unit is kept for a follower, and then claimed by somebody or by nobody: by the follower in the same transaction. What ran out is tidied first: the model
 * knows no sweeper.
 */
const offer = (index: number, to: number, claimedBy: number | null, turn: number): Command =>
  command(`offer(unit ${index}, to ${to}, claimed by ${claimedBy})`, async (model, { inventory, claimants }) => {
    const { id, kind } = model.pools[NUMBERED] as ModelPool;
    const unit = unitOf(model, index);
    const claimant = (number: number) => claimants[number] as string;
    const claim = claimOf({ claimantId: claimant(claimedBy ?? to), items: [itemOf(id, { kind, unitId: unit.id })] });
    await inventory.kernel.inventory.sweep();
    const isKept = model.keepFor(unit, claimant(to));
    const expected = model.place(claim);

    const offered = await inventory.kernel.database.transact(
      async (em) => {
        const kept = await keepFor(em, unit.id, claimant(to));
        return { kept, answer: claimedBy === to ? (await inventory.kernel.inventory.placeIn(em, claim)).answer : null };
      },
      { name: 'offer' },
    );
    expect(offered.kept).toBe(isKept);
    if (claimedBy === null) return;
    expectPlaced(model, claim, expected, offered.answer ?? (await inventory.kernelOf(turn).place(claim)));
  });

/** Places without numbers are claimed for a follower, of those that are kept too. */
const offerPlaces = (index: number, claimant: number, quantity: number): Command =>
  command(`offerPlaces(pool ${index}, to ${claimant}, ${quantity})`, async (model, { inventory, claimants }) => {
    const pool = model.pools[index] as ModelPool;
    const claimantId = claimants[claimant] as string;
    const claim = claimOf({ claimantId, items: [itemOf(pool.id, { kind: pool.kind, quantity })] });
    await inventory.kernel.inventory.sweep();
    const taken = model.takeKept(pool, quantity);
    const expected = model.place(claim);
    if (expected.outcome !== 'GRANTED') pool.kept += taken;

    const answer = await inventory.kernel.database.transact(
      async (em) => {
        expect(await takeKeptPlaces(em, pool.id, claimantId, quantity)).toBe(taken);
        const { answer } = await inventory.kernel.inventory.placeIn(em, claim);
        if (answer.outcome !== 'GRANTED') await keepPlaces(em, pool.id, taken);
        return answer;
      },
      { name: 'offer-places' },
    );
    expectPlaced(model, claim, expected, answer);
    await keepPlacesLonger(inventory);
  });

const letGoOf = (index: number): Command =>
  command(`letGoPlaces(pool ${index})`, async (model, { inventory }) => {
    const pool = model.pools[index] as ModelPool;
    await inventory.kernel.inventory.sweep();
    await inventory.kernel.database.transact((em) => letGoPlaces(em, pool.id), { name: 'let-go-places' });
    model.letGoPlaces(pool);
  });

const keepingEnds = (): Command =>
  command('keepingEnds()', async (model, { inventory }) => {
    await inventory.kernel.inventory.sweep();
    await inventory.query("update unit set kept_until = clock_timestamp() where state = 'KEPT'");
    await inventory.query('update pool set kept_until = clock_timestamp() where kept > 0');
    model.keepingEnds();
  });

const letGo = (indices: readonly number[]): Command =>
  command(`letGo(units ${indices})`, async (model, { inventory }) => {
    const units = indices.map((index) => unitOf(model, index));
    await inventory.kernel.inventory.sweep();
    const ids = units.map(({ id }) => id);
    await inventory.kernel.database.transact((em) => letGoUnits(em, ids), { name: 'let-go' });
    model.letGo(units);
  });

const watch = (index: number, isWatched: boolean): Command =>
  command(`watch(pool ${index}, ${isWatched})`, async (model, { inventory }) => {
    const pool = model.pools[index] as ModelPool;
    await inventory.kernel.inventory.sweep();
    await inventory.kernel.database.transact((em) => watchPools(em, [pool.id], isWatched), { name: 'watch' });
    pool.isWatched = isWatched;
  });

const block = (numbers: readonly number[], isBlocked: boolean, turn: number): Command =>
  command(`${isBlocked ? 'block' : 'unblock'}(${numbers})`, async (model, { inventory }) => {
    const pool = model.pools[NUMBERED] as ModelPool;

    const { pools: _, ...blocked } = await inventory
      .kernelOf(turn)
      .database.transact((em) => blockUnits(em, pool.id, numbers, isBlocked), { name: 'block' });

    expect(blocked).toEqual(model.block(pool, numbers, isBlocked));
  });

const follow = (): Command => command('follow()', (_model, { follower }) => follower.read());

const turn = fc.nat({ max: 1 });
const aPool = fc.nat({ max: 3 });
const aCounted = fc.nat({ max: 2 });
const aHold = fc.nat({ max: 20 });
const aClaimant = fc.nat({ max: 2 });
const SEATS = 3;
const NUMBERED = 4;
/** Of all units of the model: first those of SEATS, then those of NUMBERED. */
const aSeat = fc.nat({ max: 3 });
const aNumbered = fc.integer({ min: 4, max: 8 });
const numbers = fc.uniqueArray(fc.nat({ max: 5 }), { minLength: 1, maxLength: 3 }).map((some) => some.toSorted());
const quantity = fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 2, max: 3 }) });
const ofPool = (pool: number, unit: fc.Arbitrary<number | null>, count: fc.Arbitrary<number> = fc.constant(1)) =>
  fc.record({ pool: fc.constant(pool), unit, quantity: count, kind: fc.constant(null) });
const counted = fc.record({ pool: fc.nat({ max: 2 }), unit: fc.constant(null), quantity, kind: fc.constant(null) });
// A unit of another pool, a pool of another kind, a seat without its number.
const strange = fc.record({
  pool: aPool,
  unit: fc.option(fc.nat({ max: 8 })),
  quantity,
  kind: fc.option(fc.constant('another'), { freq: 2 }),
});

/** Two sorts of lives: most is about what is counted, or most about numbered units; in both a claim may be for both. */
const ITEMS = {
  counted: fc.oneof(
    { weight: 12, arbitrary: counted },
    { weight: 8, arbitrary: ofPool(SEATS, aSeat) },
    { weight: 2, arbitrary: strange },
    { weight: 1, arbitrary: ofPool(NUMBERED, aNumbered) },
  ),
  numbered: fc.oneof(
    { weight: 12, arbitrary: ofPool(NUMBERED, aNumbered) },
    { weight: 2, arbitrary: counted },
    { weight: 1, arbitrary: ofPool(NUMBERED, aSeat) },
  ),
};
type Lives = keyof typeof ITEMS;
const LIVES = Object.keys(ITEMS) as Lives[];

const aMove = fc.tuple(fc.constantFrom(...VERBS), aHold, fc.option(aClaimant), turn).map((args) => move(...args));
const anyLife = (item: (typeof ITEMS)[Lives]) => {
  const items = fc.oneof(
    { weight: 2, arbitrary: fc.tuple(item) },
    { weight: 1, arbitrary: fc.array(item, { minLength: 2, maxLength: 3 }) },
  );
  const aPlace = fc.tuple(fc.record({ claimant: aClaimant, items }), turn).map((args) => place(...args));
  return [
    aPlace,
    aPlace,
    aPlace,
    fc.tuple(aHold, fc.boolean(), turn).map((args) => replay(...args)),
    aMove,
    aMove,
    fc.tuple(aHold, fc.integer({ min: 1, max: 3 })).map((args) => pay(...args)),
    aHold.map(runOut),
    fc.constant(sweep()),
  ];
};
const LIFE: Record<Lives, fc.Arbitrary<Iterable<Command>>> = {
  counted: fc.commands(
    [
      ...anyLife(ITEMS.counted),
      fc.tuple(aPool, fc.integer({ min: 0, max: 12 })).map((args) => adjust(...args)),
      fc.tuple(aCounted, aClaimant, quantity).map((args) => offerPlaces(...args)),
      fc.constant(keepingEnds()),
      aCounted.map(letGoOf),
      fc.tuple(aCounted, fc.boolean()).map((args) => watch(...args)),
    ],
    { maxCommands: COMMANDS_MAX, size: 'max' },
  ),
  numbered: fc.commands(
    [
      ...anyLife(ITEMS.numbered),
      fc.tuple(aNumbered, aClaimant, fc.option(aClaimant, { freq: 2 }), turn).map((args) => offer(...args)),
      fc.constant(keepingEnds()),
      fc.array(aNumbered, { minLength: 1, maxLength: 3 }).map(letGo),
      fc.boolean().map((isWatched) => watch(NUMBERED, isWatched)),
      fc.tuple(numbers, fc.boolean(), turn).map((args) => block(...args)),
      fc.constant(follow()),
    ],
    { maxCommands: COMMANDS_MAX, size: 'max' },
  ),
};

/** Keeping ends when a life says so, not when ten seconds of a slow machine have passed. */
async function keepLonger(inventory: TestInventory): Promise<void> {
  for (const name of ['give_back', 'block_units', 'keep_unit_for', 'take_kept_places'])
    await inventory.rewrite(name, "interval '10 s'", "interval '1 h'");
}

const keepPlacesLonger = (inventory: TestInventory) =>
  inventory.query("update pool set kept_until = clock_timestamp() + interval '1 h' where kept_until > clock_timestamp()");

/** Pools of every sort, new in each run: with a limit, two under one quota, one with units. */
async function begin(inventory: TestInventory, policy: Policy): Promise<{ model: InventoryModel; real: Real }> {
  const quota = { key: randomUUID(), max: 5 };
  const pool = (kind: string, capacity: number, more: Partial<ModelPool> = {}): ModelPool => ({
    id: randomUUID(),
    kind,
    capacity,
    perClaimantMax: null,
    quota: null,
    priceMinor: capacity * 1_000,
    isWatched: false,
    kept: 0,
    units: [],
    ...more,
  });
  const seats = pool('seat', 4);
  const numbered = pool('performance', 5, { perClaimantMax: 4, isWatched: true });
  const pools = [pool('lesson', 7, { perClaimantMax: 3 }), pool('lesson', 6, { quota }), pool('locker', 8, { quota }), seats, numbered];
  for (const each of pools) await inventory.pool({ ...each, policy });
  const resting = { rest: 'AVAILABLE', keptFor: null } as const;
  seats.units = (await inventory.units(seats.id, 4)).map((id) => ({ id, priceMinor: null, ...resting }));
  const priced = Array.from({ length: 5 }, (_, number) => ({
    number,
    label: `A-${number}`,
    priceMinor: 50_000 + number,
    isBlocked: false,
  }));
  await inventory.kernel.database.transact((em) => insertUnits(em, numbered.id, priced), { name: 'insert-units' });
  numbered.units = priced.map(({ number, priceMinor }) => ({ id: unitIdOf(numbered.id, number), priceMinor, ...resting }));
  const ids = pools.map(({ id }) => id);
  for (const kernel of inventory.kernels) await kernel.meet(ids);
  return {
    model: new InventoryModel(pools),
    real: {
      inventory,
      claimants: [randomUUID(), randomUUID(), randomUUID()],
      follower: new PoolFollower(inventory, numbered.id),
    },
  };
}

async function expectAlike(model: InventoryModel, { inventory, follower }: Real): Promise<void> {
  const availability = await inventory.kernel.inventory.availabilityOf(model.pools.map(({ id }) => id));
  for (const pool of model.pools) expect(availability.find(({ id }) => id === pool.id)).toMatchObject(model.availabilityOf(pool));
  const holds = await holdsByIds(
    inventory.kernel.database.pool,
    model.holds.map(({ id }) => id),
  );
  expect(Object.fromEntries(holds.map(({ id, state }) => [id, state]))).toEqual(
    Object.fromEntries(model.holds.map(({ id, state }) => [id, state])),
  );
  await inventory.kernel.inventory.sweep();
  const { id, units } = model.pools[NUMBERED] as ModelPool;
  expect((await inventory.unitsOf(id)).map(([state]) => state)).toEqual(units.map((unit) => model.stateOf(unit)));
  await follower.read();
  await inventory.expectSound();
}

const property = (inventory: () => TestInventory, policy: Policy, lives: Lives) =>
  fc.asyncProperty(LIFE[lives], async (run) => {
    const { model, real } = await begin(inventory(), policy);
    await fc.asyncModelRun(() => ({ model, real }), run);
    await expectAlike(model, real);
  });

describe.each(POLICIES)('any life of an inventory is as the model says, %s', (policy) => {
  let inventory: TestInventory;
  beforeAll(async () => {
    inventory = await TestInventory.open({ kernels: 2, poolMax: 4 });
    await keepLonger(inventory);
  });
  afterAll(() => inventory.close());

  test.each(LIVES)(
    `in ${RUNS} lives of up to ${COMMANDS_MAX} commands, most about what is %s`,
    async (lives) => {
      await fc.assert(
        property(() => inventory, policy, lives),
        { numRuns: RUNS },
      );
    },
    WITHIN_MS,
  );
});

// Bugs that were there once, or nearly: the model must find each of them.
const BUGS: Record<Lives, [bug: string, name: string, from: string | RegExp, to: string][]> = {
  counted: [
    ['give back is forgotten', 'give_back', 'where u.hold_id = any (p_holds) and', 'where false and'],
    ['the limit is off by one', 'claim_holds', /> (?=\w+\.per_claimant_max)/, '> 1 + '],
    ['a unit can be named twice', 'claim_holds', 'or p_item_units[v_item] = any (p_item_units[v_from : v_item - 1])', ''],
    ['a quota forgets what its claimant has', 'claim_holds', /q\.quota_key = \w+\.quota_key/, 'false'],
    ['what has run out is not taken back', 'claim_holds', 'h.expires_at <= v_started', 'false'],
    ['a hold that ran out can be released', 'move_hold', 'v_hold.expires_at <= clock_timestamp()', 'false'],
    ['kept places are for anybody', 'claim_holds', 'case when v_pool.kept_until > v_now then v_pool.kept else 0 end', '0'],
    ['places are kept for ever', 'claim_holds', 'v_pool.kept_until > v_now then', 'true then'],
    [
      'only what was given back last is kept',
      'give_back',
      'case when p.kept_until > clock_timestamp() then p.kept else 0 end + back.places',
      'back.places',
    ],
  ],
  numbered: [
    ['a unit has no price of its own', 'claim_holds', 'v_unit_price[v_item_unit[v_item]], v_pool.price_minor', 'v_pool.price_minor'],
    ['what is kept for one is taken by another', 'claim_holds', 'v_unit_kept_for[v_unit] <> p_claimants[v_claim]', 'false'],
    ['what is kept for nobody yet is taken', 'claim_holds', 'or u.kept_for is not null', 'or true'],
    ['what is kept stays so for ever', 'claim_holds', 'u.kept_until <= v_now', 'false'],
    ['not all taken units are named', 'claim_holds', "v_taken_list := v_taken_list || ','", "v_taken_list := ','"],
    ['a change has no version', 'give_back', 'version = p.version, state', 'version = u.version, state'],
    ['what is blocked still counts', 'block_units', 'then -v_changes', 'then 0'],
  ],
};
const bugs = LIVES.flatMap((lives) => BUGS[lives].map(([bug, ...rewritten]) => ({ bug, lives, rewritten })));
test.each(bugs)(
  'the model finds it when $bug',
  async ({ lives, rewritten }) => {
    await using inventory = await TestInventory.open({ kernels: 2, poolMax: 4 });
    await inventory.rewrite(...rewritten);
    await keepLonger(inventory);

    const { failed } = await fc.check(
      property(() => inventory, 'PESSIMISTIC', lives),
      { numRuns: RUNS_UNTIL_FOUND, endOnFailure: true, seed: SEED },
    );

    expect(failed).toBe(true);
  },
  WITHIN_MS,
);
