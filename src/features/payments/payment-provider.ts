import type { Locale } from '../../platform/locale.ts';

/** The providers there are adapters for, in the order a member is offered them. */
export const PROVIDERS = ['KAKAOPAY', 'TOSS', 'PORTONE', 'KISPG'] as const;
export type ProviderName = (typeof PROVIDERS)[number];

/** What a provider's contract lets us rely on. The saga decides by these, never by a provider's name. */
export interface ProviderCapabilities {
  /** The same approval or refund sent twice with our key has one effect. */
  readonly idempotencyKey: boolean;
  /** What became of a payment can be asked: `find` answers. Where it cannot, an approval without an answer is voided. */
  readonly statusQuery: boolean;
  /** Whether a webhook proves who sent it. `NONE`: there are no webhooks. */
  readonly webhook: 'SIGNED' | 'UNSIGNED' | 'NONE';
  /** A partial refund sent twice is refused the second time, because each names what must be left before it. */
  readonly partialRefundGuard: boolean;
  /** The provider may take the money while the customer is there, before we approve anything. */
  readonly capturesByItself: boolean;
}

/** What a provider is asked about. `paymentId` is the order id at every provider. */
export interface PaymentOrder {
  /** A UUID. */
  readonly paymentId: string;
  /** Names the member to the provider without saying anything of the person. At most 64 characters. */
  readonly customerRef: string;
  /** What is bought, at most 100 characters. */
  readonly title: string;
  readonly amountMinor: number;
  readonly currency: string;
  readonly locale: Locale;
  /** Where the provider sends the customer's browser. At most 200 characters each. */
  readonly returnUrls: Readonly<Record<ReturnKind, string>>;
  /** The provider's own name of the payment, once `prepare` answered one: KakaoPay's and KISPG's tid, Toss's paymentKey. */
  readonly reference: string | null;
}

/** At which of our addresses the customer's browser came back. A hint: the browser is not believed. */
export type ReturnKind = 'paid' | 'cancelled' | 'failed';

/** Where the customer pays. With `POST`, the browser submits `fields` as a form. */
export interface Checkout {
  readonly url: string;
  readonly method: 'GET' | 'POST';
  readonly fields: Readonly<Record<string, string>>;
}

/**
 * Why nobody can say yet whether a call had its effect. `NOT_SENT` is the exception: the request certainly never reached the provider
 * (no connection, or the circuit is open), so it had none and may simply be sent again.
 */
export const UNKNOWN_REASONS = ['NOT_SENT', 'TIMEOUT', 'RESET', 'SERVER_ERROR', 'GARBAGE', 'MISMATCH', 'UNLISTED'] as const;
export type UnknownReason = (typeof UNKNOWN_REASONS)[number];

/** Neither done nor refused. It is asked about until it is known, never guessed. */
export interface Unknown {
  readonly outcome: 'UNKNOWN';
  readonly reason: UnknownReason;
}

/** The provider's definite no: one of the codes its adapter enumerates. Nothing moved. */
export interface Refused {
  readonly outcome: 'REFUSED';
  /** The provider's own code. */
  readonly code: string;
}

export type Prepared = { readonly outcome: 'DONE'; readonly reference: string | null; readonly checkout: Checkout } | Refused | Unknown;

/** Money that the provider says it took, compared with the order: other amount, currency, order or merchant is `MISMATCH`, not this. */
export interface Captured {
  /** The provider's name of the payment, needed to refund it. */
  readonly reference: string;
  readonly amountMinor: number;
  readonly currency: string;
}

export type Approved = { readonly outcome: 'DONE'; readonly captured: Captured } | Refused | Unknown;

/** What `find` says became of an order. */
export type Found =
  /** The customer has not finished, nothing was taken. */
  | { readonly outcome: 'WAITING' }
  /** The customer has agreed and the provider waits for our approval, with this. */
  | { readonly outcome: 'AUTHORIZED'; readonly authorization: Authorization }
  /** Money was taken, of which so much went back already. */
  | { readonly outcome: 'CAPTURED'; readonly captured: Captured; readonly refundedMinor: number }
  /** Nothing was taken and nothing will be: refused, aborted, expired, or unknown to the provider. */
  | { readonly outcome: 'NONE'; readonly code: string }
  | Unknown;

