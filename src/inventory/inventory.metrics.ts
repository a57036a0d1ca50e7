import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { RetryCause } from '../platform/database/retrying.ts';

/** The kernel's numbers, under `lastseat_`. Outcomes are labelled by kind and reason, never by pool: labels must stay few. */
export class InventoryMetrics {
  private readonly claims: Counter;
  private readonly transactions: Counter;
  private readonly retries: Counter;
  private readonly batches: Histogram;
  private readonly lockWaits: Histogram;
  private readonly registry: Registry;

  constructor(registry: Registry) {
    this.registry = registry;
    const registers = [registry];
    this.claims = new Counter({
      name: 'lastseat_claims_total',
      help: 'Claims decided, by kind and outcome.',
      labelNames: ['kind', 'outcome'],
      registers,
    });
    this.transactions = new Counter({
      name: 'lastseat_transactions_total',
      help: 'Transactions begun, by name; a retry counts again.',
      labelNames: ['name'],
      registers,
    });
    this.retries = new Counter({
      name: 'lastseat_transaction_retries_total',
      help: 'Transactions tried again, by name and cause.',
      labelNames: ['name', 'cause'],
      registers,
    });
    this.batches = new Histogram({
      name: 'lastseat_claim_batch_size',
      help: 'Claims decided by one transaction.',
      buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
      registers,
    });
    this.lockWaits = new Histogram({
      name: 'lastseat_lock_wait_seconds',
      help: 'How long a batch waited for its rows, in seconds.',
      buckets: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2],
      registers,
    });
  }

  attempt(kind: string, outcome: string): void {
    this.claims.inc({ kind, outcome });
  }

  batch(size: number, lockWaitMs: number): void {
    this.transactions.inc({ name: 'claim-holds' });
    this.batches.observe(size);
    this.lockWaits.observe(lockWaitMs / 1000);
  }

  began(name: string): void {
    this.transactions.inc({ name });
  }

  retried(name: string, cause: RetryCause): void {
    this.retries.inc({ name, cause });
  }

  queueLengthFrom(read: () => number): void {
    new Gauge({
      name: 'lastseat_claim_queue_length',
      help: 'Claims waiting in this process for a transaction.',
      registers: [this.registry],
      collect() {
        this.set(read());
      },
    });
  }
}
