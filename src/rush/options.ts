import { parseArgs } from 'node:util';
import { SHIPPED_PLANS, type ShippedPlan } from '../features/venues/shipped-plans.ts';

/** What every rehearsal is told. */
export interface CommonOptions {
  /** Where the server is; undefined: the one at {@link DEFAULT_URL} if it answers, otherwise one of our own. */
  url: string | undefined;
  /** Start a server of our own whatever answers elsewhere. */
  own: boolean;
  admin: { email: string; password: string } | { accessToken: string };
  metricsToken: string | undefined;
  watchers: number;
  /** HTTP keep-alive connections, over all processes. */
  connections: number;
  /** Share of the winners who pay, 0 to 1. */
  pay: number;
  /** How long watchers and audit may take to tell the truth after the last answer. */
  settleSeconds: number;
  json: boolean;
  /** Keep the data of our own server. */
  keep: boolean;
}

/** What one rehearsal of a lesson is to be. */
export interface RushOptions extends CommonOptions {
  members: number;
  places: number;
  /** Processes the members and watchers are spread over. */
  processes: number;
  /** Whether everybody asks for a locker too. */
  lockers: boolean;
  policy: Policy;
}

/** What one rehearsal of numbered seats is to be. */
export interface SeatsOptions extends CommonOptions {
  /** The houses that are sold out, one after the other. */
  houses: { house: ShippedPlan; members: number }[];
  /** Members who look or wait at the same moment. */
  atOnce: number;
  /** Share of the winners who give their seats up again, 0 to 1. */
  abandon: number;
}

export type Policy = 'OPTIMISTIC' | 'PESSIMISTIC';

export type Command = { name: 'help' } | { name: 'run'; options: RushOptions } | { name: 'seats'; options: SeatsOptions };

/** What the person at the terminal can mend: one sentence that names the cure. Ends with exit code 2. */
export class SetupError extends Error {
  override readonly name = 'SetupError';
}

/** The rush was held, but what came of it could not be read. Ends with exit code 1: nobody can say that the invariants held. */
export class UnjudgedError extends Error {
  override readonly name = 'UnjudgedError';
}

export const DEFAULT_URL = 'http://127.0.0.1:4000';

const PRESETS: Record<string, { members: number; places: number }> = {
  default: { members: 1_000, places: 100 },
  eleven: { members: 11, places: 10 },
  drop: { members: 100_000, places: 10_000 },
};
const WATCHERS = 50;
/** 512 claims make a batch: more connections would only make members wait in the server instead of here. */
const CONNECTIONS = 256;
/** The next one comes to look when one has finished: nobody sees the map of the first second for a minute. */
const AT_ONCE = 2_000;
/** Seats of each house, and members who want them. */
const HOUSES: Record<ShippedPlan, { members: number }> = {
  'black-box': { members: 360 },
  hall: { members: 3_600 },
  arena: { members: 50_000 },
};

export const HELP = `npm run rush: members enrol through the public API at the same instant, and everything about it is checked.

Usage: npm run rush -- [options]          places in a lesson
       npm run rush -- seats [options]    numbered seats: a hall of 1,200, then an arena of 5,000

  --preset NAME          default (1,000 members for 100 places), eleven (11 for 10) or drop (100,000 for 10,000)
  --members N            members who enrol, 1 to 1,000,000
  --places N             places there are, 0 to 100,000
  --watchers N           of them watch over WebSocket meanwhile; default ${WATCHERS}, at most --members
  --connections N        HTTP keep-alive connections they share, 1 to 10,000; default ${CONNECTIONS}, at most --members
  --pay SHARE            of the winners pay, with a simulated payment provider, 0 to 1; default 0.5
  --lockers              everybody asks for a locker too
  --policy POLICY        of the lesson: PESSIMISTIC (default) or OPTIMISTIC
  --processes N          processes that play the members, 1 to 16; default 1
  --settle SECONDS       watchers and audit get to tell the truth after the last answer, 1 to 600; default 15

Of seats, in place of --preset, --members, --watchers, --places, --lockers, --policy and --processes:

  --house NAME           black-box (120 seats), hall (1,200) or arena (5,000); default the hall, then the arena
  --members N            members who want seats, 1 to 200,000; default ten for every seat of the arena, three otherwise
  --at-once N            of them look at the map or wait for an answer at the same moment, 1 to 100,000; default ${AT_ONCE}
  --watchers N           browsers with a map that is live, at least 1: members pick from what the first one shows; default ${WATCHERS}
  --abandon SHARE        of the winners give their seats up again, 0 to 1; default 0.15

Of both:

  --url URL              a running server with rehearsals switched on; default ${DEFAULT_URL} if it answers,
                         otherwise a server is started for the rehearsal and stopped after it
  --own                  start a server whatever answers at ${DEFAULT_URL}
  --keep                 keep the data of the server that was started, in .data/rush
  --admin-email EMAIL    an administrator of it; default the demo account
  --admin-password TEXT  RUSH_ADMIN_TOKEN, an access token, replaces both
  --json                 one JSON document on standard output; { ok: false, problem } where there is no report
  --help

RUSH_METRICS_TOKEN is the METRICS_TOKEN of the server, if it has one.
Exit code: 0 every invariant held, 1 one did not or could not be judged, 2 the rehearsal could not be held, 130 interrupted.
`;

