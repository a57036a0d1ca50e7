import type pg from 'pg';
import type { Logger } from 'pino';
import type { Availability } from '../../inventory/availability.ts';
import type { LiveObjects } from '../../platform/subscriptions/live-objects.ts';
import type { SubscriptionMetrics } from '../../platform/subscriptions/metrics.ts';
import type { SeatPlans } from '../venues/index.ts';
import { LiveSeatMap } from './live-seat-map.ts';
import { SeatMapReader } from './read-seat-map.ts';
import type { SectionedSeatMap } from './seat-map.ts';

export interface SeatMapsOptions {
  pool: pg.Pool;
  plans: SeatPlans;
  /** Tells that the pool of a performance has changed. */
  live: Pick<LiveObjects<Availability>, 'observe'>;
  logger: Logger;
  metrics: SubscriptionMetrics;
}

/** The maps of performances: kept and followed while somebody watches, else read when somebody asks. */
export class SeatMaps {
  private readonly reader: SeatMapReader;
  private readonly watched = new Map<string, LiveSeatMap>();
  private readonly shared = new Map<string, Promise<SectionedSeatMap | null>>();

  constructor(private readonly options: SeatMapsOptions) {
    this.reader = new SeatMapReader(options.pool, options.plans);
  }

  /** Performances whose maps are kept at the moment. */
  get size(): number {
    return this.watched.size;
  }

  /** The map as it is now, read from the database; null for a performance nobody knows or one without numbered seats. */
  async read(performanceId: string): Promise<SectionedSeatMap | null> {
    const read = await this.reader.read(performanceId);
    return typeof read === 'object' ? read : null;
  }

  /** The maps of many performances, read from the database in one statement. Those without one are left out. */
  readAll(performanceIds: readonly string[]): Promise<SectionedSeatMap[]> {
    return this.reader.readAll(performanceIds);
  }

  /**
   * The map as this process knows it: the one it follows, some tens of milliseconds behind the truth (3 s where a hint was lost), or one that was asked for
   * at most 50 ms ago. Good to choose seats by: who then claims them is told by the database. Null as for {@link read}.
   */
  async current(performanceId: string): Promise<SectionedSeatMap | null> {
    return this.known(performanceId) ?? this.sharedRead(performanceId);
  }

  /** The map where somebody watches it; undefined where that takes a read. */
  known(performanceId: string): SectionedSeatMap | undefined {
    return this.watched.get(performanceId)?.map;
  }

  /** {@link current}, but at least this version of it, if the truth has come so far. */
  async atLeast(performanceId: string, version: number): Promise<SectionedSeatMap | null> {
    const map = await this.current(performanceId);
    return map && map.version < version ? this.read(performanceId) : map;
  }

  /** Gives the current map, then each newer one, until the returned function is called. Performances without a map say nothing. */
  observe(performanceId: string, listener: (map: SectionedSeatMap) => void): () => void {
    const map = this.watched.get(performanceId) ?? this.begin(performanceId);
    const stop = map.observe(listener);
    return () => {
      stop();
      if (map.listenerCount > 0 || this.watched.get(performanceId) !== map) return;
      this.watched.delete(performanceId);
      this.options.metrics.watchedObjects.dec(OBJECT);
      map.close();
    };
  }

  /** See {@link LiveSeatMap.reach}; 0 where nobody watches. */
  async reach(performanceId: string, version: number): Promise<number> {
    return (await this.watched.get(performanceId)?.reach(version)) ?? 0;
  }

  private begin(performanceId: string): LiveSeatMap {
    const map = new LiveSeatMap({
      read: (before) => this.reader.read(performanceId, before),
      ring: (listener) => this.options.live.observe([performanceId], listener),
      logger: this.options.logger,
      metrics: this.options.metrics,
    });
    this.watched.set(performanceId, map);
    this.options.metrics.watchedObjects.inc(OBJECT);
    return map;
  }

  /** One read for everybody who asks while it is under way or shortly after. */
  private sharedRead(performanceId: string): Promise<SectionedSeatMap | null> {
    const shared = this.shared.get(performanceId);
    if (shared) return shared;
    const startedAt = performance.now();
    const map = this.read(performanceId);
    this.shared.set(performanceId, map);
    const forget = () => void this.shared.delete(performanceId);
    map.then(() => {
      const leftMs = SHARED_MS - (performance.now() - startedAt);
      if (leftMs > 0) setTimeout(forget, leftMs).unref();
      else forget();
    }, forget);
    return map;
  }
}

const OBJECT = { object: 'seat-map' } as const;
/** As old as a followed map may be when nothing was lost. */
const SHARED_MS = 50;
