import type { EntityManager } from '@mikro-orm/postgresql';
import pg from 'pg';
import type { TestApp } from '../../support/app.ts';
import { endedOrWaiting } from '../../support/lock-waits.ts';

type Execute = (sql: string, values?: unknown[]) => Promise<unknown>;

/** Changes how the transactions of a node send statements, from the next one on. */
function sendBy(node: TestApp, wrap: (execute: Execute) => Execute): void {
  const { database } = node.app;
  const fork = database.fork.bind(database);
  database.fork = () => {
    const em: EntityManager = fork();
    return Object.assign(em, { execute: wrap(em.execute.bind(em) as Execute) as never });
  };
}

/**
 * Lets a rival come after the first statement with this text in a node's transactions, which goes on when the rival has come to its end or waits for a lock.
 * Answers the rival's own end.
 */
export function afterStatement<End>(node: TestApp, text: string, rival: () => Promise<End>): Promise<End> {
  let hasCome = false;
  return new Promise((resolve, reject) => {
    sendBy(node, (execute) => async (sql, values) => {
      const answer = await execute(sql, values);
      if (!hasCome && sql.includes(text)) {
        hasCome = true;
        const run = rival();
        run.then(resolve, reject);
        await endedOrWaiting(node, run);
      }
      return answer;
    });
  });
}

/**
 * Takes away the locks of rows that a node asks for with these words. Who has looked without one and then waits for a rival waits as long as a statement may
 * run: giving up would make it look again, and see what it was to miss.
 */
export function withoutLocks(node: TestApp, ...words: ('for share' | 'for no key update' | 'for update')[]): void {
  sendBy(node, (execute) => async (sql, values) => {
    const lock = words.find((word) => sql.endsWith(` ${word}`));
    if (!lock) return execute(sql, values);
    await execute("set local lock_timeout = '9 s'");
    return execute(sql.slice(0, -lock.length), values);
  });
}

/** Every statement of a node is sent as it is again. */
export function restore({ app: { database } }: TestApp): void {
  // The method of the class comes to light.
  Reflect.deleteProperty(database, 'fork');
}

export interface Keeper {
  /** Answers how many rows it changed or found. */
  query(sql: string, values: unknown[]): Promise<number>;
  letGo(): Promise<void>;
}

/** Somebody who has what a statement locks, until `letGo`. */
export async function keeper(url: string, sql: string, values: unknown[] = []): Promise<Keeper> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query('begin');
  await client.query(sql, values);
  return {
    query: async (more, given) => (await client.query(more, given)).rowCount ?? 0,
    letGo: async () => {
      await client.query('commit');
      await client.end();
    },
  };
}
