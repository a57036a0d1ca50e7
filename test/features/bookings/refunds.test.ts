import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import type { SimulatedProvider } from '../../../src/simulator/simulator.ts';
import { Vendors } from '../../simulator/merchant.ts';
import { type TestApp, tally, uuidIn } from '../../support/app.ts';
import type { TestClient, VariablesOf } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { begin, ended, heldLesson, PROVIDERS, payFor } from '../../support/payments.ts';
import { onTwoNodes } from '../../support/two-nodes.ts';
import { eventually } from '../../support/wait.ts';
import { balances, stored } from './stored.ts';

failOnLeaks();

type RefundInput = VariablesOf<'TestRefundPayment'>['input'];

const BOOKED = { hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 };
const RETURNED = { hold: 'RETURNED', payment: 'REFUNDED', because: null, captured: 80_000, refunded: 80_000 };

const giveBack = (client: TestClient, paymentId: string, more: Partial<RefundInput> = {}) =>
  client.run('TestRefundPayment', {
    input: { paymentId, amountMinor: null, cancelsBooking: false, reason: 'The water was cold', idempotencyKey: randomUUID(), ...more },
  });

let app: TestApp;
let other: TestApp;
let admin: TestClient;

async function booked(provider: SimulatedProvider = 'TOSS') {
  const held = await heldLesson(app);
  const paymentId = await payFor(held.client, held.holdId, provider);
  await ended(held.client, paymentId);
  return { ...held, paymentId };
}
const refundsAtProvider = (paymentId: string) =>
  (app.simulator.payment(uuidIn(paymentId))?.entries ?? []).flatMap(({ kind, amountMinor }) => (kind === 'REFUND' ? [amountMinor] : []));
const refundCalls = (paymentId: string) =>
  app.simulator.calls.filter(({ orderId, call }) => orderId === uuidIn(paymentId) && call === 'cancel').length;

