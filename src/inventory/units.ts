import assert from 'node:assert/strict';
import type { EntityManager } from '@mikro-orm/postgresql';
import type pg from 'pg';
import type { PoolRow } from './decide-claims.ts';

/**
 * What a unit of a numbered pool is. `KEPT`: given back in a pool that is watched; for 10 seconds only for whoever it is offered to, then for anybody,
 * whether or not a process was there to offer it.
 */
export const UNIT_STATES = ['AVAILABLE', 'KEPT', 'HELD', 'SOLD', 'BLOCKED'] as const;
export type UnitState = (typeof UNIT_STATES)[number];

/** The last four hexadecimal digits are the unit's number: so a claim for units by number needs no look-up. */
export const UNIT_NUMBER_MAX = 65_535;

/** The id of the unit with this number in a pool whose units were numbered by {@link insertUnits}. */
export function unitIdOf(poolId: string, number: number): string {
  assert(
    Number.isInteger(number) && number >= 0 && number <= UNIT_NUMBER_MAX,
    `A unit has a number of 0 to ${UNIT_NUMBER_MAX}, not ${number}.`,
  );
  return poolId.slice(0, 32) + number.toString(16).padStart(4, '0');
}

/** The number of a unit, from its id. */
export const unitNumberOf = (unitId: string): number => Number.parseInt(unitId.slice(32), 16);

export interface NewUnit {
  /** 0 to {@link UNIT_NUMBER_MAX}, once in its pool. */
  number: number;
  /** Once in its pool, for people who look at the rows. */
  label: string;
  priceMinor: number;
  /** Not for sale, and not counted by the capacity. */
  isBlocked: boolean;
}

/** Gives a new pool its units, in one statement. The pool's capacity must be the number of those that are not blocked: an invariant checks it. */
export async function insertUnits(em: EntityManager, poolId: string, units: readonly NewUnit[]): Promise<void> {
  await em.execute(
    `insert into unit (id, pool_id, number, label, price_minor, state)
     select (left(?, 32) || lpad(to_hex(u.number), 4, '0'))::uuid, ?::uuid, u.number, u.label, u."priceMinor", case when u."isBlocked" then 'BLOCKED' else 'AVAILABLE' end
     from jsonb_to_recordset(?::jsonb) as u(number int, label text, "priceMinor" int, "isBlocked" boolean)`,
    [poolId, poolId, JSON.stringify(units)],
  );
}

/** `pools` changed, also where the answer is a refusal: what had run out was taken back. */
export type Blocked =
  | { outcome: 'DONE'; pools: PoolRow[] }
  /** These stand in the way: none was blocked or unblocked. `TAKEN`: held or sold. */
  | { outcome: 'NOT_FOUND' | 'TAKEN'; numbers: number[]; pools: PoolRow[] };

/**
 * Takes units out of the sale or puts them back into it, all or none; the pool's capacity follows. A unit that is kept for a follower can be blocked.
 * After the commit, pass `pools` to `Inventory.tell`.
 */
export async function blockUnits(em: EntityManager, poolId: string, numbers: readonly number[], isBlocked: boolean): Promise<Blocked> {
  const [row] = await em.execute<{ answer: Blocked }[]>('select block_units(?, ?::int[], ?) as answer', [
    poolId,
    `{${numbers.join(',')}}`,
    isBlocked,
  ]);
  if (!row) throw new Error('block_units returned no row: run the migrations');
  return row.answer;
}

/**
 * Whether units that are given back are kept for 10 seconds, so that they can be offered to whoever follows them. The pools stay locked until the
 * caller's transaction ends: what is still taken when this returns is kept when it is given back.
 */
export async function watchPools(em: EntityManager, poolIds: readonly string[], isWatched: boolean): Promise<void> {
  const ids = `{${poolIds.join(',')}}`;
  await em.execute('select from pool where id = any (?::uuid[]) order by id for no key update', [ids]);
  await em.execute('update pool set is_watched = ? where id = any (?::uuid[]) and is_watched <> ?', [isWatched, ids, isWatched]);
}

