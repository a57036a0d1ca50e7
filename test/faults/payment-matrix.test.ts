import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type CallName, type Fault, type SimulatedProvider, Simulator } from '../../src/simulator/simulator.ts';
import { type TestApp, testApp, uuidIn } from '../support/app.ts';
import type { RootOf, TestClient } from '../support/client.ts';
import { failOnLeaks } from '../support/leaks.ts';
import { atCheckout, ended, heldLesson, PROVIDERS } from '../support/payments.ts';
import { type TcpProxy, tcpProxy } from '../support/tcp-proxy.ts';
import { eventually } from '../support/wait.ts';

failOnLeaks();
jest.setTimeout(180_000);

/** What can come of a call. `DOWN`: nobody listens. */
const OUTCOMES = {
  done: null,
  refused: 'REFUSE',
  'time-out before the effect': 'HANG_BEFORE',
  'time-out after it': 'HANG_AFTER',
  '5xx before the effect': 'ERROR_BEFORE',
  '5xx after it': 'ERROR_AFTER',
  'connection refused': 'DOWN',
  garbage: 'GARBAGE',
  'wrong amount or order': 'WRONG_AMOUNT',
} as const satisfies Record<string, Fault | 'DOWN' | null>;
type Outcome = keyof typeof OUTCOMES;

const CALLS = ['prepare', 'approve', 'cancel'] as const satisfies CallName[];
type Call = (typeof CALLS)[number];

/** How a cell must end: the hold, the payment that was begun last, how often the provider took the money, and what it kept of 80,000. */
interface End {
  hold: string;
  payment: string;
  captures: number;
  keptMinor: number;
}

const BOOKED: End = { hold: 'CONFIRMED', payment: 'APPROVED', captures: 1, keptMinor: 80_000 };
const NOT_TAKEN: End = { hold: 'RELEASED', payment: 'REFUSED', captures: 0, keptMinor: 0 };
const TAKEN_BACK: End = { hold: 'RELEASED', payment: 'REFUNDED', captures: 1, keptMinor: 0 };
const RETURNED: End = { hold: 'RETURNED', payment: 'REFUNDED', captures: 1, keptMinor: 0 };

/** Whoever can be asked ends with what happened; KISPG cannot, so there an approval without an answer is taken back. */
function expectedEnd(provider: SimulatedProvider, call: Call, outcome: Outcome): End {
  switch (call) {
    case 'prepare':
      return provider === 'KISPG' && outcome === 'refused' ? NOT_TAKEN : BOOKED;
    case 'approve':
      if (outcome === 'refused') return NOT_TAKEN;
      if (provider !== 'KISPG' || outcome === 'done' || outcome === 'connection refused') return BOOKED;
      return outcome.endsWith('before the effect') ? NOT_TAKEN : TAKEN_BACK;
    case 'cancel':
      return outcome === 'refused' ? BOOKED : RETURNED;
  }
}

let app: TestApp;
/** Gives up waiting for a provider early: for calls that hang. */
let hasty: TestApp;
let simulator: Simulator;
/** Between us and the providers' interfaces; the customer's browser goes to their pages without it. */
let wire: TcpProxy;
const report: string[][] = [];

/** Orders the fault, or takes the provider down; the function ends it. */
async function order(provider: SimulatedProvider, call: Call, outcome: Outcome): Promise<() => Promise<void>> {
  const fault = OUTCOMES[outcome];
  if (fault === 'DOWN') {
    await wire.refuse();
    return () => wire.accept();
  }
  // KISPG is told of an order by the customer's browser.
  const told = provider === 'KISPG' && call === 'prepare' ? 'auth' : call;
  if (fault) {
    simulator.order({ provider, call: told, fault });
    // The other half of a wrong reply.
    if (fault === 'WRONG_AMOUNT' && call === 'approve') simulator.order({ provider, call: told, fault: 'WRONG_ORDER' });
  }
  return async () => simulator.clearFaults();
}

/** Begins to pay as an impatient member does: again with the same key, with a new one after a refusal, until there is a checkout. */
async function beginAgain(client: TestClient, holdId: string, provider: SimulatedProvider, firstTried: () => Promise<void>) {
  let idempotencyKey = randomUUID();
  for (let tries = 1; ; tries++) {
    const prepared = await client.run('TestPreparePayment', { input: { holdId, provider, idempotencyKey } });
    if (tries === 1) await firstTried();
    if (prepared.__typename === 'PreparePaymentSuccess') return prepared.payment;
    if (tries === 5) throw new Error(`payment cannot be begun: ${JSON.stringify(prepared)}`);
    if (prepared.code === 'PAYMENT_REFUSED') idempotencyKey = randomUUID();
  }
}

/** At the provider's page, and there again when the browser could not load it or came back without having paid. */
async function payPatiently(
  client: TestClient,
  payment: RootOf<'TestPreparePayment'>['payment'],
  firstTried: () => Promise<void>,
): Promise<void> {
  // The page itself may hang.
  await atPage(payment, 3_000).catch(() => undefined);
  await firstTried();
  const { checkout } = await client.run('TestPayment', { id: payment.id });
  if (checkout) await atPage(payment);
}

