import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';

const root = path.dirname(import.meta.dirname);

/** Which of these imports the lint rule objects to. The files are written to a place of their own, under the real configuration. */
function forbidden(imports: [file: string, source: string][]): [string, string][] {
  const place = mkdtempSync(path.join(tmpdir(), 'lastseat-arrows-'));
  try {
    copyFileSync(path.join(root, 'biome.json'), path.join(place, 'biome.json'));
    for (const [file, source] of imports) {
      mkdirSync(path.dirname(path.join(place, file)), { recursive: true });
      writeFileSync(path.join(place, file), `import { x } from '${source}';\n\nexport const y = x;\n`);
    }
    const biome = path.join(root, 'node_modules/.bin/biome');
    const { stdout } = spawnSync(biome, ['lint', '--only=style/noRestrictedImports', '--reporter=github', '--max-diagnostics=100', '.'], {
      cwd: place,
      encoding: 'utf8',
    });
    return imports.filter(([file]) =>
      stdout.split('\n').some((line) => line.includes('noRestrictedImports') && line.includes(`file=${path.join(place, file)},`)),
    );
  } finally {
    rmSync(place, { recursive: true });
  }
}

describe('imports point one way', () => {
  test('the lint rule objects to every import against the arrows', () => {
    const against: [string, string][] = [
      ['src/platform/a.ts', '../inventory/inventory.ts'],
      ['src/platform/jobs/b.ts', '../../features/accounts/index.ts'],
      ['src/inventory/c.ts', '../features/lessons/index.ts'],
      ['src/inventory/d.ts', '../app.ts'],
      ['src/ledger/e.ts', '../inventory/inventory.ts'],
      ['src/features/lessons/f.ts', '../accounts/accounts.service.ts'],
      ['src/features/lessons/g.ts', './lessons.resolver.ts'],
      ['src/features/lessons/h.ts', '../../app.ts'],
      ['src/features/lessons/index.ts', '../accounts/accounts.service.ts'],
      ['src/i.ts', './features/lessons/lessons.resolver.ts'],
    ];

    expect(forbidden(against)).toEqual(against);
  });

  test('and to none along them', () => {
    expect(
      forbidden([
        ['src/platform/jobs/a.ts', '../database/orm.ts'],
        ['src/inventory/b.ts', '../platform/refusal.ts'],
        ['src/features/lessons/c.ts', '../accounts/index.ts'],
        ['src/features/lessons/d.ts', '../feature.ts'],
        ['src/features/lessons/e.ts', './lessons.service.ts'],
        ['src/features/lessons/f.ts', '../../inventory/inventory.ts'],
        ['src/features/lessons/g.ts', '../../platform/graphql/price.ts'],
        ['src/features/lessons/index.ts', './lessons.resolver.ts'],
        ['src/i.ts', './features/lessons/index.ts'],
      ]),
    ).toEqual([]);
  });
});
