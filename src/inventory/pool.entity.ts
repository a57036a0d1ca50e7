import { defineEntity, p } from '@mikro-orm/postgresql';

export const POLICIES = ['OPTIMISTIC', 'PESSIMISTIC'] as const;
/** How rivals for a pool are kept apart: by its version with retries (ordinary), or by its row lock, combined into batches (scarce). */
export type Policy = (typeof POLICIES)[number];

export const PoolSchema = defineEntity({
  name: 'Pool',
  tableName: 'pool',
  properties: {
    id: p.uuid().primary(),
    kind: p.string().columnType('text'),
    capacity: p.integer(),
    held: p.integer().default(0),
    sold: p.integer().default(0),
    policy: p.enum(POLICIES).default('OPTIMISTIC'),
    priceMinor: p.integer().default(0),
    currency: p.string().columnType('char(3)').default('KRW'),
    perClaimantMax: p.integer().nullable(),
    quotaKey: p.string().columnType('text').nullable(),
    quotaMax: p.integer().nullable(),
    holdSeconds: p.integer().default(300),
    opensAt: p.datetime().nullable(),
    closesAt: p.datetime().nullable(),
    version: p.integer().version(),
    changedAt: p.datetime().defaultRaw('now()'),
  },
});

/** A countable capacity of one kind. `held` counts what is HELD or PAYING, `sold` what is CONFIRMED. */
export class Pool extends PoolSchema.class {}
PoolSchema.setClass(Pool);
