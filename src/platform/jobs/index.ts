export { type AddJobOptions, addJob, addJobs, type SqlExecutor } from './add-job.ts';
export { defineTask, type Job, type Task, type TaskDefinition } from './task.ts';
export { type CronEntry, startWorker, type Worker, type WorkerOptions } from './worker.ts';
