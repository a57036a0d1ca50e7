import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { FanOut, JsonValue } from './fan-out.ts';
import type { SubscriptionMetrics } from './metrics.ts';
import { Pace, systemTimers, type Timers } from './pace.ts';

/** A state of an object. A change of the stored row raises its version; the clock alone may change the state without it. */
export interface Versioned {
  readonly id: string;
  readonly version: number;
}

export interface LiveObjectsOptions<T extends Versioned> {
  /** Names the objects in topics, metrics and logs, for example `pool`. */
  name: string;
  fanOut: FanOut;
  /** Reads the truth for at most 100 ids in one query. Ids it does not know are left out of the answer. */
  read(ids: readonly string[]): Promise<readonly T[]>;
  /** Whether two states of the same version look the same to a watcher. Leave out what changes with every read, such as the time of reading. */
  sameState(a: T, b: T): boolean;
  /** Makes a state of what `JSON.parse` gave. Needed when a state has more than JSON knows, such as a Date. */
  revive?(message: JsonValue): T;
  /** Called once for each watched id that the first read did not find. */
  onMissing?(id: string): void;
  /** How often watched objects are read again, in milliseconds. The longest a lost hint can go unnoticed. 3,000 unless said otherwise. */
  refreshMs?: number;
  /** The least time between two messages of one object, in milliseconds. 50 unless said otherwise: at most 20 messages a second. */
  minIntervalMs?: number;
  timers?: Timers;
  logger: Logger;
  metrics: SubscriptionMetrics;
}

type Listener<T> = (state: T) => void;
type RereadCause = 'first' | 'refresh' | 'reconnect' | 'hint';

interface Watched<T> {
  known: T | undefined;
  isReportedMissing: boolean;
  /** Each listener with the last state it was given. */
  listeners: Map<Listener<T>, T | undefined>;
  unsubscribe: Promise<() => Promise<void>>;
}

/**
 * Objects whose watchers follow the truth. A watcher first gets the current state, then newer ones only; whatever is lost on the way, it has
 * the last state at most `refreshMs` (plus the time of a read) after the change.
 *
 * Messages carry full states, so a gap in the versions is normal (conflation makes them) and loses nothing. Deltas would need every version.
 * A hint is believed only when its version is newer than the known one. A hint of the same version with another state is not: it cannot be told
 * which of the two is later, so the object is read again. Reads of one object never overlap, so the later read is the later state.
 */
export class LiveObjects<T extends Versioned> {
  private readonly watched = new Map<string, Watched<T>>();
  private readonly finishers = new Set<() => void>();
  private readonly outgoing = new Map<string, T>();
  private readonly publishPace: Pace;
  private readonly deliveryPace: Pace;
  private readonly due = new Set<string>();
  private readonly timers: Timers;
  private readonly stopListening: () => void;
  private stopRefresh: (() => void) | undefined;
  private isReading = false;
  private watcherCount = 0;

  constructor(private readonly options: LiveObjectsOptions<T>) {
    this.timers = options.timers ?? systemTimers;
    const intervalMs = options.minIntervalMs ?? MIN_INTERVAL_MS;
    this.publishPace = new Pace(intervalMs, this.timers);
    this.deliveryPace = new Pace(intervalMs, this.timers);
    this.stopListening = options.fanOut.onReconnect(() => this.reread(this.watched.keys(), 'reconnect'));
  }

  /** Watchers at the moment; one that watches several objects counts once. */
  get watchers(): number {
    return this.watcherCount;
  }

  /** Objects watched at the moment: each is one topic and one id in every refresh. */
  get objects(): number {
    return this.watched.size;
  }

  /** Tells every node about a committed state. Call it after the commit; states that come too fast are conflated, the newest is always sent. */
  publish(state: T): void {
    const waiting = this.outgoing.get(state.id);
    if (waiting && waiting.version > state.version) return;
    this.outgoing.set(state.id, state);
    this.paced(this.publishPace, state.id, () => this.send(state.id));
  }

