import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Report } from '../../../src/rush/report.ts';
import type { TestStage } from '../../support/app.ts';

/** The built client. */
export const RUSH = fileURLToPath(new URL('../../../dist/src/rush/main.js', import.meta.url));

export interface RushRun {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the built client to its end, as an administrator of the server. */
export async function runRush(stage: TestStage, ...args: string[]): Promise<RushRun> {
  const { accessToken } = await stage.admin();
  const client = spawn(process.execPath, [RUSH, ...args, '--url', stage.url], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: '', RUSH_ADMIN_TOKEN: accessToken },
  });
  const closed = once(client, 'close');
  const [stdout, stderr] = await Promise.all([text(client.stdout), text(client.stderr)]);
  const [code] = await closed;
  return { code, stdout, stderr };
}

/** What it printed with --json: one document on one line, and nothing else. */
export function reportOf<Printed = Report>({ stdout, stderr }: RushRun): Printed {
  if (!/^\{.*\}\n$/.test(stdout)) throw new Error(`Not one JSON document but ${JSON.stringify(stdout)}; on standard error: ${stderr}`);
  return JSON.parse(stdout);
}

/** The names of the invariants that were not kept. */
export const brokenOf = (report: Report): string[] => report.invariants.filter(({ kept }) => !kept).map(({ name }) => name);
