import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { failOnLeaks } from '../support/leaks.ts';
import { captured, deposits, points, TestLedger } from './test-ledger.ts';

failOnLeaks();

describe('the database refuses, whoever asks,', () => {
  let ledger: TestLedger;
  const transfer = captured(70_000);
  beforeAll(async () => {
    ledger = await TestLedger.open();
    await ledger.post([transfer]);
    await ledger.give('jun', 10_000);
  });
  afterAll(() => ledger[Symbol.asyncDispose]());

  const rows = () =>
    ledger.query(
      'select t.*, e.*, a.* from ledger_transfer t join ledger_entry e on e.transfer_id = t.id join ledger_account a on a.id = e.account_id order by t.id, position',
    );

  test.each([
    ['update on ledger_entry', 'update ledger_entry set amount_minor = amount_minor + 1'],
    ['update on ledger_entry', 'update ledger_entry set balance_after_minor = 0 where false'],
    ['update on ledger_transfer', "update ledger_transfer set kind = 'refund'"],
    ['delete on ledger_entry', 'delete from ledger_entry'],
    ['delete on ledger_transfer', 'delete from ledger_transfer'],
    ['truncate on ledger_entry', 'truncate ledger_entry'],
    ['truncate on ledger_transfer', 'truncate ledger_transfer, ledger_entry'],
    ['truncate on ledger_(account|transfer|entry)', 'truncate ledger_account cascade'],
    ['update on ledger_account', "update ledger_account set currency = 'USD' where currency = 'KRW'"],
    ['update on ledger_account', "update ledger_account set owner = 'kakaopay' where owner = 'toss'"],
    ['delete on ledger_account', 'delete from ledger_account'],
    [
      'update on ledger_transfer',
      `insert into ledger_transfer (id, kind, subject_id, request_hash, entry_count) values ('${transfer.id}', 'x', 'x', '', 2)
       on conflict (id) do update set kind = 'x'`,
    ],
  ])('%s: %s', async (refused, statement) => {
    const before = await rows();

    const changing = ledger.query(statement);

    await expect(changing).rejects.toThrow(
      new RegExp(`^The ledger only appends: ${refused} is refused. Post a transfer that corrects it.$`),
    );
    expect(await rows()).toEqual(before);
  });

  test('a balance below zero', async () => {
    const spending = ledger.query("update ledger_account set balance_minor = -1 where kind = 'MEMBER_POINTS'");

    await expect(spending).rejects.toThrow('ledger_account_never_below_floor');
    expect(await ledger.balancesOf(points('jun'))).toEqual([10_000]);
  });

  test.each([
    ['points of a member without a floor', 'MEMBER_POINTS', 'PTS', false, null, 'ledger_account_floor_fits'],
    ['a clearing account with a floor', 'PROVIDER_CLEARING', 'KRW', true, 0, 'ledger_account_floor_fits'],
    ['a floor without a balance', 'MEMBER_POINTS', 'PTS', true, null, 'ledger_account_balance_kept'],
    ['a balance without a floor', 'PLATFORM_FEES', 'KRW', false, 0, 'ledger_account_balance_kept'],
    ['points in won', 'MEMBER_POINTS', 'KRW', true, 0, 'ledger_account_currency_fits'],
    ['deposits in points', 'CUSTOMER_DEPOSITS', 'PTS', false, null, 'ledger_account_currency_fits'],
  ])('%s', async (_what, kind, currency, hasFloor, balance, constraint) => {
    const making = ledger.query(
      'insert into ledger_account (kind, owner, currency, has_floor, balance_minor) values ($1, $2, $3, $4, $5)',
      [kind, 'by hand', currency, hasFloor, balance],
    );

    await expect(making).rejects.toThrow(constraint);
  });

  describe('at the commit of a transfer written by hand,', () => {
    let id: string;
    beforeEach(async () => {
      id = randomUUID();
      await ledger.query('begin');
    });

    const write = async (entryCount: number, entries: [position: number, kind: string, amountMinor: number][]) => {
      await ledger.query(
        "insert into ledger_transfer (id, kind, subject_id, request_hash, entry_count) values ($1, 'by hand', '', '', $2)",
        [id, entryCount],
      );
      for (const [position, kind, amount] of entries)
        await ledger.query(
          'insert into ledger_entry (transfer_id, position, account_id, amount_minor) select $1, $2, id, $3 from ledger_account where kind = $4',
          [id, position, amount, kind],
        );
    };
    const committed = () => ledger.query('select id from ledger_transfer where id = $1', [id]);

    test('entries that do not sum to zero', async () => {
      await write(2, [
        [0, 'PROVIDER_CLEARING', -500],
        [1, 'CUSTOMER_DEPOSITS', 499],
      ]);

      await expect(ledger.query('commit')).rejects.toThrow(`The entries of transfer ${id} do not sum to zero in KRW.`);
      expect(await committed()).toEqual([]);
    });

    test('entries that sum to zero only across currencies', async () => {
      await write(2, [
        [0, 'PROVIDER_CLEARING', -500],
        [1, 'POINTS_ISSUED', 500],
      ]);

      await expect(ledger.query('commit')).rejects.toThrow(`The entries of transfer ${id} do not sum to zero in KRW.`);
      expect(await committed()).toEqual([]);
    });

    test('entries that are not there', async () => {
      await write(3, [
        [0, 'PROVIDER_CLEARING', -500],
        [1, 'CUSTOMER_DEPOSITS', 500],
      ]);

      await expect(ledger.query('commit')).rejects.toThrow(`The transfer ${id} has 2 entries, not 3 as it says.`);
      expect(await committed()).toEqual([]);
    });

    test('no entries at all', async () => {
      await write(2, []);

      await expect(ledger.query('commit')).rejects.toThrow(`The transfer ${id} has 0 entries, not 2 as it says.`);
      expect(await committed()).toEqual([]);
    });

    test('but not one that is whole', async () => {
      await write(2, [
        [0, 'PROVIDER_CLEARING', -500],
        [1, 'CUSTOMER_DEPOSITS', 500],
      ]);

      await ledger.query('commit');

      expect(await committed()).toEqual([{ id }]);
      await ledger.expectSound();
    });
  });

  test('entries for a transfer that is posted, even such as balance', async () => {
    const [balance] = await ledger.balancesOf(deposits());

    const adding = ledger.query(
      `insert into ledger_entry (transfer_id, position, account_id, amount_minor)
       select $1, 2 + row_number() over (order by kind), id, case kind when 'CUSTOMER_DEPOSITS' then 5 else -5 end
       from ledger_account where kind in ('CUSTOMER_DEPOSITS', 'PROVIDER_CLEARING')`,
      [transfer.id],
    );

    await expect(adding).rejects.toThrow(
      `The transfer ${transfer.id} is closed: it has no room for another entry. Post a transfer of its own.`,
    );
    expect(await ledger.balancesOf(deposits())).toEqual([balance]);
  });

  test('entries of no transfer', async () => {
    const adding = ledger.query(
      'insert into ledger_entry (transfer_id, position, account_id, amount_minor) select $1, 0, min(id), 5 from ledger_account',
      [randomUUID()],
    );

    await expect(adding).rejects.toThrow('ledger_entry_transfer_id_fkey');
  });
});
