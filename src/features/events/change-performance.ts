import type { EntityManager } from '@mikro-orm/postgresql';
import type { PoolRow } from '../../inventory/decide-claims.ts';
import type { Refusal } from '../../platform/refusal.ts';
import { type CancellationStep, earliestFirst } from '../holds/index.ts';
import { quotaKeyOf } from './event.kind.ts';
import { beginsInPast, type Schedule, scheduleProblem, sellingProblem } from './event-rules.ts';
import { MemberLimitBelowTakenError, PerformanceNotFoundError } from './events.errors.ts';

export interface PerformanceChange {
  startsAt?: Date | null;
  endsAt?: Date | null;
  /** Null: on sale at once. */
  onSaleFrom?: Date | null;
  /** Null: until it begins. */
  onSaleUntil?: Date | null;
  perMemberMax?: number | null;
  holdSeconds?: number | null;
  cancellation?: readonly CancellationStep[] | null;
}

type Stored = Schedule & { perMemberMax: number };

/** All pools of a performance, the numbered seats' and the tiers', as they are once nobody else can change them. None: it was deleted. */
export async function lockPoolsOf(em: EntityManager, performanceId: string): Promise<PoolRow[]> {
  return em.execute<PoolRow[]>('select * from pool where quota_key = ? order by id for no key update', [quotaKeyOf(performanceId)]);
}

/** Changes a performance and all of its pools, in the caller's transaction. Answers the pools as they are now, for the watchers. */
export async function changePerformance(em: EntityManager, id: string, change: PerformanceChange, now: Date): Promise<PoolRow[] | Refusal> {
  const locked = await lockPoolsOf(em, id);
  if (locked.length === 0) return new PerformanceNotFoundError();
  const stored = await storedOf(em, id);
  const schedule = scheduleAfter(stored, change);
  const problem =
    (change.startsAt && change.startsAt <= now ? beginsInPast() : undefined) ??
    scheduleProblem(schedule) ??
    sellingProblem(change) ??
    (await limitProblem(em, id, stored, change));
  if (problem) return problem;

  await em.execute('update performance set starts_at = ?, ends_at = ?, cancellation = coalesce(?::jsonb, cancellation) where id = ?', [
    schedule.startsAt,
    schedule.endsAt,
    change.cancellation ? JSON.stringify(earliestFirst(change.cancellation)) : null,
    id,
  ]);
  return em.execute<PoolRow[]>(
    `update pool set opens_at = ?, closes_at = ?, quota_max = coalesce(?, quota_max), hold_seconds = coalesce(?, hold_seconds),
       version = version + 1, changed_at = clock_timestamp()
     where quota_key = ? returning *`,
    [schedule.onSaleFrom, schedule.onSaleUntil, change.perMemberMax ?? null, change.holdSeconds ?? null, quotaKeyOf(id)],
  );
}

async function storedOf(em: EntityManager, id: string): Promise<Stored> {
  const [row] = await em.execute<Record<keyof Stored, never>[]>(
    `select f.starts_at as "startsAt", f.ends_at as "endsAt", p.opens_at as "onSaleFrom", coalesce(p.closes_at, f.starts_at) as "onSaleUntil",
       p.quota_max as "perMemberMax"
     from performance f join pool p on p.id = f.id where f.id = ?`,
    [id],
  );
  if (!row) throw new Error(`The pool ${id} is that of no performance.`);
  const { startsAt, endsAt, onSaleFrom, onSaleUntil, perMemberMax } = row;
  return {
    startsAt: new Date(startsAt),
    endsAt: new Date(endsAt),
    onSaleFrom: onSaleFrom && new Date(onSaleFrom),
    onSaleUntil: new Date(onSaleUntil),
    perMemberMax,
  };
}

function scheduleAfter(stored: Schedule, { startsAt, endsAt, onSaleFrom, onSaleUntil }: PerformanceChange): Schedule {
  const begins = startsAt ?? stored.startsAt;
  const closedAtStart = stored.onSaleUntil.getTime() === stored.startsAt.getTime();
  return {
    startsAt: begins,
    endsAt: endsAt ?? stored.endsAt,
    onSaleFrom: onSaleFrom === undefined ? stored.onSaleFrom : onSaleFrom,
    onSaleUntil: onSaleUntil ?? (onSaleUntil === null || closedAtStart ? begins : stored.onSaleUntil),
  };
}

/** What members have stays theirs, and nobody may have more than the limit: so it does not go below what somebody has. */
async function limitProblem(em: EntityManager, id: string, stored: Stored, { perMemberMax }: PerformanceChange) {
  if (perMemberMax == null || perMemberMax >= stored.perMemberMax) return undefined;
  const [most] = await em.execute<{ taken: number }[]>(
    `select coalesce(max(taken), 0)::int as taken from (
       select sum(i.quantity) as taken from hold h join hold_item i on i.hold_id = h.id join pool p on p.id = i.pool_id
       where p.quota_key = ? and (h.state in ('PAYING', 'CONFIRMED') or h.state = 'HELD' and h.expires_at > clock_timestamp())
       group by h.claimant_id) t`,
    [quotaKeyOf(id)],
  );
  const taken = most?.taken ?? 0;
  return taken > perMemberMax ? new MemberLimitBelowTakenError(taken) : undefined;
}
