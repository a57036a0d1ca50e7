import { ensureBuilt, ensureDependencies } from './ensure.mjs';

await ensureDependencies();
await ensureBuilt();
