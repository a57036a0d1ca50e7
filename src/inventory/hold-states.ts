/**
 * The life of a hold. Each arrow is taken once, by one guarded statement; a second attempt gets a named answer.
 *
 *   HELD ──▶ PAYING ──▶ CONFIRMED ──▶ RETURNED
 *    │ └──────▶ RELEASED ◀──┘ (PAYING is left only when the provider's answer is known)
 *    └──▶ EXPIRED
 */
export const HOLD_STATES = ['HELD', 'PAYING', 'CONFIRMED', 'RELEASED', 'EXPIRED', 'RETURNED'] as const;
export type HoldState = (typeof HOLD_STATES)[number];

export interface Transition {
  from: readonly HoldState[];
  to: HoldState;
}

export const TRANSITIONS = {
  /** The claimant goes to pay: from here the deadline no longer runs, because the provider's window is longer than ours. */
  startPaying: { from: ['HELD'], to: 'PAYING' },
  confirm: { from: ['PAYING'], to: 'CONFIRMED' },
  /** The claimant gives up before paying. */
  release: { from: ['HELD'], to: 'RELEASED' },
  /** The provider is known to have refused. */
  releaseUnpaid: { from: ['PAYING'], to: 'RELEASED' },
  /** A confirmed hold is cancelled and its money is back. */
  giveBack: { from: ['CONFIRMED'], to: 'RETURNED' },
} as const satisfies Record<string, Transition>;
