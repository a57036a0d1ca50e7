import { describe, expect, test } from '@jest/globals';
import { HELP, OPTION_NAMES, parseCommand, type RushOptions, type SeatsOptions, SetupError } from '../../../src/rush/options.ts';

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

const seatsOptionsOf = (...argv: string[]): SeatsOptions => {
  const command = parseCommand(['seats', ...argv], {});
  if (command.name !== 'seats') throw new Error(`not seats but ${command.name}`);
  return command.options;
};

describe('the options of a rush for seats', () => {
  test('without any are the hall, then the arena', () => {
    expect(seatsOptionsOf()).toEqual({
      url: undefined,
      own: false,
      admin: { email: 'admin@lastseat.test', password: 'lastseat-demo' },
      metricsToken: undefined,
      houses: [
        { house: 'hall', members: 3_600 },
        { house: 'arena', members: 50_000 },
      ],
      watchers: 50,
      connections: 256,
      atOnce: 2_000,
      pay: 0.5,
      abandon: 0.15,
      settleSeconds: 15,
      json: false,
      keep: false,
    });
  });

  test('of one house are for that house', () => {
    expect(seatsOptionsOf('--house', 'black-box')).toMatchObject({ houses: [{ house: 'black-box', members: 360 }], connections: 256 });
    expect(seatsOptionsOf('--house', 'hall', '--members', '30', '--at-once', '7')).toMatchObject({
      houses: [{ house: 'hall', members: 30 }],
      atOnce: 7,
      connections: 30,
    });
  });

  test('who gives up is of those who do not pay', () => {
    expect(seatsOptionsOf('--pay', '1')).toMatchObject({ pay: 1, abandon: 0 });
    expect(seatsOptionsOf('--pay', '0')).toMatchObject({ pay: 0, abandon: 0.15 });
    expect(seatsOptionsOf('--pay', '0.4', '--abandon', '0.6')).toMatchObject({ pay: 0.4, abandon: 0.6 });
  });

  test.each([
    [['--house', 'opera'], '--house is "opera". Allowed: black-box, hall, arena.'],
    [['--members', '200001'], '--members is "200001". Allowed: a whole number from 1 to 200000.'],
    [['--at-once', '0'], '--at-once is "0". Allowed: a whole number from 1 to 100000.'],
    [['--watchers', '0'], '--watchers is "0". Allowed: a whole number from 1 to 100000.'],
    [['--abandon', '2'], '--abandon is "2". Allowed: a number from 0 to 1, such as 0.5.'],
    [['--pay', '0.7', '--abandon', '0.4'], '--pay and --abandon are more than everybody together: their sum is at most 1.'],
    [['--places', '3'], "Unknown option '--places'. See npm run rush -- --help."],
    [['--lockers'], "Unknown option '--lockers'. See npm run rush -- --help."],
  ])('%j is refused', (argv, sentence) => {
    expect(() => seatsOptionsOf(...argv)).toThrow(new SetupError(sentence));
  });

  test('seats are not a lesson, and a lesson has none', () => {
    expect(() => parseCommand(['--house', 'hall'], {})).toThrow(new SetupError("Unknown option '--house'. See npm run rush -- --help."));
  });
});

test('--help, of either, tells every option there is and no other', () => {
  expect(parseCommand(['--help'], {})).toEqual({ name: 'help' });
  expect(parseCommand(['seats', '-h'], {})).toEqual({ name: 'help' });
  const told = new Set([...HELP.matchAll(/^ {2}--([a-z-]+)/gm)].map(([, name]) => name));
  expect([...told].sort()).toEqual([...OPTION_NAMES].sort());
});
