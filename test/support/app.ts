import { randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import pg from 'pg';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { type App, type AppOptions, buildApp } from '../../src/app.ts';
import { type Environment, parseArguments, readConfig } from '../../src/config.ts';
import { AccessTokens, RehearsalMembers } from '../../src/features/accounts/index.ts';
import { features } from '../../src/features/index.ts';
import type { ProviderSettings } from '../../src/features/payments/index.ts';
import { parseNodeId, toNodeId } from '../../src/platform/graphql/node-ids.ts';
import { Simulator, type SimulatorOptions } from '../../src/simulator/simulator.ts';
import { TestClient } from './client.ts';
import { testDatabaseUrl } from './database.ts';
import { rewriteFunction } from './meeting.ts';
import { query, queryAll } from './sql.ts';
import { eventually } from './wait.ts';

/** Signs the tokens of every test server, so that a test can sign some too. */
export const ACCESS_TOKEN_SECRET = 'a secret of the tests, 32 bytes long';

export const testTokens = () => new AccessTokens(ACCESS_TOKEN_SECRET, 3_600);

export type Role = 'MEMBER' | 'ORGANIZER' | 'ADMIN';

export interface TestMember {
  /** The node id. */
  id: string;
  uuid: string;
  accessToken: string;
  /** Calls as this member. */
  client: TestClient;
}

/** What tests do with a server and its database, whether it runs in this process or in another one. */
export class TestStage {
  readonly anonymous: TestClient;

  constructor(
    readonly url: string,
    readonly databaseUrl: string,
  ) {
    this.anonymous = new TestClient(url);
  }

  /** One statement on a connection of its own, as a bystander would see it. */
  query<Row extends Record<string, unknown> = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return query<Row>(this.databaseUrl, sql, values);
  }

  /** Members without passwords, every second one a man, the first a woman: some microseconds each. */
  async members(count: number, role: Role = 'MEMBER'): Promise<TestMember[]> {
    const pool = { query: async (sql: string, values: unknown[]) => ({ rows: await this.query(sql, values) }) };
    const made = await new RehearsalMembers(pool as never, testTokens()).createRehearsalMembers(count);
    if (role !== 'MEMBER')
      await this.query('update member set role = $1 where id = any($2::uuid[])', [role, made.map(({ memberId }) => memberId)]);
    const uuids = made.map(({ memberId }) => memberId);
    // The statement that makes them returns them in no order.
    const rows = await this.query<{ id: string; gender: string }>(
      'select id, gender from member where id = any($1::uuid[]) order by substring(display_name from 11)::int',
      [uuids],
    );
    return rows.map(({ id }) => {
      const accessToken = made.find(({ memberId }) => memberId === id)?.accessToken ?? '';
      return { id: toNodeId('Member', id), uuid: id, accessToken, client: this.anonymous.as(accessToken) };
    });
  }

  async member(role: Role = 'MEMBER', gender: 'FEMALE' | 'MALE' | null = 'FEMALE'): Promise<TestMember> {
    const [member] = await this.members(1, role);
    if (!member) throw new Error('no member was made');
    await this.query('update member set gender = $1 where id = $2', [gender, member.uuid]);
    return member;
  }

  private administrator: Promise<TestMember> | undefined;

  admin(): Promise<TestMember> {
    this.administrator ??= this.member('ADMIN');
    return this.administrator;
  }

  private instructorId: Promise<string> | undefined;

  /** A lesson made through the API, on sale, of a month of its own unless one is given. */
  async lesson(input: Record<string, unknown> = {}): Promise<string> {
    const { client } = await this.admin();
    this.instructorId ??= client
      .run('TestCreateInstructor', { input: { name: 'Seo-yeon Kim', idempotencyKey: randomUUID() } })
      .then((made) => made.instructor.id);
    const made = await client.run('TestCreateLesson', {
      input: {
        title: 'Dawn masters',
        level: 'MASTERS',
        month: nextMonth(),
        weekdays: ['MONDAY', 'WEDNESDAY'],
        startsAt: '06:00',
        endsAt: '06:50',
        lane: 1,
        capacity: 10,
        priceMinor: 80_000,
        policy: 'PESSIMISTIC',
        instructorId: await this.instructorId,
        idempotencyKey: randomUUID(),
        ...input,
      },
    });
    if (made.__typename !== 'LessonSuccess') throw new Error(`no lesson was made: ${JSON.stringify(made)}`);
    return made.lesson.id;
  }

  async lockers(month: string, gender: 'FEMALE' | 'MALE', capacity: number): Promise<string> {
    const { client } = await this.admin();
    const set = await client.run('TestSetLockerCapacity', { input: { month, gender, capacity } });
    return set.lockerStock.id;
  }

  /** Lets the deadline of a hold pass. */
  async expire(holdId: string): Promise<void> {
    await this.query("update hold set expires_at = clock_timestamp() - interval '1 second' where id = $1", [uuidIn(holdId)]);
  }

  /** The counters as stored: what is left after a test is compared with these. */
  async counters(nodeId: string): Promise<{ capacity: number; held: number; sold: number }> {
    const [row] = await this.query<{ capacity: number; held: number; sold: number }>(
      'select capacity, held, sold from pool where id = $1',
      [uuidIn(nodeId)],
    );
    if (!row) throw new Error(`no pool ${nodeId}`);
    return row;
  }

  /** Every invariant of every feature, as SQL that must return no rows. */
  async brokenInvariants(): Promise<{ check: string; rows: unknown[] }[]> {
    const checks = features.flatMap((feature) => feature.checks ?? []);
    const found = await queryAll(
      this.databaseUrl,
      checks.map(({ sql }) => sql),
    );
    return checks.flatMap(({ name }, index) => (found[index]?.length ? [{ check: name, rows: found[index] }] : []));
  }

  /**
   * Takes a protection out of a function of this database, so that a test can show what it protects from. Throws when the function does not
   * have that text, so that a control cannot quietly control nothing.
   */
  async sabotage(functionName: string, protection: string, replacement: string): Promise<void> {
    await rewriteFunction(this.query.bind(this), functionName, protection, replacement);
  }

  /**
   * Makes everybody who comes to this place of a function wait there, until `openFor` has counted so many and lets them all go on together.
   * They wait at most 2 s, as for any lock.
   */
  async gate(functionName: string, place: string): Promise<{ openFor(count: number): Promise<void> }> {
    await this.sabotage(functionName, place, `perform pg_advisory_xact_lock_shared(${GATE}); ${place}`);
    const keeper = new pg.Client({ connectionString: this.databaseUrl });
    await keeper.connect();
    await keeper.query('select pg_advisory_lock($1)', [GATE]);
    return {
      openFor: async (count) => {
        await eventually(async () => {
          const waiting = await keeper.query("select 1 from pg_locks where locktype = 'advisory' and objid = $1 and not granted", [GATE]);
          return waiting.rowCount === count;
        });
        await keeper.end();
      },
    };
  }

  /** Makes every insert into a table take 0.2 s, so that rivals have looked before one of them writes. Resolves to the function that ends it. */
  async slowInserts(table: string): Promise<() => Promise<unknown>> {
    await this.query('create function slowly() returns trigger language plpgsql as $$ begin perform pg_sleep(0.2); return new; end $$');
    await this.query(`create trigger slowly before insert on ${table} for each row execute function slowly()`);
    return () => this.query('drop function slowly cascade');
  }

  /** From here on nobody tidies: the sweep of every process does nothing. */
  async stopSweeping(): Promise<void> {
    await this.query(
      'create or replace function expire_holds(p_limit int) returns setof pool language sql as $$ select * from pool where p_limit < 0 $$',
    );
  }
}

