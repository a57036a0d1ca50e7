import type { EntityManager } from '@mikro-orm/postgresql';
import type { ClaimItem } from '../../inventory/claim.ts';
import type { PoolRow } from '../../inventory/decide-claims.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import { postTransfers, type Transfer } from '../../ledger/ledger.ts';
import type { Database } from '../../platform/database/database.ts';
import { requestHash } from '../../platform/idempotency/index.ts';
import type { Product } from '../holds/index.ts';
import {
  type AbandonCause,
  type Captured,
  type LateOutcome,
  type Payment,
  type PaymentProvider,
  type ProviderName,
  Refund,
  type RefundCause,
} from '../payments/index.ts';
import { bookedHold } from './booked-hold.ts';
import { type Books, derivedId } from './books.ts';
import { mayBePaidLate } from './next-step.ts';

/** Whom to tell after the commit. */
export interface Told {
  pools: PoolRow[];
  holdIds: string[];
  /** The refund that was opened, to be sent at once. */
  opened?: Refund;
  isRefund?: boolean;
}

/** The hold was lost while its provider was asked: where else its customer could go must be read first. */
export class RescuePlanMissingError extends Error {}

/** Where the customer of a lost hold could get a place, best first. It is decided under the locks whether one is free. */
export interface RescuePlan {
  kind: string;
  candidates: ClaimItem[][];
}

export interface Booked {
  holdId: string;
  paymentId: string;
  memberId: string;
  /** Of the pools it takes from. */
  kinds: readonly string[];
}

/**
 * What else becomes true with confirmed bookings, in the same transaction: jobs, most of all. Called for each booking once; those that are confirmed together
 * come together, for one statement.
 */
export type FollowUp = (em: EntityManager, bookings: readonly Booked[]) => Promise<void>;

export interface ConclusionsParts {
  database: Database;
  inventory: Inventory;
  providers: ReadonlyMap<ProviderName, PaymentProvider>;
  products: ReadonlyMap<string, Product>;
  books: Books;
  followUps: readonly FollowUp[];
}

/** The last of the looks at a payment that ended without money. */
const LATE_LOOKS_HOURS = 24;
const LATE_LOOK_FIRST_SECONDS = 60;
/** A refund of late money that the provider refused is tried again so often; meanwhile it is an open item for the operators. */
const REFUSED_REFUND_AGAIN_SECONDS = 3_600;

/**
 * The ends of a payment, each in the caller's transaction and under the payment's lock: payment, hold, places and ledger move together or not at all. Each may
 * be called again after it happened and then does nothing.
 */
export class Conclusions {
  constructor(private readonly parts: ConclusionsParts) {}

  /** The provider has the money: the hold is confirmed, or, if it was lost meanwhile, another is taken or the money goes back. */
  async captured(em: EntityManager, payment: Payment, captured: Captured, refundedMinor: number, plan: RescuePlan | null): Promise<Told> {
    if (payment.capturedMinor > 0) return unchanged();
    payment.capturedMinor = captured.amountMinor;
    payment.reference = captured.reference;
    if (refundedMinor >= captured.amountMinor) return this.capturedAndGone(em, payment);

    if (!payment.isCurrent && !plan) throw new RescuePlanMissingError();
    const rescued = payment.isCurrent || !plan ? null : await this.rescue(em, payment, plan);
    if (payment.isCurrent) {
      const booked = await this.book(em, payment, rescued?.pools ?? []);
      await this.refundedElsewhere(em, payment, refundedMinor);
      return booked;
    }
    const transfers = [this.parts.books.captured(payment)];
    if (refundedMinor > 0) transfers.push(this.goneAtProvider(em, payment, refundedMinor));
    payment.lateOutcome = 'REFUND';
    const opened = this.openRefund(em, payment, {
      id: derivedId('refund of late money', payment.id),
      amountMinor: payment.capturedMinor - payment.refundedMinor,
      cause: 'PAID_LATE',
      reason: REASONS.PAID_LATE[payment.locale],
      givesBack: false,
    });
    await touchHold(em, payment.originalHoldId);
    await this.post(em, transfers);
    return { pools: [], holdIds: [payment.originalHoldId], opened };
  }

  /** Nothing was taken: the place goes back. */
  async refused(em: EntityManager, payment: Payment, code: string): Promise<Told> {
    if (payment.state !== 'PENDING') return unchanged();
    payment.refusalCode = code;
    close(payment, 'REFUSED');
    return this.letGo(em, payment);
  }

