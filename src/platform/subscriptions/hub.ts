import {
  type DocumentNode,
  type ExecutionResult,
  execute,
  type FormattedExecutionResult,
  GraphQLError,
  type GraphQLSchema,
  getOperationAST,
} from 'graphql';
import type { Logger } from 'pino';
import type { Cost } from '../graphql/cost.ts';
import type { Locale } from '../locale.ts';
import type { Versioned } from './live-objects.ts';
import type { SubscriptionMetrics } from './metrics.ts';
import type { Outlet } from './outlet.ts';
import { systemTimers, type Timers } from './pace.ts';
import { keyOf, rootFieldOf, type Variables } from './shared-operation.ts';

/** The source of a subscription field whose result is the same for everybody. Its resolver gets the state as its root value. */
export interface SharedSource {
  /** A `LiveObjects`. */
  live: { observe(ids: readonly string[], listener: (state: Versioned) => void): () => void };
  /** The ids to watch for these arguments. A GraphQLError it throws is sent to the client as it is and ends the operation. */
  idsOf(args: Record<string, unknown>): readonly string[];
}

export interface HubOptions {
  schema: GraphQLSchema;
  /** By the name of the subscription field. Fields that are not here are executed for each subscriber. */
  sources: ReadonlyMap<string, SharedSource>;
  /** A context without a viewer, made anew for every event, so that no entity or loader of it outlives one. */
  contextOf(locale: Locale): object;
  /** Adds the cost and masks unexpected errors. */
  formatResult(result: ExecutionResult, about: { cost: Cost }): FormattedExecutionResult;
  timers?: Timers;
  logger: Logger;
  metrics: SubscriptionMetrics;
}

/** A checked subscription to a shared field, ready to be joined. */
export interface SharedSubscription {
  key: string;
  source: SharedSource;
  ids: readonly string[];
  document: DocumentNode;
  operationName: string | undefined;
  variables: Variables | undefined;
  locale: Locale;
  cost: Cost;
}

/** Who listens: a socket and the operation id its client chose. */
interface Member {
  outlet: Outlet;
  operationId: string;
  /** Everything of a `next` message before the payload. */
  head: string;
  hasLeft: boolean;
}

/** One distinct shared subscription of this process with everybody who listens to it. */
interface Broadcast {
  subscription: SharedSubscription;
  members: Set<Member>;
  /** The serialised payload of each object, for late joiners and for readers that were behind. */
  payloads: Map<string, string>;
  /** Objects being executed, with the state that came meanwhile. One execution per object at a time keeps versions in order. */
  executing: Map<string, Versioned | undefined>;
  stopObserving: () => void;
  isOver: boolean;
}

/**
 * Executes identical shared subscriptions once per event and process, serialises the result once, and writes it to every socket.
 *
 * Two subscriptions are identical when document, operation name, declared variables and language are. The hub writes `next` messages only;
 * acknowledgement, errors and completion stay with graphql-ws.
 */
export class SubscriptionHub {
  private readonly broadcasts = new Map<string, Broadcast>();
  private readonly timers: Timers;
  private memberCount = 0;

  constructor(private readonly options: HubOptions) {
    this.timers = options.timers ?? systemTimers;
  }

  /** Operations served at the moment. */
  get members(): number {
    return this.memberCount;
  }

  /** Distinct subscriptions served at the moment. */
  get size(): number {
    return this.broadcasts.size;
  }

  /**
   * Checks a validated document. Returns undefined when its field is not shared, and errors for the client when its arguments do not fit.
   * What `idsOf` throws other than a GraphQLError is thrown.
   */
  prepare(request: {
    document: DocumentNode;
    operationName: string | undefined;
    variables: Variables | undefined;
    locale: Locale;
    cost: Cost;
  }): SharedSubscription | readonly GraphQLError[] | undefined {
    const operation = getOperationAST(request.document, request.operationName);
    if (operation?.operation !== 'subscription') return undefined;
    const field = rootFieldOf(this.options.schema, request.document, operation, request.variables);
    if (!field || !('name' in field)) return field;
    const source = this.options.sources.get(field.name);
    if (!source) return undefined;
    try {
      const ids = source.idsOf(field.args);
      return { ...request, key: keyOf(request.document, operation, request.variables, request.locale), source, ids };
    } catch (error) {
      if (error instanceof GraphQLError) return [error];
      throw error;
    }
  }

  /**
   * Begins to send. The iterator never yields: it is what graphql-ws waits on and returns from when the client completes or goes.
   * The current state of each object is sent at once where it is known.
   */
  join(subscription: SharedSubscription, outlet: Outlet, operationId: string): AsyncIterableIterator<never> {
    const member = { outlet, operationId, head: `{"id":${JSON.stringify(operationId)},"type":"next","payload":`, hasLeft: false };
    let broadcast = this.broadcasts.get(subscription.key);
    if (broadcast) {
      broadcast.members.add(member);
      for (const objectId of broadcast.payloads.keys()) this.offer(broadcast, [member], objectId);
    } else {
      broadcast = this.open(subscription, member);
    }
    this.memberCount++;
    this.options.metrics.operations.inc(SHARED);
    return untilReturned(() => this.leave(broadcast, member));
  }

