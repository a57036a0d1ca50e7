import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { ACCOUNTS_DEFAULTS } from './features/accounts/accounts.config.ts';
import { DEFAULT_LIMITS } from './platform/graphql/limits.ts';
import { WEBSOCKET_LIMITS } from './platform/graphql/websocket.ts';

/** Everything that can be set, in the slices its users take. */
export interface Config {
  environment: 'development' | 'test' | 'production';
  roles: { api: boolean; worker: boolean };
  /** Absolute. Holds the embedded database and what has to survive a restart. */
  dataDirectory: string;
  http: {
    host: string;
    /** 0 takes a free one. */
    port: number;
    /** Addresses and networks whose `X-Forwarded-For` is believed. */
    trustedProxies: string[];
    /** How long a stop waits for requests under way. */
    drainSeconds: number;
  };
  database: {
    /** Undefined means the embedded one. */
    url: string | undefined;
    embeddedDirectory: string;
    poolMax: number;
  };
  redis: { url: string | undefined };
  log: { level: LogLevel };
  accessTokens: { secret: string; seconds: number };
  graphql: { introspection: boolean; graphiql: boolean; costMax: number; depthMax: number; aliasesMax: number };
  sockets: { socketsMax: number; socketsPerAddressMax: number };
  claims: { batchMax: number; queueMax: number };
  lessons: { monthlyMax: number };
  payments: { sandbox: boolean };
  worker: { concurrency: number; deadSeconds: number };
  metrics: { token: string | undefined };
  /** Whether administrators may make members and tokens in bulk. Never in production. */
  rehearsals: boolean;
  /** Whether an empty database gets the demonstration timetable. */
  seed: boolean;
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface Arguments {
  command: 'run' | 'help' | 'version';
  role: 'all' | 'api' | 'worker';
  port?: string;
}

/** What is wrong with the configuration, all of it: one sentence a problem, no secret in any. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(problems.join('\n'));
  }
}

/** A row of the table that `--help` prints and the documentation shows. */
export interface VariableDescription {
  name: string;
  allowed: string;
  default: string;
  description: string;
}

const ROLES = ['all', 'api', 'worker'] as const;
const SECRET_BYTES_MIN = 32;

/** `byDefault` is said in words where it depends on other variables. */
interface Meta extends Record<string, unknown> {
  allowed: string;
  byDefault?: string;
  /** The value, or a part of it, is a secret: problems do not show it. */
  secret?: boolean;
}

const optional = <T>(schema: z.ZodType<T, string>, description: string, meta: Meta) => schema.optional().meta({ description, ...meta });

const withDefault = <T extends string | number>(schema: z.ZodType<T, string>, value: T, description: string, meta: Meta) =>
  schema
    .optional()
    .transform((given) => given ?? value)
    .meta({ description, byDefault: String(value), ...meta });

const wholeNumber = (min: number, max: number, value: number, description: string) =>
  withDefault(
    z
      .string()
      .regex(/^\d{1,9}$/)
      .transform(Number)
      .pipe(z.number().min(min).max(max)),
    value,
    description,
    {
      allowed: `a whole number from ${min} to ${max}`,
    },
  );

const choice = <T extends string>(values: readonly T[], value: T, description: string) =>
  withDefault(z.enum(values as [T, ...T[]]) as unknown as z.ZodType<T, string>, value, description, { allowed: values.join(', ') });

const flag = (byDefault: string, description: string) =>
  optional(
    z.enum(['on', 'off', 'true', 'false', '1', '0']).transform((given) => ['on', 'true', '1'].includes(given)) as z.ZodType<
      boolean,
      string
    >,
    description,
    { allowed: 'on, off', byDefault },
  );

const urlOf = (...schemes: string[]) =>
  z.string().refine((given) => schemes.some((scheme) => given.startsWith(scheme)) && URL.canParse(given));

/** An address or a network: what Fastify hands to proxy-addr. */
const isNetwork = (given: string) => {
  const [address = '', bits, ...rest] = given.split('/');
  const family = isIP(address);
  return family > 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)));
};

