import type { TestApp } from '../../support/app.ts';

/** A transaction that has come to a statement and does not go on by itself. */
export interface Stalled {
  /** It is there. */
  reached: Promise<void>;
  go(): void;
  /** As if its process died: what it did is rolled back. */
  die(): void;
}

/** Stops the next transaction of a node that comes to a statement with this text, before it is sent. */
export function stallAt(node: TestApp, text: string): Stalled {
  const reached = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<void>();
  let isDone = false;
  onStatement(node, async (sql) => {
    if (isDone || !sql.includes(text)) return sql;
    isDone = true;
    reached.resolve();
    await gate.promise;
    return sql;
  });
  return { reached: reached.promise, go: gate.resolve, die: () => gate.reject(new Error('the process died')) };
}

/** Takes a protection out of the statements of a node. */
export const without = (node: TestApp, protection: string, replacement = '') =>
  onStatement(node, (sql) => sql.replace(protection, replacement));

/** Every statement of a node is sent as it is again. */
export function restore({ app: { database } }: TestApp): void {
  // The method of the class comes to light.
  Reflect.deleteProperty(database, 'fork');
}

type Execute = (sql: string, values?: unknown[]) => Promise<never>;

function onStatement({ app: { database } }: TestApp, meet: (sql: string) => string | Promise<string>): void {
  const fork = database.fork.bind(database);
  database.fork = () => {
    const em = fork();
    const execute = em.execute.bind(em) as Execute;
    return Object.assign(em, { execute: async (sql: string, values?: unknown[]) => execute(await meet(sql), values) }) as never;
  };
}