async function play(provider: SimulatedProvider, call: Call, outcome: Outcome): Promise<{ paymentId: string; holdId: string }> {
  const nothing = async () => undefined;
  const { accessToken, holdId } = await heldLesson(app, { priceMinor: 80_000 });
  const client = (outcome.startsWith('time-out') ? hasty : app).anonymous.as(accessToken);
  if (call === 'cancel') {
    const payment = await beginAgain(client, holdId, provider, nothing);
    await atPage(payment);
    const paymentId = payment.id;
    // The other node, which its webhook rang at, may be the one that books it.
    await ended(client, paymentId);
    const end = await order(provider, call, outcome);
    await client.run('TestCancelBooking', { input: { holdId } });
    await end();
    await ended(client, paymentId);
    return { paymentId, holdId };
  }
  const isAtBrowser = provider === 'KISPG' && call === 'prepare';
  if (call === 'prepare') {
    const end = await order(provider, call, outcome);
    const payment = await beginAgain(client, holdId, provider, isAtBrowser ? nothing : end);
    await payPatiently(client, payment, isAtBrowser ? end : nothing);
    await ended(client, payment.id);
    return { paymentId: payment.id, holdId };
  }
  const payment = await beginAgain(client, holdId, provider, nothing);
  const end = await order(provider, call, outcome);
  await atPage(payment);
  await end();
  await ended(client, payment.id);
  return { paymentId: payment.id, holdId };
}

/** The customer acts at the provider's page, whose address does not lead through our wire. */
function atPage({ checkout }: RootOf<'TestPreparePayment'>['payment'], patienceMs = 60_000) {
  return atCheckout(
    { checkout: checkout && { ...checkout, url: checkout.url.replace(new URL(wire.url).origin, simulator.url) } },
    'approve',
    { patienceMs },
  );
}

async function endOf({ paymentId, holdId }: { paymentId: string; holdId: string }): Promise<End> {
  const [hold] = await app.query<{ state: string }>('select state from hold where id = $1', [uuidIn(holdId)]);
  const [payment] = await app.query<{ state: string }>('select state from payment where id = $1', [uuidIn(paymentId)]);
  const booked = simulator.payment(uuidIn(paymentId));
  return {
    hold: hold?.state ?? '',
    payment: payment?.state ?? '',
    captures: booked?.entries.filter(({ kind }) => kind === 'CAPTURE').length ?? 0,
    keptMinor: (booked?.capturedMinor ?? 0) - (booked?.refundedMinor ?? 0),
  };
}

describe('every call of every provider, with every outcome', () => {
  beforeAll(async () => {
    simulator = await Simulator.start();
    wire = await tcpProxy(simulator.url);
    const baseUrl = new URL(wire.url).origin;
    const { KAKAOPAY, TOSS, PORTONE, KISPG } = simulator.settings;
    const providers = {
      KAKAOPAY: { ...KAKAOPAY, baseUrl },
      TOSS: { ...TOSS, baseUrl },
      PORTONE: { ...PORTONE, baseUrl },
      KISPG: { ...KISPG, baseUrl },
    };
    const environment = { PAYMENT_ANSWER_TIMEOUT_MS: '1000' };
    hasty = await testApp({ simulator, providers, environment });
    // The last one: webhooks go to it.
    app = await testApp({ role: 'all', simulator, providers, databaseUrl: hasty.databaseUrl });
  });
  afterAll(async () => {
    process.stdout.write(tableOf(report));
    await app.close();
    await hasty.close();
    await wire[Symbol.asyncDispose]();
    await simulator.close();
  });

  describe.each(PROVIDERS.map((provider) => [provider] as const))('%s', (provider) => {
    const cells = CALLS.flatMap((call) => (Object.keys(OUTCOMES) as Outcome[]).map((outcome) => [call, outcome] as const));

    test.each(cells)('%s: %s', async (call, outcome) => {
      const played = await play(provider, call, outcome);

      const end = await endOf(played);
      report.push([provider, call, outcome, end.hold, end.payment, String(end.captures), String(end.keptMinor)]);
      expect(end).toEqual(expectedEnd(provider, call, outcome));
      expect(await app.brokenInvariants()).toEqual([]);
    });
  });

  test('nothing is open, and the deposits are empty', async () => {
    const { client } = await app.admin();

    await eventually(async () => (await client.run('TestReconciliation')).open === 0);

    expect(await client.run('TestReconciliation')).toMatchObject({ open: 0, overdue: 0, deposits: { amountMinor: 0 } });
  });
});

function tableOf(rows: readonly string[][]): string {
  const head = ['provider', 'call', 'outcome', 'hold', 'payment', 'captures', 'kept'];
  const widths = head.map((name, column) => Math.max(name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}\n`;
  return `\n${line(head)}${rows.map(line).join('')}${rows.length} cells\n`;
}
