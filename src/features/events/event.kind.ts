import { defineKind } from '../../inventory/kind.ts';

/** The numbered seats of a performance. Every hold of tickets is of this kind, whatever it takes; the limit for a member is a quota over the performance. */
export const performanceKind = defineKind({
  name: 'performance',
  poolType: 'Performance',
  holdType: 'TicketHold',
  holdSeconds: 300,
  perClaimantMax: null,
});

/** Places of a performance without numbers. */
export const tierKind = defineKind({ name: 'tier', poolType: 'Tier', holdType: null, holdSeconds: 300, perClaimantMax: null });

/** What all pools of a performance have in common, so that the limit for a member counts over all of them. */
export const quotaKeyOf = (performanceId: string) => `performance ${performanceId}`;

/** Holds of one sale that a member may give up or let run out in so many seconds before the next one is refused for the rest of that time. */
export const ABANDONED_MAX = 5;
export const COOL_DOWN_SECONDS = 600;
