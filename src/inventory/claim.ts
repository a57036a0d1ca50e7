/** One resource a claim asks for. */
export interface ClaimItem {
  /** The kind its pool must have: an id of another kind's pool is refused as not found. */
  kind: string;
  poolId: string;
  /** A numbered unit of the pool; its quantity is 1. */
  unitId: string | null;
  /** 1 to 1,000. */
  quantity: number;
}

/**
 * What becomes of money that arrives when the hold is gone already: the same items again or others as good, only the same again, or nothing but the
 * money back. Chosen when holding, because whoever has paid cannot be asked any more.
 */
export const IF_PAID_LATE = ['SAME_OR_EQUAL', 'SAME', 'REFUND'] as const;
export type IfPaidLate = (typeof IF_PAID_LATE)[number];

/** What a claim that chooses nothing has chosen. */
export const IF_PAID_LATE_DEFAULT: IfPaidLate = 'SAME_OR_EQUAL';

/** Asks for all of its items or nothing. */
export interface ClaimRequest {
  /** The kind of the hold. */
  kind: string;
  claimantId: string;
  /** Made by the client before its first try; together with the claimant it names the hold for ever. */
  idempotencyKey: string;
  /** SHA-256 over what was asked: the same key with another hash is refused. */
  requestHash: Buffer;
  clientIp: string | null;
  /** `IF_PAID_LATE_DEFAULT` unless given. */
  ifPaidLate?: IfPaidLate;
  /** 1 to 100 items. */
  items: readonly ClaimItem[];
}

/** Why a claim gets nothing, in order of precedence. */
export const CLAIM_REFUSALS = [
  'KEY_REUSED',
  'NOT_FOUND',
  'NOT_YET_ON_SALE',
  'SALE_CLOSED',
  'COOLING_DOWN',
  'CLAIMANT_LIMIT',
  'QUOTA_REACHED',
  'UNIT_TAKEN',
  'SOLD_OUT',
  'BUSY',
] as const;
export type ClaimRefusal = (typeof CLAIM_REFUSALS)[number];

/** A new hold, as it was written. */
export interface Granted {
  outcome: 'GRANTED';
  holdId: string;
  expiresAt: Date;
  createdAt: Date;
  amountMinor: number;
  currency: string;
}

export type ClaimAnswer =
  | Granted
  /** The same claim was granted before: this is its hold, whatever has become of it. */
  | { outcome: 'REPLAYED'; holdId: string }
  | Refused;

export interface Refused {
  outcome: ClaimRefusal;
  /** The item that was refused first. */
  itemIndex: number;
  /** The limit reached, how many are left, or for how many seconds to cool down; null where there is no such number. */
  limit: number | null;
  /** Only with `UNIT_TAKEN`: every item whose unit cannot be taken. */
  takenItems?: readonly number[];
}

export const BUSY: ClaimAnswer = { outcome: 'BUSY', itemIndex: 0, limit: null };
