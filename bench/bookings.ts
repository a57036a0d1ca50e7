/**
 * Bookings per second end to end: claim, begin to pay, approve at the provider's page, come back, confirmed. Real HTTP at every step, a durable embedded
 * PostgreSQL, the providers simulated by a process of their own. Beside it, in the same run, what the steps cost without a provider:
 *
 * - `claim`: the hold alone.
 * - `free`: a hold of price 0, booked at once: claim, open, fence, confirm. The saga without a provider.
 * - `hot`: paid with Toss Payments, everybody in one lesson.
 * - `apart`: the same, but each payment is begun and concluded in transactions of its own, as those are that are not plain.
 * - `spread`: the same over 50 lessons, so that no two wait for one row.
 * - `kakaopay`, `portone`, `kispg`: one lesson, the other providers.
 *
 * Usage: npm run bench -- bookings [--clients 32] [--seconds 5] [--repeats 3] [--only hot,spread] [--data DIRECTORY] [--json]
 *
 * Rounds of all ways alternate; after each, every invariant is checked and a broken one ends the bench with an error.
 */
import 'reflect-metadata';
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { Agent, request } from 'undici';
import { type App, buildApp } from '../src/app.ts';
import { parseArguments, readConfig } from '../src/config.ts';
import { AccessTokens, RehearsalMembers } from '../src/features/accounts/index.ts';
import type { BookCaptured } from '../src/features/bookings/book-captured.ts';
import { insertLesson } from '../src/features/lessons/lessons.service.ts';
import { startEmbeddedPostgres } from '../src/platform/database/embedded-postgres.ts';
import { toNodeId } from '../src/platform/graphql/node-ids.ts';
import { createLogger } from '../src/platform/logger.ts';
import { createRegistry } from '../src/platform/metrics.ts';
import { payAs } from '../src/simulator/customer.ts';
import { Simulator } from '../src/simulator/simulator.ts';
import { answerCalls, callsOf, ownCpuMicros } from './calls.ts';

interface Way {
  provider: string | null;
  priceMinor: number;
  lessons: number;
  isApart?: boolean;
}

const WAYS: Record<string, Way> = {
  claim: { provider: null, priceMinor: 66_000, lessons: 1 },
  free: { provider: 'TOSS', priceMinor: 0, lessons: 1 },
  hot: { provider: 'TOSS', priceMinor: 66_000, lessons: 1 },
  apart: { provider: 'TOSS', priceMinor: 66_000, lessons: 1, isApart: true },
  spread: { provider: 'TOSS', priceMinor: 66_000, lessons: 50 },
  kakaopay: { provider: 'KAKAOPAY', priceMinor: 66_000, lessons: 1 },
  portone: { provider: 'PORTONE', priceMinor: 66_000, lessons: 1 },
  kispg: { provider: 'KISPG', priceMinor: 66_000, lessons: 1 },
};

type ServerCalls = {
  start(options: { databaseUrl: string; simulatorUrl: string }): Promise<string>;
  members(count: number): Promise<string[]>;
  lessons(options: { count: number; priceMinor: number }): Promise<string[]>;
  /** Whether each payment is begun and concluded by itself from now on. */
  apart(isApart: boolean): void;
  /** Confirmed bookings so far, and violations of any invariant. */
  audit(argument: null): Promise<{ confirmed: number; violations: number }>;
  cpuMicros(argument: null): number;
  close(argument: null): Promise<void>;
};

type SimulatorCalls = { start(argument: null): Promise<string> };

const { values: options } = parseArgs({
  options: {
    clients: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '5' },
    repeats: { type: 'string', default: '3' },
    only: { type: 'string' },
    data: { type: 'string', default: path.join('.data', 'bench-bookings') },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    /** Set by the bench itself. */
    role: { type: 'string' },
  },
});

function simulate(): void {
  answerCalls({ start: async () => (await Simulator.start()).url } satisfies SimulatorCalls);
}

