import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from '@jest/globals';
import { describeVariables } from '../../src/config.ts';

const read = (file: string) => readFileSync(file, 'utf8');

test.each(describeVariables())(
  'docs/operations.md says of $name what --help says',
  ({ name, allowed, default: byDefault, description }) => {
    expect(read('docs/operations.md')).toContain(`| \`${name}\` | ${allowed} | ${byDefault} | ${description} |`);
  },
);

test.each(['README.md', 'docs/architecture.md', 'docs/operations.md', 'CONTRIBUTING.md', 'bench/README.md'])(
  'every local link of %s leads somewhere',
  (file) => {
    const links = [...read(file).matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => path.join(path.dirname(file), match[1] as string));

    expect(links.filter((link) => !existsSync(link))).toEqual([]);
  },
);

test('every folder the map of the README names exists', () => {
  const map = /## The map\n\n```\n([\s\S]*?)```/.exec(read('README.md'))?.[1] ?? '';
  const named = [...map.matchAll(/(?:^|\s)((?:src|bench|test|docs|schema|migrations)\/[\w./-]*)/g)].map((match) => match[1] as string);

  expect(named.length).toBeGreaterThan(8);
  expect(named.filter((place) => !existsSync(place))).toEqual([]);
});
