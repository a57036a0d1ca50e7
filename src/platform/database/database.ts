import { type EntityManager, IsolationLevel, type MikroORM } from '@mikro-orm/postgresql';
import type pg from 'pg';
import { Refusal } from '../refusal.ts';
import { type RetryCause, retryCauseOf, retrying } from './retrying.ts';
import { isConnectionLost } from './sqlstates.ts';

export interface TransactOptions {
  /** Names the transaction in metrics and logs. */
  name: string;
  /** READ COMMITTED unless said otherwise: we lock or guard explicitly; REPEATABLE READ was as correct and six times slower. */
  isolation?: IsolationLevel;
  /** How often it may be tried again after a cause that can heal: see `retrying`. */
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
    let isCommitting = false;
    return retrying(
      () => {
        this.observer.began(options.name);
        isCommitting = false;
        return this.attempt(work, options, () => {
          isCommitting = true;
        });
      },
      {
        causeOf: (error) => (isCommitting && isConnectionLost(error) ? undefined : retryCauseOf(error)),
        retriesMax: options.retriesMax,
        retried: (cause) => this.observer.retried(options.name, cause),
      },
    );
  }

  /**
   * One prepared statement with a commit of its own. It is tried again as a transaction is, but not after a lost connection: whether it was committed then,
   * only its caller can know.
   */
  statement<Row extends pg.QueryResultRow>(query: { name: string; text: string; values: unknown[] }): Promise<Row[]> {
    return retrying(async () => (await this.pool.query<Row>(query)).rows, {
      causeOf: (error) => (isConnectionLost(error) ? undefined : retryCauseOf(error)),
      retried: (cause) => this.observer.retried(query.name, cause),
    });
  }

  private async attempt<T>(work: (em: EntityManager) => Promise<T>, options: TransactOptions, committing: () => void): Promise<T> {
    const em = this.fork();
    await em.begin({ isolationLevel: options.isolation ?? IsolationLevel.READ_COMMITTED });
    try {
      if (options.lockTimeoutMs !== undefined) await em.execute(`set local lock_timeout = ${Math.trunc(options.lockTimeoutMs)}`);
      if (options.statementTimeoutMs !== undefined)
        await em.execute(`set local statement_timeout = ${Math.trunc(options.statementTimeoutMs)}`);
      const result = await work(em);
      if (result instanceof Refusal) {
        await em.rollback().catch(() => undefined);
        return result;
      }
      await em.flush();
      committing();
      await em.commit();
      return result;
    } catch (error) {
      // The rollback of a lost connection fails too; the first error is the one that says why.
      await em.rollback().catch(() => undefined);
      throw error;
    }
  }
}