function serve(): void {
  const secret = randomBytes(32).toString('base64url');
  let app: App;
  let instructorId = '';
  answerCalls({
    async start({ databaseUrl, simulatorUrl }) {
      const config = readConfig(parseArguments([]), {
        NODE_ENV: 'test',
        DATABASE_URL: databaseUrl,
        PAYMENT_SIMULATOR_URL: simulatorUrl,
        ACCESS_TOKEN_SECRET: secret,
        PORT: '0',
        LOG_LEVEL: 'warn',
      });
      app = await buildApp({ databaseUrl, config, logger: createLogger(config.log), registry: createRegistry() });
      const { rows } = await app.database.pool.query("insert into instructor (name) values ('Bench') returning id");
      instructorId = rows[0].id;
      return app.listen();
    },
    async members(count) {
      const rehearsal = new RehearsalMembers(app.database.pool, new AccessTokens(secret, 7_200));
      const tokens: string[] = [];
      while (tokens.length < count) {
        const made = await rehearsal.createRehearsalMembers(Math.min(10_000, count - tokens.length));
        tokens.push(...made.map(({ accessToken }) => accessToken));
      }
      return tokens;
    },
    async lessons({ count, priceMinor }) {
      const ids: string[] = [];
      for (let made = 0; made < count; made++)
        ids.push(
          await app.database.transact(
            (em) =>
              insertLesson(em, {
                title: 'Bench',
                level: 'BEGINNER',
                month: '2027-01',
                weekdays: ['MONDAY'],
                startsAt: '09:00',
                endsAt: '09:50',
                lane: 1,
                instructorId,
                capacity: 100_000,
                priceMinor,
                policy: 'PESSIMISTIC',
                monthlyLessonsMax: 100,
              }),
            { name: 'bench-lesson' },
          ),
        );
      return ids.map((id) => toNodeId('Lesson', id));
    },
    apart(isApart) {
      const { saga, preparing } = app.bookings;
      const { booking } = (saga as unknown as { parts: { booking: BookCaptured } }).parts;
      // On the object the bench's own, on its class the product's.
      for (const [target, name, answer] of [
        [booking, 'book', false],
        [preparing, 'startPlainly', null],
      ] as const)
        if (isApart) Object.assign(target, { [name]: () => Promise.resolve(answer) });
        else Reflect.deleteProperty(target, name);
    },
    async audit() {
      const { rows } = await app.database.pool.query("select count(*)::int as confirmed from hold where state = 'CONFIRMED'");
      const audit = await app.audits.run();
      return { confirmed: rows[0].confirmed, violations: audit.checks.reduce((total, check) => total + check.violations, 0) };
    },
    cpuMicros: ownCpuMicros,
    close: () => app.close(),
  } satisfies ServerCalls);
}

async function bench(): Promise<void> {
  const clients = Number(options.clients);
  const seconds = Number(options.seconds);
  const names = options.only ? options.only.split(',') : Object.keys(WAYS);
  const directory = path.resolve(options.data);
  await mkdir(directory, { recursive: true });
  const postgres = await startEmbeddedPostgres({ directory, logger: pino({ level: 'silent' }) });
  const children: ChildProcess[] = [];
  const child = (role: string) => {
    const made = fork(fileURLToPath(import.meta.url), ['--role', role], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    children.push(made);
    return made;
  };
  try {
    const simulator = callsOf<SimulatorCalls>(child('simulator'));
    const server = callsOf<ServerCalls>(child('server'));
    const url = await server('start', { databaseUrl: postgres.url, simulatorUrl: await simulator('start', null) });
    const samples: { way: string; perSecond: number; p50Ms: number; p99Ms: number; serverCpuMicros: number }[] = [];
    for (let repeat = 0; repeat < Number(options.repeats); repeat++) {
      for (const name of names) {
        const way = WAYS[name];
        if (!way) throw new Error(`There is no way ${name}: choose from ${Object.keys(WAYS).join(', ')}.`);
        // More than a round can use up.
        const tokens = await server('members', Math.ceil(seconds * (way.provider ? 2_000 : 8_000)));
        const lessons = await server('lessons', { count: way.lessons, priceMinor: way.priceMinor });
        await server('apart', way.isApart ?? false);
        const before = await server('audit', null);
        const cpu = await server('cpuMicros', null);
        const { latencies, elapsedSeconds } = await round(url, way, lessons, tokens, clients, seconds);
        const cpuUsed = (await server('cpuMicros', null)) - cpu;
        const after = await server('audit', null);
        const booked = way.provider ? after.confirmed - before.confirmed : latencies.length;
        if (booked !== latencies.length) throw new Error(`${name}: ${latencies.length} were told that they are booked, and ${booked} are.`);
        if (after.violations > 0) throw new Error(`${name}: ${after.violations} rows break an invariant.`);
        latencies.sort((a, b) => a - b);
        const at = (share: number) => Math.round(latencies[Math.floor(latencies.length * share)] ?? 0);
        samples.push({
          way: name,
          perSecond: Math.round(booked / elapsedSeconds),
          p50Ms: at(0.5),
          p99Ms: at(0.99),
          serverCpuMicros: Math.round(cpuUsed / booked),
        });
      }
    }
    report(names, samples);
    await server('close', null);
  } finally {
    for (const one of children) one.kill();
    await postgres.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

/** So many members at once, one after the other each, until the time is over. */
async function round(url: string, way: Way, lessons: string[], tokens: string[], clients: number, seconds: number) {
  const agent = new Agent({ connections: clients, keepAliveTimeout: 10_000 });
  const latencies: number[] = [];
  let member = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      while (performance.now() - startedAt < seconds * 1_000) {
        const token = tokens[member];
        if (token === undefined) throw new Error('more members are needed: use fewer seconds');
        const lessonId = lessons[member++ % lessons.length] as string;
        const from = performance.now();
        await book(agent, url, way.provider, lessonId, token);
        latencies.push(performance.now() - from);
      }
    }),
  );
  const elapsedSeconds = (performance.now() - startedAt) / 1_000;
  await agent.close();
  return { latencies, elapsedSeconds };
}

