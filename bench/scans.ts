/**
 * Scans per second at the doors of one performance: real HTTP, a durable embedded PostgreSQL, every ticket genuine and signed. Beside them, in the same run:
 *
 * - `scan`: POST /door/performances/:id/scans, every ticket once: each lets somebody in.
 * - `again`: the same codes once more: each is turned away.
 * - `forged`: codes with another signature.
 * - `graphql`: `checkIn`, every ticket once.
 * - `upload`: the batch address, 500 scans a request, one request at a time.
 * - `statement`: the deciding function alone, on the plain driver.
 *
 * Usage: npm run bench -- scans [--connections 64] [--tickets 5000] [--repeats 3] [--only scan,upload] [--data DIRECTORY] [--json]
 *
 * Rounds of all ways alternate; after each, what was answered is compared with what is stored, and every invariant is checked.
 */
import 'reflect-metadata';
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { pino } from 'pino';
import { Agent, request } from 'undici';
import { type App, buildApp } from '../src/app.ts';
import { parseArguments, readConfig } from '../src/config.ts';
import { AccessTokens, RehearsalMembers } from '../src/features/accounts/index.ts';
import { startEmbeddedPostgres } from '../src/platform/database/embedded-postgres.ts';
import { toNodeId } from '../src/platform/graphql/node-ids.ts';
import { createLogger } from '../src/platform/logger.ts';
import { createRegistry } from '../src/platform/metrics.ts';
import { answerCalls, callsOf, ownCpuMicros } from './calls.ts';

interface Door {
  performanceId: string;
  staffId: string;
  token: string;
  tickets: { id: string; code: string }[];
}

type ServerCalls = {
  start(databaseUrl: string): Promise<string>;
  door(tickets: number): Promise<Door>;
  /** As before the doors opened. */
  reset(argument: null): Promise<void>;
  /** Used tickets, scans in the log, and violations of any invariant. */
  audit(argument: null): Promise<{ used: number; scans: number; violations: number }>;
  cpuMicros(argument: null): number;
  close(argument: null): Promise<void>;
};

const { values: options } = parseArgs({
  options: {
    connections: { type: 'string', default: '64' },
    tickets: { type: 'string', default: '5000' },
    repeats: { type: 'string', default: '3' },
    only: { type: 'string' },
    data: { type: 'string', default: path.join('.data', 'bench-scans') },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    /** Set by the bench itself. */
    role: { type: 'string' },
  },
});

function serve(): void {
  const secret = randomBytes(32).toString('base64url');
  let app: App;
  answerCalls({
    async start(databaseUrl) {
      const config = readConfig(parseArguments([]), {
        NODE_ENV: 'test',
        DATABASE_URL: databaseUrl,
        ACCESS_TOKEN_SECRET: secret,
        PORT: '0',
        LOG_LEVEL: 'warn',
      });
      app = await buildApp({ databaseUrl, config, logger: createLogger(config.log), registry: createRegistry() });
      return app.listen();
    },
    async door(tickets) {
      const [staff] = await new RehearsalMembers(app.database.pool, new AccessTokens(secret, 7_200)).createRehearsalMembers(1);
      if (!staff) throw new Error('no member was made');
      const { rows } = await app.database.pool.query<{ id: string; performance_id: string }>(DOOR, [staff.memberId, tickets]);
      const performanceId = rows[0]?.performance_id ?? '';
      return {
        performanceId,
        staffId: staff.memberId,
        token: staff.accessToken,
        tickets: await Promise.all(
          rows.map(async ({ id }) => ({ id, code: await app.ticketCodes.sign({ ticketId: id, performanceId, generation: 1 }) })),
        ),
      };
    },
    async reset() {
      await app.database.pool.query('update ticket set used_at = null, used_gate = null, used_by = null');
      await app.database.pool.query('truncate scan');
      await app.database.pool.query('vacuum analyze ticket, hold, scan');
    },
    async audit() {
      const { rows } = await app.database.pool.query(
        'select (select count(used_at)::int from ticket) as used, (select count(*)::int from scan) as scans',
      );
      const audit = await app.audits.run();
      return { ...rows[0], violations: audit.checks.reduce((total, check) => total + check.violations, 0) };
    },
    cpuMicros: ownCpuMicros,
    close: () => app.close(),
  } satisfies ServerCalls);
}

