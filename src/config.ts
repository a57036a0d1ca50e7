import { randomBytes } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { ACCOUNTS_DEFAULTS } from './features/accounts/accounts.config.ts';
import { WAYPOINTS, type Waypoint } from './features/bookings/waypoints.ts';
import type { ProviderSettings } from './features/payments/index.ts';
import { DEFAULT_LIMITS } from './platform/graphql/limits.ts';
import { WEBSOCKET_LIMITS } from './platform/graphql/websocket.ts';
import { simulatorSettings } from './simulator/settings.ts';

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
  tickets: {
    /** The first signs, all verify. Undefined: one that follows from the secret of access tokens. */
    signingSecrets: [string, ...string[]] | undefined;
  };
  /** Where customers and providers reach us, without a slash at its end. Undefined: the address we listen at. */
  publicUrl: string | undefined;
  payments: {
    /** Those that are set up. */
    providers: ProviderSettings;
    simulator: { starts: boolean; port: number | undefined };
    connectTimeoutMs: number;
    /** Undefined: each adapter's own, from its provider's contract. */
    answerTimeoutMs: number | undefined;
    paymentSeconds: number;
    lookAgainSeconds: number;
    reconcileSeconds: number;
    reconciliationLimitSeconds: number;
    feeBasisPoints: number;
    returnOrigins: string[];
    /** Where a test kills this process. */
    killAt: Waypoint | undefined;
  };
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
/** Each is tried for every code that is read; during a change there are two. */
const SIGNING_SECRETS_MAX = 10;

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

const secret = (description: string) =>
  // They go into headers: a line end that a file of secrets brought along would make every request fail.
  optional(z.string().regex(/^[\x21-\x7e]{1,500}$/), description, {
    allowed: '1 to 500 visible ASCII characters',
    byDefault: 'none',
    secret: true,
  });

const word = (description: string) =>
  optional(z.string().regex(/^[\x21-\x7e]{1,100}$/), description, { allowed: '1 to 100 visible ASCII characters', byDefault: 'none' });

const address = (value: string, description: string) =>
  withDefault(
    urlOf('http://', 'https://').refine((given) => isPlainAddress(given)),
    value,
    description,
    { allowed: 'https://host, without a slash at its end' },
  );

const urlOf = (...schemes: string[]) =>
  z.string().refine((given) => schemes.some((scheme) => given.startsWith(scheme)) && URL.canParse(given));

/** Paths are put behind it, so it has nothing that would have to come last, and no password that would be sent along. */
function isPlainAddress(given: string): boolean {
  if (!URL.canParse(given) || given.endsWith('/')) return false;
  const { search, hash, username, password } = new URL(given);
  return !/[?#\s]/.test(given) && search === '' && hash === '' && username === '' && password === '';
}

/** An address or a network: what Fastify hands to proxy-addr. */
const isNetwork = (given: string) => {
  const [address = '', bits, ...rest] = given.split('/');
  const family = isIP(address);
  return family > 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128)));
};

