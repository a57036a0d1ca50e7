import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, heldLesson, payFor } from '../../support/payments.ts';

failOnLeaks();

describe('payments of a member', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  /** A member with a payment at each kind of end, in the order they were begun. */
  async function history() {
    const { client, holdId } = await heldLesson(app, { priceMinor: 54_000 });
    const another = async () =>
      (await client.run('TestEnroll', { input: { lessonId: await app.lesson(), idempotencyKey: randomUUID() } })).enrollment.id;
    const paid = await payFor(client, holdId, 'KAKAOPAY');
    const refused = await begin(client, await another());
    await atCheckout(refused, 'refuse');
    const returnedHold = await another();
    const returned = await payFor(client, returnedHold, 'PORTONE');
    await client.run('TestCancelBooking', { input: { holdId: returnedHold } });
    const replacedHold = await another();
    const replaced = await begin(client, replacedHold, 'TOSS');
    const begun = await begin(client, replacedHold, 'KISPG');
    return { client, ids: [paid, refused.id, returned, replaced.id, begun.id] };
  }

  test('all of them, newest first, the ended ones too, page after page', async () => {
    const { client, ids } = await history();

    const all = await client.run('TestMyPayments', {});
    const first = await client.run('TestMyPayments', { first: 2 });
    const second = await client.run('TestMyPayments', { first: 2, after: first.pageInfo.endCursor });
    const third = await client.run('TestMyPayments', { first: 2, after: second.pageInfo.endCursor });

    expect(all.nodes.map(({ id }) => id)).toEqual(ids.toReversed());
    expect(all.nodes.map(({ state }) => state)).toEqual(['PENDING', 'ABANDONED', 'REFUNDED', 'REFUSED', 'APPROVED']);
    expect(all.totalCount).toBe(5);
    expect([first, second, third].map(({ nodes, pageInfo }) => [nodes.length, pageInfo.hasNextPage])).toEqual([
      [2, true],
      [2, true],
      [1, false],
    ]);
    expect([first, second, third].flatMap(({ nodes }) => nodes.map(({ id }) => id))).toEqual(ids.toReversed());
  });

  test('are nobody else’s: other members and organizers find none, and none by its id', async () => {
    const { ids } = await history();
    const others = [await app.member(), await app.member('ORGANIZER')];

    for (const { client } of others) {
      expect(await client.run('TestMyPayments', {})).toMatchObject({ nodes: [], totalCount: 0 });
      for (const id of ids) {
        expect((await client.send('TestPayment', { id })).data).toEqual({ payment: null });
        expect((await client.send('TestNode', { id })).data).toEqual({ node: null });
      }
    }
  });

  test('are not for who has not signed in', async () => {
    const { ids } = await history();

    for (const [name, variables] of [
      ['TestMyPayments', {}],
      ['TestPayment', { id: ids[0] }],
    ] as const)
      expect((await app.anonymous.send(name, variables)).errors.map(({ extensions }) => extensions.code)).toEqual(['UNAUTHENTICATED']);
    expect((await app.anonymous.send('TestNode', { id: ids[0] })).data?.node ?? null).toBeNull();
  });

  test('can be read one by one by their member and by administrators, and the list of an administrator is their own', async () => {
    const { client, ids } = await history();
    const admin = (await app.admin()).client;

    const [mine, theirs] = [await client.run('TestPayment', { id: ids[0]! }), await admin.run('TestPayment', { id: ids[0]! })];

    expect(mine).toMatchObject({ id: ids[0], state: 'APPROVED', provider: 'KAKAOPAY', amount: { amountMinor: 54_000, currency: 'KRW' } });
    expect(theirs).toEqual(mine);
    expect(await client.run('TestNode', { id: ids[0]! })).toMatchObject({ __typename: 'Payment', amount: { amountMinor: 54_000 } });
    expect((await admin.run('TestMyPayments', {})).totalCount).toBe(0);
  });

  test.each([
    ['no cursor of this list', { after: 'x' }],
    ['none at all', { first: 0 }],
    ['more than a page has', { first: 101 }],
    ['less than none', { first: -1 }],
  ])('%s is bad input', async (_, variables) => {
    const { client } = await app.member();

    const { errors } = await client.send('TestMyPayments', variables);

    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
  });

  test.each([
    ['of a lesson', 'lesson'],
    ['of nothing', 'x'],
  ])('an id %s is bad input', async (_, what) => {
    const { client, lessonId } = await heldLesson(app);

    const { errors } = await client.send('TestPayment', { id: what === 'lesson' ? lessonId : what });

    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
  });

  test('say what went back, why and in whose words, oldest first', async () => {
    const { client, holdId } = await heldLesson(app);
    const paymentId = await payFor(client, holdId);
    const admin = (await app.admin()).client;
    for (const [amountMinor, reason] of [
      [1_000, 'The water was cold'],
      [2_000, '<b>물이 차가웠습니다</b>'],
    ] as const)
      await admin.run('TestRefundPayment', {
        input: { paymentId, amountMinor, reason, cancelsBooking: false, idempotencyKey: randomUUID() },
      });

    const { refunds, refunded, captured } = await client.run('TestPayment', { id: paymentId });

    expect(refunds.map(({ state, cause, reason, amount }) => [state, cause, reason, amount.amountMinor])).toEqual([
      ['DONE', 'GRANTED', 'The water was cold', 1_000],
      ['DONE', 'GRANTED', '<b>물이 차가웠습니다</b>', 2_000],
    ]);
    expect([captured.amountMinor, refunded.amountMinor]).toEqual([80_000, 3_000]);
  });

  test('name the providers this server offers to anybody, in the order they are offered', async () => {
    expect((await app.anonymous.send('TestPaymentProviders')).data).toEqual({
      paymentProviders: ['KAKAOPAY', 'TOSS', 'PORTONE', 'KISPG'],
    });
    const { TOSS, KISPG } = app.simulator.settings;
    await using small = await testApp({ providers: { KISPG, TOSS }, simulator: app.simulator });
    expect((await small.anonymous.send('TestPaymentProviders')).data).toEqual({ paymentProviders: ['TOSS', 'KISPG'] });
  });

  test('begin in the order of their ids, which are the ids at the provider', async () => {
    const { client, ids } = await history();

    expect(ids.map(uuidIn)).toEqual(ids.map(uuidIn).toSorted());
    expect(app.simulator.payment(uuidIn(ids[0]!))).toMatchObject({ provider: 'KAKAOPAY', capturedMinor: 54_000 });
    expect((await client.run('TestMyPayments', { first: 1 })).nodes[0]?.id).toBe(ids.at(-1));
  });
});
