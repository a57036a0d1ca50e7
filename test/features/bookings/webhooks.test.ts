import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { SimulatedWebhook } from '../../../src/simulator/simulator.ts';
import { type TestApp, uuidIn } from '../../support/app.ts';
import { failOnLeaks } from '../../support/leaks.ts';
import { atCheckout, begin, heldLesson } from '../../support/payments.ts';
import { outcomeOf } from '../../support/provider-books.ts';
import {
  about,
  answered,
  BOOKED,
  booked,
  eventOf,
  everythingOf,
  PART,
  PRICE,
  ring,
  SENDERS,
  type Sender,
  signed,
  silentApp,
  timesAsked,
  withField,
  withHeader,
  withJson,
  withoutHeader,
  withText,
} from '../../support/webhooks.ts';

failOnLeaks();

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** What our books say went back. */
async function refundedMinor(app: TestApp, paymentId: string): Promise<number> {
  const [payment] = await app.query<{ refunded: number }>('select refunded_minor::int as refunded from payment where id = $1', [
    uuidIn(paymentId),
  ]);
  return payment!.refunded;
}

const TRANSMITTED_AT = 'tosspayments-webhook-transmission-time';
const moment = (ms: number) => new Date(Date.now() + ms).toISOString();

type Change = (webhook: SimulatedWebhook, app: TestApp) => SimulatedWebhook;

const REFUSED: [Sender, string, Change][] = [
  ['TOSS', 'not JSON', (webhook) => withText(webhook, 'status=DONE')],
  ['TOSS', 'an empty body', (webhook) => withText(webhook, '')],
  ['TOSS', 'a list', (webhook) => withText(webhook, `[${webhook.body}]`)],
  ['TOSS', 'of another merchant', (webhook) => withJson(webhook, (event) => ({ ...event, data: { ...event.data, mId: 'somebody' } }))],
  ['TOSS', 'about nothing', (webhook) => withJson(webhook, ({ data: _, ...event }) => event)],
  ['TOSS', 'without an id', (webhook) => withoutHeader(webhook, 'tosspayments-webhook-transmission-id')],
  ['TOSS', 'without a time', (webhook) => withoutHeader(webhook, TRANSMITTED_AT)],
  ['TOSS', 'of a time that is none', (webhook) => withHeader(webhook, TRANSMITTED_AT, 'yesterday')],
  ['TOSS', 'later than any try of the provider', (webhook) => withHeader(webhook, TRANSMITTED_AT, moment(-97 * HOUR))],
  ['TOSS', 'of the future', (webhook) => withHeader(webhook, TRANSMITTED_AT, moment(6 * MINUTE))],
  ['TOSS', 'of a deposit without its fields', (webhook) => withText(webhook, JSON.stringify({ orderId: webhook.orderId }))],
  ['PORTONE', 'with an altered body', (webhook) => withText(webhook, webhook.body.replace('PartialCancelled', 'Cancelled'))],
  ['PORTONE', 'serialised anew', (webhook) => withText(webhook, JSON.stringify(JSON.parse(webhook.body), null, 1))],
  ['PORTONE', 'with the id of another', (webhook) => withHeader(webhook, 'webhook-id', 'whk_of_another')],
  ['PORTONE', 'signed by somebody else', (webhook, app) => signed(app, webhook, { secret: 'whsec_c29tZWJvZHkgZWxzZQ==' })],
  ['PORTONE', 'without a signature', (webhook) => withoutHeader(webhook, 'webhook-signature')],
  ['PORTONE', 'of another version of signatures', (webhook) => withHeader(webhook, 'webhook-signature', 'v2,AAAA')],
  ['PORTONE', 'signed 6 minutes ago', (webhook, app) => signed(app, webhook, { ageMs: 6 * MINUTE })],
  ['PORTONE', 'signed in 6 minutes', (webhook, app) => signed(app, webhook, { ageMs: -6 * MINUTE })],
  ['PORTONE', 'genuinely signed and not JSON', (webhook, app) => signed(app, withText(webhook, 'Transaction.Paid'))],
  ['PORTONE', 'genuinely signed and no event', (webhook, app) => signed(app, withText(webhook, '{"data":{}}'))],
  ['PORTONE', 'an empty body', (webhook) => withText(webhook, '')],
  ['KISPG', 'with another amount', (webhook) => withField(webhook, 'amt', String(PRICE - 1))],
  ['KISPG', 'with another moment', (webhook) => withField(webhook, 'ediDate', '20260101000000')],
  ['KISPG', 'with another hash', (webhook) => withField(webhook, 'encData', 'f'.repeat(64))],
  ['KISPG', 'without a hash', (webhook) => withField(webhook, 'encData', '')],
  ['KISPG', 'of another merchant', (webhook) => withField(webhook, 'mid', 'somebody0m')],
  ['KISPG', 'without a tid', (webhook) => withField(webhook, 'tid', '')],
  ['KISPG', 'neither a form nor JSON', (webhook) => withText(webhook, 'OK')],
  ['KISPG', 'an empty body', (webhook) => withText(webhook, '')],
];

