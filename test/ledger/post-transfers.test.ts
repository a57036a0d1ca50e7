import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Entry, Transfer } from '../../src/ledger/ledger.ts';
import { postTransfers } from '../../src/ledger/ledger.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { captured, clearing, countsOf, deposits, issued, issuedPoints, moved, points, spent, TestLedger } from './test-ledger.ts';

failOnLeaks();

const LARGEST = Number.MAX_SAFE_INTEGER;

describe('posting', () => {
  test('writes the transfer with its entries in order, and the balance where it is kept', async () => {
    await using ledger = await TestLedger.open();
    const transfer: Transfer = {
      id: randomUUID(),
      kind: 'purchase',
      subjectId: 'payment 1',
      entries: [
        { account: clearing(), amountMinor: -9_000 },
        { account: deposits(), amountMinor: 9_000 },
        { account: issuedPoints, amountMinor: -90 },
        { account: points('jun'), amountMinor: 90 },
      ],
    };

    const answers = await ledger.post([transfer]);

    expect(answers).toEqual(['POSTED']);
    expect(
      await ledger.query(
        `select t.kind, t.subject_id, e.position, a.kind as account, a.owner, a.currency, e.amount_minor, e.balance_after_minor, a.balance_minor
         from ledger_transfer t join ledger_entry e on e.transfer_id = t.id join ledger_account a on a.id = e.account_id
         where t.id = $1 order by e.position`,
        [transfer.id],
      ),
    ).toEqual(
      [
        { position: 0, account: 'PROVIDER_CLEARING', owner: 'toss', currency: 'KRW', amount_minor: '-9000' },
        { position: 1, account: 'CUSTOMER_DEPOSITS', owner: '', currency: 'KRW', amount_minor: '9000' },
        { position: 2, account: 'POINTS_ISSUED', owner: '', currency: 'PTS', amount_minor: '-90' },
        {
          position: 3,
          account: 'MEMBER_POINTS',
          owner: 'jun',
          currency: 'PTS',
          amount_minor: '90',
          balance_after_minor: '90',
          balance_minor: '90',
        },
      ].map((row) => ({ kind: 'purchase', subject_id: 'payment 1', balance_after_minor: null, balance_minor: null, ...row })),
    );
    await ledger.expectSound();
  });

  test('takes from each account what it gives to another', async () => {
    await using ledger = await TestLedger.open();

    await ledger.post([captured(70_000), captured(5_000), moved(12_000, deposits(), clearing())]);

    expect(await ledger.balancesOf(deposits(), clearing(), clearing('kakaopay'), deposits('USD'))).toEqual([63_000, -63_000, 0, 0]);
  });

  test('a repeat answers that it was posted, and posts nothing', async () => {
    await using ledger = await TestLedger.open();
    const transfer = issued('jun', 500);
    await ledger.post([transfer]);

    const repeats = [await ledger.post([transfer]), await ledger.post([structuredClone(transfer)])];

    expect(repeats).toEqual([['ALREADY_POSTED'], ['ALREADY_POSTED']]);
    expect(await ledger.balancesOf(points('jun'))).toEqual([500]);
    expect(await ledger.counts()).toEqual({ transfers: 1, entries: 2 });
    await ledger.expectSound();
  });

  test('a repeat of what could not be paid again today is still posted', async () => {
    await using ledger = await TestLedger.open();
    const transfer = spent('jun', 500);
    await ledger.post([issued('jun', 500), transfer]);

    const repeat = await ledger.post([transfer]);

    expect(repeat).toEqual(['ALREADY_POSTED']);
    expect(await ledger.balancesOf(points('jun'))).toEqual([0]);
  });

  const once = issued('jun', 500);
  const [taken, given] = once.entries as [Entry, Entry];
  test.each<[string, Partial<Transfer>]>([
    ['amounts', { entries: moved(501, issuedPoints, points('jun')).entries }],
    ['accounts', { entries: moved(500, issuedPoints, points('sua')).entries }],
    ['kind', { kind: 'another' }],
    ['subject', { subjectId: 'another' }],
    ['order of entries', { entries: [given, taken] }],
  ])('an id that comes again with another %s is refused', async (_what, change) => {
    await using ledger = await TestLedger.open();
    await ledger.post([once]);

    const reused = await ledger.post([{ ...once, ...change }]);

    expect(reused).toEqual(['TRANSFER_REUSED']);
    expect(await ledger.balancesOf(points('jun'), points('sua'))).toEqual([500, 0]);
    expect(await ledger.counts()).toEqual({ transfers: 1, entries: 2 });
  });

  test('more than there is is refused, and nothing of the transfer is written', async () => {
    await using ledger = await TestLedger.open();
    await ledger.give('jun', 10_000);
    const purchase: Transfer = {
      ...spent('jun', 10_001),
      entries: [...captured(70_000).entries, ...issued('sua', 5).entries, ...spent('jun', 10_001).entries],
    };

    const answers = await ledger.post([purchase]);

    expect(answers).toEqual(['INSUFFICIENT']);
    expect(await ledger.balancesOf(points('jun'), points('sua'), deposits())).toEqual([10_000, 0, 0]);
    expect(await ledger.counts()).toEqual({ transfers: 1, entries: 2 });
    await ledger.expectSound();
  });

  test('what was insufficient can be posted once there is enough', async () => {
    await using ledger = await TestLedger.open();
    const transfer = spent('jun', 300);
    const before = await ledger.post([transfer]);
    await ledger.give('jun', 300);

    const after = await ledger.post([transfer]);

    expect([before, after]).toEqual([['INSUFFICIENT'], ['POSTED']]);
    expect(await ledger.balancesOf(points('jun'))).toEqual([0]);
  });

  test('everything to the last point may be spent', async () => {
    await using ledger = await TestLedger.open();
    await ledger.give('jun', 10_000);

    expect(await ledger.post([spent('jun', 10_000)])).toEqual(['POSTED']);
    expect(await ledger.post([spent('jun', 1)])).toEqual(['INSUFFICIENT']);
    expect(await ledger.balancesOf(points('jun'))).toEqual([0]);
  });

  test('an account is checked after each entry, in their order', async () => {
    await using ledger = await TestLedger.open();
    const back = { ...issued('jun', 100), entries: [...issued('jun', 100).entries, ...spent('jun', 100).entries] };
    const forth = { ...issued('sua', 100), entries: [...spent('sua', 100).entries, ...issued('sua', 100).entries] };

    const answers = await ledger.post([back, forth]);

    expect(answers).toEqual(['POSTED', 'INSUFFICIENT']);
    await ledger.expectSound();
  });

  test('other accounts may go below zero', async () => {
    await using ledger = await TestLedger.open();
    const payable = { kind: 'ORGANIZER_PAYABLE', owner: 'gym', currency: 'KRW' } as const;

    const answers = await ledger.post([moved(40_000, payable, clearing())]);

    expect(answers).toEqual(['POSTED']);
    expect(await ledger.balancesOf(payable)).toEqual([-40_000]);
  });

  test('is undone with the transaction it is part of', async () => {
    await using ledger = await TestLedger.open();
    await ledger.give('jun', 100);
    const transfer = spent('jun', 60);

    await ledger.whilePosted([transfer], 'rollback', async () => undefined);

    expect(await ledger.balancesOf(points('jun'))).toEqual([100]);
    expect(await ledger.post([transfer])).toEqual(['POSTED']);
  });
});