  /** Nobody paid: the place goes back. */
  async abandoned(em: EntityManager, payment: Payment, because: AbandonCause): Promise<Told> {
    if (payment.state !== 'PENDING') return unchanged();
    payment.endedBecause = because;
    close(payment, 'ABANDONED');
    return this.letGo(em, payment);
  }

  /** The member begins another payment of the same hold, which stays as it is and is that one's. */
  async replaced(em: EntityManager, payment: Payment): Promise<void> {
    payment.endedBecause = 'REPLACED';
    payment.isCurrent = false;
    close(payment, 'ABANDONED');
    this.lookAgainLate(payment, payment.changedAt);
    await em.flush();
    await touchHold(em, payment.holdId);
  }

  /** An approval whose answer was lost has been taken back at the provider. Both movements go into our books, as they are in the provider's. */
  async voided(em: EntityManager, payment: Payment): Promise<Told> {
    if (payment.capturedMinor > 0) return unchanged();
    payment.capturedMinor = payment.amountMinor;
    return this.capturedAndGone(em, payment);
  }

  /** Money went back. If that was what a cancellation waited for, the places go back too. */
  async refunded(em: EntityManager, payment: Payment, refund: Refund): Promise<Told> {
    const transfer = this.parts.books.refunded(payment, refund, refund.cause !== 'PAID_LATE');
    refund.state = 'DONE';
    refund.concludedAt = new Date();
    payment.refundingMinor = 0;
    payment.refundedMinor += refund.amountMinor;
    close(payment, refund.givesBack || payment.refundedMinor === payment.capturedMinor ? 'REFUNDED' : 'APPROVED');
    const moved = refund.givesBack ? await this.parts.inventory.move(em, 'giveBack', payment.holdId, null) : undefined;
    if (moved && moved.outcome !== 'MOVED') throw new Error(`Hold ${payment.holdId} is ${moved.outcome} while its payment is refunded.`);
    if (!moved) await touchHold(em, payment.holdId);
    await this.post(em, [transfer]);
    return { pools: moved?.pools ?? [], holdIds: holdsOf(payment) };
  }

  /** The provider will not give it back. A booking stays as it was; late money has no booking, so it is tried again and stays an open item. */
  async refundRefused(em: EntityManager, payment: Payment, refund: Refund, code: string, now: Date): Promise<Told> {
    refund.refusalCode = code;
    if (refund.cause === 'PAID_LATE') {
      refund.sentAt = null;
      payment.nextLookAt = new Date(now.getTime() + REFUSED_REFUND_AGAIN_SECONDS * 1_000);
      return unchanged();
    }
    refund.state = 'REFUSED';
    refund.concludedAt = now;
    payment.refundingMinor = 0;
    close(payment, 'APPROVED');
    await touchHold(em, payment.holdId);
    return { pools: [], holdIds: holdsOf(payment) };
  }

  /** A cancelled booking of which nothing is left to give back. */
  async returnedWithoutMoney(em: EntityManager, payment: Payment): Promise<Told> {
    close(payment, 'REFUNDED');
    const moved = await this.parts.inventory.move(em, 'giveBack', payment.holdId, null);
    if (moved.outcome !== 'MOVED') throw new Error(`Hold ${payment.holdId} is ${moved.outcome} while its booking is cancelled.`);
    return { pools: moved.pools, holdIds: holdsOf(payment) };
  }

  /** Somebody gave money back in the provider's console: our books follow, and a booking without any money left ends. One that was cancelled stays so. */
  async refundedElsewhere(em: EntityManager, payment: Payment, refundedMinor: number): Promise<Told | null> {
    const difference = refundedMinor - payment.refundedMinor;
    const wasReturned = payment.state === 'REFUNDED';
    if (!(payment.state === 'APPROVED' || wasReturned) || difference <= 0) return null;
    const refund = this.openRefund(em, payment, {
      id: derivedId(`refund at provider up to ${refundedMinor}`, payment.id),
      amountMinor: difference,
      cause: 'AT_PROVIDER',
      reason: REASONS.AT_PROVIDER[payment.locale],
      givesBack: !wasReturned && refundedMinor === payment.capturedMinor,
    });
    const told = await this.refunded(em, payment, refund);
    if (wasReturned) payment.state = 'REFUNDED';
    return told;
  }

