import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { nextMonth, tally, type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';

failOnLeaks();
describe('x', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());
  test('smoke', async () => {
    const lessonId = await app.lesson({ capacity: 10, month: nextMonth() });
    const members = await app.members(11);
    const answers = await Promise.all(
      members.map(({ client }) => client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID() } })),
    );
    expect(tally(answers)).toEqual({ EnrollSuccess: 10, NoPlaceLeftError: 1 });
    console.error(JSON.stringify(answers.slice(-2), null, 1));
    expect(await app.brokenInvariants()).toEqual([]);
  });
});
