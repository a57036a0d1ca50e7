import type { CrowdResult } from './crowd.ts';
import type { Audit, Invariant, LessonState } from './invariants.ts';
import type { RushOptions } from './options.ts';
import type { ServerWork } from './server-metrics.ts';
import { type Latency, latencyOf, type Tally, total } from './tally.ts';
import type { Watched } from './watcher.ts';

/** Counts and latencies of the requests of one kind. */
export interface Answers {
  granted: number;
  refused: Record<string, number>;
  errors: Record<string, number>;
  unanswered: number;
  /** Milliseconds from the moment the member wanted to the answer. */
  fromClickMs: Latency;
  /** Milliseconds from sending to the answer. */
  onTheWireMs: Latency;
  /** Milliseconds from the start of the rush to the last answer; null when there was none. */
  lastAnswerMs: number | null;
  perSecond: number | null;
}

/** Everything a rehearsal found; what `--json` prints. */
export interface Report {
  ok: boolean;
  rush: Pick<RushOptions, 'members' | 'places' | 'watchers' | 'connections' | 'processes' | 'pay' | 'lockers' | 'policy'> & {
    url: string;
    server: 'own' | 'given';
    lessonId: string;
    startedAt: string;
  };
  enrolments: Answers;
  payments: Answers;
  transportFailures: number;
  sentAgain: number;
  /** Milliseconds until the last place was given; null when places are left. */
  soldOutMs: number | null;
  /** Null where /metrics could not be read; then `serverProblem` says why. */
  server: ServerWork | null;
  serverProblem: string | null;
  watchers: { count: number; messages: { min: number; average: number; max: number } | null; reconnects: number };
  state: LessonState;
  audit: Audit | null;
  invariants: Invariant[];
}

export interface ReportParts extends Pick<Report, 'rush' | 'server' | 'serverProblem' | 'state' | 'audit' | 'invariants'> {
  result: CrowdResult;
  watched: readonly Watched[];
}

export function reportOf({ result, watched, ...parts }: ReportParts): Report {
  const { startedAt, lastGrantedAt } = result;
  const sinceStart = (instant: number | null) => (instant === null ? null : instant - startedAt);
  const isSoldOut = result.enrolments.granted >= parts.rush.places;
  return {
    ok: parts.invariants.every(({ kept }) => kept),
    rush: parts.rush,
    enrolments: answersOf(result.enrolments, sinceStart(result.lastEnrolledAt)),
    payments: answersOf(result.payments, sinceStart(result.lastPaidAt)),
    transportFailures: result.transportFailures,
    sentAgain: result.sentAgain,
    soldOutMs: isSoldOut ? sinceStart(lastGrantedAt) : null,
    server: parts.server,
    serverProblem: parts.serverProblem,
    watchers: {
      count: watched.length,
      messages: spreadOf(watched.map(({ messages }) => messages)),
      reconnects: watched.reduce((sum, { reconnects }) => sum + reconnects, 0),
    },
    state: parts.state,
    audit: parts.audit,
    invariants: parts.invariants,
  };
}

/** Counts and latencies of a tally. */
export function answersOf(tally: Tally, lastAnswerMs: number | null): Answers {
  const answered = tally.fromClick.length;
  return {
    granted: tally.granted,
    refused: tally.refused,
    errors: tally.errors,
    unanswered: tally.unanswered,
    fromClickMs: latencyOf(tally.fromClick),
    onTheWireMs: latencyOf(tally.onTheWire),
    lastAnswerMs,
    perSecond: lastAnswerMs ? (answered * 1000) / lastAnswerMs : null,
  };
}

export function spreadOf(counts: readonly number[]): { min: number; average: number; max: number } | null {
  if (counts.length === 0) return null;
  let [min, max, sum] = [Number.POSITIVE_INFINITY, 0, 0];
  for (const count of counts) {
    min = Math.min(min, count);
    max = Math.max(max, count);
    sum += count;
  }
  return { min, average: sum / counts.length, max };
}

/** The report for a person. */
export function textOf(report: Report): string {
  const { rush, enrolments, payments, server, watchers, audit } = report;
  const lines = [
    `${number(rush.members)} members for ${number(rush.places)} places, ${rush.policy}, ${number(rush.connections)} connections, at ${rush.url}`,
    '',
    row('Won', number(enrolments.granted)),
    row('Refused', counts(enrolments.refused) || '0'),
    row(
      'Failed',
      [
        counts(enrolments.errors),
        `${number(enrolments.unanswered)} without an answer`,
        `${number(report.transportFailures)} lost on the way`,
        `${number(report.sentAgain)} sent again`,
      ]
        .filter(Boolean)
        .join(', '),
    ),
    row('Sold out', report.soldOutMs === null ? 'no' : `after ${ms(report.soldOutMs)}`),
    row('All answered', `after ${ms(enrolments.lastAnswerMs)}, ${number(Math.round(enrolments.perSecond ?? 0))} a second`),
    row('From click', latency(enrolments.fromClickMs)),
    row('On the wire', latency(enrolments.onTheWireMs)),
  ];
  if (payments.granted + total(payments.refused) + total(payments.errors) + payments.unanswered > 0)
    lines.push(
      row('Paid', [number(payments.granted), counts(payments.refused), counts(payments.errors)].filter(Boolean).join(', ')),
      row('  on the wire', latency(payments.onTheWireMs)),
    );
  if (server)
    lines.push(
      row('Transactions', counts(server.transactions) || '0'),
      row(
        'Retries',
        `${counts(server.retries) || '0'}${server.retriedShare === null ? '' : ` (${(server.retriedShare * 100).toFixed(2)} % of transactions)`}`,
      ),
      row(
        'Batches',
        `${number(server.batches.count)} of ${decimal(server.batches.average)} claims on average; by size up to: ${counts(server.batches.upTo) || 'none'}`,
      ),
      row('Lock wait', `${decimal(server.lockWait.averageMs)} ms on average`),
    );
  else lines.push(row('Server', report.serverProblem ?? 'not read'));
  if (watchers.messages)
    lines.push(
      row(
        'Watchers',
        `${number(watchers.count)}, messages each: min ${watchers.messages.min}, average ${decimal(watchers.messages.average)}, max ${watchers.messages.max}`,
      ),
    );
  lines.push(row('Audit', audit ? `oversold ${audit.oversold}, counted ${audit.at}` : 'none from after the rush'), '');
  for (const { kept, promise, found } of report.invariants) lines.push(`  ${kept ? 'kept  ' : 'BROKEN'}  ${promise} (${found})`);
  lines.push('', report.ok ? 'Every invariant was kept.' : 'An invariant was broken.');
  return `${lines.join('\n')}\n`;
}

export const row = (name: string, value: string) => `  ${name.padEnd(14)}${value}`;
export const number = (value: number) => value.toLocaleString('en');
export const decimal = (value: number | null) => (value === null ? 'none' : value.toFixed(1));
export const ms = (value: number | null) =>
  value === null ? 'never' : value < 10_000 ? `${value.toFixed(0)} ms` : `${(value / 1000).toFixed(1)} s`;
export const latency = ({ p50, p95, p99, max }: Latency) => `p50 ${ms(p50)}, p95 ${ms(p95)}, p99 ${ms(p99)}, max ${ms(max)}`;
export const counts = (values: Record<string, number>) =>
  Object.entries(values)
    .map(([name, count]) => `${name} ${number(count)}`)
    .join(', ');
