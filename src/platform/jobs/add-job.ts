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
export const addJob = <Schema extends z.ZodType>(
  executor: SqlExecutor,
  task: TaskDefinition<Schema>,
  payload: z.input<Schema>,
  options: AddJobOptions = {},
): Promise<void> => insertJobs(executor, task, [payload], options);

/** Adds a job for each payload, in one statement: see {@link addJob}. */
export const addJobs = <Schema extends z.ZodType>(
  executor: SqlExecutor,
  task: TaskDefinition<Schema>,
  payloads: readonly z.input<Schema>[],
): Promise<void> => insertJobs(executor, task, payloads, {});

async function insertJobs(
  executor: SqlExecutor,
  task: TaskDefinition,
  payloads: readonly unknown[],
  options: AddJobOptions,
): Promise<void> {
  if (payloads.length === 0) return;
  for (const payload of payloads) task.schema.parse(payload);
  const parameters = [
    task.name,
    JSON.stringify(payloads),
    options.runAt?.toISOString() ?? null,
    options.inSeconds ?? 0,
    options.maxAttempts ?? MAX_ATTEMPTS_DEFAULT,
    options.jobKey ?? null,
  ];
  if ('query' in executor) await executor.query(addJobsSql(['$1', '$2', '$3', '$4', '$5', '$6']), parameters);
  else await executor.execute(addJobsSql(Array(6).fill('?')), parameters);
}

/** The driver numbers its places, the ORM writes question marks; each stands where its parameter does in the list. */
const addJobsSql = ([name, payloads, runAt, inSeconds, maxAttempts, jobKey]: string[]) =>
  `select graphile_worker.add_job(t.name, payload => p.value, run_at => t.run_at, max_attempts => t.max_attempts, job_key => t.job_key)
   from (select ${name}::text, ${payloads}::json, coalesce(${runAt}::timestamptz, clock_timestamp() + make_interval(secs => ${inSeconds}::float8)),
     ${maxAttempts}::smallint, ${jobKey}::text) as t(name, payloads, run_at, max_attempts, job_key), json_array_elements(t.payloads) as p`;
