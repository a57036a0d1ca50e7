import { setTimeout as delay } from 'node:timers/promises';

/** Waits for a fact, and fails with its last value when it does not come true before the deadline. */
export async function until<T>(what: string, fact: () => T | Promise<T>, deadlineMs = 30_000): Promise<NonNullable<T>> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    const value = await fact();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`Still not so after ${deadlineMs} ms: ${what}`);
    await delay(5);
  }
}
