import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, type TestMember, testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { afterStatement, anEvent, aVenue } from './event-stage.ts';

failOnLeaks();

describe('door staff', () => {
  let app: TestApp;
  let venueId: string;
  beforeAll(async () => {
    app = await testApp();
    venueId = await aVenue(app);
  });
  afterAll(() => app.close());

  const known = async (): Promise<TestMember & { email: string }> => {
    const member = await app.member();
    const email = `door-${randomUUID()}@example.com`;
    await app.query("update member set email = $1, display_name = 'Do-yun' where id = $2", [email, member.uuid]);
    return { ...member, email };
  };
  const aStage = async () => {
    const organizer = await app.member('ORGANIZER');
    const eventId = await anEvent(organizer, venueId);
    const add = (email: string) => organizer.client.run('TestAddDoorStaff', { input: { eventId, email } });
    const remove = (memberId: string) => organizer.client.run('TestRemoveDoorStaff', { input: { eventId, memberId } });
    return { organizer, eventId, add, remove };
  };

  test('is added by e-mail in any spelling, listed in the order of adding, and removed; twice is once', async () => {
    const { organizer, eventId, add, remove } = await aStage();
    const [one, two] = [await known(), await known()];

    await add(`  ${one.email.toUpperCase()} `);
    await add(two.email);
    const again = await add(one.email);

    expect(again.event?.doorStaff?.map(({ memberId }) => memberId)).toEqual([one.id, two.id]);
    expect((await organizer.client.run('TestDoorStaff', { id: eventId })).doorStaff?.[0]).toEqual({
      memberId: one.id,
      displayName: 'Do-yun',
      email: one.email,
      addedAt: expect.any(String),
    });
    expect((await remove(one.id)).event?.doorStaff?.map(({ memberId }) => memberId)).toEqual([two.id]);
    expect((await remove(one.id)).event?.doorStaff?.map(({ memberId }) => memberId)).toEqual([two.id]);
    expect((await remove(two.id)).event?.doorStaff).toEqual([]);
  });

  test.each(['', 'nobody', 'a@b', `${'x'.repeat(300)}@example.com`, 'a b@example.com'])('%j is no e-mail address', async (email) => {
    const { add } = await aStage();

    expect(await add(email)).toMatchObject({ code: 'EVENT_INPUT', field: 'email' });
  });

  test('addresses without an account are told 20 times, and then nothing is told for a while; those with one are not counted', async () => {
    const { add } = await aStage();
    const member = await known();
    for (let count = 0; count < 25; count++) expect((await add(member.email)).code).toBeUndefined();

    const answers = [];
    for (let count = 0; count < 20; count++) answers.push((await add(`nobody-${count}@example.com`)).code);
    const limited = [await add('nobody@example.com'), await add(member.email)];

    expect(answers).toEqual(Array(20).fill('NO_SUCH_ACCOUNT'));
    expect(limited).toEqual(
      Array(2).fill({
        __typename: 'RateLimitedError',
        code: 'RATE_LIMITED',
        message: expect.any(String),
        retryAfterSeconds: expect.any(Number),
      }),
    );
    const other = await aStage();
    expect((await other.add(member.email)).code).toBeUndefined();
  });

  test.each([
    ['an event has at most 100, also when two come for the last place at once', null, ['OK', 'TOO_MANY_DOOR_STAFF'], 100],
    ['negative control: without the lock both get it', / for update$/, ['OK', 'OK'], 101],
  ] as const)('%s', async (_, without, codes, stored) => {
    const { add, eventId } = await aStage();
    const members = await app.members(99);
    await app.query('insert into door_staff (event_id, member_id) select $1, unnest($2::uuid[])', [
      uuidIn(eventId),
      members.map(({ uuid }) => uuid),
    ]);
    const [one, two] = [await known(), await known()];

    const rival = afterStatement(app, 'as count from door_staff', without, () => add(two.email));
    const answers = [await add(one.email), await rival];

    expect(answers.map(({ code }) => code ?? 'OK')).toEqual(codes);
    if (!without) expect(answers[1]?.limit).toBe(100);
    expect(await app.query('select count(*)::int as count from door_staff where event_id = $1', [uuidIn(eventId)])).toEqual([
      { count: stored },
    ]);
  });
});
