import { cpus, totalmem } from 'node:os';
import pg from 'pg';

/** What one round measured. Times and CPU are for each answer. */
export interface Sample {
  rate: number;
  granted: number;
  seconds: number;
  p50Ms: number;
  p99Ms: number;
  serverMicros: number;
  postgresMicros: number;
  loadMicros: number | null;
  transactions: number;
  batch: number | null;
  retriedShare: number;
}

/** Medians over the rounds of a way; ratios are medians of the ratios within each repeat, so that what slows the machine for a while cancels out. */
export interface Row {
  way: string;
  connections: number;
  rate: number;
  rateMin: number;
  rateMax: number;
  toTrivial: number | null;
  toLock: number | null;
  toOrm: number | null;
  /** The server's CPU time of the trivial mutation in that of this way: what `toTrivial` is where PostgreSQL and the load have cores of their own. */
  toTrivialByCpu: number | null;
  p50Ms: number;
  p99Ms: number;
  serverMicros: number;
  postgresMicros: number;
  loadMicros: number | null;
  transactions: number;
  batch: number | null;
  retriedShare: number;
}

export interface Machine {
  cpu: string;
  cores: number;
  memoryGiB: number;
  node: string;
  postgres: Record<string, string>;
  /** One client, one row, one commit: what the disk takes to make it durable. */
  commitMicros: number;
}

export function summary(samples: ReadonlyMap<string, readonly Sample[]>): Row[] {
  return [...samples].map(([key, rounds]) => {
    const [way = '', connections] = key.split('/');
    const of = (read: (sample: Sample) => number) => median(rounds.map(read));
    const compared = (other: string, ratio: (one: Sample, other: Sample) => number) => {
      const others = samples.get(`${other}/${connections}`);
      return others ? median(rounds.map((round, index) => ratio(round, others[index] as Sample))) : null;
    };
    const to = (other: string) => compared(other, (one, another) => one.rate / another.rate);
    const rates = rounds.map(({ rate }) => rate);
    return {
      way,
      connections: Number(connections),
      rate: of(({ rate }) => rate),
      rateMin: Math.min(...rates),
      rateMax: Math.max(...rates),
      toTrivial: to('trivial'),
      toLock: to('lock'),
      toOrm: to('orm'),
      toTrivialByCpu: compared('trivial', (one, trivial) => trivial.serverMicros / one.serverMicros),
      p50Ms: of(({ p50Ms }) => p50Ms),
      p99Ms: of(({ p99Ms }) => p99Ms),
      serverMicros: of(({ serverMicros }) => serverMicros),
      postgresMicros: of(({ postgresMicros }) => postgresMicros),
      loadMicros: rounds[0]?.loadMicros == null ? null : of(({ loadMicros }) => loadMicros ?? 0),
      transactions: of(({ transactions }) => transactions),
      batch: rounds[0]?.batch == null ? null : of(({ batch }) => batch ?? 0),
      retriedShare: of(({ retriedShare }) => retriedShare),
    };
  });
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? (sorted[middle] ?? Number.NaN) : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
};

const SETTINGS = ['server_version', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers', 'max_wal_size'];

export async function machineOf(databaseUrl: string): Promise<Machine> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query('select name, current_setting(name) as value from unnest($1::text[]) name', [SETTINGS]);
  await client.query('create table bench_commit (n int)');
  const startedAt = performance.now();
  for (let n = 0; n < COMMITS; n++) await client.query({ name: 'commit', text: 'insert into bench_commit values ($1)', values: [n] });
  const commitMicros = ((performance.now() - startedAt) / COMMITS) * 1000;
  await client.query('drop table bench_commit');
  await client.end();
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    postgres: Object.fromEntries(rows.map(({ name, value }) => [name, value])),
    commitMicros,
  };
}

const COMMITS = 300;

export interface Report {
  machine: Machine;
  pgbenchVersion: string | null;
  rows: readonly Row[];
  pgbench: Readonly<Record<string, readonly number[]>>;
  job: Sample | null;
}

