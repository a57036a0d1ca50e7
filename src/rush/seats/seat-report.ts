import { type Audit, auditKept, type Invariant } from '../invariants.ts';
import { type Answers, answersOf, counts, decimal, latency, ms, number, row } from '../report.ts';
import type { ServerWork } from '../server-metrics.ts';
import { type Latency, latencyOf, total } from '../tally.ts';
import { type House, orphansOf } from './house.ts';
import { AVAILABLE, HELD, SOLD } from './map-view.ts';
import type { WatchedMap } from './map-watcher.ts';
import type { SeatCrowdResult } from './seat-crowd.ts';
import type { MapState } from './seat-stage.ts';

/** What the rehearsal of one house found. */
export interface HouseReport {
  ok: boolean;
  house: { name: string; seats: number; performanceId: string };
  members: number;
  /** Attempts to hold seats; latencies from the click on them. */
  holds: Answers;
  /** Questions for the best seats. */
  searches: Answers;
  payments: Answers;
  cancellations: Answers;
  /** Milliseconds from the moment a member came to look until they had seats; of the winners. */
  toSeatsMs: Latency;
  ends: SeatCrowdResult['ends'];
  alternatives: SeatCrowdResult['alternatives'];
  /** What members were told. */
  seats: SeatCrowdResult['seats'];
  /** What the map shows at the end. `freeForFew`: of the free ones, those for wheelchairs and their companions, which no member wanted. */
  map: { version: number; at: string; sold: number; held: number; free: number; freeForFew: number; orphans: number };
  transportFailures: number;
  sentAgain: number;
  /** Until the last member had ended. */
  tookMs: number;
  lastGivenMs: number | null;
  server: ServerWork | null;
  serverProblem: string | null;
  watchers: { count: number; messages: number; reconnects: number };
  audit: Audit | null;
  invariants: Invariant[];
}

/** Everything that is judged. */
export interface HouseFacts {
  house: House;
  result: SeatCrowdResult;
  /** After the last answer. */
  map: MapState;
  /** At the same moment as `map`. */
  watchers: readonly WatchedMap[];
  /** Null when there was none from after `map`. */
  audit: Audit | null;
}

export function houseReportOf(
  facts: HouseFacts,
  { performanceId, members, server, serverProblem }: Pick<HouseReport, 'members' | 'server' | 'serverProblem'> & { performanceId: string },
): HouseReport {
  const { house, result, map, watchers, audit } = facts;
  const { tookMs, lastGivenMs, lastAnswerMs, ends, alternatives, seats, transportFailures, sentAgain } = result;
  const invariants = judgeSeats(facts);
  return {
    ok: invariants.every(({ kept }) => kept),
    house: { name: house.name, seats: house.forSale, performanceId },
    members,
    holds: answersOf(result.holds, lastAnswerMs),
    searches: answersOf(result.searches, null),
    payments: answersOf(result.payments, null),
    cancellations: answersOf(result.cancellations, null),
    toSeatsMs: latencyOf(result.toSeats),
    ends,
    alternatives,
    seats,
    map: {
      version: map.version,
      at: map.at,
      sold: countOf(map.states, SOLD),
      held: countOf(map.states, HELD),
      free: countOf(map.states, AVAILABLE),
      freeForFew: map.states.reduce((count, state, seat) => count + Number(state === AVAILABLE && !house.isForAll[seat]), 0),
      orphans: orphansOf(house, map.states),
    },
    transportFailures,
    sentAgain,
    tookMs,
    lastGivenMs,
    server,
    serverProblem,
    watchers: {
      count: watchers.length,
      messages: watchers.reduce((sum, { messages }) => sum + messages, 0),
      reconnects: watchers.reduce((sum, { reconnects }) => sum + reconnects, 0),
    },
    audit,
    invariants,
  };
}

/** Whether the map has come to what members were told, as far as it can be told from it. */
export function isSettled({ seats, firstExpiresAt }: Pick<SeatCrowdResult, 'seats' | 'firstExpiresAt'>, map: MapState): boolean {
  const { sold, taken } = countsOf(map);
  return sold === seats.paid && (taken === seats.given - seats.givenUp || mayHaveRunOut(firstExpiresAt, map));
}

/** A hold that ran out frees its seats: from the first deadline on the map may rightly show fewer. */
const mayHaveRunOut = (firstExpiresAt: string | null, { at }: MapState) =>
  firstExpiresAt !== null && Date.parse(at) >= Date.parse(firstExpiresAt);

function countsOf({ states }: MapState): { sold: number; taken: number } {
  const sold = countOf(states, SOLD);
  return { sold, taken: sold + countOf(states, HELD) };
}

const countOf = (states: Uint8Array, state: number) => states.reduce((count, one) => count + Number(one === state), 0);