/** @throws SetupError for anything that is not allowed. */
export function parseCommand(argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): Command {
  if (argv[0] === 'seats') return seatsCommand(argv.slice(1), environment);
  const values = flagsOf(argv, LESSON_FLAGS);
  if (values.help) return { name: 'help' };
  const preset = PRESETS[values.preset ?? 'default'];
  if (!preset) throw new SetupError(`--preset is ${JSON.stringify(values.preset)}. Allowed: ${Object.keys(PRESETS).join(', ')}.`);
  const members = wholeNumber('members', values.members, preset.members, 1, 1_000_000);
  const policy = values.policy ?? 'PESSIMISTIC';
  if (policy !== 'PESSIMISTIC' && policy !== 'OPTIMISTIC')
    throw new SetupError(`--policy is ${JSON.stringify(policy)}. Allowed: PESSIMISTIC, OPTIMISTIC.`);
  const connections = wholeNumber('connections', values.connections, Math.min(members, CONNECTIONS), 1, 10_000);
  return {
    name: 'run',
    options: {
      ...commonOf(values, environment),
      members,
      places: wholeNumber('places', values.places, preset.places, 0, 100_000),
      watchers: Math.min(members, wholeNumber('watchers', values.watchers, WATCHERS, 0, 1_000_000)),
      connections,
      processes: Math.min(connections, wholeNumber('processes', values.processes, 1, 1, 16)),
      pay: share('pay', values.pay, 0.5),
      lockers: values.lockers ?? false,
      policy,
    },
  };
}

function seatsCommand(argv: readonly string[], environment: Readonly<Record<string, string | undefined>>): Command {
  const values = flagsOf(argv, SEATS_FLAGS);
  if (values.help) return { name: 'help' };
  const house = SHIPPED_PLANS.find((name) => name === values.house);
  if (values.house !== undefined && !house)
    throw new SetupError(`--house is ${JSON.stringify(values.house)}. Allowed: ${SHIPPED_PLANS.join(', ')}.`);
  const houses = (house ? [house] : (['hall', 'arena'] as const)).map((name) => ({
    house: name,
    members: wholeNumber('members', values.members, HOUSES[name].members, 1, 200_000),
  }));
  const most = Math.max(...houses.map(({ members }) => members));
  const pay = share('pay', values.pay, 0.5);
  const abandon = share('abandon', values.abandon, Math.min(0.15, 1 - pay));
  if (pay + abandon > 1) throw new SetupError('--pay and --abandon are more than everybody together: their sum is at most 1.');
  return {
    name: 'seats',
    options: {
      ...commonOf(values, environment),
      houses,
      watchers: wholeNumber('watchers', values.watchers, WATCHERS, 1, 100_000),
      connections: wholeNumber('connections', values.connections, Math.min(most, CONNECTIONS), 1, 10_000),
      atOnce: wholeNumber('at-once', values['at-once'], AT_ONCE, 1, 100_000),
      pay,
      abandon,
    },
  };
}

const text = { type: 'string' } as const;
const flag = { type: 'boolean' } as const;
const COMMON_FLAGS = {
  members: text,
  watchers: text,
  connections: text,
  pay: text,
  settle: text,
  url: text,
  own: flag,
  keep: flag,
  'admin-email': text,
  'admin-password': text,
  json: flag,
  help: { ...flag, short: 'h' },
} as const;
const LESSON_FLAGS = { ...COMMON_FLAGS, preset: text, places: text, lockers: flag, policy: text, processes: text } as const;
const SEATS_FLAGS = { ...COMMON_FLAGS, house: text, 'at-once': text, abandon: text } as const;

/** Of either rehearsal. */
export const OPTION_NAMES: ReadonlySet<string> = new Set([...Object.keys(LESSON_FLAGS), ...Object.keys(SEATS_FLAGS)]);

type CommonValues = ReturnType<typeof flagsOf<typeof COMMON_FLAGS>>;

function commonOf(
  values: CommonValues,
  environment: Readonly<Record<string, string | undefined>>,
): Pick<CommonOptions, 'url' | 'own' | 'admin' | 'metricsToken' | 'settleSeconds' | 'json' | 'keep'> {
  const url = values.url && originOf(values.url);
  if (url && values.own) throw new SetupError('--url and --own exclude each other: give one.');
  const accessToken = environment.RUSH_ADMIN_TOKEN;
  return {
    url: url || undefined,
    own: values.own ?? false,
    admin: accessToken
      ? { accessToken }
      : { email: values['admin-email'] ?? 'admin@lastseat.test', password: values['admin-password'] ?? 'lastseat-demo' },
    metricsToken: environment.RUSH_METRICS_TOKEN || undefined,
    settleSeconds: wholeNumber('settle', values.settle, 15, 1, 600),
    json: values.json ?? false,
    keep: values.keep ?? false,
  };
}

function flagsOf<const Flags extends typeof COMMON_FLAGS>(argv: readonly string[], options: Flags) {
  try {
    return parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new SetupError(`${(error as Error).message.split('. ')[0]}. See npm run rush -- --help.`);
  }
}

function wholeNumber(name: string, given: string | undefined, byDefault: number, min: number, max: number): number {
  if (given === undefined) return byDefault;
  const number = /^\d{1,9}$/.test(given) ? Number(given) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new SetupError(`--${name} is ${JSON.stringify(given)}. Allowed: a whole number from ${min} to ${max}.`);
}

function share(name: string, given: string | undefined, byDefault: number): number {
  if (given === undefined) return byDefault;
  const number = /^\d(\.\d+)?$/.test(given) ? Number(given) : Number.NaN;
  if (number >= 0 && number <= 1) return number;
  throw new SetupError(`--${name} is ${JSON.stringify(given)}. Allowed: a number from 0 to 1, such as 0.5.`);
}

function originOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed && ['http:', 'https:'].includes(parsed.protocol)) return parsed.origin;
  throw new SetupError(`--url is ${JSON.stringify(url)}. Allowed: the http:// or https:// address of a server, such as ${DEFAULT_URL}.`);
}
