import { randomUUID } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { tally } from '../support/app.ts';
import {
  afterReading,
  conclusionsOf,
  forget,
  inside,
  moveWithoutFence,
  oneByOne,
  postUnderNewIds,
  readWithoutLocks,
} from '../support/interleaving.ts';
import { expectViolationSeen } from '../support/inventory.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, begin, heldLesson, payFor } from '../support/payments.ts';
import { browse, endOf, RacingNodes } from '../support/races.ts';

failOnLeaks();

/**
 * The worst moment of a race, played on purpose: one node has read and not yet written when the rival does everything it wants at the other node.
 * Each is played twice: as it is, and with its protections taken away, which must show.
 */
interface Interleaving {
  play(nodes: RacingNodes): Promise<unknown>;
  /** How it ends. */
  right: unknown;
  /** Takes the protections away, all of them: where there are two, each alone is enough. */
  weaken(nodes: RacingNodes): Promise<unknown>;
  /** How it ends then. */
  wrong: unknown;
  /** The checks that follow every race see it too, unless the provider or the books make up for it. */
  isMadeUpFor?: true;
}

const expireWhileReturning: Interleaving = {
  // KISPG cannot be asked, so the node that finds the time over gives the place up at once.
  async play(nodes) {
    const { client, holdId } = await heldLesson(nodes.one);
    const payment = await begin(client, holdId, 'KISPG');
    const returned = afterReading(nodes.one, nodes.other, () => atCheckout(payment));
    await nodes.timeOut(payment.id);
    await returned;
    return endOf(await nodes.outcomeOf(holdId));
  },
  right: 'booked late',
  async weaken(nodes) {
    readWithoutLocks(nodes);
    await moveWithoutFence(nodes);
  },
  wrong: 'booked and lost',
};

const cancelWhileReturning: Interleaving = {
  async play(nodes) {
    const { client, accessToken, holdId } = await heldLesson(nodes.one);
    const payment = await begin(client, holdId);
    const returned = afterReading(nodes.one, nodes.other, () => atCheckout(payment));
    const { __typename } = await nodes.other.anonymous.as(accessToken).run('TestCancelBooking', { input: { holdId } });
    await returned;
    return [__typename, endOf(await nodes.outcomeOf(holdId))];
  },
  right: ['CancelBookingSuccess', 'given up'],
  weaken: expireWhileReturning.weaken,
  wrong: ['CancelBookingSuccess', 'booked and lost'],
};

const cancelTwice: Interleaving = {
  async play(nodes) {
    const { client, accessToken, holdId } = await heldLesson(nodes.one);
    const paymentId = await payFor(client, holdId);
    const cancel = async (as = client) => (await as.send('TestCancelBooking', { input: { holdId } })).data.cancelBooking?.__typename;
    const first = afterReading(nodes.one, nodes.other, () => cancel());
    const second = await cancel(nodes.other.anonymous.as(accessToken));
    return [nodes.callsOf(paymentId, 'cancel'), await first, second];
  },
  right: [1, 'CancelBookingSuccess', 'CancelBookingSuccess'],
  async weaken(nodes) {
    readWithoutLocks(nodes);
    await nodes.one.query('alter table payment drop constraint payment_refunds_within_capture');
  },
  // Whoever asked second gives the place back a second time.
  wrong: [2, 'CancelBookingSuccess', undefined],
};

const refundTwice: Interleaving = {
  async play(nodes) {
    const { client, holdId } = await heldLesson(nodes.one);
    const paymentId = await payFor(client, holdId);
    const admin = await nodes.one.admin();
    const refund = (as = admin.client) =>
      as.run('TestRefundPayment', { input: { paymentId, amountMinor: 50_000, reason: 'Closed', idempotencyKey: randomUUID() } });
    const first = afterReading(nodes.one, nodes.other, () => refund());
    const second = await refund(nodes.other.anonymous.as(admin.accessToken));
    return [tally([await first, second]).RefundPaymentSuccess, nodes.callsOf(paymentId, 'cancel')];
  },
  right: [1, 1],
  weaken: cancelTwice.weaken,
  wrong: [2, 2],
  isMadeUpFor: true,
};

const prepareTwice: Interleaving = {
  async play(nodes) {
    const { client, accessToken, holdId } = await heldLesson(nodes.one);
    const prepare = (as = client) => as.run('TestPreparePayment', { input: { holdId, provider: 'TOSS', idempotencyKey: randomUUID() } });
    const rival = inside(nodes.one, nodes.other.app.inventory, 'move', () => prepare());
    const slower = await prepare(nodes.other.anonymous.as(accessToken));
    for (const { payment } of [await rival, slower]) if (payment) await browse(payment);
    const { captures, keptMinor } = await nodes.outcomeOf(holdId);
    return { captures, keptMinor };
  },
  right: { captures: 1, keptMinor: 80_000 },
  async weaken(nodes) {
    await moveWithoutFence(nodes);
    await nodes.one.query('drop index payment_current');
  },
  wrong: { captures: 2, keptMinor: 160_000 },
};

