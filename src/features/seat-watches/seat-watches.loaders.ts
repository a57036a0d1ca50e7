import type pg from 'pg';
import { mayReadOf } from '../../platform/graphql/authorization.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import { positionsOf, type SeatWatch, seatsOf, watchesByIds } from './seat-watch.ts';

const poolOf = async (context: RequestContext) => (await context.em.getDriver().getConnection().getNativeClient()) as pg.Pool;

const watchById = loaderOf(async (context, ids: readonly string[]) =>
  inOrderOf(ids, await watchesByIds(await poolOf(context), ids), (watch) => watch.id),
);

/** A watch its reader may see: its member, or an administrator. */
export async function visibleSeatWatch(context: RequestContext, id: string): Promise<SeatWatch | null> {
  const watch = context.viewer ? await watchById(context).load(id) : null;
  return watch && mayReadOf(context.viewer, watch.memberId) ? watch : null;
}

/** The place of a waiting watch in its queue; null for one that does not wait. */
export const positionOf = loaderOf(async (context, ids: readonly string[]) => {
  const positions = new Map((await positionsOf(await poolOf(context), ids)).map(({ id, position }) => [id, position]));
  return ids.map((id) => positions.get(id) ?? null);
});

/** The seat of a watch, by the watch's id; null for a watch of a tier. */
export const followedSeatOf = loaderOf(async (context, ids: readonly string[]) =>
  inOrderOf(ids, await seatsOf(await poolOf(context), ids), (seat) => seat.watchId),
);
