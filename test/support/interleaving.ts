import type { Conclusions } from '../../src/features/bookings/conclusions.ts';
import type { TestApp, TestStage } from './app.ts';
import type { RacingNodes } from './races.ts';
import { eventually } from './wait.ts';

/** The ends of payments of a node, to run a rival inside one of them. */
export const conclusionsOf = (node: TestApp): Conclusions =>
  (node.app.bookings.saga as unknown as { parts: { conclusions: Conclusions } }).parts.conclusions;

/**
 * Runs a rival inside the first call of a method: after everything the caller has read, before anything it writes. The call goes on when the rival has come to its
 * end, or waits for a lock that the caller has. Answers the rival's own end.
 */
export function inside<Target extends object>(
  stage: TestApp,
  target: Target,
  method: keyof Target,
  rival: () => Promise<unknown>,
): Promise<unknown> {
  const whole = target[method] as (...given: unknown[]) => Promise<unknown>;
  return new Promise((resolve, reject) => {
    let isFirst = true;
    const interrupted = async (...given: unknown[]) => {
      if (isFirst) {
        isFirst = false;
        Object.assign(target, { [method]: whole });
        let isOver = false;
        const run = rival().finally(() => {
          isOver = true;
        });
        run.then(resolve, reject);
        await eventually(async () => isOver || (await stage.query(WAITING)).length > 0);
      }
      return whole.apply(target, given);
    };
    Object.assign(target, { [method]: interrupted });
  });
}

const WAITING = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;

/** Takes away the row locks that the saga asks for through the ORM: what it reads may be old when it writes. */
export function readWithoutLocks({ nodes }: RacingNodes): void {
  for (const { app } of nodes) {
    const { database } = app;
    const fork = database.fork.bind(database);
    database.fork = () => {
      const em = fork();
      const find = em.findOneOrFail.bind(em) as (entity: unknown, where: unknown, options?: object) => Promise<never>;
      const execute = em.execute.bind(em) as (sql: string, values?: unknown[]) => Promise<never>;
      return Object.assign(em, {
        findOneOrFail: (entity: unknown, where: unknown, options: object = {}) => find(entity, where, { ...options, lockMode: undefined }),
        execute: (sql: string, values?: unknown[]) => execute(sql.replace(/ for update$/, ''), values),
      }) as never;
    };
  }
}

/** Takes away the fence of a hold: it may leave any state. */
export async function moveWithoutFence({ one }: RacingNodes): Promise<void> {
  await one.sabotage('move_hold', 'if not v_hold.state = any (p_from) then', 'if false then');
}