const VARIABLES = z.object({
  PORT: wholeNumber(0, 65_535, 4000, 'The port of HTTP and WebSocket; 0 takes a free one.'),
  HOST: withDefault(z.string().regex(/^[A-Za-z0-9.:_-]+$/), '127.0.0.1', 'The address to listen on; 0.0.0.0 opens it to the network.', {
    allowed: 'an address or a host name of this machine',
  }),
  DATABASE_URL: optional(
    urlOf('postgres://', 'postgresql://'),
    'A PostgreSQL 18 or newer. Unset, lastseat runs an embedded one in DATA_DIR.',
    { allowed: 'postgres://user:password@host:port/database', byDefault: 'embedded', secret: true },
  ),
  DATABASE_POOL_MAX: wholeNumber(2, 500, 20, 'Connections this process opens to the database at most, the few of its worker aside.'),
  REDIS_URL: optional(
    urlOf('redis://', 'rediss://'),
    'A Redis or Valkey that carries live updates between nodes. Unset, updates stay within this process.',
    { allowed: 'redis://user:password@host:port', byDefault: 'in-process', secret: true },
  ),
  DATA_DIR: withDefault(z.string().min(1), '.data', 'Where the embedded database and the generated secret are kept.', {
    allowed: 'a directory',
  }),
  NODE_ENV: choice(
    ['development', 'test', 'production'],
    'development',
    'In production introspection, GraphiQL, seed and rehearsals are off.',
  ),
  LOG_LEVEL: choice(LOG_LEVELS, 'info', 'The least severe level that is logged.'),
  ACCESS_TOKEN_SECRET: optional(
    z.string().refine((given) => Buffer.byteLength(given) >= SECRET_BYTES_MIN),
    'Signs access tokens; the same on every node. Required in production, otherwise made once and kept in DATA_DIR.',
    { allowed: `at least ${SECRET_BYTES_MIN} bytes of text`, byDefault: 'generated', secret: true },
  ),
  ACCESS_TOKEN_SECONDS: wholeNumber(30, 86_400, ACCOUNTS_DEFAULTS.accessTokenSeconds, 'How long an access token is good for.'),
  TRUSTED_PROXIES: optional(
    z
      .string()
      .transform((given) => given.split(',').map((part) => part.trim()))
      .refine((parts) => parts.every(isNetwork)) as unknown as z.ZodType<string[], string>,
    'Proxies whose X-Forwarded-For is believed. Trust only your own: limits by address depend on it.',
    { allowed: 'addresses and networks with commas between, such as 10.0.0.0/8', byDefault: 'none' },
  ),
  INTROSPECTION: flag('on, off in production', 'Whether clients may ask for the schema.'),
  GRAPHIQL: flag('on, off in production', 'Whether /graphiql is served.'),
  GRAPHQL_COST_MAX: wholeNumber(1, 1_000_000, DEFAULT_LIMITS.costMax, 'The highest price of one operation.'),
  GRAPHQL_DEPTH_MAX: wholeNumber(1, 100, DEFAULT_LIMITS.depthMax, 'Fields inside fields of one operation.'),
  GRAPHQL_ALIASES_MAX: wholeNumber(0, 1000, DEFAULT_LIMITS.aliasesMax, 'Aliased fields of one operation.'),
  SOCKETS_MAX: wholeNumber(1, 1_000_000, WEBSOCKET_LIMITS.socketsMax, 'Open WebSockets of this process.'),
  SOCKETS_PER_ADDRESS_MAX: wholeNumber(1, 1_000_000, WEBSOCKET_LIMITS.socketsPerAddressMax, 'Open WebSockets of one client address.'),
  CLAIMS_BATCH_MAX: wholeNumber(1, 512, 512, 'Claims decided in one transaction.'),
  CLAIMS_QUEUE_MAX: wholeNumber(1, 1_000_000, 20_000, 'Claims waiting in this process before new ones are told to come back.'),
  MONTHLY_LESSONS_MAX: wholeNumber(1, 100, 4, 'Lessons one member may have in a month; counts for lessons made from then on.'),
  SANDBOX_PAYMENTS: flag('on, off in production', 'Whether the payment provider without money is offered.'),
  WORKER_CONCURRENCY: wholeNumber(1, 50, 4, 'Jobs this process runs at once; each may hold one more database connection.'),
  WORKER_DEAD_SECONDS: wholeNumber(5, 3600, 30, 'A worker silent for so long is dead: its jobs are given to others.'),
  DRAIN_SECONDS: wholeNumber(0, 300, 10, 'How long a stop waits for requests under way.'),
  METRICS_TOKEN: optional(
    z.string().min(16),
    'What /metrics asks for as a bearer token. Unset, it answers only direct callers from this machine.',
    { allowed: 'at least 16 characters', byDefault: 'none', secret: true },
  ),
  REHEARSALS: flag(
    'on with the embedded database, off in production',
    'Whether administrators may make members in bulk. Refused in production.',
  ),
  SEED: flag(
    'on with the embedded database, off in production',
    'Whether an empty database gets the demonstration timetable and accounts.',
  ),
});

