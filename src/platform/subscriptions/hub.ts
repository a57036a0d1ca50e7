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
import { type Broadcast, type BroadcastTools, type Executed, Member, SHARED } from './broadcast.ts';
import { ChangeBroadcast } from './change-broadcast.ts';
import type { Versioned } from './live-objects.ts';
import type { SubscriptionMetrics } from './metrics.ts';
import type { Outlet } from './outlet.ts';
import { systemTimers, type Timers } from './pace.ts';
import { keyOf, onlyVariableOf, rootFieldOf, type Variables } from './shared-operation.ts';
import { StateBroadcast } from './state-broadcast.ts';

/** The source of a subscription field whose result is the same for everybody. */
export type SharedSource = StateSource | ChangeSource<Versioned>;

/** Tells whole states. The resolver gets the state as its root value. */
export interface StateSource {
  /** A `LiveObjects`. */
  live: { observe(ids: readonly string[], listener: (state: Versioned) => void): () => void };
  /** The ids to watch for these arguments. A GraphQLError it throws is sent to the client as it is and ends the operation. */
  idsOf(args: Record<string, unknown>): readonly string[];
}

/** Tells of one object what has changed since the version a subscriber has. The resolver gets what `changeSince` made as its root value. */
export interface ChangeSource<S extends Versioned> {
  live: {
    /** Gives the current state where it is known, then newer ones only. A state is never changed after it was given. */
    observe(id: string, listener: (state: S) => void): () => void;
    /** Resolves to the version that `observe` has come to: at least the one asked for, unless the truth, looked at meanwhile, is older. */
    reach(id: string, version: number): Promise<number>;
  };
  /** The id to watch. A GraphQLError it throws is sent to the client as it is and ends the operation. */
  idOf(args: Record<string, unknown>): string;
  /** The argument that says which version a subscriber has: its value comes from a variable of its own, or else parts subscribers that are identical. */
  resumeArgument: string;
  /** The value of that argument; undefined: none. Errors as of `idOf`. */
  afterOf(args: Record<string, unknown>): number | undefined;
  /** What leads from that version to this state; from undefined: all of it. */
  changeSince(state: S, since: number | undefined): unknown;
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
  /** The version its subscriber has already. */
  after: number | undefined;
  document: DocumentNode;
  operationName: string | undefined;
  variables: Variables | undefined;
  locale: Locale;
  cost: Cost;
}

/**
 * Executes identical shared subscriptions once per event and process, serialises the result once, and writes it to every socket.
 *
 * Two subscriptions are identical when document, operation name, declared variables and language are; a variable that only says which version a subscriber
 * has makes no difference. The hub writes `next` messages only; acknowledgement, errors and completion stay with graphql-ws.
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
      const isOfChanges = 'changeSince' in source;
      const ids = isOfChanges ? [source.idOf(field.args)] : source.idsOf(field.args);
      const after = isOfChanges ? source.afterOf(field.args) : undefined;
      const apart = isOfChanges ? onlyVariableOf(request.document, field.node, source.resumeArgument) : undefined;
      return { ...request, key: keyOf(request.document, operation, request.variables, request.locale, apart), source, ids, after };
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
    const member = new Member(outlet, operationId, subscription.after);
    const broadcast = this.broadcasts.get(subscription.key) ?? this.open(subscription);
    this.memberCount++;
    this.options.metrics.operations.inc(SHARED);
    broadcast.add(member);
    return untilReturned(() => this.leave(subscription.key, broadcast, member));
  }

  private open(subscription: SharedSubscription): Broadcast {
    const { source, ids } = subscription;
    const tools: BroadcastTools = {
      execute: (rootValue) => this.execute(subscription, rootValue),
      timers: this.timers,
      metrics: this.options.metrics,
    };
    const broadcast =
      'changeSince' in source ? new ChangeBroadcast(source, ids[0] as string, tools) : new StateBroadcast(source, ids, tools);
    this.broadcasts.set(subscription.key, broadcast);
    this.options.metrics.broadcasts.inc();
    return broadcast;
  }

  private leave(key: string, broadcast: Broadcast, member: Member): void {
    if (member.hasLeft) return;
    member.hasLeft = true;
    broadcast.remove(member);
    this.memberCount--;
    this.options.metrics.operations.dec(SHARED);
    if (broadcast.size > 0) return;
    broadcast.close();
    this.broadcasts.delete(key);
    this.options.metrics.broadcasts.dec();
  }

  private async execute(subscription: SharedSubscription, rootValue: unknown): Promise<Executed> {
    this.options.metrics.executions.inc(SHARED);
    let result: ExecutionResult;
    try {
      result = await execute({
        schema: this.options.schema,
        document: subscription.document,
        operationName: subscription.operationName,
        variableValues: subscription.variables,
        rootValue,
        contextValue: this.options.contextOf(subscription.locale),
      });
    } catch (error) {
      this.options.logger.error({ err: error }, 'executing a shared subscription failed');
      result = { errors: [new GraphQLError('Unexpected error.', { originalError: error as Error })] };
    }
    const payload = JSON.stringify(this.options.formatResult(result, { cost: subscription.cost }));
    return { payload, mayHeal: result.errors?.some(isUnexpected) ?? false };
  }
}

/** True for what a resolver threw without meaning to: a lost connection, a bug. A GraphQLError was meant and stays. */
const isUnexpected = ({ originalError }: GraphQLError) => originalError !== undefined && !(originalError instanceof GraphQLError);

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
