/**
 * Claims per second on one hot pool, end to end over HTTP through the real application and a durable embedded PostgreSQL, beside the usual ways of
 * claiming, beside a mutation of the same server that does nothing, and beside PostgreSQL alone. Everything in one run, in alternating short rounds.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import type { Policy } from '../src/inventory/pool.entity.ts';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../src/platform/database/embedded-postgres.ts';
import { callsOf } from './calls.ts';
import { hasPgbench, pgbench } from './claims/pgbench.ts';
import type { PlainCalls, PlainOptions } from './claims/plain-pg.ts';
import { postgresCpuMicros } from './claims/postgres-cpu.ts';
import { aimsOf, machineOf, printReport, type Sample, summary } from './claims/report.ts';
import type { ServerCalls } from './claims/server.ts';
import type { LoadCalls, LoadReport } from './load-generator.ts';

interface Way {
  mutation: string;
  policy: Policy;
  capacity: number;
  /** The member of the result union that ends a success, and the one that says that nothing is left. */
  success: string;
  /** Counted as one transaction for each answer where the server's own counters do not see it. */
  isUncounted?: boolean;
}

const AMPLE = 100_000;
const product = (policy: Policy, capacity = AMPLE): Way => ({ mutation: 'enroll', policy, capacity, success: 'EnrollSuccess' });
const baseline = (mutation: string, isUncounted: boolean): Way => ({
  mutation,
  policy: 'PESSIMISTIC',
  capacity: AMPLE,
  success: 'BaselineSuccess',
  isUncounted,
});

const WAYS: Record<string, Way> = {
  trivial: baseline('trivial', false),
  combined: product('PESSIMISTIC'),
  optimistic: product('OPTIMISTIC'),
  guarded: baseline('guardedStatement', true),
  lock: baseline('rowLock', true),
  orm: baseline('ormTransaction', false),
  'sold out': product('PESSIMISTIC', 100),
};

const RAW: Record<string, Pick<PlainOptions, 'way' | 'clients' | 'batch'>> = {
  'pg lock': { way: 'lock', clients: 64, batch: 1 },
  'pg guarded': { way: 'guarded', clients: 64, batch: 1 },
  'pg claim_holds × 100': { way: 'batches', clients: 1, batch: 100 },
  'pg claim_holds × 500': { way: 'batches', clients: 1, batch: 500 },
};

const USAGE = `npm run bench -- claims [flags]

  --connections 64,256,1000   how many requests are on their way at once (256)
  --ways trivial,combined     of ${Object.keys(WAYS).join(', ')} (all)
  --repeats 5                 rounds of each way
  --seconds 2                 how long a round takes
  --pool-max 20               DATABASE_POOL_MAX of the server
  --members 100000            members made before; a round ends when each has asked once
  --no-raw                    without PostgreSQL alone
  --no-job                    without the whole job, 100,000 requests for 10,000 places
  --profile DIRECTORY         a CPU profile of the server for each way, after the measurement
  --data DIRECTORY            where the database is kept meanwhile (.data/bench); removed at the end
  --json                      everything, each round too, as JSON`;

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '256' },
    ways: { type: 'string', default: Object.keys(WAYS).join(',') },
    repeats: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    'pool-max': { type: 'string', default: '20' },
    /** Kept on the disk whose durability is measured, and removed at the end. */
    data: { type: 'string', default: path.join('.data', 'bench') },
    members: { type: 'string', default: '100000' },
    job: { type: 'boolean', default: true },
    raw: { type: 'boolean', default: true },
    /** A directory for one CPU profile of the server for each way. */
    profile: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
  allowNegative: true,
});
if (options.help) {
  console.log(USAGE);
  process.exit();
}
const repeats = Number(options.repeats);
const seconds = Number(options.seconds);
const connectionCounts = options.connections.split(',').map(Number);
/** Ends by the clock, or when every member has asked. */
const ROUND = { requestsMax: Number.MAX_SAFE_INTEGER, secondsMax: seconds };
const ways = options.ways.split(',').map((name) => name.trim());
for (const name of ways) if (!WAYS[name]) throw new Error(`There is no way ${name}. There are ${Object.keys(WAYS).join(', ')}.`);

