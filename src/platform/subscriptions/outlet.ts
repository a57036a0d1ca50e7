import type { WebSocket } from 'ws';
import type { SubscriptionMetrics } from './metrics.ts';

export interface OutletLimits {
  /** Above so many unsent bytes nothing more is written: the reader is behind. 256 KiB unless said otherwise. */
  bufferedBytesMax: number;
  /** A reader that stays behind for so long is closed with 1013 (try again later). 15 s unless said otherwise. */
  behindMsMax: number;
}

export const OUTLET_LIMITS: OutletLimits = { bufferedBytesMax: 256 * 1024, behindMsMax: 15_000 };

/** Gives the newest message for a key, or undefined when nobody wants it any more. Asked only when it can be written. */
export type Latest = () => string | undefined;

/**
 * One socket as a broadcast sees it. While its reader keeps up, messages are written at once. When it does not, only *that* there is something
 * new is remembered, once per key, and the newest message of each key is written when the socket has drained. So what is kept for a slow
 * reader is at most `bufferedBytesMax`, one message and one entry per key, however much happens meanwhile.
 */
export class Outlet {
  private readonly owed = new Map<string, Latest>();
  private poll: NodeJS.Timeout | undefined;
  private behindSinceMs = 0;

  constructor(
    private readonly socket: WebSocket,
    private readonly limits: OutletLimits,
    private readonly metrics: SubscriptionMetrics,
  ) {
    socket.once('close', () => this.clear());
  }

  get isBehind(): boolean {
    return this.owed.size > 0;
  }

  /** Whether the newest message under this key will be asked for when the socket has drained. */
  owes(key: string): boolean {
    return this.owed.has(key);
  }

  /**
   * Writes the message now, or owes the newest one under `key` until the socket has drained. Returns whether it was written, so that a
   * broadcast counts its messages once and not once per socket.
   */
  offer(key: string, latest: Latest): boolean {
    if (this.socket.readyState !== this.socket.OPEN) return false;
    if (this.owed.size === 0 && this.hasRoom()) return this.write(latest);
    this.owe(key, latest);
    return false;
  }

  private owe(key: string, latest: Latest): void {
    if (this.owed.has(key)) this.metrics.droppedToLatest.inc();
    this.owed.set(key, latest);
    this.startPolling();
  }

  private hasRoom(): boolean {
    return this.socket.bufferedAmount <= this.limits.bufferedBytesMax;
  }

  private write(latest: Latest): boolean {
    const message = latest();
    if (message === undefined) return false;
    this.socket.send(message);
    return true;
  }

  private startPolling(): void {
    if (this.poll) return;
    this.behindSinceMs = Date.now();
    this.poll = setInterval(() => this.settle(), POLL_MS).unref();
  }

  private settle(): void {
    for (const [key, latest] of this.owed) {
      if (!this.hasRoom()) break;
      this.owed.delete(key);
      if (this.write(latest)) this.metrics.messages.inc(SHARED);
    }
    if (this.owed.size === 0) this.clear();
    else if (Date.now() - this.behindSinceMs > this.limits.behindMsMax) this.giveUp();
  }

  private giveUp(): void {
    this.clear();
    this.metrics.slowReadersClosed.inc();
    this.socket.close(1013, 'Reading too slowly: subscribe again when you can keep up');
    // The close frame waits behind what is not read; what it holds is freed a second later in any case.
    setTimeout(() => this.socket.terminate(), 1000).unref();
  }

  private clear(): void {
    clearInterval(this.poll);
    this.poll = undefined;
    this.owed.clear();
  }
}

/** ws tells only the length of its buffer, not when it shrinks. 50 ms is one frame interval of a conflated object. */
const POLL_MS = 50;
const SHARED = { kind: 'shared' } as const;