  /** Opens the refund of a part or all, in the payment's transaction, where who sends it takes it. */
  openRefund(
    em: EntityManager,
    payment: Payment,
    refund: { id?: string; amountMinor: number; cause: RefundCause; reason: string; givesBack: boolean } & Partial<
      Pick<Refund, 'askedBy' | 'idempotencyKey' | 'requestHash'>
    >,
  ): Refund {
    payment.refundingMinor = refund.amountMinor;
    close(payment, 'REFUNDING');
    return em.create(Refund, { paymentId: payment.id, state: 'OPEN', createdAt: new Date(), ...refund });
  }

  /** Looks at a payment that ended without money again, with growing pauses, if and as long as money may still come. */
  lookAgainLate(payment: Payment, now: Date): void {
    const provider = this.parts.providers.get(payment.provider as ProviderName);
    const ageSeconds = (now.getTime() - payment.changedAt.getTime()) / 1_000;
    const mayCome = provider && mayBePaidLate(payment, provider.capabilities) && ageSeconds <= LATE_LOOKS_HOURS * 3_600;
    payment.nextLookAt = !mayCome ? null : new Date(now.getTime() + Math.max(LATE_LOOK_FIRST_SECONDS, ageSeconds) * 1_000);
  }

  /** Whether a payment that was too late could still get a place: its member wanted that, and something is free at this moment. */
  async couldBeRescued(payment: Payment): Promise<boolean> {
    for (const items of (await this.rescuePlan(payment)).candidates) {
      const available = await this.parts.inventory.availabilityOf(items.map(({ poolId }) => poolId));
      if (items.every((item) => (available.find(({ id }) => id === item.poolId)?.free ?? 0) >= item.quantity)) return true;
    }
    return false;
  }

  /**
   * The hold of the current payment is confirmed: what was captured is booked, or there was nothing to pay. Its pool is hot in a rush, so it is locked late; the
   * ledger comes after it, as everywhere.
   */
  async book(em: EntityManager, payment: Payment, touched: PoolRow[] = []): Promise<Told> {
    close(payment, 'APPROVED');
    await em.flush();
    const moved = await this.parts.inventory.move(em, 'confirm', payment.holdId, null);
    if (moved.outcome !== 'MOVED') throw new Error(`Hold ${payment.holdId} is ${moved.outcome} while its payment was captured.`);
    await this.settle(em, [{ payment, kinds: moved.pools.map(({ kind }) => kind) }]);
    return { pools: [...touched, ...moved.pools], holdIds: holdsOf(payment) };
  }

  /** What comes with holds that have just been confirmed: the books, and what follows. */
  async settle(em: EntityManager, confirmed: readonly { payment: Payment; kinds: readonly string[] }[]): Promise<void> {
    const paid = confirmed.map(({ payment }) => payment).filter(({ capturedMinor }) => capturedMinor > 0);
    await this.post(
      em,
      paid.flatMap((payment) => [this.parts.books.captured(payment), this.parts.books.booked(payment)]),
    );
    const bookings = confirmed.map(({ payment: { id: paymentId, holdId, memberId }, kinds }) => ({ paymentId, holdId, memberId, kinds }));
    for (const followUp of this.parts.followUps) await followUp(em, bookings);
  }

  /** The provider took the money and gave all of it back already. */
  private async capturedAndGone(em: EntityManager, payment: Payment): Promise<Told> {
    const transfers = [this.parts.books.captured(payment), this.goneAtProvider(em, payment, payment.capturedMinor)];
    close(payment, 'REFUNDED');
    const told = await this.letGo(em, payment);
    await this.post(em, transfers);
    return told;
  }

  /** Notes what the provider gave back of money that was never booked; its caller closes the payment and posts this. */
  private goneAtProvider(em: EntityManager, payment: Payment, amountMinor: number): Transfer {
    const refund = this.openRefund(em, payment, {
      id: derivedId('refund at provider', payment.id),
      amountMinor,
      cause: 'AT_PROVIDER',
      reason: REASONS.AT_PROVIDER[payment.locale],
      givesBack: false,
    });
    const transfer = this.parts.books.refunded(payment, refund, false);
    refund.state = 'DONE';
    refund.concludedAt = new Date();
    payment.refundingMinor = 0;
    payment.refundedMinor = amountMinor;
    return transfer;
  }

