import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, type TestMember, tally, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { waitingForLocks } from '../../support/lock-waits.ts';
import { aShow } from '../../support/shows.ts';
import { accept, type Booked, booked, offer, ticketing } from './booked-tickets.ts';
import { afterStatement, keeper, restore, withoutLocks } from './rivals.ts';

failOnLeaks();

/** The last that is read by who accepts, withdraws and cancels: whoever comes after it comes between looking and writing. */
const ACCEPTING = 'as "isOpen"';
const WITHDRAWING = 'join ticket_state s';
const CANCELLING = 'as "handedOn"';

interface Nodes {
  one: TestApp;
  other: TestApp;
}

async function open(): Promise<Nodes> {
  const one = await ticketing();
  return { one, other: await ticketing({ role: 'api', databaseUrl: one.databaseUrl, simulator: one.simulator }) };
}

async function close({ one, other }: Nodes): Promise<void> {
  await other.close();
  await one.close();
}

let protectedNodes: Nodes;
/** Of the controls: what they break stays broken. */
let brokenNodes: Nodes;

/** A ticket that was offered, on two nodes. */
class Stage {
  private constructor(
    readonly one: TestApp,
    readonly other: TestApp,
    readonly sold: Booked,
    readonly ticketId: string,
    readonly token: string,
  ) {}

  static async set({ one, other }: Nodes = protectedNodes): Promise<Stage> {
    const sold = await booked(one, await aShow(one, { startsAt: new Date(Date.now() + 3_600_000) }));
    const ticketId = sold.ticketIds[0] as string;
    return new Stage(one, other, sold, ticketId, await offer(sold.member, ticketId));
  }

  elsewhere(member: TestMember): TestMember {
    return { ...member, client: this.other.anonymous.as(member.accessToken) };
  }

  /** Somebody who accepts, and whether the ticket is then theirs. */
  async taker(isElsewhere = false) {
    const member = await this.one.member();
    const caller = isElsewhere ? this.elsewhere(member) : member;
    return { uuid: member.uuid, accept: () => accept(caller, this.token) };
  }

  async stored() {
    const [row] = await this.one.query<{ owner: string; generation: number; isUsed: boolean; hold: string; isBeingReturned: boolean }>(
      `select t.owner_id as owner, t.generation, t.used_at is not null as "isUsed", h.state as hold,
         exists (select 1 from payment p where p.hold_id = h.id and p.state in ('REFUNDING', 'REFUNDED')) as "isBeingReturned"
       from ticket t join hold h on h.id = t.hold_id where t.id = $1`,
      [uuidIn(this.ticketId)],
    );
    if (!row) throw new Error('the ticket has gone');
    return row;
  }

  withdraw = () => this.elsewhere(this.sold.member).client.run('TestWithdrawTicketOffer', { input: { ticketId: this.ticketId } });
  cancel = (member = this.elsewhere(this.sold.member)) => member.client.run('TestCancelTickets', { input: { holdId: this.sold.holdId } });

  /** Whether the code the ticket had first lets somebody in. */
  scan = async (): Promise<boolean> => {
    return (await this.one.query(SCAN, [uuidIn(this.ticketId), this.sold.member.uuid])).length === 1;
  };
}

/** Lets whoever shows the first code of a ticket in, as an administrator at its door. One row if that was allowed. */
const SCAN = `
  select 1 from check_in((select performance_id from ticket where id = $1::uuid), $2, true, false,
    json_build_array(json_build_object('id', gen_random_uuid(), 'ticket', $1::uuid, 'generation', 1, 'gate', 'A'))) as answer
  where answer->'scans'->0->>'result' = 'VALID'`;

