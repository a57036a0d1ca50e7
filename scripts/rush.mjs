import { become, ensureBuilt, ensureDependencies, node } from './ensure.mjs';

await ensureDependencies();
await ensureBuilt();
process.exitCode = await become(node(), ['--enable-source-maps', 'dist/src/rush/main.js', ...process.argv.slice(2)]);