export class TestApp extends TestStage implements AsyncDisposable {
  constructor(
    url: string,
    databaseUrl: string,
    readonly app: App,
    readonly registry: Registry,
    /** What was logged, as objects. */
    readonly logged: Record<string, unknown>[],
    /** The payment providers it uses. */
    readonly simulator: Simulator,
    private readonly end: () => Promise<void>,
  ) {
    super(url, databaseUrl);
  }

  /** Stops the server and drops its database, which fails when a connection was left open. */
  async close(): Promise<void> {
    await this.anonymous.close();
    await this.app.close();
    await this.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

export interface TestAppOptions {
  /** Environment variables over those of a test server. */
  environment?: Environment;
  role?: 'api' | 'worker' | 'all';
  redisUrl?: string;
  /** A second node on the database of the first, which alone drops it. */
  databaseUrl?: string;
  /** The simulator of another node, or how to start one. */
  simulator?: Simulator | SimulatorOptions;
  /** What the application is told of the providers; the simulator's own settings unless said otherwise. */
  providers?: ProviderSettings;
  /** More features, as in `AppOptions`. */
  extra?: NonNullable<AppOptions['extra']>;
}

/** The environment of a test server, in this process or in another one. */
export const testEnvironment = (databaseUrl: string, environment: Environment = {}): Environment & { DATABASE_URL: string } => ({
  NODE_ENV: 'test',
  PORT: '0',
  DATABASE_URL: databaseUrl,
  ACCESS_TOKEN_SECRET,
  LOG_LEVEL: 'warn',
  INTROSPECTION: 'off',
  GRAPHIQL: 'off',
  SEED: 'off',
  REHEARSALS: 'on',
  // An answer that is only slow must not become an unknown outcome. What is to time out hangs, on a node that gives up early.
  PAYMENT_CONNECT_TIMEOUT_MS: '10000',
  PAYMENT_ANSWER_TIMEOUT_MS: '20000',
  PAYMENT_LOOK_AGAIN_SECONDS: '1',
  RECONCILE_SECONDS: '1',
  ...environment,
});

/** The real application, on a database of its own and a free port. */
export async function testApp(options: TestAppOptions = {}): Promise<TestApp> {
  const { url: databaseUrl, drop } = options.databaseUrl
    ? { url: options.databaseUrl, drop: async () => undefined }
    : await testDatabaseUrl();
  const environment = testEnvironment(databaseUrl, { ...(options.redisUrl && { REDIS_URL: options.redisUrl }), ...options.environment });
  const config = readConfig(parseArguments(['--role', options.role ?? 'api']), environment);
  const logged: Record<string, unknown>[] = [];
  const registry = new Registry();
  const logger = pino(
    { level: config.log.level },
    new Writable({ write: (line, _, done) => done(void logged.push(JSON.parse(String(line)))) }),
  );
  const simulator = options.simulator instanceof Simulator ? options.simulator : await Simulator.start(options.simulator);
  const offersPayments = environment.PAYMENT_SIMULATOR !== 'off';
  const app = await buildApp({
    databaseUrl,
    config,
    logger,
    registry,
    ...(offersPayments && { providers: options.providers ?? simulator.settings }),
    ...(options.extra && { extra: options.extra }),
  });
  const url = await app.listen();
  for (const provider of ['TOSS', 'PORTONE', 'KISPG'] as const)
    simulator.registerWebhook(provider, `${url}/webhooks/${provider.toLowerCase()}`);
  const end = async () => {
    if (simulator !== options.simulator) await simulator.close();
    await drop();
  };
  return new TestApp(url, databaseUrl, app, registry, logged, simulator, end);
}

/** Any number nobody else takes an advisory lock on. */
const GATE = 4711;

/** The UUID inside a node id. */
export function uuidIn(nodeId: string): string {
  const parsed = parseNodeId(nodeId);
  if (!parsed) throw new Error(`${nodeId} is not a node id`);
  return parsed.uuid;
}

/** How often each type of answer was given. */
export function tally(answers: readonly { __typename: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { __typename } of answers) counts[__typename] = (counts[__typename] ?? 0) + 1;
  return counts;
}

let monthsGiven = 0;

/** A month no other lesson of this file is in, so that monthly limits and alternatives of tests do not meet. */
export function nextMonth(): string {
  const month = new Date(Date.UTC(2027, monthsGiven++, 1));
  return month.toISOString().slice(0, 7);
}
