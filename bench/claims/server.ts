/** The server under load: the real application as in production, with the baselines beside `enroll`. A process of its own, so that its CPU time is its own. */
import 'reflect-metadata';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import pg from 'pg';
import { type App, buildApp } from '../../src/app.ts';
import { parseArguments, readConfig } from '../../src/config.ts';
import { AccessTokens, RehearsalMembers } from '../../src/features/accounts/index.ts';
import { insertLesson } from '../../src/features/lessons/lessons.service.ts';
import type { Policy } from '../../src/inventory/pool.entity.ts';
import { toNodeId } from '../../src/platform/graphql/node-ids.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { createRegistry } from '../../src/platform/metrics.ts';
import { answerCalls, ownCpuMicros } from '../calls.ts';
import { BaselinesResolver } from './baselines.ts';

export interface Counters {
  transactions: number;
  retries: number;
  batches: number;
  batched: number;
}

export type ServerCalls = {
  /** Answers the address. */
  start(options: { databaseUrl: string; poolMax: number }): Promise<string>;
  /** Makes members and writes their access tokens to a file, one a line, in random order. */
  members(options: { count: number; file: string }): Promise<void>;
  /** Empties the holds, makes a lesson, and writes a checkpoint so that every round begins alike. */
  lesson(options: { policy: Policy; capacity: number }): Promise<{ lessonId: string; poolId: string }>;
  /** What a lesson's pool says, what its holds say, and the violations of every invariant. */
  audit(poolId: string): Promise<{ held: number; holds: number; violations: number }>;
  /** CPU time and counters since the process began. */
  usage(): Promise<{ cpuMicros: number; counters: Counters }>;
  /** Samples the CPU from here until it is called with a file, which then gets the profile. */
  profile(file: string | null): Promise<void>;
  close(): Promise<void>;
};

const secret = randomBytes(32).toString('base64url');
const registry = createRegistry();
let app: App;
/** Without the limits that every session of the application carries: a checkpoint under load takes its time. */
let unlimited: pg.Client;
let instructorId: string;
let profiler: Session | undefined;

answerCalls({
  async start({ databaseUrl, poolMax }) {
    const config = readConfig(parseArguments([]), {
      NODE_ENV: 'production',
      DATABASE_URL: databaseUrl,
      DATABASE_POOL_MAX: String(poolMax),
      ACCESS_TOKEN_SECRET: secret,
      PORT: '0',
      LOG_LEVEL: 'warn',
    });
    const extra = {
      features: [{ name: 'baselines', resolvers: [BaselinesResolver] }],
      resolvers: ({ database }: Pick<App, 'database'>) => [new BaselinesResolver(database)],
    };
    app = await buildApp({ databaseUrl, config, logger: createLogger(config.log), registry, extra });
    unlimited = new pg.Client({ connectionString: databaseUrl });
    await unlimited.connect();
    const { rows } = await unlimited.query("insert into instructor (name) values ('Bench') returning id");
    instructorId = rows[0].id;
    return app.listen();
  },

  async members({ count, file }) {
    const rehearsal = new RehearsalMembers(app.database.pool, new AccessTokens(secret, 7200));
    const tokens: string[] = [];
    while (tokens.length < count) {
      const made = await rehearsal.createRehearsalMembers(Math.min(10_000, count - tokens.length));
      for (const { accessToken } of made) tokens.push(accessToken);
    }
    await writeFile(file, shuffled(tokens).join('\n'), 'latin1');
  },

  async lesson({ policy, capacity }) {
    await unlimited.query('truncate hold cascade; delete from lesson; delete from pool');
    const poolId = await app.database.transact(
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
          capacity,
          priceMinor: 66_000,
          policy,
          monthlyLessonsMax: 4,
        }),
      { name: 'bench-lesson' },
    );
    await unlimited.query('checkpoint');
    return { lessonId: toNodeId('Lesson', poolId), poolId };
  },

  async audit(poolId) {
    const { rows } = await unlimited.query(
      'select held, (select count(*)::int from hold_item i where i.pool_id = p.id) as holds from pool p where id = $1',
      [poolId],
    );
    const audit = await app.audits.run();
    return { ...rows[0], violations: audit.checks.reduce((total, check) => total + check.violations, 0) };
  },

  async usage() {
    const read = async (name: string) => (await registry.getSingleMetric(name)?.get())?.values ?? [];
    const sum = (values: { value: number }[]) => values.reduce((total, { value }) => total + value, 0);
    const batches = (await read('lastseat_claim_batch_size')) as { value: number; metricName?: string }[];
    const part = (suffix: string) => sum(batches.filter(({ metricName }) => metricName?.endsWith(suffix)));
    return {
      cpuMicros: ownCpuMicros(),
      counters: {
        transactions: sum(await read('lastseat_transactions_total')),
        retries: sum(await read('lastseat_transaction_retries_total')),
        batches: part('_count'),
        batched: part('_sum'),
      },
    };
  },

  async profile(file) {
    if (file === null) {
      profiler = new Session();
      profiler.connect();
      await profiler.post('Profiler.enable');
      await profiler.post('Profiler.setSamplingInterval', { interval: 500 });
      await profiler.post('Profiler.start');
      return;
    }
    if (!profiler) throw new Error('no profile has been started');
    const { profile } = await profiler.post('Profiler.stop');
    profiler.disconnect();
    await writeFile(file, JSON.stringify(profile));
  },

  async close() {
    await unlimited.end();
    await app.close();
  },
} satisfies ServerCalls);

function shuffled<T>(items: T[]): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = Math.floor(Math.random() * (last + 1));
    [items[last], items[other]] = [items[other] as T, items[last] as T];
  }
  return items;
}
