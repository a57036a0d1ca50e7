import 'reflect-metadata';
import { readFile, writeFile } from 'node:fs/promises';
import { features } from './features/index.ts';
import { emitSchema } from './platform/graphql/emit-schema.ts';
import { schemaOf } from './schema.ts';

const PATH = 'schema/schema.graphql';

/** Writes the schema without the operations for rehearsals: clients must not count on those. `--check` fails when the file is stale. */
const emitted = emitSchema(await schemaOf(features, () => ({})));
if (process.argv.includes('--check')) {
  if ((await readFile(PATH, 'utf8').catch(() => '')) !== emitted) {
    process.stderr.write(`${PATH} is stale: run \`npm run schema\` and commit it.\n`);
    process.exit(1);
  }
} else {
  await writeFile(PATH, emitted);
  process.stdout.write(`${PATH} written.\n`);
}