type Variables = z.output<typeof VARIABLES>;
export type Environment = Readonly<Record<string, string | undefined>>;

/** Every variable, in the order of the schema. */
export function describeVariables(): VariableDescription[] {
  return Object.entries(VARIABLES.shape).map(([name, schema]) => {
    const { allowed, byDefault, description } = metaOf(schema);
    return { name, allowed, default: byDefault ?? '', description };
  });
}

/** What `--help` prints. */
export function helpText(): string {
  const variables = describeVariables().map(
    (variable) => `  ${variable.name}\n      ${variable.description}\n      Allowed: ${variable.allowed}. Default: ${variable.default}.`,
  );
  return [
    'lastseat: a booking engine for things that run out.',
    '',
    'Usage: npm start -- [--role all|api|worker] [--port NUMBER] [--help] [--version]',
    '',
    '  --role      all (default) serves the API and runs jobs in one process; api or worker alone need DATABASE_URL.',
    '  --port      The same as PORT, and stronger.',
    '',
    'Environment variables:',
    '',
    ...variables,
    '',
  ].join('\n');
}

/**
 * Reads the command line.
 *
 * @throws ConfigError for a flag or a role that does not exist.
 */
export function parseArguments(argv: readonly string[]): Arguments {
  let values: { role?: string; port?: string; help?: boolean; version?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: { role: { type: 'string' }, port: { type: 'string' }, help: { type: 'boolean', short: 'h' }, version: { type: 'boolean' } },
      strict: true,
      allowPositionals: false,
    }));
  } catch (error) {
    const sentence = (error as Error).message.split('. ')[0];
    throw new ConfigError([`${sentence}. Allowed are --role, --port, --help and --version.`]);
  }
  const role = ROLES.find((known) => known === (values.role ?? 'all'));
  if (!role) throw new ConfigError([`--role is ${quoted(values.role ?? '')}. Allowed: ${ROLES.join(', ')}.`]);
  return {
    command: values.help ? 'help' : values.version ? 'version' : 'run',
    role,
    ...(values.port === undefined ? {} : { port: values.port }),
  };
}

/**
 * Reads the environment, all of it, once. Makes the secret of access tokens in DATA_DIR where it may.
 *
 * @throws ConfigError with every problem found.
 */
export function readConfig(args: Arguments = parseArguments([]), environment: Environment = process.env): Config {
  const given = Object.fromEntries(
    Object.keys(VARIABLES.shape).map((name) => [name, environment[name] === '' ? undefined : environment[name]]), // Empty means unset: compose files pass empty ones.
  );
  if (args.port !== undefined) given.PORT = args.port;
  const parsed = VARIABLES.safeParse(given);
  const problems = [...(parsed.success ? [] : problemsOf(parsed.error, given, args)), ...contradictionsIn(given, args)];
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  return configOf(parsed.data, args);
}

