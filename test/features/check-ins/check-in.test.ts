import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { TicketCodes } from '../../../src/features/tickets/index.ts';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';

import { countStatements } from '../../support/statements.ts';

import { aDoor, type Door, entryOf, handOn, issue, issueOne, logOf, refund } from './doors.ts';

failOnLeaks();

describe('a scan at a door', () => {
  let app: TestApp;
  let door: Door;
  let seat = 0;
  beforeAll(async () => {
    app = await testApp();
    door = await aDoor(app);
  });
  afterAll(async () => {
    expect(await app.brokenInvariants()).toEqual([]);
    await app.close();
  });

  const ticket = (at: Door = door) => issueOne(app, at, seat++);
  const checkIn = (code: string, { gate = 'North', ...input }: { gate?: string; scannedAt?: string; performanceId?: string } = {}) =>
    door.staff.client.run('TestCheckIn', { input: { performanceId: door.performanceId, code, gate, ...input } });
  const undo = (input: { ticketId?: string; code?: string; reason?: string }) =>
    door.staff.client.run('TestUndoCheckIn', { input: { performanceId: door.performanceId, reason: 'A mistake', ...input } });
  const length = async () => (await logOf(app, door)).length;

  test('lets in whoever has a good ticket, and says where to send them', async () => {
    const good = await ticket();

    const answer = await checkIn(good.code, { gate: ' 북문 A ' });

    expect(answer).toEqual({
      __typename: 'CheckInSuccess',
      ticket: {
        ticketId: good.id,
        seat: { number: good.seatNumber, section: 'A', row: '1', label: String(good.seatNumber + 1) },
        tier: { name: 'Section A' },
      },
      entry: { at: expect.any(String), gate: '북문 A' },
    });
    expect(await entryOf(app, good)).toEqual({ at: answer.entry?.at, gate: '북문 A' });
    expect((await logOf(app, door)).at(-1)).toBe('VALID 북문 A');
  });

  test('turns the second one away and says when and where the first came in, in the language of the door', async () => {
    const used = await ticket();
    const first = await checkIn(used.code, { gate: 'North' });

    const second = await checkIn(used.code, { gate: 'South' });
    const korean = await door.staff.client.send(
      'TestCheckIn',
      { input: { performanceId: door.performanceId, code: used.code, gate: 'South' } },
      { 'accept-language': 'ko' },
    );

    expect(second).toMatchObject({
      __typename: 'AlreadyUsedError',
      code: 'ALREADY_USED',
      usedAt: first.entry?.at,
      gate: 'North',
      ticket: { ticketId: used.id, seat: { number: used.seatNumber } },
    });
    expect(second.message).toMatch(
      /^Somebody came in with this ticket at North, .+\. If that was a mistake, undo that check-in and scan again\.$/,
    );
    expect(korean.data.checkIn.message).toMatch(/North에서 이미 입장 처리된 티켓입니다/);
    expect(await entryOf(app, used)).toEqual({ at: first.entry?.at, gate: 'North' });
    expect((await logOf(app, door)).slice(-3)).toEqual(['VALID North', 'ALREADY_USED South', 'ALREADY_USED South']);
  });

  test('a ticket of another performance is told where it belongs', async () => {
    const elsewhere = await aDoor(app, { startsAt: new Date('2030-05-05T10:00:00Z') });
    const theirs = await issueOne(app, elsewhere, 0);

    const answer = await checkIn(theirs.code);

    expect(answer).toMatchObject({
      __typename: 'WrongPerformanceError',
      code: 'WRONG_PERFORMANCE',
      performance: { id: elsewhere.performanceId, startsAt: '2030-05-05T10:00:00.000Z' },
      message: 'This ticket is for another performance: The Last Seat, 5 May 2030, 19:00. Send them there.',
    });
    expect(await entryOf(app, theirs)).toBeNull();
    expect(await logOf(app, elsewhere)).toEqual([]);
  });

  test('a refunded ticket, and the code from before a ticket was handed on, let nobody in', async () => {
    const refunded = await ticket();
    await refund(app, refunded.holdId);
    const handedOn = await ticket();
    await handOn(app, handedOn);
    const newCode = await app.app.ticketCodes.sign({ ticketId: handedOn.uuid, performanceId: door.uuids.performance, generation: 2 });

    expect(await checkIn(refunded.code)).toMatchObject({ __typename: 'RefundedError', code: 'REFUNDED' });
    expect(await checkIn(handedOn.code)).toMatchObject({ __typename: 'TicketReplacedError', code: 'REPLACED' });

    expect([await entryOf(app, refunded), await entryOf(app, handedOn)]).toEqual([null, null]);
    expect(await checkIn(newCode)).toMatchObject({ __typename: 'CheckInSuccess', ticket: { ticketId: handedOn.id } });
  });

  test('of several reasons the first that applies is told', async () => {
    const worst = await ticket();
    await checkIn(worst.code);
    await handOn(app, worst);
    const code = await app.app.ticketCodes.sign({ ticketId: worst.uuid, performanceId: door.uuids.performance, generation: 2 });

    expect((await checkIn(code)).__typename).toBe('AlreadyUsedError');
    await refund(app, worst.holdId);

    expect((await checkIn(code)).__typename).toBe('RefundedError');
    expect((await checkIn(worst.code)).__typename).toBe('TicketReplacedError');
  });

  describe('hostile codes', () => {
    const cases: [string, (good: string) => string | Promise<string>][] = [
      ['nothing', () => ''],
      ['words', () => 'let me in'],
      ['9,000 characters', () => 'x'.repeat(9_000)],
      ['a genuine code with a letter more', (good) => `${good}A`],
      ['a genuine code with a letter less', (good) => good.slice(0, -1)],
      [
        'another payload under a genuine signature',
        (good) => swapped(good, ({ p, g, t }) => ({ t: Buffer.alloc(16, 7).toString('base64url'), p, g, was: t })),
      ],
      ['a later generation under a genuine signature', (good) => swapped(good, ({ t, p }) => ({ t, p, g: 2 }))],
      ['no signature, by its own word', (good) => `${header({ alg: 'none' })}.${good.split('.')[1]}.`],
      [
        'another algorithm, keyed with the public key',
        (good) => `${header({ alg: 'HS256', kid: kidOf(good) })}.${good.split('.')[1]}.AAAA`,
      ],
      [
        'a key of somebody else under our name',
        async (good) => {
          const [, payload] = good.split('.');
          const theirs = await TicketCodes.open(['a secret of somebody else, 32 bytes.']);
          const signed = await theirs.sign({ ticketId: randomUUID(), performanceId: door.uuids.performance, generation: 1 });
          return `${good.split('.')[0]}.${payload}.${signed.split('.')[2]}`;
        },
      ],
      [
        'a ticket that was never issued, signed by us',
        () => app.app.ticketCodes.sign({ ticketId: randomUUID(), performanceId: door.uuids.performance, generation: 1 }),
      ],
      ['SQL', () => `'; update ticket set used_at = null; --`],
    ];
    test.each(cases)('%s: is forged, is logged, and changes no ticket', async (_, made) => {
      const good = await ticket();
      const before = await length();

      const answer = await checkIn(await made(good.code));

      expect(answer).toMatchObject({ __typename: 'ForgedTicketError', code: 'FORGED' });
      expect(await entryOf(app, good)).toBeNull();
      expect(await length()).toBe(before + 1);
      expect((await logOf(app, door)).at(-1)).toBe('FORGED North');
    });
  });

  test.each([
    ['an empty gate', { gate: ' ' }],
    ['a gate of 51 characters', { gate: '문'.repeat(51) }],
    ['a gate with a line break', { gate: 'North\nSouth' }],
    ['a performance that is a ticket', { performanceId: toNodeId('Ticket', randomUUID()) }],
    ['a performance that is nothing', { performanceId: 'x' }],
    ['a time that is none', { scannedAt: 'yesterday' }],
  ])('%s is bad input, and nothing is logged', async (_, input) => {
    const before = await length();

    const { data, errors } = await door.staff.client.send('TestCheckIn', {
      input: { performanceId: door.performanceId, code: 'x', gate: 'North', ...input },
    });

    expect([data?.checkIn ?? null, errors.map(({ extensions }) => extensions.code)]).toEqual([null, ['BAD_USER_INPUT']]);
    expect(await length()).toBe(before);
  });

  test('a gate of 50 letters of any plane is taken', async () => {
    const gate = '𝕹'.repeat(50);

    expect((await checkIn((await ticket()).code, { gate })).entry?.gate).toBe(gate);
  });

  test('sent again with its time it is the same scan; another time, gate or member make another', async () => {
    const good = await ticket();
    const scannedAt = new Date(Date.now() - 5_000).toISOString();
    const before = await length();

    const [first, again] = [await checkIn(good.code, { scannedAt }), await checkIn(good.code, { scannedAt })];

    expect(first).toMatchObject({ __typename: 'CheckInSuccess', entry: { at: scannedAt } });
    expect(again).toEqual(first);
    expect(await length()).toBe(before + 1);
    expect((await checkIn(good.code, { scannedAt, gate: 'South' })).__typename).toBe('AlreadyUsedError');
    expect((await checkIn(good.code, { scannedAt: new Date(Date.now() - 4_000).toISOString() })).__typename).toBe('AlreadyUsedError');
    const byOrganizer = { input: { performanceId: door.performanceId, code: good.code, gate: 'North', scannedAt } };
    expect((await door.organizer.client.run('TestCheckIn', byOrganizer)).__typename).toBe('AlreadyUsedError');
    expect(await length()).toBe(before + 4);
  });

  test('twenty copies of one scan at once are one scan, forged ones too', async () => {
    const good = await ticket();
    const scannedAt = new Date().toISOString();
    const before = await length();

    const answers = await Promise.all(Array.from({ length: 20 }, () => checkIn(good.code, { scannedAt })));
    const forged = await Promise.all(Array.from({ length: 20 }, () => checkIn('forged', { scannedAt })));

    expect(new Set(answers.map(({ __typename }) => __typename))).toEqual(new Set(['CheckInSuccess']));
    expect(new Set(forged.map(({ __typename }) => __typename))).toEqual(new Set(['ForgedTicketError']));
    expect(await length()).toBe(before + 2);
  });

  test('a scanner whose clock is a minute ahead is believed but not into the future, one that is three ahead is not', async () => {
    const [early, late] = [await ticket(), await ticket()];
    const from = Date.now();

    const minute = await checkIn(early.code, { scannedAt: new Date(from + 60_000).toISOString() });
    const three = await checkIn(late.code, { scannedAt: new Date(from + 180_000).toISOString() });

    expect(minute.__typename).toBe('CheckInSuccess');
    // Rounded to the millisecond.
    expect(Date.parse(minute.entry?.at as string)).toBeLessThanOrEqual(Date.now() + 1);
    expect(three).toMatchObject({ __typename: 'ScanInFutureError', code: 'SCAN_IN_FUTURE', serverTime: expect.any(String) });
    expect(await entryOf(app, late)).toBeNull();
  });

  test.each([
    ['a minute too early', 24 * 60 + 1, false],
    ['a day before it begins', 24 * 60 - 1, true],
    ['a day after it ended', -(26 * 60 - 1), true],
    ['a minute too late', -(26 * 60 + 1), false],
  ])('%s', async (_, startsInMinutes, isOpen) => {
    const startsAt = new Date(Date.now() + startsInMinutes * 60_000);
    const other = await aDoor(app, { startsAt });
    const theirs = await issueOne(app, other, 0);

    const answer = await other.staff.client.run('TestCheckIn', {
      input: { performanceId: other.performanceId, code: theirs.code, gate: 'North' },
    });

    if (isOpen) return expect(answer.__typename).toBe('CheckInSuccess');
    expect(answer).toMatchObject({
      __typename: 'DoorClosedError',
      code: 'DOOR_CLOSED',
      opensAt: new Date(startsAt.getTime() - 86_400_000).toISOString(),
      closesAt: new Date(startsAt.getTime() + 26 * 3_600_000).toISOString(),
    });
    expect([await entryOf(app, theirs), await logOf(app, other)]).toEqual([null, []]);
  });

  describe('an undo', () => {
    test.each([['by the id of the ticket'], ['by its code']])('%s makes the code valid again and stays in the log', async (by) => {
      const good = await ticket();
      const first = await checkIn(good.code, { gate: 'North' });

      const undone = await undo(by === 'by its code' ? { code: good.code } : { ticketId: good.id });

      expect(undone).toMatchObject({
        __typename: 'UndoCheckInSuccess',
        ticket: { ticketId: good.id, seat: { number: good.seatNumber } },
        undone: { at: first.entry?.at, gate: 'North' },
      });
      expect(await entryOf(app, good)).toBeNull();
      expect((await checkIn(good.code, { gate: 'South' })).__typename).toBe('CheckInSuccess');
      expect((await logOf(app, door)).slice(-3)).toEqual(['VALID North undone', 'UNDONE North', 'VALID South']);
    });

    test('of what is not checked in undoes nothing: unused, undone before, of another performance, unknown, forged', async () => {
      const unused = await ticket();
      const again = await ticket();
      await checkIn(again.code);
      await undo({ ticketId: again.id });
      const elsewhere = await aDoor(app);
      const theirs = await issueOne(app, elsewhere, 0);
      await elsewhere.staff.client.run('TestCheckIn', { input: { performanceId: elsewhere.performanceId, code: theirs.code, gate: 'x' } });
      const before = await length();

      const answers = [
        await undo({ ticketId: unused.id }),
        await undo({ ticketId: again.id }),
        await undo({ ticketId: theirs.id }),
        await undo({ ticketId: toNodeId('Ticket', randomUUID()) }),
        await undo({ code: 'forged' }),
      ];

      for (const answer of answers) expect(answer).toMatchObject({ __typename: 'TicketNotCheckedInError', code: 'TICKET_NOT_CHECKED_IN' });
      expect(await length()).toBe(before);
      expect(await entryOf(app, theirs)).not.toBeNull();
    });

    test('a scan that was undone is not valid when it is sent again, and a new one is', async () => {
      const good = await ticket();
      const scannedAt = new Date().toISOString();
      await checkIn(good.code, { scannedAt });
      await checkIn(good.code, { scannedAt, gate: 'South' });
      await undo({ ticketId: good.id });

      expect(await checkIn(good.code, { scannedAt })).toMatchObject({ __typename: 'ScanUndoneError', code: 'UNDONE' });
      // What it met is gone, so it says nothing of whether they may come in now.
      expect((await checkIn(good.code, { scannedAt, gate: 'South' })).__typename).toBe('ScanUndoneError');

      expect(await entryOf(app, good)).toBeNull();
      expect((await checkIn(good.code)).__typename).toBe('CheckInSuccess');
    });

    test('after the doors have closed nothing is undone', async () => {
      const over = await aDoor(app);
      const theirs = await issueOne(app, over, 0);
      await over.staff.client.run('TestCheckIn', { input: { performanceId: over.performanceId, code: theirs.code, gate: 'x' } });
      await app.query(
        "update performance set starts_at = now() - interval '30 hours', ends_at = now() - interval '25 hours' where id = $1",
        [over.uuids.performance],
      );

      const answer = await over.staff.client.run('TestUndoCheckIn', {
        input: { performanceId: over.performanceId, ticketId: theirs.id, reason: 'Late' },
      });

      expect(answer.__typename).toBe('DoorClosedError');
      expect(await entryOf(app, theirs)).not.toBeNull();
    });

    test.each([
      ['neither id nor code', {}],
      ['both', { ticketId: toNodeId('Ticket', randomUUID()), code: 'x' }],
      ['the id of a performance', { ticketId: toNodeId('Performance', randomUUID()) }],
      ['no reason', { code: 'x', reason: '' }],
      ['a reason of 201 characters', { code: 'x', reason: 'x'.repeat(201) }],
    ])('with %s is bad input', async (_, input) => {
      const { errors } = await door.staff.client.send('TestUndoCheckIn', {
        input: { performanceId: door.performanceId, reason: 'x', ...input },
      });

      expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
    });
  });

  test('places without numbers have no seat', async () => {
    const standing = await aDoor(app, { rows: 0, standing: { capacity: 5, priceMinor: 10_000 } });
    const holder = await app.member();
    const tier = standing.uuids.tiers.STANDING as string;
    const placed = await app.app.inventory.place({
      kind: 'performance',
      claimantId: holder.uuid,
      idempotencyKey: randomUUID(),
      requestHash: Buffer.alloc(32),
      clientIp: null,
      items: [{ kind: 'tier', poolId: tier, unitId: null, quantity: 1 }],
    });
    const holdId = placed.outcome === 'GRANTED' ? placed.holdId : '';
    for (const [from, to] of [
      ['HELD', 'PAYING'],
      ['PAYING', 'CONFIRMED'],
    ])
      await app.query('select move_hold($1, null, array[$2], $3)', [holdId, from, to]);
    await app.query(
      `insert into payment (hold_id, original_hold_id, member_id, state, is_current, amount_minor, currency, idempotency_key, request_hash)
       values ($1, $1, $2, 'APPROVED', true, 10000, 'KRW', 'x', '')`,
      [holdId, holder.uuid],
    );
    const [row] = await app.query<{ id: string }>(
      'insert into ticket (hold_id, position, ordinal, performance_id, tier_id, owner_id) values ($1, 0, 0, $2, $3, $4) returning id',
      [holdId, standing.uuids.performance, tier, holder.uuid],
    );
    const code = await app.app.ticketCodes.sign({ ticketId: row?.id as string, performanceId: standing.uuids.performance, generation: 1 });

    const answer = await standing.staff.client.run('TestCheckIn', {
      input: { performanceId: standing.performanceId, code, gate: 'Floor' },
    });

    expect(answer.ticket).toEqual({
      ticketId: toNodeId('Ticket', row?.id as string),
      seat: null,
      tier: { name: 'Standing' },
    });
  });

  test('the log reads newest first, page by page, with who scanned', async () => {
    const logged = await aDoor(app);
    const theirs = await issueOne(app, logged, 0);
    const scan = (code: string, gate: string) =>
      logged.staff.client.run('TestCheckIn', { input: { performanceId: logged.performanceId, code, gate } });
    await scan(theirs.code, 'North');
    await scan('forged', 'East');
    await logged.organizer.client.run('TestUndoCheckIn', {
      input: { performanceId: logged.performanceId, ticketId: theirs.id, reason: 'Wrong person' },
    });

    const page = await logged.organizer.client.run('TestDoorLog', { performanceId: logged.performanceId, first: 2 });
    const rest = await logged.organizer.client.run('TestDoorLog', {
      performanceId: logged.performanceId,
      first: 2,
      after: page.pageInfo.endCursor,
    });

    expect(page).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true } });
    expect([...page.nodes, ...rest.nodes]).toMatchObject([
      { result: 'UNDONE', gate: 'North', reason: 'Wrong person', isUndone: false, isOffline: false, ticket: { ticketId: theirs.id } },
      { result: 'FORGED', gate: 'East', reason: null, isUndone: false, ticket: null },
      { result: 'VALID', gate: 'North', reason: null, isUndone: true, ticket: { ticketId: theirs.id, seat: { number: 0 } } },
    ]);
    const names = await app.query<{ display_name: string }>(
      'select display_name from member where id = any ($1::uuid[]) order by id = $2',
      [[logged.staff.uuid, logged.organizer.uuid], logged.staff.uuid],
    );
    expect([...page.nodes, ...rest.nodes].map(({ staffName }) => staffName)).toEqual([
      names[0]?.display_name,
      names[1]?.display_name,
      names[1]?.display_name,
    ]);
    expect(rest.pageInfo.hasNextPage).toBe(false);
    expect(uuidIn(page.nodes[0]?.id as string)).toMatch(/-7/);
  });

  test('a page of the log takes as many statements for 20 scans as for 1', async () => {
    const logged = await aDoor(app);
    const tickets = await issue(app, logged, 20);
    for (const { code } of tickets)
      await logged.staff.client.run('TestCheckIn', { input: { performanceId: logged.performanceId, code, gate: 'North' } });
    const statements = await countStatements(app);
    const statementsOf = async (first: number) => {
      const sent = await statements.of(async () => {
        const { nodes } = await logged.staff.client.run('TestDoorLog', { performanceId: logged.performanceId, first });
        expect(nodes).toHaveLength(first);
      });
      // Not the counter's after the scans above, and what is kept in memory and read once a second.
      return sent.filter((text) => !/scans\.version|join event/.test(text)).length;
    };

    const [one, twenty] = [await statementsOf(1), await statementsOf(20)];
    statements.stop();

    // The session, the door, the page, its length, and the tiers.
    expect([one, twenty]).toEqual([5, 5]);
  });
});

const header = (of: object) => Buffer.from(JSON.stringify(of)).toString('base64url');
const kidOf = (code: string): string => JSON.parse(Buffer.from(code.split('.')[0] as string, 'base64url').toString()).kid;

/** The same header and signature over another payload. */
function swapped(code: string, change: (payload: { t: string; p: string; g: number }) => object): string {
  const [head, payload, signature] = code.split('.') as [string, string, string];
  return `${head}.${header(change(JSON.parse(Buffer.from(payload, 'base64url').toString())))}.${signature}`;
}
