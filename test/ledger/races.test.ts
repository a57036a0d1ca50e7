import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { IsolationLevel } from '@mikro-orm/postgresql';
import type { Posted, Transfer } from '../../src/ledger/ledger.ts';
import { expectViolationSeen, expectViolationSeenOnce } from '../support/inventory.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { captured, clearing, countsOf, deposits, issued, issuedPoints, moved, points, spent, TestLedger } from './test-ledger.ts';

failOnLeaks();

const LOCK = 'order by id for no key update';
const AFTER_BALANCES_READ = 'v_balances := v_before;';
/** Of those who spend, who come in pairs, not of who gives them the 10,000. */
const SPENDING = 'p_entry_amounts[1] <> -10000';

describe('7,000 and 5,000 spent at once from 10,000 points', () => {
  const TRIALS = 200;

  /** Trials side by side, a member each, so that the two of a trial meet in ever other ways. */
  async function spendTwice(ledger: TestLedger, trials: number): Promise<void> {
    const members = Array.from({ length: trials }, () => randomUUID());
    for (const member of members) await ledger.give(member, 10_000);

    const outcomes = [];
    for (const member of members) {
      const answers = await Promise.all([ledger.post([spent(member, 7_000)]), ledger.post([spent(member, 5_000)])]);
      const [left] = await ledger.balancesOf(points(member));
      outcomes.push({ ...countsOf(answers.flat()), left: left === 3_000 || left === 5_000 ? 'one of them' : left });
    }

    expect(outcomes).toEqual(members.map(() => ({ POSTED: 1, INSUFFICIENT: 1, left: 'one of them' })));
  }

  test(`exactly one succeeds, ${TRIALS} times out of ${TRIALS}`, async () => {
    await using ledger = await TestLedger.open();

    await spendTwice(ledger, TRIALS);

    await ledger.expectSound();
  });

  test('both succeed, and the balance is below zero, without the lock and the constraint', async () => {
    await using ledger = await TestLedger.open();
    await ledger.rewrite(LOCK, 'order by id');
    await ledger.letRivalsMeet(AFTER_BALANCES_READ, SPENDING, '20 s');
    await ledger.query('alter table ledger_account drop constraint ledger_account_never_below_floor');

    await expectViolationSeen(spendTwice(ledger, 3));

    const balances = await ledger.query("select distinct balance_minor::int as balance from ledger_account where kind = 'MEMBER_POINTS'");
    expect(balances).toEqual([{ balance: -2_000 }]);
    expect(Object.keys(await ledger.broken())).toEqual(['ledger-balances-chain', 'ledger-floors-kept']);
  });

  test('the constraint alone still keeps the balance above zero', async () => {
    await using ledger = await TestLedger.open();
    await ledger.rewrite(LOCK, 'order by id');
    await ledger.letRivalsMeet(AFTER_BALANCES_READ, SPENDING, '20 s');
    await ledger.give('jun', 10_000);

    const answers = await Promise.allSettled([ledger.post([spent('jun', 7_000)]), ledger.post([spent('jun', 5_000)])]);

    expect(answers.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(answers.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: { message: expect.stringContaining('ledger_account_never_below_floor') },
    });
    await ledger.expectSound();
  });
});

