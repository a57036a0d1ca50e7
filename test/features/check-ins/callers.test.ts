import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, testApp } from '../../support/app.ts';
import { TestClient } from '../../support/client.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { eventually } from '../../support/wait.ts';
import { DoorWatch } from './door-watch.ts';
import { aDoor, type Door, entryOf, type IssuedTicket, issueOne, logOf, post, scansPath } from './doors.ts';

failOnLeaks();

/** A door asked for by somebody: the ids of the performance and of its tickets. */
interface Asked {
  performanceId: string;
  ticket: IssuedTicket;
}

describe('who works at a door', () => {
  let app: TestApp;
  let door: Door;
  let ticket: IssuedTicket;
  let unknown: Asked;
  let callers: Record<string, TestMember | null>;
  beforeAll(async () => {
    app = await testApp();
    door = await aDoor(app);
    const other = await aDoor(app);
    ticket = await issueOne(app, door, 0);
    unknown = { performanceId: toNodeId('Performance', randomUUID()), ticket };
    const formerly = await app.member();
    await app.query('insert into door_staff (event_id, member_id) values ($1, $2)', [door.uuids.event, formerly.uuid]);
    await app.query('delete from door_staff where member_id = $1', [formerly.uuid]);
    const ownerAsMember = await app.member();
    await app.query('update ticket set owner_id = $1 where id = $2', [ownerAsMember.uuid, ticket.uuid]);
    await app.query('update hold set claimant_id = $1 where id = $2', [ownerAsMember.uuid, ticket.holdId]);
    callers = {
      organizer: door.organizer,
      staff: door.staff,
      admin: await app.admin(),
      'a member': await app.member(),
      'the owner of the ticket': ownerAsMember,
      'another organizer': other.organizer,
      'staff of another event': other.staff,
      'who was staff': formerly,
      'who has not signed in': null,
    };
  });
  afterAll(async () => {
    expect(await app.brokenInvariants()).toEqual([]);
    await app.close();
  });

  const clientOf = (caller: TestMember | null) => caller?.client ?? app.anonymous;
  const ways: Record<string, (caller: TestMember | null, asked: Asked) => Promise<unknown>> = {
    checkIn: async (caller, { performanceId, ticket: { code } }) => {
      const { data, errors } = await clientOf(caller).send('TestCheckIn', { input: { performanceId, code, gate: 'North' } });
      return data?.checkIn ?? errors[0]?.extensions.code;
    },
    undoCheckIn: async (caller, { performanceId, ticket: { id } }) => {
      const { data, errors } = await clientOf(caller).send('TestUndoCheckIn', { input: { performanceId, ticketId: id, reason: 'x' } });
      return data?.undoCheckIn ?? errors[0]?.extensions.code;
    },
    uploadScans: async (caller, { performanceId, ticket: { code } }) => {
      const scans = [{ id: randomUUID(), code, gate: 'North', scannedAt: new Date().toISOString() }];
      const { data, errors } = await clientOf(caller).send('TestUploadScans', {
        input: { performanceId, scans, idempotencyKey: randomUUID() },
      });
      return data?.uploadScans ?? errors[0]?.extensions.code;
    },
    doorLog: async (caller, { performanceId }) => {
      const { data, errors } = await clientOf(caller).send('TestDoorLog', { performanceId, first: 1 });
      return errors[0]?.extensions.code ?? data.doorLog;
    },
    doorStatus: async (caller, { performanceId }) => {
      const { data, errors } = await clientOf(caller).send('TestDoorStatus', { performanceId });
      return errors[0]?.extensions.code ?? data.doorStatus;
    },
    'POST scans': async (caller, { performanceId, ticket: { code } }) =>
      post(app, scansPath(performanceId), { code, gate: 'North' }, { token: caller?.accessToken }),
    'POST scans/batch': async (caller, { performanceId, ticket: { code } }) => {
      const scans = [{ id: randomUUID(), code, gate: 'North', scannedAt: new Date().toISOString() }];
      return post(app, `${scansPath(performanceId)}/batch`, { scans }, { token: caller?.accessToken });
    },
    checkInsChanged: async (caller, { performanceId }) => {
      await using watch = new DoorWatch(app.url, performanceId, caller?.accessToken);
      // Awaited here: the watch ends with this function.
      return await watch.first();
    },
  };
  const unsignedAnswer = (way: string) =>
    way.startsWith('POST') ? { status: 401, body: { code: 'UNAUTHENTICATED', message: expect.any(String) } } : 'UNAUTHENTICATED';

  const rows = Object.keys(ways).flatMap((way) =>
    ['a member', 'the owner of the ticket', 'another organizer', 'staff of another event', 'who was staff', 'who has not signed in'].map(
      (name) => [way, name] as const,
    ),
  );
  test.each(rows)('%s: %s is answered as of a performance that does not exist, and nothing is written', async (way, name) => {
    const caller = callers[name] as TestMember | null;

    const answer = await ways[way]?.(caller, { performanceId: door.performanceId, ticket });

    expect(answer).toEqual(await ways[way]?.(caller, unknown));
    if (!caller) expect(answer).toEqual(unsignedAnswer(way));
    expect([await logOf(app, door), await entryOf(app, ticket)]).toEqual([[], null]);
  });

  test.each(['organizer', 'staff', 'admin'])('%s may do all of it', async (name) => {
    const caller = callers[name] as TestMember;
    const good = await issueOne(app, await again(), 0);
    const asked = { performanceId: current.performanceId, ticket: good };

    const said = (await ways.checkIn?.(caller, asked)) as { __typename: string };
    const log = (await ways.doorLog?.(caller, asked)) as { totalCount: number };
    const undone = (await ways.undoCheckIn?.(caller, asked)) as { __typename: string };
    const scanned = (await ways['POST scans']?.(caller, asked)) as { body: object };
    const uploaded = (await ways.uploadScans?.(caller, asked)) as { __typename: string };
    const batch = (await ways['POST scans/batch']?.(caller, asked)) as { status: number };
    const status = (await ways.doorStatus?.(caller, asked)) as object;

    expect([said.__typename, log.totalCount, undone.__typename]).toEqual(['CheckInSuccess', 1, 'UndoCheckInSuccess']);
    expect(scanned).toMatchObject({ status: 200, body: { result: 'VALID' } });
    expect([uploaded.__typename, batch.status]).toEqual(['UploadScansSuccess', 200]);
    const counts = { performanceId: current.performanceId, issued: 1, checkedIn: 1, refused: 0, duplicates: 2, version: 5 };
    expect(status).toMatchObject(counts);
    await using watch = new DoorWatch(app.url, current.performanceId, caller.accessToken);
    // News of an earlier scan may still be on its way.
    await eventually(() => expect(watch.last).toMatchObject(counts));
  });

  /** A door of the same people, where nobody has scanned. */
  let current: Door;
  async function again(): Promise<Door> {
    current = await aDoor(app);
    await app.query('update event set organizer_id = $1 where id = $2', [door.organizer.uuid, current.uuids.event]);
    await app.query('insert into door_staff (event_id, member_id) values ($1, $2)', [current.uuids.event, door.staff.uuid]);
    return current;
  }

  test('a token that is not good is refused at every address', async () => {
    for (const path of [scansPath(door.performanceId), `${scansPath(door.performanceId)}/batch`])
      expect(await post(app, path, {}, { token: 'x.y.z' })).toMatchObject({ status: 401, body: { code: 'UNAUTHENTICATED' } });
    expect(await new TestClient(app.url).as('x.y.z').send('TestDoorStatus', { performanceId: door.performanceId })).toMatchObject({
      errors: [{ extensions: { code: 'UNAUTHENTICATED' } }],
    });
  });
});