export interface KeptUnit {
  id: string;
  poolId: string;
  number: number;
}

/** Units that are kept and not yet for anybody, oldest first; those whose time has passed too, for somebody must tidy them. */
export async function keptUnits(pool: pg.Pool, limit: number): Promise<KeptUnit[]> {
  const { rows } = await pool.query({
    name: 'kept_units',
    text: `select id, pool_id as "poolId", number from unit where state = 'KEPT' and (kept_for is null or kept_until <= clock_timestamp())
           order by kept_until, id limit $1`,
    values: [limit],
  });
  return rows;
}

/** Of a unit, or of the places of a pool. */
const OFFER_LOCK = "pg_try_advisory_xact_lock(hashtextextended('offer ' || ?, 0))";

/**
 * Whether the caller alone decides, until its transaction ends, whom a kept unit is offered to. False when it is not kept any more, when it is somebody's, or when another
 * one is at it. An advisory lock: the unit's row may be needed by a claim that has the pool, for which keeping the unit must wait.
 */
export async function mayOffer(em: EntityManager, unitId: string): Promise<boolean> {
  const [row] = await em.execute<{ isKept: boolean }[]>(
    `select ${OFFER_LOCK} and exists (
       select from unit where id = ? and state = 'KEPT' and (kept_for is null or kept_until <= clock_timestamp())) as "isKept"`,
    [unitId, unitId],
  );
  return row?.isKept === true;
}

/**
 * From now on only this claimant can take the unit, whoever it was kept for before, until its time has passed. False when it is not kept any more.
 * Claim it in the same transaction, right after: the pool stays locked, so nobody else can come between. Null: nobody can, as before it was offered.
 */
export async function keepFor(em: EntityManager, unitId: string, claimantId: string | null): Promise<boolean> {
  const [row] = await em.execute<{ kept: boolean }[]>('select keep_unit_for(?, ?::uuid) as kept', [unitId, claimantId]);
  return row?.kept === true;
}

/** Lets anybody take units that were kept. After the commit, pass the pools to `Inventory.tell`. */
export async function letGoUnits(em: EntityManager, unitIds: readonly string[]): Promise<PoolRow[]> {
  return em.execute<PoolRow[]>('select * from let_go_units(?::uuid[])', [`{${unitIds.join(',')}}`]);
}

/** The same for the places of a pool without numbers. */
export async function mayOfferPlaces(em: EntityManager, poolId: string): Promise<boolean> {
  const [row] = await em.execute<{ isAlone: boolean }[]>(`select ${OFFER_LOCK} as "isAlone"`, [poolId]);
  return row?.isAlone === true;
}

/**
 * Lets this claimant take so many of the places that are kept in a pool without numbers. Claim them in the same transaction, right after: the pool stays locked, so nobody else
 * can come between. Answers how many of them were kept: if the claim is refused, give them to {@link keepPlaces}.
 */
export async function takeKeptPlaces(em: EntityManager, poolId: string, claimantId: string, quantity: number): Promise<number> {
  const [row] = await em.execute<{ taken: number | null }[]>('select take_kept_places(?, ?, ?) as taken', [poolId, claimantId, quantity]);
  return row?.taken ?? 0;
}

/** Keeps places of a pool, which the caller has locked, for 10 seconds. After the commit, pass the pools to `Inventory.tell`. */
export async function keepPlaces(em: EntityManager, poolId: string, quantity: number): Promise<PoolRow[]> {
  return em.execute<PoolRow[]>(
    `update pool set kept = kept + ?, kept_until = clock_timestamp() + interval '10 s', version = version + 1, changed_at = clock_timestamp()
     where id = ? and ? > 0 returning *`,
    [quantity, poolId, quantity],
  );
}

/** Lets anybody take the places that are kept in a pool. After the commit, pass the pools to `Inventory.tell`. */
export async function letGoPlaces(em: EntityManager, poolId: string): Promise<PoolRow[]> {
  return em.execute<PoolRow[]>('select * from let_go_places(?)', [poolId]);
}
