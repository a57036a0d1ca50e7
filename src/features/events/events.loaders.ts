import type { RequestContext } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import { Event, Performance, Tier } from './event.entity.ts';

const byId = <Row extends { id: string }>(entity: new () => Row) =>
  loaderOf<string, Row | null>(async (context: RequestContext, ids) =>
    inOrderOf(ids, (await context.em.find(entity, { id: { $in: [...ids] } } as never)) as Row[], (row) => row.id),
  );

export const eventById = byId<Event>(Event as never);
export const performanceById = byId<Performance>(Performance as never);
export const tierById = byId<Tier>(Tier as never);