describe('the same transfer at once', () => {
  const CONNECTIONS = 10;

  async function postByAll(ledger: TestLedger, transfer: Transfer): Promise<void> {
    const before = await ledger.counts();

    const answers = await Promise.all(Array.from({ length: CONNECTIONS }, () => ledger.post([transfer])));

    expect(countsOf(answers.flat())).toEqual({ POSTED: 1, ALREADY_POSTED: CONNECTIONS - 1 });
    expect(await ledger.counts()).toEqual({ transfers: before.transfers + 1, entries: before.entries + transfer.entries.length });
  }

  test.each<[string, () => Transfer]>([
    ['of money', () => captured(70_000)],
    ['of points', () => spent('jun', 100)],
  ])(`by ${CONNECTIONS} connections posts once, %s`, async (_what, make) => {
    await using ledger = await TestLedger.open();
    await ledger.give('jun', 10_000);

    for (let round = 0; round < 20; round++) await postByAll(ledger, make());

    await ledger.expectSound();
  });

  test('posts it more than once where ids are not unique', async () => {
    await using ledger = await TestLedger.open();
    await ledger.post([captured(1)]);
    await ledger.letRivalsMeet('-- In the order of their ids');
    await ledger.query(`
      alter table ledger_transfer drop constraint ledger_transfer_pkey cascade;
      alter table ledger_entry drop constraint ledger_entry_pkey;
      drop trigger ledger_transfer_whole on ledger_transfer`);

    await expectViolationSeenOnce(() => postByAll(ledger, captured(70_000)));

    expect(Object.keys(await ledger.broken())).toEqual(['ledger-transfers-whole']);
  });

  test.each<[string, 'commit' | 'rollback', Transfer, Posted]>([
    ['waits for the one that is posting it, and was already posted', 'commit', captured(70_000), 'ALREADY_POSTED'],
    ['waits for the one that is posting it, and posts when that rolls back', 'rollback', captured(70_000), 'POSTED'],
    ['of points waits, and was already posted', 'commit', spent('jun', 100), 'ALREADY_POSTED'],
    ['of points waits, and posts when the other rolls back', 'rollback', spent('jun', 100), 'POSTED'],
  ])('the second %s', async (_what, end, transfer, answer) => {
    await using ledger = await TestLedger.open();
    await ledger.post([issued('jun', 100), captured(1)]);

    const second = await ledger.whilePosted([transfer], end, async () => {
      const second = ledger.post([transfer]);
      await ledger.waiting();
      return { second };
    });

    expect(await second.second).toEqual([answer]);
    expect(await ledger.counts()).toEqual({ transfers: 3, entries: 6 });
    await ledger.expectSound();
  });

  test.each<[string, Transfer]>([
    ['money', captured(70_000)],
    ['points', spent('jun', 100)],
  ])('fails to serialize in REPEATABLE READ instead of posting twice, and is answered when tried again: %s', async (_what, transfer) => {
    await using ledger = await TestLedger.open();
    await ledger.post([issued('jun', 100), captured(1)]);

    const second = await ledger.whilePosted([transfer], 'commit', async () => {
      const second = ledger.post([transfer], { isolation: IsolationLevel.REPEATABLE_READ, retriesMax: 1 });
      await ledger.waiting();
      return { second };
    });

    expect(await second.second).toEqual(['ALREADY_POSTED']);
    expect(ledger.db.observed.filter(({ retried }) => retried)).toEqual([{ name: 'post', retried: 'serialization' }]);
    await ledger.expectSound();
  });

  test('with another content is told apart, and what follows it in the batch is decided without it', async () => {
    await using ledger = await TestLedger.open();
    await ledger.post([issued('jun', 100), captured(1)]);
    const id = randomUUID();
    const batch = [{ ...issued('jun', 50), id }, spent('jun', 120), spent('jun', 80)];

    const second = await ledger.whilePosted([{ ...captured(70_000), id }], 'commit', async () => {
      // The first try ends in a serialization failure: it had counted on the 50 points.
      const second = ledger.post(batch, { retriesMax: 1 });
      await ledger.waiting();
      return { second };
    });

    expect(await second.second).toEqual(['TRANSFER_REUSED', 'INSUFFICIENT', 'POSTED']);
    expect(ledger.db.observed.filter(({ retried }) => retried)).toEqual([{ name: 'post', retried: 'serialization' }]);
    expect(await ledger.balancesOf(points('jun'))).toEqual([20]);
    await ledger.expectSound();
  });
});

