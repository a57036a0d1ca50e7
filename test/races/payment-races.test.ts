import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { SimulatedProvider } from '../../src/simulator/simulator.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, begin, ended, PROVIDERS } from '../support/payments.ts';
import { browse, type Outcome, RacingNodes, TRIALS } from '../support/races.ts';

failOnLeaks();

/** How a hold may end. */
const ENDS: Record<string, Outcome> = {
  booked: { hold: 'CONFIRMED', payments: ['APPROVED'], captures: 1, keptMinor: 80_000, followUps: 1 },
  'booked late': { hold: 'RELEASED', payments: ['APPROVED'], captures: 1, keptMinor: 80_000, followUps: 1 },
  abandoned: { hold: 'RELEASED', payments: ['ABANDONED'], captures: 0, keptMinor: 0, followUps: 0 },
  'never approved': { hold: 'RELEASED', payments: ['REFUSED'], captures: 0, keptMinor: 0, followUps: 0 },
  'taken and given back': { hold: 'RELEASED', payments: ['REFUNDED'], captures: 1, keptMinor: 0, followUps: 0 },
  'booked and cancelled': { hold: 'RETURNED', payments: ['REFUNDED'], captures: 1, keptMinor: 0, followUps: 1 },
};
const endOf = (outcome: Outcome) => Object.keys(ENDS).find((end) => JSON.stringify(ENDS[end]) === JSON.stringify(outcome));

const providerOf = (number: number) => PROVIDERS[number % PROVIDERS.length] as SimulatedProvider;

describe(`${TRIALS} times, on two nodes`, () => {
  let nodes: RacingNodes;
  beforeAll(async () => {
    nodes = await RacingNodes.open();
  });
  afterAll(() => nodes[Symbol.asyncDispose]());

  test('a customer who comes back as the time to pay ends is booked, or loses the place and no money', async () => {
    const held = await nodes.members((number) => (number % 8 < 4 ? 'SAME' : 'REFUND'));
    const ends = await nodes.race(endOf, async (number) => {
      const { client, holdId } = await held(number);
      const payment = await begin(client, holdId, providerOf(number));

      await nodes.apart(
        number,
        () => browse(payment),
        () => nodes.timeOut(payment.id),
      );

      return { holdId };
    });
    process.stdout.write(`${JSON.stringify(ends, null, 1)}\n`);
  });

  test('a member who cancels while paying is booked and told so, or gives up the place and gets all money back', async () => {
    const held = await nodes.members();
    const ends = await nodes.race(endOf, async (number) => {
      const { client, elsewhere, holdId } = await held(number);
      const payment = await begin(client, holdId, providerOf(number));

      const [, cancelled] = await nodes.apart(
        number,
        () => browse(payment),
        () => elsewhere.run('TestCancelBooking', { input: { holdId } }),
      );

      return { holdId, said: cancelled.state ?? cancelled.__typename };
    });
    process.stdout.write(`${JSON.stringify(ends, null, 1)}\n`);
  });

  test('two cancellations at once give the money back once', async () => {
    const held = await nodes.members();
    const ends = await nodes.race(endOf, async (number) => {
      const { client, elsewhere, holdId } = await held(number);
      const payment = await begin(client, holdId, providerOf(number));
      await atCheckout(payment);
      await ended(client, payment.id);

      const cancelled = await nodes.apart(
        number % 3,
        () => client.run('TestCancelBooking', { input: { holdId } }),
        () => elsewhere.run('TestCancelBooking', { input: { holdId } }),
      );

      expect(cancelled.map(({ __typename }) => __typename)).toEqual(['CancelBookingSuccess', 'CancelBookingSuccess']);
      return { holdId, said: `${nodes.callsOf(payment.id, 'cancel')} refunds` };
    });
    process.stdout.write(`${JSON.stringify(ends, null, 1)}\n`);
  });

  test('of two refunds that do not both fit one is granted', async () => {
    const admin = await nodes.one.admin();
    const adminElsewhere = nodes.other.anonymous.as(admin.accessToken);
    const held = await nodes.members();
    const ends = await nodes.race(
      (outcome) => (outcome.hold === 'CONFIRMED' && outcome.keptMinor === 30_000 ? 'a part given back' : undefined),
      async (number) => {
        const { client, holdId } = await held(number);
        const payment = await begin(client, holdId, providerOf(number));
        await atCheckout(payment);
        await ended(client, payment.id);
        const input = { paymentId: payment.id, amountMinor: 50_000, reason: 'The pool is closed on two days' };

        const refunds = await nodes.apart(
          number % 3,
          () => admin.client.run('TestRefundPayment', { input: { ...input, idempotencyKey: randomUUID() } }),
          () => adminElsewhere.run('TestRefundPayment', { input: { ...input, idempotencyKey: randomUUID() } }),
        );

        return { holdId, said: `${refunds.map(({ __typename }) => __typename).sort()} ${nodes.callsOf(payment.id, 'cancel')} refunds` };
      },
    );
    process.stdout.write(`${JSON.stringify(ends, null, 1)}\n`);
  });

  test('a double click, paid in both windows, is one booking', async () => {
    const held = await nodes.members();

    const ends = await nodes.race(endOf, async (number) => {
      const { client, elsewhere, holdId } = await held(number);
      const provider = providerOf(number >> 1);
      const key = randomUUID();
      const isTwin = number % 2 === 0;

      const prepared = await nodes.apart(
        number % 3,
        () => client.run('TestPreparePayment', { input: { holdId, provider, idempotencyKey: key } }),
        () => elsewhere.run('TestPreparePayment', { input: { holdId, provider, idempotencyKey: isTwin ? key : randomUUID() } }),
      );
      const payments = prepared.flatMap(({ payment }) => payment ?? []);
      await Promise.all(payments.map((payment) => browse(payment)));

      const said = prepared.map(({ __typename, state }) => state ?? __typename).sort();
      return { holdId, said: `${isTwin ? 'one key' : 'two keys'}, ${said}, ${new Set(payments.map(({ id }) => id)).size}` };
    });
    process.stdout.write(`${JSON.stringify(ends, null, 1)}\n`);
  });

  test.each(['TOSS', 'PORTONE'] as const)('a return, copies of a webhook, an operator and the reconciler at once are one booking with %s', async (provider) => {
    const admin = await nodes.one.admin();
    const adminElsewhere = nodes.other.anonymous.as(admin.accessToken);
    const held = await nodes.members();
    const ends = await nodes.race(endOf, async (number) => {
      const { client, holdId } = await held(number);
      const payment = await begin(client, holdId, provider);

      await nodes.apart(
        number,
        () => browse(payment),
        async () => {
          await Promise.all([
          nodes.lookNow(payment.id),
          nodes.ringAgain(payment.id),
          adminElsewhere.run('TestReconcilePayment', { paymentId: payment.id }),
          ]);
        },
      );

      return { holdId, said: `${nodes.callsOf(payment.id, 'approve')} approvals` };
    });
    process.stdout.write(`${JSON.stringify(ends, null, 1)}\n`);
  });
});
