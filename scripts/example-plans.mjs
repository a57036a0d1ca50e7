import 'reflect-metadata';
import { mkdirSync, writeFileSync } from 'node:fs';
import { ensureBuilt, ensureDependencies, root } from './ensure.mjs';

/** Writes the shipped seat plans that people can open in a spreadsheet: `node scripts/example-plans.mjs`. A test checks that they are fresh. */
await ensureDependencies();
await ensureBuilt();
const { shippedPlan } = await import(`${root}/dist/src/features/venues/venues.seed.js`);
const { csvOf } = await import(`${root}/dist/src/features/venues/seat-plan-file.js`);
const folder = `${root}/examples/seat-plans`;
mkdirSync(folder, { recursive: true });
for (const name of ['black-box', 'hall']) writeFileSync(`${folder}/${name}.csv`, csvOf(await shippedPlan(name)));
