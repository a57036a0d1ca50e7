import { defineEntity, type EntityManager, p } from '@mikro-orm/postgresql';

export const SeatPlanHeadSchema = defineEntity({
  name: 'SeatPlanHead',
  tableName: 'seat_plan',
  properties: {
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    venueId: p.uuid(),
    name: p.string().columnType('text'),
    focusX: p.float(),
    focusY: p.float(),
    createdAt: p.datetime().defaultRaw('now()'),
  },
});

/** A seat plan without its seats. */
export class SeatPlanHead extends SeatPlanHeadSchema.class {}
SeatPlanHeadSchema.setClass(SeatPlanHead);

export interface SectionOutline {
  planId: string;
  name: string;
  firstNumber: number;
  seatCount: number;
  capacity: number;
  rowCount: number;
  from: { x: number; y: number };
  to: { x: number; y: number };
}

export interface ZoneOutline {
  planId: string;
  name: string;
  seatCount: number;
  capacity: number;
}

/** The sections of several plans, each plan's in the order of its seats. */
export function sectionOutlinesOf(em: EntityManager, planIds: readonly string[]): Promise<SectionOutline[]> {
  return em.execute<SectionOutline[]>(
    `select plan_id as "planId", section as name, min(number) as "firstNumber", count(*)::int as "seatCount",
       count(*) filter (where sale = 'SALE')::int as capacity, count(distinct row)::int as "rowCount",
       json_build_object('x', min(x), 'y', min(y)) as "from", json_build_object('x', max(x), 'y', max(y)) as "to"
     from plan_seat where plan_id = any (?::uuid[]) group by plan_id, section order by plan_id, min(number)`,
    [arrayOf(planIds)],
  );
}

/** The zones of several plans, each plan's by name. */
export function zoneOutlinesOf(em: EntityManager, planIds: readonly string[]): Promise<ZoneOutline[]> {
  return em.execute<ZoneOutline[]>(
    `select plan_id as "planId", zone as name, count(*)::int as "seatCount", count(*) filter (where sale = 'SALE')::int as capacity
     from plan_seat where plan_id = any (?::uuid[]) group by plan_id, zone order by plan_id, zone`,
    [arrayOf(planIds)],
  );
}

const arrayOf = (ids: readonly string[]) => `{${ids.join(',')}}`;
