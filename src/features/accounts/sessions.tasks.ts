import { z } from 'zod';
import { type CronEntry, defineTask, type Task } from '../../platform/jobs/index.ts';
import type { SessionsService } from './sessions.service.ts';

/** Deletes sessions that ended long enough ago that nobody asks about them. */
export function forgetSessions(sessions: SessionsService): { task: Task; cron: CronEntry } {
  const task = defineTask({
    name: 'forget-expired-sessions',
    schema: z.object({}),
    handle: async () => {
      await sessions.deleteExpired();
    },
  });
  return { task, cron: { task, match: '47 3 * * *' } };
}
