import { existsSync } from 'node:fs';
import { become, ensureBuilt, ensureDependencies, fail, node } from './ensure.mjs';

const [name = '', ...args] = process.argv.slice(2);
await ensureDependencies();
await ensureBuilt();
if (!/^[a-z-]+$/.test(name) || !existsSync(`dist/bench/${name}.js`))
<<<<<<< HEAD
  fail('Name a bench: npm run bench -- claims, seats, fan-out, seat-map, bookings, ledger or scans. Add --help for its flags.');
=======
  fail('Name a bench: npm run bench -- claims, fan-out, bookings, ledger or seats. Add --help for its flags.');
>>>>>>> h-kernel
process.exitCode = await become(node(), ['--enable-source-maps', `dist/bench/${name}.js`, ...args]);
