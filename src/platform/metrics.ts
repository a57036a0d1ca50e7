import { collectDefaultMetrics, Registry } from 'prom-client';

/** The registry of one process, with what Node itself can tell. Each module adds its own numbers, all named `lastseat_…`. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}
