/** Time as live objects use it, passed in so that a test can turn the clock itself. */
export interface Timers {
  /** Runs `action` once after `ms` milliseconds. The returned function calls it off. */
  after(ms: number, action: () => void): () => void;
}

/** The machine's clock. Its timers never keep the process alive. */
export const systemTimers: Timers = {
  after(ms, action) {
    const timer = setTimeout(action, ms).unref();
    return () => clearTimeout(timer);
  },
};

/**
 * Lets one action per key and interval through: the first at once, and at the end of the interval the last one asked for.
 * So the last action is never lost, and a burst costs two.
 */
export class Pace {
  private readonly cooling = new Map<string, { latest: (() => void) | undefined; stop: () => void }>();

  constructor(
    private readonly intervalMs: number,
    private readonly timers: Timers,
  ) {}

  /** Returns false when `action` took the place of one that was still waiting, which will now never run. */
  run(key: string, action: () => void): boolean {
    const cooling = this.cooling.get(key);
    if (cooling) {
      const isFirst = !cooling.latest;
      cooling.latest = action;
      return isFirst;
    }
    this.start(key, action);
    return true;
  }

  /** Runs every waiting action now and forgets all intervals. */
  flush(): void {
    const waiting = [...this.cooling.values()];
    this.cooling.clear();
    for (const { latest, stop } of waiting) {
      stop();
      latest?.();
    }
  }

  private start(key: string, action: () => void): void {
    if (this.intervalMs > 0) {
      this.cooling.set(key, { latest: undefined, stop: this.timers.after(this.intervalMs, () => this.cooled(key)) });
    }
    action();
  }

  private cooled(key: string): void {
    const latest = this.cooling.get(key)?.latest;
    this.cooling.delete(key);
    if (latest) this.start(key, latest);
  }
}
