import { setTimeout as delay } from 'node:timers/promises';
import { OptimisticLockError } from '@mikro-orm/postgresql';
import { isConnectionLost, SQLSTATE, sqlStateOf } from './sqlstates.ts';

/** Why something was tried again. */
export type RetryCause = 'version' | 'deadlock' | 'serialization' | 'lock_timeout' | 'connection';

export interface RetryOptions<Cause> {
  /** What can heal about an error; undefined: nothing, it is thrown as it is. */
  causeOf(error: unknown): Cause | undefined;
  /** 3 unless said otherwise; the total stays well under a second. */
  retriesMax?: number | undefined;
  retried?(cause: Cause): void;
}

const RETRIES_MAX = 3;

/** Runs `work`, and again after what can heal, each time after some milliseconds of jitter. */
export async function retrying<T, Cause>(
  work: () => Promise<T>,
  { causeOf, retriesMax = RETRIES_MAX, retried }: RetryOptions<Cause>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      const cause = causeOf(error);
      if (cause === undefined || attempt >= retriesMax) throw error;
      retried?.(cause);
      await delay(jitterMs(attempt));
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
const jitterMs = (attempt: number) => 2 + Math.random() * (6 << attempt);
