import { startEmbeddedPostgres } from '../../../src/platform/database/embedded-postgres.ts';

// A process that owns an embedded PostgreSQL, to be killed. Says the URL of the database when it is ready.
const [directory = ''] = process.argv.slice(2);
const server = await startEmbeddedPostgres({ directory, logger: { debug: () => undefined, info: () => undefined } });
process.stdout.write(`${server.url}\n`);
setInterval(() => undefined, 1000);
