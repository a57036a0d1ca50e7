import type { RecordExchange } from '../exchange.ts';
import type { PaymentProvider, ProviderName } from '../payment-provider.ts';
import { KakaoPay } from './kakaopay.ts';
import { Kispg } from './kispg.ts';
import { PortOne } from './portone.ts';
import { Toss } from './toss.ts';

export interface ProviderTimeouts {
  connectTimeoutMs: number;
  /** Undefined: the adapter's own, from its provider's contract. */
  answerTimeoutMs: number | undefined;
}

/** Each provider that is set up; a provider that is not is absent. */
export interface ProviderSettings {
  KAKAOPAY?: { baseUrl: string; secretKey: string; cid: string };
  TOSS?: { baseUrl: string; secretKey: string; merchantId: string };
  PORTONE?: {
    baseUrl: string;
    apiSecret: string;
    storeId: string;
    channelKey: string;
    webhookSecret: string /** A page that calls PortOne's browser SDK with its query. */;
    checkoutUrl: string;
  };
  KISPG?: { baseUrl: string; merchantId: string; merchantKey: string };
}

/** The adapters of the providers that are set up, in the order a member is offered them. Calls nobody. */
export function paymentProviders(
  { KAKAOPAY, TOSS, PORTONE, KISPG }: ProviderSettings,
  timeouts: ProviderTimeouts,
  record: RecordExchange,
): Map<ProviderName, PaymentProvider> {
  const adapters: PaymentProvider[] = [];
  if (KAKAOPAY) adapters.push(new KakaoPay(KAKAOPAY, timeouts, record));
  if (TOSS) adapters.push(new Toss(TOSS, timeouts, record));
  if (PORTONE) adapters.push(new PortOne(PORTONE, timeouts, record));
  if (KISPG) adapters.push(new Kispg(KISPG, timeouts, record));
  return new Map(adapters.map((adapter) => [adapter.name, adapter]));
}
