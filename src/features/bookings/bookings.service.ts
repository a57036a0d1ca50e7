import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Inventory } from '../../inventory/inventory.ts';
import type { Database } from '../../platform/database/database.ts';
import type { GatheredNews } from '../../platform/subscriptions/gathered-news.ts';
import type { LiveObjects } from '../../platform/subscriptions/live-objects.ts';
import type { Product } from '../holds/index.ts';
import type { PaymentProvider, ProviderName } from '../payments/index.ts';
import { BookCaptured } from './book-captured.ts';
import { ReturnAddresses } from './bookings.http.ts';
import { Books } from './books.ts';
import { CancelBooking } from './cancel-booking.ts';
import { Conclusions, type FollowUp, type Told } from './conclusions.ts';
import { type BookingState, bookingNews } from './live-bookings.ts';
import { PaymentSaga } from './payment-saga.ts';
import { PreparePayment } from './prepare-payment.ts';
import { Reconciler } from './reconciler.ts';
import { RefundPayment } from './refund-payment.ts';
import type { ReachWaypoint } from './waypoints.ts';
import { Webhooks } from './webhooks.ts';

export interface BookingsOptions {
  /** How long a customer has to pay, from the moment the deadline of the hold stops. */
  paymentSeconds: number;
  callSeconds: number;
  lookAgainSeconds: number;
  reconcileSeconds: number;
  reconciliationLimitSeconds: number;
  feeBasisPoints: number;
  returnOrigins: readonly string[];
  /** Signs the addresses customers come back to. */
  returnSecret: string;
}

export interface BookingsParts {
  database: Database;
  inventory: Inventory;
  providers: ReadonlyMap<ProviderName, PaymentProvider>;
  products: readonly Product[];
  followUps: readonly FollowUp[];
  live: LiveObjects<BookingState>;
  /** The address customers and providers reach us at, without a slash at its end. */
  publicUrl(): string;
  reached: ReachWaypoint;
  registry: Registry;
  logger: Logger;
}

/** Binds holds to payments: everything of the saga, put together. */
export class BookingsService {
  readonly addresses: ReturnAddresses;
  readonly saga: PaymentSaga;
  readonly preparing: PreparePayment;
  readonly cancelling: CancelBooking;
  readonly refunding: RefundPayment;
  readonly reconciler: Reconciler;
  readonly webhooks: Webhooks;
  private readonly news: GatheredNews<BookingState>;

  constructor(parts: BookingsParts, options: BookingsOptions) {
    const { database, inventory, providers, followUps, reached, registry, logger } = parts;
    const products = new Map(parts.products.map((product) => [product.kind, product]));
    this.addresses = new ReturnAddresses(options.returnSecret, parts.publicUrl);
    this.news = bookingNews(database.pool, parts.live);
    const books = new Books(options.feeBasisPoints);
    const conclusions = new Conclusions({ database, inventory, providers, products, books, followUps });
    const returnUrlsOf = (paymentId: string) => this.addresses.of(paymentId);
    const tell = ({ pools, holdIds }: Told) => {
      inventory.tell(pools);
      this.news.tell(holdIds);
    };
    const booking = new BookCaptured({ database, inventory, conclusions, tell, logger });
    this.saga = new PaymentSaga({ database, providers, conclusions, booking, returnUrlsOf, tell, reached, logger }, options);
    const { saga } = this;
    this.preparing = new PreparePayment({ database, inventory, providers, products, saga, conclusions, tell, reached }, options);
    this.cancelling = new CancelBooking({ database, inventory, products, saga, conclusions, tell });
    this.refunding = new RefundPayment({ database, saga, conclusions });
    this.reconciler = new Reconciler(
      database.pool,
      saga,
      { everySeconds: options.reconcileSeconds, limitSeconds: options.reconciliationLimitSeconds },
      registry,
      logger,
    );
    this.webhooks = new Webhooks(database, providers, saga, registry, logger);
  }

  /** Ends what runs beside requests: the reconciler, what is being asked, and the news of it. */
  async close(): Promise<void> {
    await this.reconciler.stop();
    await this.saga.drained();
    await this.news.close();
  }
}
