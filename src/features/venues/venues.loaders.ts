import type { RequestContext } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import { SeatPlanHead, type SectionOutline, sectionOutlinesOf, type ZoneOutline, zoneOutlinesOf } from './seat-plan-outline.ts';
import { Venue } from './venue.entity.ts';

export const venueById = loaderOf<string, Venue | null>(async (context: RequestContext, ids) =>
  inOrderOf(ids, await context.em.find(Venue, { id: { $in: [...ids] } }), (venue) => venue.id),
);

export const seatPlanById = loaderOf<string, SeatPlanHead | null>(async (context: RequestContext, ids) =>
  inOrderOf(ids, await context.em.find(SeatPlanHead, { id: { $in: [...ids] } }), (plan) => plan.id),
);

export const sectionsByPlan = loaderOf<string, SectionOutline[]>(async (context: RequestContext, ids) =>
  groupedBy(ids, await sectionOutlinesOf(context.em, ids)),
);

export const zonesByPlan = loaderOf<string, ZoneOutline[]>(async (context: RequestContext, ids) =>
  groupedBy(ids, await zoneOutlinesOf(context.em, ids)),
);

function groupedBy<Row extends { planId: string }>(ids: readonly string[], rows: readonly Row[]): Row[][] {
  const groups = Map.groupBy(rows, ({ planId }) => planId);
  return ids.map((id) => groups.get(id) ?? []);
}
