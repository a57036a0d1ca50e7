/** An invariant as SQL that must return no rows. Runs after every race and fault test, and on a schedule in production. */
export interface Check {
  /** Kebab-case, unique: `pool-counters-equal-holds`. */
  name: string;
  /** The sentence that is broken when a row comes back. */
  promise: string;
  sql: string;
}
