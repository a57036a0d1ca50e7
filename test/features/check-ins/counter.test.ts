import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { eventually } from '../../support/wait.ts';
import { DoorWatch } from './door-watch.ts';
import { aDoor, type Door, issue, refund } from './doors.ts';

failOnLeaks();

describe('checkInsChanged', () => {
  let app: TestApp;
  /** Another node on the same database: it hears of nothing but by reading again. */
  let other: TestApp;
  beforeAll(async () => {
    app = await testApp();
    other = await testApp({ databaseUrl: app.databaseUrl, simulator: app.simulator });
  });
  afterAll(async () => {
    expect(await app.brokenInvariants()).toEqual([]);
    await other.close();
    await app.close();
  });

  const scan = (door: Door, code: string) =>
    door.staff.client.run('TestCheckIn', { input: { performanceId: door.performanceId, code, gate: 'North' } });
  const sees = (watch: DoorWatch, counts: object) => eventually(() => expect(watch.last).toMatchObject(counts));
  function expectInOrder(watch: DoorWatch): void {
    const versions = watch.states.map(({ version }) => version);
    expect(versions).toEqual([...versions].sort((one, two) => one - two));
    expect(watch.errors).toEqual([]);
  }

  test('says where the door is, then every change, here and on another node', async () => {
    const door = await aDoor(app);
    const [one, two] = await issue(app, door, 2);
    await using here = new DoorWatch(app.url, door.performanceId, door.staff.accessToken);
    await using there = new DoorWatch(other.url, door.performanceId, door.organizer.accessToken);
    await Promise.all([here.first(), there.first()]);
    const counts = { performanceId: door.performanceId, issued: 2, checkedIn: 0, refused: 0, duplicates: 0, version: 0 };
    expect(here.states).toEqual([{ ...counts, at: expect.any(String) }]);

    await scan(door, one?.code as string);
    await sees(here, { ...counts, checkedIn: 1, version: 1 });
    await scan(door, one?.code as string);
    await sees(here, { ...counts, checkedIn: 1, refused: 1, version: 2 });
    await door.staff.client.run('TestUndoCheckIn', {
      input: { performanceId: door.performanceId, ticketId: one?.id as string, reason: 'x' },
    });
    await sees(here, { ...counts, refused: 1, version: 3 });
    const scans = [1, 2].map((minutes) => ({
      id: randomUUID(),
      code: two?.code as string,
      gate: 'West',
      scannedAt: new Date(Date.now() - minutes * 60_000).toISOString(),
    }));
    await door.staff.client.run('TestUploadScans', { input: { performanceId: door.performanceId, scans, idempotencyKey: randomUUID() } });

    const last = { ...counts, checkedIn: 1, refused: 1, duplicates: 1, version: 5 };
    await sees(here, last);
    await sees(there, last);
    expectInOrder(here);
    expectInOrder(there);
    expect(await door.staff.client.run('TestDoorStatus', { performanceId: door.performanceId })).toMatchObject(last);
  });

  test('tickets that are issued and refunded meanwhile are counted too, some seconds later', async () => {
    const door = await aDoor(app);
    await using watch = new DoorWatch(app.url, door.performanceId, door.staff.accessToken);
    expect(await watch.first()).toMatchObject({ issued: 0, version: 0 });

    const [one] = await issue(app, door, 3);
    await sees(watch, { issued: 3, version: 0 });
    await refund(app, one?.holdId as string);

    await sees(watch, { issued: 2, version: 0 });
    expectInOrder(watch);
  });

  test('of a hundred scans at once the last message tells all', async () => {
    const door = await aDoor(app, { rows: 10 });
    const tickets = await issue(app, door, 100);
    await using watch = new DoorWatch(app.url, door.performanceId, door.staff.accessToken);
    await watch.first();

    await Promise.all(tickets.map(({ code }) => scan(door, code)));
    await sees(watch, { checkedIn: 100, version: 100 });

    expectInOrder(watch);
  }, 120_000);

  test('who is taken off the doors meanwhile is told nothing more', async () => {
    const door = await aDoor(app);
    const [one] = await issue(app, door, 1);
    await using watch = new DoorWatch(app.url, door.performanceId, door.staff.accessToken);
    await using organizers = new DoorWatch(app.url, door.performanceId, door.organizer.accessToken);
    await Promise.all([watch.first(), organizers.first()]);

    await door.organizer.client.run('TestRemoveDoorStaff', { input: { eventId: door.eventId, memberId: door.staff.id } });
    await door.organizer.client.run('TestCheckIn', {
      input: { performanceId: door.performanceId, code: one?.code as string, gate: 'North' },
    });

    await sees(organizers, { checkedIn: 1 });
    await eventually(() => expect(watch.errors.map(({ extensions }) => extensions?.code)).toContain('BAD_USER_INPUT'));
    expect(watch.states.map(({ checkedIn }) => checkedIn)).toEqual([0]);
  });

  test.each([
    ['of a ticket', toNodeId('Ticket', randomUUID())],
    ['of nothing', 'x'],
  ])('an id %s is bad input', async (_, id) => {
    const { accessToken } = await app.member();
    await using watch = new DoorWatch(app.url, id, accessToken);

    expect(await watch.first()).toBe('BAD_USER_INPUT');
  });
});
