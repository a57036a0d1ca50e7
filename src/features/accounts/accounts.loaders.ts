import { mayReadOf } from '../../platform/graphql/authorization.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import type { NodeLoader } from '../../platform/graphql/node-ids.ts';
import { Member } from './member.entity.ts';

/** Members by their uuid. Who may see them is for the caller to decide. */
export const memberById = loaderOf<string, Member | null>(async (context, ids) => {
  const members = await context.em.find(Member, { id: { $in: [...ids] } });
  return inOrderOf(ids, members, (member) => member.id);
});

/** What the query `node` shows of members: to each of them oneself, to administrators everybody. */
export const memberNode: NodeLoader = async (context, uuid) => (mayReadOf(context.viewer, uuid) ? memberById(context).load(uuid) : null);
