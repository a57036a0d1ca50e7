import type pg from 'pg';
import { atLeast, viewerOf } from '../../platform/graphql/authorization.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { loaderOf } from '../../platform/graphql/loaders.ts';
import type { DoorStaff } from './check-ins.service.ts';

/** The caller, as doors know them. */
export function staffOf(context: RequestContext): DoorStaff {
  const { memberId, role } = viewerOf(context);
  return { memberId, isAdmin: atLeast(role, 'ADMIN') };
}

/** Whether the caller works at the doors of a performance; false for an unknown one. */
export const hasDoor = loaderOf(async (context, performanceIds: readonly string[]) => {
  const pool = (await context.em.getDriver().getConnection().getNativeClient()) as pg.Pool;
  const { memberId, isAdmin } = staffOf(context);
  const { rows } = await pool.query<{ id: string }>({
    name: 'doors_of',
    text: 'select p.id from unnest($1::uuid[]) as p(id) cross join lateral door_of(p.id, $2, $3)',
    values: [performanceIds, memberId, isAdmin],
  });
  const doors = new Set(rows.map(({ id }) => id));
  return performanceIds.map((id) => doors.has(id));
});