/** What is put behind it for a return address has 79 characters, and providers take 200 in all. */
const PUBLIC_URL_LENGTH_MAX = 120;

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
  TICKET_SIGNING_SECRETS: optional(
    z
      .string()
      .transform((given) => given.split(',').map((part) => part.trim()))
      .refine(
        (parts) => parts.length <= SIGNING_SECRETS_MAX && parts.every((part) => Buffer.byteLength(part) >= SECRET_BYTES_MIN),
      ) as unknown as z.ZodType<[string, ...string[]], string>,
    'Sign the codes and the links of tickets; the same on every node. The first signs, all verify: put a new one in front.',
    {
      allowed: `1 to ${SIGNING_SECRETS_MAX} of at least ${SECRET_BYTES_MIN} bytes, with commas between`,
      byDefault: 'derived from ACCESS_TOKEN_SECRET',
      secret: true,
    },
  ),
  PUBLIC_URL: optional(
    urlOf('http://', 'https://').refine((given) => isPlainAddress(given) && given.length <= PUBLIC_URL_LENGTH_MAX),
    'Where customers and payment providers reach this server. Unset, the address it listens at: good for one machine only.',
    {
      allowed: `https://host or http://host:port, without a slash at its end, at most ${PUBLIC_URL_LENGTH_MAX} characters`,
      byDefault: 'HOST and PORT',
    },
  ),
  RETURN_ORIGINS: optional(
    z
      .string()
      .transform((given) => given.split(',').map((part) => part.trim()))
      .refine((parts) => parts.every((part) => URL.canParse(part) && new URL(part).origin === part)) as unknown as z.ZodType<
      string[],
      string
    >,
    'Origins of frontends that a payment may lead back to.',
    { allowed: 'origins with commas between, such as https://tickets.example', byDefault: 'none' },
  ),
  PAYMENT_SIMULATOR: flag(
    'on with the embedded database unless a provider is set up, off in production',
    'Whether to start the simulator of the payment providers and pay with it. Refused in production.',
  ),
  PAYMENT_SIMULATOR_PORT: optional(
    z
      .string()
      .regex(/^\d{1,5}$/)
      .transform(Number)
      .pipe(z.number().min(0).max(65_535)) as unknown as z.ZodType<number, string>,
    'The port of the simulator that is started; 0 takes a free one.',
    { allowed: 'a whole number from 0 to 65535', byDefault: '4001, or a free one' },
  ),
  PAYMENT_SIMULATOR_URL: optional(
    urlOf('http://').refine((given) => isPlainAddress(given)),
    'A running simulator to pay with, for several nodes on one. Refused in production.',
    { allowed: 'http://host:port, without a slash at its end', byDefault: 'none' },
  ),
  KAKAOPAY_SECRET_KEY: secret('The secret key of KakaoPay. With it KakaoPay is offered.'),
  KAKAOPAY_CID: withDefault(z.string().min(1).max(10), 'TC0ONETIME', 'The merchant code at KakaoPay; the default is its test code.', {
    allowed: '1 to 10 characters',
  }),
  KAKAOPAY_URL: address('https://open-api.kakaopay.com', 'Where the API of KakaoPay is.'),
  TOSS_SECRET_KEY: secret('The secret key of Toss Payments. With it and TOSS_MERCHANT_ID Toss Payments is offered.'),
  TOSS_MERCHANT_ID: word('The merchant id (mId) at Toss Payments.'),
  TOSS_URL: address('https://api.tosspayments.com', 'Where the API of Toss Payments is.'),
  PORTONE_API_SECRET: secret('The V2 API secret of PortOne. With it and the four variables below PortOne is offered.'),
  PORTONE_STORE_ID: word('The store id at PortOne.'),
  PORTONE_CHANNEL_KEY: word('The channel key at PortOne.'),
  PORTONE_WEBHOOK_SECRET: secret('The webhook secret of PortOne, beginning with whsec_.'),
  PORTONE_CHECKOUT_URL: optional(
    urlOf('http://', 'https://'),
    "A page that calls PortOne's browser SDK with its query: see docs/payments.md.",
    {
      allowed: 'https://host/path',
      byDefault: 'none',
    },
  ),
  PORTONE_URL: address('https://api.portone.io', 'Where the API of PortOne is.'),
  KISPG_MERCHANT_ID: word('The merchant id (mid) at KISPG. With it and KISPG_MERCHANT_KEY KISPG is offered.'),
  KISPG_MERCHANT_KEY: secret('The merchant key of KISPG.'),
  KISPG_URL: address('https://api.kispg.co.kr', 'Where the API of KISPG is.'),
  PAYMENT_SECONDS: wholeNumber(60, 3_600, 900, 'How long a customer has to pay once payment has begun.'),
  PAYMENT_CONNECT_TIMEOUT_MS: wholeNumber(50, 30_000, 3_000, 'How long to wait for a connection to a payment provider, in milliseconds.'),
  PAYMENT_ANSWER_TIMEOUT_MS: optional(
    z
      .string()
      .regex(/^\d{1,6}$/)
      .transform(Number)
      .pipe(z.number().min(50).max(120_000)) as unknown as z.ZodType<number, string>,
    'How long to wait for the whole answer of a payment provider, in milliseconds.',
    { allowed: 'a whole number from 50 to 120000', byDefault: 'that of each provider, 25000 to 60000' },
  ),
  PAYMENT_LOOK_AGAIN_SECONDS: wholeNumber(
    1,
    300,
    5,
    'The pause after the first answer of a provider that says nothing; it doubles up to 5 minutes.',
  ),
  RECONCILE_SECONDS: wholeNumber(1, 300, 10, 'The pause between two rounds of the reconciler.'),
  RECONCILIATION_LIMIT_SECONDS: wholeNumber(60, 604_800, 3_600, 'How long a payment may be open before it is an alert.'),
  PLATFORM_FEE_BASIS_POINTS: wholeNumber(
    0,
    10_000,
    0,
    'Our share of what is booked, in hundredths of a percent; the rest is owed to organizers.',
  ),
  PAYMENT_KILL_AT: optional(
    z.enum(WAYPOINTS) as unknown as z.ZodType<Waypoint, string>,
    'For tests of crashes: this process kills itself at this point of a payment. Refused unless NODE_ENV is test.',
    { allowed: WAYPOINTS.join(', '), byDefault: 'none' },
  ),
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
  const providers = variables.PAYMENT_SIMULATOR_URL ? simulatorSettings(variables.PAYMENT_SIMULATOR_URL) : providersOf(variables);
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
    tickets: { signingSecrets: variables.TICKET_SIGNING_SECRETS },
    publicUrl: variables.PUBLIC_URL,
    payments: {
      providers,
      simulator: {
        starts: variables.PAYMENT_SIMULATOR ?? (isDemonstration && Object.keys(providers).length === 0),
        port: variables.PAYMENT_SIMULATOR_PORT,
      },
      connectTimeoutMs: variables.PAYMENT_CONNECT_TIMEOUT_MS,
      answerTimeoutMs: variables.PAYMENT_ANSWER_TIMEOUT_MS,
      paymentSeconds: variables.PAYMENT_SECONDS,
      lookAgainSeconds: variables.PAYMENT_LOOK_AGAIN_SECONDS,
      reconcileSeconds: variables.RECONCILE_SECONDS,
      reconciliationLimitSeconds: variables.RECONCILIATION_LIMIT_SECONDS,
      feeBasisPoints: variables.PLATFORM_FEE_BASIS_POINTS,
      returnOrigins: variables.RETURN_ORIGINS ?? [],
      killAt: variables.PAYMENT_KILL_AT,
    },
    worker: { concurrency: variables.WORKER_CONCURRENCY, deadSeconds: variables.WORKER_DEAD_SECONDS },
    metrics: { token: variables.METRICS_TOKEN },
    rehearsals: variables.REHEARSALS ?? isDemonstration,
    seed: variables.SEED ?? isDemonstration,
  };
}

