import type pg from 'pg';
import { availabilityOf } from '../../inventory/availability.ts';
import { holdsByIds } from '../../inventory/read-holds.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';

const poolOf = async (context: RequestContext) => (await context.em.getDriver().getConnection().getNativeClient()) as pg.Pool;

/** The availability of a pool by its id; null for an unknown one. */
export const availabilityById = loaderOf(async (context, ids: readonly string[]) =>
  inOrderOf(ids, await availabilityOf(await poolOf(context), ids), (availability) => availability.id),
);

/** A hold by its id, whoever's it is; null for an unknown one. Check the claimant before showing it. */
export const holdById = loaderOf(async (context, ids: readonly string[]) =>
  inOrderOf(ids, await holdsByIds(await poolOf(context), ids), (hold) => hold.id),
);
