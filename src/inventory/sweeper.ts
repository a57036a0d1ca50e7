import type { Logger } from 'pino';
import type { Inventory } from './inventory.ts';

/** Watchers see a hold run out within about this time; claims and queries do not wait for it. */
const SWEEP_EVERY_MS = 1_000;

/** Tidies expired holds once a second. One indexed statement when there is nothing to do, so every process runs it. */
export class Sweeper {
  private timer: NodeJS.Timeout | undefined;
  private sweeping: Promise<void> | undefined;

  constructor(
    private readonly inventory: Inventory,
    private readonly logger: Logger,
  ) {}

  start(): void {
    this.timer = setInterval(() => {
      // A slow sweep is not overtaken by the next.
      this.sweeping ??= this.inventory
        .sweep()
        .catch((error) => this.logger.warn({ err: error }, 'sweeping expired holds failed; the next sweep tries again'))
        .finally(() => {
          this.sweeping = undefined;
        });
    }, SWEEP_EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    await this.sweeping;
  }
}
