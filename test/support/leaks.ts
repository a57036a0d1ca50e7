import { afterAll, beforeAll } from '@jest/globals';
import { eventually } from './wait.ts';

/** What a test must give back: sockets, servers, children and timers that keep the process alive. Jest's own are in the baseline. */
const COUNTED = /^(TCP|Pipe|Process|UDP|FSEvent|Timeout|Immediate|Worker|MessagePort)/;

/** The resources that keep this process alive, by kind. */
export function openResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) if (COUNTED.test(kind)) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

/** What is open now beyond `baseline`: empty when everything was given back. */
export function leakedSince(baseline: Record<string, number>): Record<string, number> {
  const leaked: Record<string, number> = {};
  for (const [kind, count] of Object.entries(openResources())) {
    const more = count - (baseline[kind] ?? 0);
    if (more > 0) leaked[kind] = more;
  }
  return leaked;
}

/**
 * Makes the test file fail when it leaves a socket, server, child or timer open. Call it at the top of the file, before the hooks
 * that open things: `afterAll` hooks run in the order they were declared, so declare those that close things inside `describe`.
 */
export function failOnLeaks(): void {
  let baseline: Record<string, number> = {};
  beforeAll(() => {
    baseline = openResources();
  });
  afterAll(async () => {
    await eventually(() => {
      const leaked = leakedSince(baseline);
      // Waiting takes a timer of its own.
      if (leaked.Timeout === 1) delete leaked.Timeout;
      if (Object.keys(leaked).length > 0) throw new Error(`The tests left open: ${JSON.stringify(leaked)}`);
      return true;
    });
  });
}
