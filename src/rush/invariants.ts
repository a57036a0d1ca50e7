import { type Tally, total } from './tally.ts';
import type { Watched } from './watcher.ts';

/** How much of the lesson is left, as the query tells. */
export interface LessonState {
  capacity: number;
  free: number;
  held: number;
  sold: number;
  version: number;
  /** By the database's clock. */
  at: string;
}

export interface Audit {
  at: string;
  oversold: number;
  ok: boolean;
  checks: { name: string; promise: string; violations: number }[];
}

/** Everything that is judged. */
export interface Facts {
  members: number;
  places: number;
  enrolments: Tally;
  payments: Tally;
  /** The earliest deadline of a hold: from then on a place may rightly be given again. */
  firstExpiresAt: string | null;
  /** After the last answer. */
  state: LessonState;
  watched: readonly Watched[];
  /** Null when there was none from after `state`. */
  audit: Audit | null;
}

export interface Invariant {
  name: string;
  promise: string;
  kept: boolean;
  /** The numbers it was judged by. */
  found: string;
}

export function judge(facts: Facts): Invariant[] {
  const { members, places, enrolments, payments, state, watched } = facts;
  const winners = enrolments.granted;
  const unknown = enrolments.unanswered + total(enrolments.errors);
  const judged: Invariant[] = [
    {
      name: 'everybody-answered',
      promise: 'Every member got a place or a typed refusal.',
      kept: unknown === 0 && payments.unanswered + total(payments.errors) === 0,
      found: `${enrolments.unanswered + payments.unanswered} without an answer, ${total(enrolments.errors) + total(payments.errors)} with an error`,
    },
  ];
  // A hold that ran out frees its place, so after the first deadline more members than places may rightly have won.
  if (!facts.firstExpiresAt || Date.parse(state.at) < Date.parse(facts.firstExpiresAt)) {
    const due = Math.min(members, places);
    const taken = state.held + state.sold;
    judged.push(
      {
        name: 'winners-within-places',
        promise: 'No more members won than there are places.',
        kept: winners <= places,
        found: `${winners} of ${places}`,
      },
      {
        name: 'every-place-given',
        promise: 'Every place found a member, as far as there are members.',
        kept: winners <= due && winners + unknown >= due,
        found: `${winners} won, ${due} could`,
      },
      {
        name: 'counters-equal-answers',
        promise: 'The server counts exactly the places that members were told they have.',
        kept: taken >= winners && taken <= winners + unknown && state.free === state.capacity - taken,
        found: `${taken} held and sold, ${winners} won`,
      },
    );
  }
  judged.push({
    name: 'sold-equals-paid',
    promise: 'The server counts as sold exactly what members were told is paid.',
    kept: state.sold >= payments.granted && state.sold <= payments.granted + payments.unanswered + total(payments.errors),
    found: `${state.sold} sold, ${payments.granted} paid`,
  });
  judged.push(...auditJudged(facts));
  if (watched.length > 0) judged.push(...watchersJudged(facts));
  return judged;
}

function auditJudged({ audit, state }: Facts): Invariant[] {
  return [
    {
      name: 'nothing-oversold',
      promise: 'No pool has more sold and held than its capacity, recounted from the rows.',
      kept: audit?.oversold === 0 && state.free >= 0,
      found: audit ? `${audit.oversold} oversold` : 'no audit from after the rush',
    },
    auditKept(audit),
  ];
}

export function auditKept(audit: Audit | null): Invariant {
  const broken = audit?.checks.filter(({ violations }) => violations > 0) ?? [];
  return {
    name: 'audit-kept',
    promise: 'Every check of the audit holds: nothing is held twice, and the counters equal the rows.',
    kept: audit?.ok === true && broken.length === 0,
    found: audit
      ? `${audit.checks.length - broken.length} of ${audit.checks.length} hold${broken.map(({ name, violations }) => `; ${name}: ${violations}`).join('')}`
      : 'no audit from after the rush',
  };
}

function watchersJudged({ watched, state }: Facts): Invariant[] {
  const right = watched.filter((one) => knows(one, state));
  const down = watched.reduce((sum, one) => sum + one.versionsDown, 0);
  const failure = watched.find((one) => one.failure)?.failure;
  return [
    {
      name: 'watchers-know-the-truth',
      promise: 'The last state of every watcher equals that of the query: version and free places.',
      kept: right.length === watched.length,
      found: `${right.length} of ${watched.length}${failure ? `; one stopped: ${failure}` : ''}`,
    },
    {
      name: 'versions-never-go-down',
      promise: 'No watcher was told an older version after a newer one.',
      kept: down === 0,
      found: `${down} times`,
    },
  ];
}

/** Whether a watcher was told this state last, and still watches. */
export const knows = ({ last, failure }: Watched, { version, free }: Pick<LessonState, 'version' | 'free'>): boolean =>
  failure === null && last?.version === version && last.free === free;