const progress = (text: string) => void process.stderr.write(`${text}\n`);
const children: ChildProcess[] = [];
const startChild = (file: string) => {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), {
    // graphql-js and others check more when they are not in production.
    // biome-ignore lint/style/noProcessEnv: the child's environment is ours with one variable changed.
    env: { ...process.env, NODE_ENV: 'production' },
  });
  children.push(child);
  return child;
};

class Bench {
  private readonly server = callsOf<ServerCalls>(startChild('./claims/server.js'));
  private readonly load = callsOf<LoadCalls>(startChild('./load-generator.js'));
  private readonly plain = callsOf<PlainCalls>(startChild('./claims/plain-pg.js'));
  private url = '';

  constructor(private readonly postgres: EmbeddedPostgres) {}

  async prepare(members: number): Promise<void> {
    this.url = `${await this.server('start', { databaseUrl: this.postgres.url, poolMax: Number(options['pool-max']) })}/graphql`;
    progress(`making ${members} members`);
    const file = path.resolve(options.data, 'tokens');
    await this.server('members', { count: members, file });
    await this.load('tokens', file);
  }

  /** One round through the server. Throws when an answer is not what this way answers, or when rows and answers differ. */
  async round(name: string, connections: number, limits: { requestsMax: number; secondsMax: number }, capacity?: number): Promise<Sample> {
    const way = WAYS[name] as Way;
    const { lessonId, poolId } = await this.server('lesson', { policy: way.policy, capacity: capacity ?? way.capacity });
    const before = await this.usage();
    const report = await this.load('run', {
      url: this.url,
      body: bodyOf(way, lessonId),
      connections,
      markers: [way.success, 'NoPlaceLeftError'],
      ...limits,
    });
    const after = await this.usage();
    const granted = await this.check(name, way, report, poolId, capacity ?? way.capacity);
    const { counters } = after.server;
    const since = (key: keyof typeof counters) => counters[key] - before.server.counters[key];
    const transactions = way.isUncounted ? report.answers : since('transactions');
    return {
      rate: report.answers / report.seconds,
      granted,
      seconds: report.seconds,
      p50Ms: report.p50Ms,
      p99Ms: report.p99Ms,
      serverMicros: (after.server.cpuMicros - before.server.cpuMicros) / report.answers,
      postgresMicros: (after.postgres - before.postgres) / report.answers,
      loadMicros: report.cpuMicros / report.answers,
      transactions,
      batch: since('batches') > 0 ? since('batched') / since('batches') : null,
      retriedShare: transactions > 0 ? since('retries') / transactions : 0,
    };
  }

  async rawRound(name: string): Promise<Sample> {
    const raw = RAW[name] as (typeof RAW)[string];
    const { poolId } = await this.server('lesson', { policy: 'PESSIMISTIC', capacity: 10_000_000 });
    const before = await postgresCpuMicros(this.postgres.directory);
    const report = await this.plain('run', { ...raw, databaseUrl: this.postgres.url, poolId, seconds });
    const after = await postgresCpuMicros(this.postgres.directory);
    return {
      rate: report.claims / report.seconds,
      granted: report.claims,
      seconds: report.seconds,
      p50Ms: report.p50Ms,
      p99Ms: report.p99Ms,
      serverMicros: report.cpuMicros / report.claims,
      postgresMicros: (after - before) / report.claims,
      loadMicros: null,
      transactions: report.transactions,
      batch: raw.way === 'batches' ? raw.batch : null,
      retriedShare: 0,
    };
  }

  async pgbenchRound(way: 'lock' | 'guarded'): Promise<number> {
    const { poolId } = await this.server('lesson', { policy: 'PESSIMISTIC', capacity: 10_000_000 });
    return pgbench(this.postgres.url, way, poolId, 64, seconds);
  }

  profile(file: string | null): Promise<void> {
    return this.server('profile', file);
  }

  close(): Promise<void> {
    return this.server('close', undefined as never);
  }

  private async usage() {
    const [server, postgres] = await Promise.all([this.server('usage', undefined as never), postgresCpuMicros(this.postgres.directory)]);
    return { server, postgres };
  }

  private async check(name: string, way: Way, report: LoadReport, poolId: string, capacity: number): Promise<number> {
    if (report.counts.other) throw new Error(`${name}: ${report.counts.other} unexpected answers, the first: ${report.otherAnswer}`);
    const granted = way.mutation === 'trivial' ? 0 : (report.counts[way.success] ?? 0);
    const expected = way.mutation === 'trivial' ? 0 : Math.min(report.answers, capacity);
    const audit = await this.server('audit', poolId);
    if (granted !== expected || audit.held !== granted || audit.holds !== granted || audit.violations > 0)
      throw new Error(`${name}: ${granted} answers granted of ${expected} expected, the database says ${JSON.stringify(audit)}`);
    return granted;
  }
}

