import type { EntityManager } from '@mikro-orm/postgresql';
import { queryIn } from '../platform/database/query-in.ts';
import type { PoolRow } from './decide-claims.ts';
import { type HoldState, TRANSITIONS } from './hold-states.ts';

/**
 * What became of an attempt to move a hold: moved, or the reason why not. `EXPIRED` is also said of a hold whose deadline has passed
 * while its row still reads HELD. `NOT_FOUND` is also said of a hold of somebody else.
 */
export type MoveOutcome = 'MOVED' | 'NOT_FOUND' | HoldState;

export interface Moved {
  outcome: MoveOutcome;
  /** The pools that changed; tell the watchers of them after the commit. */
  pools: PoolRow[];
}

/**
 * Takes one arrow of the hold's life, in the caller's transaction: one guarded statement, so of two rivals exactly one moves the hold.
 * `claimantId`: whose hold it must be; null when the caller acts for the provider or as an administrator.
 */
export async function moveHold(
  em: EntityManager,
  verb: keyof typeof TRANSITIONS,
  holdId: string,
  claimantId: string | null,
): Promise<Moved> {
  const { from, to } = TRANSITIONS[verb];
  const [row] = await em.execute<{ answer: RawMoved }[]>('select move_hold(?, ?, ?::text[], ?) as answer', [
    holdId,
    claimantId,
    `{${from.join(',')}}`,
    to,
  ]);
  if (!row) throw new Error('move_hold returned no row: run the migrations');
  return readMoved(row.answer);
}

/** What `move_hold` answers. */
interface RawMoved {
  outcome: MoveOutcome;
  pools?: PoolRow[] | null;
}

const readMoved = ({ outcome, pools }: RawMoved): Moved => ({ outcome, pools: pools ?? [] });

export interface Release {
  holdId: string;
  claimantId: string;
}

/** Lets claimants give up holds that are not being paid, in the caller's transaction. Answers what became of each, in their order. */
export async function releaseHolds(em: EntityManager, releases: readonly Release[]): Promise<Moved[]> {
  const [row] = await queryIn<{ answers: RawMoved[] }>(em, 'releaseHolds', RELEASE_HOLDS, [
    releases.map(({ holdId }) => holdId),
    releases.map(({ claimantId }) => claimantId),
  ]);
  if (!row) throw new Error('release_holds returned no row: run the migrations');
  return row.answers.map(readMoved);
}

const RELEASE_HOLDS = 'select to_json(release_holds($1, $2)) as answers';

/**
 * Confirms holds that the caller has locked and found being paid, all in one statement, in its transaction. Answers the pools that changed, each once. They are
 * locked from here to the commit: call it last.
 */
export async function confirmHolds(em: EntityManager, holdIds: readonly string[]): Promise<PoolRow[]> {
  const rows = await queryIn<{ pool: PoolRow }>(em, 'confirmHolds', 'select to_json(p) as pool from confirm_holds($1) p', [holdIds]);
  return rows.map(({ pool }) => pool);
}