function providersOf(variables: Variables): ProviderSettings {
  const v = variables;
  return {
    ...(v.KAKAOPAY_SECRET_KEY && { KAKAOPAY: { baseUrl: v.KAKAOPAY_URL, secretKey: v.KAKAOPAY_SECRET_KEY, cid: v.KAKAOPAY_CID } }),
    ...(v.TOSS_SECRET_KEY &&
      v.TOSS_MERCHANT_ID && { TOSS: { baseUrl: v.TOSS_URL, secretKey: v.TOSS_SECRET_KEY, merchantId: v.TOSS_MERCHANT_ID } }),
    ...(v.PORTONE_API_SECRET &&
      v.PORTONE_STORE_ID &&
      v.PORTONE_CHANNEL_KEY &&
      v.PORTONE_WEBHOOK_SECRET &&
      v.PORTONE_CHECKOUT_URL && {
        PORTONE: {
          baseUrl: v.PORTONE_URL,
          apiSecret: v.PORTONE_API_SECRET,
          storeId: v.PORTONE_STORE_ID,
          channelKey: v.PORTONE_CHANNEL_KEY,
          webhookSecret: v.PORTONE_WEBHOOK_SECRET,
          checkoutUrl: v.PORTONE_CHECKOUT_URL,
        },
      }),
    ...(v.KISPG_MERCHANT_ID &&
      v.KISPG_MERCHANT_KEY && { KISPG: { baseUrl: v.KISPG_URL, merchantId: v.KISPG_MERCHANT_ID, merchantKey: v.KISPG_MERCHANT_KEY } }),
  };
}

/** What a provider needs together: some of it is a mistake, none of it means that the provider is not offered. */
const TOGETHER: (keyof Variables)[][] = [
  ['TOSS_SECRET_KEY', 'TOSS_MERCHANT_ID'],
  ['PORTONE_API_SECRET', 'PORTONE_STORE_ID', 'PORTONE_CHANNEL_KEY', 'PORTONE_WEBHOOK_SECRET', 'PORTONE_CHECKOUT_URL'],
  ['KISPG_MERCHANT_ID', 'KISPG_MERCHANT_KEY'],
];

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
  for (const name of ['PAYMENT_SIMULATOR', 'PAYMENT_SIMULATOR_URL'] as const)
    if (isProduction && given[name] !== undefined && !['off', 'false', '0'].includes(given[name] ?? ''))
      problems.push(
        `${name} is set and NODE_ENV is production. Simulated payments move no money and are never offered in production: unset one.`,
      );
  if (role !== 'all' && ['on', 'true', '1'].includes(given.PAYMENT_SIMULATOR ?? ''))
    problems.push(
      `PAYMENT_SIMULATOR is on and this is --role ${role}. Each process would pay at a simulator of its own: start one, and name it to all by PAYMENT_SIMULATOR_URL.`,
    );
  if (given.PAYMENT_KILL_AT !== undefined && given.NODE_ENV !== 'test')
    problems.push('PAYMENT_KILL_AT kills this process in the middle of a payment. It needs NODE_ENV test.');
  for (const names of TOGETHER) {
    const missing = names.filter((name) => given[name] === undefined);
    if (missing.length > 0 && missing.length < names.length)
      problems.push(`${names.find((name) => given[name] !== undefined)} is set without ${missing.join(', ')}. Set all of them, or none.`);
  }
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
