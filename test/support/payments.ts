import { randomUUID } from 'node:crypto';
import { payAs } from '../../src/simulator/customer.ts';
import type { CustomerAct, SimulatedProvider } from '../../src/simulator/simulator.ts';
import type { TestStage } from './app.ts';
import type { RootOf, TestClient } from './client.ts';
import { eventually } from './wait.ts';

export const PROVIDERS: readonly SimulatedProvider[] = ['KAKAOPAY', 'TOSS', 'PORTONE', 'KISPG'];

/** Begins to pay, and throws with the refusal if there is one. */
export async function begin(
  client: TestClient,
  holdId: string,
  provider: SimulatedProvider = 'TOSS',
): Promise<RootOf<'TestPreparePayment'>['payment']> {
  const prepared = await client.run('TestPreparePayment', { input: { holdId, provider, idempotencyKey: randomUUID() } });
  if (prepared.__typename !== 'PreparePaymentSuccess') throw new Error(`payment did not begin: ${JSON.stringify(prepared)}`);
  return prepared.payment;
}

/** Begins to pay at a node that may have given up waiting for the provider: again with the same key, until it has begun. */
export function beginAtHasty(client: TestClient, holdId: string, provider: SimulatedProvider) {
  const input = { holdId, provider, idempotencyKey: randomUUID() };
  return eventually(async () => (await client.run('TestPreparePayment', { input })).payment ?? null);
}

/** What the customer's browser does at the checkout of a payment. */
export function atCheckout(
  payment: Pick<RootOf<'TestPreparePayment'>['payment'], 'checkout'>,
  act: CustomerAct = 'approve',
  options?: { return?: boolean; patienceMs?: number },
) {
  if (!payment.checkout) throw new Error('the payment has no checkout');
  const { url, method, fields } = payment.checkout;
  return payAs(
    { url, method: method === 'POST' ? 'POST' : 'GET', fields: Object.fromEntries(fields.map(({ name, value }) => [name, value])) },
    act,
    options,
  );
}

/**
 * Pays a hold as its member does: begins, approves at the provider's page, comes back. Answers the payment's node id once it is at its end: where there are two
 * nodes, the one that the webhook rang at may be the one that books it.
 */
export async function payFor(client: TestClient, holdId: string, provider: SimulatedProvider = 'TOSS'): Promise<string> {
  const payment = await begin(client, holdId, provider);
  await atCheckout(payment);
  await ended(client, payment.id);
  return payment.id;
}

/** The payment, once it says that it is at an end. */
export async function ended(client: TestClient, paymentId: string, withinMs = 20_000): Promise<RootOf<'TestPayment'>> {
  let payment: RootOf<'TestPayment'> | undefined;
  await eventually(
    async () => {
      payment = await client.run('TestPayment', { id: paymentId });
      return payment.state !== 'PENDING' && payment.state !== 'REFUNDING';
    },
    { withinMs },
  );
  return payment as RootOf<'TestPayment'>;
}

/** A member with a hold on a lesson of its own. */
export async function heldLesson(stage: TestStage, lesson: Record<string, unknown> = {}, enroll: Record<string, unknown> = {}) {
  const lessonId = await stage.lesson({ capacity: 3, ...lesson });
  const member = await stage.member();
  const { enrollment } = await member.client.run('TestEnroll', { input: { lessonId, idempotencyKey: randomUUID(), ...enroll } as never });
  return { ...member, lessonId, holdId: enrollment.id };
}
