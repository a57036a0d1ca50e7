import type { EntitySchema } from '@mikro-orm/postgresql';
import type { Check } from '../platform/database/checks.ts';

/** What a folder of `src/features` shows to the composition root: its parts, none of them built yet. */
export interface Feature {
  name: string;
  entities?: EntitySchema[];
  /** Resolver classes, for the schema. `app.ts` builds one instance of each. */
  // biome-ignore lint/complexity/noBannedTypes: type-graphql knows resolvers as constructors of any signature.
  resolvers?: Function[];
  /** Object types that appear only as members of an interface. */
  // biome-ignore lint/complexity/noBannedTypes: as above.
  orphanedTypes?: Function[];
  checks?: Check[];
}
