import { randomUUID } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import { request } from 'undici';
import type { SimulatedProvider, SimulatedWebhook, Simulator } from '../../src/simulator/simulator.ts';
import { type TestApp, type TestStage, testApp, uuidIn } from './app.ts';
import { atCheckout, begin, heldLesson } from './payments.ts';
import type { Outcome } from './provider-books.ts';
import { eventually } from './wait.ts';

/** Sends what a webhook's sender could send to one server, and answers what it hears. */
export async function ring(
  stage: TestStage,
  provider: string,
  { headers, body }: { headers: Record<string, string>; body: string | Buffer },
): Promise<{ status: number; body: string }> {
  const answer = await request(`${stage.url}/webhooks/${provider.toLowerCase()}`, { method: 'POST', headers, body, reset: true });
  return { status: answer.statusCode, body: await answer.body.text() };
}

/** All that a webhook could change, of every payment: for comparing before and after. */
export async function everythingOf(stage: TestStage): Promise<unknown> {
  const [payments, receipts, holds, pools, refunds, transfers] = await Promise.all([
    stage.query('select * from payment order by id'),
    stage.query('select provider, event_id, payment_id, copies from webhook_receipt order by provider, event_id'),
    stage.query('select id, state, changed_at from hold order by id'),
    stage.query('select id, held, sold from pool order by id'),
    stage.query('select * from refund order by id'),
    stage.query('select id from ledger_transfer order by id'),
  ]);
  return { payments, receipts, holds, pools, refunds, transfers };
}

/** Waits until everything that rang for a payment has been asked about, and nobody is at it. */
export async function answered(stage: TestStage, paymentId: string): Promise<void> {
  await eventually(async () => {
    const [payment] = await stage.query<{ rings: number; ringsAnswered: number; isBusy: boolean }>(
      `select rings, rings_answered as "ringsAnswered", coalesce(busy_until > clock_timestamp(), false) as "isBusy" from payment where id = $1`,
      [uuidIn(paymentId)],
    );
    return payment !== undefined && payment.ringsAnswered === payment.rings && !payment.isBusy;
  });
}

/** How often a provider was asked what became of an order. */
export const timesAsked = (simulator: Simulator, paymentId: string): number =>
  simulator.calls.filter(({ call, orderId }) => call === 'find' && orderId === uuidIn(paymentId)).length;

