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
