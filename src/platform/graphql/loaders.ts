import DataLoader from 'dataloader';
import type { RequestContext } from './context.ts';

/**
 * Declares a loader that lives as long as one request. `batch` gets at most 100 distinct keys and answers in their order.
 *
 * @example const lessonById = loaderOf((context, ids: readonly string[]) => …); await lessonById(context).load(id)
 */
export function loaderOf<Key, Value>(
  batch: (context: RequestContext, keys: readonly Key[]) => Promise<readonly (Value | Error)[]>,
): (context: RequestContext) => DataLoader<Key, Value> {
  const name = Symbol('loader');
  return (context) => {
    let loader = context.loaders.get(name) as DataLoader<Key, Value> | undefined;
    if (!loader) {
      loader = new DataLoader<Key, Value>((keys) => batch(context, keys), { maxBatchSize: 100 });
      context.loaders.set(name, loader);
    }
    return loader;
  };
}

/** Puts rows into the order of the keys that asked for them; what was not found is null. */
export function inOrderOf<Key, Row>(keys: readonly Key[], rows: readonly Row[], keyOf: (row: Row) => Key): (Row | null)[] {
  const byKey = new Map(rows.map((row) => [keyOf(row), row]));
  return keys.map((key) => byKey.get(key) ?? null);
}
