import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { ConfigError, describeVariables, type Environment, helpText, parseArguments, readConfig } from '../../../src/config.ts';

const SECRET = 'a-secret-of-more-than-thirty-two-bytes';

describe('the configuration', () => {
  let directory: string;
  beforeAll(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'lastseat-config-'));
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  const read = (environment: Environment, ...argv: string[]) => readConfig(parseArguments(argv), { DATA_DIR: directory, ...environment });

  const problemsOf = (environment: Environment, ...argv: string[]): readonly string[] => {
    try {
      read(environment, ...argv);
    } catch (error) {
      if (error instanceof ConfigError) return error.problems;
      throw error;
    }
    return [];
  };

  test('an empty environment is a demonstration on this machine alone', () => {
    const config = read({});

    expect(config).toMatchObject({
      environment: 'development',
      roles: { api: true, worker: true },
      http: { host: '127.0.0.1', port: 4000, trustedProxies: [] },
      database: { url: undefined, embeddedDirectory: path.join(directory, 'postgres'), poolMax: 20 },
      redis: { url: undefined },
      accessTokens: { seconds: 600 },
      graphql: { introspection: true, graphiql: true },
      rehearsals: true,
      seed: true,
    });
  });

  test('with a database of your own, rehearsals and seed are off unless asked for', () => {
    const DATABASE_URL = 'postgres://u:p@db/lastseat';

    expect(read({ DATABASE_URL })).toMatchObject({ rehearsals: false, seed: false });
    expect(read({ DATABASE_URL, REHEARSALS: 'on', SEED: '1' })).toMatchObject({ rehearsals: true, seed: true });
  });

  test('production shuts what is for development, with the embedded database too', () => {
    expect(read({ NODE_ENV: 'production', ACCESS_TOKEN_SECRET: SECRET })).toMatchObject({
      accessTokens: { secret: SECRET },
      graphql: { introspection: false, graphiql: false },
      rehearsals: false,
      seed: false,
    });
  });

  test('all problems are reported at once, and none shows a secret', () => {
    const problems = problemsOf(
      {
        PORT: '65536',
        HOST: 'not a host',
        LOG_LEVEL: 'loud',
        DATABASE_URL: 'mysql://root:hunter2@db/x',
        REDIS_URL: 'hunter2',
        ACCESS_TOKEN_SECRET: 'hunter2',
        TRUSTED_PROXIES: '10.0.0.0/8, everyone',
        NODE_ENV: 'production',
        REHEARSALS: 'on',
      },
      '--role',
      'worker',
    );

    expect([...problems].sort()).toEqual([
      'ACCESS_TOKEN_SECRET is not valid (its value is not shown). Allowed: at least 32 bytes of text.',
      'DATABASE_URL is not valid (its value is not shown). Allowed: postgres://user:password@host:port/database.',
      'HOST is "not a host". Allowed: an address or a host name of this machine.',
      'LOG_LEVEL is "loud". Allowed: trace, debug, info, warn, error, fatal, silent.',
      'PORT is "65536". Allowed: a whole number from 0 to 65535.',
      'REDIS_URL is not valid (its value is not shown). Allowed: redis://user:password@host:port.',
      'REHEARSALS is on and NODE_ENV is production. Rehearsals make members in bulk and are never served in production: unset one.',
      'TRUSTED_PROXIES is "10.0.0.0/8, everyone". Allowed: addresses and networks with commas between, such as 10.0.0.0/8.',
    ]);
  });

  test.each(['-1', '1.5', '0x10', '1e3', ' 80', '４０００', '99999999999999999999'])('PORT %j is refused', (PORT) => {
    expect(problemsOf({ PORT })).toEqual([`PORT is ${JSON.stringify(PORT)}. Allowed: a whole number from 0 to 65535.`]);
  });

  test('production without a secret is refused; one of 31 bytes too', () => {
    expect(problemsOf({ NODE_ENV: 'production' })).toEqual([
      'ACCESS_TOKEN_SECRET is not set. In production it is required: at least 32 bytes, the same on every node.',
    ]);
    expect(problemsOf({ ACCESS_TOKEN_SECRET: 'x'.repeat(31) })).toHaveLength(1);
    expect(problemsOf({ ACCESS_TOKEN_SECRET: 'x'.repeat(32) })).toEqual([]);
  });

  test('a role of its own needs a database that others can reach', () => {
    expect(problemsOf({}, '--role', 'api')).toEqual([
      '--role api needs DATABASE_URL: the embedded database belongs to the one process that serves and works.',
    ]);
    expect(read({ DATABASE_URL: 'postgres://db/x' }, '--role', 'worker').roles).toEqual({ api: false, worker: true });
  });

  test('an empty variable is an unset one', () => {
    expect(read({ PORT: '', REDIS_URL: '' })).toMatchObject({ http: { port: 4000 }, redis: { url: undefined } });
  });

  test('the generated secret is kept for the next start, readable by its owner alone', () => {
    const first = read({}).accessTokens.secret;
    const file = path.join(directory, 'access-token-secret');

    expect(read({}).accessTokens.secret).toBe(first);
    expect(readFileSync(file, 'utf8')).toBe(first);
    expect(first).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(['access-token-secret']);
  });

  test('the command line is stronger than PORT and refuses what it does not know', () => {
    expect(read({ PORT: '4001' }, '--port', '0').http.port).toBe(0);
    expect(problemsOf({}, '--port', 'x')).toEqual(['--port is "x". Allowed: a whole number from 0 to 65535.']);
    expect(() => parseArguments(['--verbose'])).toThrow("Unknown option '--verbose'. Allowed are --role, --port, --help and --version.");
    expect(() => parseArguments(['serve'])).toThrow("Unexpected argument 'serve'. Allowed are --role, --port, --help and --version.");
    expect(() => parseArguments(['--role', 'both'])).toThrow('--role is "both". Allowed: all, api, worker.');
    expect(parseArguments(['--help']).command).toBe('help');
    expect(parseArguments(['--version']).command).toBe('version');
  });

  const TOSS = { TOSS_SECRET_KEY: 'live_sk_hunter2', TOSS_MERCHANT_ID: 'pool' };

  test('a demonstration pays at a simulator of its own; with a database or a provider of your own, nothing is simulated unless asked for', () => {
    const DATABASE_URL = 'postgres://u:p@db/lastseat';

    expect(read({}).payments).toMatchObject({ providers: {}, simulator: { starts: true, port: undefined } });
    expect(read(TOSS).payments.simulator.starts).toBe(false);
    expect(read({ DATABASE_URL }).payments).toMatchObject({ providers: {}, simulator: { starts: false } });
    expect(read({ DATABASE_URL, PAYMENT_SIMULATOR: 'on', PAYMENT_SIMULATOR_PORT: '0' }).payments.simulator).toEqual({
      starts: true,
      port: 0,
    });
    expect(read({ PAYMENT_SIMULATOR: 'off' }).payments.simulator.starts).toBe(false);
    expect(read({ NODE_ENV: 'production', ACCESS_TOKEN_SECRET: SECRET }).payments).toMatchObject({
      providers: {},
      simulator: { starts: false },
    });
  });

  test('a running simulator stands for all four providers, and none is started beside it', () => {
    const { providers, simulator } = read({ PAYMENT_SIMULATOR_URL: 'http://127.0.0.1:4001' }).payments;

    expect(Object.keys(providers)).toEqual(['KAKAOPAY', 'TOSS', 'PORTONE', 'KISPG']);
    expect(Object.values(providers).map(({ baseUrl }) => baseUrl)).toEqual(Array(4).fill('http://127.0.0.1:4001'));
    expect(simulator.starts).toBe(false);
  });

  test('a provider is offered once all that it needs is set', () => {
    const { providers } = read({
      NODE_ENV: 'production',
      ACCESS_TOKEN_SECRET: SECRET,
      KAKAOPAY_SECRET_KEY: 'PRD1',
      KAKAOPAY_CID: 'C123456789',
      ...TOSS,
      PORTONE_API_SECRET: 'p1',
      PORTONE_STORE_ID: 'store-1',
      PORTONE_CHANNEL_KEY: 'channel-1',
      PORTONE_WEBHOOK_SECRET: 'whsec_MQ==',
      PORTONE_CHECKOUT_URL: 'https://pool.example/pay',
      KISPG_MERCHANT_ID: 'pool00m',
      KISPG_MERCHANT_KEY: 'k1==',
      KISPG_URL: 'https://testapi.kispg.co.kr',
    }).payments;

    expect(providers).toEqual({
      KAKAOPAY: { baseUrl: 'https://open-api.kakaopay.com', secretKey: 'PRD1', cid: 'C123456789' },
      TOSS: { baseUrl: 'https://api.tosspayments.com', secretKey: 'live_sk_hunter2', merchantId: 'pool' },
      PORTONE: {
        baseUrl: 'https://api.portone.io',
        apiSecret: 'p1',
        storeId: 'store-1',
        channelKey: 'channel-1',
        webhookSecret: 'whsec_MQ==',
        checkoutUrl: 'https://pool.example/pay',
      },
      KISPG: { baseUrl: 'https://testapi.kispg.co.kr', merchantId: 'pool00m', merchantKey: 'k1==' },
    });
  });

  test.each<[Environment, string]>([
    [{ TOSS_SECRET_KEY: 'hunter2' }, 'TOSS_SECRET_KEY is set without TOSS_MERCHANT_ID. Set all of them, or none.'],
    [
      { PORTONE_STORE_ID: 'store-1', PORTONE_API_SECRET: 'hunter2' },
      'PORTONE_API_SECRET is set without PORTONE_CHANNEL_KEY, PORTONE_WEBHOOK_SECRET, PORTONE_CHECKOUT_URL. Set all of them, or none.',
    ],
    [{ KISPG_MERCHANT_ID: 'pool00m' }, 'KISPG_MERCHANT_ID is set without KISPG_MERCHANT_KEY. Set all of them, or none.'],
    [{ PAYMENT_KILL_AT: 'payment-opened' }, 'PAYMENT_KILL_AT kills this process in the middle of a payment. It needs NODE_ENV test.'],
    [
      { NODE_ENV: 'production', ACCESS_TOKEN_SECRET: SECRET, PAYMENT_KILL_AT: 'payment-opened' },
      'PAYMENT_KILL_AT kills this process in the middle of a payment. It needs NODE_ENV test.',
    ],
    [
      { NODE_ENV: 'production', ACCESS_TOKEN_SECRET: SECRET, PAYMENT_SIMULATOR: '1' },
      'PAYMENT_SIMULATOR is set and NODE_ENV is production. Simulated payments move no money and are never offered in production: unset one.',
    ],
    [
      { NODE_ENV: 'production', ACCESS_TOKEN_SECRET: SECRET, PAYMENT_SIMULATOR_URL: 'http://127.0.0.1:4001' },
      'PAYMENT_SIMULATOR_URL is set and NODE_ENV is production. Simulated payments move no money and are never offered in production: unset one.',
    ],
  ])('what contradicts itself is refused: %j', (environment, problem) => {
    expect(problemsOf(environment)).toEqual([problem]);
  });

  test.each(['api', 'worker'])('--role %s starts no simulator: the other processes would pay at another one', (role) => {
    const DATABASE_URL = 'postgres://db/x';

    expect(problemsOf({ DATABASE_URL, PAYMENT_SIMULATOR: 'on' }, '--role', role)).toEqual([
      `PAYMENT_SIMULATOR is on and this is --role ${role}. Each process would pay at a simulator of its own: start one, and name it to all by PAYMENT_SIMULATOR_URL.`,
    ]);
    expect(problemsOf({ DATABASE_URL, PAYMENT_SIMULATOR_URL: 'http://127.0.0.1:4001' }, '--role', role)).toEqual([]);
  });

  test.each(['KAKAOPAY_SECRET_KEY', 'TOSS_SECRET_KEY', 'PORTONE_API_SECRET', 'PORTONE_WEBHOOK_SECRET', 'KISPG_MERCHANT_KEY'])(
    '%s with a line end is refused, and not shown',
    (name) => {
      const [problem, ...others] = problemsOf({ [name]: 'hunter2\n', ...(name === 'TOSS_SECRET_KEY' && { TOSS_MERCHANT_ID: 'pool' }) });

      expect(problem).toBe(`${name} is not valid (its value is not shown). Allowed: 1 to 500 visible ASCII characters.`);
      expect(others.join()).not.toContain('hunter2');
    },
  );

  test.each([
    ['PUBLIC_URL', 'pool.example'],
    ['PUBLIC_URL', 'ftp://pool.example'],
    ['PUBLIC_URL', 'https://pool.example/'],
    ['PUBLIC_URL', 'https://pool.example?a=b'],
    ['PUBLIC_URL', 'https://pool.example#a'],
    ['PUBLIC_URL', 'https://user:password@pool.example'],
    ['PUBLIC_URL', 'https://pool.example\n'],
    ['PUBLIC_URL', `https://pool.example/${'a'.repeat(100)}`],
    ['PAYMENT_SIMULATOR_URL', 'http://127.0.0.1:4001/'],
    ['PAYMENT_SIMULATOR_URL', 'https://127.0.0.1:4001'],
    ['TOSS_URL', 'https://api.tosspayments.com/'],
    ['TOSS_URL', 'api.tosspayments.com'],
    ['RETURN_ORIGINS', 'https://pool.example/'],
    ['RETURN_ORIGINS', 'https://pool.example,'],
    ['RETURN_ORIGINS', 'https://pool.example/done'],
    ['RETURN_ORIGINS', 'https://*.pool.example/'],
    ['RETURN_ORIGINS', 'javascript:alert(1)'],
    ['RETURN_ORIGINS', 'null'],
    ['PAYMENT_SECONDS', '59'],
    ['PAYMENT_SECONDS', '3601'],
    ['PAYMENT_SIMULATOR', 'maybe'],
    ['PAYMENT_SIMULATOR_PORT', '65536'],
    ['PAYMENT_CONNECT_TIMEOUT_MS', '0'],
    ['PAYMENT_ANSWER_TIMEOUT_MS', '120001'],
    ['PLATFORM_FEE_BASIS_POINTS', '10001'],
    ['PLATFORM_FEE_BASIS_POINTS', '1.5'],
    ['RECONCILE_SECONDS', '0'],
    ['KAKAOPAY_CID', 'C1234567890'],
  ])('%s %j is refused', (name, value) => {
    expect(problemsOf({ [name]: value })).toEqual([
      expect.stringMatching(`^${name} is "${value.slice(0, 10).replace(/[^\w/:-]/g, '.')}.*Allowed: .*\\.$`),
    ]);
  });

  test('codes of tickets are signed by the first of up to 10 secrets of 32 bytes, or by what follows from that of access tokens', () => {
    const [old, fresh] = ['a'.repeat(32), '\uAC00'.repeat(11)];

    expect(read({}).tickets).toEqual({ signingSecrets: undefined });
    expect(read({ TICKET_SIGNING_SECRETS: old }).tickets).toEqual({ signingSecrets: [old] });
    expect(read({ TICKET_SIGNING_SECRETS: ` ${fresh} , ${old} ` }).tickets).toEqual({ signingSecrets: [fresh, old] });
    expect(read({ TICKET_SIGNING_SECRETS: Array(10).fill(old).join(',') }).tickets.signingSecrets).toHaveLength(10);
    for (const TICKET_SIGNING_SECRETS of ['a'.repeat(31), `${old},`, `,${old}`, `${old},short`, Array(11).fill(old).join(',')])
      expect(problemsOf({ TICKET_SIGNING_SECRETS })).toEqual([
        'TICKET_SIGNING_SECRETS is not valid (its value is not shown). Allowed: 1 to 10 of at least 32 bytes, with commas between.',
      ]);
  });

  test('every secret of a provider is known as one', () => {
    const secrets = describeVariables().filter(({ name }) => /SECRET|_KEY$|TOKEN$/.test(name));

    const shown = secrets.filter(({ name }) => problemsOf({ [name]: 'hunter 2' }).some((problem) => problem.includes('hunter')));

    expect(secrets.map(({ name }) => name)).toEqual([
      'ACCESS_TOKEN_SECRET',
      'TICKET_SIGNING_SECRETS',
      'KAKAOPAY_SECRET_KEY',
      'TOSS_SECRET_KEY',
      'PORTONE_API_SECRET',
      'PORTONE_CHANNEL_KEY',
      'PORTONE_WEBHOOK_SECRET',
      'KISPG_MERCHANT_KEY',
      'METRICS_TOKEN',
    ]);
    // What the browser is told anyway.
    expect(shown.map(({ name }) => name)).toEqual(['PORTONE_CHANNEL_KEY']);
  });

  test('every variable is described by a sentence, in the help too', () => {
    const variables = describeVariables();

    expect(variables.map((variable) => variable.name)).toContain('DATABASE_URL');
    for (const variable of variables) {
      expect(variable).toMatchObject({
        description: expect.stringMatching(/^[A-Z].*\.$/),
        allowed: expect.stringMatching(/./),
        default: expect.stringMatching(/./),
      });
      expect(helpText()).toContain(variable.description);
    }
  });
});
