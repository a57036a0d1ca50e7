import type { Audit, Invariant } from '../invariants.ts';
import { type Answers, answersOf, counts, decimal, latency, ms, number, row } from '../report.ts';
import type { ServerWork } from '../server-metrics.ts';
import { total } from '../tally.ts';
import { type House, orphansOf } from './house.ts';
import { AVAILABLE, BLOCKED, SOLD } from './map-view.ts';
import type { MapWatcher } from './map-watcher.ts';
import type { SeatCrowdResult } from './seat-crowd.ts';
import type { MapState } from './seat-stage.ts';

/** What the rehearsal of one house found. */
export interface HouseReport {
  ok: boolean;
  house: { name: string; seats: number; performanceId: string };
  members: number;
  holds: Answers;
  payments: Answers;
  ends: SeatCrowdResult['ends'];
  alternatives: SeatCrowdResult['alternatives'];
  seats: SeatCrowdResult['seats'] & { free: number; orphans: number };
  transportFailures: number;
  sentAgain: number;
  tookMs: number;
  lastGrantedMs: number | null;
  server: ServerWork | null;
  serverProblem: string | null;
  watchers: { count: number; messages: number; reconnects: number };
  audit: Audit | null;
  invariants: Invariant[];
}

export interface HouseFacts {
  house: House;
  performanceId: string;
  members: number;
  result: SeatCrowdResult;
  map: MapState;
  watchers: readonly MapWatcher[];
  audit: Audit | null;
  server: ServerWork | null;
  serverProblem: string | null;
}

export function houseReportOf(facts: HouseFacts): HouseReport {
  const { house, performanceId, members, result, map, watchers, audit, server, serverProblem } = facts;
  const tookMs = result.lastAnswerAt - result.startedAt;
  const invariants = judgedSeats(facts);
  return {
    ok: invariants.every(({ kept }) => kept),
    house: { name: house.name, seats: house.forSale, performanceId },
    members,
    holds: answersOf(result.holds, tookMs),
    payments: answersOf(result.payments, null),
    ends: result.ends,
    alternatives: result.alternatives,
    seats: { ...result.seats, free: countOf(map.states, AVAILABLE), orphans: orphansOf(house, map.states) },
    transportFailures: result.transportFailures,
    sentAgain: result.sentAgain,
    tookMs,
    lastGrantedMs: result.lastGrantedAt === null ? null : result.lastGrantedAt - result.startedAt,
    server,
    serverProblem,
    watchers: {
      count: watchers.length,
      messages: watchers.reduce((sum, { view }) => sum + view.messages, 0),
      reconnects: watchers.reduce((sum, { reconnects }) => sum + reconnects, 0),
    },
    audit,
    invariants,
  };
}

const countOf = (states: Uint8Array, state: number) => states.reduce((count, one) => count + Number(one === state), 0);

/** Whether a watcher's map is that of the query. */
export const knowsMap = ({ view, failure }: MapWatcher, map: MapState): boolean =>
  failure === null && view.version === map.version && Buffer.from(view.states).equals(Buffer.from(map.states));

