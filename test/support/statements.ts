import type { TestApp } from './app.ts';

/** Of the sweeper, of the offers of seats, and of what tells the watchers of bookings a moment after a change: they run by themselves. */
const isOfLoop = (text: string) => /expire_holds|as "isOffered"|as "paymentState"/.test(text);

/** What this process sends to the database while it runs, without what its loops send. */
export interface Statements {
  /** Those that `work` needs once connections are open, documents parsed and caches warm: of its second run. */
  of(work: () => Promise<unknown>): Promise<string[]>;
  /** Those of this one run. */
  during(work: () => Promise<unknown>): Promise<string[]>;
  stop(): void;
}

export async function countStatements({ app }: TestApp): Promise<Statements> {
  // Every statement of this process goes through this method, whoever asked for it.
  const client = await app.database.pool.connect();
  const prototype = Object.getPrototypeOf(client);
  client.release();
  const { query } = prototype;
  let statements: string[] = [];
  prototype.query = function counted(this: unknown, ...args: unknown[]) {
    const [config] = args as [string | { text: string }];
    statements.push(typeof config === 'string' ? config : config.text);
    return query.apply(this, args);
  };
  const during = async (work: () => Promise<unknown>) => {
    statements = [];
    await work();
    return statements.filter((text) => !isOfLoop(text));
  };
  return {
    async of(work) {
      await work();
      return during(work);
    },
    during,
    stop: () => {
      prototype.query = query;
    },
  };
}
