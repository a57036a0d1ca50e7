import type { z } from 'zod';
import type { TaskDefinition } from './task.ts';

/** The entity manager of a transaction, or a client of the driver inside one. */
export type SqlExecutor =
  | { execute(sql: string, parameters: unknown[]): Promise<unknown> }
  | { query(sql: string, parameters: unknown[]): Promise<unknown> };

export interface AddJobOptions {
  /** At once unless said otherwise. A moment of the business; for "in so many seconds" use `inSeconds`, which asks the database's clock. */
  runAt?: Date;
  inSeconds?: number;
  /** At most one job of a key waits: a later one replaces it. */
  jobKey?: string;
  /** 25 unless said otherwise: with the growing pauses between them, some days. */
  maxAttempts?: number;
}

const MAX_ATTEMPTS_DEFAULT = 25;

/**
 * Adds a job by SQL inside the caller's transaction: it exists when, and only when, what the transaction wrote exists.
 *
 * @throws ZodError when the payload is not of the task's schema; nothing was written.
 */
export async function addJob<Schema extends z.ZodType>(
  executor: SqlExecutor,
  task: TaskDefinition<Schema>,
  payload: z.input<Schema>,
  options: AddJobOptions = {},
): Promise<void> {
  task.schema.parse(payload);
  const parameters = [
    task.name,
    JSON.stringify(payload),
    options.runAt?.toISOString() ?? null,
    options.inSeconds ?? 0,
    options.maxAttempts ?? MAX_ATTEMPTS_DEFAULT,
    options.jobKey ?? null,
  ];
  if ('query' in executor) await executor.query(addJobSql(['$1', '$2', '$3', '$4', '$5', '$6']), parameters);
  else await executor.execute(addJobSql(Array(6).fill('?')), parameters);
}

/** The driver numbers its places, the ORM writes question marks. */
const addJobSql = ([name, payload, runAt, inSeconds, maxAttempts, jobKey]: string[]) =>
  `select from graphile_worker.add_job(${name}::text, payload => ${payload}::json,
     run_at => coalesce(${runAt}::timestamptz, clock_timestamp() + make_interval(secs => ${inSeconds}::float8)),
     max_attempts => ${maxAttempts}::smallint, job_key => ${jobKey}::text)`;
