import type { Logger } from 'pino';
import type { SubscriptionMetrics } from '../../platform/subscriptions/metrics.ts';
import { systemTimers, type Timers } from '../../platform/subscriptions/pace.ts';
import type { NoSeatMap } from './read-seat-map.ts';
import type { SectionedSeatMap } from './seat-map.ts';

export interface LiveSeatMapOptions {
  /** What has become of the map since the one before; the whole map without one. */
  read(before: SectionedSeatMap | undefined): Promise<SectionedSeatMap | NoSeatMap>;
  /** Calls back whenever the pool may have a version newer than those it told before, soon after every change and after whatever was lost. */
  ring(listener: (hint: { version: number }) => void): () => void;
  timers?: Timers;
  logger: Logger;
  metrics: SubscriptionMetrics;
}

type Listener = (map: SectionedSeatMap) => void;
type Cause = 'first' | 'hint' | 'resume' | 'retry';

/**
 * The map of one performance, kept in memory while somebody watches it. A hint only says *that* something has changed; what has changed is read, at most
 * every 50 ms and never twice at once, so a rush of claims costs no more reads than one claim in each interval, and claims themselves cost nothing more.
 */
export class LiveSeatMap {
  private current: SectionedSeatMap | undefined;
  private readonly listeners = new Set<Listener>();
  /** Whoever wants to know how far the truth has come, in a read that begins after they asked. */
  private asking: ((version: number) => void)[] = [];
  private readonly stopRinging: () => void;
  private readonly timers: Timers;
  /** The newest version that was hinted at since the last read began. */
  private hinted = 0;
  private isWanted = false;
  private isReading = false;
  private hasSeats = true;
  private isOver = false;

  constructor(private readonly options: LiveSeatMapOptions) {
    this.timers = options.timers ?? systemTimers;
    this.want('first');
    this.stopRinging = options.ring(({ version }) => this.heard(version));
  }

  /** Undefined until it has been read, and for what has no map. */
  get map(): SectionedSeatMap | undefined {
    return this.current;
  }

  get listenerCount(): number {
    return this.listeners.size;
  }

  /** Gives the current map at once where it is known, then each newer one. */
  observe(listener: Listener): () => void {
    // One function object per registration: the same listener may be registered twice.
    const own: Listener = (map) => listener(map);
    this.listeners.add(own);
    if (this.current) own(this.current);
    return () => this.listeners.delete(own);
  }

  /** Resolves to the version it has: at once if that is at least the one asked for, else after the truth has been looked at. 0: there is no map. */
  async reach(version: number): Promise<number> {
    if (this.current && this.current.version >= version) return this.current.version;
    if (!this.hasSeats || this.isOver) return 0;
    return new Promise((resolve) => {
      this.asking.push(resolve);
      this.want('resume');
    });
  }

  close(): void {
    this.isOver = true;
    this.stopRinging();
    for (const answer of this.asking.splice(0)) answer(this.current?.version ?? 0);
  }

  /** A hint while something is read is answered by that read where it turns out to be as new. */
  private heard(version: number): void {
    this.hinted = Math.max(this.hinted, version);
    if (!this.isReading) this.wantHinted();
  }

  private wantHinted(): void {
    if (this.hinted > (this.current?.version ?? 0)) this.want('hint');
  }

  private want(cause: Cause): void {
    if (!this.hasSeats || this.isWanted) return;
    this.isWanted = true;
    this.options.metrics.rereads.inc({ ...OBJECT, cause });
    if (!this.isReading) void this.readOn();
  }

  private async readOn(): Promise<void> {
    this.isReading = true;
    while (this.isWanted && !this.isOver) {
      this.isWanted = false;
      const startedAt = performance.now();
      const isRead = await this.readOnce();
      await this.pause(isRead ? INTERVAL_MS - (performance.now() - startedAt) : RETRY_MS);
      this.wantHinted();
    }
    this.isReading = false;
  }

  private async readOnce(): Promise<boolean> {
    const asking = this.asking.splice(0);
    this.hinted = 0;
    try {
      const read = await this.options.read(this.current);
      if (read === 'NO_SEATS') this.hasSeats = false;
      if (typeof read === 'object' && read.version > (this.current?.version ?? 0)) this.tell(read);
      for (const answer of asking) answer(this.current?.version ?? 0);
      return true;
    } catch (error) {
      this.options.metrics.rereadFailures.inc(OBJECT);
      this.options.logger.warn({ err: error, object: OBJECT.object }, 'reading live objects failed');
      this.asking.push(...asking);
      this.want('retry');
      return false;
    }
  }

  private tell(map: SectionedSeatMap): void {
    this.current = map;
    for (const listener of this.listeners) {
      try {
        listener(map);
      } catch (error) {
        this.options.logger.error({ err: error, object: OBJECT.object }, 'a watcher threw');
      }
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.timers.after(Math.max(0, ms), resolve));
  }
}

const OBJECT = { object: 'seat-map' } as const;
/** At most 20 messages a second, as of every live object. */
const INTERVAL_MS = 50;
/** The hint is not repeated, so a failed read is tried again by itself. */
const RETRY_MS = 500;
