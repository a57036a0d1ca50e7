/**
 * What makes a countable thing a kind of its own. Adding a limited thing means declaring one of these in its feature folder; the contract tests
 * in `test/inventory/kind-contract.test.ts` run over every one that is registered.
 */
export interface Kind {
  /** The word in `pool.kind` and `hold.kind`: lower case, singular. */
  name: string;
  /** The GraphQL type of a hold of this kind; null for a kind that is only taken along with another (a locker with a lesson). */
  holdType: string | null;
  /** How long a hold lives, in seconds, where a pool does not say otherwise. */
  holdSeconds: number;
  /** How many of one pool a claimant may have at once; null for no limit. */
  perClaimantMax: number | null;
}
