import { defineEntity, p } from '@mikro-orm/postgresql';
import { IF_PAID_LATE } from '../../inventory/claim.ts';
import type { CancellationStep } from '../holds/index.ts';
import type { Authorization, Checkout } from './payment-provider.ts';

/**
 *   PENDING ──▶ APPROVED ──▶ REFUNDING ──▶ REFUNDED      (a refund of a part leads back to APPROVED, and so does one that is refused)
 *    │ │  └──▶ REFUSED ────────▲                         (money that comes late, from REFUSED or ABANDONED: to APPROVED if there is still a place)
 *    │ └─────▶ ABANDONED ──────┘
 */
export const PAYMENT_STATES = ['PENDING', 'APPROVED', 'REFUSED', 'ABANDONED', 'REFUNDING', 'REFUNDED'] as const;
export type PaymentState = (typeof PAYMENT_STATES)[number];

/** Why a payment was abandoned: not paid in time, given up by the member, replaced by another payment of the same hold, or never begun. */
export const ABANDON_CAUSES = ['TIMED_OUT', 'GIVEN_UP', 'REPLACED', 'NOT_PREPARED'] as const;
export type AbandonCause = (typeof ABANDON_CAUSES)[number];

/** What became of money that came after its hold was lost. */
export const LATE_OUTCOMES = ['SAME', 'EQUAL', 'REFUND'] as const;
export type LateOutcome = (typeof LATE_OUTCOMES)[number];

const LOCALES = ['en', 'ko'] as const;

// Rows are inserted by SQL, whose table has the defaults; declared here they would make every one of these fields optional to the compiler.
export const PaymentSchema = defineEntity({
  name: 'Payment',
  tableName: 'payment',
  properties: {
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    holdId: p.uuid(),
    originalHoldId: p.uuid(),
    /** Whether its end decides the hold. Of the payments of a hold at most one is. */
    isCurrent: p.boolean(),
    memberId: p.uuid(),
    /** Null where there was nothing to pay. */
    provider: p.string().columnType('text').nullable(),
    /** The provider's name of it. */
    reference: p.string().columnType('text').nullable(),
    checkout: p.json<Checkout>().nullable(),
    customerAuthorization: p.json<Authorization>().nullable(),
    state: p.enum(PAYMENT_STATES),
    refusalCode: p.string().columnType('text').nullable(),
    endedBecause: p.enum(ABANDON_CAUSES).nullable(),
    lateOutcome: p.enum(LATE_OUTCOMES).nullable(),
    ifPaidLate: p.enum(IF_PAID_LATE),
    amountMinor: p.bigint('number'),
    capturedMinor: p.bigint('number'),
    refundedMinor: p.bigint('number'),
    refundingMinor: p.bigint('number'),
    currency: p.string().columnType('char(3)'),
    title: p.string().columnType('text'),
    cancellation: p.json<CancellationStep[]>(),
    startsAt: p.datetime().nullable(),
    organizerId: p.uuid().nullable(),
    locale: p.enum(LOCALES),
    returnTo: p.string().columnType('text').nullable(),
    payBy: p.datetime().nullable(),
    approvingAt: p.datetime().nullable(),
    busyUntil: p.datetime().nullable(),
    nextLookAt: p.datetime().nullable(),
    looks: p.integer(),
    rings: p.integer(),
    ringsAnswered: p.integer(),
    idempotencyKey: p.string().columnType('text'),
    requestHash: p.blob(),
    createdAt: p.datetime().defaultRaw('now()'),
    changedAt: p.datetime().defaultRaw('now()'),
    /** When this was read, by the database's clock. */
    readAt: p.datetime().formula('clock_timestamp()').persist(false),
  },
});

/** One try to pay a hold. */
export class Payment extends PaymentSchema.class {}
PaymentSchema.setClass(Payment);
