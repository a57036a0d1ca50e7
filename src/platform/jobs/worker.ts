import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { parseCronItems, type Runner, run, type TaskList, type WorkerEvents, type WorkerPool } from 'graphile-worker';
import pg from 'pg';
import type { Logger } from 'pino';
import type { z } from 'zod';
import { Heartbeat, type HeartbeatTimes } from './heartbeat.ts';
import type { Task, TaskDefinition } from './task.ts';
import { workerLogger } from './worker-logger.ts';

export interface CronEntry<Schema extends z.ZodType = z.ZodType> {
  task: TaskDefinition<Schema>;
  /** Five fields, UTC: `5 3 * * *` is 03:05. Once a minute is the most often. */
  match: string;
  payload?: Record<string, unknown>;
}

export interface WorkerOptions {
  /** The database. The worker opens `concurrency + 3` connections at most: one a job while it is fetched or recorded, one that listens, one for cron, one for the heartbeat. */
  url: string;
  tasks: readonly Task[];
  cron?: readonly CronEntry[];
  /** Jobs at once in this process. 4 unless said otherwise. */
  concurrency?: number;
  /** A dead worker's jobs are given to others within 30 s unless said otherwise. */
  heartbeat?: HeartbeatTimes;
  /** How often it looks for work it was not told of. 2,000 ms unless said otherwise; new jobs are announced by NOTIFY. */
  pollMs?: number;
  logger: Logger;
  /** Hears of the end of each try. */
  observer?: { finished(task: string, outcome: 'succeeded' | 'failed', milliseconds: number): void };
}

export interface Worker {
  /** What the jobs it holds are locked by. */
  readonly id: string;
  /** Takes no new job, lets those under way end for at most `withinMs`, and gives the rest back to others. Idempotent. */
  stop(withinMs?: number): Promise<void>;
}

const CONCURRENCY_DEFAULT = 4;
const POLL_MS_DEFAULT = 2000;
/** Together 30 s, the longest a killed worker's job may wait for another. */
const HEARTBEAT_DEFAULT: HeartbeatTimes = { everyMs: 5000, deadAfterMs: 25_000 };
const STOP_WITHIN_MS = 10_000;

/** How long a worker that fell over, as after a long outage of the database, waits before it begins again. */
const BEGIN_AGAIN_MS = 1000;

/** Runs jobs until it is stopped. Losing the database only pauses it. It installs no signal handlers: `main.ts` decides when to stop. */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { logger } = options;
  const connections = connectionsOf(options);
  let current = await begin(options, connections);
  const heartbeat = new Heartbeat(() => current.id, connections, options.heartbeat ?? HEARTBEAT_DEFAULT, logger);
  heartbeat.start();

  let stopping: Promise<void> | undefined;
  const keepRunning = async () => {
    while (stopping === undefined) {
      const error: unknown = await current.runner.promise.catch((reason: unknown) => reason);
      if (stopping !== undefined) return;
      logger.error({ err: error }, 'the worker fell over and begins again');
      await delay(BEGIN_AGAIN_MS);
      if (stopping === undefined) current = await begin(options, connections).catch(() => current);
    }
  };
  const kept = keepRunning();

  const stop = async (withinMs: number) => {
    await endWithin(current, withinMs);
    await kept;
    await heartbeat.stop();
    await connections.end();
  };
  return {
    get id() {
      return current.id;
    },
    stop: (withinMs = STOP_WITHIN_MS) => {
      stopping ??= stop(withinMs);
      return stopping;
    },
  };
}

interface Running {
  id: string;
  runner: Runner;
  pool: WorkerPool;
}

async function begin(options: WorkerOptions, connections: pg.Pool): Promise<Running> {
  const events: WorkerEvents = new EventEmitter();
  // In an object: a pool has a `then`, so a promise of one would wait for its end.
  const created = new Promise<{ workerPool: WorkerPool }>((resolve) => events.once('pool:create', resolve));
  const runner = await run({
    pgPool: connections,
    concurrency: options.concurrency ?? CONCURRENCY_DEFAULT,
    pollInterval: options.pollMs ?? POLL_MS_DEFAULT,
    noHandleSignals: true,
    // Batches of whatever ends together. Without them the end of a job is recorded by a promise nobody holds, whose failure would end the process.
    preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
    taskList: taskListOf(options),
    parsedCronItems: parseCronItems((options.cron ?? []).map(cronItemOf)),
    logger: workerLogger(options.logger),
    events,
  });
  const { workerPool } = await created;
  return { id: workerPool.id, runner, pool: workerPool };
}

async function endWithin({ runner, pool }: Running, withinMs: number): Promise<void> {
  const stopped = runner.stop().catch(() => undefined); // It rejects when the runner has fallen over already.
  const deadline = new AbortController();
  const late = delay(withinMs, 'late' as const, { signal: deadline.signal }).catch(() => undefined);
  // The runner's own `kill` does nothing once it was asked to stop.
  if ((await Promise.race([stopped, late])) === 'late') await pool.forcefulShutdown('the worker was stopped before the job ended');
  deadline.abort();
  await late;
}

function taskListOf({ tasks, observer }: WorkerOptions): TaskList {
  const list: TaskList = {};
  for (const task of tasks) {
    if (list[task.name]) throw new Error(`Two tasks are named ${task.name}: a job could not tell which one it is for.`);
    list[task.name] = async (payload, { job, abortSignal }) => {
      const begun = performance.now();
      let outcome: 'succeeded' | 'failed' = 'failed';
      try {
        // Cron adds its own `_cron` beside the payload; a schema of an object drops what it does not know.
        await task.handle(task.schema.parse(payload), { id: job.id, attempt: job.attempts, signal: abortSignal });
        outcome = 'succeeded';
      } finally {
        observer?.finished(task.name, outcome, performance.now() - begun);
      }
    };
  }
  return list;
}

function cronItemOf({ task, match, payload = {} }: CronEntry) {
  task.schema.parse(payload);
  return { task: task.name, match, identifier: task.name, payload, options: { backfillPeriod: 0, maxAttempts: 3 } };
}

/** A pool of its own: when requests have taken every connection of the process, jobs are still fetched and the worker is not taken for dead. */
function connectionsOf({ url, concurrency = CONCURRENCY_DEFAULT, logger }: WorkerOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: concurrency + 3,
    application_name: 'lastseat worker',
    options: '-c lock_timeout=5000 -c statement_timeout=10000 -c idle_in_transaction_session_timeout=15000 -c timezone=UTC',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
  });
  const lost = (error: Error) => {
    // The pool does not wait for the sockets it ends: a database that stops right after us ends some first.
    if (!pool.ending) logger.warn({ err: error }, 'the worker lost a connection');
  };
  pool.on('error', lost);
  pool.on('connect', (client) => client.on('error', lost)); // While it is checked out the pool does not listen.
  return pool;
}
