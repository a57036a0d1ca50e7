import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** Linux counts in hundredths of a second for everybody who reads /proc, whatever the kernel ticks at. */
const MICROS_PER_TICK = 10_000;

/** CPU time of a PostgreSQL server so far, its backends that ended included, in microseconds. 0 where there is no /proc. */
export async function postgresCpuMicros(dataDirectory: string): Promise<number> {
  const postmaster = Number((await readFile(path.join(dataDirectory, 'postmaster.pid'), 'utf8')).split('\n')[0]);
  const entries = await readdir('/proc').catch(() => []);
  let ticks = 0;
  for (const entry of entries) {
    if (!/^\d+$/.test(entry)) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    // The second field is a name that may contain anything, so the others are counted from its closing parenthesis.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const isPostmaster = Number(entry) === postmaster;
    if (!isPostmaster && Number(fields[1]) !== postmaster) continue;
    ticks += Number(fields[11]) + Number(fields[12]);
    if (isPostmaster) ticks += Number(fields[13]) + Number(fields[14]); // its children that have ended
  }
  return ticks * MICROS_PER_TICK;
}