const ANOTHER = randomUUID();

/** Genuine as far as can be told, and nothing of ours: acknowledged, so that the provider does not come again. */
const NOT_OURS: [Sender, string, Change][] = [
  ['TOSS', 'another kind of event', (webhook) => withJson(webhook, (event) => ({ ...event, eventType: 'METHOD_UPDATED' }))],
  ['TOSS', 'an unknown order', (webhook) => withJson(webhook, (event) => ({ ...event, data: { ...event.data, orderId: ANOTHER } }))],
  [
    'TOSS',
    'an order that is no UUID',
    (webhook) => withJson(webhook, (event) => ({ ...event, data: { ...event.data, orderId: "' or 1" } })),
  ],
  ['PORTONE', 'an unknown order', (webhook, app) => signed(app, withText(webhook, webhook.body.replace(webhook.orderId, ANOTHER)))],
  ['PORTONE', 'an order that is no UUID', (webhook, app) => signed(app, withText(webhook, webhook.body.replace(webhook.orderId, 'no-2')))],
  ['PORTONE', 'another store', (webhook, app) => signed(app, withText(webhook, webhook.body.replace('store-simulated', 'store-another')))],
  ['PORTONE', 'no payment at all', (webhook, app) => signed(app, withText(webhook, '{"type":"BillingKey.Issued","data":{}}'))],
  ['KISPG', 'an unknown order', (webhook) => withField(webhook, 'moid', ANOTHER)],
  ['KISPG', 'an order that is no UUID', (webhook) => withField(webhook, 'moid', '20260101-1')],
];

