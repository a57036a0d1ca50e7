import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { toNodeId } from '../../../src/platform/graphql/node-ids.ts';
import { type TestApp, type TestMember, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { anEvent, aPerformance, aVenue, inDays, key, NOBODY } from './event-stage.ts';

failOnLeaks();

describe('events', () => {
  let app: TestApp;
  let organizer: TestMember;
  let venueId: string;
  beforeAll(async () => {
    app = await testApp();
    organizer = await app.member('ORGANIZER');
    await app.query("update member set display_name = '극단 막차' where id = $1", [organizer.uuid]);
    venueId = await aVenue(app);
  });
  afterAll(() => app.close());

  const count = async () => (await app.query<{ count: number }>('select count(*)::int as count from event'))[0]?.count;
  const input = (more: object = {}) => ({ title: 'Hamlet', body: '', category: 'PLAY', venueId, ...key(), ...more }) as never;

  test('an event is read by anybody as it was made', async () => {
    const made = await organizer.client.run('TestCreateEvent', {
      input: input({ title: '  햄릿: 검은 방 ', body: '  네 명의 배우.\n한 방.', category: 'MUSICAL' }),
    });

    expect(made.event).toEqual({
      __typename: undefined,
      id: expect.any(String),
      title: '햄릿: 검은 방',
      body: '  네 명의 배우.\n한 방.',
      category: 'MUSICAL',
      createdAt: expect.any(String),
      organizerId: organizer.id,
      organizerName: '극단 막차',
      venue: { id: venueId, name: 'Test Hall' },
    });
    expect(await app.anonymous.run('TestEvent', { id: made.event!.id })).toEqual(made.event);
  });

  test('a title of 200 and a text of 20,000 characters are kept whole', async () => {
    const [title, body] = ['막'.repeat(200), '차'.repeat(20_000)];

    const made = await organizer.client.run('TestCreateEvent', { input: input({ title, body }) });

    expect(await app.anonymous.run('TestEvent', { id: made.event!.id })).toMatchObject({ title, body });
  });

  test.each([
    ['an empty title', { title: '' }, 'title'],
    ['a title of spaces', { title: ' \t\n' }, 'title'],
    ['a title of 201 characters', { title: 'x'.repeat(201) }, 'title'],
    ['a venue nobody knows', { venueId: toNodeId('Venue', NOBODY) }, 'venueId'],
  ])('%s is refused by name, and nothing is made or changed', async (_, wrong, field) => {
    const eventId = await anEvent(organizer, venueId);
    const [before, stored] = [await count(), await app.anonymous.run('TestEvent', { id: eventId })];

    expect(await organizer.client.run('TestCreateEvent', { input: input(wrong) })).toMatchObject({ code: 'EVENT_INPUT', field });
    expect(await organizer.client.run('TestUpdateEvent', { input: { eventId, ...wrong } })).toMatchObject({ code: 'EVENT_INPUT', field });

    expect(await count()).toBe(before);
    expect(await app.anonymous.run('TestEvent', { id: eventId })).toEqual(stored);
  });

  test.each([
    ['U+0000 in the text', { body: 'a\0b' }],
    ['a lone surrogate in the title', { title: 'a\ud800b' }],
    ['a text of 20,001 characters', { body: 'x'.repeat(20_001) }],
    ['a kind nobody has', { category: 'OPERA' }],
    ['the id of an event as venue', { venueId: toNodeId('Event', NOBODY) }],
    ['no id as venue', { venueId: 'Test Hall' }],
    ['a key that is no key', { idempotencyKey: '열쇠' }],
    ['an organizer of my choice', { organizerId: toNodeId('Member', NOBODY) }],
  ])('%s is bad input, and nothing is made', async (_, wrong) => {
    const before = await count();

    const { data, errors } = await organizer.client.send('TestCreateEvent', { input: input(wrong) });

    expect(errors.map(({ extensions }) => extensions.code)).toEqual(['BAD_USER_INPUT']);
    expect(data?.createEvent ?? null).toBeNull();
    expect(await count()).toBe(before);
  });

  test('a change leaves alone what it does not name', async () => {
    const eventId = await anEvent(organizer, venueId);
    const elsewhere = await aVenue(app, 'Elsewhere');
    const before = await app.anonymous.run('TestEvent', { id: eventId });
    const update = async (change: object) => (await organizer.client.run('TestUpdateEvent', { input: { eventId, ...change } })).event;

    expect(await update({})).toEqual(before);
    expect(await update({ title: ' Dusk ', body: null, category: null, venueId: null })).toEqual({ ...before, title: 'Dusk' });
    expect(await update({ body: '' })).toEqual({ ...before, title: 'Dusk', body: '' });
    expect(await update({ category: 'TALK', venueId: elsewhere })).toEqual({
      ...before,
      title: 'Dusk',
      body: '',
      category: 'TALK',
      venue: { id: elsewhere, name: 'Elsewhere' },
    });
  });

  test('an event with performances stays at its venue', async () => {
    const eventId = await anEvent(organizer, venueId);
    await aPerformance(organizer, eventId);
    const elsewhere = await aVenue(app);

    const refused = await organizer.client.run('TestUpdateEvent', { input: { eventId, title: 'Not kept', venueId: elsewhere } });

    expect(refused).toMatchObject({ code: 'EVENT_INPUT', field: 'venueId' });
    expect(await app.anonymous.run('TestEvent', { id: eventId })).toMatchObject({ title: 'The Last Seat', venue: { id: venueId } });
    expect((await organizer.client.run('TestUpdateEvent', { input: { eventId, venueId } })).event).toMatchObject({ id: eventId });
  });

  test('what is refused is said in Korean to who reads Korean', async () => {
    const send = (language: string) =>
      organizer.client.send('TestCreateEvent', { input: input({ title: '' }) }, { 'accept-language': language });

    expect((await send('ko')).data.createEvent.message).toBe('제목은 1자 이상 200자 이하여야 합니다.');
    expect((await send('en')).data.createEvent.message).toBe('The title must have 1 to 200 characters.');
  });

  test('events are listed newest first by kind, venue, organizer and time, page by page', async () => {
    const [one, other] = [await app.member('ORGANIZER'), await app.member('ORGANIZER')];
    const [here, there] = [await aVenue(app), await aVenue(app)];
    const made: string[] = [];
    for (let index = 0; index < 5; index++)
      made.push(await anEvent(index < 3 ? one : other, index % 2 === 0 ? here : there, { category: index === 4 ? 'FESTIVAL' : 'SPORTS' }));
    await aPerformance(one, made[0] as string, { startsAt: inDays(10) });
    await aPerformance(one, made[1] as string, { startsAt: inDays(20) });
    await aPerformance(one, made[1] as string, { startsAt: inDays(21) });
    const list = async (filter: object) => (await app.anonymous.run('TestEvents', { filter })).nodes.map(({ id }) => made.indexOf(id));

    const pages: number[][] = [];
    for (let after: string | null | undefined = null; after !== undefined; ) {
      const page: Awaited<ReturnType<typeof next>> = await next(after);
      expect(page.totalCount).toBe(3);
      pages.push(page.nodes.map(({ id }) => made.indexOf(id)));
      after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : undefined;
    }

    expect(pages).toEqual([[4, 2], [0]]);
    expect(await list({ organizerId: one.id })).toEqual([2, 1, 0]);
    expect(await list({ organizerId: one.id, category: 'SPORTS', venueId: there })).toEqual([1]);
    expect(await list({ category: 'FESTIVAL' })).toEqual([4]);
    expect(await list({ venueId: here, from: inDays(10) })).toEqual([0]);
    expect(await list({ organizerId: one.id, from: inDays(10), to: inDays(20) })).toEqual([0]);
    expect(await list({ organizerId: one.id, to: inDays(21), from: null })).toEqual([1, 0]);
    expect(await list({ organizerId: toNodeId('Member', NOBODY) })).toEqual([]);
    expect((await one.client.run('TestMyEvents')).nodes.map(({ id }) => made.indexOf(id))).toEqual([2, 1, 0]);
    expect((await one.client.run('TestMyEvents')).totalCount).toBe(3);

    function next(after: string | null) {
      return app.anonymous.run('TestEvents', { first: 2, after, filter: { venueId: here } });
    }
  });

  test('the performances of an event are read page by page by their beginning', async () => {
    const eventId = await anEvent(organizer, venueId);
    const made: string[] = [];
    for (const days of [12, 10, 11, 10]) made.push((await aPerformance(organizer, eventId, { startsAt: inDays(days) })).id);
    const page = async (first: number, after: string | null = null) =>
      (await app.anonymous.run('TestPerformancesOfEvent', { id: eventId, first, after })).performances;

    const one = await page(3);
    const two = await page(3, one.pageInfo.endCursor ?? null);

    expect(one.nodes.map(({ id }) => made.indexOf(id))).toEqual([1, 3, 2]);
    expect(two.nodes.map(({ id }) => made.indexOf(id))).toEqual([0]);
    expect([one.totalCount, one.pageInfo.hasNextPage, two.pageInfo.hasNextPage]).toEqual([4, true, false]);
  });

  test('an event is deleted with its performances, and nothing of it stays', async () => {
    const eventId = await anEvent(organizer, venueId);
    for (const days of [10, 11]) await aPerformance(organizer, eventId, { startsAt: inDays(days) });
    const staff = await app.member();
    await app.query("update member set email = 'door@example.com' where id = $1", [staff.uuid]);
    await organizer.client.run('TestAddDoorStaff', { input: { eventId, email: 'door@example.com' } });
    const pools = await app.query('select 1 from pool');

    const deleted = await organizer.client.run('TestDeleteEvent', { input: { eventId } });

    expect(deleted).toEqual({ __typename: 'DeleteEventSuccess', deletedId: eventId });
    expect(await app.anonymous.run('TestEvent', { id: eventId })).toBeNull();
    expect(await app.query('select 1 from pool')).toHaveLength(pools.length - 4);
    expect(await app.query('select 1 from performance where event_id = $1', [uuidIn(eventId)])).toEqual([]);
    expect(await organizer.client.run('TestDeleteEvent', { input: { eventId } })).toMatchObject({ code: 'EVENT_NOT_FOUND' });
  });

  test('an event of more than 50 performances loses them first', async () => {
    const eventId = await anEvent(organizer, venueId);
    await app.query(
      `with pools as (insert into pool (kind, capacity) select 'performance', 0 from generate_series(1, 51) returning id)
       insert into performance (id, event_id, starts_at, ends_at, cancellation) select id, $1, '2030-01-01', '2030-01-02', '[]' from pools`,
      [uuidIn(eventId)],
    );
    const remove = () => organizer.client.run('TestDeleteEvent', { input: { eventId } });

    expect(await remove()).toMatchObject({ code: 'TOO_MANY_PERFORMANCES', performances: 51, limit: 50 });
    const { nodes } = (await app.anonymous.run('TestPerformancesOfEvent', { id: eventId, first: 1 })).performances;
    await organizer.client.run('TestDeletePerformance', { input: { performanceId: nodes[0]!.id } });

    expect(await remove()).toMatchObject({ deletedId: eventId });
  });
});

describe('a double-submitted event', () => {
  const twice = async (app: TestApp) => {
    const organizer = await app.member('ORGANIZER');
    const venueId = await aVenue(app);
    const input = { title: 'Once', body: '', category: 'PLAY' as const, venueId, idempotencyKey: randomUUID() };
    const answers = await Promise.all([0, 1].map(() => organizer.client.run('TestCreateEvent', { input })));
    return { organizer, input, ids: answers.map(({ event }) => event!.id) };
  };
  const stored = (app: TestApp) => app.query("select id from event where title = 'Once'");

  test('is one event, at once and later; the same key for another is refused', async () => {
    await using app = await testApp();

    const { organizer, input, ids } = await twice(app);
    const again = await organizer.client.run('TestCreateEvent', { input });
    const another = await organizer.client.run('TestCreateEvent', { input: { ...input, title: 'Twice' } });

    expect(new Set([...ids, again.event!.id]).size).toBe(1);
    expect(another).toMatchObject({ code: 'IDEMPOTENCY_KEY_REUSED' });
    expect(await stored(app)).toHaveLength(1);
  });

  test('negative control: where keys are not unique it is two events', async () => {
    await using app = await testApp();
    await app.query('alter table idempotent_answer drop constraint idempotent_answer_pkey');

    const { ids } = await twice(app);

    expect(new Set(ids).size).toBe(2);
    expect(await stored(app)).toHaveLength(2);
  });
});
