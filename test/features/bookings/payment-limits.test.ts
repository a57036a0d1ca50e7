import { randomUUID } from 'node:crypto';
import { expect, test } from '@jest/globals';
import { testApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, ended, heldLesson } from '../../support/payments.ts';

failOnLeaks();

test('twenty payments can be begun for a hold: the next is refused without a call, and the last can still be paid', async () => {
  await using app = await testApp();
  const { client, holdId } = await heldLesson(app);
  for (let begun = 1; begun < 20; begun++) await begin(client, holdId, begun % 2 ? 'TOSS' : 'KAKAOPAY');
  const last = await begin(client, holdId, 'KAKAOPAY');
  const calls = app.simulator.calls.length;

  const refused = await client.run('TestPreparePayment', { input: { holdId, provider: 'TOSS', idempotencyKey: randomUUID() } });

  expect(refused).toMatchObject({ __typename: 'TooManyPaymentsError', code: 'TOO_MANY_PAYMENTS' });
  expect(app.simulator.calls).toHaveLength(calls);
  expect(await app.query('select 1 from payment where original_hold_id = $1', [uuidIn(holdId)])).toHaveLength(20);
  await atCheckout(last);
  expect(await ended(client, last.id)).toMatchObject({ state: 'APPROVED' });
  expect(await app.brokenInvariants()).toEqual([]);
});
