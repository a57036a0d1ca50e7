import { Pool } from '../../inventory/pool.entity.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import { Instructor, Lesson, LockerStock } from './lesson.entity.ts';

const byId = <Row extends { id: string }>(entity: new () => Row) =>
  loaderOf<string, Row | null>(async (context: RequestContext, ids) =>
    inOrderOf(ids, (await context.em.find(entity, { id: { $in: [...ids] } } as never)) as Row[], (row) => row.id),
  );

export const lessonById = byId<Lesson>(Lesson as never);
export const instructorById = byId<Instructor>(Instructor as never);
export const lockerStockById = byId<LockerStock>(LockerStock as never);
/** The pool behind a lesson, for its price and its sale window. */
export const poolById = byId<Pool>(Pool as never);
