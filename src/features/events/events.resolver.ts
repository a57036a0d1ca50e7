import { FieldResolver, ID, Resolver, Root } from 'type-graphql';
import { Money } from '../../platform/graphql/money.ts';
import { toNodeId } from '../../platform/graphql/node-ids.ts';
import type { Event, Performance, Tier } from './event.entity.ts';
import { EventType, PerformanceType, TierType } from './event.types.ts';

@Resolver(() => EventType)
export class EventResolver {
  @FieldResolver(() => ID)
  id(@Root() event: Event): string {
    return toNodeId('Event', event.id);
  }
}

@Resolver(() => PerformanceType)
export class PerformanceResolver {
  @FieldResolver(() => ID)
  id(@Root() performance: Performance): string {
    return toNodeId('Performance', performance.id);
  }
}

@Resolver(() => TierType)
export class TierResolver {
  @FieldResolver(() => ID)
  id(@Root() tier: Tier): string {
    return toNodeId('Tier', tier.id);
  }

  @FieldResolver(() => Money)
  price(@Root() tier: Tier): Money {
    return { amountMinor: tier.priceMinor, currency: 'KRW' };
  }
}
