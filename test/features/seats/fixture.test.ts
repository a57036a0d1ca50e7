import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type TestApp, testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow, aTicket } from '../../support/shows.ts';

failOnLeaks();

describe('the fixture', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await testApp();
  });
  afterAll(() => app.close());

  test('makes a show that keeps every invariant', async () => {
    const show = await aShow(app, { sections: 2, standing: { capacity: 20, priceMinor: 30_000 }, blocked: [3] });

    expect(show.seats).toBe(100);
    expect(await app.counters(show.performanceId)).toEqual({ capacity: 99, held: 0, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test('makes a ticket that keeps every invariant', async () => {
    const member = await app.member();

    const ticketId = await aTicket(app, member.uuid);

    expect(await member.client.run('TestTicket', { id: ticketId })).toMatchObject({ state: 'VALID', seat: { number: 0 } });
    expect(await app.brokenInvariants()).toEqual([]);
  });
});