/** The merchant gives money back in the provider's console, past us. */
export async function refundInConsole(simulator: Simulator, paymentId: string, amountMinor: number): Promise<void> {
  const booked = simulator.payment(uuidIn(paymentId));
  if (!booked) throw new Error(`the provider has no order ${uuidIn(paymentId)}`);
  const { TOSS, PORTONE } = simulator.settings;
  const calls: Partial<Record<SimulatedProvider, { path: string; authorization: string; body: object }>> = {
    TOSS: {
      path: `/v1/payments/${booked.reference}/cancel`,
      authorization: `Basic ${Buffer.from(`${TOSS.secretKey}:`).toString('base64')}`,
      body: { cancelReason: 'by telephone', cancelAmount: amountMinor },
    },
    PORTONE: {
      path: `/payments/${booked.orderId}/cancel`,
      authorization: `PortOne ${PORTONE.apiSecret}`,
      body: { reason: 'by telephone', amount: amountMinor },
    },
  };
  const call = calls[booked.provider];
  if (!call) throw new Error(`no console of ${booked.provider}`);
  const answer = await request(`${simulator.url}${call.path}`, {
    method: 'POST',
    reset: true,
    headers: { 'content-type': 'application/json', authorization: call.authorization, 'idempotency-key': randomUUID() },
    body: JSON.stringify(call.body),
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`the console answered ${answer.statusCode} ${text}`);
}

/** The event of a webhook as its provider calls it. */
export function eventOf({ provider, body }: SimulatedWebhook): string {
  if (provider === 'KISPG') return new URLSearchParams(body).get('cancelYN') === 'Y' ? 'cancelled' : 'approved';
  const event = JSON.parse(body) as { type?: string; data: { status?: string } };
  return event.type ?? event.data.status ?? '';
}

/** Every order of these things. */
export function permutations<Thing>(things: readonly Thing[]): Thing[][] {
  if (things.length === 0) return [[]];
  return things.flatMap((thing, index) => permutations(things.toSpliced(index, 1)).map((rest) => [thing, ...rest]));
}

export const SENDERS = ['TOSS', 'PORTONE', 'KISPG'] as const satisfies SimulatedProvider[];
export type Sender = (typeof SENDERS)[number];

export const PRICE = 80_000;
/** What a merchant gives back in the console, unless said otherwise. */
export const PART = 30_000;
export const BOOKED: Outcome = { hold: 'CONFIRMED', payment: 'APPROVED', captures: 1, keptMinor: PRICE };

/** The simulator sends nothing by itself: each test delivers what it wants, when it wants it. */
export async function silentApp(): Promise<TestApp> {
  const app = await testApp();
  app.simulator.sendsWebhooks = false;
  return app;
}

/**
 * A payment that is booked, and of which a part was given back in the provider's console. `webhook` is about that, `capture` about the money that was taken;
 * nobody has delivered either yet. KISPG's console cannot be asked, so there `webhook` is about the capture too.
 */
export async function booked(app: TestApp, provider: Sender) {
  const { simulator } = app;
  const { client, holdId } = await heldLesson(app, { capacity: 1, priceMinor: PRICE });
  const { id: paymentId, checkout } = await begin(client, holdId, provider);
  await atCheckout({ checkout });
  const capture = simulator.webhooksOf(uuidIn(paymentId)).at(-1)!;
  if (provider !== 'KISPG') await refundInConsole(simulator, paymentId, PART);
  const webhook = simulator.webhooksOf(uuidIn(paymentId)).at(-1)!;
  // PortOne is asked in the middle of an approval.
  const before = timesAsked(simulator, paymentId);
  return { client, holdId, paymentId, capture, webhook, asked: () => timesAsked(simulator, paymentId) - before };
}

/** Its refunds as stored, sorted by their text. */
export async function refundsOf(app: TestApp, paymentId: string): Promise<string[]> {
  const refunds = await app.query<{ line: string }>(
    "select concat_ws(' ', cause, amount_minor, state) as line from refund where payment_id = $1 order by 1",
    [uuidIn(paymentId)],
  );
  return refunds.map(({ line }) => line);
}

export const withHeader = (webhook: SimulatedWebhook, name: string, value: string): SimulatedWebhook => ({
  ...webhook,
  headers: { ...webhook.headers, [name]: value },
});
export const withoutHeader = (webhook: SimulatedWebhook, name: string): SimulatedWebhook => ({
  ...webhook,
  headers: Object.fromEntries(Object.entries(webhook.headers).filter(([given]) => given !== name)),
});
export const withText = (webhook: SimulatedWebhook, body: string): SimulatedWebhook => ({ ...webhook, body });
export const withJson = (
  webhook: SimulatedWebhook,
  change: (event: { data: Record<string, unknown> } & Record<string, unknown>) => object,
) => withText(webhook, JSON.stringify(change(JSON.parse(webhook.body))));
export const withField = (webhook: SimulatedWebhook, name: string, value: string): SimulatedWebhook => {
  const fields = new URLSearchParams(webhook.body);
  fields.set(name, value);
  return withText(webhook, fields.toString());
};

/** Signs as PortOne does, so that only what was changed can be what is wrong with it. */
export const signed = (app: TestApp, webhook: SimulatedWebhook, { ageMs = 0, secret }: { ageMs?: number; secret?: string } = {}) => {
  const at = new Date(Date.now() - ageMs);
  const id = webhook.headers['webhook-id']!;
  const signature = new Webhook(secret ?? app.simulator.settings.PORTONE.webhookSecret).sign(id, at, webhook.body);
  const proof = { 'webhook-timestamp': String(Math.floor(at.getTime() / 1_000)), 'webhook-signature': signature };
  return { ...webhook, headers: { ...webhook.headers, ...proof } };
};

/** The same event made to be about another order, as right as anybody can make it. */
export function about(paymentId: string, webhook: SimulatedWebhook, app: TestApp): SimulatedWebhook {
  const told = withText(webhook, webhook.body.replaceAll(webhook.orderId, uuidIn(paymentId)));
  switch (webhook.provider) {
    case 'TOSS':
      return withHeader(told, 'tosspayments-webhook-transmission-id', randomUUID());
    case 'PORTONE':
      return signed(app, withHeader(told, 'webhook-id', `whk_${randomUUID()}`));
    default:
      // The hash covers neither the order nor the tid.
      return told;
  }
}
