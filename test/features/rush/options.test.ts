import { describe, expect, test } from '@jest/globals';
import { parseCommand, type RushOptions, SetupError } from '../../../src/rush/options.ts';

const optionsOf = (argv: string[], environment: Record<string, string> = {}): RushOptions => {
  const command = parseCommand(argv, environment);
  if (command.name !== 'run') throw new Error(`not run but ${command.name}`);
  return command.options;
};

describe('the options of a rush', () => {
  test('without any are 1,000 members for 100 places', () => {
    expect(optionsOf([])).toEqual({
      url: undefined,
      own: false,
      admin: { email: 'admin@lastseat.test', password: 'lastseat-demo' },
      metricsToken: undefined,
      members: 1_000,
      places: 100,
      watchers: 50,
      connections: 256,
      processes: 1,
      pay: 0.5,
      lockers: false,
      policy: 'PESSIMISTIC',
      settleSeconds: 15,
      json: false,
      keep: false,
    });
  });

  test.each([
    ['eleven', { members: 11, places: 10, watchers: 11, connections: 11 }],
    ['drop', { members: 100_000, places: 10_000, watchers: 50, connections: 256 }],
  ])('--preset %s', (preset, expected) => {
    expect(optionsOf(['--preset', preset])).toMatchObject(expected);
  });

  test('a preset is a default: what is given is stronger', () => {
    expect(optionsOf(['--preset', 'drop', '--places', '7', '--watchers', '0'])).toMatchObject({ members: 100_000, places: 7, watchers: 0 });
  });

  test('there are no more processes than connections', () => {
    expect(optionsOf(['--members', '2', '--processes', '4'])).toMatchObject({ connections: 2, processes: 2 });
  });

  test('the address is taken without its path, tokens come from the environment', () => {
    const environment = { RUSH_ADMIN_TOKEN: 'a token', RUSH_METRICS_TOKEN: 'another' };

    expect(optionsOf(['--url', 'http://localhost:4000/graphql'], environment)).toMatchObject({
      url: 'http://localhost:4000',
      admin: { accessToken: 'a token' },
      metricsToken: 'another',
    });
  });

  test.each([
    [['--members', '0'], '--members is "0". Allowed: a whole number from 1 to 1000000.'],
    [['--members', '1e3'], '--members is "1e3". Allowed: a whole number from 1 to 1000000.'],
    [['--places', '100001'], '--places is "100001". Allowed: a whole number from 0 to 100000.'],
    [['--pay', '1.5'], '--pay is "1.5". Allowed: a number from 0 to 1, such as 0.5.'],
    [['--policy', 'optimistic'], '--policy is "optimistic". Allowed: PESSIMISTIC, OPTIMISTIC.'],
    [['--preset', 'huge'], '--preset is "huge". Allowed: default, eleven, drop.'],
    [['--url', 'ftp://x'], '--url is "ftp://x". Allowed: the http:// or https:// address of a server, such as http://127.0.0.1:4000.'],
    [['--own', '--url', 'http://x'], '--url and --own exclude each other: give one.'],
    [['--nope'], "Unknown option '--nope'. See npm run rush -- --help."],
    [['eleven'], "Unexpected argument 'eleven'. See npm run rush -- --help."],
  ])('%j is refused', (argv, sentence) => {
    expect(() => parseCommand(argv, {})).toThrow(new SetupError(sentence));
  });
});
