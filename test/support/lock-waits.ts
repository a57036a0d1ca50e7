import { eventually } from './wait.ts';

/** Whoever can ask a database of the tests. */
interface Bystander {
  query<Row extends Record<string, unknown>>(sql: string): Promise<Row[]>;
}

/** The sessions of this database that wait for a lock now, by their process ids. */
export async function lockWaits(bystander: Bystander): Promise<number[]> {
  const rows = await bystander.query<{ pid: number }>(
    "select pid from pg_stat_activity where datname = current_database() and backend_type = 'client backend' and wait_event_type = 'Lock'",
  );
  return rows.map(({ pid }) => pid);
}

/** Resolves when so many sessions wait for a lock; to their process ids. */
export const waitingForLocks = (bystander: Bystander, sessions = 1): Promise<number[]> =>
  eventually(async () => {
    const waiting = await lockWaits(bystander);
    return waiting.length >= sessions ? waiting : null;
  });

/** Resolves when the work is over, well or not, or a session waits for a lock: then it will not end before its rival does. */
export async function endedOrWaiting(bystander: Bystander, work: Promise<unknown>): Promise<void> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  work.then(over, over);
  await eventually(async () => isOver || (await lockWaits(bystander)).length > 0);
}
