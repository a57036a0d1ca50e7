import { setTimeout as delay } from 'node:timers/promises';

/** How often the fact is looked at: often enough that waiting is not what a test's time goes to. */
const EVERY_MS = 20;

/**
 * Waits until `fact` neither throws nor answers null or false, and returns its answer. (An assertion that passed answers undefined.)
 * Past the deadline it throws what the fact said last.
 *
 * @example await eventually(async () => expect(await rows()).toEqual([…]))
 */
export async function eventually<T>(
  fact: () => T | Promise<T>,
  { withinMs = 30_000 }: { withinMs?: number } = {},
): Promise<Exclude<T, null | false>> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const outcome = await attempt(fact);
    if (outcome.holds) return outcome.answer as Exclude<T, null | false>;
    if (performance.now() > deadline) {
      throw new Error(`Not so within ${withinMs} ms: ${outcome.error instanceof Error ? outcome.error.message : String(fact)}`, {
        cause: outcome.error,
      });
    }
    await delay(EVERY_MS);
  }
}

async function attempt<T>(fact: () => T | Promise<T>): Promise<{ holds: boolean; answer?: T; error?: unknown }> {
  try {
    const answer = await fact();
    return { holds: answer !== false && answer !== null, answer };
  } catch (error) {
    return { holds: false, error };
  }
}
