import { z } from 'zod';

export const SIMULATED_PROVIDERS = ['KAKAOPAY', 'TOSS', 'PORTONE', 'KISPG'] as const;
export type SimulatedProvider = (typeof SIMULATED_PROVIDERS)[number];

/**
 * What goes wrong, at one call of one provider. `…_BEFORE`: without its effect; `…_AFTER`: the effect is in the simulator's books.
 * Each order is used up by one call unless `times` says otherwise.
 */
export const FAULTS = [
  /** Answers `code` as the provider refuses, without the effect. */
  'REFUSE',
  /** Never answers; the connection stays open until the caller gives up. */
  'HANG_BEFORE',
  'HANG_AFTER',
  /** The connection is reset. */
  'RESET_BEFORE',
  'RESET_AFTER',
  /** HTTP 500 with the provider's error body of an unknown outcome. */
  'ERROR_BEFORE',
  'ERROR_AFTER',
  /** HTTP 200 with bytes that are not the protocol; the effect happened. */
  'GARBAGE',
  /** One byte a second, for ever; the effect happened. */
  'SLOW_DRIP',
  /** A well-formed success whose amount is not the order's; the books hold the right one. */
  'WRONG_AMOUNT',
  /** A well-formed success that names another order; the books hold the right one. */
  'WRONG_ORDER',
  /** Answers after `milliseconds`, else as usual. The effect happens then too, even when the caller has given up meanwhile. */
  'LATENCY',
] as const;
export type Fault = (typeof FAULTS)[number];

/** `auth` is the step in the customer's browser. KISPG's `prepare` is the browser's too: its form. */
export const CALLS = ['prepare', 'auth', 'approve', 'find', 'cancel'] as const;
export type CallName = (typeof CALLS)[number];

export interface FaultOrder {
  provider: SimulatedProvider;
  call: CallName;
  fault: Fault;
  /** 1 unless said otherwise. */
  times?: number;
  /** Of `REFUSE`: one of the provider's codes; its ordinary refusal unless said otherwise. */
  code?: string;
  /** Of `LATENCY`. */
  milliseconds?: number;
  /** Only calls about this order; any unless said otherwise. */
  orderId?: string;
}

/** A fault as it is ordered over HTTP. Ten minutes of latency outlast every time-out there is. */
export const faultOrderSchema = z.strictObject({
  provider: z.enum(SIMULATED_PROVIDERS),
  call: z.enum(CALLS),
  fault: z.enum(FAULTS),
  times: z.int().min(1).max(1_000_000).exactOptional(),
  code: z.string().min(1).max(100).exactOptional(),
  milliseconds: z.int().min(0).max(600_000).exactOptional(),
  orderId: z.string().min(1).max(100).exactOptional(),
}) satisfies z.ZodType<FaultOrder>;

/** The faults that wait for their calls. */
export class FaultOrders {
  #waiting: { fault: FaultOrder; left: number }[] = [];

  order(fault: FaultOrder): void {
    this.#waiting.push({ fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.#waiting = [];
  }

  /** The fault this call meets, used up by it: the first that was ordered for it. */
  take(provider: SimulatedProvider, call: CallName, orderId: string | null): FaultOrder | null {
    const met = this.#waiting.find(({ fault }) => fault.provider === provider && fault.call === call && isAbout(fault, orderId));
    if (met === undefined) return null;
    met.left -= 1;
    if (met.left <= 0) this.#waiting = this.#waiting.filter((waiting) => waiting !== met);
    return met.fault;
  }
}

function isAbout(fault: FaultOrder, orderId: string | null): boolean {
  return fault.orderId === undefined || fault.orderId === orderId;
}
