import type { GraphQLField, GraphQLObjectType, GraphQLSchema } from 'graphql';
import { Arg, Field, FieldResolver, ID, Int, ObjectType, Query, Resolver, Root, Subscription } from 'type-graphql';
import type { Availability } from '../../inventory/availability.ts';
import { allKinds, kindOf } from '../../inventory/kind.ts';
import type { HoldView } from '../../inventory/read-holds.ts';
import { Money } from '../../platform/graphql/money.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import type { Audit, AuditService } from './audit.service.ts';
import { AvailabilityType, HoldType, holdNodeId } from './holds.types.ts';

@Resolver(() => HoldType)
export class HoldResolver {
  @FieldResolver(() => ID)
  id(@Root() hold: HoldView): string {
    return holdNodeId(hold);
  }

  @FieldResolver(() => Money)
  amount(@Root() hold: HoldView): Money {
    return { amountMinor: hold.amountMinor, currency: hold.currency };
  }
}

/** The pools that ids of things (a lesson, a stock of lockers) stand for: each shares its pool's id. Throws BAD_USER_INPUT for any other id. */
export function poolIdsOf(ids: readonly string[]): string[] {
  const types = allKinds().map((kind) => kind.poolType) as [string, ...string[]];
  return ids.map((id) => uuidOf(id, ...types));
}

@Resolver(() => AvailabilityType)
export class AvailabilityResolver {
  @FieldResolver(() => ID)
  id(@Root() availability: Availability): string {
    return toNodeId(kindOf(availability.kind).poolType, availability.id);
  }

  @Price(5, { multipliedBy: 'ids' })
  @Subscription(() => AvailabilityType, {
    description:
      'How much is left of one or several things, live: first the current state of each, then every newer one, at most 20 a second for each thing. ' +
      'States carry a version that never goes down; after a reconnect you get the current state again. Anyone may watch. Ids nobody knows say nothing.',
    // Never called: the field is in the hub's list of shared sources, which watches the pools and executes the selection once for everybody.
    subscribe: () => {
      throw new Error('availabilityChanged must be registered as a shared source of the subscription hub.');
    },
  })
  availabilityChanged(
    @Root() availability: Availability,
    @Arg('ids', () => [ID], {
      description: 'Ids of lessons, lockers, performances (their numbered seats) or tiers (without numbers), 1 to 100.',
    })
    _ids: string[],
  ): AvailabilityType {
    return availability;
  }
}

@ObjectType('AuditedCheck', { description: 'One invariant, checked against the stored rows a moment ago.' })
class AuditedCheckType {
  @Field(() => String, { description: 'Its name, stable.' })
  name!: string;

  @Field(() => String, { description: 'What it promises.' })
  promise!: string;

  @Field(() => Int, { description: 'Rows that break it; 0 when it is kept. Counted up to 1,000.' })
  violations!: number;
}

@ObjectType('InventoryAudit', { description: 'Proof that nothing is oversold: every invariant of the inventory, recounted from the rows.' })
class InventoryAuditType {
  @Field(() => Date, { description: 'When it was counted, by the database clock. At most 5 seconds ago.' })
  at!: Date;

  @Field(() => Int, { description: 'Places sold or held beyond a capacity, over all pools. Always 0.' })
  oversold!: number;

  @Field(() => Boolean, { description: 'Whether every check is kept.' })
  ok!: boolean;

  /** Priced by {@link priceAudit}. */
  @Field(() => [AuditedCheckType], { description: 'Every check.' })
  checks!: AuditedCheckType[];
}

/** Every feature brings checks, so how many an audit lists is known only to whoever builds the schema. */
export function priceAudit(schema: GraphQLSchema, checks: number): void {
  const field = (schema.getType('InventoryAudit') as GraphQLObjectType).getFields().checks as GraphQLField<Audit, unknown>;
  field.extensions = { ...field.extensions, price: { weight: 1, size: checks } };
}

@Resolver()
export class AuditResolver {
  constructor(private readonly audits: AuditService) {}

  @Price(100)
  @Query(() => InventoryAuditType, {
    description: 'Recounts the whole inventory. Anyone may run it; the answer is shared between callers for 5 seconds.',
  })
  inventoryAudit(): Promise<Audit> {
    return this.audits.latest();
  }
}
