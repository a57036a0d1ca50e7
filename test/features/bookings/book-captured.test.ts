import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { bookingOf } from '../../support/interleaving.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { endedOrWaiting } from '../../support/lock-waits.ts';
import { restoring } from '../../support/meeting.ts';
import { begin, heldLesson } from '../../support/payments.ts';
import { balances, stored } from './stored.ts';

failOnLeaks();

const BOOKED = { hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 };
const PAYING = { hold: 'PAYING', payment: 'PENDING', because: null, captured: 0, refunded: 0 };

/** Payments of one lesson whose provider is being asked by us, as the saga leaves them when it asks. */
async function asked(app: TestApp, count: number) {
  const lessonId = await app.lesson({ capacity: count });
  const holds: { id: string; holdId: string }[] = [];
  for (const { client } of await app.members(count)) {
    const { enrollment } = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
    holds.push({ holdId: enrollment.id, id: uuidIn((await begin(client, enrollment.id)).id) });
  }
  await app.query(
    `update payment set approving_at = now(), busy_until = date_trunc('milliseconds', now() + interval '1 hour'), next_look_at = null where id = any ($1)`,
    [holds.map(({ id }) => id)],
  );
  const { saga } = app.app.bookings;
  const booking = bookingOf(app);
  const payments = await Promise.all(holds.map(async (hold) => ({ ...hold, payment: await saga.read(hold.id) })));
  return {
    lessonId,
    payments: payments.map(({ payment, ...hold }) => ({
      ...hold,
      payment,
      book: () =>
        booking.book({ payment, captured: { reference: `of ${hold.id}`, amountMinor: 80_000, currency: 'KRW' }, ringsAnswered: 0 }),
    })),
  };
}

const versionOf = async (app: TestApp, lessonId: string) =>
  (await app.query<{ version: number }>('select version from pool where id = $1', [uuidIn(lessonId)]))[0]?.version as number;