describe('a webhook', () => {
  let app: TestApp;
  beforeAll(async () => {
    app = await silentApp();
  });
  afterAll(() => app.close());

  describe('is refused, changes nothing, and leaves the genuine one its effect:', () => {
    test.each(REFUSED)('%s, %s', async (provider, _, change) => {
      const { paymentId, webhook, asked } = await booked(app, provider);
      const before = await everythingOf(app);

      const forged = await ring(app, provider, change(webhook, app));

      expect(forged.status).toBe(401);
      expect(await everythingOf(app)).toEqual(before);
      expect(asked()).toBe(0);
      expect((await ring(app, provider, webhook)).status).toBe(200);
      await answered(app, paymentId);
      expect(await app.query('select copies from webhook_receipt where payment_id = $1', [uuidIn(paymentId)])).toEqual([{ copies: 1 }]);
      expect(await refundedMinor(app, paymentId)).toBe(provider === 'KISPG' ? 0 : PART);
    });
  });

  describe('that is not about a payment of ours is acknowledged and changes nothing:', () => {
    test.each(NOT_OURS)('%s, %s', async (provider, _, change) => {
      const { webhook, asked } = await booked(app, provider);
      const before = await everythingOf(app);

      const { status } = await ring(app, provider, change(webhook, app));

      expect(status).toBe(200);
      expect(await everythingOf(app)).toEqual(before);
      expect(asked()).toBe(0);
    });

    test('the order of another provider', async () => {
      const { paymentId } = await booked(app, 'TOSS');
      const { webhook } = await booked(app, 'PORTONE');
      const before = await everythingOf(app);

      const { status } = await ring(
        app,
        'PORTONE',
        signed(app, withText(webhook, webhook.body.replace(webhook.orderId, uuidIn(paymentId)))),
      );

      expect(status).toBe(200);
      expect(await everythingOf(app)).toEqual(before);
    });
  });

  test.each(['kakaopay', 'stripe', 'constructor', '__proto__', 'toss%2F..'])('nobody listens at /webhooks/%s', async (name) => {
    const { webhook } = await booked(app, 'TOSS');
    const before = await everythingOf(app);

    const { status } = await ring(app, name, webhook);

    expect(status).toBe(404);
    expect(await everythingOf(app)).toEqual(before);
  });

  test.each(SENDERS)('larger than 64 KiB is refused before it is read, %s', async (provider) => {
    const { webhook } = await booked(app, provider);
    const before = await everythingOf(app);
    const padded = (bytes: number) =>
      Buffer.concat([Buffer.from(webhook.body), Buffer.alloc(bytes - Buffer.byteLength(webhook.body), ' ')]);

    const tooLarge = await ring(app, provider, { headers: webhook.headers, body: padded(65_537) });
    const largest = await ring(app, provider, { headers: webhook.headers, body: padded(65_536) });

    expect(tooLarge.status).toBe(413);
    // PortOne signs every byte.
    expect(largest.status).toBe(provider === 'PORTONE' ? 401 : 200);
    if (provider === 'PORTONE') expect(await everythingOf(app)).toEqual(before);
  });

  test.each(
    SENDERS.flatMap((provider) =>
      ['application/json', 'application/x-www-form-urlencoded', 'text/plain', 'application/octet-stream', ''].map(
        (type) => [provider, type] as const,
      ),
    ),
  )('of %s is read as it is, whatever its type says: %j', async (provider, type) => {
    const { paymentId, webhook } = await booked(app, provider);
    const labelled = type === '' ? withoutHeader(webhook, 'content-type') : withHeader(webhook, 'content-type', type);

    const { status } = await ring(app, provider, labelled);

    expect(status).toBe(200);
    await answered(app, paymentId);
    expect(await app.query('select copies from webhook_receipt where payment_id = $1', [uuidIn(paymentId)])).toEqual([{ copies: 1 }]);
    expect(await refundedMinor(app, paymentId)).toBe(provider === 'KISPG' ? 0 : PART);
  });

  test.each([
    ['TOSS', 'a day', (webhook: SimulatedWebhook) => withHeader(webhook, TRANSMITTED_AT, moment(-24 * HOUR))],
    [
      'TOSS',
      'the last try, after 3 days and 19 hours',
      (webhook: SimulatedWebhook) => withHeader(webhook, TRANSMITTED_AT, moment(-91 * HOUR)),
    ],
    ['PORTONE', '4 minutes', (webhook: SimulatedWebhook) => signed(app, webhook, { ageMs: 4 * MINUTE })],
  ] as const)('that is late is taken: %s, %s', async (provider, _, late) => {
    const { paymentId, webhook } = await booked(app, provider);

    const { status } = await ring(app, provider, late(webhook));
    await answered(app, paymentId);

    expect(status).toBe(200);
    expect(await refundedMinor(app, paymentId)).toBe(PART);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test.each([
    ['TOSS', 1],
    ['PORTONE', 1],
    // It cannot be asked.
    ['KISPG', 0],
  ] as const)('that comes five times at once and five times later rings once: %s is asked %i times', async (provider, times) => {
    const { paymentId, webhook, asked } = await booked(app, provider);
    const copies = () => Promise.all(Array.from({ length: 5 }, () => ring(app, provider, webhook)));

    const answers = await copies();
    await answered(app, paymentId);
    answers.push(...(await copies()));

    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect(new Set(answers.map(({ body }) => body))).toEqual(new Set([provider === 'PORTONE' ? '' : 'OK']));
    expect(await app.query('select copies from webhook_receipt where payment_id = $1', [uuidIn(paymentId)])).toEqual([{ copies: 10 }]);
    expect(await app.query('select rings from payment where id = $1', [uuidIn(paymentId)])).toEqual([{ rings: 1 }]);
    expect(asked()).toBe(times);
    expect(await app.brokenInvariants()).toEqual([]);
  });

  test.each(['TOSS', 'PORTONE'] as const)(
    'that says only what the answer to our approval said is kept, and asks nobody, %s',
    async (provider) => {
      const { paymentId, capture, asked } = await booked(app, provider);

      expect((await ring(app, provider, capture)).status).toBe(200);

      expect(await app.query('select copies from webhook_receipt where payment_id = $1', [uuidIn(paymentId)])).toEqual([{ copies: 1 }]);
      expect(await app.query('select rings, next_look_at from payment where id = $1', [uuidIn(paymentId)])).toEqual([
        { rings: 0, next_look_at: null },
      ]);
      expect(asked()).toBe(0);
    },
  );

  test.each([
    ['TOSS', 1],
    ['PORTONE', 1],
    ['KISPG', 0],
  ] as const)('that lies about an order nobody has paid takes no place: %s is asked %i times', async (provider, times) => {
    const { capture } = await booked(app, provider);
    const { client, holdId, lessonId } = await heldLesson(app, { capacity: 1, priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, provider);
    const lie = about(paymentId, capture, app);
    expect(['DONE', 'Transaction.Paid', 'approved']).toContain(eventOf(lie));

    const { status } = await ring(app, provider, lie);
    await answered(app, paymentId);

    expect(status).toBe(200);
    expect(timesAsked(app.simulator, paymentId)).toBe(times);
    expect(await app.query('select rings from payment where id = $1', [uuidIn(paymentId)])).toEqual([{ rings: 1 }]);
    expect(await outcomeOf(app, app.simulator, paymentId)).toEqual({ hold: 'PAYING', payment: 'PENDING', captures: 0, keptMinor: 0 });
    expect(await app.counters(lessonId)).toEqual({ capacity: 1, held: 1, sold: 0 });
    expect(await app.brokenInvariants()).toEqual([]);
    await atCheckout({ checkout });
    expect(await outcomeOf(app, app.simulator, paymentId)).toEqual(BOOKED);
  });

  test.each(SENDERS)('that lies about a cancellation of what is booked changes nothing, %s', async (provider) => {
    const { capture } = await booked(app, provider);
    const { client, holdId } = await heldLesson(app, { capacity: 1, priceMinor: PRICE });
    const { id: paymentId, checkout } = await begin(client, holdId, provider);
    await atCheckout({ checkout });
    const before = timesAsked(app.simulator, paymentId);
    const lies: Record<Sender, (webhook: SimulatedWebhook) => SimulatedWebhook> = {
      TOSS: (webhook) => withJson(webhook, (event) => ({ ...event, data: { ...event.data, status: 'CANCELED', balanceAmount: 0 } })),
      PORTONE: (webhook) => withText(webhook, webhook.body.replace('Transaction.Paid', 'Transaction.Cancelled')),
      KISPG: (webhook) => withField(withField(webhook, 'cancelYN', 'Y'), 'remainAmt', '0'),
    };
    const lie = about(paymentId, lies[provider](capture), app);
    expect(['CANCELED', 'Transaction.Cancelled', 'cancelled']).toContain(eventOf(lie));

    const { status } = await ring(app, provider, lie);
    await answered(app, paymentId);

    expect(status).toBe(200);
    expect(timesAsked(app.simulator, paymentId) - before).toBe(provider === 'KISPG' ? 0 : 1);
    expect(await outcomeOf(app, app.simulator, paymentId)).toEqual(BOOKED);
    expect(await app.brokenInvariants()).toEqual([]);
  });
});

describe('negative control: where each copy of an event counts as a new one', () => {
  test.each(['TOSS', 'PORTONE'] as const)('%s is asked for each of five copies', async (provider) => {
    await using app = await silentApp();
    await app.query(
      'create function forget() returns trigger language plpgsql as $$ begin new.event_id := new.event_id || gen_random_uuid(); return new; end $$',
    );
    await app.query('create trigger forget before insert on webhook_receipt for each row execute function forget()');
    const { paymentId, webhook, asked } = await booked(app, provider);

    for (let copy = 0; copy < 5; copy++) {
      await ring(app, provider, webhook);
      await answered(app, paymentId);
    }

    expect(asked()).toBe(5);
  });
});
