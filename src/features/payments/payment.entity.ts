import { defineEntity, p } from '@mikro-orm/postgresql';

export const PAYMENT_STATES = ['PENDING', 'APPROVED', 'REFUSED', 'REFUNDING', 'REFUNDED'] as const;
export type PaymentState = (typeof PAYMENT_STATES)[number];

export const PaymentSchema = defineEntity({
  name: 'Payment',
  tableName: 'payment',
  properties: {
    id: p.uuid().primary().defaultRaw('uuidv7()'),
    holdId: p.uuid().unique(),
    memberId: p.uuid(),
    provider: p.string().columnType('text'),
    request: p.json<Record<string, unknown>>(),
    state: p.enum(PAYMENT_STATES).default('PENDING'),
    refusalCode: p.string().columnType('text').nullable(),
    amountMinor: p.bigint('number'),
    currency: p.string().columnType('char(3)'),
    idempotencyKey: p.string().columnType('text'),
    requestHash: p.blob(),
    createdAt: p.datetime().defaultRaw('now()'),
    changedAt: p.datetime().defaultRaw('now()'),
  },
});

/** The one payment of a hold. */
export class Payment extends PaymentSchema.class {}
PaymentSchema.setClass(Payment);