function judgedSeats({ house, result, map, watchers, audit }: HouseFacts): Invariant[] {
  const { holds, payments, seats, ends } = result;
  const unanswered = holds.unanswered + payments.unanswered;
  const errors = total(holds.errors) + total(payments.errors);
  const sold = countOf(map.states, SOLD);
  const taken = map.states.length - countOf(map.states, AVAILABLE) - countOf(map.states, BLOCKED);
  const told = seats.held - seats.givenUp;
  const broken = audit?.checks.filter(({ violations }) => violations > 0) ?? [];
  const judged: Invariant[] = [
    {
      name: 'everybody-answered',
      promise: 'Every member got seats or a typed refusal.',
      kept: unanswered === 0 && errors === 0,
      found: `${unanswered} without an answer, ${errors} with an error`,
    },
    {
      name: 'no-seat-given-twice',
      promise: 'No seat was given to a member while another one had it, by what both were told.',
      kept: result.givenTwice === 0,
      found: `${result.givenTwice} given twice, of ${seats.held} given`,
    },
    {
      name: 'sold-equals-paid',
      promise: 'The map shows as sold exactly the seats that members were told are paid.',
      kept: sold === seats.paid || (unanswered > 0 && sold >= seats.paid),
      found: `${sold} sold, ${seats.paid} paid`,
    },
    {
      name: 'nothing-oversold',
      promise: 'No more seats are taken than there are, recounted from the rows.',
      kept: audit?.oversold === 0 && taken <= house.forSale,
      found: audit ? `${taken} of ${house.forSale} taken, ${audit.oversold} oversold` : 'no audit from after the rush',
    },
    {
      name: 'audit-kept',
      promise: 'Every check of the audit holds: no unit held twice, counters equal to the rows.',
      kept: audit?.ok === true && broken.length === 0,
      found: audit
        ? `${audit.checks.length - broken.length} of ${audit.checks.length} hold${broken.map(({ name, violations }) => `; ${name}: ${violations}`).join('')}`
        : 'no audit from after the rush',
    },
  ];
  // A hold that ran out frees its seats: from the first deadline on the map may rightly show fewer.
  if (!result.firstExpiresAt || Date.parse(map.at) < Date.parse(result.firstExpiresAt))
    judged.push({
      name: 'map-equals-answers',
      promise: 'The map shows as taken exactly the seats that members were told they have.',
      kept: taken === told || (unanswered + errors > 0 && taken >= told) || ends.refused > 0,
      found: `${taken} taken, ${told} told`,
    });
  if (watchers.length > 0) {
    const right = watchers.filter((watcher) => knowsMap(watcher, map)).length;
    const gaps = watchers.reduce((sum, { view }) => sum + view.gaps + view.versionsDown, 0);
    const failure = watchers.find((one) => one.failure)?.failure;
    judged.push(
      {
        name: 'watchers-know-the-truth',
        promise: "Every watcher's map equals the query's, seat by seat and in its version.",
        kept: right === watchers.length,
        found: `${right} of ${watchers.length}${failure ? `; one stopped: ${failure}` : ''}`,
      },
      {
        name: 'no-gap-in-the-versions',
        promise: 'No watcher got changes since a version it did not know, or an older one after a newer one.',
        kept: gaps === 0,
        found: `${gaps} times`,
      },
    );
  }
  return judged;
}

/** The report for a person. */
export function houseTextOf(report: HouseReport): string {
  const { holds, ends, seats, alternatives, server, audit } = report;
  const lines = [
    `${report.house.name}: ${number(report.members)} members for ${number(report.house.seats)} seats`,
    '',
    row('Attempts', [`${number(holds.granted)} got seats`, counts(holds.refused), counts(holds.errors)].filter(Boolean).join(', ')),
    row(
      'Members',
      `${number(ends.paid)} paid, ${number(ends.holding)} hold seats, ${number(ends.gaveUp)} gave up, ${number(ends.foundNothing)} found nothing free, ` +
        `${number(ends.lostPatience)} lost patience, ${number(ends.refused)} refused otherwise`,
    ),
    row(
      'Alternatives',
      `offered to ${number(alternatives.offered)} losers of a race, tried ${number(alternatives.tried)} times, got ${number(alternatives.got)} times`,
    ),
    row(
      'Seats',
      `${number(seats.paid)} sold, ${number(seats.held - seats.paid - seats.givenUp)} held, ${number(seats.givenUp)} given up, ${number(seats.free)} free at the end, ` +
        `${number(seats.orphans)} orphans among them`,
    ),
    row(
      'All over',
      `after ${ms(report.tookMs)}, ${number(Math.round(holds.perSecond ?? 0))} attempts a second; last seat given after ${ms(report.lastGrantedMs)}`,
    ),
    row('On the wire', latency(holds.onTheWireMs)),
  ];
  if (server)
    lines.push(
      row('Transactions', counts(server.transactions) || '0'),
      row('Batches', `${number(server.batches.count)} of ${decimal(server.batches.average)} claims on average`),
      row('Lock wait', `${decimal(server.lockWait.averageMs)} ms on average`),
    );
  else lines.push(row('Server', report.serverProblem ?? 'not read'));
  lines.push(
    row(
      'Watchers',
      `${number(report.watchers.count)} with ${number(report.watchers.messages)} messages, ${number(report.watchers.reconnects)} reconnects`,
    ),
    row('Audit', audit ? `oversold ${audit.oversold}, counted ${audit.at}` : 'none from after the rush'),
    '',
  );
  for (const { kept, promise, found } of report.invariants) lines.push(`  ${kept ? 'kept  ' : 'BROKEN'}  ${promise} (${found})`);
  lines.push('', report.ok ? 'Every invariant was kept.' : 'An invariant was broken.', '');
  return `${lines.join('\n')}\n`;
}