describe('a ticket that several want', () => {
  beforeAll(async () => {
    protectedNodes = await open();
    brokenNodes = await open();
  }, 120_000);
  afterEach(() => {
    for (const { one, other } of [protectedNodes, brokenNodes]) {
      restore(one);
      restore(other);
    }
  });
  afterAll(async () => {
    await close(brokenNodes);
    await close(protectedNodes);
  });

  describe('two members who accept the same ticket', () => {
    test('ten at once on two nodes: one has it, and the others are told that the link has ended', async () => {
      const stage = await Stage.set();
      const takers = await Promise.all(Array.from({ length: 10 }, (_, index) => stage.taker(index % 2 === 1)));

      const answers = await Promise.all(takers.map((taker) => taker.accept()));

      expect(tally(answers)).toEqual({ AcceptTicketSuccess: 1, TicketOfferNotFoundError: 9 });
      const winner = takers[answers.findIndex(({ __typename }) => __typename === 'AcceptTicketSuccess')];
      expect(await stage.stored()).toMatchObject({ owner: winner?.uuid, generation: 2 });
      expect(await stage.one.brokenInvariants()).toEqual([]);
    });

    /** The second comes when the first has looked and not written. */
    async function meet(stage: Stage) {
      const [first, second] = [await stage.taker(), await stage.taker(true)];
      const rival = afterStatement(stage.one, ACCEPTING, second.accept);
      const answers = [await first.accept(), await rival];
      return { answers, first };
    }

    test('the second, when the first has looked: it waits, and finds the link ended', async () => {
      const stage = await Stage.set();

      const { answers, first } = await meet(stage);

      expect(answers.map(({ __typename }) => __typename)).toEqual(['AcceptTicketSuccess', 'TicketOfferNotFoundError']);
      expect(await stage.stored()).toMatchObject({ owner: first.uuid, generation: 2 });
      expect(await stage.one.brokenInvariants()).toEqual([]);
    });

    test('the control: without the lock of the ticket both are told it is theirs', async () => {
      const stage = await Stage.set(brokenNodes);
      for (const node of [stage.one, stage.other]) withoutLocks(node, 'for no key update');

      const { answers } = await meet(stage);

      expect(tally(answers)).toEqual({ AcceptTicketSuccess: 2 });
      expect((await stage.one.brokenInvariants()).map(({ check }) => check)).toEqual(['tickets-change-hands-by-transfers']);
    });
  });

  describe('accepting and withdrawing', () => {
    async function meet(stage: Stage) {
      const taker = await stage.taker();
      const rival = afterStatement(stage.one, ACCEPTING, stage.withdraw);
      return { answers: [await taker.accept(), await rival], taker };
    }

    test('who withdraws when somebody is accepting waits, and is told that it is accepted', async () => {
      const stage = await Stage.set();

      const { answers, taker } = await meet(stage);

      expect(answers.map(({ __typename }) => __typename)).toEqual(['AcceptTicketSuccess', 'TicketOfferAcceptedError']);
      expect(await stage.stored()).toMatchObject({ owner: taker.uuid });
      expect(await stage.one.brokenInvariants()).toEqual([]);
    });

    test('who accepts when it is being withdrawn waits, and finds the link ended', async () => {
      const stage = await Stage.set();
      const taker = await stage.taker();
      const rival = afterStatement(stage.other, WITHDRAWING, taker.accept);

      const answers = [await stage.withdraw(), await rival];

      expect(answers.map(({ __typename }) => __typename)).toEqual(['WithdrawTicketOfferSuccess', 'TicketOfferNotFoundError']);
      expect(await stage.stored()).toMatchObject({ owner: stage.sold.member.uuid, generation: 1 });
    });

    test('the control: without the lock of the ticket it is withdrawn and accepted', async () => {
      const stage = await Stage.set(brokenNodes);
      for (const node of [stage.one, stage.other]) withoutLocks(node, 'for no key update');
      // Only a row of the offer itself would still refuse to be both.
      await stage.one.query('alter table ticket_transfer drop constraint ticket_transfer_check');

      const { answers } = await meet(stage);

      expect(answers.map(({ __typename }) => __typename)).toEqual(['AcceptTicketSuccess', 'WithdrawTicketOfferSuccess']);
    });
  });

  describe('accepting, and letting in at the door', () => {
    /** Somebody accepts while a scan has used the ticket and has not committed. */
    async function acceptDuringScan(stage: Stage) {
      const taker = await stage.taker();
      const door = await keeper(stage.one.databaseUrl, 'select 1', []);
      const used = await door.query(SCAN, [uuidIn(stage.ticketId), stage.sold.member.uuid]);
      const accepting = taker.accept();
      await waitingForLocks(stage.one);
      await door.letGo();
      return { used, answer: await accepting };
    }

    test('a scan comes when somebody is accepting: the former owner’s code lets nobody in', async () => {
      const stage = await Stage.set();
      const taker = await stage.taker();
      const rival = afterStatement(stage.one, ACCEPTING, stage.scan);

      const answer = await taker.accept();

      expect(answer).toMatchObject({ __typename: 'AcceptTicketSuccess' });
      expect(await rival).toBe(false);
      expect(await stage.stored()).toMatchObject({ owner: taker.uuid, generation: 2, isUsed: false });
      expect(await stage.one.brokenInvariants()).toEqual([]);
    });

    test('who accepts when it is being used waits, and is told so', async () => {
      const stage = await Stage.set();

      const { used, answer } = await acceptDuringScan(stage);

      expect(used).toBe(1);
      expect(answer).toMatchObject({ __typename: 'TicketUsedError' });
      expect(await stage.stored()).toMatchObject({ owner: stage.sold.member.uuid, generation: 1, isUsed: true });
      expect(await stage.one.brokenInvariants()).toEqual([]);
    });

    test('the control: without the lock of the ticket a used one is handed on', async () => {
      const stage = await Stage.set(brokenNodes);
      withoutLocks(stage.one, 'for no key update');

      const { used, answer } = await acceptDuringScan(stage);

      expect(used).toBe(1);
      expect(answer).toMatchObject({ __typename: 'AcceptTicketSuccess' });
      expect(await stage.stored()).toMatchObject({ generation: 2, isUsed: true });
    });
  });

  describe('cancelling a booking, and its tickets', () => {
    /** Somebody accepts when cancelling has found nothing against it, and has not committed. */
    async function acceptDuringCancel(stage: Stage) {
      const taker = await stage.taker();
      const rival = afterStatement(stage.other, CANCELLING, taker.accept);
      const cancelled = await stage.cancel();
      return { cancelled, accepted: await rival };
    }

    test('who accepts when it is being cancelled waits, and is told that it is refunded', async () => {
      const stage = await Stage.set();

      const { cancelled, accepted } = await acceptDuringCancel(stage);

      expect(cancelled).toMatchObject({ __typename: 'CancelBookingSuccess', hold: { state: 'RETURNED' } });
      expect(accepted).toMatchObject({ __typename: 'TicketRefundedError' });
      expect(await stage.stored()).toMatchObject({ owner: stage.sold.member.uuid, generation: 1, hold: 'RETURNED' });
      expect(await stage.one.brokenInvariants()).toEqual([]);
    });

    test.each([
      ['of the hold for who accepts', 'one', 'for share'],
      ['of the hold for who cancels', 'other', 'for update'],
    ] as const)('the control: without the lock %s the money is back, and the ticket somebody else’s', async (_, node, words) => {
      const stage = await Stage.set(brokenNodes);
      withoutLocks(stage[node], words);

      const { cancelled, accepted } = await acceptDuringCancel(stage);

      expect(cancelled).toMatchObject({ __typename: 'CancelBookingSuccess' });
      expect(accepted).toMatchObject({ __typename: 'AcceptTicketSuccess' });
      expect(await stage.stored()).toMatchObject({ generation: 2, isBeingReturned: true });
    });

    test('who cancels when somebody is accepting waits, and is told that it is handed on', async () => {
      const stage = await Stage.set();
      const taker = await stage.taker();
      const rival = afterStatement(stage.one, ACCEPTING, () => stage.cancel());

      const accepted = await taker.accept();

      expect(accepted).toMatchObject({ __typename: 'AcceptTicketSuccess' });
      expect(await rival).toMatchObject({ __typename: 'TicketsHandedOnError', count: 1 });
      expect(await stage.stored()).toMatchObject({ owner: taker.uuid, hold: 'CONFIRMED', isBeingReturned: false });
      expect(await stage.one.brokenInvariants()).toEqual([]);
    });

    test('a scan comes when it is being cancelled: it waits, and lets nobody in', async () => {
      const stage = await Stage.set();
      const rival = afterStatement(stage.other, CANCELLING, stage.scan);

      const cancelled = await stage.cancel();

      expect(cancelled).toMatchObject({ __typename: 'CancelBookingSuccess' });
      expect(await rival).toBe(false);
      expect(await stage.stored()).toMatchObject({ isUsed: false, hold: 'RETURNED' });
    });

    test('the control: without the lock of the hold the money is back, and somebody in', async () => {
      const stage = await Stage.set(brokenNodes);
      withoutLocks(stage.other, 'for update');
      const rival = afterStatement(stage.other, CANCELLING, stage.scan);

      const cancelled = await stage.cancel();

      expect(cancelled).toMatchObject({ __typename: 'CancelBookingSuccess' });
      expect(await rival).toBe(true);
      expect(await stage.stored()).toMatchObject({ isUsed: true, isBeingReturned: true });
    });

    test('who cancels when a ticket is being used waits, and is told so', async () => {
      const stage = await Stage.set();
      const door = await keeper(stage.one.databaseUrl, 'select 1', []);
      await door.query(SCAN, [uuidIn(stage.ticketId), stage.sold.member.uuid]);

      const cancelling = stage.cancel();
      await waitingForLocks(stage.one);
      await door.letGo();

      expect(await cancelling).toMatchObject({ __typename: 'TicketsUsedError', count: 1 });
      expect(await stage.stored()).toMatchObject({ isUsed: true, hold: 'CONFIRMED', isBeingReturned: false });
      expect(await stage.one.brokenInvariants()).toEqual([]);
    });
  });
});
