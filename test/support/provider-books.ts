import { expect } from '@jest/globals';
import type { SimulatedPayment, Simulator } from '../../src/simulator/simulator.ts';
import { type TestStage, uuidIn } from './app.ts';

/** A hold and a payment of it as stored, and what the provider's own books say: how often it took the money, and what it kept of it. */
export interface Outcome {
  hold: string;
  payment: string;
  captures: number;
  keptMinor: number;
}

const captures = (booked: SimulatedPayment | undefined) => booked?.entries.filter(({ kind }) => kind === 'CAPTURE').length ?? 0;

export async function outcomeOf(stage: TestStage, simulator: Simulator, paymentId: string): Promise<Outcome> {
  const [stored] = await stage.query<{ hold: string; payment: string }>(
    'select h.state as hold, p.state as payment from payment p join hold h on h.id = p.hold_id where p.id = $1',
    [uuidIn(paymentId)],
  );
  if (!stored) throw new Error(`no payment ${paymentId}`);
  const booked = simulator.payment(uuidIn(paymentId));
  return { ...stored, captures: captures(booked), keptMinor: (booked?.capturedMinor ?? 0) - (booked?.refundedMinor ?? 0) };
}

/** Every payment (or this one) has taken and given back what the provider says, and the provider took no money twice. */
export async function expectBooksToAgree(stage: TestStage, simulator: Simulator, paymentId?: string): Promise<void> {
  const stored = await stage.query<{ id: string; captured: string; refunded: string }>(
    'select id, captured_minor as captured, refunded_minor as refunded from payment where provider is not null and ($1::uuid is null or id = $1) order by id',
    [paymentId === undefined ? null : uuidIn(paymentId)],
  );
  const ours = stored.map(({ id, captured, refunded }) => ({ id, capturedMinor: Number(captured), refundedMinor: Number(refunded) }));
  const theirs = stored.map(({ id }) => {
    const { capturedMinor = 0, refundedMinor = 0 } = simulator.payment(id) ?? {};
    return { id, capturedMinor, refundedMinor };
  });
  expect(ours).toEqual(theirs);
  expect(simulator.payments().filter((booked) => captures(booked) > 1)).toEqual([]);
}

/** Nothing is under way any more, and nothing that was taken waits for its end. */
export async function expectNothingOpen(stage: TestStage): Promise<void> {
  const { client } = await stage.admin();
  expect(await client.run('TestReconciliation')).toMatchObject({ open: 0, overdue: 0, deposits: { amountMinor: 0 } });
}
