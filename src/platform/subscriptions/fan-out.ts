import { EventEmitter } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisPubSub } from 'graphql-redis-subscriptions';
import { PubSub, type PubSubEngine } from 'graphql-subscriptions';
import { Redis, type RedisOptions } from 'ioredis';
import type { Logger } from 'pino';
import type { SubscriptionMetrics } from './metrics.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/**
 * Carries hints between the nodes. A hint may be lost, doubled or late without a word (Redis lost 11 of some thousands across ten
 * restarts, acknowledged and delivered to nobody), so whoever listens must also read the truth from time to time.
 */
export interface FanOut {
  readonly kind: 'in-process' | 'redis';
  /** Hands the message to every listener of the topic on every node. Never rejects: what cannot be sent is counted and dropped. */
  publish(topic: string, message: JsonValue): void | Promise<void>;
  /** Resolves when messages published from now on arrive. While Redis is away it resolves at once, and they arrive after it came back. */
  subscribe(topic: string, listener: (message: JsonValue) => void): Promise<() => Promise<void>>;
  /** Calls the listener whenever messages may have been lost and can arrive again. Returns the function that ends this. */
  onReconnect(listener: () => void): () => void;
  /** True when a hint published now would travel. Answers within a second. */
  ready(): Promise<boolean>;
  close(): Promise<void>;
}

/** Thrown by {@link redisFanOut} when Redis cannot be reached at the start. The message is one sentence for the person who started us. */
export class RedisUnreachableError extends Error {}

/** Fans out within this process only. */
export function inProcessFanOut(logger: Logger): FanOut {
  // Node warns at the eleventh listener of an event; here each is a different watcher, not a leak.
  const pubSub = new PubSub({ eventEmitter: new EventEmitter().setMaxListeners(0) });
  return {
    kind: 'in-process',
    // Through JSON as with Redis: a state that does not survive it fails in the default mode too, and nobody shares an object by accident.
    publish: (topic, message) => void pubSub.publish(topic, JSON.parse(JSON.stringify(message))),
    subscribe: (topic, listener) => subscribeTo(pubSub, topic, guarded(listener, logger)),
    onReconnect: () => () => undefined,
    ready: async () => true,
    close: async () => undefined,
  };
}

export interface RedisFanOutOptions {
  /** Put before every channel: pub/sub is not separated by database number, so two systems on one Redis need different ones. */
  channelPrefix?: string;
  metrics?: SubscriptionMetrics;
}

/**
 * Fans out through Redis pub/sub. Connects before it resolves.
 *
 * @throws RedisUnreachableError when the first connection fails. Later failures only log, count, and are retried for ever, with 50 ms to 2 s between tries.
 */
export async function redisFanOut(url: string, logger: Logger, options: RedisFanOutOptions = {}): Promise<FanOut> {
  const prefix = options.channelPrefix ?? 'lastseat:';
  const publisher = connection(url, logger);
  const subscriber = connection(url, logger);
  const topics = new Topics(subscriber, `${prefix}fan-out`, logger);
  try {
    await Promise.all([publisher.connect(), subscriber.connect()]);
    await topics.resubscribe();
  } catch (error) {
    await Promise.all([ended(publisher.redis), ended(subscriber.redis)]);
    const reason = publisher.lastError ?? subscriber.lastError ?? (error as Error);
    throw new RedisUnreachableError(
      `Redis at ${withoutSecrets(url)} cannot be reached (${reason.message}): start it, or correct or unset REDIS_URL.`,
      {
        cause: reason,
      },
    );
  }
  const pubSub = new RedisPubSub({ publisher: publisher.redis, subscriber: topics as unknown as Redis });
  const failed = () => options.metrics?.publishFailures.inc();
  let inFlight = 0;
  return {
    kind: 'redis',
    async publish(topic, message) {
      if (publisher.redis.status !== 'ready' || inFlight >= PUBLISHES_IN_FLIGHT_MAX) return failed();
      inFlight++;
      await pubSub.publish(prefix + topic, message).catch(failed);
      inFlight--;
    },
    subscribe: (topic, listener) => subscribeTo(pubSub, prefix + topic, guarded(listener, logger)),
    onReconnect: (listener) => topics.onReconnect(listener),
    ready: () => Promise.race([publisher.redis.ping().then(Boolean, () => false), delay(1000, false, { ref: false })]),
    async close() {
      await Promise.all([ended(publisher.redis), ended(subscriber.redis)]);
    },
  };
}

/** A frozen Redis must not make us collect promises without end; past this a hint is worth less than the memory. */
const PUBLISHES_IN_FLIGHT_MAX = 10_000;

