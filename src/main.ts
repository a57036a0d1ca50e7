import 'reflect-metadata';
import path from 'node:path';
import { type App, buildApp } from './app.ts';
import { type Config, ConfigError, helpText, parseArguments, readConfig } from './config.ts';
import { DEMO_ACCOUNTS, DEMO_PASSWORD } from './features/accounts/index.ts';
import { type EmbeddedPostgres, EmbeddedPostgresError, startEmbeddedPostgres } from './platform/database/embedded-postgres.ts';
import { DatabaseUnusableError } from './platform/database/orm.ts';
import { createLogger } from './platform/logger.ts';
import { createRegistry } from './platform/metrics.ts';
import { RedisUnreachableError } from './platform/subscriptions/fan-out.ts';
import { Simulator } from './simulator/simulator.ts';

/** Mistakes of whoever starts us: each is one sentence that names the cure, and no stack. */
const KNOWN_FAILURES = [ConfigError, EmbeddedPostgresError, DatabaseUnusableError, RedisUnreachableError];

async function main(): Promise<void> {
  const args = parseArguments(process.argv.slice(2));
  if (args.command === 'help') return say(helpText());
  if (args.command === 'version') return say((await import('../package.json', { with: { type: 'json' } })).default.version);

  const config = readConfig(args);
  const logger = createLogger(config.log);
  const embedded = config.database.url ? undefined : await startEmbeddedPostgres({ directory: config.database.embeddedDirectory, logger });
  let app: App | undefined;
  let simulator: Simulator | undefined;
  try {
    simulator = config.payments.simulator.starts ? await startSimulator(config) : undefined;
    app = await buildApp({
      databaseUrl: config.database.url ?? (embedded as EmbeddedPostgres).url,
      config,
      logger,
      registry: createRegistry(),
      ...(simulator && { providers: simulator.settings }),
    });
    const url = config.roles.api ? await app.listen() : undefined;
    for (const provider of SENDS_WEBHOOKS) if (url) simulator?.registerWebhook(provider, `${url}/webhooks/${provider.toLowerCase()}`);
    const reason = await new Promise<string>((resolve) => {
      // A second signal while draining changes nothing: the drain has a deadline of its own.
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => resolve(signal));
      void embedded?.exited.then(() => resolve('the embedded database ended'));
      say(welcome(config, url, embedded, simulator));
    });
    logger.info({ reason }, 'stopping');
    if (!reason.startsWith('SIG')) process.exitCode = 1;
  } finally {
    const deadline = setTimeout(() => process.exit(1), (config.http.drainSeconds + 20) * 1000).unref();
    await app?.close();
    await simulator?.close();
    await embedded?.stop();
    clearTimeout(deadline);
  }
}

const SENDS_WEBHOOKS = ['TOSS', 'PORTONE', 'KISPG'] as const;
const SIMULATOR_PORT = 4001;

/** At its own port, so that a checkout that is open in a browser outlives a restart; at a free one where another simulator is there already. */
async function startSimulator({ dataDirectory, payments }: Config): Promise<Simulator> {
  const journal = path.join(dataDirectory, 'simulator.jsonl');
  const { port } = payments.simulator;
  try {
    return await Simulator.start({ journal, port: port ?? SIMULATOR_PORT });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (port !== undefined)
      throw new ConfigError([
        `Port ${port} of PAYMENT_SIMULATOR_PORT is taken: stop what listens there, or choose another (0 takes a free one).`,
      ]);
    return Simulator.start({ journal, port: 0 });
  }
}

function welcome(
  config: Config,
  url: string | undefined,
  embedded: EmbeddedPostgres | undefined,
  simulator: Simulator | undefined,
): string {
  const database = embedded ? `embedded PostgreSQL on port ${embedded.port}, kept in ${embedded.directory}` : 'PostgreSQL at DATABASE_URL';
  const fanOut = config.redis.url ? 'Redis at REDIS_URL' : 'in-process (set REDIS_URL for several nodes)';
  if (!url) return `lastseat worker is running.\n  Database  ${database}\n  Fan-out   ${fanOut}`;
  return [
    `lastseat is ready at ${url}`,
    '',
    ...(config.graphql.graphiql ? [`  Open      ${url}/graphiql   try the query that is there, watch a lesson, enrol in it`] : []),
    `  API       ${url}/graphql    POST and GET, WebSocket for subscriptions`,
    `  Health    ${url}/health/live, /health/ready, /metrics`,
    ...(config.seed ? [`  Accounts  ${DEMO_ACCOUNTS.map(({ email }) => email).join(', ')}; password ${DEMO_PASSWORD}`] : []),
    ...(simulator ? [`  Payments  ${simulator.url}   simulated KakaoPay, Toss Payments, PortOne and KISPG: no money moves`] : []),
    `  Database  ${database}`,
    `  Fan-out   ${fanOut}`,
    ...(config.rehearsals ? ['  Rush      in another terminal: npm run rush'] : []),
    '  Stop      Ctrl+C',
  ].join('\n');
}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

try {
  await main();
} catch (error) {
  const isPortTaken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
  if (isPortTaken) {
    const { port, address } = error as NodeJS.ErrnoException & { port?: number; address?: string };
    process.stderr.write(
      `Port ${port} of ${address} is taken: stop what listens there, or choose another with --port (0 takes a free one).\n`,
    );
  } else if (KNOWN_FAILURES.some((known) => error instanceof known)) process.stderr.write(`${(error as Error).message}\n`);
  else process.stderr.write(`${(error as Error).stack}\n`);
  // What a failed start left open (a pool of connections) would keep the process for half a minute.
  process.exit(1);
}
