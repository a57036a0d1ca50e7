import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { GUARDED, INSERT_HOLD, LOCK_POOL, TAKE_ONE } from './statements.ts';

const run = promisify(execFile);

export const hasPgbench = () =>
  run('pgbench', ['--version']).then(
    ({ stdout }) => stdout.trim(),
    () => null,
  );

/** Transactions per second of pgbench with the same statements. It decides nothing between lock and write, so its lock is held shorter than an application's. */
export async function pgbench(
  databaseUrl: string,
  way: 'lock' | 'guarded',
  poolId: string,
  clients: number,
  seconds: number,
): Promise<number> {
  const directory = await mkdtemp(path.join(tmpdir(), 'lastseat-bench-'));
  try {
    const script = path.join(directory, `${way}.sql`);
    await writeFile(script, scriptOf(way, poolId));
    const settings = [
      '--no-vacuum',
      '--protocol=prepared',
      `--client=${clients}`,
      '--jobs=1',
      `--time=${Math.ceil(seconds)}`,
      `--file=${script}`,
    ];
    const { stdout } = await run('pgbench', [...settings, databaseUrl]);
    const tps = /tps = ([\d.]+)/.exec(stdout)?.[1];
    if (!tps) throw new Error(`pgbench did not tell its rate: ${stdout}`);
    return Number(tps);
  } finally {
    await rm(directory, { recursive: true });
  }
}

function scriptOf(way: 'lock' | 'guarded', poolId: string): string {
  const pool = `'${poolId}'::uuid`;
  const line = (sql: string) => `${sql.replace(/\s+/g, ' ').trim()};`;
  if (way === 'guarded') return line(GUARDED.replaceAll('$1', pool).replace('$2', 'gen_random_uuid()').replaceAll('$3', ANY_KEY));
  const insert = INSERT_HOLD.replaceAll('$1', pool).replace('$2', 'gen_random_uuid()').replace('$3', '66000').replace('$4', "'KRW'");
  return [
    'begin;',
    line(LOCK_POOL.replace('$1', pool)),
    line(TAKE_ONE.replace('$1', pool)),
    line(insert.replace('$5', '300').replaceAll('$6', ANY_KEY)),
    'commit;',
  ].join('\n');
}

/** The claimant is new each time, so the key needs not be. */
const ANY_KEY = "'0d6f7f0e-5c1c-4d1e-9d55-6c1f9d3b0c11'";
