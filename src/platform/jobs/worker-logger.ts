import { Logger as WorkerLogger } from 'graphile-worker';
import type { Logger } from 'pino';

const LEVELS = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const;

/** graphile-worker's chatter as records of ours; its "info" (a line for each job) is our debug. */
export function workerLogger(logger: Logger): WorkerLogger {
  return new WorkerLogger((scope) => (level, message, meta) => {
    const { error } = (meta ?? {}) as { error?: unknown };
    logger[LEVELS[level as keyof typeof LEVELS] ?? 'debug'](
      { worker: scope.workerId, task: scope.taskIdentifier, jobId: scope.jobId, ...(error ? { err: error } : {}) },
      message,
    );
  });
}
