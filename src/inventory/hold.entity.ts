import { defineEntity, p } from '@mikro-orm/postgresql';
import { IF_PAID_LATE, IF_PAID_LATE_DEFAULT } from './claim.ts';
import { HOLD_STATES } from './hold-states.ts';

export const HoldSchema = defineEntity({
  name: 'Hold',
  tableName: 'hold',
  properties: {
    id: p.uuid().primary(),
    kind: p.string().columnType('text'),
    claimantId: p.uuid(),
    state: p.enum(HOLD_STATES).default('HELD'),
    /** The price when it was held, all items together: later price changes do not touch it. */
    amountMinor: p.bigint('number'),
    currency: p.string().columnType('char(3)'),
    expiresAt: p.datetime(),
    idempotencyKey: p.string().columnType('text'),
    requestHash: p.blob(),
    clientIp: p.string().columnType('inet').nullable(),
    ifPaidLate: p.enum(IF_PAID_LATE).default(IF_PAID_LATE_DEFAULT),
    /** Raised by the database with every update of the row, whoever sends it. */
    version: p.integer().default(1),
    createdAt: p.datetime().defaultRaw('now()'),
    changedAt: p.datetime().defaultRaw('now()'),
    items: () => p.oneToMany(HoldItem).mappedBy('hold'),
  },
});

/** A claim with a deadline: confirmed, released or expired exactly once. Never edited into another one. */
export class Hold extends HoldSchema.class {}
HoldSchema.setClass(Hold);

export const HoldItemSchema = defineEntity({
  name: 'HoldItem',
  tableName: 'hold_item',
  properties: {
    hold: () => p.manyToOne(Hold).primary(),
    position: p.smallint().primary(),
    poolId: p.uuid(),
    unitId: p.uuid().nullable(),
    quantity: p.integer(),
  },
});

/** One resource of a hold. All items of a hold share its fate. */
export class HoldItem extends HoldItemSchema.class {}
HoldItemSchema.setClass(HoldItem);