describe('a batch', () => {
  test('is decided in its order, each with its own answer', async () => {
    await using ledger = await TestLedger.open();
    const posted = issued('jun', 100);
    await ledger.post([posted]);

    const answers = await ledger.post([
      spent('jun', 101),
      spent('jun', 60),
      posted,
      spent('jun', 60),
      issued('jun', 20),
      spent('jun', 60),
      { ...posted, kind: 'another' },
      captured(70_000),
      spent('jun', 1),
    ]);

    expect(answers).toEqual([
      'INSUFFICIENT',
      'POSTED',
      'ALREADY_POSTED',
      'INSUFFICIENT',
      'POSTED',
      'POSTED',
      'TRANSFER_REUSED',
      'POSTED',
      'INSUFFICIENT',
    ]);
    expect(await ledger.balancesOf(points('jun'), deposits())).toEqual([0, 70_000]);
    expect(
      await ledger.query('select balance_after_minor::int as after from ledger_entry where balance_after_minor is not null order by 1'),
    ).toEqual([0, 40, 60, 100].map((after) => ({ after })));
    await ledger.expectSound();
  });

  test('may have a transfer several times: it is posted once', async () => {
    await using ledger = await TestLedger.open();
    const late = spent('jun', 50);
    const capture = captured(9_000);

    const answers = await ledger.post([late, capture, issued('jun', 50), late, late, capture, { ...capture, kind: 'another' }]);

    expect(answers).toEqual(['INSUFFICIENT', 'POSTED', 'POSTED', 'POSTED', 'ALREADY_POSTED', 'ALREADY_POSTED', 'TRANSFER_REUSED']);
    expect(await ledger.balancesOf(points('jun'), deposits())).toEqual([0, 9_000]);
    await ledger.expectSound();
  });

  test('of 500 posts in one call', async () => {
    await using ledger = await TestLedger.open();
    const members = Array.from({ length: 100 }, (_, member) => `member ${member}`);
    await ledger.post(members.map((member) => issued(member, 150)));

    // Each spends 100, then 100, then 50, and pays twice.
    const answers = await ledger.post([
      ...[100, 100, 50].flatMap((amount) => members.map((member) => spent(member, amount))),
      ...members.flatMap(() => [captured(3), captured(4)]),
    ]);

    expect(countsOf(answers)).toEqual({ POSTED: 400, INSUFFICIENT: 100 });
    expect(answers.slice(100, 200)).toEqual(members.map(() => 'INSUFFICIENT'));
    expect(await ledger.balancesOf(deposits(), issuedPoints, ...members.map(points))).toEqual([700, 0, ...members.map(() => 0)]);
    expect(await ledger.counts()).toEqual({ transfers: 500, entries: 1_000 });
    await ledger.expectSound();
  });

  test('of none posts none', async () => {
    await using ledger = await TestLedger.open();

    expect(await ledger.post([])).toEqual([]);
  });
});

