/**
 * What makes a countable thing a kind of its own. Adding a limited thing means declaring one of these in its feature folder; the contract tests
 * in `test/inventory/kind-contract.test.ts` run over every one that is declared.
 */
export interface Kind {
  /** The word in `pool.kind` and `hold.kind`: lower case, singular. */
  name: string;
  /** The GraphQL type of the thing whose capacity the pool is; it shares the pool's id. */
  poolType: string;
  /** The GraphQL type of a hold of this kind; null for a kind that is only taken along with another (a locker with a lesson). */
  holdType: string | null;
  /** How long a hold lives, in seconds, where a pool does not say otherwise. */
  holdSeconds: number;
  /** How many of one pool a claimant may have at once; null for no limit. */
  perClaimantMax: number | null;
}

const declared = new Map<string, Kind>();

/** Declares a kind, once, at the top of its feature's `*.kind.ts`. */
export function defineKind(kind: Kind): Kind {
  if (declared.has(kind.name)) throw new Error(`The kind ${kind.name} is declared twice: kinds need names of their own.`);
  declared.set(kind.name, kind);
  return kind;
}

/** The kind of that name. Throws for a name nobody declared: then the database holds rows of a feature this build does not have. */
export function kindOf(name: string): Kind {
  const kind = declared.get(name);
  if (!kind) throw new Error(`No feature declares the kind ${name}: add it to src/features/index.ts or remove its rows.`);
  return kind;
}

export const allKinds = (): Kind[] => [...declared.values()];
