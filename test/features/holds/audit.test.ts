import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { payFor } from '../../support/payments.ts';

failOnLeaks();

const CHECKS = [
  'pool-never-oversold',
  'pool-counters-equal-holds',
  'unit-held-once',
  'unit-state-agrees',
  'pool-counts-its-units',
  'claimant-limit-kept',
  'quota-kept',
  'hold-has-items',
  'ticket-hold-has-its-pools',
  'seat-has-price-of-its-tier',
  'kept-units-are-offered',
  'followers-are-asked-first',
  'watched-pools-are-followed',
  'offers-are-what-was-followed',
  'payment-agrees-with-hold',
  'refunds-add-up',
  'books-agree-with-payments',
  'ledger-transfers-balance',
  'ledger-transfers-whole',
  'ledger-balances-equal-entries',
  'ledger-balances-chain',
  'ledger-floors-kept',
  'ledger-currencies-fit',
  'tickets-issued',
  'tickets-agree-with-holds',
  'tickets-change-hands-by-transfers',
  'used-ticket-has-its-scan',
  'undo-undid-one-scan',
];

/** Two members with a place each, one of them paid. */
async function sold(app: TestApp) {
  const lessonId = await app.lesson({ capacity: 2 });
  const [one, two] = await app.members(2);
  const paid = await one!.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
  const held = await two!.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
  await payFor(one!.client, paid.enrollment.id);
  return { pool: uuidIn(lessonId), paid: uuidIn(paid.enrollment.id), held: uuidIn(held.enrollment.id), lessonId };
}

/** What each oracle is for: a row spoiled by hand, and the checks that must find it. */
const spoils: [string, (ids: Awaited<ReturnType<typeof sold>>) => string, string[], number][] = [
  ['nothing', () => 'select 1', [], 0],
  [
    'a place sold twice',
    ({ pool, held }) =>
      `alter table pool drop constraint pool_never_oversold; update pool set capacity = 1 where id = '${pool}'; select 1 from hold where id = '${held}'`,
    ['pool-never-oversold'],
    1,
  ],
  ['a counter that lost one', ({ pool }) => `update pool set held = held - 1 where id = '${pool}'`, ['pool-counters-equal-holds'], 0],
  [
    'a hold without its item',
    ({ held }) => `delete from hold_item where hold_id = '${held}'`,
    ['pool-counters-equal-holds', 'hold-has-items'],
    0,
  ],
  [
    'a seat that is ahead of its pool',
    ({ pool }) => `insert into unit (pool_id, label, version) values ('${pool}', 'A-1', 1000)`,
    ['unit-state-agrees'],
    0,
  ],
  [
    'a held seat that its hold does not have',
    ({ pool, held }) => `insert into unit (pool_id, label, hold_id, state) values ('${pool}', 'A-1', '${held}', 'HELD')`,
    ['unit-state-agrees'],
    0,
  ],
  [
    'a capacity that is not the number of seats',
    ({ pool }) => `insert into unit (pool_id, label, number) values ('${pool}', 'A-1', 0)`,
    ['pool-counts-its-units'],
    0,
  ],
  ['a sale without a payment', ({ paid }) => `delete from payment where hold_id = '${paid}'`, ['payment-agrees-with-hold'], 0],
  [
    'money kept for a place that is gone',
    ({ paid, pool }) => `update hold set state = 'RETURNED' where id = '${paid}'; update pool set sold = 0 where id = '${pool}'`,
    ['payment-agrees-with-hold'],
    0,
  ],
  [
    'two places of one member',
    ({ paid, held }) => `update hold set claimant_id = (select claimant_id from hold where id = '${paid}') where id = '${held}'`,
    ['claimant-limit-kept'],
    0,
  ],
];

describe('inventoryAudit', () => {
  test.each(spoils)('finds %s', async (_, spoil, broken, oversold) => {
    await using app = await testApp();
    const ids = await sold(app);
    await app.query(spoil(ids));

    const audit = await app.anonymous.run('TestAudit');

    expect(audit.checks.map(({ name }) => name)).toEqual(CHECKS);
    expect(audit.checks.filter(({ violations }) => violations > 0)).toEqual(
      broken.map((name) => ({ __typename: undefined, name, violations: 1 })),
    );
    expect({ ok: audit.ok, oversold: audit.oversold }).toEqual({ ok: broken.length === 0, oversold });
    const metrics = await app.registry.getSingleMetricAsString('lastseat_invariant_violations');
    for (const name of CHECKS) expect(metrics).toContain(`{check="${name}"} ${broken.includes(name) ? 1 : 0}`);
  });

  test('is counted once for everybody who asks at the same time', async () => {
    await using app = await testApp();
    await sold(app);

    const audits = await Promise.all(Array.from({ length: 20 }, () => app.anonymous.post({ query: '{ inventoryAudit { at ok } }' })));

    expect(new Set(audits.map(({ data }) => data.inventoryAudit.at)).size).toBe(1);
  });

  test('costs 1 for each check', async () => {
    await using app = await testApp();

    const { extensions } = await app.anonymous.post({ query: '{ inventoryAudit { checks { name } } }' });

    expect(extensions?.cost?.requested).toBe(100 + CHECKS.length);
  });
});
