import type { EntityManager } from '@mikro-orm/postgresql';
import type { ClaimItem } from '../../inventory/claim.ts';
import type { Refusal } from '../../platform/refusal.ts';

/** One step of a cancellation policy: until so many hours before the start, this share of the price goes back. */
export interface CancellationStep {
  /** 0 to 8,760. */
  hoursBefore: number;
  /** 1 to 100. */
  percent: number;
}

/** From the most generous step to the least; none: what is paid cannot be cancelled. */
export type CancellationPolicy = readonly CancellationStep[];

/** What a booking needs to know of the thing that is booked. */
export interface ProductTerms {
  /** What the customer reads at the provider's page, at most 100 characters. */
  title: string;
  /** When it begins; null for what has no date. */
  startsAt: Date | null;
  cancellation: CancellationPolicy;
  /** Whose income it is, the id of a member; null for the house. */
  organizerId: string | null;
}

/** What the feature of a kind of holds tells the bookings about its things. */
export interface Product {
  /** The kind of the hold. */
  readonly kind: string;
  /** The terms of what these items take. */
  termsOf(items: readonly ClaimItem[]): Promise<ProductTerms>;
  /** Other items that are as good as these to whoever paid too late for them, best first, at most 5; each replaces all of the items. */
  equalsOf(items: readonly ClaimItem[]): Promise<ClaimItem[][]>;
  /**
   * Why its member must not cancel what is paid, whatever the policy gives back; asked in the transaction that cancels, with the hold locked FOR UPDATE. Absent:
   * nothing but the policy speaks against it. Organizers and administrators are not asked: they may give back anything.
   */
  mayCancel?(em: EntityManager, holdId: string): Promise<Refusal | undefined>;
}

/** The share of the price that goes back when it is cancelled at this moment, in percent; 0 when it is too late. */
export function refundPercent(policy: CancellationPolicy, startsAt: Date | null, at: Date): number {
  const hoursLeft = startsAt ? (startsAt.getTime() - at.getTime()) / 3_600_000 : Number.POSITIVE_INFINITY;
  return Math.max(0, ...policy.filter((step) => hoursLeft >= step.hoursBefore).map((step) => step.percent));
}

/** What providers accept. */
const TITLE_MAX = 100;

/** A title for a payment, shortened where it must be, and always the whole ending in brackets: what tells it from its like. */
export function titleWith(title: string, ending: string): string {
  const end = ` (${ending})`;
  if (title.length + end.length <= TITLE_MAX) return `${title}${end}`;
  const cut = title.slice(0, TITLE_MAX - end.length - 1);
  // What is cut within a character loses that character.
  return `${(cut.isWellFormed() ? cut : cut.slice(0, -1)).trimEnd()}…${end}`;
}
