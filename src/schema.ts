import type { GraphQLSchema } from 'graphql';
import { buildSchema, type NonEmptyArray } from 'type-graphql';
import type { Feature } from './features/feature.ts';
import { priceAudit } from './features/holds/index.ts';
import { authChecker } from './platform/graphql/authorization.ts';
import { NodeResolver } from './platform/graphql/node-ids.ts';
import { scalarsMap } from './platform/graphql/scalars.ts';

/** Anything that can be constructed; type-graphql asks for resolvers by their class. */
// biome-ignore lint/complexity/noBannedTypes: type-graphql's own word for a resolver class.
export type ResolverClass = Function;

/** Builds the schema of these features. `instanceOf` gives the one instance of each resolver class. */
export async function schemaOf(features: readonly Feature[], instanceOf: (resolver: ResolverClass) => object): Promise<GraphQLSchema> {
  const schema = await buildSchema({
    resolvers: [NodeResolver, ...features.flatMap((feature) => feature.resolvers ?? [])] as unknown as NonEmptyArray<ResolverClass>,
    orphanedTypes: features.flatMap((feature) => feature.orphanedTypes ?? []),
    container: { get: (resolver: ResolverClass) => instanceOf(resolver) },
    authChecker,
    scalarsMap,
    // Inputs are checked by the services that know their limits.
    validate: false,
    // type-graphql demands one although every subscription brings its own source.
    pubSub: {
      publish: () => undefined,
      subscribe: () => {
        throw new Error('Subscriptions bring their own source.');
      },
    } as never,
  });
  priceAudit(schema, features.flatMap(({ checks }) => checks ?? []).length);
  return schema;
}
