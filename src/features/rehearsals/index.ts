import type { RehearsalMembers } from '../accounts/index.ts';
import type { Feature } from '../feature.ts';
import { RehearsalsResolver } from './rehearsals.resolver.ts';

/** What `npm run rush` needs of a server, and nobody else may have. */
export const rehearsals: Feature = { name: 'rehearsals', resolvers: [RehearsalsResolver] };

export const rehearsalsResolvers = (members: RehearsalMembers): object[] => [new RehearsalsResolver(members)];
