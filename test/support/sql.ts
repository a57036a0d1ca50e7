import pg from 'pg';

/** One statement on a connection of its own. */
export async function query<Row extends pg.QueryResultRow>(url: string, sql: string, values: unknown[] = []): Promise<Row[]> {
  return connected(url, async (client) => (await client.query<Row>(sql, values)).rows);
}

/** Several statements without values, each answering rows, in one round trip on a connection of their own. */
export async function queryAll(url: string, statements: readonly string[]): Promise<unknown[][]> {
  const results = await connected(url, (client) => client.query(statements.join('\n;\n')));
  return [results].flat().map(({ rows }) => rows);
}

async function connected<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The same server and account, another database. */
export function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.toString();
}
