import { existsSync } from 'node:fs';
import { become, ensureBuilt, ensureDependencies, fail, node } from './ensure.mjs';

const [name = '', ...args] = process.argv.slice(2);
await ensureDependencies();
await ensureBuilt();
if (!/^[a-z-]+$/.test(name) || !existsSync(`dist/bench/${name}.js`))
  fail('Name a bench: npm run bench -- claims, seats, fan-out, seat-map, bookings, ledger or scans. Add --help for its flags.');
process.exitCode = await become(node(), ['--enable-source-maps', `dist/bench/${name}.js`, ...args]);