export function judgeSeats(facts: HouseFacts): Invariant[] {
  const { house, result, map, audit } = facts;
  const { seats, firstExpiresAt } = result;
  const tallies = [result.holds, result.searches, result.payments, result.cancellations];
  const unanswered = tallies.reduce((sum, tally) => sum + tally.unanswered, 0);
  const errors = tallies.reduce((sum, tally) => sum + total(tally.errors), 0);
  const { sold, taken } = countsOf(map);
  const told = seats.given - seats.givenUp;
  const unsure = seats.unsure > 0 ? `, ${seats.unsure} unknown` : '';
  const judged: Invariant[] = [
    {
      name: 'everybody-answered',
      promise: 'Whatever a member asked for was done or refused by name.',
      kept: unanswered === 0 && errors === 0,
      found: `${unanswered} without an answer, ${errors} with an error`,
    },
    {
      name: 'no-seat-given-twice',
      promise: 'No seat was given to a member while another one had it, by what both were told.',
      kept: result.givenTwice === 0,
      found: `${result.givenTwice} given twice, of ${seats.given} given`,
    },
    {
      name: 'sold-equals-paid',
      promise: 'The map shows as sold exactly as many seats as members were told are paid.',
      kept: sold >= seats.paid && sold <= seats.paid + seats.unsure,
      found: `${sold} sold, ${seats.paid} paid${unsure}`,
    },
    {
      name: 'nothing-oversold',
      promise: 'No pool has more sold and held than it has seats, recounted from the rows.',
      kept: audit?.oversold === 0 && taken <= house.forSale,
      found: audit ? `${taken} of ${house.forSale} taken, ${audit.oversold} oversold` : 'no audit from after the rush',
    },
    auditKept(audit),
  ];
  if (!mayHaveRunOut(firstExpiresAt, map))
    judged.push({
      name: 'map-equals-answers',
      promise: 'The map shows as taken exactly as many seats as members were told they have.',
      kept: Math.abs(taken - told) <= seats.unsure,
      found: `${taken} taken, ${told} told${unsure}`,
    });
  return [...judged, ...watchersJudged(facts)];
}

function watchersJudged({ watchers }: HouseFacts): Invariant[] {
  const right = watchers.filter(({ isRight }) => isRight).length;
  const failure = watchers.find((one) => one.failure)?.failure;
  const gaps = watchers.reduce((sum, one) => sum + one.gaps, 0);
  const versionsDown = watchers.reduce((sum, one) => sum + one.versionsDown, 0);
  return [
    {
      name: 'watchers-know-the-truth',
      promise: "Every watcher's map equals the query's, seat by seat and in its version.",
      kept: right === watchers.length,
      found: `${right} of ${watchers.length}${failure ? `; one stopped: ${failure}` : ''}`,
    },
    {
      name: 'no-gap-in-the-versions',
      promise: 'No watcher was told of changes since a version it had not come to, or of an older version after a newer one.',
      kept: gaps + versionsDown === 0,
      found: `${gaps} gaps, ${versionsDown} times down`,
    },
  ];
}

/** The report for a person. */
export function houseTextOf(report: HouseReport): string {
  const { holds, searches, payments, ends, seats, map, alternatives, server, audit, watchers } = report;
  const lines = [
    `${report.house.name}: ${number(report.members)} members for ${number(report.house.seats)} seats`,
    '',
    row('Attempts', [`${number(holds.granted)} got seats`, counts(holds.refused), counts(holds.errors)].filter(Boolean).join(', ')),
    row(
      'Alternatives',
      `offered after ${number(alternatives.offered)} lost races, tried ${number(alternatives.tried)} times, got ${number(alternatives.got)} times`,
    ),
    row(
      'Members',
      `${number(ends.paid)} paid, ${number(ends.unpaid)} got seats and did not pay, ${number(ends.gaveUp)} gave theirs up, ${number(ends.foundNothing)} found nothing free, ` +
        `${number(ends.lostPatience)} lost patience, ${number(ends.refused)} were refused otherwise, ${number(ends.failed)} failed`,
    ),
    row('Seats', `${number(seats.given)} given, of them ${number(seats.paid)} paid and ${number(seats.givenUp)} given up again`),
    row(
      'The map',
      `${number(map.sold)} sold, ${number(map.held)} held, ${number(map.free)} free (${number(map.freeForFew)} for wheelchairs and companions), ` +
        `${number(map.orphans)} orphans among them, version ${number(map.version)}`,
    ),
    row(
      'On the way',
      `${number(holds.unanswered + searches.unanswered + payments.unanswered + report.cancellations.unanswered)} without an answer, ` +
        `${number(report.transportFailures)} lost, ${number(report.sentAgain)} sent again`,
    ),
    row('Last seat', `given after ${ms(report.lastGivenMs)}`),
    row('Last attempt', `answered after ${ms(holds.lastAnswerMs)}, ${number(Math.round(holds.perSecond ?? 0))} a second`),
    row('All over', `after ${ms(report.tookMs)}`),
    row('To seats', `${latency(report.toSeatsMs)}, from coming to look, of those who got some`),
    row('From click', latency(holds.fromClickMs)),
    row('  on the wire', latency(holds.onTheWireMs)),
    row('Searches', `${number(searches.granted)}, on the wire ${latency(searches.onTheWireMs)}`),
  ];
  if (payments.granted > 0) lines.push(row('Paid', `${number(payments.granted)} times, on the wire ${latency(payments.onTheWireMs)}`));
  if (server)
    lines.push(
      row('Transactions', counts(server.transactions) || '0'),
      row('Batches', `${number(server.batches.count)} of ${decimal(server.batches.average)} claims on average`),
      row('Lock wait', `${decimal(server.lockWait.averageMs)} ms on average`),
    );
  else lines.push(row('Server', report.serverProblem ?? 'not read'));
  lines.push(
    row('Watchers', `${number(watchers.count)} with ${number(watchers.messages)} messages, ${number(watchers.reconnects)} reconnects`),
    row('Audit', audit ? `oversold ${audit.oversold}, counted ${audit.at}` : 'none from after the rush'),
    '',
  );
  for (const { kept, promise, found } of report.invariants) lines.push(`  ${kept ? 'kept  ' : 'BROKEN'}  ${promise} (${found})`);
  lines.push('', report.ok ? 'Every invariant was kept.' : 'An invariant was broken.');
  return `${lines.join('\n')}\n`;
}