const bodyOf = ({ mutation, success }: Way, lessonId: string) =>
  JSON.stringify({
    query: `mutation Enroll($input: EnrollInput!) {
  ${mutation}(input: $input) {
    __typename
    ... on ${success} { enrollment { id state expiresAt } }
    ... on Error { code message }
  }
}`,
    operationName: 'Enroll',
    variables: { input: { lessonId, withLocker: false, idempotencyKey: 'KEY' } },
  });

/** The rounds of one run, by way and number of connections. */
class Samples extends Map<string, Sample[]> {
  add(way: string, connections: number, sample: Sample): void {
    const key = `${way}/${connections}`;
    this.set(key, [...(this.get(key) ?? []), sample]);
  }
}

async function measureWays(bench: Bench, samples: Samples): Promise<void> {
  progress('warming up');
  for (const name of ways) await bench.round(name, 64, { ...ROUND, secondsMax: Math.min(2, seconds) });
  for (const connections of connectionCounts)
    for (let repeat = 1; repeat <= repeats; repeat++) {
      progress(`${connections} connections, repeat ${repeat} of ${repeats}`);
      // Every second repeat goes backwards, so that no way always follows the same one.
      for (const name of repeat % 2 ? ways : ways.toReversed()) samples.add(name, connections, await bench.round(name, connections, ROUND));
    }
}

async function profileWays(bench: Bench, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const name of ways) {
    await bench.profile(null);
    await bench.round(name, connectionCounts[0] ?? 256, ROUND);
    await bench.profile(path.resolve(directory, `${name}.cpuprofile`));
  }
}

/** Resolves to the rates of pgbench where it is installed. */
async function measurePlain(bench: Bench, samples: Samples, pgbenchVersion: string | null): Promise<Record<string, number[]>> {
  const pgbenchWays = pgbenchVersion ? (['lock', 'guarded'] as const) : [];
  const rates: Record<string, number[]> = Object.fromEntries(pgbenchWays.map((way) => [`pgbench ${way}`, []]));
  for (let repeat = 1; repeat <= repeats; repeat++) {
    progress(`PostgreSQL alone, repeat ${repeat} of ${repeats}`);
    for (const [name, { clients }] of Object.entries(RAW)) samples.add(name, clients, await bench.rawRound(name));
    for (const way of pgbenchWays) rates[`pgbench ${way}`]?.push(await bench.pgbenchRound(way));
  }
  return rates;
}

async function wholeJob(bench: Bench): Promise<Sample> {
  const requests = Math.min(100_000, Number(options.members));
  progress(`the whole job: ${requests} requests for ${requests / 10} places`);
  return bench.round('combined', 256, { requestsMax: requests, secondsMax: 600 }, requests / 10);
}

async function main(): Promise<void> {
  const directory = path.resolve(options.data);
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const postgres = await startEmbeddedPostgres({ directory: path.join(directory, 'postgres'), logger: pino({ level: 'silent' }) });
  const samples = new Samples();
  try {
    const machine = await machineOf(postgres.url);
    const bench = new Bench(postgres);
    await bench.prepare(Number(options.members));
    await measureWays(bench, samples);
    if (options.profile) await profileWays(bench, options.profile);
    const pgbenchVersion = options.raw ? await hasPgbench() : null;
    const pgbenchRates = options.raw ? await measurePlain(bench, samples, pgbenchVersion) : {};
    const job = options.job ? await wholeJob(bench) : null;
    await bench.close();
    const rows = summary(samples);
    const report = { machine, pgbenchVersion, rows, pgbench: pgbenchRates, job };
    if (options.json) console.log(JSON.stringify({ ...report, aims: aimsOf(rows), samples: Object.fromEntries(samples) }, null, 2));
    else printReport(report);
  } finally {
    for (const child of children)
      if (child.exitCode === null && child.signalCode === null) {
        child.disconnect();
        await once(child, 'exit');
      }
    await postgres.stop();
    await rm(postgres.directory, { recursive: true, force: true });
    await rm(directory, { recursive: true, force: true });
  }
}

await main();
