import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { describeVariables } from '../../src/config.ts';
import { PAYMENT_STATES } from '../../src/features/payments/payment.entity.ts';
import { type PaymentProvider, PROVIDERS } from '../../src/features/payments/payment-provider.ts';
import { paymentProviders } from '../../src/features/payments/providers/index.ts';
import { REFUND_STATES } from '../../src/features/payments/refund.entity.ts';
import { TRANSITIONS } from '../../src/inventory/hold-states.ts';
import { CALLS, FAULTS } from '../../src/simulator/faults.ts';
import { simulatorSettings } from '../../src/simulator/settings.ts';

const read = (file: string) => readFileSync(file, 'utf8');

test.each(describeVariables())(
  'docs/operations.md says of $name what --help says',
  ({ name, allowed, default: byDefault, description }) => {
    expect(read('docs/operations.md')).toContain(`| \`${name}\` | ${allowed} | ${byDefault} | ${description} |`);
  },
);

test.each([
  'README.md',
  'CHANGELOG.md',
  'docs/architecture.md',
  'docs/operations.md',
  'docs/payments.md',
  'docs/tickets.md',
  'CONTRIBUTING.md',
  'bench/README.md',
])('every local link of %s leads somewhere', (file) => {
  const links = [...read(file).matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => path.join(path.dirname(file), match[1] as string));

  expect(links.filter((link) => !existsSync(link))).toEqual([]);
});

test('every folder the map of the README names exists', () => {
  const map = /## The map\n\n```\n([\s\S]*?)```/.exec(read('README.md'))?.[1] ?? '';
  const named = [...map.matchAll(/(?:^|\s)((?:src|bench|test|docs|schema|migrations)\/[\w./-]*)/g)].map((match) => match[1] as string);

  expect(named.length).toBeGreaterThan(8);
  expect(named.filter((place) => !existsSync(place))).toEqual([]);
});

describe('docs/payments.md', () => {
  const text = read('docs/payments.md');
  const diagrams = [...text.matchAll(/stateDiagram-v2\n([\s\S]*?)```/g)].map((match) => match[1] as string);
  const [paymentDiagram = '', holdDiagram = '', refundDiagram = ''] = diagrams;

  test('its diagrams have the states of payments and refunds, and no others', () => {
    const drawn = (diagram: string) => [...diagram.matchAll(/--> ([A-Z]+)/g)].map((match) => match[1]);

    expect([...new Set(drawn(paymentDiagram))].sort()).toEqual([...PAYMENT_STATES].sort());
    expect([...new Set(drawn(refundDiagram))].sort()).toEqual([...REFUND_STATES].sort());
  });

  test('its diagram of holds has each transition of the code', () => {
    const arrows = [...holdDiagram.matchAll(/(\w+) --> (\w+): (\w+)/g)].map(([, from, to, name]) => ({ from, to, name }));

    const transitions = Object.entries(TRANSITIONS).flatMap(([name, { from, to }]) => from.map((state) => ({ from: state, to, name })));
    expect(arrows).toEqual(expect.arrayContaining(transitions));
    // Expiry is the clock's, not a transition somebody asks for.
    expect(arrows.filter(({ to }) => to !== 'EXPIRED')).toHaveLength(transitions.length);
  });

  test('its capability matrix is what the adapters declare', async () => {
    const adapters = paymentProviders(
      simulatorSettings('http://127.0.0.1:1'),
      { connectTimeoutMs: 1_000, answerTimeoutMs: 1_000 },
      async () => undefined,
    );

    for (const { name, capabilities } of adapters.values()) expect(text).toContain(rowOf(name, capabilities));
    expect([...adapters.keys()]).toEqual([...PROVIDERS]);
    for (const adapter of adapters.values()) await adapter.close();
  });

  test.each([
    ['toss.ts', 'The outcome tables'],
    ['portone.ts', 'Errors after which certainly nothing moved'],
    ['kispg.ts', 'Result codes.'],
    ['kakaopay.ts', 'Error codes, corroborated'],
  ])('it names every code that the tables of %s have', (file, beginning) => {
    const source = read(`src/features/payments/providers/${file}`);
    const tables = source.slice(source.indexOf(beginning)).replace(/\/\/.*$/gm, '');
    const codes = [...tables.matchAll(/'([A-Z0-9_]{4,})'|(-\d{1,3})\b/g)].map((match) => (match[1] ?? match[2]) as string);

    expect(codes.length).toBeGreaterThan(10);
    expect(codes.filter((code) => !new RegExp(`(?<![\\w-])${code}(?!\\w)`).test(text))).toEqual([]);
  });

  test('it names every call and fault of the simulator', () => {
    expect([...CALLS, ...FAULTS].filter((name) => !text.includes(`\`${name}\``))).toEqual([]);
  });
});

function rowOf(
  name: string,
  { idempotencyKey, statusQuery, webhook, partialRefundGuard, capturesByItself }: PaymentProvider['capabilities'],
) {
  const yes = (is: boolean) => (is ? 'yes' : 'no');
  return `| ${name} | ${yes(idempotencyKey)} | ${yes(statusQuery)} | ${webhook} | ${yes(partialRefundGuard)} | ${yes(capturesByItself)} |`;
}

test('docs/operations.md names every metric of ours', () => {
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const metrics = sources.flatMap((file) =>
    [...read(path.join('src', file)).matchAll(/name: '(lastseat_\w+)'/g)].map((match) => match[1] as string),
  );
  const text = read('docs/operations.md');

  expect(metrics.length).toBeGreaterThan(5);
  expect(metrics.filter((metric) => !text.includes(metric) && !metric.startsWith('lastseat_subscription_'))).toEqual([]);
});
