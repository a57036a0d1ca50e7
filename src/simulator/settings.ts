import type { ProviderSettings } from '../features/payments/index.ts';

/** How to use a simulator at this address: its keys are the same everywhere, because they guard nothing. */
export const simulatorSettings = (url: string): Required<ProviderSettings> => ({
  KAKAOPAY: { baseUrl: url, secretKey: 'DEVsimulatedkakaopaysecret', cid: 'TC0ONETIME' },
  TOSS: { baseUrl: url, secretKey: 'test_sk_simulated_toss', merchantId: 'simulated_toss' },
  PORTONE: {
    baseUrl: url,
    apiSecret: 'simulated-portone-secret',
    storeId: 'store-simulated',
    channelKey: 'channel-key-simulated',
    webhookSecret: 'whsec_c2ltdWxhdGVkIHdlYmhvb2sgc2VjcmV0IGtleQ==',
    checkoutUrl: `${url}/portone/checkout`,
  },
  KISPG: { baseUrl: url, merchantId: 'kistest00m', merchantKey: 'c2ltdWxhdGVkIGtpc3BnIG1lcmNoYW50IGtleQ==' },
});
