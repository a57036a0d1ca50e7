import { become, ensureDependencies, node, root, run } from './ensure.mjs';

await ensureDependencies();
// Not ensureBuilt: when the schema changed, the typed documents made from the old one may not compile.
await run(`${root}/node_modules/.bin/tsc`, ['-p', 'tsconfig.schema.json'], { cure: 'Mend the type errors above.' });
process.exitCode = await become(node(), ['dist/src/emit-schema.js', ...process.argv.slice(2)]);
