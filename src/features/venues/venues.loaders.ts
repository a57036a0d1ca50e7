import type { RequestContext } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import { Venue } from './venue.entity.ts';

export const venueById = loaderOf<string, Venue | null>(async (context: RequestContext, ids) =>
  inOrderOf(ids, await context.em.find(Venue, { id: { $in: [...ids] } }), (venue) => venue.id),
);