async function subscribeTo(pubSub: PubSubEngine, topic: string, listener: (message: JsonValue) => void) {
  const id = await pubSub.subscribe(topic, listener, {});
  return async () => pubSub.unsubscribe(id);
}

/** A listener that throws must stop neither its neighbours nor the publisher. */
const guarded = (listener: (message: JsonValue) => void, logger: Logger) => (message: JsonValue) => {
  try {
    listener(message);
  } catch (error) {
    logger.error({ err: error }, 'a fan-out listener threw');
  }
};

/** Ends a connection, and waits until it is closed where there is one to close. */
async function ended(redis: Redis): Promise<void> {
  if (redis.status === 'end') return;
  const isOpen = redis.status === 'ready' || redis.status === 'connect' || redis.status === 'connecting';
  const end = isOpen ? new Promise((resolve) => redis.once('end', resolve)) : undefined;
  redis.disconnect();
  await end;
}

interface Connection {
  redis: Redis;
  lastError: Error | undefined;
  connect(): Promise<void>;
}

function connection(url: string, logger: Logger): Connection {
  let wasReady = false;
  const options: RedisOptions = {
    lazyConnect: true,
    connectTimeout: 2000,
    // ioredis keeps a timer for so long after the end of a connection that was lost before; 2 s unless said otherwise, which a shutdown would wait for.
    disconnectTimeout: 100,
    keepAlive: 10_000,
    // Nothing is queued or sent again while Redis is away: an old hint is useless and a queue would grow with the outage.
    enableOfflineQueue: false,
    autoResubscribe: false,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => (wasReady ? Math.min(50 * 2 ** Math.min(times, 6), 2000) : null),
  };
  const redis = new Redis(url, options);
  const self: Connection = { redis, lastError: undefined, connect: () => redis.connect() };
  redis.on('ready', () => {
    if (self.lastError && wasReady) logger.info('Redis is back');
    wasReady = true;
    self.lastError = undefined;
  });
  // Without a listener ioredis writes to the console. One line per outage is enough; the retries go on.
  redis.on('error', (error: Error) => {
    if (!self.lastError && wasReady) logger.warn({ err: error }, 'Redis is away; changes are found by reading until it is back');
    self.lastError = error;
  });
  return self;
}

/**
 * The subscriber as RedisPubSub sees it. RedisPubSub 2.7 leaves a promise rejected and unhandled when SUBSCRIBE or UNSUBSCRIBE fails,
 * which ends the process. So here neither fails: the topics wanted are kept, and subscribed to again whenever the connection is ready.
 */
class Topics {
  private readonly wanted = new Set<string>();
  private readonly reconnectListeners = new Set<() => void>();

  constructor(
    private readonly subscriber: Connection,
    private readonly ownTopic: string,
    private readonly logger: Logger,
  ) {
    let isFirst = true;
    subscriber.redis.on('ready', () => {
      if (!isFirst) this.resubscribe().then(() => this.reconnected(), this.resubscribeFailed);
      isFirst = false;
    });
  }

  on(event: string, listener: (...args: unknown[]) => void): void {
    this.subscriber.redis.on(event, listener);
  }

  subscribe(topic: string, done: (error: null) => void): void {
    this.wanted.add(topic);
    const asked = this.subscriber.redis.status === 'ready' ? this.subscriber.redis.subscribe(topic).catch(this.failed) : Promise.resolve();
    void asked.then(() => done(null));
  }

  unsubscribe(topic: string): void {
    this.wanted.delete(topic);
    if (this.subscriber.redis.status === 'ready') this.subscriber.redis.unsubscribe(topic).catch(this.failed);
  }

  /** We use no patterns; RedisPubSub asks all the same. */
  punsubscribe(): void {}

  /** A topic of our own is always among them, so that the reply says that every other one is in force too. */
  async resubscribe(): Promise<void> {
    await this.subscriber.redis.subscribe(this.ownTopic, ...this.wanted);
  }

  onReconnect(listener: () => void): () => void {
    this.reconnectListeners.add(listener);
    return () => this.reconnectListeners.delete(listener);
  }

  private reconnected(): void {
    for (const listener of this.reconnectListeners) listener();
  }

  private readonly resubscribeFailed = (error: unknown) => this.logger.warn({ err: error }, 'subscribing again at Redis failed');

  private readonly failed = (error: unknown) => this.logger.debug({ err: error }, 'a change of Redis subscriptions failed');
}

/** The address without user and password, which must not reach a log. */
function withoutSecrets(url: string): string {
  try {
    const { protocol, host } = new URL(url);
    return `${protocol}//${host}`;
  } catch {
    return 'the address in REDIS_URL';
  }
}
