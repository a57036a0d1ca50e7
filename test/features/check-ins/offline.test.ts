import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { letRivalsMeet } from '../../support/meeting.ts';
import { aDoor, type Door, entryOf, handOn, type IssuedTicket, issue, issueOne, logOf, post, refund, scansPath } from './doors.ts';

failOnLeaks();

const RUNS = 40;

interface Uploading {
  id: string;
  code: string;
  gate: string;
  scannedAt: string;
}

const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * 60_000).toISOString();
const scanOf = (ticket: IssuedTicket, gate: string, scannedAt: string): Uploading => ({
  id: randomUUID(),
  code: ticket.code,
  gate,
  scannedAt,
});

describe('scans of doors that were offline', () => {
  let app: TestApp;
  let door: Door;
  let tickets: IssuedTicket[];
  beforeAll(async () => {
    app = await testApp();
    door = await aDoor(app, { rows: 10 });
    tickets = await issue(app, door, 70);
  }, 120_000);
  afterAll(async () => {
    expect(await app.brokenInvariants()).toEqual([]);
    await app.close();
  });

  const nextTicket = () => tickets.pop() as IssuedTicket;
  const upload = async (scans: Uploading[], idempotencyKey: string = randomUUID()) =>
    door.staff.client.run('TestUploadScans', { input: { performanceId: door.performanceId, scans, idempotencyKey } });
  const checkIn = (ticket: IssuedTicket, gate = 'Online') =>
    door.staff.client.run('TestCheckIn', { input: { performanceId: door.performanceId, code: ticket.code, gate } });
  const rowsOf = (ticket: IssuedTicket) =>
    app.query<{ result: string; gate: string; is_offline: boolean }>(
      'select result, gate, is_offline from scan where ticket_id = $1 order by scanned_at',
      [ticket.uuid],
    );

  test('each is decided by itself, and those with an impossible time are not taken', async () => {
    const [good, refunded, handedOn] = [nextTicket(), nextTicket(), nextTicket()];
    await refund(app, refunded.holdId);
    await handOn(app, handedOn);
    const elsewhere = await issueOne(app, await aDoor(app), 0);
    const at = minutesAgo(30);
    const before = (await logOf(app, door)).length;

    const scans = [
      scanOf(good, 'West', at),
      scanOf(refunded, 'West', at),
      scanOf(handedOn, 'West', at),
      scanOf(elsewhere, 'West', at),
      { ...scanOf(good, 'West', at), code: 'forged' },
      scanOf(good, 'West', minutesAgo(-3)),
      scanOf(good, 'West', minutesAgo(24 * 60)),
    ];
    const answer = await upload(scans);

    expect(answer.scans?.map(({ id, result, ticket }) => [id, result, ticket?.ticketId ?? null])).toEqual([
      [scans[0]?.id, 'VALID', good.id],
      [scans[1]?.id, 'REFUNDED', refunded.id],
      [scans[2]?.id, 'REPLACED', handedOn.id],
      [scans[3]?.id, 'WRONG_PERFORMANCE', elsewhere.id],
      [scans[4]?.id, 'FORGED', null],
      [scans[5]?.id, 'IN_FUTURE', null],
      [scans[6]?.id, 'OUT_OF_HOURS', null],
    ]);
    expect(answer.scans?.[0]).toMatchObject({ at, gate: 'West', entry: { at, gate: 'West' }, duplicates: [] });
    expect(await entryOf(app, good)).toEqual({ at, gate: 'West' });
    expect((await logOf(app, door)).length).toBe(before + 5);
  });

  test('a scan that was earlier than an entry takes its place, and both are told', async () => {
    const ticket = nextTicket();
    const online = await checkIn(ticket, 'North');
    const at = minutesAgo(10);

    const answer = await upload([scanOf(ticket, 'West', at)]);

    expect(answer.scans).toMatchObject([
      { result: 'VALID', at, entry: { at, gate: 'West' }, duplicates: [{ at: online.entry?.at, gate: 'North' }] },
    ]);
    expect(await entryOf(app, ticket)).toEqual({ at, gate: 'West' });
    expect((await rowsOf(ticket)).map(({ result, gate }) => `${result} ${gate}`)).toEqual(['VALID West', 'DUPLICATE North']);
  });

  test('a scan that was later than the entry is a duplicate of it: they are in, and must be looked for', async () => {
    const ticket = nextTicket();
    const [first, second] = [minutesAgo(20), minutesAgo(10)];
    await upload([scanOf(ticket, 'West', first)]);

    const answer = await upload([scanOf(ticket, 'East', second)]);

    expect(answer.scans).toMatchObject([
      { result: 'DUPLICATE', at: second, gate: 'East', entry: { at: first, gate: 'West' }, duplicates: [{ at: second, gate: 'East' }] },
    ]);
    expect(await checkIn(ticket)).toMatchObject({ __typename: 'AlreadyUsedError', usedAt: first, gate: 'West' });
  });

  test('the same ids again change nothing, by another key, over HTTP, and with another code under them', async () => {
    const [ticket, victim] = [nextTicket(), nextTicket()];
    const scans = [scanOf(ticket, 'West', minutesAgo(20)), scanOf(ticket, 'East', minutesAgo(10))];
    const first = await upload(scans);
    const before = await logOf(app, door);

    const again = await upload(scans);
    const overHttp = await post(app, `${scansPath(door.performanceId)}/batch`, { scans }, { token: door.organizer.accessToken });
    const disguised = await upload(scans.map((scan) => ({ ...scan, code: victim.code })));

    expect(again).toEqual(first);
    expect(disguised).toEqual(first);
    expect(overHttp.body.scans.map(({ id, result }: { id: string; result: string }) => [id, result])).toEqual([
      [scans[0]?.id, 'VALID'],
      [scans[1]?.id, 'DUPLICATE'],
    ]);
    expect(await logOf(app, door)).toEqual(before);
    expect(await entryOf(app, victim)).toBeNull();
  });

  test('the same key again gets the same answer, whatever has happened since; for other scans it is refused', async () => {
    const ticket = nextTicket();
    const key = randomUUID();
    const scans = [scanOf(ticket, 'West', minutesAgo(20))];
    const first = await upload(scans, key);
    await upload([scanOf(ticket, 'East', minutesAgo(30))]);
    const before = await logOf(app, door);

    expect(await upload(scans, key)).toEqual(first);
    expect(await upload([scanOf(ticket, 'South', minutesAgo(25))], key)).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });

    expect(await logOf(app, door)).toEqual(before);
  });

  test('a scan that was undone stays undone when it is uploaded again', async () => {
    const ticket = nextTicket();
    const scans = [scanOf(ticket, 'West', minutesAgo(20))];
    await upload(scans);
    await door.staff.client.run('TestUndoCheckIn', { input: { performanceId: door.performanceId, ticketId: ticket.id, reason: 'x' } });

    expect((await upload(scans)).scans).toMatchObject([{ result: 'UNDONE', entry: null }]);

    expect(await entryOf(app, ticket)).toBeNull();
  });

  test('a gate is text and nothing else', async () => {
    const ticket = nextTicket();
    const gate = `O'Neill? ?? $1 :a \\ " ; --`;

    const answer = await upload([scanOf(ticket, gate, minutesAgo(5))]);

    expect(answer.scans).toMatchObject([{ result: 'VALID', gate, entry: { gate } }]);
    expect((await entryOf(app, ticket))?.gate).toBe(gate);
  });

  test('the same id at two doors names two scans', async () => {
    const ticket = nextTicket();
    const other = await aDoor(app);
    const theirs = await issueOne(app, other, 0);
    const id = randomUUID();

    await upload([{ ...scanOf(ticket, 'West', minutesAgo(5)), id }]);
    const answer = await other.staff.client.run('TestUploadScans', {
      input: {
        performanceId: other.performanceId,
        scans: [{ ...scanOf(theirs, 'West', minutesAgo(5)), id }],
        idempotencyKey: randomUUID(),
      },
    });

    expect(answer.scans).toMatchObject([{ id, result: 'VALID', ticket: { ticketId: theirs.id } }]);
  });

  test.each<[string, (ticket: IssuedTicket) => Partial<Uploading>[]]>([
    ['no scans', () => []],
    ['101 scans', () => Array.from({ length: 101 }, () => ({}))],
    ['an id that is no UUID', () => [{ id: 'x' }]],
    ['one id twice', () => [{ id: '00000000-0000-4000-8000-000000000000' }, { id: '00000000-0000-4000-8000-000000000000' }]],
    ['an empty gate', () => [{ gate: '' }]],
    ['a time that is none', () => [{ scannedAt: 'now' }]],
    ['a good scan and one of a gate of 51 characters', () => [{}, { gate: 'x'.repeat(51) }]],
  ])('%s: bad input, and nothing is written', async (_, changes) => {
    const ticket = tickets[0] as IssuedTicket;
    const before = await logOf(app, door);
    const scans = changes(ticket).map((change) => ({ ...scanOf(ticket, 'West', minutesAgo(5)), ...change }));

    const { data, errors } = await door.staff.client.send('TestUploadScans', {
      input: { performanceId: door.performanceId, scans, idempotencyKey: randomUUID() },
    });

    expect([data?.uploadScans ?? null, errors[0]?.extensions.code]).toEqual([null, 'BAD_USER_INPUT']);
    expect(await logOf(app, door)).toEqual(before);
  });

  test('any order of uploads and online scans ends with the earliest scan as the entry', async () => {
    const minutes = fc.uniqueArray(fc.integer({ min: 1, max: 600 }), { minLength: 1, maxLength: 6 });
    // Each scan is uploaded with a batch, some with two; between the batches somebody comes to a door that is online.
    const course = minutes.chain((offline) =>
      fc.record({
        offline: fc.constant(offline),
        batches: fc.array(fc.uniqueArray(fc.nat({ max: offline.length - 1 }), { minLength: 1 }), { minLength: 1, maxLength: 4 }),
        onlineAfter: fc.array(fc.nat({ max: 4 }), { maxLength: 2 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(course, async ({ offline, batches, onlineAfter }) => {
        const ticket = nextTicket();
        const scans = offline.map((minute, index) => scanOf(ticket, `Gate ${index}`, minutesAgo(minute)));
        const letIn: { at: string; gate: string }[] = [];
        const come = async (step: number) => {
          for (const _ of onlineAfter.filter((after) => after === step)) {
            const answer = await checkIn(ticket);
            expect(answer.__typename).toBe(letIn.length === 0 ? 'CheckInSuccess' : 'AlreadyUsedError');
            if (answer.entry) letIn.push(answer.entry);
          }
        };

        await come(0);
        for (const [step, batch] of batches.entries()) {
          const sent = batch.map((index) => scans[index] as Uploading);
          const answer = await upload(sent);
          for (const { gate, scannedAt } of sent) if (!letIn.some((known) => known.gate === gate)) letIn.push({ at: scannedAt, gate });
          const entry = earliest(letIn);
          expect(answer.scans?.map((scan) => ({ at: scan.entry?.at, gate: scan.entry?.gate }))).toEqual(sent.map(() => entry));
          for (const scan of answer.scans ?? []) expect(scan.result).toBe(scan.gate === entry.gate ? 'VALID' : 'DUPLICATE');
          await come(step + 1);
        }

        expect(await entryOf(app, ticket)).toEqual(earliest(letIn));
        const rows = await rowsOf(ticket);
        expect(rows.filter(({ result }) => result === 'VALID').map(({ gate }) => gate)).toEqual([earliest(letIn).gate]);
        expect(rows.filter(({ result }) => result === 'DUPLICATE')).toHaveLength(letIn.length - 1);
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  });

  test('the same id for two tickets at once names one of them', async () => {
    await namesOne(app, door, [nextTicket(), nextTicket()]);
  });
});

describe('without the lock that uploads take one after the other', () => {
  test('the same id for two tickets at once leaves a ticket used that nobody scanned', async () => {
    await using app = await testApp();
    await app.sabotage('check_in', 'perform pg_advisory_xact_lock', 'perform length');
    await app.sabotage('check_in', "length(hashtextextended('scans ' || p_performance, 0))", "length('')");
    await letRivalsMeet(app.query.bind(app), 'check_in', 'insert into scan (', 'true', '8 s');
    const door = await aDoor(app);
    const tickets = await issue(app, door, 2);

    await expect(namesOne(app, door, tickets)).rejects.toHaveProperty('matcherResult');
  });
});

/** Uploads one id for two tickets at the same moment. */
async function namesOne(app: TestApp, door: Door, tickets: IssuedTicket[]): Promise<void> {
  const id = randomUUID();

  await Promise.all(
    tickets.map((ticket) =>
      post(
        app,
        `${scansPath(door.performanceId)}/batch`,
        { scans: [{ ...scanOf(ticket, 'West', minutesAgo(5)), id }] },
        { token: door.staff.accessToken },
      ),
    ),
  );

  const entries = await Promise.all(tickets.map((ticket) => entryOf(app, ticket)));
  expect(entries.filter((entry) => entry !== null)).toHaveLength(1);
  expect(await app.brokenInvariants()).toEqual([]);
}

const earliest = (entries: readonly { at: string; gate: string }[]) =>
  [...entries].sort((one, two) => Date.parse(one.at) - Date.parse(two.at))[0] as { at: string; gate: string };
