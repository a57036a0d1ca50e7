import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, tally, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { waitingForLocks } from '../../support/lock-waits.ts';
import { aShow } from '../../support/shows.ts';

failOnLeaks();

describe('a venue', () => {
  let app: TestApp;
  let owner: TestMember;
  let other: TestMember;
  beforeAll(async () => {
    app = await testApp();
    [owner, other] = (await app.members(2, 'ORGANIZER')) as [TestMember, TestMember];
  });
  afterAll(() => app.close());

  const HALL = { name: '누리 아트홀', address: '서울특별시 서초구 남부순환로 2406', latitude: 37.4785, longitude: 127.0131 };
  const create = (input: object = {}, by = owner) =>
    by.client.run('TestCreateVenue', { input: { ...HALL, idempotencyKey: randomUUID(), ...input } });
  const aVenue = async (input: object = {}) => (await create(input)).venue.id;
  const venues = async () => (await app.query<{ count: number }>('select count(*)::int as count from venue'))[0]?.count;
  const nobodys = toNodeId('Venue', '00000000-0000-7000-8000-000000000000');

  test('is read by anyone as it was made, also as a node', async () => {
    const { venue } = await create({ name: '  Nuri\u0301 Hall ', timeZone: 'asia/tokyo' });

    const read = await app.anonymous.run('TestVenue', { id: venue.id });
    expect(read).toMatchObject({ ...HALL, id: venue.id, name: 'Nurí Hall', timeZone: 'Asia/Tokyo' });
    expect(venue).toMatchObject({ ...HALL, name: 'Nurí Hall' });
    const { data } = await app.anonymous.post({ query: `{ node(id: "${venue.id}") { __typename id } }` });
    expect(data.node).toEqual({ __typename: 'Venue', id: venue.id });
    expect(await app.anonymous.run('TestVenue', { id: await aVenue() })).toMatchObject({ timeZone: 'Asia/Seoul' });
    expect((await app.anonymous.send('TestVenue', { id: nobodys })).data.venue).toBeNull();
  });

  test.each([
    ['an empty name', { name: '' }, 'name'],
    ['a name of spaces', { name: ' \t ' }, 'name'],
    ['a name of 201 characters', { name: '관'.repeat(201) }, 'name'],
    ['a name on two lines', { name: 'a\nb' }, 'name'],
    ['a name that turns the direction of text', { name: 'a\u202eb' }, 'name'],
    ['an empty address', { address: '' }, 'address'],
    ['an address of 301 characters', { address: '로'.repeat(301) }, 'address'],
    ['a latitude past the pole', { latitude: 90.000001 }, 'latitude'],
    ['a latitude below the other', { latitude: -91 }, 'latitude'],
    ['a longitude past the date line', { longitude: 180.5 }, 'longitude'],
    ['a time zone nobody has', { timeZone: 'Asia/Atlantis' }, 'timeZone'],
    ['an offset as time zone', { timeZone: '+09:00' }, 'timeZone'],
    ['no time zone', { timeZone: '' }, 'timeZone'],
  ])('with %s is refused by name, when made and when changed', async (_, wrong, field) => {
    const id = await aVenue();
    const [before, unchanged] = [await venues(), await app.anonymous.run('TestVenue', { id })];

    expect(await create(wrong)).toMatchObject({ __typename: 'VenueInputError', code: 'VENUE_INPUT', field });
    expect(await owner.client.run('TestUpdateVenue', { input: { venueId: id, ...wrong } })).toMatchObject({ code: 'VENUE_INPUT', field });
    expect(await venues()).toBe(before);
    expect(await app.anonymous.run('TestVenue', { id })).toEqual(unchanged);
  });

  test('may have the longest name and address, and stand at the corners of the world', async () => {
    const corner = { name: '관'.repeat(200), address: '로'.repeat(300), latitude: -90, longitude: 180, timeZone: 'UTC' };

    expect((await create(corner)).venue).toMatchObject(corner);
  });

  test('made twice with one key is one venue; the same key for another is refused', async () => {
    const idempotencyKey = randomUUID();
    const before = (await venues()) as number;

    const answers = await Promise.all([1, 2, 3].map(() => create({ idempotencyKey })));
    const another = await create({ idempotencyKey, name: 'Another' });

    expect(new Set(answers.map(({ venue }) => venue.id)).size).toBe(1);
    expect(another).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await create({ idempotencyKey }, other)).toMatchObject({ __typename: 'VenueSuccess' });
    expect(await venues()).toBe(before + 2);
  });

  test('keeps what a change does not name, or names as null', async () => {
    const id = await aVenue();

    const changed = await owner.client.run('TestUpdateVenue', { input: { venueId: id, name: 'Dusk Hall', address: null, latitude: 0 } });

    expect(changed.venue).toMatchObject({ ...HALL, id, name: 'Dusk Hall', latitude: 0 });
    expect(await app.anonymous.run('TestVenue', { id })).toEqual(changed.venue);
  });

  test('belongs to whoever made it: nobody else but an administrator changes or deletes it, or learns that it could', async () => {
    const id = await aVenue();
    const rename = (by: TestMember, venueId: string) => by.client.send('TestUpdateVenue', { input: { venueId, name: 'Mine' } });
    const remove = (by: TestMember, venueId: string) => by.client.send('TestDeleteVenue', { input: { venueId } });
    const member = await app.member();

    for (const call of [rename, remove]) {
      const [field] = Object.keys((await call(other, id)).data);
      const [others, none] = [await call(other, id), await call(other, nobodys)];
      expect(others.data[field as string]).toEqual(none.data[field as string]);
      expect(others.data[field as string].code).toBe('VENUE_NOT_FOUND');
      expect((await call(member, id)).errors[0]?.extensions.code).toBe('FORBIDDEN');
      expect((await call({ ...member, client: app.anonymous }, id)).errors[0]?.extensions.code).toBe('UNAUTHENTICATED');
    }
    expect(await app.anonymous.run('TestVenue', { id })).toMatchObject(HALL);

    const admin = await app.admin();
    expect((await rename(admin, id)).data.updateVenue.venue.name).toBe('Mine');
    expect((await remove(admin, id)).data.deleteVenue).toMatchObject({ __typename: 'DeleteVenueSuccess', deletedId: id });
    expect((await app.anonymous.send('TestVenue', { id })).data.venue).toBeNull();
    expect((await remove(admin, id)).data.deleteVenue).toMatchObject({ code: 'VENUE_NOT_FOUND' });
  });

  test('with events or plans cannot be deleted, and says which and how to go on', async () => {
    const show = await aShow(app, { organizerId: owner.uuid, rows: 1 });
    const venueId = toNodeId('Venue', show.uuids.venue);
    const remove = () => owner.client.run('TestDeleteVenue', { input: { venueId } });

    expect(await remove()).toMatchObject({
      code: 'VENUE_IN_USE',
      events: 1,
      seatPlans: 1,
      message: '1 event(s) are held at this venue, so it stays. Delete them first, or change the venue with `updateVenue`.',
    });

    await app.query('delete from unit where pool_id = $1', [show.uuids.performance]);
    await app.query('delete from performance where id = $1', [show.uuids.performance]);
    await app.query('delete from pool where id = $1', [show.uuids.performance]);
    await app.query('delete from event where id = $1', [show.uuids.event]);
    expect(await remove()).toMatchObject({
      events: 0,
      seatPlans: 1,
      message: 'The venue has 1 seat plan(s). Delete them first with `deleteSeatPlan`.',
    });

    const seatPlanId = toNodeId('SeatPlan', show.uuids.plan as string);
    expect(await owner.client.run('TestDeleteSeatPlan', { input: { seatPlanId } })).toMatchObject({ deletedId: seatPlanId });
    expect(await remove()).toMatchObject({ deletedId: venueId });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  describe('that is deleted while somebody brings a plan', () => {
    /** Whatever the server does with the venue waits until the rival is done. */
    async function whileRival<T>(venueId: string, first: string, then: string, call: () => Promise<T>): Promise<T> {
      const rival = new pg.Client({ connectionString: app.databaseUrl });
      await rival.connect();
      try {
        await rival.query('begin');
        await rival.query(first, [venueId]);
        const answer = call();
        await waitingForLocks(app);
        await rival.query(then, [venueId]);
        await rival.query('commit');
        return await answer;
      } finally {
        await rival.end();
      }
    }
    const NEW_PLAN = "insert into seat_plan (venue_id, name, focus_x, focus_y) values ($1, 'Grid', 0, 0)";

    test('stays, if the plan was first', async () => {
      const id = await aVenue();

      const refused = await whileRival(uuidIn(id), 'select 1 from venue where id = $1 for key share', NEW_PLAN, () =>
        owner.client.run('TestDeleteVenue', { input: { venueId: id } }),
      );

      expect(refused).toMatchObject({ code: 'VENUE_IN_USE', events: 0, seatPlans: 1 });
    });

    test('is gone, if the plan came later: its importer is told so', async () => {
      const id = await aVenue();
      const content = 'section,row,label,x,y,zone,focus_x,focus_y\nA,1,1,0,1,V,0,0';
      const input = { venueId: id, name: 'Late', format: 'CSV' as const, content, idempotencyKey: randomUUID() };

      const refused = await whileRival(uuidIn(id), 'select 1 from venue where id = $1 for update', 'delete from venue where id = $1', () =>
        owner.client.run('TestImportSeatPlan', { input }),
      );

      expect(refused).toMatchObject({ code: 'VENUE_NOT_FOUND' });
    });

    test('control: who counts without the lock counts nothing, and runs into the foreign key', async () => {
      const id = uuidIn(await aVenue());
      const remover = new pg.Client({ connectionString: app.databaseUrl });
      await remover.connect();
      try {
        await remover.query('begin');
        const { rows } = await remover.query('select count(*)::int as plans from seat_plan where venue_id = $1', [id]);
        await app.query(NEW_PLAN, [id]);

        expect(rows).toEqual([{ plans: 0 }]);
        await expect(remover.query('delete from venue where id = $1', [id])).rejects.toMatchObject({ code: '23503' });
      } finally {
        await remover.end();
      }
    });
  });

  test('is listed by name, page by page, and found by a part of its name or address', async () => {
    const mark = randomUUID().slice(0, 8);
    const names = ['다', '가', '나', '가'];
    const ids: string[] = [];
    for (const name of names) ids.push(await aVenue({ name: `${name} 100%_${mark}`, address: `Seoul ${name}-STREET ${mark}` }));
    const list = (search: string, more: object = {}) => app.anonymous.run('TestVenues', { search, ...more });

    const first = await list(mark, { first: 3 });
    const second = await list(mark, { first: 3, after: first.pageInfo.endCursor ?? null });

    expect([...first.nodes, ...second.nodes].map(({ id }) => id)).toEqual([ids[1], ids[3], ids[2], ids[0]]);
    expect([first.totalCount, first.pageInfo.hasNextPage, second.pageInfo.hasNextPage]).toEqual([4, true, false]);
    expect((await list(`100%_${mark.toUpperCase()} `)).totalCount).toBe(4);
    expect((await list(`100_%${mark}`)).totalCount).toBe(0);
    expect((await list(`나-street ${mark}`)).nodes.map(({ id }) => id)).toEqual([ids[2]]);
    expect((await list('  ')).totalCount).toBe(await venues());
  });

  test.each([
    ['a search of 101 characters', { search: 'x'.repeat(101) }],
    ['a page of 101', { first: 101 }],
    ['a cursor nobody made', { after: 'x' }],
    ['a cursor of another list', { after: Buffer.from('["x"]').toString('base64url') }],
  ])('is not listed for %s', async (_, variables) => {
    expect((await app.anonymous.send('TestVenues', variables)).errors[0]?.extensions.code).toMatch(/^(BAD_USER_INPUT|TOO_EXPENSIVE)$/);
  });

  test.each([
    ['the id of something else', { venueId: toNodeId('Lesson', '00000000-0000-7000-8000-000000000000') }],
    ['an id that is none', { venueId: 'x' }],
  ])('is not looked for by %s', async (_, input) => {
    expect((await owner.client.send('TestDeleteVenue', { input })).errors[0]?.extensions.code).toBe('BAD_USER_INPUT');
    expect((await owner.client.send('TestUpdateVenue', { input })).errors[0]?.extensions.code).toBe('BAD_USER_INPUT');
  });

  test('is refused with a key or a coordinate that is none', async () => {
    for (const wrong of [{ idempotencyKey: '' }, { idempotencyKey: 'a b' }, { latitude: '1' }, { longitude: null }, { ownerId: other.id }])
      expect(
        (await owner.client.send('TestCreateVenue', { input: { ...HALL, idempotencyKey: randomUUID(), ...wrong } })).errors[0]?.extensions
          .code,
      ).toBe('BAD_USER_INPUT');
    expect(tally([await create()])).toEqual({ VenueSuccess: 1 });
  });
});
