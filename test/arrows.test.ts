import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';

const root = path.dirname(import.meta.dirname);

/** What the lint rule says of one import written in that file; an empty list when it is allowed. */
function objections(file: string, source: string): string[] {
  const { stdout } = spawnSync(
    path.join(root, 'node_modules/.bin/biome'),
    ['lint', '--only=style/noRestrictedImports', '--reporter=json', `--stdin-file-path=${file}`],
    { cwd: root, input: `import { x } from '${source}';\nexport const y = x;\n`, encoding: 'utf8' },
  );
  return stdout.includes('noRestrictedImports') ? [stdout] : [];
}

describe('imports point one way', () => {
  test.each([
    ['src/platform/a.ts', '../inventory/inventory.ts'],
    ['src/platform/jobs/a.ts', '../../features/accounts/index.ts'],
    ['src/inventory/a.ts', '../features/lessons/index.ts'],
    ['src/inventory/a.ts', '../app.ts'],
    ['src/ledger/a.ts', '../inventory/inventory.ts'],
    ['src/features/lessons/a.ts', '../accounts/accounts.service.ts'],
    ['src/features/lessons/a.ts', './lessons.resolver.ts'],
    ['src/features/lessons/a.ts', '../../app.ts'],
    ['src/features/lessons/index.ts', '../accounts/accounts.service.ts'],
    ['src/app.ts', './features/lessons/lessons.resolver.ts'],
  ])('%s may not import %s', (file, source) => {
    expect(objections(file, source)).toHaveLength(1);
  });

  test.each([
    ['src/platform/jobs/a.ts', '../database/orm.ts'],
    ['src/inventory/a.ts', '../platform/refusal.ts'],
    ['src/features/lessons/a.ts', '../accounts/index.ts'],
    ['src/features/lessons/a.ts', '../feature.ts'],
    ['src/features/lessons/a.ts', './lessons.service.ts'],
    ['src/features/lessons/a.ts', '../../inventory/inventory.ts'],
    ['src/features/lessons/a.ts', '../../platform/graphql/price.ts'],
    ['src/features/lessons/index.ts', './lessons.resolver.ts'],
    ['src/app.ts', './features/lessons/index.ts'],
  ])('%s may import %s', (file, source) => {
    expect(objections(file, source)).toEqual([]);
  });
});
