import { existsSync, readFileSync, rmSync } from 'node:fs';
import { become, ensureBuilt, ensureDependencies, node } from './ensure.mjs';
import { ensureRedis } from './redis.mjs';

const RESULTS = 'node_modules/.cache/jest-results.json';

await ensureDependencies();
ensureRedis();
// Tests of whole processes run what is built.
await ensureBuilt();
rmSync(RESULTS, { force: true });
const code = await become(
  node(),
  ['node_modules/jest/bin/jest.js', '--json', `--outputFile=${RESULTS}`, '--silent=false', ...process.argv.slice(2)],
  { NODE_OPTIONS: '--experimental-vm-modules --no-warnings' },
);
if (existsSync(RESULTS)) {
  const { numPassedTests, numFailedTests } = JSON.parse(readFileSync(RESULTS, 'utf8'));
  process.stdout.write(`${numPassedTests} passed, ${numFailedTests} failed\n`);
}
process.exitCode = code;
