import type { EntityManager } from '@mikro-orm/postgresql';
import type { Inventory } from '../../inventory/inventory.ts';
import type { Moved } from '../../inventory/move-hold.ts';
import { type HoldView, holdsByIds } from '../../inventory/read-holds.ts';
import type { Database } from '../../platform/database/database.ts';
import { IdempotencyKeyReusedError, requestHash } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { HoldExpiredError, HoldNotFoundError, HoldNotOpenError } from '../holds/index.ts';
import { Payment, type PaymentOrder, type PaymentProvider, type ProviderAnswer } from '../payments/index.ts';
import { PaymentProviderUnavailableError, PaymentRefusedError } from './bookings.errors.ts';

/** How long the request that began a payment has to finish it before a worker looks after it. */
const LOOK_AFTER_SECONDS = 30;

export interface PayRequest {
  memberId: string;
  holdId: string;
  provider: string;
  /** What the provider needs to know of the member's choice. */
  request: Record<string, unknown>;
  idempotencyKey: string;
}

/** Puts the job that finishes a payment into the caller's transaction, to run after so many seconds. */
export type AddSettleJob = (em: EntityManager, paymentId: string, afterSeconds: number) => Promise<void>;

/**
 * Binds a hold to one payment and drives both to an end.
 *
 * Every step is a guarded transition in one transaction; between them the provider is asked, never inside one. Whoever comes (the request, a repeat of
 * it, the worker after a crash) calls the same `settle`, which does what is left to do.
 */
export class BookingsService {
  constructor(
    private readonly database: Database,
    private readonly inventory: Inventory,
    private readonly providers: ReadonlyMap<string, PaymentProvider>,
    private readonly addSettleJob: AddSettleJob,
  ) {}

  /** Starts to pay a hold, fenced by its deadline, and asks the provider. The payment answers PENDING while the provider's answer is unknown. */
  async pay(pay: PayRequest): Promise<Payment | Refusal> {
    if (!this.providers.has(pay.provider)) return new PaymentProviderUnavailableError();
    const started = await this.database.transact((em) => this.start(em, pay), { name: 'start-payment' });
    if (started instanceof Refusal) return started;
    const payment = await this.settle(started);
    return payment.state === 'REFUSED' ? new PaymentRefusedError(payment.refusalCode ?? '') : payment;
  }

  private async start(em: EntityManager, pay: PayRequest): Promise<string | Refusal> {
    const hash = requestHash('preparePayment', { holdId: pay.holdId, provider: pay.provider, request: pay.request as never });
    const { outcome } = await this.inventory.move(em, 'startPaying', pay.holdId, pay.memberId);
    if (outcome === 'NOT_FOUND') return new HoldNotFoundError();
    const repeated = await em.findOne(Payment, { memberId: pay.memberId, idempotencyKey: pay.idempotencyKey });
    if (repeated) return Buffer.from(repeated.requestHash).equals(hash) ? repeated.id : new IdempotencyKeyReusedError();
    if (outcome !== 'MOVED') return refusalOf(outcome);

    const [payment] = await em.execute<{ id: string }[]>(
      `insert into payment (hold_id, member_id, provider, request, amount_minor, currency, idempotency_key, request_hash)
       select id, claimant_id, ?, ?::jsonb, amount_minor, currency, ?, decode(?, 'hex') from hold where id = ?
       on conflict (member_id, idempotency_key) do nothing returning id`,
      [pay.provider, JSON.stringify(pay.request), pay.idempotencyKey, hash.toString('hex'), pay.holdId],
    );
    // A rival for another hold wrote the key after it was looked for above; of one hold there is no rival, its row is locked.
    if (!payment) return new IdempotencyKeyReusedError();
    await this.addSettleJob(em, payment.id, LOOK_AFTER_SECONDS);
    return payment.id;
  }

  /** Gives a hold up, or gives a paid one back with its money. Repeating it, also at once, has one effect and the same answer. */
  async cancel(memberId: string, holdId: string): Promise<HoldView | Refusal> {
    const released = await this.inventory.release(holdId, memberId);
    switch (released) {
      case 'NOT_FOUND':
        return new HoldNotFoundError();
      case 'EXPIRED':
      case 'PAYING':
        return refusalOf(released);
      case 'CONFIRMED':
        await this.refund(holdId);
        break;
    }
    const [hold] = await holdsByIds(this.database.pool, [holdId]);
    return hold ?? new HoldNotFoundError();
  }

  private async refund(holdId: string): Promise<void> {
    const paymentId = await this.database.transact(
      async (em) => {
        const [payment] = await em.execute<{ id: string }[]>(
          "update payment set state = 'REFUNDING', changed_at = clock_timestamp() where hold_id = ? and state = 'APPROVED' returning id",
          [holdId],
        );
        if (payment) await this.addSettleJob(em, payment.id, LOOK_AFTER_SECONDS);
        return payment?.id ?? (await em.findOneOrFail(Payment, { holdId })).id;
      },
      { name: 'start-refund' },
    );
    await this.settle(paymentId);
  }

  /** Does what is left to do for a payment: asks the provider where the answer is not known, and moves payment and hold together. */
  async settle(paymentId: string): Promise<Payment> {
    const payment = await this.database.fork().findOneOrFail(Payment, { id: paymentId });
    const provider = this.providers.get(payment.provider);
    if (!provider)
      throw new Error(`Payment ${paymentId} needs the provider ${payment.provider}, which is not set up on this server: set it up again.`);
    if (payment.state === 'PENDING') return this.conclude(payment, await provider.approve(orderOf(payment)));
    if (payment.state === 'REFUNDING') return this.conclude(payment, await provider.refund(orderOf(payment)));
    return payment;
  }

  private async conclude(payment: Payment, answer: ProviderAnswer): Promise<Payment> {
    if (answer.outcome === 'UNKNOWN') return payment;
    const moved = await this.database.transact((em) => this.concludeIn(em, payment, answer), { name: 'conclude-payment' });
    if (moved) this.inventory.tell(moved.pools);
    return this.database.fork().findOneOrFail(Payment, { id: payment.id });
  }

  /** The one transition of payment and hold. Undefined when a rival was first: its end is the end. */
  private async concludeIn(
    em: EntityManager,
    payment: Payment,
    answer: Exclude<ProviderAnswer, { outcome: 'UNKNOWN' }>,
  ): Promise<Moved | undefined> {
    const code = answer.outcome === 'REFUSED' ? answer.code : null;
    const [concluded] = await em.execute<{ id: string }[]>(
      'update payment set state = ?, refusal_code = ?, changed_at = clock_timestamp() where id = ? and state = ? returning id',
      [answer.outcome, code, payment.id, payment.state],
    );
    if (!concluded) return undefined;
    const verb = ({ APPROVED: 'confirm', REFUSED: 'releaseUnpaid', REFUNDED: 'giveBack' } as const)[answer.outcome];
    const moved = await this.inventory.move(em, verb, payment.holdId, null);
    if (moved.outcome !== 'MOVED')
      throw new Error(`Hold ${payment.holdId} is ${moved.outcome} while its payment became ${answer.outcome}.`);
    return moved;
  }
}

function refusalOf(outcome: Exclude<Moved['outcome'], 'MOVED' | 'NOT_FOUND'>): Refusal {
  return outcome === 'EXPIRED' ? new HoldExpiredError() : new HoldNotOpenError(outcome);
}

const orderOf = ({ id, amountMinor, currency, request }: Payment): PaymentOrder => ({ paymentId: id, amountMinor, currency, request });
