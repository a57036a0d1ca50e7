import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { ProviderSettings } from '../features/payments/index.ts';
import type { Locale } from '../platform/locale.ts';
import type { Books, Paying } from './books.ts';
import type { Answer, IncomingCall, Lie } from './calls.ts';
import type { SimulatedProvider } from './faults.ts';
import type { Webhooks } from './webhooks.ts';

/** What the four protocols share. */
export interface Surroundings {
  readonly books: Books;
  readonly webhooks: Webhooks;
  readonly settings: Required<ProviderSettings>;
  /** Where the simulator serves. */
  readonly url: string;
  now(): Date;
  /** Answers a call, with the fault that was ordered for it. */
  answer(request: FastifyRequest, reply: FastifyReply, call: IncomingCall): Promise<void>;
}

/** Where the customer's browser goes after acting at the page. */
export type WayBack = { redirect: string } | { form: string; fields: Record<string, string> };

/** One provider's protocol. */
export interface Protocol {
  readonly provider: SimulatedProvider;
  /** Serves the provider's paths. */
  serve(server: FastifyInstance): void;
  /** The customer agrees at the page. May come again while the agreement waits for the merchant's approval: the way back is the same. */
  agree(paying: Paying, lie: Lie): WayBack;
  /** The customer presses cancel; with a code, the provider refuses the customer. */
  decline(paying: Paying, code: string | undefined): WayBack;
  /** Whether the page or the agreement was left alone for longer than the provider waits. Absent: the provider is not known to stop waiting. */
  isExpired?(paying: Paying): boolean;
}

/** The page of an attempt, for `paymentPage`. */
export function pageOrderOf({ order, attempt }: Paying) {
  const { title, amountMinor, currency, pageToken } = attempt;
  return { provider: order.provider, orderId: order.orderId, title, amountMinor, currency, action: `/pay/${pageToken}` };
}

/** What a provider tells of an order: the truth, or the lie it is ordered to tell. */
export function toldOf({ order, attempt }: Paying, lie: Lie): { orderId: string; amountMinor: number } {
  return {
    orderId: lie === 'ORDER' ? ANOTHER_ORDER : order.orderId,
    amountMinor: lie === 'AMOUNT' ? attempt.amountMinor + 1_000 : attempt.amountMinor,
  };
}

export type { Answer, Locale };

/** A UUID, as the merchant's order ids are, of no order. */
const ANOTHER_ORDER = '00000000-0000-4000-8000-000000000000';
