import type { EntityManager } from '@mikro-orm/postgresql';
import type { Inventory } from '../../inventory/inventory.ts';
import { type HoldView, holdsByIds } from '../../inventory/read-holds.ts';
import type { Database } from '../../platform/database/database.ts';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';
import { HoldNotFoundError, HoldNotOpenError, type Product, refundPercent } from '../holds/index.ts';
import { type BookedHold, bookedHold } from './booked-hold.ts';
import { CancellationClosedError } from './bookings.errors.ts';
import type { Conclusions, Told } from './conclusions.ts';
import { isUnderWay } from './next-step.ts';
import type { PaymentSaga, Taken } from './payment-saga.ts';
import { lockCurrent, refusalOf } from './prepare-payment.ts';

export interface CancelParts {
  database: Database;
  inventory: Inventory;
  products: ReadonlyMap<string, Product>;
  saga: PaymentSaga;
  conclusions: Conclusions;
  tell(told: Told): void;
}

const CANCELLED = { en: 'Cancelled by the member', ko: '회원 취소' } as const satisfies Record<Locale, string>;

/** Nothing to give up, or it is being given up already. */
const NOTHING: Told = { pools: [], holdIds: [] };

/** Gives up what a member holds: unpaid at once, paid with the share of the price that the cancellation policy gives back. */
export class CancelBooking {
  constructor(private readonly parts: CancelParts) {}

  /** Repeating it, also at once, has one effect and the same answer. While the provider has not answered the hold still reads CONFIRMED. */
  async cancel(memberId: string, holdId: string): Promise<HoldView | Refusal> {
    const hold = await bookedHold(this.parts.database.pool, holdId);
    if (!hold || hold.claimantId !== memberId) return new HoldNotFoundError();
    // Almost every unpaid one: there is no payment to lock.
    if (hold.state === 'HELD' && hold.payments === 0) return this.giveUp(memberId, holdId);
    const result = await this.parts.database.transact<{ told: Told; taken?: Taken } | Refusal | null>(
      async (em) => {
        const payment = await lockCurrent(em, holdId);
        if (!payment) return null;
        const now = payment.readAt;
        switch (payment.state) {
          case 'PENDING': {
            if (isUnderWay(payment, now)) return new HoldNotOpenError('PAYING');
            return { told: await this.parts.conclusions.abandoned(em, payment, 'GIVEN_UP') };
          }
          case 'APPROVED': {
            const percent = refundPercent(payment.cancellation, payment.startsAt ?? null, now);
            if (percent === 0) return new CancellationClosedError(payment.cancellation, payment.startsAt ?? null);
            const refusal = await this.refusalOfProduct(em, hold);
            if (refusal) return refusal;
            const amountMinor = Math.floor((payment.capturedMinor * percent) / 100) - payment.refundedMinor;
            if (amountMinor <= 0) return { told: await this.parts.conclusions.returnedWithoutMoney(em, payment) };
            const refund = this.parts.conclusions.openRefund(em, payment, {
              amountMinor,
              cause: 'CANCELLED',
              reason: CANCELLED[payment.locale],
              givesBack: true,
            });
            return { told: { pools: [], holdIds: [holdId] }, taken: this.parts.saga.takeRefund(payment, refund, now) };
          }
          case 'REFUNDING':
          case 'REFUNDED':
            return { told: NOTHING };
          default:
            throw new Error(`The current payment ${payment.id} of hold ${holdId} is ${payment.state}.`);
        }
      },
      { name: 'cancel-booking' },
    );
    if (result instanceof Refusal) return result;
    if (!result) return this.giveUp(memberId, holdId);
    this.parts.tell(result.told);
    if (result.taken) await this.parts.saga.send(result.taken);
    return this.read(holdId);
  }

  /** Nothing of it is being paid. If that begins at this moment the hold's state decides who was first: whoever presses again sees how it goes. */
  private async giveUp(memberId: string, holdId: string): Promise<HoldView | Refusal> {
    const outcome = await this.parts.inventory.release(holdId, memberId);
    if (outcome === 'NOT_FOUND') return new HoldNotFoundError();
    if (outcome === 'EXPIRED' || outcome === 'PAYING' || outcome === 'CONFIRMED') return refusalOf(outcome);
    if (outcome === 'MOVED') this.parts.tell({ pools: [], holdIds: [holdId] });
    return this.read(holdId);
  }

  private async read(holdId: string): Promise<HoldView | Refusal> {
    return (await holdsByIds(this.parts.database.pool, [holdId]))[0] ?? new HoldNotFoundError();
  }

  /** The lock comes after the payment's, as everywhere, and holds off whoever is about to use the booking until this is decided. */
  private async refusalOfProduct(em: EntityManager, { id, kind }: BookedHold): Promise<Refusal | undefined> {
    const product = this.parts.products.get(kind);
    if (!product?.mayCancel) return undefined;
    await em.execute('select 1 from hold where id = ? for update', [id]);
    return product.mayCancel(em, id);
  }
}
