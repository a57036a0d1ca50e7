import { HoldItemSchema, HoldSchema } from '../../inventory/hold.entity.ts';
import { inventoryChecks } from '../../inventory/inventory.checks.ts';
import { PoolSchema } from '../../inventory/pool.entity.ts';
import type { Feature } from '../feature.ts';
import type { AuditService } from './audit.service.ts';
import { AuditResolver, AvailabilityResolver, HoldResolver } from './holds.resolver.ts';
import { HoldType } from './holds.types.ts';

/** The inventory's face in the schema: holds, live availability, the audit. Every feature may use what is exported here. */
export const holds: Feature = {
  name: 'holds',
  entities: [PoolSchema, HoldSchema, HoldItemSchema],
  resolvers: [HoldResolver, AvailabilityResolver, AuditResolver],
  orphanedTypes: [HoldType],
  checks: inventoryChecks,
};

export const holdsResolvers = (audits: AuditService): object[] => [new AuditResolver(audits)];

export { AuditService } from './audit.service.ts';
export { auditTask } from './audit.tasks.ts';
export { CANCELLATION_STEPS_MAX, cancellationProblem, earliestFirst, FREE_UNTIL_START } from './cancellation.ts';
export { CancellationStepInput, CancellationStepType } from './cancellation.types.ts';
export { BusyError, CapacityBelowTakenError, HoldExpiredError, HoldNotFoundError, HoldNotOpenError } from './holds.errors.ts';
export { availabilityById, holdById } from './holds.loaders.ts';
export { poolIdsOf, priceAudit } from './holds.resolver.ts';
export { AvailabilityType, HoldStateEnum, HoldType, holdNodeId, LatePaymentChoiceEnum } from './holds.types.ts';
export { type CancellationPolicy, type CancellationStep, type Product, type ProductTerms, refundPercent, titleWith } from './product.ts';
