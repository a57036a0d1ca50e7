import type { ClaimItem } from '../../inventory/claim.ts';
import { unitIdOf, unitNumberOf } from '../../inventory/units.ts';
import type { Database } from '../../platform/database/database.ts';
import { type PerformanceSheets, performanceKind } from '../events/index.ts';
import { type Product, type ProductTerms, titleWith } from '../holds/index.ts';
import type { SeatMap } from '../seat-maps/index.ts';
import type { PlanSeat, SeatPlan, SeatPlans } from '../venues/index.ts';
import { findBestSeats } from './find-best-seats.ts';

const EQUALS_MAX = 5;

export interface TicketsParts {
  database: Database;
  sheets: PerformanceSheets;
  plans: SeatPlans;
  mapOf(performanceId: string): Promise<SeatMap | null>;
}

/** Tickets of a performance, as what is booked and paid. Places without numbers are all alike: they have no equal but themselves. */
export function ticketsProduct({ database, sheets, plans, mapOf }: TicketsParts): Product {
  return {
    kind: performanceKind.name,

    async termsOf(items): Promise<ProductTerms> {
      const performanceId = performanceIdIn(items) ?? (await performanceOfTier(database, items[0]?.poolId));
      const sheet = performanceId ? await sheets.of(performanceId) : null;
      if (!sheet) throw new Error(`The pool ${items[0]?.poolId} is of no performance: performances with holds must not be deleted.`);
      const { title, startsAt, cancellation, organizerId } = sheet;
      return { title: titleWith(title, inSeoul(startsAt)), startsAt, cancellation, organizerId };
    },

    async equalsOf(items): Promise<ClaimItem[][]> {
      const performanceId = performanceIdIn(items);
      const sheet = performanceId ? await sheets.of(performanceId) : null;
      const plan = sheet?.planId ? await plans.planOf(sheet.planId) : null;
      const map = plan && performanceId ? await mapOf(performanceId) : null;
      if (!plan || !map || !performanceId) return [];
      return equalSeats(plan, map.states, seatNumbersIn(items)).map((numbers) => {
        const others = numbers.values();
        return items.map((item) =>
          item.unitId === null ? item : { ...item, unitId: unitIdOf(performanceId, others.next().value as number) },
        );
      });
    },
  };
}

/** As many seats of each zone, the nearest to those that were lost; next to each other where those were. Sorted by number. */
function equalSeats(plan: SeatPlan, states: Uint8Array, lost: readonly number[]): number[][] {
  const byZone = Map.groupBy(lost, (number) => (plan.seats[number] as PlanSeat).zone);
  const found = [...byZone].map(([zone, numbers]) => {
    const seats = numbers.map((number) => plan.seats[number] as PlanSeat);
    const groups = findBestSeats(plan, states, {
      count: numbers.length,
      zones: new Set([zone]),
      accessible: seats.filter(({ isAccessible }) => isAccessible).length,
      near: { x: meanOf(seats.map(({ x }) => x)), y: meanOf(seats.map(({ y }) => y)) },
      groups: EQUALS_MAX,
    });
    return groups.filter(({ isTogether }) => isTogether || !areTogether(plan, numbers));
  });
  const choices = Math.min(EQUALS_MAX, ...found.map((groups) => groups.length));
  return Array.from({ length: choices }, (_, choice) =>
    found.flatMap((groups) => groups[choice]?.numbers ?? []).sort((one, other) => one - other),
  );
}

const areTogether = ({ rightOf }: SeatPlan, numbers: readonly number[]) =>
  numbers.every((number, index) => index === 0 || rightOf[numbers[index - 1] as number] === number);

const performanceIdIn = (items: readonly ClaimItem[]) => items.find(({ unitId }) => unitId !== null)?.poolId;

const seatNumbersIn = (items: readonly ClaimItem[]) =>
  items.flatMap(({ unitId }) => (unitId === null ? [] : unitNumberOf(unitId))).sort((one, other) => one - other);

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

async function performanceOfTier(database: Database, tierId: string | undefined): Promise<string | undefined> {
  const { rows } = await database.pool.query<{ id: string }>({
    name: 'performance_of_tier',
    text: 'select performance_id as id from tier where id = $1',
    values: [tierId],
  });
  return rows[0]?.id;
}

/** Korea has kept UTC+9 without daylight saving since 1988, so a fixed offset is exact for every performance that can be made. */
const SEOUL_OFFSET_MS = 9 * 3_600_000;

const inSeoul = (at: Date) => new Date(at.getTime() + SEOUL_OFFSET_MS).toISOString().slice(0, 16).replace('T', ' ');
