import { defineEntity, p } from '@mikro-orm/postgresql';

export const REFUND_STATES = ['OPEN', 'DONE', 'REFUSED'] as const;
export type RefundState = (typeof REFUND_STATES)[number];

/** `GRANTED`: by an organizer or administrator. `AT_PROVIDER`: somebody did it in the provider's console, and we found it. */
export const REFUND_CAUSES = ['CANCELLED', 'PAID_LATE', 'GRANTED', 'AT_PROVIDER'] as const;
export type RefundCause = (typeof REFUND_CAUSES)[number];

export const RefundSchema = defineEntity({
  name: 'Refund',
  tableName: 'refund',
  properties: {
    /** Also the id of its transfer in the ledger, and the idempotency key at the provider. */
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    paymentId: p.uuid(),
    amountMinor: p.bigint('number'),
    state: p.enum(REFUND_STATES).default('OPEN'),
    cause: p.enum(REFUND_CAUSES),
    reason: p.string().columnType('text'),
    /** Whether the places go back when the money has. */
    givesBack: p.boolean(),
    askedBy: p.uuid().nullable(),
    idempotencyKey: p.string().columnType('text').nullable(),
    requestHash: p.blob().nullable(),
    refusalCode: p.string().columnType('text').nullable(),
    sentAt: p.datetime().nullable(),
    createdAt: p.datetime().defaultRaw('now()'),
    concludedAt: p.datetime().nullable(),
  },
});

/** Money of a payment on its way back, or back. At most one of a payment is open. */
export class Refund extends RefundSchema.class {}
RefundSchema.setClass(Refund);
