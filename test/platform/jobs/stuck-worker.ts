import { pino } from 'pino';
import { z } from 'zod';
import { startWorker } from '../../../src/platform/jobs/index.ts';

// A worker process that takes a job and never ends it, to be killed. Its own test file starts it with the URL of the database.
const [url = ''] = process.argv.slice(2);
const hang = {
  name: 'hang',
  schema: z.object({}),
  handle: () => {
    process.stdout.write('holding\n');
    return new Promise<void>(() => setInterval(() => undefined, 1000));
  },
};
await startWorker({ url, tasks: [hang], logger: pino({ level: 'silent' }), heartbeat: { everyMs: 200, deadAfterMs: 800 } });
