import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ledgerChecks } from '../../src/ledger/ledger.checks.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { captured, spent, TestLedger } from './test-ledger.ts';

failOnLeaks();

const POINTS_ACCOUNT = "select id from ledger_account where kind = 'MEMBER_POINTS'";
const DEPOSITS = "select id from ledger_account where kind = 'CUSTOMER_DEPOSITS'";

/** Each with every protection of the database switched off, as a superuser or a careless restore could. */
const planted: [check: string, what: string, violation: string, alsoBroken: string[]][] = [
  [
    'ledger-transfers-balance',
    'an amount is changed',
    `update ledger_entry set amount_minor = amount_minor + 1 where account_id = (${DEPOSITS})`,
    [],
  ],
  [
    'ledger-transfers-balance',
    'an account changes its currency',
    "update ledger_account set currency = 'USD' where kind = 'CUSTOMER_DEPOSITS'",
    [],
  ],
  [
    'ledger-transfers-whole',
    'entries that balance are added to a transfer that was posted',
    `insert into ledger_entry (transfer_id, position, account_id, amount_minor)
     select transfer_id, position + 2, account_id, amount_minor from ledger_entry where balance_after_minor is null
       and transfer_id = (select min(transfer_id::text)::uuid from ledger_entry where account_id = (${DEPOSITS}))`,
    [],
  ],
  [
    'ledger-transfers-whole',
    'the entries of a transfer are gone',
    `delete from ledger_entry where transfer_id in (select id from ledger_transfer where kind = 'capture')`,
    [],
  ],
  [
    'ledger-balances-equal-entries',
    'a balance is changed',
    'update ledger_account set balance_minor = balance_minor + 1 where has_floor',
    ['ledger-balances-chain'],
  ],
  [
    'ledger-balances-equal-entries',
    'an account has a balance and no entries',
    "insert into ledger_account (kind, owner, currency, has_floor, balance_minor) values ('MEMBER_POINTS', 'sua', 'PTS', true, 5)",
    ['ledger-balances-chain'],
  ],
  [
    'ledger-balances-chain',
    'a balance after an entry is changed',
    'update ledger_entry set balance_after_minor = balance_after_minor + 1 where amount_minor = -60',
    [],
  ],
  [
    'ledger-floors-kept',
    'more is spent than there was',
    `update ledger_account set balance_minor = -100 where has_floor;
     update ledger_entry set amount_minor = amount_minor * 200 / 60, balance_after_minor = -100 where abs(amount_minor) = 60 and account_id = (${POINTS_ACCOUNT});
     update ledger_entry set amount_minor = 200 where amount_minor = 60`,
    [],
  ],
  [
    'ledger-floors-kept',
    'an account was below zero once',
    `update ledger_entry set balance_after_minor = -40, amount_minor = -140 where amount_minor = -60;
     update ledger_entry set amount_minor = 140 where amount_minor = 60;
     insert into ledger_transfer (id, kind, subject_id, request_hash, entry_count) values ('00000000-0000-4000-8000-000000000000', 'x', 'x', '', 2);
     insert into ledger_entry select '00000000-0000-4000-8000-000000000000', 0, id, 80, 40 from ledger_account where has_floor;
     insert into ledger_entry select '00000000-0000-4000-8000-000000000000', 1, id, -80, null from ledger_account where kind = 'POINTS_ISSUED'`,
    [],
  ],
  [
    'ledger-currencies-fit',
    'an account of points counts won',
    "insert into ledger_account (kind, owner, currency, has_floor) values ('POINTS_ISSUED', '', 'KRW', false)",
    [],
  ],
  [
    'ledger-currencies-fit',
    'a member has points without a floor',
    "insert into ledger_account (kind, owner, currency, has_floor) values ('MEMBER_POINTS', 'sua', 'PTS', false)",
    [],
  ],
  [
    'ledger-currencies-fit',
    'an entry of an account without a floor has a balance',
    `update ledger_entry set balance_after_minor = 70000 where account_id = (${DEPOSITS})`,
    [],
  ],
  [
    'ledger-currencies-fit',
    'an entry of an account with a floor has none',
    `update ledger_entry set balance_after_minor = null where amount_minor = -60`,
    ['ledger-balances-chain'],
  ],
];

describe('each check', () => {
  let ledger: TestLedger;
  beforeAll(async () => {
    ledger = await TestLedger.open();
    await ledger.give('jun', 100);
    await ledger.post([spent('jun', 60), { ...captured(70_000), kind: 'capture' }]);
    await ledger.query(`
      alter table ledger_account disable trigger all;
      alter table ledger_transfer disable trigger all;
      alter table ledger_entry disable trigger all;
      alter table ledger_account drop constraint ledger_account_currency_fits, drop constraint ledger_account_floor_fits,
        drop constraint ledger_account_balance_kept, drop constraint ledger_account_never_below_floor;
      alter table ledger_entry drop constraint ledger_entry_balance_after_minor_check`);
  });
  afterAll(() => ledger[Symbol.asyncDispose]());

  test('finds nothing where nothing is wrong', async () => {
    await ledger.expectSound();
  });

  test.each(planted)('%s sees it when %s', async (check, _what, violation, alsoBroken) => {
    await ledger.query('begin');
    await ledger.query(violation);

    const broken = await ledger.broken();

    await ledger.query('rollback');
    expect(Object.keys(broken).sort()).toEqual([check, ...alsoBroken].sort());
  });

  test('is planted at least once', () => {
    const seen = new Set(planted.map(([check]) => check));

    expect([...seen].sort()).toEqual(ledgerChecks.map(({ name }) => name).sort());
  });
});
