import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { paymentsChecks } from '../../../src/features/payments/payments.checks.ts';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, heldLesson, payFor } from '../../support/payments.ts';

failOnLeaks();

/** What was planted is about one of these: its payment and its hold. */
type Name = 'booked' | 'partlyRefunded' | 'returned' | 'paying' | 'refused' | 'abandoned';

describe('the checks of payments', () => {
  let app: TestApp;
  let client: pg.Client;
  const made = new Map<Name, { paymentId: string; holdId: string }>();

  beforeAll(async () => {
    app = await testApp();
    const admin = (await app.admin()).client;
    const of = async (name: Name, pay: (member: Awaited<ReturnType<typeof heldLesson>>) => Promise<string>) => {
      const member = await heldLesson(app);
      made.set(name, { paymentId: uuidIn(await pay(member)), holdId: uuidIn(member.holdId) });
    };
    await of('booked', ({ client: member, holdId }) => payFor(member, holdId));
    await of('partlyRefunded', async ({ client: member, holdId }) => {
      const paymentId = await payFor(member, holdId);
      await admin.run('TestRefundPayment', {
        input: { paymentId, amountMinor: 10_000, cancelsBooking: false, reason: 'x', idempotencyKey: randomUUID() },
      });
      return paymentId;
    });
    await of('returned', async ({ client: member, holdId }) => {
      const paymentId = await payFor(member, holdId);
      await member.run('TestCancelBooking', { input: { holdId } });
      return paymentId;
    });
    await of('paying', async ({ client: member, holdId }) => (await begin(member, holdId)).id);
    await of('refused', async ({ client: member, holdId }) => {
      const payment = await begin(member, holdId);
      await atCheckout(payment, 'refuse');
      return payment.id;
    });
    await of('abandoned', async ({ client: member, holdId }) => {
      const payment = await begin(member, holdId);
      await member.run('TestCancelBooking', { input: { holdId } });
      return payment.id;
    });
    client = new pg.Client({ connectionString: app.databaseUrl });
    await client.connect();
  });
  afterAll(async () => {
    await client.end();
    await app.close();
  });

  /** The ids that each check complains about when this is planted; what was planted is taken out again. */
  async function complaints(sql: string, values: readonly string[]): Promise<Record<string, string[]>> {
    await client.query('begin');
    try {
      // Against the constraints that would not let it in: the checks are for when these are not enough.
      await client.query('alter table payment drop constraint payment_refunds_within_capture');
      await client.query(sql, [...values]);
      const found: Record<string, string[]> = {};
      for (const check of paymentsChecks) {
        const { rows } = await client.query<{ id: string }>(check.sql);
        if (rows.length > 0) found[check.name] = [...new Set(rows.map(({ id }) => id))];
      }
      return found;
    } finally {
      await client.query('rollback');
    }
  }

  test('say nothing of what is sound', async () => {
    expect(await complaints('select 1', [])).toEqual({});
    expect(paymentsChecks.map(({ name }) => name)).toEqual(['payment-agrees-with-hold', 'refunds-add-up', 'books-agree-with-payments']);
  });

  describe('payment-agrees-with-hold sees', () => {
    test.each<[string, Name, string]>([
      ['a booking whose payment decides nothing', 'booked', 'update payment set is_current = false where id = $1 and $2::uuid is not null'],
      ['a booking that nobody has paid for', 'booked', "update payment set state = 'PENDING' where id = $1 and $2::uuid is not null"],
      [
        'a booking of which no money is left',
        'booked',
        'update payment set refunded_minor = captured_minor where id = $1 and $2::uuid is not null',
      ],
      ['a booking whose payment was given back', 'booked', "update payment set state = 'REFUNDED' where id = $1 and $2::uuid is not null"],
      ['a hold that is being paid by what is paid', 'booked', "update hold set state = 'PAYING' where id = $2 and $1::uuid is not null"],
      ['a hold that is being paid by nobody', 'paying', 'update payment set is_current = false where id = $1 and $2::uuid is not null'],
      [
        'a hold that was given back while its money was kept',
        'booked',
        "update hold set state = 'RETURNED' where id = $2 and $1::uuid is not null",
      ],
      [
        'a hold that was given back without a payment',
        'refused',
        "update hold set state = 'RETURNED' where id = $2 and $1::uuid is not null",
      ],
      [
        'a hold that ran out while its payment goes on',
        'paying',
        "update hold set state = 'EXPIRED' where id = $2 and $1::uuid is not null",
      ],
      [
        'a hold that was released while its money was kept',
        'booked',
        "update hold set state = 'RELEASED' where id = $2 and $1::uuid is not null",
      ],
      [
        'a hold that can be claimed again while its money was kept',
        'booked',
        "update hold set state = 'HELD' where id = $2 and $1::uuid is not null",
      ],
    ])('%s', async (_, name, sql) => {
      const { paymentId, holdId } = made.get(name)!;

      expect((await complaints(sql, [paymentId, holdId]))['payment-agrees-with-hold']).toContain(holdId);
    });

    test.each<[string, Name, string]>([
      ['money kept by a refused payment', 'refused', 'update payment set captured_minor = 1 where id = $1'],
      ['money kept by an abandoned payment', 'abandoned', 'update payment set captured_minor = 1 where id = $1'],
      ['money taken by a payment nobody knows the end of', 'paying', 'update payment set captured_minor = 1 where id = $1'],
      ['a refused payment that still decides', 'refused', 'update payment set is_current = true where id = $1'],
      ['a payment on its way back without a refund', 'booked', "update payment set state = 'REFUNDING' where id = $1"],
    ])('%s', async (_, name, sql) => {
      const { paymentId, holdId } = made.get(name)!;

      expect((await complaints(sql, [paymentId]))['payment-agrees-with-hold']).toContain(holdId);
    });
  });

  describe('refunds-add-up sees', () => {
    test.each<[string, Name, string]>([
      ['more money gone than refunds say', 'partlyRefunded', 'update payment set refunded_minor = refunded_minor + 1 where id = $1'],
      ['less money gone than refunds say', 'partlyRefunded', 'update payment set refunded_minor = refunded_minor - 1 where id = $1'],
      ['a refund that is done and nowhere counted', 'partlyRefunded', 'update payment set refunded_minor = 0 where id = $1'],
      ['money gone without any refund', 'booked', 'update payment set refunded_minor = 1 where id = $1'],
      ['money on its way without an open refund', 'booked', 'update payment set refunding_minor = 1 where id = $1'],
      [
        'an open refund whose money is not on its way',
        'partlyRefunded',
        "update refund set state = 'OPEN', concluded_at = null where payment_id = $1",
      ],
      [
        'more given back than was taken',
        'returned',
        'with r as (update refund set amount_minor = amount_minor + 1 where payment_id = $1) update payment set refunded_minor = refunded_minor + 1 where id = $1',
      ],
    ])('%s', async (_, name, sql) => {
      const { paymentId } = made.get(name)!;

      expect((await complaints(sql, [paymentId]))['refunds-add-up']).toEqual([paymentId]);
    });
  });

  describe('books-agree-with-payments sees', () => {
    const WITHOUT_TRANSFER = (kind: string) =>
      `with t as (select id from ledger_transfer where subject_id = $1::uuid::text and kind = '${kind}') update ledger_transfer set subject_id = 'nobody' where id in (select id from t)`;

    test.each<[string, Name, string]>([
      ['money taken that the books do not know', 'booked', 'update payment set captured_minor = captured_minor + 1 where id = $1'],
      ['money gone that the books do not know', 'booked', 'update payment set refunded_minor = refunded_minor + 1 where id = $1'],
      ['money the books have and the payment does not', 'paying', 'update payment set captured_minor = 80000 where id = $1'],
      ['money in the deposits of a booking', 'booked', WITHOUT_TRANSFER('booking')],
      ['a capture that was never posted', 'booked', WITHOUT_TRANSFER('capture')],
      ['a refund that was never posted', 'returned', WITHOUT_TRANSFER('refund')],
      ['money that is booked though no booking has it', 'booked', 'update payment set is_current = false where id = $1'],
    ])('%s', async (_, name, sql) => {
      const { paymentId } = made.get(name)!;
      const ledgerIsOpen = sql.includes('ledger_transfer');

      // The ledger only appends: whoever wants to plant something takes that protection away first.
      if (ledgerIsOpen) await app.query('alter table ledger_transfer disable trigger user');
      const found = await complaints(sql, [paymentId]);
      if (ledgerIsOpen) await app.query('alter table ledger_transfer enable trigger user');

      expect(found['books-agree-with-payments']).toEqual([paymentId]);
    });
  });
});
