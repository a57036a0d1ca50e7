import type pg from 'pg';
import { type RetryCause, retryCauseOf, retrying } from '../platform/database/retrying.ts';
import { SQLSTATE, sqlStateOf } from '../platform/database/sqlstates.ts';
import { BUSY, type ClaimAnswer, type ClaimRequest } from './claim.ts';
import { CLAIM_HOLDS, claimParameters, type Decision, readDecision } from './decide-claims.ts';

export interface CombinerOptions {
  /** Claims in one transaction. 512: larger ones gained under a fifth in our measurements and make everyone in them wait longer. */
  batchMax: number;
  /** Transactions in flight at once, over all pools: a part of the connection pool, so that queries always find a connection. */
  lanesMax: number;
  /** Claims waiting in this process; past it a claim is told to come back. 20,000 is two seconds of work. */
  queueMax: number;
  /**
   * Optimistic transactions of this process at one pool at once; past it the pool is plainly fought for, and its claims are combined whatever its
   * policy. No limit unless said; 1 is what serves best: 256 at a time on one pool were decided at 5,300 a second instead of 220.
   */
  optimisticMax?: number;
}

export interface CombinerObserver {
  batch(size: number, lockWaitMs: number): void;
  retried(cause: RetryCause): void;
  decided(decision: Decision): void;
}

interface Waiting {
  claim: ClaimRequest;
  answer(answer: ClaimAnswer): void;
  fail(error: unknown): void;
}

/**
 * Combines claims: while a transaction for a pool is in flight, arriving claims wait, and the next transaction takes all of them.
 *
 * One commit serves a whole batch, so a durable database decides thousands of claims a second where a transaction each is limited by the disk.
 * A lone claim goes at once. Within a process it is first come, first served; several processes share the row lock between their batches.
 * Two claims of one claimant never share a batch: the second must see what the first was given.
 */
export class ClaimCombiner {
  private readonly waiting = new Map<string, Waiting[]>();
  private readonly inFlight = new Set<string>();
  private queued = 0;

  constructor(
    private readonly pool: pg.Pool,
    private readonly options: CombinerOptions,
    private readonly observer: CombinerObserver,
  ) {}

  /** Claims that wait for a transaction. */
  get queueLength(): number {
    return this.queued;
  }

  /** Answers when the claim is decided and durable. `BUSY` when the queue is full or the pool could not be had in time; rejects only when the database does. */
  claim(claim: ClaimRequest): Promise<ClaimAnswer> {
    if (this.queued >= this.options.queueMax) return Promise.resolve(BUSY);
    return new Promise((answer, fail) => {
      // The first item names the pool that is fought for; what is taken along (a locker) follows it.
      const hot = claim.items[0]?.poolId ?? '';
      const queue = this.waiting.get(hot);
      if (queue) queue.push({ claim, answer, fail });
      else this.waiting.set(hot, [{ claim, answer, fail }]);
      this.queued++;
      this.startNext();
    });
  }

  private startNext(): void {
    if (this.inFlight.size >= this.options.lanesMax) return;
    for (const [hot, queue] of this.waiting) {
      if (this.inFlight.has(hot)) continue;
      const batch = takeBatch(queue, this.options.batchMax);
      this.queued -= batch.length;
      // Deleting and setting again moves the pool behind the others: no pool starves another.
      this.waiting.delete(hot);
      if (queue.length > 0) this.waiting.set(hot, queue);
      this.inFlight.add(hot);
      void this.run(batch).finally(() => {
        this.inFlight.delete(hot);
        this.startNext();
      });
      if (this.inFlight.size >= this.options.lanesMax) return;
    }
  }

  private async run(batch: readonly Waiting[]): Promise<void> {
    let decision: Decision | null;
    try {
      decision = await this.decide(batch.map((waiting) => waiting.claim));
    } catch (error) {
      if (batch.length === 1 || retryCauseOf(error)) for (const waiting of batch) waiting.fail(error);
      // One claim the database cannot take (or a twin that won its key meanwhile) must not cost the others theirs.
      else for (const waiting of batch) await this.run([waiting]);
      return;
    }
    if (decision) this.observer.decided(decision);
    for (const [index, waiting] of batch.entries()) waiting.answer(decision ? (decision.answers[index] as ClaimAnswer) : BUSY);
  }

  /** Safe to send again after a lost connection: the keys on the holds tell what was written. Null: certainly nothing was, though it was tried again and again. */
  private async decide(claims: readonly ClaimRequest[]): Promise<Decision | null> {
    let isUnsure = false;
    const decided = retrying(
      async () => {
        const result = await this.pool.query({ name: 'claim_holds', text: CLAIM_HOLDS, values: claimParameters(claims, true) });
        const decision = readDecision(result.rows[0].decision);
        this.observer.batch(claims.length, decision.lockWaitMs);
        return decision;
      },
      {
        // A twin in another lane or node won this key after we had looked for it: looking again finds its hold.
        causeOf: (error) => (claims.length === 1 && sqlStateOf(error) === SQLSTATE.uniqueViolation ? 'twin' : retryCauseOf(error)),
        retried: (cause) => {
          if (cause === 'connection') isUnsure = true;
          if (cause !== 'twin') this.observer.retried(cause);
        },
      },
    );
    return decided.catch((error) => {
      if (isUnsure || !isUndone(error)) throw error;
      return null;
    });
  }
}

/** Whether a transaction was undone for no fault of its own: others had what it needs, or the database had too much to do. */
const isUndone = (error: unknown): boolean =>
  sqlStateOf(error) === SQLSTATE.queryCanceled || !['version', 'connection', undefined].includes(retryCauseOf(error));

/** Takes the oldest claims, at most one of each claimant, and leaves the rest in their order. */
function takeBatch(queue: Waiting[], max: number): Waiting[] {
  const claimants = new Set<string>();
  const batch: Waiting[] = [];
  const rest: Waiting[] = [];
  for (const waiting of queue) {
    if (batch.length < max && !claimants.has(waiting.claim.claimantId)) {
      claimants.add(waiting.claim.claimantId);
      batch.push(waiting);
    } else rest.push(waiting);
  }
  queue.length = 0;
  for (const waiting of rest) queue.push(waiting);
  return batch;
}
