import { hostname } from 'node:os';
import type pg from 'pg';
import type { Logger } from 'pino';

export interface HeartbeatTimes {
  /** How often a worker says that it lives, and looks for those that do not. */
  everyMs: number;
  /** A worker silent for so long is dead. Its jobs are given back at most `everyMs` later. */
  deadAfterMs: number;
}

/**
 * Keeps the locks of jobs honest. graphile-worker leaves the jobs of a killed process locked for four hours; here every worker
 * tells the database that it lives, and unlocks what workers hold that have stopped telling.
 *
 * A worker that only could not reach the database for that long is taken for dead too, and its job runs a second time beside the
 * first: tasks are safe to repeat.
 */
export class Heartbeat {
  private timer: NodeJS.Timeout | undefined;
  private beating: Promise<void> = Promise.resolve();

  constructor(
    private readonly workerId: () => string,
    private readonly connections: pg.Pool,
    private readonly times: HeartbeatTimes,
    private readonly logger: Logger,
  ) {}

  start(): void {
    const tick = () => {
      this.beating = this.beat().catch((error: unknown) =>
        this.logger.warn({ err: error }, 'the heartbeat of the worker did not reach the database'),
      );
    };
    tick();
    this.timer = setInterval(tick, this.times.everyMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.beating;
    await this.connections.query('delete from worker_heartbeat where worker_id = $1', [this.workerId()]).catch(() => undefined);
  }

  private async beat(): Promise<void> {
    await this.connections.query(BEAT, [this.workerId(), hostname()]);
    const { rows } = await this.connections.query<{ dead: string[] }>(UNLOCK_DEAD, [this.times.deadAfterMs / 1000]);
    const dead = rows[0]?.dead ?? [];
    if (dead.length > 0) this.logger.warn({ dead }, 'gave back the jobs of dead workers');
  }
}

const BEAT = `
  insert into worker_heartbeat (worker_id, host) values ($1, $2)
  on conflict (worker_id) do update set beat_at = clock_timestamp()
`;

/**
 * Dead are those whose last beat is old, and those that hold an old lock and have no row: killed before their first beat.
 * The delete decides between two workers that look at the same moment: the second waits for the row and finds it gone.
 */
const UNLOCK_DEAD = `
  with silent as (
    delete from worker_heartbeat where beat_at < clock_timestamp() - make_interval(secs => $1) returning worker_id
  ), unknown as (
    select distinct locked_by as worker_id from graphile_worker.jobs
    where locked_at < clock_timestamp() - make_interval(secs => $1)
      and not exists (select from worker_heartbeat where worker_id = locked_by)
  ), dead as (
    select coalesce(array_agg(worker_id), '{}') as ids from (select worker_id from silent union select worker_id from unknown) as both_ways
  )
  select ids as dead, graphile_worker.force_unlock_workers(ids) from dead
`;
