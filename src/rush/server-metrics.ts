/** What the server counted between two readings of its /metrics. */
export interface ServerWork {
  /** Claims decided, by outcome. */
  claims: Record<string, number>;
  /** Transactions begun, by name; a retry counts again. */
  transactions: Record<string, number>;
  /** Transactions tried again, by cause. */
  retries: Record<string, number>;
  /** Retries per transaction, 0 to 1; null where there was no transaction. */
  retriedShare: number | null;
  /** Claims per transaction. `upTo`: batches by the bucket of their size. */
  batches: { count: number; average: number | null; upTo: Record<string, number> };
  /** How long batches waited for their rows, together. */
  lockWait: { count: number; averageMs: number | null };
}

/** Series of the text format of Prometheus, by name and labels as written. */
export type Series = ReadonlyMap<string, number>;

export function seriesOf(text: string): Series {
  const series = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, key, value] = /^([^#\s{]+(?:\{.*\})?) (\S+)/.exec(line) ?? [];
    if (key) series.set(key, Number(value));
  }
  return series;
}

/** Other load on the server between the readings counts too. What a server counted before it was started again is lost. */
export function workBetween(before: Series, after: Series): ServerWork {
  const grown = [...after].map(([key, value]) => [key, growth(before.get(key) ?? 0, value)] as const).filter(([, by]) => by > 0);
  const by = (name: string, label: string) => {
    const sums: Record<string, number> = {};
    for (const [key, count] of grown) {
      if (!key.startsWith(`${name}{`)) continue;
      const value = new RegExp(`[{,]${label}="([^"]*)"`).exec(key)?.[1];
      if (value !== undefined) sums[value] = (sums[value] ?? 0) + count;
    }
    return sums;
  };
  const of = (key: string) => grown.find(([name]) => name === key)?.[1] ?? 0;
  const average = (name: string) => (of(`${name}_count`) > 0 ? of(`${name}_sum`) / of(`${name}_count`) : null);

  const transactions = by('lastseat_transactions_total', 'name');
  const retries = by('lastseat_transaction_retries_total', 'cause');
  const begun = totalOf(transactions);
  const lockWaitSeconds = average('lastseat_lock_wait_seconds');
  return {
    claims: by('lastseat_claims_total', 'outcome'),
    transactions,
    retries,
    retriedShare: begun > 0 ? totalOf(retries) / begun : null,
    batches: {
      count: of('lastseat_claim_batch_size_count'),
      average: average('lastseat_claim_batch_size'),
      upTo: perBucket(by('lastseat_claim_batch_size_bucket', 'le')),
    },
    lockWait: { count: of('lastseat_lock_wait_seconds_count'), averageMs: lockWaitSeconds === null ? null : lockWaitSeconds * 1000 },
  };
}

/** A counter that fell began again at 0. */
const growth = (before: number, after: number) => (after < before ? after : after - before);

const totalOf = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0);

/** Buckets are cumulative on the wire; empty ones are left out. */
function perBucket(cumulative: Record<string, number>): Record<string, number> {
  const edges = Object.keys(cumulative).sort((a, b) => edgeOf(a) - edgeOf(b));
  let below = 0;
  const buckets: Record<string, number> = {};
  for (const edge of edges) {
    const count = cumulative[edge] ?? 0;
    if (count > below) buckets[edge] = count - below;
    below = count;
  }
  return buckets;
}

const edgeOf = (le: string) => (le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le));