describe('a mistake of ours is thrown, and nothing is written', () => {
  let ledger: TestLedger;
  beforeAll(async () => {
    ledger = await TestLedger.open();
  });
  afterAll(() => ledger[Symbol.asyncDispose]());

  const good = captured(70_000);
  const [first, second] = good.entries as [Entry, Entry];
  const entries = (count: number) => Array.from({ length: count }, (_, index) => (index % 2 === 0 ? first : second));
  test.each<[string, Partial<Transfer>, RegExp]>([
    ['that does not balance', { entries: [first, { ...second, amountMinor: 69_999 }] }, /sum to -1 KRW, not to zero/],
    ['that balances only across currencies', { entries: [first, { account: deposits('USD'), amountMinor: 70_000 }] }, /sum to -70000 KRW/],
    [
      'that balances only in floating numbers',
      { entries: [LARGEST, 2, -LARGEST, -1].map((amountMinor) => ({ ...first, amountMinor })) },
      /sum to 1 KRW, not to zero/,
    ],
    ['of one entry', { entries: [first] }, /has 2 to 100 entries, not 1/],
    ['of 101 entries', { entries: entries(101) }, /has 2 to 100 entries, not 101/],
    [
      'that moves nothing',
      {
        entries: [
          { ...first, amountMinor: 0 },
          { ...second, amountMinor: 0 },
        ],
      },
      /whole minor units, not 0/,
    ],
    [
      'of half a won',
      {
        entries: [
          { ...first, amountMinor: -0.5 },
          { ...second, amountMinor: 0.5 },
        ],
      },
      /whole minor units, not -0.5/,
    ],
    [
      'of more than a number can tell',
      {
        entries: [
          { ...first, amountMinor: -(2 ** 53) },
          { ...second, amountMinor: 2 ** 53 },
        ],
      },
      /whole minor units/,
    ],
    ['of no number', { entries: [{ ...first, amountMinor: Number.NaN }, second] }, /whole minor units, not NaN/],
    ['whose id is no UUID', { id: 'capture 1' }, /is a UUID/],
    ['that does not say what it is', { kind: '' }, /says what it is/],
    [
      'of points in an account of money',
      { entries: moved(5, issuedPoints, { ...deposits(), currency: 'PTS' }).entries },
      /does not count PTS/,
    ],
    [
      'of money in an account of points',
      { entries: moved(5, clearing(), { ...points('jun'), currency: 'KRW' }).entries },
      /does not count KRW/,
    ],
    ['of no currency', { entries: moved(5, clearing('toss', 'won'), deposits('won')).entries }, /"won" is no currency/],
    ['of an owner too long', { entries: moved(5, clearing('x'.repeat(101)), deposits()).entries }, /at most 100 characters/],
  ])('a transfer %s', async (_which, mistake, message) => {
    const posting = ledger.post([captured(1), { ...good, ...mistake }]);

    await expect(posting).rejects.toThrow(message);
    expect(await ledger.counts()).toEqual({ transfers: 0, entries: 0 });
  });

  test('513 transfers at once', async () => {
    await expect(ledger.post(Array.from({ length: 513 }, () => captured(1)))).rejects.toThrow('At most 512 transfers');
  });

  test('a call outside a transaction', async () => {
    await expect(postTransfers(ledger.db.database.fork(), [captured(1)])).rejects.toThrow('call postTransfers inside transact');
  });

  test('100 entries as large as they may be are no mistake', async () => {
    const transfer = { ...good, entries: entries(100).map((entry) => ({ ...entry, amountMinor: Math.sign(entry.amountMinor) * LARGEST })) };

    expect(await ledger.post([transfer])).toEqual(['POSTED']);
    await expect(ledger.balancesOf(deposits())).rejects.toThrow('cannot be told as a number');
    await ledger.expectSound();
  });
});
