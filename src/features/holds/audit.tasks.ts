import { z } from 'zod';
import { type CronEntry, defineTask, type Task } from '../../platform/jobs/index.ts';
import type { AuditService } from './audit.service.ts';

/** The standing checker: every 15 minutes it recounts everything and sets `lastseat_invariant_violations`. */
export function auditTask(audits: AuditService): { task: Task; cron: CronEntry } {
  const task = defineTask({
    name: 'check-invariants',
    schema: z.object({}),
    handle: async () => {
      const audit = await audits.run();
      const broken = audit.checks.filter((check) => check.violations > 0).map((check) => check.name);
      if (broken.length > 0) throw new Error(`Invariants are broken: ${broken.join(', ')}. See the runbook in docs/operations.md.`);
    },
  });
  return { task, cron: { task, match: '*/15 * * * *' } };
}
