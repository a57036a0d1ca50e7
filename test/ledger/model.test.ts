import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { AccountName, Posted, Transfer } from '../../src/ledger/ledger.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { clearing, deposits, issuedPoints, points, TestLedger } from './test-ledger.ts';

failOnLeaks();

const RUNS = 60;
const MEMBERS = 3;
/** Of the controls: that a bug is found must not depend on what is drawn. */
const SEED = 1;

/** What is drawn: accounts by number, transfers by the number of their id, so that ids come again. */
interface Drawn {
  idNumber: number;
  kind: string;
  moves: { from: number; to: number; amountMinor: number; ofMoney: boolean }[];
}

const drawn: fc.Arbitrary<Drawn> = fc.record({
  // Of few ids, so that some come again; mostly with another content, sometimes with the same.
  idNumber: fc.nat({ max: 30 }),
  kind: fc.constantFrom('a', 'b'),
  moves: fc.array(
    fc.record({
      from: fc.nat({ max: MEMBERS }),
      to: fc.nat({ max: MEMBERS }),
      amountMinor: fc.integer({ min: 1, max: 10 }),
      ofMoney: fc.boolean(),
    }),
    { minLength: 1, maxLength: 4 },
  ),
});
const again = fc.record({ again: fc.nat({ max: 50 }) });
const batches = fc.array(
  fc.array(fc.oneof({ weight: 4, arbitrary: drawn }, { weight: 1, arbitrary: again }), { minLength: 1, maxLength: 8 }),
  {
    minLength: 1,
    maxLength: 8,
  },
);

/** The ledger as it should be, in a few lines. */
class LedgerModel {
  private readonly contents = new Map<string, string>();
  private readonly balances = new Map<string, number>();

  post(transfers: readonly Transfer[]): Posted[] {
    return transfers.map((transfer) => this.postOne(transfer));
  }

  balanceOf(account: AccountName): number {
    return this.balances.get(JSON.stringify(account)) ?? 0;
  }

  private postOne({ id, ...content }: Transfer): Posted {
    const known = this.contents.get(id);
    if (known) return known === JSON.stringify(content) ? 'ALREADY_POSTED' : 'TRANSFER_REUSED';
    const after = new Map(this.balances);
    for (const { account, amountMinor } of content.entries) {
      const key = JSON.stringify(account);
      const balance = (after.get(key) ?? 0) + amountMinor;
      if (account.kind === 'MEMBER_POINTS' && balance < 0) return 'INSUFFICIENT';
      after.set(key, balance);
    }
    for (const [key, balance] of after) this.balances.set(key, balance);
    this.contents.set(id, JSON.stringify(content));
    return 'POSTED';
  }
}

/** The accounts and ids of one run: new ones, so that runs share a database. */
class World {
  private readonly run = randomUUID();
  private readonly ids = Array.from({ length: 31 }, () => randomUUID());
  private readonly posted: Transfer[] = [];

  readonly accounts = [
    ...Array.from({ length: MEMBERS }, (_, member) => points(this.owner(member))),
    ...Array.from({ length: MEMBERS }, (_, index) => clearing(this.owner(index))),
  ];

  transferOf(plan: Drawn | { again: number }): Transfer {
    const known = 'again' in plan ? this.posted[plan.again % this.posted.length] : undefined;
    if (known) return known;
    const { idNumber, kind, moves } =
      'again' in plan ? { idNumber: 0, kind: 'a', moves: [{ from: 0, to: 1, amountMinor: 1, ofMoney: true }] } : plan;
    const transfer: Transfer = {
      id: this.ids[idNumber] as string,
      kind,
      subjectId: this.run,
      entries: moves.flatMap(({ from, to, amountMinor, ofMoney }) => [
        { account: this.account(from, ofMoney), amountMinor: -amountMinor },
        { account: this.account(to, ofMoney), amountMinor },
      ]),
    };
    this.posted.push(transfer);
    return transfer;
  }

  /** The last number is the house's account, which any amount comes from. */
  private account(number: number, ofMoney: boolean): AccountName {
    if (ofMoney) return number === MEMBERS ? deposits() : clearing(this.owner(number));
    return number === MEMBERS ? issuedPoints : points(this.owner(number));
  }

  private owner(number: number): string {
    return `${this.run} ${number}`;
  }
}

const property = (ledger: () => TestLedger) =>
  fc.asyncProperty(batches, async (plans) => {
    const world = new World();
    const model = new LedgerModel();
    for (const plan of plans) {
      const transfers = plan.map((one) => world.transferOf(one));
      expect(await ledger().post(transfers)).toEqual(model.post(transfers));
    }
    expect(await ledger().balancesOf(...world.accounts)).toEqual(world.accounts.map((account) => model.balanceOf(account)));
    await ledger().expectSound();
  });

describe('any life of a ledger', () => {
  let ledger: TestLedger;
  beforeAll(async () => {
    ledger = await TestLedger.open();
  });
  afterAll(() => ledger[Symbol.asyncDispose]());

  test(`is as the model says, in ${RUNS} lives`, async () => {
    await fc.assert(
      property(() => ledger),
      { numRuns: RUNS },
    );
  });

  test('keeps every balance when its batches are posted at once', async () => {
    await fc.assert(
      fc.asyncProperty(batches, async (plans) => {
        const world = new World();
        const given = plans.map((plan) => plan.map((one) => world.transferOf(one)));

        // Each try that fails does so because another batch was committed.
        const answers = await Promise.all(given.map((transfers) => ledger.post(transfers, { retriesMax: plans.length })));

        // Who came first is not known; what was posted is, and the balances are its sum.
        const posted = given.flatMap((transfers, batch) => transfers.filter((_, index) => answers[batch]?.[index] === 'POSTED'));
        const sums = new Map<string, number>();
        for (const { account, amountMinor } of posted.flatMap(({ entries }) => entries))
          sums.set(JSON.stringify(account), (sums.get(JSON.stringify(account)) ?? 0) + amountMinor);
        expect(await ledger.balancesOf(...world.accounts)).toEqual(world.accounts.map((account) => sums.get(JSON.stringify(account)) ?? 0));
        expect(new Set(posted.map(({ id }) => id)).size).toBe(posted.length);
        await ledger.expectSound();
      }),
      { numRuns: RUNS },
    );
  });
});

// Bugs that could be there: the model must find each of them.
test.each<[string, string, string]>([
  ['what was insufficient is not taken back', 'v_balances[v_account] := v_balances[v_account] - p_entry_amounts[v_entry];', ''],
  ['the floor is off by one', 'if v_after[v_entry] < 0', 'if v_after[v_entry] < -1'],
  ['a reused id is not told from a repeat', "else 'TRANSFER_REUSED' end", "else 'ALREADY_POSTED' end"],
  ['a transfer is not found again in its batch', 'v_twin := v_posted[v_firsts[v_transfer]];', ''],
  ['balances are not kept', 'where a.id = n.id and n.after <> n.before', 'where false'],
])('the model finds it when %s', async (_bug, from, to) => {
  await using ledger = await TestLedger.open();
  await ledger.rewrite(from, to);

  const { failed } = await fc.check(
    property(() => ledger),
    { numRuns: 5 * RUNS, endOnFailure: true, seed: SEED },
  );

  expect(failed).toBe(true);
});
