import { expect, test } from '@jest/globals';
import { testApp } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { aShow, aTicket } from '../../support/shows.ts';

failOnLeaks();

test('a show of the fixture keeps every invariant', async () => {
  await using app = await testApp();

  const show = await aShow(app, { sections: 2, standing: { capacity: 20, priceMinor: 30_000 }, blocked: [3] });

  expect(show.seats).toBe(100);
  expect(await app.counters(show.performanceId)).toEqual({ capacity: 99, held: 0, sold: 0 });
  expect(await app.brokenInvariants()).toEqual([]);
});

test('a ticket of the fixture keeps every invariant', async () => {
  await using app = await testApp();
  const member = await app.member();

  const ticketId = await aTicket(app, member.uuid);

  expect(await member.client.run('TestTicket', { id: ticketId })).toMatchObject({ state: 'VALID', seat: { number: 0 } });
  expect(await app.brokenInvariants()).toEqual([]);
});
