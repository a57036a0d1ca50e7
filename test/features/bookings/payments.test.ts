import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { nextMonth, type TestApp, tally, testApp, uuidIn } from '../../support/app.ts';
import type { TestClient, VariablesOf } from '../../support/client.ts';
import { inside } from '../../support/interleaving.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, beginAtHasty, ended, heldLesson, PROVIDERS, payFor } from '../../support/payments.ts';
import { eventually } from '../../support/wait.ts';
import { visit } from './browser.ts';
import { stored, unpaid } from './stored.ts';

failOnLeaks();

type PrepareInput = VariablesOf<'TestPreparePayment'>['input'];

const prepare = (client: TestClient, holdId: string, more: Partial<PrepareInput> = {}) =>
  client.run('TestPreparePayment', { input: { holdId, provider: 'TOSS', idempotencyKey: randomUUID(), ...more } });

const NO_MONEY = { captured: 0, refunded: 0 };
const PAYING = { hold: 'PAYING', payment: 'PENDING', because: null, ...NO_MONEY };
const BOOKED = { hold: 'CONFIRMED', payment: 'APPROVED', because: null, captured: 80_000, refunded: 0 };

describe('payments', () => {
  let app: TestApp;
  /** A second node on the same database and the same providers. */
  let other: TestApp;
  /** A third one, which gives up waiting for a provider early. */
  let hasty: TestApp;
  beforeAll(async () => {
    app = await testApp();
    hasty = await testApp({ databaseUrl: app.databaseUrl, simulator: app.simulator, environment: { PAYMENT_ANSWER_TIMEOUT_MS: '1000' } });
    // The last one: webhooks go to it.
    other = await testApp({ databaseUrl: app.databaseUrl, simulator: app.simulator });
  });
  afterAll(async () => {
    await other.close();
    await hasty.close();
    await app.close();
  });

  const captures = (paymentId: string) => app.simulator.payment(uuidIn(paymentId))?.entries ?? [];
  const callsAbout = (paymentId: string, call: string) =>
    app.simulator.calls.filter(({ orderId, call: made }) => orderId === uuidIn(paymentId) && made === call).length;

  describe.each(PROVIDERS.map((provider) => [provider] as const))('at %s', (provider) => {
    test('begun, agreed to and come back: booked, and paid once', async () => {
      const { client, holdId, lessonId } = await heldLesson(app, { priceMinor: 54_000 });

      const begun = await prepare(client, holdId, { provider });
      const counted = await app.counters(lessonId);
      const landed = await atCheckout(begun.payment);
      const paid = await ended(client, begun.payment.id);

      expect(begun).toMatchObject({
        __typename: 'PreparePaymentSuccess',
        payment: {
          state: 'PENDING',
          provider,
          amount: { amountMinor: 54_000, currency: 'KRW' },
          captured: { amountMinor: 0 },
          checkout: { url: expect.stringContaining(app.simulator.url) },
        },
        hold: { __typename: 'Enrollment', id: holdId, state: 'PAYING' },
      });
      expect(counted).toEqual({ capacity: 3, held: 1, sold: 0 });
      expect(landed).toMatchObject({ status: 303, location: expect.stringMatching(`^${app.url}/payments/${uuidIn(begun.payment.id)}/`) });
      expect(paid).toMatchObject({
        state: 'APPROVED',
        captured: { amountMinor: 54_000 },
        refunded: { amountMinor: 0 },
        checkout: null,
        refusalCode: null,
        endedBecause: null,
        lateOutcome: null,
        refunds: [],
        hold: { id: holdId, state: 'CONFIRMED' },
      });
      expect(captures(begun.payment.id)).toMatchObject([{ kind: 'CAPTURE', amountMinor: 54_000 }]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('whoever closes the window has lost nothing: the checkout waits, and can be paid later', async () => {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId, provider);

      await atCheckout(payment, 'close');
      const meanwhile = await client.run('TestPayment', { id: payment.id });
      await atCheckout(meanwhile);
      await ended(client, payment.id);

      expect(meanwhile).toEqual({ ...payment, hold: { __typename: 'Enrollment', id: holdId, state: 'PAYING' } });
      expect(await stored(app, holdId)).toEqual([BOOKED]);
    });

    test('a customer whose browser comes back several times at once, on two nodes, pays once', async () => {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId, provider);
      const landed = await atCheckout(payment);
      const elsewhere = landed?.url.replace(app.url, other.url) ?? '';

      const again = await Promise.all(
        [landed?.url ?? '', elsewhere, elsewhere].map((url) => visit(url, { method: provider === 'KISPG' ? 'POST' : 'GET' })),
      );

      await ended(client, payment.id);
      expect(again.map(({ status }) => status)).toEqual([303, 303, 303]);
      expect(captures(payment.id)).toHaveLength(1);
      expect(await stored(app, holdId)).toEqual([BOOKED]);
    });

    test('while nobody knows whether the money moved it is pending, and never failed', async () => {
      const { client, accessToken, holdId, lessonId } = await heldLesson(app);
      const { client: admin } = await app.admin();
      const payment = await beginAtHasty(hasty.anonymous.as(accessToken), holdId, provider);
      app.simulator.order({ provider, call: 'approve', fault: 'HANG_AFTER', orderId: uuidIn(payment.id) });
      app.simulator.order({ provider, call: 'find', fault: 'RESET_BEFORE', orderId: uuidIn(payment.id), times: 100 });
      app.simulator.order({ provider, call: 'cancel', fault: 'RESET_BEFORE', orderId: uuidIn(payment.id), times: 100 });

      // A webhook would be faster than the customer at times, and its node approve instead.
      app.simulator.sendsWebhooks = false;
      const landed = await atCheckout(payment);
      app.simulator.sendsWebhooks = true;
      const read = await client.run('TestPayment', { id: payment.id });
      const asked = await admin.run('TestReconcilePayment', { paymentId: payment.id });
      const page = await visit(landed?.location ?? '');

      expect(read).toMatchObject({ state: 'PENDING', checkout: null, refusalCode: null, hold: { state: 'PAYING' } });
      expect(asked).toMatchObject({ __typename: 'ReconcileSuccess', payment: { state: 'PENDING' } });
      expect(page.text).toContain('Your payment is being checked');
      expect(await client.run('TestCancelBooking', { input: { holdId } })).toMatchObject({ code: 'HOLD_NOT_OPEN', state: 'PAYING' });
      expect(await prepare(client, holdId, { provider: 'TOSS' })).toMatchObject({ code: 'HOLD_NOT_OPEN', state: 'PAYING' });
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 1, sold: 0 });
      expect(callsAbout(payment.id, 'approve')).toBe(1);
      app.simulator.clearFaults();
      // Whoever cannot be asked is told to take it back; the others know that it was paid.
      await eventually(async () =>
        expect(await admin.run('TestReconcilePayment', { paymentId: payment.id })).toMatchObject({
          payment: { state: provider === 'KISPG' ? 'REFUNDED' : 'APPROVED' },
        }),
      );
      expect(captures(payment.id).filter(({ kind }) => kind === 'CAPTURE')).toHaveLength(1);
      expect(await app.brokenInvariants()).toEqual([]);
    });
  });

  test.each([
    ['KAKAOPAY', 'TOSS'],
    ['TOSS', 'PORTONE'],
    ['PORTONE', 'KISPG'],
  ] as const)(
    'a provider that is down costs the member nothing: after %s the hold is as it was, and %s works',
    async (provider, another) => {
      const { client, holdId } = await heldLesson(app);
      const hold = () => app.query('select state, expires_at, version from hold where id = $1', [uuidIn(holdId)]);
      const before = await hold();
      app.simulator.order({ provider, call: 'prepare', fault: 'RESET_BEFORE', times: 10 });

      const refused = await prepare(client, holdId, { provider });
      const after = await hold();
      app.simulator.clearFaults();
      await ended(client, await payFor(client, holdId, another));

      expect(refused).toMatchObject({ __typename: 'PaymentProviderUnavailableError', code: 'PAYMENT_PROVIDER_UNAVAILABLE' });
      expect(after).toEqual(before);
      expect(await stored(app, holdId)).toEqual([{ ...PAYING, hold: 'CONFIRMED' }, BOOKED]);
      expect(await app.brokenInvariants()).toEqual([]);
    },
  );

  test('KISPG may be down while payment begins: the order reaches it with the browser only', async () => {
    const { client, holdId } = await heldLesson(app);
    await app.simulator.goDown();

    const begun = await prepare(client, holdId, { provider: 'KISPG' });
    await app.simulator.comeUp();
    await atCheckout(begun.payment);

    expect(begun).toMatchObject({ __typename: 'PreparePaymentSuccess' });
    expect(await stored(app, holdId)).toEqual([BOOKED]);
  });

  test.each([['KAKAOPAY'], ['TOSS'], ['PORTONE']] as const)(
    'a customer who comes back while %s is being asked about the payment is not forgotten',
    async (provider) => {
      const { client, holdId } = await heldLesson(app);
      const { client: admin } = await app.admin();
      const payment = await begin(client, holdId, provider);
      app.simulator.order({ provider, call: 'find', fault: 'LATENCY', milliseconds: 300, orderId: uuidIn(payment.id) });

      const asked = admin.run('TestReconcilePayment', { paymentId: payment.id });
      await eventually(() => callsAbout(payment.id, 'find') === 1);
      await atCheckout(payment);
      await asked;
      await ended(client, payment.id);

      expect(await stored(app, holdId)).toEqual([BOOKED]);
      expect(captures(payment.id)).toHaveLength(1);
    },
  );

  test('what was begun and never reached the provider is forgotten when its time is over', async () => {
    const { client, holdId } = await heldLesson(app);
    app.simulator.order({ provider: 'TOSS', call: 'prepare', fault: 'RESET_BEFORE' });
    await prepare(client, holdId);
    await app.query("update payment set next_look_at = clock_timestamp() - interval '1 second' where hold_id = $1", [uuidIn(holdId)]);

    await app.app.bookings.reconciler.round();

    expect(await stored(app, holdId)).toEqual([{ ...unpaid('HELD'), payment: 'ABANDONED', because: 'NOT_PREPARED', ...NO_MONEY }]);
  });

  describe('the customer refuses', () => {
    test.each([
      ['KAKAOPAY', 'QUIT_PAYMENT'],
      ['TOSS', 'PAY_PROCESS_CANCELED'],
      ['KISPG', '9302'],
    ] as const)('at %s: the place and the locker go back at once', async (provider, code) => {
      const month = nextMonth();
      const lockerId = await app.lockers(month, 'FEMALE', 1);
      const { client, holdId, lessonId } = await heldLesson(app, { month }, { withLocker: true });
      const payment = await begin(client, holdId, provider);

      const landed = await atCheckout(payment, 'refuse');
      await ended(client, payment.id);

      expect((await visit(landed?.location ?? '')).text).toContain('nothing was charged');
      expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({
        state: 'REFUSED',
        refusalCode: code,
        checkout: null,
        hold: { state: 'RELEASED' },
      });
      expect(captures(payment.id)).toEqual([]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
      expect(await app.counters(lockerId)).toEqual({ capacity: 1, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('at PORTONE, where a try that failed is not the end: the checkout waits for another', async () => {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId, 'PORTONE');

      await atCheckout(payment, 'refuse');
      const meanwhile = await client.run('TestPayment', { id: payment.id });
      await atCheckout(meanwhile);
      await ended(client, payment.id);

      expect(meanwhile).toMatchObject({ state: 'PENDING', checkout: payment.checkout });
      expect(await stored(app, holdId)).toEqual([BOOKED]);
    });

    test('the same lesson can be claimed and paid again', async () => {
      const { client, holdId, lessonId } = await heldLesson(app);
      const refused = await begin(client, holdId);
      await atCheckout(refused, 'refuse');
      await ended(client, refused.id);

      const again = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
      await payFor(client, again.enrollment.id, 'KAKAOPAY');

      expect(await stored(app, again.enrollment.id)).toEqual([BOOKED]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
    });

    test.each([
      ['KAKAOPAY', 'USER_LOCKED'],
      ['TOSS', 'REJECT_CARD_COMPANY'],
      ['KISPG', '3011'],
    ] as const)('or the card is refused at %s: it says the code, and nothing was taken', async (provider, code) => {
      const { client, holdId } = await heldLesson(app);
      const payment = await begin(client, holdId, provider);
      app.simulator.order({ provider, call: 'approve', fault: 'REFUSE', code, orderId: uuidIn(payment.id) });

      await atCheckout(payment);
      await ended(client, payment.id);

      expect(await stored(app, holdId)).toEqual([{ hold: 'RELEASED', payment: 'REFUSED', because: code, ...NO_MONEY }]);
      expect(captures(payment.id)).toEqual([]);
    });
  });

  describe('preparePayment answers', () => {
    test('not found for a hold of somebody else, whoever asks, and one that nobody placed', async () => {
      const { holdId, lessonId } = await heldLesson(app);
      const nowhere = toNodeId('Enrollment', '00000000-0000-7000-8000-000000000000');

      for (const { client } of [await app.member(), await app.member('ORGANIZER'), await app.admin()])
        for (const id of [holdId, nowhere])
          expect(await prepare(client, id)).toMatchObject({ __typename: 'HoldNotFoundError', code: 'HOLD_NOT_FOUND' });

      expect(await stored(app, holdId)).toEqual([unpaid('HELD')]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 1, sold: 0 });
    });

    test.each([
      ['of a lesson', toNodeId('Lesson', '00000000-0000-7000-8000-000000000000')],
      ['of nothing', 'x'],
      ['of the interface', toNodeId('Hold', '00000000-0000-7000-8000-000000000000')],
    ])('bad input for an id %s, as cancelBooking does', async (_, holdId) => {
      const { client } = await app.member();

      for (const [name, input] of [
        ['TestPreparePayment', { holdId, provider: 'TOSS', idempotencyKey: randomUUID() }],
        ['TestCancelBooking', { holdId }],
      ] as const)
        expect((await client.send(name, { input })).errors).toEqual([expect.objectContaining({ extensions: { code: 'BAD_USER_INPUT' } })]);
    });

    test('that a hold is over its deadline, by the clock of the database and with nobody tidying', async () => {
      await using quiet = await testApp();
      await quiet.stopSweeping();
      const { client, holdId } = await heldLesson(quiet);
      await quiet.expire(holdId);

      const refused = await prepare(client, holdId);

      expect(refused).toMatchObject({ __typename: 'HoldExpiredError', code: 'HOLD_EXPIRED' });
      expect(quiet.simulator.calls).toEqual([]);
      expect(await stored(quiet, holdId)).toEqual([unpaid('HELD')]);
    });

    test('that it is over when the deadline passes while the provider is being told: the fence decides', async () => {
      const { client, holdId, lessonId } = await heldLesson(app);
      const expired = inside(app, app.app.bookings.saga.providerOf({ provider: 'TOSS' } as never), 'prepare', () => app.expire(holdId));

      const refused = await prepare(client, holdId);
      await expired;

      expect(refused).toMatchObject({ __typename: 'HoldExpiredError', code: 'HOLD_EXPIRED' });
      await app.app.inventory.sweep();
      expect(await stored(app, holdId)).toEqual([{ hold: 'EXPIRED', payment: 'PENDING', because: null, ...NO_MONEY }]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('that it is not open: being approved, paid, given up, given back', async () => {
      const paid = await heldLesson(app);
      await payFor(paid.client, paid.holdId);
      const givenUp = await heldLesson(app);
      await givenUp.client.run('TestCancelBooking', { input: { holdId: givenUp.holdId } });
      const givenBack = await heldLesson(app);
      await payFor(givenBack.client, givenBack.holdId);
      await givenBack.client.run('TestCancelBooking', { input: { holdId: givenBack.holdId } });

      expect(await prepare(paid.client, paid.holdId)).toMatchObject({ code: 'HOLD_NOT_OPEN', state: 'CONFIRMED' });
      expect(await prepare(givenUp.client, givenUp.holdId)).toMatchObject({ code: 'HOLD_NOT_OPEN', state: 'RELEASED' });
      expect(await prepare(givenBack.client, givenBack.holdId)).toMatchObject({ code: 'HOLD_NOT_OPEN', state: 'RETURNED' });
    });

    test('that a provider is not set up, and touches nothing', async () => {
      await using bare = await testApp({ providers: {} });
      const { client, holdId } = await heldLesson(bare);

      const offered = await client.run('TestPaymentProviders');
      const refused = await prepare(client, holdId);

      expect(offered).toEqual([]);
      expect(refused).toMatchObject({ __typename: 'PaymentProviderUnavailableError', code: 'PAYMENT_PROVIDER_UNAVAILABLE' });
      expect(await stored(bare, holdId)).toEqual([unpaid('HELD')]);
    });

    test("the provider's own code when it will not begin; the hold is as it was and a new key works", async () => {
      const { client, holdId } = await heldLesson(app);
      app.simulator.order({ provider: 'TOSS', call: 'prepare', fault: 'REFUSE', code: 'INVALID_REQUEST' });
      const idempotencyKey = randomUUID();

      const refused = await prepare(client, holdId, { idempotencyKey });
      const repeated = await prepare(client, holdId, { idempotencyKey });
      const begun = await prepare(client, holdId);

      expect(refused).toMatchObject({ __typename: 'PaymentRefusedError', code: 'PAYMENT_REFUSED', providerCode: 'INVALID_REQUEST' });
      expect(repeated).toEqual(refused);
      expect(begun).toMatchObject({ __typename: 'PreparePaymentSuccess' });
      expect(await stored(app, holdId)).toEqual([{ ...PAYING, payment: 'REFUSED', because: 'INVALID_REQUEST' }, PAYING]);
    });

    test('the first that applies, where several do', async () => {
      const { TOSS } = app.simulator.settings;
      await using small = await testApp({ providers: { TOSS }, simulator: app.simulator });
      const { client, holdId } = await heldLesson(small);
      const stranger = await small.member();
      const idempotencyKey = randomUUID();
      const wrong = { returnTo: 'https://evil.example/', provider: 'KAKAOPAY', idempotencyKey } as const;
      await prepare(client, holdId, { idempotencyKey });
      await client.run('TestCancelBooking', { input: { holdId } });
      const expired = await client.run('TestEnroll', { input: { lessonId: await small.lesson(), idempotencyKey: randomUUID() } });
      await small.expire(expired.enrollment.id);

      const answers = [
        await prepare(stranger.client, holdId, wrong),
        await prepare(client, holdId, wrong),
        await prepare(client, holdId, { ...wrong, returnTo: null }),
        await prepare(client, expired.enrollment.id, { provider: 'KAKAOPAY' }),
        await prepare(client, holdId, { provider: 'KAKAOPAY' }),
      ];

      expect(answers.map(({ code }) => code)).toEqual([
        'HOLD_NOT_FOUND',
        'RETURN_ADDRESS_NOT_ALLOWED',
        'IDEMPOTENCY_KEY_REUSED',
        'HOLD_EXPIRED',
        'HOLD_NOT_OPEN',
      ]);
    });

    test('in Korean to whom asks in Korean, with the same codes', async () => {
      const { client, holdId } = await heldLesson(app);
      await payFor(client, holdId);

      const input = { holdId, provider: 'TOSS', idempotencyKey: randomUUID() };
      const { data } = await client.send('TestPreparePayment', { input }, { 'accept-language': 'ko' });

      expect(data.preparePayment).toMatchObject({ code: 'HOLD_NOT_OPEN', message: expect.stringMatching(/[가-힣]/) });
    });
  });

  describe('the final check', () => {
    test("passes for one's own live hold, whatever others do with the lesson", async () => {
      const { client, holdId, lessonId } = await heldLesson(app, { capacity: 2 });
      const rival = await app.member();
      await rival.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } });
      const { client: admin } = await app.admin();
      await admin.run('TestCloseLessonSale', { lessonId });

      await payFor(client, holdId);

      expect(await stored(app, holdId)).toEqual([BOOKED]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 2, held: 1, sold: 1 });
    });

    test('stops the deadline of the hold: what has begun to be paid does not run out with it', async () => {
      const { client, holdId, lessonId } = await heldLesson(app);
      const payment = await begin(client, holdId);
      await app.expire(holdId);

      await app.app.inventory.sweep();
      await atCheckout(payment);

      expect(await stored(app, holdId)).toEqual([BOOKED]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
    });

    test('gives the customer exactly as long as the operator says, by the clock of the database', async () => {
      await using hasty = await testApp({ environment: { PAYMENT_SECONDS: '60' }, databaseUrl: app.databaseUrl, simulator: app.simulator });
      const { accessToken, holdId } = await heldLesson(app);

      await begin(hasty.anonymous.as(accessToken), holdId);

      const [row] = await app.query<{ seconds: number }>(
        'select extract(epoch from pay_by - changed_at)::float8 as seconds from payment where hold_id = $1',
        [uuidIn(holdId)],
      );
      expect(row?.seconds).toBe(60);
    });
  });

  describe('repeated', () => {
    test.each(PROVIDERS.map((provider) => [provider] as const))(
      'with one key, at once and on two nodes: one payment, one answer, one order at %s',
      async (provider) => {
        const { client, accessToken, holdId } = await heldLesson(app);
        const elsewhere = other.anonymous.as(accessToken);
        const idempotencyKey = randomUUID();

        const answers = await Promise.all(
          [client, elsewhere, client, elsewhere].map((node) => prepare(node, holdId, { provider, idempotencyKey })),
        );
        const later = await prepare(client, holdId, { provider, idempotencyKey });
        await atCheckout(later.payment);
        await ended(client, later.payment.id);

        expect(tally(answers)).toEqual({ PreparePaymentSuccess: 4 });
        expect(answers.map(({ payment }) => payment)).toEqual(Array(4).fill(later.payment));
        expect(await stored(app, holdId)).toEqual([BOOKED]);
        expect(captures(later.payment.id)).toHaveLength(1);
        expect(app.simulator.payments().filter(({ orderId }) => orderId === uuidIn(later.payment.id))).toHaveLength(1);
      },
    );

    test('after it was paid, and after it was refused: the same payment as it is then, and nobody is told again', async () => {
      const idempotencyKey = randomUUID();
      const paid = await heldLesson(app);
      const begun = await prepare(paid.client, paid.holdId, { idempotencyKey });
      await atCheckout(begun.payment);
      const told = callsAbout(begun.payment.id, 'prepare');

      const repeated = await prepare(paid.client, paid.holdId, { idempotencyKey });

      expect(repeated).toMatchObject({
        payment: { id: begun.payment.id, state: 'APPROVED', checkout: null },
        hold: { state: 'CONFIRMED' },
      });
      expect(callsAbout(begun.payment.id, 'prepare')).toBe(told);
    });

    test('after an answer of the provider was lost: the same payment goes on, and is paid once', async () => {
      const { client, holdId } = await heldLesson(app);
      const idempotencyKey = randomUUID();
      app.simulator.order({ provider: 'KAKAOPAY', call: 'prepare', fault: 'RESET_AFTER' });

      const lost = await prepare(client, holdId, { provider: 'KAKAOPAY', idempotencyKey });
      const again = await prepare(client, holdId, { provider: 'KAKAOPAY', idempotencyKey });
      await atCheckout(again.payment);

      expect(lost).toMatchObject({ code: 'PAYMENT_PROVIDER_UNAVAILABLE' });
      expect(await stored(app, holdId)).toEqual([BOOKED]);
      expect(captures(again.payment.id)).toHaveLength(1);
    });

    test('the same key with another provider, another way back or another hold is refused and changes nothing', async () => {
      await using open = await testApp({
        environment: { RETURN_ORIGINS: 'https://tickets.example' },
        databaseUrl: app.databaseUrl,
        simulator: app.simulator,
      });
      const { accessToken, holdId } = await heldLesson(app);
      const client = open.anonymous.as(accessToken);
      const second = await client.run('TestEnroll', { input: { lessonId: await app.lesson(), idempotencyKey: randomUUID() } });
      const idempotencyKey = randomUUID();
      await prepare(client, holdId, { idempotencyKey });

      const others = [
        await prepare(client, holdId, { idempotencyKey, provider: 'KAKAOPAY' }),
        await prepare(client, holdId, { idempotencyKey, returnTo: 'https://tickets.example/' }),
        await prepare(client, second.enrollment.id, { idempotencyKey }),
      ];

      expect(others.map(({ code }) => code)).toEqual(Array(3).fill('IDEMPOTENCY_KEY_REUSED'));
      expect(await stored(app, holdId)).toEqual([PAYING]);
      expect(await stored(app, second.enrollment.id)).toEqual([unpaid('HELD')]);
    });

    test("another member's key says nothing: each has payments of their own", async () => {
      const [one, two] = [await heldLesson(app), await heldLesson(app)];
      const idempotencyKey = randomUUID();

      const first = await prepare(one.client, one.holdId, { idempotencyKey });
      const second = await prepare(two.client, two.holdId, { idempotencyKey });

      expect(second).toMatchObject({ __typename: 'PreparePaymentSuccess' });
      expect(second.payment.id).not.toBe(first.payment.id);
    });

    test('one key for two holds at once begins one of them', async () => {
      const { client, holdId } = await heldLesson(app);
      const second = await client.run('TestEnroll', { input: { lessonId: await app.lesson(), idempotencyKey: randomUUID() } });
      const idempotencyKey = randomUUID();
      const endSlowness = await app.slowInserts('payment');

      const answers = await Promise.all([holdId, second.enrollment.id].map((id) => prepare(client, id, { idempotencyKey })));
      await endSlowness();

      expect(tally(answers)).toEqual({ PreparePaymentSuccess: 1, IdempotencyKeyReusedError: 1 });
      const states = [...(await stored(app, holdId)), ...(await stored(app, second.enrollment.id))].map(({ hold }) => hold).sort();
      expect(states).toEqual(['HELD', 'PAYING']);
    });
  });

  describe('a member who chooses another provider', () => {
    test.each([
      ['KAKAOPAY', 'TOSS'],
      ['TOSS', 'KISPG'],
      ['PORTONE', 'KAKAOPAY'],
      ['KISPG', 'PORTONE'],
    ] as const)('%s, then %s: the first is replaced, and its checkout takes no money any more', async (first, second) => {
      const { client, holdId, lessonId } = await heldLesson(app);
      const replaced = await begin(client, holdId, first);

      const chosen = await begin(client, holdId, second);
      await atCheckout(replaced);
      const meanwhile = await stored(app, holdId);
      await atCheckout(chosen);
      await ended(client, chosen.id);

      expect(meanwhile).toEqual([{ ...PAYING, payment: 'ABANDONED', because: 'REPLACED' }, PAYING]);
      expect(await client.run('TestPayment', { id: replaced.id })).toMatchObject({
        state: 'ABANDONED',
        endedBecause: 'REPLACED',
        checkout: null,
      });
      expect(captures(replaced.id)).toEqual([]);
      expect(captures(chosen.id)).toHaveLength(1);
      expect(await stored(app, holdId)).toEqual([{ ...BOOKED, payment: 'ABANDONED', because: 'REPLACED', captured: 0 }, BOOKED]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('at once with four keys on two nodes: one is begun, and only one ever takes money; the others are told that it is being paid', async () => {
      const { client, accessToken, holdId } = await heldLesson(app);
      const elsewhere = other.anonymous.as(accessToken);

      const answers = await Promise.all(
        [client, elsewhere, client, elsewhere].map((node, turn) => prepare(node, holdId, { provider: PROVIDERS[turn] ?? 'TOSS' })),
      );
      const begun = answers.filter(({ __typename }) => __typename === 'PreparePaymentSuccess');
      const current = await app.query('select id from payment where hold_id = $1 and is_current', [uuidIn(holdId)]);
      for (const { payment } of begun) await atCheckout(payment);
      for (const { payment } of begun) await ended(client, payment.id);

      expect(answers.filter((answer) => !begun.includes(answer)).map(({ code, state }) => [code, state])).toEqual(
        Array(4 - begun.length).fill(['HOLD_NOT_OPEN', 'PAYING']),
      );
      expect(current).toEqual([{ id: expect.any(String) }]);
      expect(begun.flatMap(({ payment }) => captures(payment.id))).toHaveLength(1);
      expect((await stored(app, holdId)).filter(({ payment }) => payment === 'APPROVED')).toEqual([BOOKED]);
      expect(await app.brokenInvariants()).toEqual([]);
    });
  });

  describe('nothing to pay', () => {
    test.each(PROVIDERS.map((provider) => [provider] as const))('is booked at once, and %s hears nothing of it', async (provider) => {
      const { client, holdId, lessonId } = await heldLesson(app, { priceMinor: 0 });
      const idempotencyKey = randomUUID();

      const booked = await prepare(client, holdId, { provider, idempotencyKey });
      const repeated = await prepare(client, holdId, { provider, idempotencyKey });

      expect(booked).toMatchObject({
        payment: { state: 'APPROVED', provider: null, amount: { amountMinor: 0 }, checkout: null, payBy: null },
        hold: { state: 'CONFIRMED' },
      });
      expect(repeated).toEqual(booked);
      expect(app.simulator.calls.filter(({ orderId }) => orderId === uuidIn(booked.payment.id))).toEqual([]);
      expect(await app.counters(lessonId)).toEqual({ capacity: 3, held: 0, sold: 1 });
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('at once on two nodes with keys of their own: one booking', async () => {
      const { client, accessToken, holdId } = await heldLesson(app, { priceMinor: 0 });
      const elsewhere = other.anonymous.as(accessToken);

      const answers = await Promise.all([client, elsewhere, client, elsewhere].map((node) => prepare(node, holdId)));

      expect(tally(answers)).toEqual({ PreparePaymentSuccess: 1, HoldNotOpenError: 3 });
      expect((await stored(app, holdId)).filter(({ payment }) => payment === 'APPROVED')).toHaveLength(1);
      expect(await app.brokenInvariants()).toEqual([]);
    });

    test('its deadline is checked all the same, and cancelling gives the place back', async () => {
      const late = await heldLesson(app, { priceMinor: 0 });
      await app.expire(late.holdId);
      const booked = await heldLesson(app, { priceMinor: 0 });
      await prepare(booked.client, booked.holdId);

      const refused = await prepare(late.client, late.holdId);
      const cancelled = await booked.client.run('TestCancelBooking', { input: { holdId: booked.holdId } });

      expect(refused).toMatchObject({ code: 'HOLD_EXPIRED' });
      expect(cancelled).toMatchObject({ hold: { state: 'RETURNED' } });
      expect(await app.counters(booked.lessonId)).toEqual({ capacity: 3, held: 0, sold: 0 });
      expect(await app.brokenInvariants()).toEqual([]);
    });
  });

  test('a checkout is for its member alone, and is gone as soon as it is of no use', async () => {
    const { client, holdId } = await heldLesson(app);
    const payment = await begin(client, holdId, 'KISPG');
    const admin = await app.admin();
    const stranger = await app.member();

    const seen = {
      member: (await client.run('TestPayment', { id: payment.id })).checkout,
      admin: (await admin.client.run('TestPayment', { id: payment.id })).checkout,
      stranger: (await stranger.client.send('TestPayment', { id: payment.id })).data.payment,
    };

    expect(seen).toEqual({ member: payment.checkout, admin: null, stranger: null });
    expect(payment.checkout).toMatchObject({ method: 'POST', fields: expect.arrayContaining([{ name: 'goodsAmt', value: '80000' }]) });
    app.simulator.order({ provider: 'KISPG', call: 'approve', fault: 'RESET_BEFORE', orderId: uuidIn(payment.id) });
    app.simulator.order({ provider: 'KISPG', call: 'cancel', fault: 'RESET_BEFORE', orderId: uuidIn(payment.id) });
    await atCheckout(payment);
    expect(await client.run('TestPayment', { id: payment.id })).toMatchObject({ state: 'PENDING', checkout: null });
  });
});

test('negative control: without the fence a hold that ran out while the provider was told is paid', async () => {
  await using app = await testApp();
  const { client, holdId } = await heldLesson(app);
  await app.stopSweeping();
  await app.sabotage('move_hold', "if v_hold.state = 'HELD' and v_hold.expires_at <= clock_timestamp() then", 'if false then');
  const expired = inside(app, app.app.bookings.saga.providerOf({ provider: 'TOSS' } as never), 'prepare', () => app.expire(holdId));

  const begun = await prepare(client, holdId);
  await expired;

  expect(begun).toMatchObject({ __typename: 'PreparePaymentSuccess', hold: { state: 'PAYING' } });
});