  /** The hold this payment was to decide goes back, if it is still the one. */
  private async letGo(em: EntityManager, payment: Payment): Promise<Told> {
    if (payment.state !== 'REFUNDED') this.lookAgainLate(payment, payment.changedAt);
    if (!payment.isCurrent) return { pools: [], holdIds: [] };
    payment.isCurrent = false;
    await em.flush();
    const moved = await this.parts.inventory.move(em, 'releaseUnpaid', payment.holdId, null);
    if (moved.outcome !== 'MOVED') throw new Error(`Hold ${payment.holdId} is ${moved.outcome} while its payment ends without money.`);
    return { pools: moved.pools, holdIds: holdsOf(payment) };
  }

  /** Takes the same place again, or an equal one, as the member chose when holding. */
  private async rescue(em: EntityManager, payment: Payment, { kind, candidates }: RescuePlan): Promise<{ pools: PoolRow[] } | null> {
    for (const [index, items] of candidates.entries()) {
      const { answer, pools } = await this.parts.inventory.placeIn(em, {
        kind,
        claimantId: payment.memberId,
        idempotencyKey: `late payment ${payment.id} ${index}`,
        requestHash: requestHash('latePayment', { paymentId: payment.id, items: items as never }),
        clientIp: null,
        ifPaidLate: payment.ifPaidLate,
        items,
      });
      if (answer.outcome !== 'GRANTED') continue;
      // What was paid is what it costs, whatever the price is by now.
      await em.execute('update hold set amount_minor = ?, currency = ? where id = ?', [
        payment.capturedMinor,
        payment.currency,
        answer.holdId,
      ]);
      await this.parts.inventory.move(em, 'startPaying', answer.holdId, null);
      payment.lateOutcome = (index === 0 ? 'SAME' : 'EQUAL') satisfies LateOutcome;
      payment.holdId = answer.holdId;
      payment.isCurrent = true;
      await touchHold(em, payment.originalHoldId);
      return { pools };
    }
    return null;
  }

  /** What could be taken in place of the hold a payment lost: the same first, then equal things, as the member chose when holding. */
  async rescuePlan(payment: Payment): Promise<RescuePlan> {
    const lost = wantsRescue(payment) ? await bookedHold(this.parts.database.pool, payment.originalHoldId) : null;
    if (!lost) return { kind: '', candidates: [] };
    const product = this.parts.products.get(lost.kind);
    const equals = payment.ifPaidLate === 'SAME_OR_EQUAL' && product ? await product.equalsOf(lost.items) : [];
    return { kind: lost.kind, candidates: [lost.items, ...equals] };
  }

  private async post(em: EntityManager, transfers: Transfer[]): Promise<void> {
    const answers = await postTransfers(em, transfers);
    for (const [index, answer] of answers.entries())
      if (answer !== 'POSTED') throw new Error(`The transfer ${transfers[index]?.kind} of ${transfers[index]?.subjectId} is ${answer}.`);
  }
}

const unchanged = (): Told => ({ pools: [], holdIds: [] });

export const holdsOf = ({ holdId, originalHoldId }: Payment) => [...new Set([holdId, originalHoldId])];

/** Whoever gave up or paid by another payment wants the money back; so does who said so when holding. */
const wantsRescue = ({ ifPaidLate, endedBecause }: Payment) =>
  ifPaidLate !== 'REFUND' && endedBecause !== 'GIVEN_UP' && endedBecause !== 'REPLACED';

/** Watchers follow the version of a hold: every change of its payment raises it. */
const touchHold = (em: EntityManager, holdId: string) =>
  em.execute('update hold set changed_at = clock_timestamp() where id = ?', [holdId]);

export function close(payment: Payment, state: Payment['state'], nextLookAt: Date | null = null): void {
  payment.state = state;
  payment.nextLookAt = nextLookAt;
  payment.looks = 0;
  payment.changedAt = new Date();
  if (state !== 'REFUSED') payment.refusalCode = null;
  payment.busyUntil = null;
  // What the customer brought was for one approval; of a refused one it is needed again when money shows up where nobody can be asked.
  if (state !== 'REFUSED') payment.customerAuthorization = null;
}

const REASONS = {
  PAID_LATE: { en: 'Paid after the place had gone', ko: '자리가 마감된 뒤 결제됨' },
  AT_PROVIDER: { en: 'Refunded at the provider', ko: '결제사에서 환불됨' },
} as const;