/** A performance that begins in an hour, whose organizer scans, with so many tickets of a tier without numbers, each of a booking of its own. */
const DOOR = `
  with venue as (insert into venue (owner_id, name, address, latitude, longitude) values ($1, 'Bench', 'Seoul', 37, 127) returning id),
  event as (insert into event (organizer_id, venue_id, title, body, category) select $1, id, 'Bench', '', 'CONCERT' from venue returning id),
  seats as (insert into pool (id, kind, capacity, policy, price_minor) values (uuidv7(), 'performance', 0, 'PESSIMISTIC', 0) returning id),
  performance as (
    insert into performance (id, event_id, starts_at, ends_at, cancellation)
    select seats.id, event.id, now() + interval '1 hour', now() + interval '3 hours', '[]' from seats, event returning id),
  places as (insert into pool (id, kind, capacity, sold, policy, price_minor) values (uuidv7(), 'tier', $2, $2, 'PESSIMISTIC', 0) returning id),
  tier as (
    insert into tier (id, performance_id, name, price_minor, position) select places.id, performance.id, 'Standing', 0, 0 from places, performance
    returning id),
  held as (
    insert into hold (kind, claimant_id, amount_minor, currency, expires_at, state, idempotency_key, request_hash)
    select 'performance', $1, 0, 'KRW', now(), 'CONFIRMED', 'bench ' || n, '' from generate_series(1, $2) n returning id),
  items as (insert into hold_item (hold_id, position, pool_id, quantity) select held.id, 0, tier.id, 1 from held, tier),
  paid as (
    insert into payment (hold_id, original_hold_id, member_id, state, is_current, amount_minor, currency, idempotency_key, request_hash)
    select id, id, $1, 'APPROVED', true, 0, 'KRW', id, '' from held)
  insert into ticket (hold_id, position, ordinal, performance_id, tier_id, owner_id)
  select held.id, 0, 0, performance.id, tier.id, $1 from held, performance, tier returning id, performance_id`;

interface Round {
  url: string;
  databaseUrl: string;
  door: Door;
  connections: number;
}

interface Measured {
  scans: number;
  seconds: number;
  latenciesMs: number[];
}

interface Way {
  /** Needs the tickets to be used before. */
  isAgain?: boolean;
  used: 'all' | 'none';
  run(round: Round): Promise<Measured>;
}

const BATCH = 500;

const WAYS: Record<string, Way> = {
  scan: { used: 'all', run: (round) => overHttp(round, ({ code }) => code, '"VALID"') },
  again: { isAgain: true, used: 'all', run: (round) => overHttp(round, ({ code }) => code, '"ALREADY_USED"') },
  forged: { used: 'none', run: (round) => overHttp(round, ({ code }) => `${code.slice(0, -8)}AAAAAAAA`, '"FORGED"') },
  graphql: { used: 'all', run: overGraphql },
  upload: { used: 'all', run: uploaded },
  statement: { used: 'all', run: alone },
};

async function bench(): Promise<void> {
  const connections = Number(options.connections);
  const names = options.only ? options.only.split(',') : Object.keys(WAYS);
  const directory = path.resolve(options.data);
  await mkdir(directory, { recursive: true });
  const postgres = await startEmbeddedPostgres({ directory, logger: pino({ level: 'silent' }) });
  let child: ChildProcess | undefined;
  try {
    child = fork(fileURLToPath(import.meta.url), ['--role', 'server'], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    const server = callsOf<ServerCalls>(child);
    const url = await server('start', postgres.url);
    const door = await server('door', Number(options.tickets));
    const round = { url, databaseUrl: postgres.url, door, connections };
    const samples: Sample[] = [];
    for (let repeat = 0; repeat < Number(options.repeats); repeat++) {
      for (const name of names) {
        const way = WAYS[name];
        if (!way) throw new Error(`There is no way ${name}: choose from ${Object.keys(WAYS).join(', ')}.`);
        await server('reset', null);
        if (way.isAgain) await alone(round);
        const cpu = await server('cpuMicros', null);
        const { scans, seconds, latenciesMs } = await way.run(round);
        const cpuUsed = (await server('cpuMicros', null)) - cpu;
        const { used, scans: logged, violations } = await server('audit', null);
        const expected = { used: way.used === 'all' ? door.tickets.length : 0, logged: scans + (way.isAgain ? door.tickets.length : 0) };
        if (used !== expected.used || logged !== expected.logged)
          throw new Error(`${name}: ${used} tickets are used and ${logged} scans logged, not ${JSON.stringify(expected)}.`);
        if (violations > 0) throw new Error(`${name}: ${violations} rows break an invariant.`);
        latenciesMs.sort((a, b) => a - b);
        const at = (share: number) => Math.round(latenciesMs[Math.floor(latenciesMs.length * share)] ?? 0);
        samples.push({
          way: name,
          perSecond: Math.round(scans / seconds),
          p50Ms: at(0.5),
          p99Ms: at(0.99),
          serverCpuMicros: name === 'statement' ? 0 : Math.round(cpuUsed / scans),
        });
      }
    }
    report(names, samples);
    await server('close', null);
  } finally {
    child?.kill();
    await postgres.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** Does one thing for each item, so many at once. */
async function measured<T>(items: readonly T[], abreast: number, scansEach: number, one: (item: T) => Promise<void>): Promise<Measured> {
  const latenciesMs: number[] = [];
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: abreast }, async () => {
      while (next < items.length) {
        const item = items[next++] as T;
        const from = performance.now();
        await one(item);
        latenciesMs.push(performance.now() - from);
      }
    }),
  );
  return { scans: items.length * scansEach, seconds: (performance.now() - startedAt) / 1_000, latenciesMs };
}

