import { createSourceEventStream, type ExecutionArgs, type ExecutionResult, execute } from 'graphql';
import type { SubscriptionMetrics } from './metrics.ts';

/**
 * Executes a subscription for one subscriber, as graphql-js does, but with a new context for every event: `subscribe` of graphql-js keeps
 * one for the whole operation, and its EntityManager and loaders would answer the second event with what they read for the first.
 *
 * The source must end a waiting `next()` when `return()` is called (`LiveObjects.watch` and the pub/sub iterators do; an async generator
 * that waits inside does not, and would be left behind when the client goes).
 */
export async function subscribeEach(
  args: ExecutionArgs,
  contextOf: () => object,
  metrics: SubscriptionMetrics,
): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
  const stream = await createSourceEventStream({ ...args, contextValue: contextOf() });
  if (!(Symbol.asyncIterator in stream)) return stream;
  const events = stream[Symbol.asyncIterator]();
  metrics.operations.inc(PERSONAL);
  let isOver = false;
  const finish = () => {
    if (!isOver) metrics.operations.dec(PERSONAL);
    isOver = true;
  };
  const results: AsyncIterableIterator<ExecutionResult> = {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      const event = await events.next().catch((error) => {
        finish();
        throw error;
      });
      if (event.done || isOver) {
        finish();
        return { done: true, value: undefined };
      }
      metrics.executions.inc(PERSONAL);
      metrics.messages.inc(PERSONAL);
      return { done: false, value: await execute({ ...args, rootValue: event.value, contextValue: contextOf() }) };
    },
    async return() {
      finish();
      await events.return?.();
      return { done: true, value: undefined };
    },
  };
  return results;
}

const PERSONAL = { kind: 'personal' } as const;
