import type { EntityManager } from '@mikro-orm/postgresql';
import type { Logger } from 'pino';
import type { Inventory } from '../../inventory/inventory.ts';
import { Combiner } from '../../platform/combiner.ts';
import type { Database } from '../../platform/database/database.ts';
import { queryIn } from '../../platform/database/query-in.ts';
import type { Captured, Payment } from '../payments/index.ts';
import { type Conclusions, close, holdsOf, type Told } from './conclusions.ts';

/** What the provider said of a payment that the caller is at. */
export interface Capture {
  /** As the caller left it when it began to ask. */
  payment: Payment;
  captured: Captured;
  /** How many of its rings this answer covers. */
  ringsAnswered: number;
}

export interface BookCapturedParts {
  database: Database;
  inventory: Inventory;
  conclusions: Conclusions;
  tell(told: Told): void;
  logger: Logger;
}

/** Each has two transfers, and the ledger takes 512 at once. */
const BATCH_MAX = 200;
/** One batch may wait for the row of a pool that is fought for; the payments of others go on. */
const LANES_MAX = 2;

/**
 * Books captured payments whose place is still theirs, which is almost every payment: those that are captured at the same moment in one transaction, so that
 * in a rush the row of their pool is locked, and the disk waited for, once for many. What is not so plain is left to the caller.
 */
export class BookCaptured {
  private readonly combiner: Combiner<Capture, boolean>;

  constructor(private readonly parts: BookCapturedParts) {
    this.combiner = new Combiner((captures) => this.bookAll(captures), { batchMax: BATCH_MAX, lanesMax: LANES_MAX });
  }

  /** True when the payment is booked: durable, told, and `payment` is as stored. False when it has to be concluded by itself. */
  async book(capture: Capture): Promise<boolean> {
    try {
      return await this.combiner.add(capture);
    } catch (error) {
      // Whatever is wrong with one of a batch must not keep the others: each is concluded by itself, where what is wrong is said.
      this.parts.logger.warn(
        { err: error, paymentId: capture.payment.id },
        'payments could not be booked together, each is booked by itself',
      );
      return false;
    }
  }

  private async bookAll(captures: Capture[]): Promise<boolean[]> {
    const told = await this.parts.database.transact(
      async (em) => {
        const approved = new Map((await approvePayments(em, captures)).map((plain) => [plain.id, plain]));
        if (approved.size === 0) return { ids: new Set(), pools: [] };
        const confirmed = captures.flatMap(({ payment, captured }) => {
          const plain = approved.get(payment.id);
          return plain ? [{ payment: Object.assign(payment, { capturedMinor: captured.amountMinor }), kinds: plain.kinds }] : [];
        });
        // Before the pools, which are hot: the accounts of a sale have no floor, so nobody waits for them.
        await this.parts.conclusions.settle(em, confirmed);
        const pools = await this.parts.inventory.confirm(
          em,
          [...approved.values()].map(({ holdId }) => holdId),
        );
        return { ids: new Set(approved.keys()), pools };
      },
      { name: 'book-captured' },
    );
    const booked = captures.filter(({ payment }) => told.ids.has(payment.id));
    for (const { payment, captured } of booked) {
      payment.reference = captured.reference;
      close(payment, 'APPROVED');
    }
    this.parts.tell({ pools: told.pools, holdIds: booked.flatMap(({ payment }) => holdsOf(payment)) });
    return captures.map(({ payment }) => told.ids.has(payment.id));
  }
}

async function approvePayments(em: EntityManager, captures: readonly Capture[]) {
  const [row] = await queryIn<{ approved: { id: string; holdId: string; kinds: string[] }[] }>(em, 'approvePayments', APPROVE_PAYMENTS, [
    captures.map(({ payment }) => payment.id),
    captures.map(({ captured }) => captured.reference),
    captures.map(({ captured }) => captured.amountMinor),
    captures.map(({ payment }) => payment.busyUntil),
    captures.map(({ payment }) => payment.rings),
    captures.map(({ ringsAnswered }) => ringsAnswered),
  ]);
  if (!row) throw new Error('approve_payments returned no row: run the migrations');
  return row.approved;
}

const APPROVE_PAYMENTS = 'select approve_payments($1, $2, $3, $4, $5, $6) as approved';