async function book(agent: Agent, url: string, provider: string | null, lessonId: string, token: string): Promise<void> {
  const enrolled = await call(agent, url, token, ENROLL, { input: { lessonId, idempotencyKey: randomUUID() } });
  const holdId = enrolled.enroll?.enrollment?.id;
  if (!holdId) throw new Error(`not enrolled: ${JSON.stringify(enrolled)}`);
  if (!provider) return;
  const prepared = await call(agent, url, token, PREPARE, { input: { holdId, provider, idempotencyKey: randomUUID() } });
  const payment = prepared.preparePayment?.payment;
  if (!payment) throw new Error(`payment did not begin: ${JSON.stringify(prepared)}`);
  if (!payment.checkout) return;
  const { url: page, method, fields } = payment.checkout;
  const checkout = {
    url: page,
    method,
    fields: Object.fromEntries(fields.map(({ name, value }: { name: string; value: string }) => [name, value])),
  };
  const landed = await payAs(checkout, 'approve');
  if (landed?.status !== 303) throw new Error(`came back to ${landed?.status}`);
  const ended = await call(agent, url, token, PAYMENT, { id: payment.id });
  if (ended.payment?.state !== 'APPROVED') throw new Error(`not paid: ${JSON.stringify(ended)}`);
}

// biome-ignore lint/suspicious/noExplicitAny: whatever the three operations below answer.
async function call(agent: Agent, url: string, token: string, query: string, variables: object): Promise<any> {
  const { body } = await request(`${url}/graphql`, {
    method: 'POST',
    dispatcher: agent,
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = (await body.json()) as { data: unknown; errors?: unknown };
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

function report(
  names: string[],
  samples: { way: string; perSecond: number; p50Ms: number; p99Ms: number; serverCpuMicros: number }[],
): void {
  const median = (values: number[]) => values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
  const rows = names.map((way) => {
    const own = samples.filter((sample) => sample.way === way);
    const of = (field: 'perSecond' | 'p50Ms' | 'p99Ms' | 'serverCpuMicros') => median(own.map((sample) => sample[field]));
    return { way, perSecond: of('perSecond'), p50Ms: of('p50Ms'), p99Ms: of('p99Ms'), serverCpuMicros: of('serverCpuMicros') };
  });
  if (options.json) return void process.stdout.write(`${JSON.stringify(rows)}\n`);
  const base = rows.find(({ way }) => way === 'free')?.perSecond;
  process.stdout.write('way        bookings/s   p50 ms   p99 ms   server CPU µs   of free\n');
  for (const { way, perSecond, p50Ms, p99Ms, serverCpuMicros } of rows)
    process.stdout.write(
      `${way.padEnd(10)} ${String(perSecond).padStart(10)} ${String(p50Ms).padStart(8)} ${String(p99Ms).padStart(8)} ${String(serverCpuMicros).padStart(15)}   ${base ? (perSecond / base).toFixed(2) : ''}\n`,
    );
}

const ENROLL =
  'mutation ($input: EnrollInput!) { enroll(input: $input) { ... on EnrollSuccess { enrollment { id } } ... on Error { code } } }';
const PREPARE = `mutation ($input: PreparePaymentInput!) { preparePayment(input: $input) {
  ... on PreparePaymentSuccess { payment { id checkout { url method fields { name value } } } } ... on Error { code } } }`;
const PAYMENT = 'query ($id: ID!) { payment(id: $id) { state } }';

if (options.role === 'server') serve();
else if (options.role === 'simulator') simulate();
else if (options.help)
  process.stdout.write('npm run bench -- bookings [--clients 32] [--seconds 5] [--repeats 3] [--only hot,spread] [--json]\n');
else await bench();
