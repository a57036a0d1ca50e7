import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { nextMonth, type TestMember } from '../support/app.ts';
import type { TestClient } from '../support/client.ts';
import { expectViolationSeen } from '../support/inventory.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, begin, heldLesson } from '../support/payments.ts';
import { endOf, RacingNodes, TRIALS } from '../support/races.ts';
import { eventually } from '../support/wait.ts';
import { waitPatiently } from '../support/waiting-patiently.ts';

failOnLeaks();
/** A race of 200 trials takes a third of a minute on a quiet machine. */
jest.setTimeout(300_000);

/** Takes a place, and answers the hold. */
async function enroll({ client }: TestMember, lessonId: string, choice: object = {}): Promise<string> {
  const { enrollment } = await client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID(), ...choice } });
  return enrollment.id;
}

/** Begins to pay at a page that takes the money by itself, and lets the time for it pass. */
async function timedOut(nodes: RacingNodes, { client }: Pick<TestMember, 'client'>, holdId: string) {
  const payment = await begin(client, holdId, 'PORTONE');
  await nodes.timeOut(payment.id);
  return payment;
}

describe('paid at the page after the place had gone', () => {
  let nodes: RacingNodes;
  beforeAll(async () => {
    nodes = await RacingNodes.open();
  });
  afterAll(() => nodes[Symbol.asyncDispose]());

  /** Somebody else takes the only place of the lesson. */
  async function takeAway(lessonId: string): Promise<void> {
    await enroll(await nodes.one.member(), lessonId);
  }

  /** The payment, once nothing is left to do for it. */
  async function atRest(client: TestClient, paymentId: string) {
    await nodes.rest();
    return client.run('TestPayment', { id: paymentId });
  }

  test('the same place is booked while it is free', async () => {
    const member = await heldLesson(nodes.one, { capacity: 1 });
    const payment = await timedOut(nodes, member, member.holdId);

    await atCheckout(payment);

    const late = await atRest(member.client, payment.id);
    expect(late).toMatchObject({ state: 'APPROVED', lateOutcome: 'SAME', captured: { amountMinor: 80_000 }, hold: { state: 'CONFIRMED' } });
    expect(late.hold?.id).not.toBe(member.holdId);
    expect(await nodes.one.counters(member.lessonId)).toEqual({ capacity: 1, held: 0, sold: 1 });
    await nodes.expectSound();
  });

  test('an equal lesson is booked when the place is taken', async () => {
    const month = nextMonth();
    const member = await heldLesson(nodes.one, { capacity: 1, month });
    const equalId = await nodes.one.lesson({ month, startsAt: '07:00', endsAt: '07:50', capacity: 1 });
    const payment = await timedOut(nodes, member, member.holdId);
    await takeAway(member.lessonId);

    await atCheckout(payment);

    expect(await atRest(member.client, payment.id)).toMatchObject({
      state: 'APPROVED',
      lateOutcome: 'EQUAL',
      hold: { state: 'CONFIRMED' },
    });
    expect(await nodes.one.counters(member.lessonId)).toEqual({ capacity: 1, held: 1, sold: 0 });
    expect(await nodes.one.counters(equalId)).toEqual({ capacity: 1, held: 0, sold: 1 });
    await nodes.expectSound();
  });

  test.each([
    ['nothing is free', {}, async (member: { lessonId: string }) => takeAway(member.lessonId)],
    [
      'an equal lesson is free and the member wanted the same',
      { ifPaidLate: 'SAME' },
      async (member: { lessonId: string }) => takeAway(member.lessonId),
    ],
    ['the member wanted no other place', { ifPaidLate: 'REFUND' }, async () => undefined],
  ])('the money goes back where %s', async (_name, choice, before) => {
    const month = nextMonth();
    const member = await heldLesson(nodes.one, { capacity: 1, month }, choice);
    if ('ifPaidLate' in choice) await nodes.one.lesson({ month, startsAt: '07:00', endsAt: '07:50', capacity: 1 });
    const payment = await timedOut(nodes, member, member.holdId);
    await before(member);
    const counters = await nodes.one.counters(member.lessonId);

    await atCheckout(payment);

    expect(await atRest(member.client, payment.id)).toMatchObject({
      state: 'REFUNDED',
      lateOutcome: 'REFUND',
      refunded: { amountMinor: 80_000 },
      refunds: [{ cause: 'PAID_LATE', state: 'DONE' }],
      hold: { id: member.holdId, state: 'RELEASED' },
    });
    expect(await nodes.one.counters(member.lessonId)).toEqual(counters);
    await nodes.expectSound();
  });

  test('the money goes back to a member who gave up', async () => {
    const { client, holdId, lessonId } = await heldLesson(nodes.one, { capacity: 1 });
    const payment = await begin(client, holdId, 'PORTONE');
    await client.run('TestCancelBooking', { input: { holdId } });

    await atCheckout(payment);

    expect(await atRest(client, payment.id)).toMatchObject({ state: 'REFUNDED', endedBecause: 'GIVEN_UP', lateOutcome: 'REFUND' });
    expect(await nodes.one.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
    await nodes.expectSound();
  });

  test(`of two who pay late for one place one gets it and the other the money, ${TRIALS} times`, async () => {
    const members = await nodes.one.members(3 * TRIALS);

    const ends = await nodes.race(async (number) => {
      const late = await latePayers(nodes, members.slice(3 * number, 3 * number + 3));

      await nodes.apart(number, ...late.pay);

      return { holdId: late.holdIds[0], said: async () => endOf(await nodes.outcomeOf(late.holdIds[1])) };
    });

    const { 'booked late, taken and given back': _one, 'taken and given back, booked late': _other, ...others } = ends;
    expect(others).toEqual({});
  });

  test('it is the first of them who gets the place, whichever that is', async () => {
    const members = await nodes.one.members(6);

    const ends = await nodes.race(
      async (number) => {
        const late = await latePayers(nodes, members.slice(3 * number, 3 * number + 3));

        for (const turn of [number, 1 - number] as (0 | 1)[]) {
          await late.pay[turn]();
          await eventually(async () =>
            expect(['booked late', 'taken and given back']).toContain(endOf(await nodes.outcomeOf(late.holdIds[turn]))),
          );
        }

        return {
          holdId: late.holdIds[number as 0 | 1],
          said: async () => endOf(await nodes.outcomeOf(late.holdIds[(1 - number) as 0 | 1])),
        };
      },
      endOf,
      2,
    );

    expect(ends).toEqual({ 'taken and given back, booked late': 2 });
  });
});

test('both who pay late get the one place where nothing locks its pool', async () => {
  await using nodes = await RacingNodes.open();
  nodes.one.simulator.sendsWebhooks = false;
  const late = await latePayers(nodes, await nodes.one.members(3));
  await nodes.one.query('alter table pool drop constraint pool_never_oversold');
  await nodes.one.sabotage('claim_holds', 'order by id for no key update', 'order by id');
  await waitPatiently(nodes.one.query.bind(nodes.one));
  const gate = await nodes.one.gate('claim_holds', 'v_now := clock_timestamp();');

  await Promise.all([...late.pay.map((pay) => pay()), gate.openFor(2)]);

  for (const holdId of late.holdIds) expect(endOf(await nodes.outcomeOf(holdId))).toBe('booked late');
  expect(await nodes.one.counters(late.lessonId)).toEqual({ capacity: 2, held: 1, sold: 2 });
  await expectViolationSeen(nodes.expectSound());
});

/** Two members whose time to pay is over, at the page that still takes their money; a third one has taken one of their two places meanwhile. */
async function latePayers(nodes: RacingNodes, members: TestMember[]) {
  const [one, other, third] = members as [TestMember, TestMember, TestMember];
  const lessonId = await nodes.one.lesson({ capacity: 2, month: nextMonth() });
  const late = async (member: TestMember) => {
    const holdId = await enroll(member, lessonId, { ifPaidLate: 'SAME' });
    const payment = await timedOut(nodes, member, holdId);
    return { holdId, pay: () => atCheckout(payment) };
  };
  const both = await Promise.all([late(one), late(other)]);
  await enroll(third, lessonId);
  return { lessonId, holdIds: [both[0].holdId, both[1].holdId] as const, pay: [both[0].pay, both[1].pay] as const };
}
