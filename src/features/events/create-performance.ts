import type { EntityManager } from '@mikro-orm/postgresql';
import { insertUnits, type NewUnit } from '../../inventory/units.ts';
import { type CancellationStep, earliestFirst } from '../holds/index.ts';
import type { SeatPlan } from '../venues/index.ts';
import { ABANDONED_MAX, COOL_DOWN_SECONDS, performanceKind, tierKind } from './event.kind.ts';
import type { Schedule, TierWish } from './event-rules.ts';

export interface NewPerformance extends Schedule {
  eventId: string;
  perMemberMax: number;
  holdSeconds: number;
  cancellation: readonly CancellationStep[];
  plan: SeatPlan | null;
  /** Checked by `tiersProblem`. */
  tiers: readonly TierWish[];
}

/**
 * A performance with everything it sells, in the caller's transaction and four statements, however many seats there are: 5,000 took 0.2 s.
 * Answers its id.
 */
export async function insertPerformance(em: EntityManager, performance: NewPerformance): Promise<string> {
  const id = await insertPool(em, performance);
  await em.execute('insert into performance (id, event_id, plan_id, starts_at, ends_at, cancellation) values (?, ?, ?, ?, ?, ?::jsonb)', [
    id,
    performance.eventId,
    performance.plan?.id ?? null,
    performance.startsAt,
    performance.endsAt,
    JSON.stringify(earliestFirst(performance.cancellation)),
  ]);
  await insertTiers(em, id, performance.tiers);
  if (performance.plan) await insertUnits(em, id, unitsOf(performance.plan, performance.tiers));
  return id;
}

async function insertPool(
  em: EntityManager,
  { plan, perMemberMax, holdSeconds, onSaleFrom, onSaleUntil }: NewPerformance,
): Promise<string> {
  const [pool] = await em.execute<{ id: string }[]>(
    `insert into pool (id, kind, capacity, policy, quota_key, quota_max, hold_seconds, abandoned_max, cool_down_seconds, opens_at, closes_at)
     select id, ?, ?, 'PESSIMISTIC', 'performance ' || id, ?, ?, ?, ?, ?, ? from uuidv7() as id returning id`,
    [
      performanceKind.name,
      plan?.seats.filter(({ sale }) => sale === 'SALE').length ?? 0,
      perMemberMax,
      holdSeconds,
      ABANDONED_MAX,
      COOL_DOWN_SECONDS,
      onSaleFrom,
      onSaleUntil,
    ],
  );
  return pool?.id as string;
}

/** The tiers, and a pool for each of those without numbered seats, which takes over what all pools of the performance have in common. */
async function insertTiers(em: EntityManager, performanceId: string, tiers: readonly TierWish[]): Promise<void> {
  const rows = tiers.map(({ name, priceMinor, zone, capacity }, position) => ({
    position,
    name: name.trim(),
    priceMinor,
    zone: zone ?? null,
    capacity: capacity ?? null,
  }));
  await em.execute(
    `with given as (
       select * from jsonb_to_recordset(?::jsonb) as g(position smallint, name text, "priceMinor" int, zone text, capacity int)
     ), tiers as (
       insert into tier (performance_id, name, zone, price_minor, position)
       select ?, name, zone, "priceMinor", position from given returning id, position, zone, price_minor
     )
     insert into pool (id, kind, capacity, policy, price_minor, quota_key, quota_max, hold_seconds, abandoned_max, cool_down_seconds, opens_at, closes_at)
     select t.id, ?, g.capacity, p.policy, t.price_minor, p.quota_key, p.quota_max, p.hold_seconds, p.abandoned_max, p.cool_down_seconds, p.opens_at, p.closes_at
     from tiers t join given g on g.position = t.position join pool p on p.id = ?
     where t.zone is null`,
    [JSON.stringify(rows), performanceId, tierKind.name, performanceId],
  );
}

/** The seats of a plan as units: each with the price of its zone's tier, and what is not for sale blocked. */
function unitsOf(plan: SeatPlan, tiers: readonly TierWish[]): NewUnit[] {
  const prices = new Map(tiers.map(({ zone, priceMinor }) => [zone, priceMinor]));
  const labels = new Set<string>();
  return plan.seats.map(({ number, section, row, label: seat, zone, sale }) => {
    let label = `${section} ${row}-${seat}`;
    // Row `1` seat `2-3` and row `1-2` seat `3` read the same, and labels are unique.
    while (labels.has(label)) label += '′';
    labels.add(label);
    return { number, label, priceMinor: prices.get(zone) as number, isBlocked: sale !== 'SALE' };
  });
}