  /**
   * Calls `listener` with the current state of each object, then with each newer one, until the returned function is called.
   * A state that is already known is given before `observe` returns.
   */
  observe(ids: readonly string[], listener: Listener<T>): () => void {
    const distinct = [...new Set(ids)];
    // One function object per registration: the same listener may be registered twice.
    const own: Listener<T> = (state) => {
      try {
        listener(state);
      } catch (error) {
        this.options.logger.error({ err: error, object: this.options.name }, 'a watcher threw');
      }
    };
    this.watcherCount++;
    for (const id of distinct) this.join(id, own);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.watcherCount--;
      for (const id of distinct) this.leave(id, own);
    };
  }

  /**
   * The same as an iterator, for subscriptions that run each for themselves. It begins at the first `next()` and ends with `return()`, the signal,
   * or `close()`. A slow consumer finds only the latest state of each object: at most one per id is kept for it.
   */
  watch(ids: readonly string[], { signal }: { signal?: AbortSignal } = {}): AsyncIterableIterator<T> {
    const latest = new Map<string, T>();
    const waiting: ((result: IteratorResult<T>) => void)[] = [];
    let stop: (() => void) | undefined;
    let isOver = false;

    const hand = (state: T) => {
      const resolve = waiting.shift();
      if (resolve) return resolve({ done: false, value: state });
      if (latest.has(state.id)) this.options.metrics.conflated.inc({ object: this.options.name });
      latest.set(state.id, state);
    };
    const finish = () => {
      isOver = true;
      stop?.();
      latest.clear();
      this.finishers.delete(finish);
      signal?.removeEventListener('abort', finish);
      for (const resolve of waiting.splice(0)) resolve({ done: true, value: undefined });
    };
    const begin = () => {
      if (signal?.aborted) return finish();
      signal?.addEventListener('abort', finish);
      this.finishers.add(finish);
      stop = this.observe(ids, hand);
    };

    return {
      [Symbol.asyncIterator]() {
        return this;
      },
      next: async () => {
        if (!stop && !isOver) begin();
        if (isOver) return { done: true, value: undefined };
        for (const [id, state] of latest) {
          latest.delete(id);
          return { done: false, value: state };
        }
        return new Promise((resolve) => waiting.push(resolve));
      },
      return: async () => {
        finish();
        return { done: true, value: undefined };
      },
    };
  }

  /** Sends what is waiting and ends every iterator. The fan-out stays open: it belongs to the caller. */
  close(): void {
    this.stopListening();
    this.publishPace.flush();
    for (const finish of [...this.finishers]) finish();
    this.stopRefresh?.();
    this.stopRefresh = undefined;
  }

  private topicOf(id: string): string {
    return `${this.options.name}:${id}`;
  }

  private paced(pace: Pace, id: string, action: () => void): void {
    if (!pace.run(id, action)) this.options.metrics.conflated.inc({ object: this.options.name });
  }

  private send(id: string): void {
    const state = this.outgoing.get(id);
    this.outgoing.delete(id);
    // The cast is checked by `revive`: what JSON cannot carry must be made again there.
    if (state) void this.options.fanOut.publish(this.topicOf(id), state as unknown as JsonValue);
  }

  private join(id: string, listener: Listener<T>): void {
    const object = this.watched.get(id);
    if (object) {
      object.listeners.set(listener, object.known);
      if (object.known) listener(object.known);
      return;
    }
    const unsubscribe = this.options.fanOut.subscribe(this.topicOf(id), (message) => this.heard(id, message));
    const made: Watched<T> = { known: undefined, isReportedMissing: false, listeners: new Map([[listener, undefined]]), unsubscribe };
    this.watched.set(id, made);
    this.options.metrics.watchedObjects.inc({ object: this.options.name });
    this.startRefresh();
    // First subscribed, then read: a change between the two is heard.
    void unsubscribe.catch(() => undefined).then(() => this.reread([id], 'first'));
  }

  private leave(id: string, listener: Listener<T>): void {
    const object = this.watched.get(id);
    if (!object?.listeners.delete(listener) || object.listeners.size > 0) return;
    this.watched.delete(id);
    this.options.metrics.watchedObjects.dec({ object: this.options.name });
    object.unsubscribe.then((stop) => stop()).catch((error) => this.options.logger.debug({ err: error }, 'unsubscribing failed'));
    if (this.watched.size === 0) {
      this.stopRefresh?.();
      this.stopRefresh = undefined;
    }
  }

  private heard(id: string, message: JsonValue): void {
    const object = this.watched.get(id);
    if (!object || !isStateOf(id, message)) return;
    const state = this.options.revive ? this.options.revive(message) : (message as unknown as T);
    if (!object.known || state.version > object.known.version) this.learn(id, object, state);
    else if (state.version === object.known.version && !this.options.sameState(object.known, state)) this.reread([id], 'hint');
  }

  private learn(id: string, object: Watched<T>, state: T): void {
    object.known = state;
    this.paced(this.deliveryPace, id, () => this.deliver(id));
  }

  private deliver(id: string): void {
    const object = this.watched.get(id);
    if (!object?.known) return;
    for (const [listener, given] of object.listeners) {
      if (given === object.known) continue;
      object.listeners.set(listener, object.known);
      listener(object.known);
    }
  }

  private startRefresh(): void {
    this.stopRefresh ??= this.timers.after(this.options.refreshMs ?? REFRESH_MS, () => {
      this.stopRefresh = undefined;
      this.reread(this.watched.keys(), 'refresh');
      if (this.watched.size > 0) this.startRefresh();
    });
  }

  private reread(ids: Iterable<string>, cause: RereadCause): void {
    let count = 0;
    for (const id of ids) {
      this.due.add(id);
      count++;
    }
    this.options.metrics.rereads.inc({ object: this.options.name, cause }, count);
    if (!this.isReading && count > 0) void this.readDue();
  }

  /** One reader at a time. An id that becomes due while it is being read is read once more, so each read begins after it was asked for. */
  private async readDue(): Promise<void> {
    this.isReading = true;
    await nextTurn(); // Everybody who came in this turn of the event loop shares the query.
    while (this.due.size > 0) {
      const ids = [...this.due].slice(0, READ_CHUNK);
      for (const id of ids) this.due.delete(id);
      await this.readChunk(ids.filter((id) => this.watched.has(id)));
    }
    this.isReading = false;
  }

  private async readChunk(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    try {
      const states = new Map((await this.options.read(ids)).map((state) => [state.id, state]));
      for (const id of ids) this.compare(id, states.get(id));
    } catch (error) {
      // The next refresh tries again; until then watchers keep what they have.
      this.options.metrics.rereadFailures.inc({ object: this.options.name });
      this.options.logger.warn({ err: error, object: this.options.name }, 'reading live objects failed');
    }
  }

  private compare(id: string, state: T | undefined): void {
    const object = this.watched.get(id);
    if (!object) return;
    const { known } = object;
    if (!state) {
      if (!known && !object.isReportedMissing) this.options.onMissing?.(id);
      object.isReportedMissing = true;
      return;
    }
    const isNews = !known || state.version > known.version || (state.version === known.version && !this.options.sameState(known, state));
    if (isNews) this.learn(id, object, state);
  }
}

const REFRESH_MS = 3000;
const MIN_INTERVAL_MS = 50;
const READ_CHUNK = 100;

/** Anybody with access to Redis can publish; what is not a state of this object is ignored. */
const isStateOf = (id: string, message: JsonValue): boolean =>
  typeof message === 'object' &&
  message !== null &&
  'id' in message &&
  message.id === id &&
  'version' in message &&
  Number.isSafeInteger(message.version);