describe('payments that are captured at the same moment', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  test('are booked together: each once, with its entries, and their pool is written for two that came first and once for all others', async () => {
    const { lessonId, payments } = await asked(app, 24);
    const before = await versionOf(app, lessonId);

    expect(await Promise.all(payments.map(({ book }) => book()))).toEqual(payments.map(() => true));

    expect((await versionOf(app, lessonId)) - before).toBe(3);
    for (const { holdId, id, payment } of payments) {
      expect(await stored(app, holdId)).toEqual([BOOKED]);
      expect(payment).toMatchObject({ state: 'APPROVED', capturedMinor: 80_000, reference: `of ${id}`, busyUntil: null });
    }
    expect(await app.counters(lessonId)).toEqual({ capacity: 24, held: 0, sold: 24 });
    expect(await balances(app)).toMatchObject({ PROVIDER_CLEARING: -24 * 80_000, CUSTOMER_DEPOSITS: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('do not suffer from one that cannot be booked: those beside it are left to be booked by themselves, and why is logged', async () => {
    const { payments } = await asked(app, 5);
    const broken = payments[3]?.id;
    await app.query(`
      create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no entry for this one'; end $$;
      create trigger refuse before insert on ledger_transfer for each row when (new.subject_id = '${broken}') execute function refuse()`);

    const together = await Promise.all(payments.map(({ book }) => book()));
    const apart = [];
    for (const { book } of payments.slice(2)) apart.push(await book());

    expect(together).toEqual([true, true, false, false, false]);
    expect(apart).toEqual([true, false, true]);
    expect(await stored(app, payments[3]?.holdId as string)).toEqual([PAYING]);
    expect(JSON.stringify(app.logged)).toContain('no entry for this one');
    await app.query('drop trigger refuse on ledger_transfer');
    expect(await payments[3]?.book()).toBe(true);
    expect(await app.brokenInvariants()).toEqual([]);
  });
});

/** What may have happened since its provider was asked, and the words of `approve_payments` that look for it. */
const CHANGES: [name: string, change: string, protection: string][] = [
  ['it has ended', "update payment set state = 'ABANDONED', ended_because = 'TIMED_OUT' where id = $1", "p.state = 'PENDING' and "],
  ['it is not the current one any more', 'update payment set is_current = false where id = $1', 'p.is_current and '],
  [
    'somebody else is at it',
    "update payment set busy_until = busy_until + interval '1 ms' where id = $1",
    'p.busy_until = c.busy_until and ',
  ],
  ['somebody rang', 'update payment set rings = rings + 1 where id = $1', ' and p.rings = c.rings'],
  [
    'its hold is not being paid',
    "update hold set state = 'RELEASED' where id = (select hold_id from payment where id = $1)",
    "\n  where h.state = 'PAYING'",
  ],
];

describe('a payment is not booked with others when', () => {
  let app: TestApp;
  /** The same without what is tested. */
  let weak: TestApp;
  beforeAll(async () => {
    [app, weak] = await Promise.all([testApp(), testApp()]);
  });
  afterAll(() => Promise.all([app.close(), weak.close()]));

  async function oneAsked(stage: TestApp) {
    const { lessonId, payments } = await asked(stage, 1);
    const [one] = payments;
    if (!one) throw new Error('nothing was asked');
    return { lessonId, ...one };
  }

  /** Runs on the weak database without these words. */
  const without = (protection: string, run: () => Promise<void>) =>
    restoring(weak.query.bind(weak), ['approve_payments'], async () => {
      await weak.sabotage('approve_payments', protection, '');
      await run();
    });

  test.each(CHANGES)('%s', async (_, change, protection) => {
    const { id, holdId, lessonId, book } = await oneAsked(app);
    await app.query(change, [id]);
    const before = await stored(app, holdId);

    expect(await book()).toBe(false);

    expect(await stored(app, holdId)).toEqual(before);
    expect(await app.counters(lessonId)).toMatchObject({ sold: 0 });

    // Negative control: where nobody looks, it is.
    await without(protection, async () => {
      const unprotected = await oneAsked(weak);
      await weak.query(change, [unprotected.id]);
      expect(await unprotected.book()).toBe(true);
    });
  });

  /** Somebody rings while it is being booked: not yet committed when that begins, committed before it ends. */
  async function bookWhileItRings(stage: TestApp): Promise<boolean> {
    const { id, book } = await oneAsked(stage);
    const rival = new pg.Client({ connectionString: stage.databaseUrl });
    await rival.connect();
    try {
      await rival.query('begin');
      await rival.query('update payment set rings = rings + 1 where id = $1', [id]);
      const booked = book();
      await endedOrWaiting(stage, booked);
      await rival.query('commit');
      return await booked;
    } finally {
      await rival.end();
    }
  }

  test('somebody rings at the same moment; without the lock it would be', async () => {
    expect(await bookWhileItRings(app)).toBe(false);

    await without('perform 1 from payment where id = any (p_ids) order by id for update;', async () => {
      expect(await bookWhileItRings(weak)).toBe(true);
    });
  });

  test('it is booked already', async () => {
    const { lessonId, book } = await oneAsked(app);

    expect([await book(), await book()]).toEqual([true, false]);

    expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 1 });
  });
});

describe('paying starts in one statement only when', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
    await app.stopSweeping();
  });
  afterAll(() => app.close());

  /** A payment whose provider has been told, and which has not begun. */
  async function prepared() {
    const { holdId, uuid } = await heldLesson(app);
    const [payment] = await app.query<{ id: string }>(
      `insert into payment (hold_id, original_hold_id, member_id, provider, amount_minor, currency, title, cancellation, locale, if_paid_late, idempotency_key, request_hash)
       values ($1, $1, $2, 'TOSS', 80000, 'KRW', 'Dawn', '[]', 'en', 'SAME', gen_random_uuid(), '') returning id`,
      [uuidIn(holdId), uuid],
    );
    const id = payment?.id as string;
    const start = async () => (await app.query("select * from start_paying($1, 'theirs', '{}', 600)", [id])).length;
    return { holdId, id, start };
  }

  test('nothing stands in the way', async () => {
    const { holdId, start } = await prepared();

    expect([await start(), await start()]).toEqual([1, 0]);

    expect(await stored(app, holdId)).toEqual([PAYING]);
  });

  test.each([
    ['its hold ran out', 'update hold set expires_at = clock_timestamp() where id = (select hold_id from payment where id = $1)'],
    ['its hold was given up', "select move_hold(hold_id, null, '{HELD}', 'RELEASED') from payment where id = $1"],
    ['it has ended', "update payment set state = 'ABANDONED', ended_because = 'NOT_PREPARED' where id = $1"],
    [
      'another payment of the hold has begun',
      `insert into payment (hold_id, original_hold_id, member_id, provider, amount_minor, currency, title, cancellation, locale, if_paid_late, idempotency_key, request_hash, is_current)
       select hold_id, hold_id, member_id, provider, amount_minor, currency, title, cancellation, locale, if_paid_late, gen_random_uuid(), '', true from payment where id = $1`,
    ],
  ])('not when %s', async (_, change) => {
    const { holdId, id, start } = await prepared();
    await app.query(change, [id]);
    const before = await stored(app, holdId);

    expect(await start()).toBe(0);

    expect(await stored(app, holdId)).toEqual(before);
  });
});
