import type { EntityManager } from '@mikro-orm/postgresql';
import type { Inventory } from '../../inventory/inventory.ts';
import type { Database } from '../../platform/database/database.ts';
import { IdempotencyKeyReusedError, requestHash } from '../../platform/idempotency/index.ts';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';
import { HoldExpiredError, HoldNotFoundError, HoldNotOpenError, type Product } from '../holds/index.ts';
import { type Payment, type PaymentProvider, type ProviderName, paymentsOf } from '../payments/index.ts';
import { type BookedHold, bookedHold } from './booked-hold.ts';
import {
  PaymentProviderUnavailableError,
  PaymentRefusedError,
  ReturnAddressNotAllowedError,
  TooManyPaymentsError,
} from './bookings.errors.ts';
import type { Conclusions, Told } from './conclusions.ts';
import { isUnderWay } from './next-step.ts';
import { after, lockPayment, type PaymentSaga } from './payment-saga.ts';
import type { ReachWaypoint } from './waypoints.ts';

export interface PrepareRequest {
  memberId: string;
  holdId: string;
  provider: ProviderName;
  locale: Locale;
  /** Where the customer's browser ends; null for our own page. */
  returnTo: string | null;
  idempotencyKey: string;
}

export interface PrepareParts {
  database: Database;
  inventory: Inventory;
  providers: ReadonlyMap<ProviderName, PaymentProvider>;
  products: ReadonlyMap<string, Product>;
  saga: PaymentSaga;
  conclusions: Conclusions;
  tell(told: Told): void;
  reached: ReachWaypoint;
}

/** More than any patient customer begins for one hold; each is a call of a provider and a row for ever. */
const PAYMENTS_MAX = 20;
/** How long an opened payment may wait for its provider before it is forgotten; its hold has not been touched. */
const PREPARING_SECONDS = 120;

/**
 * Begins to pay a hold: opens a payment, tells the provider, and only then stops the hold's deadline, in one fenced transition. So a provider that is down
 * costs the member nothing: the hold is as it was, and another provider can be chosen.
 *
 * A member who comes back from one provider's page and chooses another replaces the payment that was begun, as long as nothing was authorized.
 */
export class PreparePayment {
  constructor(
    private readonly parts: PrepareParts,
    private readonly options: {
      paymentSeconds: number;
      /** Origins that `returnTo` may have. */
      returnOrigins: readonly string[];
    },
  ) {}

  async prepare(request: PrepareRequest): Promise<Payment | Refusal> {
    const provider = this.parts.providers.get(request.provider);
    const hold = await bookedHold(this.parts.database.pool, request.holdId);
    if (!hold || hold.claimantId !== request.memberId) return new HoldNotFoundError();
    if (request.returnTo !== null && !isAllowed(request.returnTo, this.options.returnOrigins)) return new ReturnAddressNotAllowedError();
    const known = await this.known(request);
    if (known instanceof Refusal) return known;
    if (known && (known.checkout || known.state !== 'PENDING'))
      return known.state === 'REFUSED' && !known.checkout ? new PaymentRefusedError(known.refusalCode ?? '') : known;
    if (hold.state !== 'HELD' && hold.state !== 'PAYING') return refusalOf(hold.state);
    if (!known && hold.payments >= PAYMENTS_MAX) return new TooManyPaymentsError(PAYMENTS_MAX);
    if (hold.amountMinor === 0) return this.bookFree(request, hold);
    if (!provider) return new PaymentProviderUnavailableError(request.provider);

    const payment = known ?? (await this.open(request, hold));
    if (payment instanceof Refusal) return payment;
    this.parts.reached('payment-opened');
    const prepared = await provider.prepare(this.parts.saga.orderOf(payment));
    this.parts.reached('prepare-answered');
    switch (prepared.outcome) {
      case 'DONE':
        return (await this.startPlainly(payment, prepared)) ?? this.startPaying(payment, prepared);
      case 'REFUSED':
        await this.parts.database.transact(
          async (em) => void (await this.parts.conclusions.refused(em, (await lockPayment(em, payment.id)).payment, prepared.code)),
          { name: 'refuse-unprepared-payment' },
        );
        return new PaymentRefusedError(prepared.code);
      case 'UNKNOWN':
        // The payment stays open for a while: the same request again prepares it again.
        return new PaymentProviderUnavailableError(request.provider);
      default:
        return prepared satisfies never;
    }
  }

  private async known(request: PrepareRequest): Promise<Payment | Refusal | null> {
    const { memberId, idempotencyKey } = request;
    const [payment] = await paymentsOf(this.parts.database, 'payment_of_key', PAYMENT_OF_KEY, [memberId, idempotencyKey]);
    if (!payment) return null;
    return Buffer.from(payment.requestHash).equals(hashOf(request)) ? payment : new IdempotencyKeyReusedError();
  }

  private async open(request: PrepareRequest, hold: BookedHold): Promise<Payment | Refusal> {
    const terms = await this.parts.products.get(hold.kind)?.termsOf(hold.items);
    if (!terms) throw new Error(`No feature tells the terms of the kind ${hold.kind}: hand its product to the bookings in src/app.ts.`);
    const [opened] = await paymentsOf(this.parts.database, 'open_payment', OPEN_PAYMENT, [
      hold.id,
      hold.claimantId,
      hold.amountMinor === 0 ? null : request.provider,
      hold.amountMinor,
      hold.currency,
      terms.title,
      JSON.stringify(terms.cancellation),
      terms.startsAt,
      terms.organizerId,
      request.locale,
      hold.ifPaidLate,
      request.returnTo,
      request.idempotencyKey,
      hashOf(request),
      PREPARING_SECONDS,
    ]);
    // A twin of this request was faster: the payment is its.
    return opened ?? (await this.known(request)) ?? new IdempotencyKeyReusedError();
  }

