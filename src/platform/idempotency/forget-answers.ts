import type pg from 'pg';
import { z } from 'zod';
import { type CronEntry, defineTask, type Task } from '../jobs/index.ts';

/** Longer than any client goes on repeating a request. */
const KEPT_DAYS = 7;
const DELETED_AT_ONCE = 10_000;

/** Deletes answers nobody will ask for again, in batches, so that the table stays small. */
export function forgetAnswers(pool: pg.Pool): { task: Task; cron: CronEntry } {
  const task = defineTask({
    name: 'forget-idempotent-answers',
    schema: z.object({}),
    handle: async () => {
      let deleted: number;
      do {
        const result = await pool.query(
          `delete from idempotent_answer where (member_id, key) in (
             select member_id, key from idempotent_answer where created_at < now() - make_interval(days => $1) limit $2)`,
          [KEPT_DAYS, DELETED_AT_ONCE],
        );
        deleted = result.rowCount ?? 0;
      } while (deleted === DELETED_AT_ONCE);
    },
  });
  return { task, cron: { task, match: '17 3 * * *' } };
}
