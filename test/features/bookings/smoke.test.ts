import { expect, test } from '@jest/globals';
import { testApp } from '../../support/app.ts';
import { atCheckout, begin, ended, heldLesson, PROVIDERS } from '../../support/payments.ts';

test.each(PROVIDERS.map((p) => [p] as const))('%s', async (provider) => {
  await using app = await testApp({ role: 'all' });
  const { client, holdId } = await heldLesson(app);
  const payment = await begin(client, holdId, provider);
  const landed = await atCheckout(payment);
  console.log(JSON.stringify(landed));
  const page = await fetch(landed?.location ?? '');
  console.log(page.status, (await page.text()).match(/<h1>(.*)<\/h1>/)?.[1]);
  console.log(JSON.stringify(await ended(client, payment.id)));
  expect(await app.brokenInvariants()).toEqual([]);
  expect(await client.run('TestCancelBooking', { input: { holdId } })).toMatchObject({ hold: { state: 'RETURNED' } });
  expect(await app.brokenInvariants()).toEqual([]);
  console.log(JSON.stringify(app.simulator.payments().map((p) => p.entries)), app.logged);
});
