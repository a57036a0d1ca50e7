import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aDoor, type Door, entryOf, handOn, issueOne, logOf, post, refund, scansPath } from './doors.ts';

failOnLeaks();

describe('POST /door/performances/:id/scans', () => {
  let app: TestApp;
  let door: Door;
  let path: string;
  let seat = 0;
  beforeAll(async () => {
    app = await testApp();
    door = await aDoor(app);
    path = scansPath(door.performanceId);
  });
  afterAll(async () => {
    expect(await app.brokenInvariants()).toEqual([]);
    await app.close();
  });

  const ticket = () => issueOne(app, door, seat++);
  const send = (body: unknown, at = path, headers = {}) => post(app, at, body, { token: door.staff.accessToken, headers });
  const place = (number: number) => ({ number, section: 'A', row: '1', label: String(number + 1), isAccessible: false });

  test('every decided scan is answered with 200 and its result', async () => {
    const [good, refunded, handedOn] = [await ticket(), await ticket(), await ticket()];
    await refund(app, refunded.holdId);
    await handOn(app, handedOn);
    const startsAt = new Date(Date.now() + 86_400_000);
    const other = await aDoor(app, { startsAt });
    const elsewhere = await issueOne(app, other, 0);
    const at = new Date(Date.now() - 1_000).toISOString();

    const answers = [
      await send({ code: good.code, gate: 'North', scannedAt: at }),
      await send({ code: good.code, gate: 'South' }),
      await send({ code: elsewhere.code, gate: 'North', scannedAt: null }),
      await send({ code: refunded.code, gate: 'North' }, path, { 'accept-language': 'ko' }),
      await send({ code: handedOn.code, gate: 'North' }),
      await send({ code: 'forged', gate: 'North' }),
    ];

    const theTicket = { id: good.id, seat: place(good.seatNumber), tier: 'Section A' };
    expect(answers).toEqual([
      { status: 200, body: { result: 'VALID', ticket: theTicket, entry: { at, gate: 'North' } } },
      { status: 200, body: { result: 'ALREADY_USED', message: expect.any(String), ticket: theTicket, entry: { at, gate: 'North' } } },
      {
        status: 200,
        body: {
          result: 'WRONG_PERFORMANCE',
          message: expect.any(String),
          performance: { id: other.performanceId, title: 'The Last Seat', startsAt: startsAt.toISOString() },
        },
      },
      { status: 200, body: { result: 'REFUNDED', message: '환불된 티켓입니다. 입장하려면 새 티켓이 필요합니다.' } },
      { status: 200, body: { result: 'REPLACED', message: expect.any(String) } },
      { status: 200, body: { result: 'FORGED', message: expect.any(String) } },
    ]);
    expect(await entryOf(app, good)).toEqual({ at, gate: 'North' });
  });

  test('it and the mutation are one door: what one let in the other turns away', async () => {
    const [one, two] = [await ticket(), await ticket()];
    const overGraphql = (code: string) =>
      door.staff.client.run('TestCheckIn', { input: { performanceId: door.performanceId, code, gate: 'GraphQL' } });

    await overGraphql(one.code);
    const overHttp = await send({ code: one.code, gate: 'HTTP' });
    await send({ code: two.code, gate: 'HTTP' });

    expect(overHttp.body).toMatchObject({ result: 'ALREADY_USED', entry: { gate: 'GraphQL' } });
    expect(await overGraphql(two.code)).toMatchObject({ __typename: 'AlreadyUsedError', gate: 'HTTP' });
  });

  test('what was not decided is answered with 409: doors that are closed, clocks that are ahead', async () => {
    const startsAt = new Date(Date.now() + 10 * 86_400_000);
    const closed = await aDoor(app, { startsAt });
    const theirs = await issueOne(app, closed, 0);

    const tooEarly = await post(
      app,
      scansPath(closed.performanceId),
      { code: theirs.code, gate: 'x' },
      { token: closed.staff.accessToken },
    );
    const ahead = await send({ code: (await ticket()).code, gate: 'x', scannedAt: new Date(Date.now() + 600_000).toISOString() });

    expect(tooEarly).toEqual({
      status: 409,
      body: {
        code: 'DOOR_CLOSED',
        message: expect.any(String),
        opensAt: new Date(startsAt.getTime() - 86_400_000).toISOString(),
        closesAt: new Date(startsAt.getTime() + 26 * 3_600_000).toISOString(),
      },
    });
    expect(ahead).toEqual({ status: 409, body: { code: 'SCAN_IN_FUTURE', message: expect.any(String), serverTime: expect.any(String) } });
    expect(await logOf(app, closed)).toEqual([]);
  });

  test.each<[string, unknown, number, string, Record<string, string>?]>([
    ['no body', '', 400, 'BAD_REQUEST'],
    ['no JSON', '{', 400, 'BAD_REQUEST'],
    ['a list', [], 400, 'BAD_USER_INPUT'],
    ['null', 'null', 400, 'BAD_USER_INPUT'],
    ['no code', { gate: 'x' }, 400, 'BAD_USER_INPUT'],
    ['a code that is a number', { code: 1, gate: 'x' }, 400, 'BAD_USER_INPUT'],
    ['no gate', { code: 'x' }, 400, 'BAD_USER_INPUT'],
    ['an empty gate', { code: 'x', gate: '' }, 400, 'BAD_USER_INPUT'],
    ['a gate with U+0000', { code: 'x', gate: 'a\0b' }, 400, 'BAD_USER_INPUT'],
    ['a code with a lone surrogate', '{"code":"\\ud800","gate":"x"}', 400, 'BAD_USER_INPUT'],
    ['a time in the year 0', { code: 'x', gate: 'x', scannedAt: '0000-01-01T00:00:00Z' }, 400, 'BAD_USER_INPUT'],
    ['a time that is a number', { code: 'x', gate: 'x', scannedAt: 1 }, 400, 'BAD_USER_INPUT'],
    ['a prototype', '{"__proto__":{"code":"x"},"gate":"x"}', 400, 'BAD_REQUEST'],
    ['5 KiB', { code: 'x'.repeat(5_000), gate: 'x' }, 413, 'TOO_LARGE'],
    ['what a form sends', 'code=x&gate=x', 415, 'BAD_REQUEST', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['plain text', '{}', 415, 'BAD_REQUEST', { 'content-type': 'text/plain' }],
  ])('%s is refused, and nothing is logged', async (_, body, status, code, headers = {}) => {
    const before = await logOf(app, door);

    const answer = await send(body, path, headers);

    expect(answer).toEqual({ status, body: { code, message: expect.any(String) } });
    expect(await logOf(app, door)).toEqual(before);
  });

  test.each([
    ['the id of a ticket', toNodeId('Ticket', randomUUID())],
    ['a stored id', randomUUID()],
    ['nothing', 'x'],
    ['an encoded path', '..%2F..%2Fgraphql'],
  ])('%s in its place is no door', async (_, id) => {
    expect(await send({ code: 'x', gate: 'x' }, scansPath(id))).toMatchObject({ status: 404, body: { code: 'DOOR_NOT_FOUND' } });
    expect(await send({ scans: [] }, `${scansPath(id)}/batch`)).toMatchObject({ status: 404, body: { code: 'DOOR_NOT_FOUND' } });
  });

  test('a batch of 500 in one request, as large as scans get', async () => {
    const [good, used] = [await ticket(), await ticket()];
    await send({ code: used.code, gate: 'North' });
    const at = new Date(Date.now() - 60_000).toISOString();
    const forged = Array.from({ length: 498 }, () => ({ id: randomUUID(), code: 'x'.repeat(210), gate: '서'.repeat(50), scannedAt: at }));
    const scans = [
      { id: randomUUID(), code: good.code, gate: 'West', scannedAt: at },
      ...forged,
      { id: randomUUID(), code: used.code, gate: 'West', scannedAt: at },
    ];

    const { status, body } = await send({ scans }, `${path}/batch`);

    expect(status).toBe(200);
    expect(body.scans.map(({ id }: { id: string }) => id)).toEqual(scans.map(({ id }) => id));
    expect(body.scans[0]).toEqual({
      id: scans[0]?.id,
      result: 'VALID',
      at,
      gate: 'West',
      ticket: { id: good.id, seat: place(good.seatNumber), tier: 'Section A' },
      entry: { at, gate: 'West' },
      duplicates: [],
    });
    expect(body.scans[1]).toMatchObject({ result: 'FORGED', ticket: null, entry: null, duplicates: [] });
    expect(body.scans[499]).toMatchObject({ result: 'VALID', entry: { at, gate: 'West' }, duplicates: [{ gate: 'North' }] });
  });

  test.each<[string, unknown, number, string]>([
    ['no scans', { scans: [] }, 400, 'BAD_USER_INPUT'],
    ['scans that are no list', { scans: 'x' }, 400, 'BAD_USER_INPUT'],
    ['a scan without a time', { scans: [{ id: randomUUID(), code: 'x', gate: 'x' }] }, 400, 'BAD_USER_INPUT'],
    ['an id that is no UUID', { scans: [{ id: 'x', code: 'x', gate: 'x', scannedAt: new Date().toISOString() }] }, 400, 'BAD_USER_INPUT'],
    [
      '501 scans',
      { scans: Array.from({ length: 501 }, () => ({ id: randomUUID(), code: 'x', gate: 'x', scannedAt: new Date().toISOString() })) },
      400,
      'BAD_USER_INPUT',
    ],
    [
      '600 KiB',
      { scans: [{ id: randomUUID(), code: 'x'.repeat(600_000), gate: 'x', scannedAt: new Date().toISOString() }] },
      413,
      'TOO_LARGE',
    ],
  ])('a batch of %s is refused, and nothing is logged', async (_, body, status, code) => {
    const before = await logOf(app, door);

    expect(await send(body, `${path}/batch`)).toEqual({ status, body: { code, message: expect.any(String) } });
    expect(await logOf(app, door)).toEqual(before);
  });

  test('what fails on our side is told without its reason, and can be sent again', async () => {
    const good = await ticket();
    await app.query('alter function check_in rename to check_in_away');
    const failed = await send({ code: good.code, gate: 'North' });
    await app.query('alter function check_in_away rename to check_in');

    expect(failed).toEqual({
      status: 500,
      body: { code: 'INTERNAL_SERVER_ERROR', message: 'Something went wrong. Send the same again.', requestId: expect.any(String) },
    });
    expect((await send({ code: good.code, gate: 'North' })).body.result).toBe('VALID');
  });
});