/** What the customer's browser brought back from the provider, needed to approve. Stored; never logged. */
export type Authorization = Readonly<Record<string, string>>;

export interface ReturnRequest {
  readonly kind: ReturnKind;
  readonly query: Readonly<Record<string, string>>;
  /** The fields of a submitted form; empty for a GET. */
  readonly body: Readonly<Record<string, string>>;
}

export type ReadReturn =
  | { readonly outcome: 'AUTHORIZED'; readonly authorization: Authorization }
  /** The browser says something that only the provider can confirm: ask it with `find`. */
  | { readonly outcome: 'ASK' }
  /** The customer declined, and no money can move without our approval: believed where there is nobody to ask. */
  | { readonly outcome: 'DECLINED'; readonly code: string }
  /** Not what the provider would send for this order: nothing is done. */
  | { readonly outcome: 'FORGED'; readonly reason: string };

export interface RefundOrder {
  /** A UUID: the idempotency key of this refund where the provider takes one. */
  readonly refundId: string;
  readonly amountMinor: number;
  /** What was captured in all, and what of it went back before this refund. */
  readonly capturedMinor: number;
  readonly refundedMinor: number;
  /** In the language of the member, at most 100 characters. */
  readonly reason: string;
}

export type Refunded = { readonly outcome: 'DONE' } | Refused | Unknown;

/** `VOIDED`: money had been taken and went back. `NONE`: none had been taken, and none will be. */
export type Voided = { readonly outcome: 'VOIDED' } | { readonly outcome: 'NONE' } | Unknown;

export interface WebhookRequest {
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The bytes as they came: a signature is over these. */
  readonly rawBody: Buffer;
  /** Now, for the replay window. */
  readonly now: Date;
}

export type ReadWebhook =
  /** Something happened to an order: read it from the provider before believing anything. `eventId` is the same for every copy of an event. */
  | {
      readonly outcome: 'DOORBELL';
      readonly eventId: string;
      readonly paymentId: string;
      /** It says no more than that the money was taken. Not believed; but whoever took it just now learns nothing by asking. */
      readonly saysCaptured: boolean;
    }
  /** Genuine as far as can be told, and not about a payment of ours (or an event we do not act on). Answered as received. */
  | { readonly outcome: 'IGNORED'; readonly reason: string }
  /** A wrong signature, outside the replay window, another merchant, or not the provider's format. Answered so that the provider tries again. */
  | { readonly outcome: 'FORGED'; readonly reason: string };

/** What the provider's contract wants to hear when a webhook was taken, when it was not, and when it shall come again later. */
export interface WebhookReply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/**
 * The seam to a payment provider: one adapter each. No method throws for what the outside world does; whatever is not an enumerated answer is
 * `UNKNOWN`. An adapter keeps no state: any process may call it, after any crash.
 */
export interface PaymentProvider {
  readonly name: ProviderName;
  readonly capabilities: ProviderCapabilities;
  /** Tells the provider of an order. Moves no money: may be repeated, the last one counts. */
  prepare(order: PaymentOrder): Promise<Prepared>;
  /** Reads what the browser brought. Asks nobody. */
  readReturn(order: PaymentOrder, request: ReturnRequest): ReadReturn;
  /** Takes the money. The caller has recorded that it calls, and never calls again before it knows what became of the first call. */
  approve(order: PaymentOrder, authorization: Authorization): Promise<Approved>;
  /** What became of an order, by our id. Only with the capability `statusQuery`. */
  find?(order: PaymentOrder): Promise<Found>;
  /** Makes sure that an approval without an answer takes no money. Only without the capability `statusQuery`. May be repeated. */
  void?(order: PaymentOrder, authorization: Authorization): Promise<Voided>;
  /** Gives back a part or all. `order.reference` is set. */
  refund(order: PaymentOrder, refund: RefundOrder): Promise<Refunded>;
  /** Checks who sent it, as far as that can be told, and what it is about. Only where `capabilities.webhook` is not `NONE`. */
  readWebhook?(request: WebhookRequest): Promise<ReadWebhook>;
  /** Ends its connections; nothing is called after it. */
  close(): Promise<void>;
  /** What to answer to a webhook: `TAKEN` ends it, `LATER` makes the provider send it again, `REFUSED` is for forgeries. */
  webhookReply?(how: 'TAKEN' | 'LATER' | 'REFUSED'): WebhookReply;
}
