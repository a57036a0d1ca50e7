import type { ProviderSettings } from '../features/payments/index.ts';

/** How to use a simulator at this address: its keys are the same everywhere, because they guard nothing. */
export const simulatorSettings = (url: string): Required<ProviderSettings> => ({
  KAKAOPAY: { baseUrl: url, secretKey: 'SIMULATED_SECRET_KEY', cid: 'TC0ONETIME' },
  TOSS: { baseUrl: url, secretKey: 'test_sk_simulated', merchantId: 'tsimulated' },
  PORTONE: {
    baseUrl: url,
    apiSecret: 'simulated-api-secret',
    storeId: 'store-simulated',
    channelKey: 'channel-key-simulated',
    webhookSecret: `whsec_${Buffer.from('simulated-webhook-secret-of-32-b').toString('base64')}`,
    checkoutUrl: `${url}/portone/checkout`,
  },
  KISPG: { baseUrl: url, merchantId: 'kistest00m', merchantKey: 'c2ltdWxhdGVkLW1lcmNoYW50LWtleQ==' },
});
