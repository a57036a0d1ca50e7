import type pg from 'pg';
import { loaderOf } from '../../platform/graphql/loaders.ts';
import type { PerformanceSeat } from './performance-seat.types.ts';

/** The seats of a hold by its id, by number: those of a page of holds in one statement. None for a hold without numbered seats. */
export const seatsOfHold = loaderOf<string, PerformanceSeat[]>(async (context, holdIds) => {
  const pool = (await context.em.getDriver().getConnection().getNativeClient()) as pg.Pool;
  const { rows } = await pool.query<PerformanceSeat & { holdId: string }>({
    name: 'seats_of_holds',
    text: SEATS_OF_HOLDS,
    values: [holdIds],
  });
  const byHold = Map.groupBy(rows, ({ holdId }) => holdId);
  return holdIds.map((holdId) => byHold.get(holdId) ?? []);
});

const SEATS_OF_HOLDS = `
  select i.hold_id as "holdId", t.id as "tierId", coalesce(u.price_minor, t.price_minor) as "priceMinor",
    json_build_object('number', s.number, 'section', s.section, 'row', s.row, 'label', s.label, 'x', s.x, 'y', s.y, 'zone', s.zone,
      'isAccessible', s.is_accessible, 'isCompanion', s.is_companion, 'sale', s.sale) as seat
  from hold_item i join unit u on u.id = i.unit_id join performance p on p.id = u.pool_id
  join plan_seat s on s.plan_id = p.plan_id and s.number = u.number
  join tier t on t.performance_id = p.id and t.zone = s.zone
  where i.hold_id = any ($1::uuid[]) order by u.number`;
