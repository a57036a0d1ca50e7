import { expect, test } from '@jest/globals';
import { paymentProviders } from '../../../../src/features/payments/providers/index.ts';
import { simulatorSettings } from '../../../../src/simulator/settings.ts';
import { recorder } from './vendor.ts';

const timeouts = { connectTimeoutMs: 1_000, answerTimeoutMs: undefined };
const all = simulatorSettings('http://127.0.0.1:9');

test('there is an adapter for each provider that is set up, in the order they are offered', () => {
  const providers = paymentProviders(all, timeouts, recorder().record);

  expect([...providers].map(([name, provider]) => [name, provider.name, provider.capabilities.webhook])).toEqual([
    ['KAKAOPAY', 'KAKAOPAY', 'NONE'],
    ['TOSS', 'TOSS', 'UNSIGNED'],
    ['PORTONE', 'PORTONE', 'SIGNED'],
    ['KISPG', 'KISPG', 'UNSIGNED'],
  ]);
});

test('a provider that is not set up is absent', () => {
  const providers = paymentProviders({ TOSS: all.TOSS }, timeouts, recorder().record);

  expect([...providers.keys()]).toEqual(['TOSS']);
});

test.each(['KAKAOPAY', 'TOSS', 'PORTONE', 'KISPG'] as const)('%s has the operations that its capabilities promise', (name) => {
  const provider = paymentProviders(all, timeouts, recorder().record).get(name);

  expect([provider?.find !== undefined, provider?.void !== undefined]).toEqual([
    provider?.capabilities.statusQuery,
    !provider?.capabilities.statusQuery,
  ]);
  expect([provider?.readWebhook !== undefined, provider?.webhookReply !== undefined]).toEqual(
    Array(2).fill(provider?.capabilities.webhook !== 'NONE'),
  );
});