describe('transfers that meet in opposite orders', () => {
  const MEMBERS = ['ara', 'bora', 'chan', 'dami', 'eun', 'gyu'];

  const inTurn = (turn: number, batch: Transfer[]) => (turn % 2 === 0 ? batch : batch.toReversed());

  /** A ring of gifts through all members, one way or the other: it leaves everybody what they had. */
  const ring = (turn: number): Transfer => {
    const way = turn % 2 === 0 ? MEMBERS : MEMBERS.toReversed();
    return moved(0, issuedPoints, issuedPoints, {
      entries: way.flatMap((member, index) => moved(10, points(member), points(way[(index + 1) % way.length] as string)).entries),
    });
  };

  async function postAll(ledger: TestLedger, batches: Transfer[][]): Promise<Posted[]> {
    const answers = await Promise.allSettled(batches.map((batch) => ledger.post(batch)));

    expect(answers.filter(({ status }) => status === 'rejected')).toEqual([]);
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
  }

  async function throughTheSameAccounts(ledger: TestLedger): Promise<void> {
    for (const member of MEMBERS) await ledger.give(member, 1_000);

    await postAll(
      ledger,
      Array.from({ length: 40 }, (_, turn) => [ring(turn)]),
    );

    expect(await ledger.balancesOf(...MEMBERS.map(points))).toEqual(MEMBERS.map(() => 1_000));
  }

  async function theSameTransfers(ledger: TestLedger): Promise<void> {
    await ledger.post([captured(1)]);

    for (let round = 0; round < 5; round++) {
      const batch = Array.from({ length: 50 }, () => captured(100));
      const answers = await postAll(
        ledger,
        Array.from({ length: 10 }, (_, turn) => inTurn(turn, batch)),
      );
      expect(countsOf(answers)).toEqual({ POSTED: 50, ALREADY_POSTED: 450 });
    }

    expect(await ledger.balancesOf(deposits())).toEqual([5 * 50 * 100 + 1]);
  }

  async function accountsThatAreNotThere(ledger: TestLedger): Promise<void> {
    for (let round = 0; round < 5; round++) {
      const owners = Array.from({ length: 50 }, (_, index) => `round ${round} provider ${index}`);
      const batch = () => owners.map((owner) => moved(100, clearing(owner), clearing('all')));
      const answers = await postAll(
        ledger,
        Array.from({ length: 10 }, (_, turn) => inTurn(turn, batch())),
      );
      expect(countsOf(answers)).toEqual({ POSTED: 500 });
    }

    expect(await ledger.query('select count(*)::int as accounts from ledger_account')).toEqual([{ accounts: 251 }]);
    expect(await ledger.balancesOf(clearing('round 4 provider 49'))).toEqual([-1_000]);
  }

  describe.each([
    ['40 at once through the same six accounts', throughTheSameAccounts, LOCK, 'order by random() for no key update'],
    ['the same transfers in batches of opposite orders', theSameTransfers, 'order by t.id', ''],
    ['accounts that are not there yet', accountsThatAreNotThere, 'order by n.kind, n.owner, n.currency', ''],
  ])('%s', (_what, scenario, order, disorder) => {
    test('none fails', async () => {
      await using ledger = await TestLedger.open();

      await scenario(ledger);

      await ledger.expectSound();
    });

    test('some deadlock where rows are not met in one order', async () => {
      await expectViolationSeenOnce(async () => {
        await using ledger = await TestLedger.open();
        await ledger.rewrite(order, disorder);
        // Found after a twentieth of a second, not a whole one, so that the test ends soon.
        await ledger.query("do $$ begin execute format('alter database %I set deadlock_timeout = 50', current_database()); end $$");

        // Two batches that are written row by row for a tenth of a second meet in the middle.
        await ledger.query(`
          create function take_time() returns trigger language plpgsql as $$ begin perform pg_sleep(0.002); return new; end $$;
          create trigger take_time before insert on ledger_transfer for each row execute function take_time();
          create trigger take_time before insert on ledger_account for each row execute function take_time()`);

        await scenario(ledger).finally(() => ledger.expectSound());
      });
    });
  });
});

describe('an account without a floor', () => {
  test('is posted to by others while a transaction that posted to it is open', async () => {
    await using ledger = await TestLedger.open();
    await ledger.post([captured(1)]);

    const meanwhile = await ledger.whilePosted([captured(70_000)], 'commit', () => ledger.post([captured(5_000)]));

    expect(meanwhile).toEqual(['POSTED']);
    expect(await ledger.balancesOf(deposits())).toEqual([75_001]);
  });

  test('and one with a floor is not', async () => {
    await using ledger = await TestLedger.open();
    await ledger.give('jun', 1_000);

    await ledger.whilePosted([spent('jun', 1)], 'commit', async () => {
      await expect(ledger.post([spent('jun', 1)], { lockTimeoutMs: 100 })).rejects.toThrow('lock timeout');
    });

    expect(await ledger.balancesOf(points('jun'))).toEqual([999]);
  });

  test('is never written again', async () => {
    await using ledger = await TestLedger.open();
    await ledger.post([captured(1)]);
    const written = () => ledger.query('select id, ctid::text, xmin::text from ledger_account order by id');
    const before = await written();

    await Promise.all(Array.from({ length: 20 }, () => ledger.post([captured(70_000), moved(30_000, deposits(), clearing())])));

    expect(await written()).toEqual(before);
  });
});