function configOf(variables: Variables, { role }: Arguments): Config {
  const isProduction = variables.NODE_ENV === 'production';
  const isDemonstration = variables.DATABASE_URL === undefined && !isProduction;
  const dataDirectory = path.resolve(variables.DATA_DIR);
  return {
    environment: variables.NODE_ENV,
    roles: { api: role !== 'worker', worker: role !== 'api' },
    dataDirectory,
    http: {
      host: variables.HOST,
      port: variables.PORT,
      trustedProxies: variables.TRUSTED_PROXIES ?? [],
      drainSeconds: variables.DRAIN_SECONDS,
    },
    database: {
      url: variables.DATABASE_URL,
      embeddedDirectory: path.join(dataDirectory, 'postgres'),
      poolMax: variables.DATABASE_POOL_MAX,
    },
    redis: { url: variables.REDIS_URL },
    log: { level: variables.LOG_LEVEL },
    accessTokens: {
      secret: variables.ACCESS_TOKEN_SECRET ?? keptSecret(path.join(dataDirectory, 'access-token-secret')),
      seconds: variables.ACCESS_TOKEN_SECONDS,
    },
    graphql: {
      introspection: variables.INTROSPECTION ?? !isProduction,
      graphiql: variables.GRAPHIQL ?? !isProduction,
      costMax: variables.GRAPHQL_COST_MAX,
      depthMax: variables.GRAPHQL_DEPTH_MAX,
      aliasesMax: variables.GRAPHQL_ALIASES_MAX,
    },
    sockets: { socketsMax: variables.SOCKETS_MAX, socketsPerAddressMax: variables.SOCKETS_PER_ADDRESS_MAX },
    claims: { batchMax: variables.CLAIMS_BATCH_MAX, queueMax: variables.CLAIMS_QUEUE_MAX },
    lessons: { monthlyMax: variables.MONTHLY_LESSONS_MAX },
    payments: { sandbox: variables.SANDBOX_PAYMENTS ?? !isProduction },
    worker: { concurrency: variables.WORKER_CONCURRENCY, deadSeconds: variables.WORKER_DEAD_SECONDS },
    metrics: { token: variables.METRICS_TOKEN },
    rehearsals: variables.REHEARSALS ?? isDemonstration,
    seed: variables.SEED ?? isDemonstration,
  };
}

type Given = Record<string, string | undefined>;

function problemsOf(error: z.ZodError, given: Given, args: Arguments): string[] {
  const names = new Set(error.issues.map((issue) => String(issue.path[0])));
  return [...names].map((name) => {
    const { allowed, secret } = metaOf(VARIABLES.shape[name as keyof Variables]);
    const shown = secret ? 'not valid (its value is not shown)' : quoted(given[name] ?? '');
    return `${name === 'PORT' && args.port !== undefined ? '--port' : name} is ${shown}. Allowed: ${allowed}.`;
  });
}

/** What no variable is wrong about by itself. Looked for in the text given, so that it is reported beside the other problems. */
function contradictionsIn(given: Given, { role }: Arguments): string[] {
  const problems: string[] = [];
  const isProduction = given.NODE_ENV === 'production';
  if (isProduction && given.ACCESS_TOKEN_SECRET === undefined)
    problems.push(
      `ACCESS_TOKEN_SECRET is not set. In production it is required: at least ${SECRET_BYTES_MIN} bytes, the same on every node.`,
    );
  if (isProduction && ['on', 'true', '1'].includes(given.REHEARSALS ?? ''))
    problems.push(
      'REHEARSALS is on and NODE_ENV is production. Rehearsals make members in bulk and are never served in production: unset one.',
    );
  if (role !== 'all' && given.DATABASE_URL === undefined)
    problems.push(`--role ${role} needs DATABASE_URL: the embedded database belongs to the one process that serves and works.`);
  return problems;
}

const metaOf = (schema: z.ZodType) => schema.meta() as unknown as Meta & { description: string };

const quoted = (value: string) => JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);

/** The nodes that share DATA_DIR share the secret; of two that start at once, one writes and both read. */
function keptSecret(file: string): string {
  try {
    if (!existsSync(file)) writeWhole(file, randomBytes(SECRET_BYTES_MIN).toString('base64url'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
      throw new ConfigError([
        `The secret of access tokens cannot be kept in ${file} (${(error as Error).message}). Make DATA_DIR writable, or set ACCESS_TOKEN_SECRET.`,
      ]);
  }
  const secret = readFileSync(file, 'utf8');
  if (Buffer.byteLength(secret) >= SECRET_BYTES_MIN) return secret;
  throw new ConfigError([`The secret in ${file} is cut short. Remove the file: a new one is made, and everybody signs in again.`]);
}

/** Nobody ever reads half of it: the finished file gets its name in one step, and the second to try fails with EEXIST. */
function writeWhole(file: string, text: string): void {
  mkdirSync(path.dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  try {
    linkSync(draft, file);
  } finally {
    rmSync(draft, { force: true });
  }
}