describe('refunds', () => {
  onTwoNodes((...nodes) => {
    [app, other] = nodes;
  });
  beforeAll(async () => {
    admin = (await app.admin()).client;
  });

  describe('refundPayment', () => {
    test.each(PROVIDERS.map((provider) => [provider] as const))(
      'gives back parts at %s while the booking stays, and the rest ends it',
      async (provider) => {
        const { client, holdId, lessonId, paymentId } = await booked(provider);

        const first = await giveBack(admin, paymentId, { amountMinor: 15_000 });
        const second = await giveBack(admin, paymentId, { amountMinor: 15_000 });
        const meanwhile = await stored(app, holdId);
        const rest = await giveBack(admin, paymentId);

        expect(first).toMatchObject({
          __typename: 'RefundPaymentSuccess',
          refund: { state: 'DONE', cause: 'GRANTED', reason: 'The water was cold', givesBack: false, amount: { amountMinor: 15_000 } },
        });
        expect(second.refund.id).not.toBe(first.refund.id);
        expect(meanwhile).toEqual([{ ...BOOKED, refunded: 30_000 }]);
        expect(rest).toMatchObject({ refund: { state: 'DONE', givesBack: true, amount: { amountMinor: 50_000 } } });
        expect(await client.run('TestPayment', { id: paymentId })).toMatchObject({
          state: 'REFUNDED',
          refunded: { amountMinor: 80_000 },
          refunds: [{ amount: { amountMinor: 15_000 } }, { amount: { amountMinor: 15_000 } }, { amount: { amountMinor: 50_000 } }],
          hold: { state: 'RETURNED' },
        });
        expect(refundsAtProvider(paymentId)).toEqual([15_000, 15_000, 50_000]);
        expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
        expect(await app.brokenInvariants()).toEqual([]);
      },
    );

    test('gives back a part and ends the booking, if that is wanted', async () => {
      const { holdId, lessonId, paymentId } = await booked();

      const given = await giveBack(admin, paymentId, { amountMinor: 60_000, cancelsBooking: true });

      expect(given).toMatchObject({ refund: { state: 'DONE', givesBack: true, amount: { amountMinor: 60_000 } } });
      expect(await stored(app, holdId)).toEqual([{ ...RETURNED, refunded: 60_000 }]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('is for administrators, and for the organizer whose income it is; others learn nothing and change nothing', async () => {
      const { client: payer, holdId, paymentId } = await booked();
      const [own, foreign] = [await app.member('ORGANIZER'), await app.member('ORGANIZER')];
      const stranger = await app.member();
      await app.query('update payment set organizer_id = $2 where id = $1', [uuidIn(paymentId), own.uuid]);
      const input = { paymentId, amountMinor: 1, cancelsBooking: false, reason: 'x', idempotencyKey: randomUUID() };

      const anonymous = await app.anonymous.send('TestRefundPayment', { input });
      const members = [await payer.send('TestRefundPayment', { input }), await stranger.client.send('TestRefundPayment', { input })];
      const notTheirs = await giveBack(foreign.client, paymentId, { amountMinor: 1 });
      const nowhere = await giveBack(admin, toNodeId('Payment', '00000000-0000-7000-8000-000000000000'));
      const before = await stored(app, holdId);
      const theirs = await giveBack(own.client, paymentId, { amountMinor: 1 });

      expect(anonymous.errors.map(({ extensions }) => extensions.code)).toEqual(['UNAUTHENTICATED']);
      expect(members.map(({ data, errors }) => [data.refundPayment, errors.map(({ extensions }) => extensions.code)])).toEqual(
        Array(2).fill([null, ['FORBIDDEN']]),
      );
      expect(notTheirs).toMatchObject({ __typename: 'PaymentNotFoundError', code: 'PAYMENT_NOT_FOUND' });
      expect(nowhere).toEqual(notTheirs);
      expect(before).toEqual([BOOKED]);
      expect(theirs).toMatchObject({ refund: { state: 'DONE', amount: { amountMinor: 1 } } });
      expect(refundsAtProvider(paymentId)).toEqual([1]);
    });

    test('an organizer who asks may not read the payment, and so no name or checkout', async () => {
      const { paymentId } = await booked();
      const organizer = await app.member('ORGANIZER');
      await app.query('update payment set organizer_id = $2 where id = $1', [uuidIn(paymentId), organizer.uuid]);

      expect((await organizer.client.send('TestPayment', { id: paymentId })).data.payment).toBeNull();
    });

    test.each([
      ['one more than there is', 80_001],
      ['nothing', 0],
      ['less than nothing', -1],
      ['the largest number', 2_147_483_647],
    ])('refuses %s, says what is left, and changes nothing', async (_, amountMinor) => {
      const { holdId, paymentId } = await booked();
      await giveBack(admin, paymentId, { amountMinor: 10_000 });

      const refused = await giveBack(admin, paymentId, { amountMinor: amountMinor === 80_001 ? 70_001 : amountMinor });

      expect(refused).toMatchObject({
        __typename: 'RefundExceedsPaymentError',
        code: 'REFUND_EXCEEDS_PAYMENT',
        left: { amountMinor: 70_000 },
      });
      expect(refundsAtProvider(paymentId)).toEqual([10_000]);
      expect(await stored(app, holdId)).toEqual([{ ...BOOKED, refunded: 10_000 }]);
    });

    test('refuses what holds no money: begun, refused, given back, and what cost nothing', async () => {
      const begun = await heldLesson(app);
      const pending = await begin(begun.client, begun.holdId);
      const back = await booked();
      await giveBack(admin, back.paymentId);
      const free = await heldLesson(app, { priceMinor: 0 });
      const { payment } = await free.client.run('TestPreparePayment', {
        input: { holdId: free.holdId, provider: 'TOSS', idempotencyKey: randomUUID() },
      });

      const refused = [await giveBack(admin, pending.id), await giveBack(admin, back.paymentId), await giveBack(admin, payment.id)];

      expect(refused.map(({ code, state }) => [code, state])).toEqual([
        ['PAYMENT_NOT_REFUNDABLE', 'PENDING'],
        ['PAYMENT_NOT_REFUNDABLE', 'REFUNDED'],
        ['PAYMENT_NOT_REFUNDABLE', 'APPROVED'],
      ]);
    });

    test.each([
      ['without a word', '   '],
      ['of 101 characters', 'x'.repeat(101)],
    ])('refuses a reason %s as bad input', async (_, reason) => {
      const { paymentId } = await booked();

      const answer = await admin.send('TestRefundPayment', {
        input: { paymentId, amountMinor: 1, cancelsBooking: false, reason, idempotencyKey: randomUUID() },
      });

      expect(answer.errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
      expect(refundsAtProvider(paymentId)).toEqual([]);
    });

    test('repeated with one key, at once and on two nodes: one refund, one answer', async () => {
      const { holdId, paymentId } = await booked();
      const { accessToken } = await app.admin();
      const elsewhere = other.anonymous.as(accessToken);
      const idempotencyKey = randomUUID();

      const answers = await Promise.all(
        [admin, elsewhere, admin, elsewhere].map((node) => giveBack(node, paymentId, { amountMinor: 20_000, idempotencyKey })),
      );
      const later = await giveBack(admin, paymentId, { amountMinor: 20_000, idempotencyKey });

      expect(tally(answers)).toEqual({ RefundPaymentSuccess: 4 });
      expect(new Set(answers.map(({ refund }) => refund.id))).toEqual(new Set([later.refund.id]));
      expect(later.refund.state).toBe('DONE');
      expect(refundsAtProvider(paymentId)).toEqual([20_000]);
      expect(await stored(app, holdId)).toEqual([{ ...BOOKED, refunded: 20_000 }]);
    });

    test('with keys of their own at once: the money is never given back twice', async () => {
      const { paymentId, holdId } = await booked();
      const { accessToken } = await app.admin();
      const elsewhere = other.anonymous.as(accessToken);

      const answers = await Promise.all([admin, elsewhere, admin, elsewhere].map((node) => giveBack(node, paymentId)));

      expect(tally(answers)).toEqual({ RefundPaymentSuccess: 1, PaymentNotRefundableError: 3 });
      expect(refundsAtProvider(paymentId)).toEqual([80_000]);
      expect(await stored(app, holdId)).toEqual([RETURNED]);
    });

    test('the same key with another amount, another end or another reason is refused and changes nothing', async () => {
      const { paymentId } = await booked();
      const idempotencyKey = randomUUID();
      await giveBack(admin, paymentId, { amountMinor: 20_000, idempotencyKey });

      const others = [
        await giveBack(admin, paymentId, { amountMinor: 20_001, idempotencyKey }),
        await giveBack(admin, paymentId, { amountMinor: 20_000, cancelsBooking: true, idempotencyKey }),
        await giveBack(admin, paymentId, { amountMinor: 20_000, reason: 'Another', idempotencyKey }),
      ];

      expect(others.map(({ code }) => code)).toEqual(Array(3).fill('IDEMPOTENCY_KEY_REUSED'));
      expect(refundsAtProvider(paymentId)).toEqual([20_000]);
    });

    test("another administrator's key says nothing", async () => {
      const { paymentId } = await booked();
      const second = await app.member('ADMIN');
      const idempotencyKey = randomUUID();

      const first = await giveBack(admin, paymentId, { amountMinor: 1_000, idempotencyKey });
      const theirs = await giveBack(second.client, paymentId, { amountMinor: 2_000, idempotencyKey });

      expect(theirs).toMatchObject({ refund: { amount: { amountMinor: 2_000 } } });
      expect(theirs.refund.id).not.toBe(first.refund.id);
      expect(refundsAtProvider(paymentId)).toEqual([1_000, 2_000]);
    });

    test('the same key for another payment is refused and changes nothing', async () => {
      const [one, two] = [await booked(), await booked()];
      const idempotencyKey = randomUUID();
      await giveBack(admin, one.paymentId, { amountMinor: 1_000, idempotencyKey });

      const refused = await giveBack(admin, two.paymentId, { amountMinor: 1_000, idempotencyKey });

      expect(refused).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
      expect(await stored(app, two.holdId)).toEqual([BOOKED]);
    });

    test('one that the provider refuses leaves the booking and the books as they were, and repeats as refused', async () => {
      const { client, holdId, paymentId } = await booked();
      const books = await balances(app);
      const idempotencyKey = randomUUID();
      app.simulator.order({ provider: 'TOSS', call: 'cancel', fault: 'REFUSE', orderId: uuidIn(paymentId) });

      const refused = await giveBack(admin, paymentId, { amountMinor: 5_000, idempotencyKey });
      const repeated = await giveBack(admin, paymentId, { amountMinor: 5_000, idempotencyKey });

      expect(refused).toMatchObject({ __typename: 'RefundPaymentSuccess', refund: { state: 'REFUSED', amount: { amountMinor: 5_000 } } });
      expect(repeated).toEqual(refused);
      expect(await stored(app, holdId)).toEqual([BOOKED]);
      expect(await balances(app)).toEqual(books);
      expect((await client.run('TestPayment', { id: paymentId })).refunds).toMatchObject([{ state: 'REFUSED' }]);
      expect(refundsAtProvider(paymentId)).toEqual([]);
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test.each([['KAKAOPAY'], ['TOSS'], ['PORTONE']] as const)(
      'a part whose answer %s lost is asked about, and went back once',
      async (provider) => {
        const { holdId, paymentId } = await booked(provider);
        app.simulator.order({ provider, call: 'cancel', fault: 'RESET_AFTER', orderId: uuidIn(paymentId) });

        await giveBack(admin, paymentId, { amountMinor: 30_000 });

        await eventually(async () => expect(await stored(app, holdId)).toEqual([{ ...BOOKED, refunded: 30_000 }]));
        expect(refundsAtProvider(paymentId)).toEqual([30_000]);
        expect(await app.brokenInvariants()).toEqual([]);
      },
    );

    test('no second one while one is under way', async () => {
      const { client, paymentId } = await booked('KAKAOPAY');
      app.simulator.order({ provider: 'KAKAOPAY', call: 'cancel', fault: 'RESET_BEFORE', orderId: uuidIn(paymentId) });
      app.simulator.order({ provider: 'KAKAOPAY', call: 'find', fault: 'RESET_BEFORE', orderId: uuidIn(paymentId) });

      const open = await giveBack(admin, paymentId, { amountMinor: 1_000 });
      const second = await giveBack(admin, paymentId, { amountMinor: 1_000 });

      expect(open).toMatchObject({ refund: { state: 'OPEN' } });
      expect(second).toMatchObject({ code: 'PAYMENT_NOT_REFUNDABLE', state: 'REFUNDING' });
      app.simulator.clearFaults();
      await eventually(async () => {
        await admin.run('TestReconcilePayment', { paymentId });
        return (await client.run('TestPayment', { id: paymentId })).state === 'APPROVED';
      });
      expect(refundsAtProvider(paymentId)).toEqual([1_000]);
    });
  });

  describe("money given back in the provider's own console", () => {
    let vendors: Vendors;
    beforeAll(() => {
      vendors = new Vendors(app.simulator);
    });
    afterAll(() => vendors[Symbol.asyncDispose]());

    /** As somebody would in the vendor's console: we are not asked. */
    async function refundedThere(provider: 'KAKAOPAY' | 'TOSS' | 'PORTONE', paymentId: string, amountMinor: number): Promise<void> {
      const orderId = uuidIn(paymentId);
      const reference = app.simulator.payment(orderId)?.reference ?? '';
      if (provider === 'TOSS') await vendors.toss('POST', `/${reference}/cancel`, { cancelReason: 'console', cancelAmount: amountMinor });
      else if (provider === 'PORTONE')
        await vendors.portone().cancelPayment({ paymentId: orderId, amount: amountMinor, reason: 'console' });
      else await vendors.kakaopay('cancel', { tid: reference, cancel_amount: amountMinor, cancel_tax_free_amount: 0 });
      expect(refundsAtProvider(paymentId).at(-1)).toBe(amountMinor);
    }

    test.each([['TOSS'], ['PORTONE']] as const)(
      'a part at %s: its webhook tells, our books follow, the booking stays',
      async (provider) => {
        const { client, holdId, paymentId } = await booked(provider);

        await refundedThere(provider, paymentId, 30_000);

        await eventually(async () => expect(await stored(app, holdId)).toEqual([{ ...BOOKED, refunded: 30_000 }]));
        expect((await client.run('TestPayment', { id: paymentId })).refunds).toMatchObject([
          { state: 'DONE', cause: 'AT_PROVIDER', reason: 'Refunded at the provider', givesBack: false, amount: { amountMinor: 30_000 } },
        ]);
        expect(await app.brokenInvariants()).toEqual([]);
      },
    );

    test.each([['TOSS'], ['PORTONE']] as const)('all of it at %s: the booking ends and the place goes back', async (provider) => {
      const { holdId, lessonId, paymentId } = await booked(provider);

      await refundedThere(provider, paymentId, 80_000);

      await eventually(async () => expect(await stored(app, holdId)).toEqual([RETURNED]));
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('at KAKAOPAY, which tells nobody: found when an operator asks, part after part, each once', async () => {
      const { client, holdId, lessonId, paymentId } = await booked('KAKAOPAY');

      await refundedThere('KAKAOPAY', paymentId, 30_000);
      const untold = await stored(app, holdId);
      await admin.run('TestReconcilePayment', { paymentId });
      await admin.run('TestReconcilePayment', { paymentId });
      const part = await stored(app, holdId);
      await refundedThere('KAKAOPAY', paymentId, 50_000);
      await admin.run('TestReconcilePayment', { paymentId });

      expect([untold, part]).toEqual([[BOOKED], [{ ...BOOKED, refunded: 30_000 }]]);
      expect(await stored(app, holdId)).toEqual([RETURNED]);
      expect((await client.run('TestPayment', { id: paymentId })).refunds.map(({ amount }) => amount.amountMinor)).toEqual([
        30_000, 50_000,
      ]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('a part there and the rest by us: together no more than was taken', async () => {
      const { client, holdId, paymentId } = await booked('TOSS');
      await refundedThere('TOSS', paymentId, 30_000);
      await eventually(async () => expect(await stored(app, holdId)).toEqual([{ ...BOOKED, refunded: 30_000 }]));

      const tooMuch = await giveBack(admin, paymentId, { amountMinor: 80_000 });
      const rest = await giveBack(admin, paymentId);

      expect(tooMuch).toMatchObject({ code: 'REFUND_EXCEEDS_PAYMENT', left: { amountMinor: 50_000 } });
      expect(rest).toMatchObject({ refund: { state: 'DONE', amount: { amountMinor: 50_000 } } });
      expect(refundsAtProvider(paymentId)).toEqual([30_000, 50_000]);
      expect((await client.run('TestPayment', { id: paymentId })).refunds.map(({ cause }) => cause)).toEqual(['AT_PROVIDER', 'GRANTED']);
      expect(await stored(app, holdId)).toEqual([RETURNED]);
    });
  });

  describe('concludeRefund', () => {
    const conclude = (client: TestClient, paymentId: string, wasRefunded: boolean) =>
      client.run('TestConcludeRefund', { input: { paymentId, wasRefunded } });

    /** A part of a payment at KISPG whose refund has no answer: nobody can ask, and it may not be sent twice. */
    async function stranded(fault: 'RESET_AFTER' | 'RESET_BEFORE') {
      const made = await booked('KISPG');
      app.simulator.order({ provider: 'KISPG', call: 'cancel', fault, orderId: uuidIn(made.paymentId) });
      const opened = await giveBack(admin, made.paymentId, { amountMinor: 30_000 });
      expect(opened).toMatchObject({ refund: { state: 'OPEN' } });
      return made;
    }

    test('a part at KISPG without an answer waits for a person, and is never sent again by itself', async () => {
      const { holdId, paymentId } = await stranded('RESET_BEFORE');

      for (let round = 0; round < 3; round++) {
        await app.query("update payment set next_look_at = clock_timestamp() - interval '1 second' where id = $1", [uuidIn(paymentId)]);
        await app.app.bookings.reconciler.round();
        await admin.run('TestReconcilePayment', { paymentId });
      }

      expect(refundCalls(paymentId)).toBe(1);
      expect(await stored(app, holdId)).toEqual([{ ...BOOKED, payment: 'REFUNDING' }]);
      expect(await app.brokenInvariants()).toEqual([]);
      await conclude(admin, paymentId, false);
    });

    test('it went back: our books follow, and nothing is sent', async () => {
      const { client, holdId, paymentId } = await stranded('RESET_AFTER');

      const concluded = await conclude(admin, paymentId, true);

      expect(concluded).toMatchObject({
        __typename: 'ReconcileSuccess',
        payment: { state: 'APPROVED', refunded: { amountMinor: 30_000 }, refunds: [{ state: 'DONE' }] },
      });
      expect(refundCalls(paymentId)).toBe(1);
      expect(refundsAtProvider(paymentId)).toEqual([30_000]);
      expect(await stored(app, holdId)).toEqual([{ ...BOOKED, refunded: 30_000 }]);
      expect((await client.run('TestPayment', { id: paymentId })).hold).toMatchObject({ state: 'CONFIRMED' });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('it did not: it is sent again, once, and done', async () => {
      const { holdId, paymentId } = await stranded('RESET_BEFORE');

      const concluded = await conclude(admin, paymentId, false);

      expect(concluded).toMatchObject({ payment: { state: 'APPROVED', refunded: { amountMinor: 30_000 } } });
      expect(refundCalls(paymentId)).toBe(2);
      expect(refundsAtProvider(paymentId)).toEqual([30_000]);
      expect(await stored(app, holdId)).toEqual([{ ...BOOKED, refunded: 30_000 }]);
    });

    test('said twice at once on two nodes: one effect', async () => {
      const { paymentId, holdId } = await stranded('RESET_AFTER');
      const { accessToken } = await app.admin();

      const answers = await Promise.all([admin, other.anonymous.as(accessToken)].map((node) => conclude(node, paymentId, true)));

      expect(tally(answers)).toEqual({ ReconcileSuccess: 1, ReconciliationNotNeededError: 1 });
      expect(await stored(app, holdId)).toEqual([{ ...BOOKED, refunded: 30_000 }]);
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('a cancellation by the policy that strands gives the place back when it is concluded', async () => {
      const { client, holdId, lessonId } = await heldLesson(app, { cancellation: [{ hoursBefore: 0, percent: 50 }] });
      const paymentId = await payFor(client, holdId, 'KISPG');
      await ended(client, paymentId);
      app.simulator.order({ provider: 'KISPG', call: 'cancel', fault: 'RESET_AFTER', orderId: uuidIn(paymentId) });
      await client.run('TestCancelBooking', { input: { holdId } });

      await conclude(admin, paymentId, true);

      expect(await stored(app, holdId)).toEqual([{ ...RETURNED, refunded: 40_000 }]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
    });

    test('is refused when nobody needs it: no refund, one that is done, one that can be asked about, one that can be sent again', async () => {
      const none = await booked('KISPG');
      const done = await booked('KISPG');
      await giveBack(admin, done.paymentId, { amountMinor: 1_000 });
      const askable = await booked('TOSS');
      app.simulator.order({ provider: 'TOSS', call: 'cancel', fault: 'RESET_BEFORE', orderId: uuidIn(askable.paymentId) });
      app.simulator.order({ provider: 'TOSS', call: 'find', fault: 'RESET_BEFORE', orderId: uuidIn(askable.paymentId), times: 3 });
      await giveBack(admin, askable.paymentId, { amountMinor: 1_000 });
      const whole = await booked('KISPG');
      app.simulator.order({ provider: 'KISPG', call: 'cancel', fault: 'RESET_BEFORE', orderId: uuidIn(whole.paymentId) });
      await giveBack(admin, whole.paymentId);

      const answers = [];
      for (const { paymentId } of [none, done, askable, whole]) answers.push(await conclude(admin, paymentId, true));
      const nowhere = await conclude(admin, toNodeId('Payment', '00000000-0000-7000-8000-000000000000'), true);

      expect(answers.map(({ code }) => code)).toEqual(Array(4).fill('RECONCILIATION_NOT_NEEDED'));
      expect(nowhere).toMatchObject({ code: 'PAYMENT_NOT_FOUND' });
      expect(await stored(app, none.holdId)).toEqual([BOOKED]);
      expect(await stored(app, whole.holdId)).toEqual([{ ...BOOKED, payment: 'REFUNDING' }]);
      app.simulator.clearFaults();
      for (const { client, paymentId } of [askable, whole]) {
        await eventually(async () => {
          await admin.run('TestReconcilePayment', { paymentId });
          return (await client.run('TestPayment', { id: paymentId })).state !== 'REFUNDING';
        });
      }
      expect(await app.brokenInvariants()).toEqual([]);
    });
  });
});
