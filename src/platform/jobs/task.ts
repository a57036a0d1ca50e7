import type { z } from 'zod';

/** What is needed to ask for a task to be done: its name and the shape of its payload. */
export interface TaskDefinition<Schema extends z.ZodType = z.ZodType> {
  /** Kebab-case, unique, never renamed while jobs of it may wait. */
  name: string;
  /** Parsed when a job is added and again when it is run: the two may be releases apart. What is stored is JSON. */
  schema: Schema;
}

export interface Task<Schema extends z.ZodType = z.ZodType> extends TaskDefinition<Schema> {
  /** Runs at least once for each job: twice when a worker dies between the work and its record. It must be safe to repeat. */
  handle(payload: z.output<Schema>, job: Job): Promise<void>;
}

/** What a handler knows of the job it works on. */
export interface Job {
  id: string;
  /** 1 at the first try. */
  attempt: number;
  /** Aborted when the worker is asked to stop and the job has not ended some seconds later. */
  signal: AbortSignal | undefined;
}

export const defineTask = <Schema extends z.ZodType>(task: Task<Schema>): Task<Schema> => task;
