import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, tally, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';

failOnLeaks();

const QUERY = 'mutation ($count: Int!) { createRehearsalMembers(count: $count) { memberId accessToken } }';

describe('members for a rehearsal', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  test('come signed in, are ordinary members, and enrol', async () => {
    const { client } = await app.admin();
    const lessonId = await app.lesson({ capacity: 30 });

    const { data } = await client.post({ query: QUERY, variables: { count: 40 } });

    const made: { memberId: string; accessToken: string }[] = data.createRehearsalMembers;
    expect(new Set(made.map(({ memberId }) => memberId)).size).toBe(40);
    expect(await app.anonymous.as(made[0]!.accessToken).run('TestMe')).toMatchObject({ id: made[0]!.memberId, role: 'MEMBER' });
    const answers = await Promise.all(
      made.map(({ accessToken }) => app.anonymous.as(accessToken).run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } })),
    );
    expect(tally(answers)).toEqual({ EnrollSuccess: 30, NoPlaceLeftError: 10 });
  });

  test('cannot sign in with a password, and cannot refresh', async () => {
    const { client } = await app.admin();
    const { data } = await client.post({ query: QUERY, variables: { count: 1 } });
    const { email } = await app.anonymous.as(data.createRehearsalMembers[0].accessToken).run('TestMe');

    for (const password of ['', 'lastseat-demo', 'null'])
      expect(await app.anonymous.run('TestSignIn', { input: { email, password } })).toMatchObject({ code: 'INVALID_CREDENTIALS' });
    expect(
      await app.anonymous.run('TestRefreshSession', { input: { refreshToken: data.createRehearsalMembers[0].accessToken } }),
    ).toMatchObject({ code: 'INVALID_REFRESH_TOKEN' });
  });

  test('the ten thousandth is made too, in one call', async () => {
    const { client } = await app.admin();

    const { data } = await client.post({ query: QUERY, variables: { count: 10_000 } });

    expect(data.createRehearsalMembers).toHaveLength(10_000);
  });
});