  private open(subscription: SharedSubscription, member: Member): Broadcast {
    const broadcast: Broadcast = {
      subscription,
      members: new Set([member]),
      payloads: new Map(),
      executing: new Map(),
      stopObserving: () => undefined,
      isOver: false,
    };
    this.broadcasts.set(subscription.key, broadcast);
    this.options.metrics.broadcasts.inc();
    broadcast.stopObserving = subscription.source.live.observe(subscription.ids, (state) => this.changed(broadcast, state));
    return broadcast;
  }

  private leave(broadcast: Broadcast, member: Member): void {
    if (member.hasLeft) return;
    member.hasLeft = true;
    broadcast.members.delete(member);
    this.memberCount--;
    this.options.metrics.operations.dec(SHARED);
    if (broadcast.members.size > 0) return;
    broadcast.isOver = true;
    broadcast.stopObserving();
    this.broadcasts.delete(broadcast.subscription.key);
    this.options.metrics.broadcasts.dec();
  }

  private changed(broadcast: Broadcast, state: Versioned): void {
    if (broadcast.executing.has(state.id)) broadcast.executing.set(state.id, state);
    else void this.executeLatest(broadcast, state);
  }

  /** Executes the state, then whatever came meanwhile. A failure that may heal is tried again with the newest state until it succeeds. */
  private async executeLatest(broadcast: Broadcast, first: Versioned): Promise<void> {
    const { id } = first;
    let state: Versioned | undefined = first;
    for (let failures = 0; state && !broadcast.isOver; ) {
      broadcast.executing.set(id, undefined);
      const { payload, mayHeal } = await this.execute(broadcast.subscription, state);
      // Of a row of failures clients see the first: the others say nothing new.
      if (!mayHeal || failures === 0) this.send(broadcast, id, payload);
      failures = mayHeal ? failures + 1 : 0;
      if (mayHeal) await new Promise<void>((resolve) => this.timers.after(retryDelayMs(failures), resolve));
      state = broadcast.executing.get(id) ?? (mayHeal ? state : undefined);
    }
    broadcast.executing.delete(id);
  }

  private async execute(subscription: SharedSubscription, state: Versioned): Promise<{ payload: string; mayHeal: boolean }> {
    this.options.metrics.executions.inc(SHARED);
    let result: ExecutionResult;
    try {
      result = await execute({
        schema: this.options.schema,
        document: subscription.document,
        operationName: subscription.operationName,
        variableValues: subscription.variables,
        rootValue: state,
        contextValue: this.options.contextOf(subscription.locale),
      });
    } catch (error) {
      this.options.logger.error({ err: error }, 'executing a shared subscription failed');
      result = { errors: [new GraphQLError('Unexpected error.', { originalError: error as Error })] };
    }
    const payload = JSON.stringify(this.options.formatResult(result, { cost: subscription.cost }));
    return { payload, mayHeal: result.errors?.some(isUnexpected) ?? false };
  }

  private send(broadcast: Broadcast, objectId: string, payload: string): void {
    broadcast.payloads.set(objectId, payload);
    this.offer(broadcast, broadcast.members, objectId);
  }

  private offer(broadcast: Broadcast, members: Iterable<Member>, objectId: string): void {
    let written = 0;
    for (const member of members) {
      const latest = () => (member.hasLeft ? undefined : `${member.head}${broadcast.payloads.get(objectId)}}`);
      if (member.outlet.offer(`${member.operationId}\n${objectId}`, latest)) written++;
    }
    this.options.metrics.messages.inc(SHARED, written);
  }
}

/** True for what a resolver threw without meaning to: a lost connection, a bug. A GraphQLError was meant and stays. */
const isUnexpected = ({ originalError }: GraphQLError) => originalError !== undefined && !(originalError instanceof GraphQLError);

/** 0.5 s, 1 s, 2 s, then every 4 s: soon after a short fault, and no load of its own during a long one. */
const retryDelayMs = (failures: number) => Math.min(250 * 2 ** failures, 4000);

const SHARED = { kind: 'shared' } as const;

/** An async generator would not do: its `return()` waits for the `next()` that never comes. */
function untilReturned(onReturn: () => void): AsyncIterableIterator<never> {
  const done = { done: true, value: undefined } as const;
  let release: (result: typeof done) => void = () => undefined;
  const returned = new Promise<typeof done>((resolve) => {
    release = resolve;
  });
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    next: () => returned,
    return: async () => {
      onReturn();
      release(done);
      return done;
    },
  };
}