const prepareTwiceWithOneKey: Interleaving = {
  async play(nodes) {
    const { client, accessToken, holdId } = await heldLesson(nodes.one);
    const input = { holdId, provider: 'TOSS', idempotencyKey: randomUUID() } as const;
    // Its first transaction opens the payment.
    const rival = inside(nodes.one, nodes.other.app.database, 'transact', () => client.run('TestPreparePayment', { input }));
    const slower = await nodes.other.anonymous.as(accessToken).run('TestPreparePayment', { input });
    const answers = [await rival, slower];
    return new Set(answers.map(({ payment }) => payment.id)).size;
  },
  right: 1,
  weaken: ({ one }) =>
    one.query(`
      create function new_key() returns trigger language plpgsql as $$ begin new.idempotency_key := gen_random_uuid(); return new; end $$;
      create trigger new_key before insert on payment for each row execute function new_key()`),
  wrong: 2,
  isMadeUpFor: true,
};

const approveTwice: Interleaving = {
  async play(nodes) {
    const { client, holdId } = await heldLesson(nodes.one);
    const admin = await nodes.one.admin();
    const payment = await begin(client, holdId);
    const provider = nodes.one.app.bookings.saga.providerOf({ provider: 'TOSS' } as never);
    const rival = inside(nodes.one, provider, 'approve', () =>
      nodes.other.anonymous.as(admin.accessToken).run('TestReconcilePayment', { paymentId: payment.id }),
    );
    await atCheckout(payment);
    await rival;
    return [endOf(await nodes.outcomeOf(holdId)), nodes.callsOf(payment.id, 'approve')];
  },
  right: ['booked', 1],
  weaken: (nodes) => forget(nodes, 'busy_until', 'approving_at'),
  wrong: ['booked', 2],
  isMadeUpFor: true,
};

const bookTwice: Interleaving = {
  async play(nodes) {
    const { client, holdId } = await heldLesson(nodes.one);
    const admin = await nodes.one.admin();
    const payment = await begin(client, holdId, 'PORTONE');
    await atCheckout(payment, 'approve', { return: false });
    const rival = inside(nodes.one, conclusionsOf(nodes.other), 'captured', () =>
      admin.client.run('TestReconcilePayment', { paymentId: payment.id }),
    );
    await nodes.timeOut(payment.id);
    await rival;
    const { captures, followUps } = await nodes.outcomeOf(holdId);
    return { captures, followUps };
  },
  right: { captures: 1, followUps: 1 },
  async weaken(nodes) {
    readWithoutLocks(nodes);
    await moveWithoutFence(nodes);
    await forget(nodes, 'busy_until');
    await nodes.one.query('alter table pool drop constraint pool_never_oversold');
    postUnderNewIds(nodes);
  },
  wrong: { captures: 1, followUps: 2 },
};

/** The provider takes the money after it was asked and before its answer counts, and somebody says so meanwhile. */
const ringWhileAsking = (ring: (nodes: RacingNodes, payment: Awaited<ReturnType<typeof begin>>) => Promise<unknown>): Interleaving => ({
  async play(nodes) {
    const { client, holdId } = await heldLesson(nodes.one);
    const payment = await begin(client, holdId, 'PORTONE');
    const rang = inside(nodes.one, nodes.other.app.bookings.saga as never, 'conclude' as never, () => ring(nodes, payment));
    await nodes.timeOut(payment.id);
    await rang;
    return endOf(await nodes.outcomeOf(holdId));
  },
  right: 'booked late',
  weaken: (nodes) => forget(nodes, 'rings'),
  wrong: 'taken for nothing',
});

const webhookWhileAsking = ringWhileAsking(async (nodes, payment) => {
  await atCheckout(payment, 'approve', { return: false });
  await nodes.ringAgain(payment.id);
});

const interleavings: [name: string, Interleaving][] = [
  ['a customer comes back while another node gives the payment up', expireWhileReturning],
  ['a customer comes back while the member cancels', cancelWhileReturning],
  ['a booking is cancelled while it is being cancelled', cancelTwice],
  ['a part is refunded while another part is', refundTwice],
  ['a payment begins while another one of the same hold begins', prepareTwice],
  ['a payment begins while its twin with the same key does', prepareTwiceWithOneKey],
  ['another node looks at a payment that is being approved', approveTwice],
  ['another node finds the money while it is being booked', bookTwice],
  ['a customer comes back while another node hears that nothing was paid', ringWhileAsking((_, payment) => atCheckout(payment))],
  ['a webhook comes while another node hears that nothing was paid', webhookWhileAsking],
];

async function open(): Promise<RacingNodes> {
  const nodes = await RacingNodes.open();
  nodes.one.simulator.sendsWebhooks = false;
  for (const node of nodes.nodes) oneByOne(node);
  return nodes;
}

describe('with everything that protects', () => {
  test.each(interleavings)('%s: it ends well', async (_name, { play, right }) => {
    await using nodes = await open();

    const end = await play(nodes);

    expect(end).toEqual(right);
    await nodes.rest();
    await nodes.expectSound();
  });
});

describe('without', () => {
  test.each(interleavings)('%s: it is seen to end badly', async (_name, { play, weaken, wrong, isMadeUpFor }) => {
    await using nodes = await open();
    await weaken(nodes);

    expect(await play(nodes)).toEqual(wrong);
    if (!isMadeUpFor) await expectViolationSeen(nodes.expectSound());
  });
});
