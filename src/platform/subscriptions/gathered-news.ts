/** So many changed objects are read in one statement. */
const READ_MAX = 100;

export interface GatheredNewsOptions<State> {
  /** How long changes are gathered before they are read. */
  gatherMs: number;
  /** Reads the states of changed objects in one statement. */
  read(ids: readonly string[]): Promise<readonly State[]>;
  /** Tells every node's watchers. */
  publish(state: State): void;
}

/** Tells watchers what committed changes left behind: gathered for a moment, each object once, read one batch after the other. */
export class GatheredNews<State> {
  private readonly changed = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private sending: Promise<void> = Promise.resolve();

  constructor(private readonly options: GatheredNewsOptions<State>) {}

  tell(ids: readonly string[]): void {
    for (const id of ids) this.changed.add(id);
    if (this.changed.size > 0) this.timer ??= setTimeout(() => this.flush(), this.options.gatherMs);
  }

  /** Sends what waits, and waits for what is being sent. */
  async close(): Promise<void> {
    clearTimeout(this.timer);
    this.flush();
    await this.sending;
  }

  private flush(): void {
    this.timer = undefined;
    const ids = [...this.changed];
    this.changed.clear();
    for (let from = 0; from < ids.length; from += READ_MAX) {
      const some = ids.slice(from, from + READ_MAX);
      // Lost news is made good by the watchers' own reading.
      const send = async () => {
        for (const state of await this.options.read(some)) this.options.publish(state);
      };
      this.sending = this.sending.then(send).catch(() => undefined);
    }
  }
}