async function overHttp({ url, door, connections }: Round, codeOf: (ticket: Door['tickets'][number]) => string, marker: string) {
  const agent = new Agent({ connections, keepAliveTimeout: 10_000 });
  const address = `${url}/door/performances/${toNodeId('Performance', door.performanceId)}/scans`;
  const result = await measured(door.tickets, connections, 1, async (ticket) => {
    const said = await call(agent, address, door.token, { code: codeOf(ticket), gate: 'North' });
    if (!said.includes(marker)) throw new Error(`answered ${said}`);
  });
  await agent.close();
  return result;
}

async function overGraphql({ url, door, connections }: Round) {
  const agent = new Agent({ connections, keepAliveTimeout: 10_000 });
  const performanceId = toNodeId('Performance', door.performanceId);
  const result = await measured(door.tickets, connections, 1, async ({ code }) => {
    const said = await call(agent, `${url}/graphql`, door.token, {
      query: CHECK_IN,
      variables: { input: { performanceId, code, gate: 'North' } },
    });
    if (!said.includes('"CheckInSuccess"')) throw new Error(`answered ${said}`);
  });
  await agent.close();
  return result;
}

async function uploaded({ url, door }: Round) {
  const agent = new Agent({ connections: 1, keepAliveTimeout: 10_000 });
  const address = `${url}/door/performances/${toNodeId('Performance', door.performanceId)}/scans/batch`;
  const batches = Array.from({ length: Math.floor(door.tickets.length / BATCH) }, (_, index) =>
    door.tickets
      .slice(index * BATCH, (index + 1) * BATCH)
      .map(({ code }, number) => ({ id: randomUUID(), code, gate: 'West', scannedAt: new Date(Date.now() - number * 1_000) })),
  );
  const result = await measured(batches, 1, BATCH, async (scans) => {
    const said = await call(agent, address, door.token, { scans });
    if (said.split('"VALID"').length - 1 !== BATCH) throw new Error(`answered ${said.slice(0, 500)}`);
  });
  await agent.close();
  return result;
}

async function alone({ databaseUrl, door, connections }: Round) {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: Math.min(connections, 20) });
  const result = await measured(door.tickets, connections, 1, async ({ id }) => {
    const asked = JSON.stringify([{ id: randomUUID(), ticket: id, generation: 1, gate: 'North', at: null }]);
    const text = 'select check_in($1, $2, false, false, $3) as answer';
    const { rows } = await pool.query({ name: 'check_in', text, values: [door.performanceId, door.staffId, asked] });
    if (rows[0].answer.scans[0].result !== 'VALID') throw new Error(`answered ${JSON.stringify(rows[0])}`);
  });
  await pool.end();
  return result;
}

async function call(agent: Agent, url: string, token: string, body: object): Promise<string> {
  const response = await request(url, {
    method: 'POST',
    dispatcher: agent,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  return response.body.text();
}

interface Sample {
  way: string;
  perSecond: number;
  p50Ms: number;
  p99Ms: number;
  serverCpuMicros: number;
}

function report(names: string[], samples: Sample[]): void {
  const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  const rows = names.map((way) => {
    const own = samples.filter((sample) => sample.way === way);
    const of = (field: Exclude<keyof Sample, 'way'>) => median(own.map((sample) => sample[field]));
    return { way, perSecond: of('perSecond'), p50Ms: of('p50Ms'), p99Ms: of('p99Ms'), serverCpuMicros: of('serverCpuMicros') };
  });
  if (options.json) return void process.stdout.write(`${JSON.stringify(rows)}\n`);
  process.stdout.write('way            scans/s   p50 ms   p99 ms   server CPU µs a scan\n');
  for (const { way, perSecond, p50Ms, p99Ms, serverCpuMicros } of rows)
    process.stdout.write(
      `${way.padEnd(12)} ${String(perSecond).padStart(9)} ${String(p50Ms).padStart(8)} ${String(p99Ms).padStart(8)} ${String(serverCpuMicros || '').padStart(22)}\n`,
    );
}

const CHECK_IN =
  'mutation ($input: CheckInInput!) { checkIn(input: $input) { __typename ... on CheckInSuccess { ticket { seat { label } } } ... on Error { code } } }';

if (options.role === 'server') serve();
else if (options.help)
  process.stdout.write('npm run bench -- scans [--connections 64] [--tickets 5000] [--repeats 3] [--only scan,upload] [--json]\n');
else await bench();