export function printReport({ machine, pgbenchVersion, rows, pgbench, job }: Report): void {
  console.log(`${machine.cores} × ${machine.cpu}, ${machine.memoryGiB} GiB, Node ${machine.node}`);
  console.log(
    Object.entries(machine.postgres)
      .map(([name, value]) => `${name}=${value}`)
      .join(' '),
  );
  console.log(
    `One client's durable commit takes ${Math.round(machine.commitMicros)} µs. Server, database and load generator share the cores.\n`,
  );
  printTable(
    rows.map((row) => ({
      way: row.way,
      connections: row.connections,
      'claims/s': `${Math.round(row.rate)} (${Math.round(row.rateMin)} – ${Math.round(row.rateMax)})`,
      '÷ trivial': two(row.toTrivial),
      'by CPU': two(row.toTrivialByCpu),
      '÷ lock': two(row.toLock),
      '÷ ORM': two(row.toOrm),
      'p50 / p99 ms': `${one(row.p50Ms)} / ${one(row.p99Ms)}`,
      'CPU µs server': Math.round(row.serverMicros),
      'CPU µs PostgreSQL': Math.round(row.postgresMicros),
      'CPU µs load': row.loadMicros === null ? '' : Math.round(row.loadMicros),
      transactions: row.transactions,
      'claims per batch': row.batch === null ? '' : Math.round(row.batch),
      'retried %': two(row.retriedShare * 100),
    })),
  );
  console.log();
  for (const [way, rates] of Object.entries(pgbench)) console.log(`${way} (${pgbenchVersion}): ${Math.round(median(rates))} claims/s`);
  if (job)
    console.log(
      `The whole job, 256 connections: ${job.granted} granted, all answered after ${job.seconds.toFixed(1)} s (${Math.round(job.rate)} answers/s).`,
    );
  for (const { name, value, aim, isMet } of aimsOf(rows))
    console.log(`${isMet ? 'met   ' : 'missed'} ${name}: ${value.toFixed(2)}, aim ${aim}`);
  console.log(
    '\nCPU µs: time of all processes of that kind for each answer. ÷: median of the ratios within each repeat. By CPU: ÷ trivial by CPU time of the server alone.',
  );
}

/** What the combined claims are meant to reach, at every number of connections that was measured. */
export function aimsOf(rows: readonly Row[]) {
  return rows
    .filter(({ way }) => way === 'combined')
    .flatMap(({ connections, toTrivial, toLock, toOrm, retriedShare }) => [
      { name: `combined ÷ trivial, ${connections} connections`, value: toTrivial, aim: 'at least 0.9', isMet: (toTrivial ?? 0) >= 0.9 },
      {
        name: `combined ÷ row lock per request, ${connections} connections`,
        value: toLock,
        aim: 'at least 10',
        isMet: (toLock ?? 0) >= 10,
      },
      {
        name: `combined ÷ ORM transaction per request, ${connections} connections`,
        value: toOrm,
        aim: 'at least 20',
        isMet: (toOrm ?? 0) >= 20,
      },
      {
        name: `retried share of the transactions, ${connections} connections`,
        value: retriedShare,
        aim: 'under 0.05',
        isMet: retriedShare < 0.05,
      },
    ])
    .flatMap(({ value, ...aim }) => (value === null ? [] : [{ ...aim, value }]));
}

/** In Markdown, with columns as wide as their content. */
function printTable(rows: readonly Record<string, string | number>[]): void {
  const titles = Object.keys(rows[0] ?? {});
  const lines = [titles, ...rows.map((row) => titles.map((title) => String(row[title])))];
  const widths = titles.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const shown = lines.map((line) => `| ${line.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`);
  shown.splice(1, 0, `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`);
  console.log(shown.join('\n'));
}

const two = (value: number | null) => (value === null ? '' : Math.round(value * 100) / 100);
const one = (value: number) => value.toFixed(1);