  /** The step of almost every payment, in one statement. Null when it is not so plain; then `startPaying` decides. */
  private async startPlainly(opened: Payment, { reference, checkout }: Prepared): Promise<Payment | null> {
    const values = [opened.id, reference, JSON.stringify(checkout), this.options.paymentSeconds];
    const [payment] = await paymentsOf(this.parts.database, 'start_paying', START_PAYING, values);
    if (!payment) return null;
    this.parts.reached('paying-started');
    this.parts.tell({ pools: [], holdIds: [payment.holdId] });
    return payment;
  }

  /** The fence: the hold must be live at this instant by the database's clock, or being paid by a payment that may be replaced. */
  private async startPaying(opened: Payment, prepared: Prepared): Promise<Payment | Refusal> {
    const result = await this.parts.database.transact(
      async (em) => {
        const previous = await lockCurrent(em, opened.holdId);
        const { payment, now } = await lockPayment(em, opened.id);
        // A twin came first: the customer gets its checkout.
        if (payment.checkout || payment.state !== 'PENDING') return { payment, told: null };
        const fenced = await this.fence(em, payment, previous, now);
        if (fenced instanceof Refusal) return fenced;
        payment.isCurrent = true;
        payment.checkout = prepared.checkout;
        payment.reference = prepared.reference;
        payment.payBy = after(now, this.options.paymentSeconds);
        payment.nextLookAt = payment.payBy;
        payment.changedAt = now;
        return { payment, told: { pools: [], holdIds: [payment.holdId] } };
      },
      { name: 'start-paying' },
    );
    if (result instanceof Refusal) return result;
    this.parts.reached('paying-started');
    if (result.told) this.parts.tell(result.told);
    return result.payment;
  }

  private async fence(em: EntityManager, payment: Payment, previous: Payment | null, now: Date): Promise<Refusal | undefined> {
    if (previous) {
      const mayBeReplaced = previous.state === 'PENDING' && !isUnderWay(previous, now);
      if (!mayBeReplaced) return new HoldNotOpenError(previous.state === 'PENDING' ? 'PAYING' : 'CONFIRMED');
      await this.parts.conclusions.replaced(em, previous);
      return undefined;
    }
    const { outcome } = await this.parts.inventory.move(em, 'startPaying', payment.holdId, payment.memberId);
    if (outcome === 'MOVED') return undefined;
    return outcome === 'NOT_FOUND' ? new HoldNotFoundError() : refusalOf(outcome);
  }

  /** Nothing to pay: booked at once, by the same transitions. */
  private async bookFree(request: PrepareRequest, hold: BookedHold): Promise<Payment | Refusal> {
    const opened = await this.open(request, hold);
    if (opened instanceof Refusal) return opened;
    const result = await this.parts.database.transact(
      async (em) => {
        const previous = await lockCurrent(em, opened.holdId);
        const { payment, now } = await lockPayment(em, opened.id);
        if (payment.state !== 'PENDING') return { payment, told: null };
        const fenced = await this.fence(em, payment, previous, now);
        if (fenced instanceof Refusal) return fenced;
        payment.isCurrent = true;
        return { payment, told: await this.parts.conclusions.book(em, payment) };
      },
      { name: 'book-free' },
    );
    if (result instanceof Refusal) return result;
    if (result.told) this.parts.tell(result.told);
    return result.payment;
  }
}

const OPEN_PAYMENT = `
  insert into payment (hold_id, original_hold_id, member_id, provider, amount_minor, currency, title, cancellation, starts_at, organizer_id, locale,
    if_paid_late, return_to, idempotency_key, request_hash, next_look_at)
  values ($1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, clock_timestamp() + make_interval(secs => $15))
  on conflict (member_id, idempotency_key) do nothing
  returning *, clock_timestamp() as read_at`;

const PAYMENT_OF_KEY = 'select *, clock_timestamp() as read_at from payment where member_id = $1 and idempotency_key = $2';

const START_PAYING = 'select *, clock_timestamp() as read_at from start_paying($1, $2, $3, $4)';

interface Prepared {
  reference: string | null;
  checkout: NonNullable<Payment['checkout']>;
}

/** The payment that decides a hold, under its lock. */
export const lockCurrent = async (em: EntityManager, holdId: string): Promise<Payment | null> => {
  const [current] = await em.execute<{ id: string }[]>('select id from payment where hold_id = ? and is_current for update', [holdId]);
  return current ? (await lockPayment(em, current.id)).payment : null;
};

const hashOf = ({ holdId, provider, returnTo }: PrepareRequest): Buffer => requestHash('preparePayment', { holdId, provider, returnTo });

export const refusalOf = (state: string): Refusal => (state === 'EXPIRED' ? new HoldExpiredError() : new HoldNotOpenError(state));

function isAllowed(address: string, origins: readonly string[]): boolean {
  if (!URL.canParse(address)) return false;
  const { protocol, origin, username, password } = new URL(address);
  // A blob has the origin of the address inside it.
  const isWeb = protocol === 'http:' || protocol === 'https:';
  return isWeb && origins.includes(origin) && username === '' && password === '' && address.length <= 1_000;
}
