import {
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  handleWhenResult,
  isBrokenCircuitError,
} from 'cockatiel';
import type { UnknownReason } from '../payment-provider.ts';
import type { Classified } from './provider-http.ts';

/** Whether a call says that the provider cannot be reached or does not work. Garbage and unlisted codes are answers. */
export const isBreakdown = ({ outcome, code }: Classified<unknown>): boolean =>
  outcome === 'UNKNOWN' && BREAKDOWNS.has(code as UnknownReason);

const BREAKDOWNS: ReadonlySet<UnknownReason> = new Set(['NOT_SENT', 'TIMEOUT', 'RESET', 'SERVER_ERROR']);

export interface BreakerLimits {
  /** So many calls in a row that broke down open the circuit. */
  breakdownsMax: number;
  /** Then nothing is called for so long, until one call may try. */
  pauseMs: number;
}

/**
 * Spares a provider that is down, and us the waiting for it. After some breakdowns in a row it answers null at once; after a pause the next call, whichever it
 * is, goes through alone and decides: a success closes the circuit, a breakdown opens it for another pause. While that call is under way, the others get null.
 *
 * In memory, one for each process: each finds out for itself, and after a restart anew.
 */
export class Breaker<Outcome> {
  private readonly policy: CircuitBreakerPolicy;

  /** `isBreakdown`: whether an outcome says that the provider cannot be reached or does not work; a refusal is a success. */
  constructor(isBreakdown: (outcome: Outcome) => boolean, { breakdownsMax, pauseMs }: BreakerLimits = BREAKER_LIMITS) {
    this.policy = circuitBreaker(
      handleWhenResult((outcome) => isBreakdown(outcome as Outcome)),
      { breaker: new ConsecutiveBreaker(breakdownsMax), halfOpenAfter: pauseMs },
    );
  }

  /** Answers null, and does not call, while the circuit is open. Errors of `call` come through and do not count. */
  async run<One extends Outcome>(call: () => Promise<One>): Promise<One | null> {
    // The policy would let this wait for the call that tries, which can take a minute.
    if (this.policy.state === CircuitState.HalfOpen) return null;
    try {
      return await this.policy.execute(call);
    } catch (error) {
      if (isBrokenCircuitError(error)) return null;
      throw error;
    }
  }
}

/**
 * Ten in a row are no bad luck of one payment, which is asked for at intervals that double. Three seconds are short beside the pauses of the saga, so a
 * provider that is back is in use before the payments that waited for it are looked at again.
 */
export const BREAKER_LIMITS: BreakerLimits = { breakdownsMax: 10, pauseMs: 3_000 };
