import type { ProviderName } from './payment-provider.ts';

export const OPERATIONS = ['PREPARE', 'APPROVE', 'FIND', 'VOID', 'REFUND'] as const;
export type Operation = (typeof OPERATIONS)[number];

/** How an exchange is classified: the three classes every answer of a provider falls into. */
export type OutcomeClass = 'DONE' | 'REFUSED' | 'UNKNOWN';

/** One request to a provider and what came back, without secrets: stored before anything is concluded from it. */
export interface Exchange {
  provider: ProviderName;
  operation: Operation;
  paymentId: string;
  /** Method and URL, or the name of the vendor's SDK function. */
  request: string;
  /** As sent, with secrets, tokens and card numbers replaced. */
  requestBody: unknown;
  /** Null when no answer came. */
  status: number | null;
  /** As received, with the same replaced; text that is not JSON is kept as text, cut at 4,000 characters. Null when no answer came. */
  responseBody: unknown;
  /** The reason of an unknown outcome, or the provider's code of a refusal. */
  code: string | null;
  outcome: OutcomeClass;
  latencyMs: number;
}

/** Stores an exchange; resolves when it is durable. */
export type RecordExchange = (exchange: Exchange) => Promise<void>;
