import type { SubscriptionMetrics } from './metrics.ts';
import type { Outlet } from './outlet.ts';
import type { Timers } from './pace.ts';

/** Who listens: a socket and the operation id its client chose. */
export class Member {
  /** Everything of a `next` message before the payload. */
  readonly head: string;
  hasLeft = false;

  constructor(
    readonly outlet: Outlet,
    readonly operationId: string,
    /** The version it says it has; undefined: none. */
    readonly after: number | undefined,
  ) {
    this.head = `{"id":${JSON.stringify(operationId)},"type":"next","payload":`;
  }
}

/** One distinct shared subscription of this process with everybody who listens to it. */
export interface Broadcast {
  /** Members at the moment. */
  readonly size: number;
  /** Sends the current state at once where it is known. */
  add(member: Member): void;
  remove(member: Member): void;
  /** Called once, when the last member has left. */
  close(): void;
}

/** What a broadcast needs of the hub. */
export interface BroadcastTools {
  /** Executes and serialises the selection for a root value. `mayHeal`: a resolver threw what it did not mean to. */
  execute(rootValue: unknown): Promise<Executed>;
  timers: Timers;
  metrics: SubscriptionMetrics;
}

export interface Executed {
  payload: string;
  mayHeal: boolean;
}

/** 0.5 s, 1 s, 2 s, then every 4 s: soon after a short fault, and no load of its own during a long one. */
export const retryPause = (timers: Timers, failures: number) =>
  new Promise<void>((resolve) => timers.after(Math.min(250 * 2 ** failures, 4000), resolve));

export const SHARED = { kind: 'shared' } as const;
