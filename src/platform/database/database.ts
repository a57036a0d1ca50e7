import { setTimeout as delay } from 'node:timers/promises';
import { type EntityManager, IsolationLevel, type MikroORM, OptimisticLockError } from '@mikro-orm/postgresql';
import type pg from 'pg';
import { Refusal } from '../refusal.ts';
import { isConnectionLost, SQLSTATE, sqlStateOf } from './sqlstates.ts';

/** Why a transaction was tried again. */
export type RetryCause = 'version' | 'deadlock' | 'serialization' | 'lock_timeout' | 'connection';

export interface TransactOptions {
  /** Names the transaction in metrics and logs. */
  name: string;
  /** READ COMMITTED unless said otherwise: we lock or guard explicitly; REPEATABLE READ was as correct and six times slower. */
  isolation?: IsolationLevel;
  /** How often it may be tried again after a cause that can heal. 3 unless said otherwise; the total stays well under a second. */
  retriesMax?: number;
  /** Replaces the connection's `lock_timeout` for this transaction, in milliseconds. */
  lockTimeoutMs?: number;
  /** Replaces the connection's `statement_timeout` for this transaction, in milliseconds. */
  statementTimeoutMs?: number;
}

export interface TransactObserver {
  began(name: string): void;
  retried(name: string, cause: RetryCause): void;
}

const RETRIES_MAX = 3;

/** Carries a returned refusal through the ORM's rollback. */
class RolledBack extends Error {
  constructor(readonly refusal: Refusal) {
    super('rolled back by a refusal');
  }
}

/** The door to PostgreSQL: entity managers for features, the driver's pool for the kernel's hand-written statements, and the one transaction helper. */
export class Database {
  private constructor(
    readonly orm: MikroORM,
    /** The pool under the ORM. Statements of the kernel use it directly: they are prepared by name and carry arrays, which the ORM would inline as text. */
    readonly pool: pg.Pool,
    private readonly observer: TransactObserver,
  ) {}

  static async over(orm: MikroORM, observer: TransactObserver): Promise<Database> {
    const pool = (await orm.em.getDriver().getConnection().getNativeClient()) as pg.Pool;
    return new Database(orm, pool, observer);
  }

  fork(): EntityManager {
    return this.orm.em.fork();
  }

  /**
   * Runs `work` in one transaction, with an entity manager of its own, and commits.
   *
   * - A returned {@link Refusal} rolls back and is returned (returned from `em.transactional` it would commit).
   * - Deadlocks, serialization failures, lock time-outs, version conflicts and connections lost before the commit was sent are tried
   *   again, at most `retriesMax` times, after some milliseconds of jitter. Anything else is thrown as it is.
   * - A connection lost while committing is thrown: only the caller's idempotency key can tell what happened.
   *
   * `work` may therefore run several times: it must have no effect outside the transaction.
   */
  async transact<T>(work: (em: EntityManager) => Promise<T>, options: TransactOptions): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      this.observer.began(options.name);
      const phase = { committing: false };
      try {
        return await this.attempt(work, options, phase);
      } catch (error) {
        if (error instanceof RolledBack) return error.refusal as T;
        const cause = phase.committing && isConnectionLost(error) ? undefined : retryCauseOf(error);
        if (!cause || attempt >= (options.retriesMax ?? RETRIES_MAX)) throw error;
        this.observer.retried(options.name, cause);
        await delay(jitterMs(attempt));
      }
    }
  }

  private async attempt<T>(work: (em: EntityManager) => Promise<T>, options: TransactOptions, phase: { committing: boolean }): Promise<T> {
    const em = this.fork();
    await em.begin({ isolationLevel: options.isolation ?? IsolationLevel.READ_COMMITTED });
    try {
      if (options.lockTimeoutMs !== undefined) await em.execute(`set local lock_timeout = ${Math.trunc(options.lockTimeoutMs)}`);
      if (options.statementTimeoutMs !== undefined)
        await em.execute(`set local statement_timeout = ${Math.trunc(options.statementTimeoutMs)}`);
      const result = await work(em);
      if (result instanceof Refusal) throw new RolledBack(result);
      await em.flush();
      phase.committing = true;
      await em.commit();
      return result;
    } catch (error) {
      // The rollback of a lost connection fails too; the first error is the one that says why.
      await em.rollback().catch(() => undefined);
      throw error;
    }
  }
}

export function retryCauseOf(error: unknown): RetryCause | undefined {
  if (error instanceof OptimisticLockError) return 'version';
  switch (sqlStateOf(error)) {
    case SQLSTATE.deadlockDetected:
      return 'deadlock';
    case SQLSTATE.serializationFailure:
      return 'serialization';
    case SQLSTATE.lockNotAvailable:
      return 'lock_timeout';
  }
  return isConnectionLost(error) ? 'connection' : undefined;
}

/** 2 to 8 ms, then up to 16, then up to 32: long enough to part two rivals, short enough that nobody waits a second. */
export const jitterMs = (attempt: number) => 2 + Math.random() * (6 << attempt);
