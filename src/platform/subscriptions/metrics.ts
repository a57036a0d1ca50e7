import { Counter, Gauge, type Registry } from 'prom-client';

export type SubscriptionMetrics = ReturnType<typeof subscriptionMetrics>;

/** Registers what subscriptions count. Call it once per registry: a name can be registered only once. */
export function subscriptionMetrics(registry: Registry) {
  const registers = [registry];
  const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge({ name: `lastseat_subscription_${name}`, help, labelNames, registers });
  const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
    new Counter({ name: `lastseat_subscription_${name}`, help, labelNames, registers });
  return {
    sockets: gauge('sockets', 'Open WebSockets.'),
    operations: gauge('operations', 'Running subscriptions, by whether their execution is shared or personal.', ['kind']),
    broadcasts: gauge('broadcasts', 'Distinct shared subscriptions: each is executed once per event.'),
    watchedObjects: gauge('watched_objects', 'Objects with at least one watcher in this process.', ['object']),
    messages: counter('messages_total', 'Results handed to a socket, by whether their execution was shared or personal.', ['kind']),
    executions: counter('executions_total', 'Selections executed, by whether the result was shared or personal.', ['kind']),
    conflated: counter('conflated_total', 'States replaced by a newer one before they were sent.', ['object']),
    droppedToLatest: counter('dropped_to_latest_total', 'Messages a slow reader never got because a newer one took their place.'),
    slowReadersClosed: counter('slow_readers_closed_total', 'Sockets closed because they stayed behind for too long.'),
    rereads: counter('rereads_total', 'Objects read again from the truth, by cause.', ['object', 'cause']),
    rereadFailures: counter('reread_failures_total', 'Reads from the truth that failed; the next refresh tries again.', ['object']),
    publishFailures: counter('publish_failures_total', 'Hints dropped because Redis could not take them.'),
  };
}
