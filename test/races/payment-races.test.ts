import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import type { SimulatedProvider } from '../../src/simulator/simulator.ts';
import { tally } from '../support/app.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, begin, ended, PROVIDERS } from '../support/payments.ts';
import { browse, endOf, type Outcome, RacingNodes, TRIALS } from '../support/races.ts';

failOnLeaks();
/** A race of 200 trials takes a third of a minute on a quiet machine. */
jest.setTimeout(300_000);

const providerOf = (number: number) => PROVIDERS[number % PROVIDERS.length] as SimulatedProvider;

/** What each of them protects from is in payment-interleavings.test.ts. */
describe(`${TRIALS} times on two nodes`, () => {
  let nodes: RacingNodes;
  beforeAll(async () => {
    nodes = await RacingNodes.open();
  });
  afterAll(() => nodes[Symbol.asyncDispose]());

  test('a customer who comes back as the time to pay ends is booked, or has paid nothing', async () => {
    const held = await nodes.members((number) => (number % 8 < 4 ? 'SAME' : 'REFUND'));

    const ends = await nodes.race(async (number) => {
      const { client, holdId } = await held(number);
      const payment = await begin(client, holdId, providerOf(number));

      await nodes.apart(
        number,
        () => browse(payment),
        () => nodes.timeOut(payment.id),
      );

      return { holdId };
    });

    const { booked: _, 'booked late': _late, 'given up': _givenUp, 'taken and given back': _givenBack, ...others } = ends;
    expect(others).toEqual({});
  });

  test.each([
    ['SAME', ['booked late', 'booked late', 'booked late', 'booked late']],
    // PortOne's page takes the money by itself.
    ['REFUND', ['given up', 'given up', 'taken and given back', 'given up']],
  ] as const)('who wins is told by who comes first: of those who want %s', async (choice, ifOver) => {
    const held = await nodes.members(() => choice);
    const inTurn = [true, false];

    const ends = await nodes.race(
      async (number) => {
        const { client, holdId } = await held(number);
        const payment = await begin(client, holdId, providerOf(number));
        const isInTime = inTurn[number >> 2];

        if (isInTime) await browse(payment);
        await nodes.timeOut(payment.id);
        if (!isInTime) await browse(payment);

        return { holdId, said: () => `${providerOf(number)} ${isInTime ? 'in time' : 'too late'}` };
      },
      endOf,
      PROVIDERS.length * inTurn.length,
    );

    expect(ends).toEqual(
      Object.fromEntries(
        PROVIDERS.flatMap((provider, index) => [
          [`${provider} in time, booked`, 1],
          [`${provider} too late, ${ifOver[index]}`, 1],
        ]),
      ),
    );
  });

  test('a member who cancels while paying is booked and told so, or gives up the place and has paid nothing', async () => {
    const held = await nodes.members();

    const ends = await nodes.race(async (number) => {
      const { client, elsewhere, holdId } = await held(number);
      const payment = await begin(client, holdId, providerOf(number));

      const [, cancelled] = await nodes.apart(
        number,
        () => browse(payment),
        () => elsewhere.run('TestCancelBooking', { input: { holdId } }),
      );

      return { holdId, said: () => (cancelled.__typename === 'HoldNotOpenError' ? `refused as ${cancelled.state}` : 'cancelled') };
    });

    // That each of them can win is in payment-interleavings.test.ts.
    const {
      'refused as PAYING, booked': _,
      'cancelled, booked and cancelled': _before,
      'cancelled, given up': _givenUp,
      'cancelled, taken and given back': _givenBack,
      ...others
    } = ends;
    expect(others).toEqual({});
  });

  test('two cancellations at once have one effect and the same answer', async () => {
    const held = await nodes.members();

    const ends = await nodes.race(async (number) => {
      const { client, elsewhere, holdId } = await held(number);
      const payment = await begin(client, holdId, providerOf(number));
      await atCheckout(payment);
      await ended(client, payment.id);

      const answers = await Promise.all([client, elsewhere].map((node) => node.run('TestCancelBooking', { input: { holdId } })));

      expect(tally(answers)).toEqual({ CancelBookingSuccess: 2 });
      return { holdId, said: () => `${nodes.callsOf(payment.id, 'cancel')} refund` };
    });

    expect(ends).toEqual({ '1 refund, booked and cancelled': TRIALS });
  });

  test('of two refunds that do not both fit one is granted', async () => {
    const admin = await nodes.one.admin();
    const callers = nodes.nodes.map(({ anonymous }) => anonymous.as(admin.accessToken));
    const held = await nodes.members();

    const ends = await nodes.race(
      async (number) => {
        const { client, holdId } = await held(number);
        const payment = await begin(client, holdId, providerOf(number));
        await atCheckout(payment);
        await ended(client, payment.id);

        const answers = await Promise.all(
          callers.map((caller) =>
            caller.run('TestRefundPayment', {
              input: { paymentId: payment.id, amountMinor: 50_000, reason: 'Closed for two days', idempotencyKey: randomUUID() },
            }),
          ),
        );

        const [granted, refused] = answers
          .map(({ __typename }) => __typename)
          .sort()
          .reverse();
        expect(granted).toBe('RefundPaymentSuccess');
        expect(['PaymentNotRefundableError', 'RefundExceedsPaymentError']).toContain(refused);
        return { holdId, said: () => `${nodes.callsOf(payment.id, 'cancel')} refund` };
      },
      ({ hold, payments, keptMinor }) => `${hold} and ${payments} with ${keptMinor}`,
    );

    expect(ends).toEqual({ '1 refund, CONFIRMED and APPROVED with 30000': TRIALS });
  });

  test('a double click, paid in both windows, is one booking and one payment that is kept', async () => {
    const held = await nodes.members();
    const oneBooking = ({ hold, payments, keptMinor, followUps }: Outcome) =>
      `${hold}, ${payments.filter((state) => state === 'APPROVED').length} paid, ${keptMinor}, ${followUps} follow-up`;

    const ends = await nodes.race(async (number) => {
      const { client, elsewhere, holdId } = await held(number);
      const provider = providerOf(number >> 1);
      const key = randomUUID();
      const keys = number % 2 ? [key, randomUUID()] : [key, key];

      const answers = await Promise.all(
        [client, elsewhere].map((node, turn) =>
          node.run('TestPreparePayment', { input: { holdId, provider, idempotencyKey: keys[turn] as string } }),
        ),
      );
      const begun = answers.flatMap(({ payment }) => payment ?? []);
      await Promise.all(begun.map((payment) => browse(payment)));

      // With two keys the one that comes later replaces the other, or finds it being paid.
      if (number % 2)
        expect([{ PreparePaymentSuccess: 2 }, { PreparePaymentSuccess: 1, HoldNotOpenError: 1 }]).toContainEqual(tally(answers));
      else expect(tally(answers)).toEqual({ PreparePaymentSuccess: 2 });
      const payments = new Set(begun.map(({ id }) => id)).size;
      expect(payments).toBe(number % 2 ? begun.length : 1);
      return { holdId };
    }, oneBooking);

    expect(ends).toEqual({ 'CONFIRMED, 1 paid, 80000, 1 follow-up': TRIALS });
  });

  test.each([
    ['TOSS', 1],
    ['PORTONE', 0],
  ] as const)('a return, webhooks, an operator and the reconciler at once are one booking, with %s', async (provider, approvals) => {
    const admin = await nodes.one.admin();
    const operator = nodes.other.anonymous.as(admin.accessToken);
    const held = await nodes.members();

    const ends = await nodes.race(async (number) => {
      const { client, holdId } = await held(number);
      const payment = await begin(client, holdId, provider);

      await nodes.apart(
        number,
        () => browse(payment),
        () =>
          Promise.all([
            nodes.lookNow(payment.id),
            nodes.ringAgain(payment.id),
            operator.run('TestReconcilePayment', { paymentId: payment.id }),
          ]),
      );

      return { holdId, said: () => `${nodes.callsOf(payment.id, 'approve')} approvals` };
    });

    expect(ends).toEqual({ [`${approvals} approvals, booked`]: TRIALS });
  });
});
