import { Ctx, FieldResolver, Resolver, Root } from 'type-graphql';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import { Money } from '../../platform/graphql/money.ts';
import { Price } from '../../platform/graphql/price.ts';
import { type Performance, PerformanceType, type Tier, TierType, tierById } from '../events/index.ts';
import type { PerformanceAvailabilities, SectionAvailability, TierAvailability } from './performance-availability.ts';
import { SectionAvailabilityType, TierAvailabilityType } from './performance-availability.types.ts';

@Resolver(() => PerformanceType)
export class PerformanceAvailabilityResolver {
  private readonly byId = loaderOf(async (_context, ids: readonly string[]) =>
    inOrderOf(ids, await this.availabilities.of(ids), ({ id }) => id),
  );

  constructor(private readonly availabilities: PerformanceAvailabilities) {}

  @Price(1, { size: 10 })
  @FieldResolver(() => [TierAvailabilityType], {
    description: 'What is left of each tier now, in their order, as many as the performance has.',
  })
  async tierAvailability(@Root() { id }: Performance, @Ctx() context: RequestContext): Promise<TierAvailability[]> {
    return (await this.byId(context).load(id))?.tiers ?? [];
  }

  @Price(1, { size: 20 })
  @FieldResolver(() => [SectionAvailabilityType], {
    description:
      'What is left of each section with numbered seats now, in the order of the plan, as many as it has. Seat by seat: `seatMap`.',
  })
  async sectionAvailability(@Root() { id }: Performance, @Ctx() context: RequestContext): Promise<SectionAvailability[]> {
    return (await this.byId(context).load(id))?.sections ?? [];
  }
}

@Resolver(() => TierAvailabilityType)
export class TierAvailabilityResolver {
  @FieldResolver(() => TierType, { nullable: true })
  tier(@Root() { tierId }: TierAvailability, @Ctx() context: RequestContext): Promise<Tier | null> {
    return tierById(context).load(tierId);
  }

  @FieldResolver(() => Money)
  price(@Root() { priceMinor }: TierAvailability): Money {
    return inWon(priceMinor);
  }
}

@Resolver(() => SectionAvailabilityType)
export class SectionAvailabilityResolver {
  @FieldResolver(() => Money, { nullable: true })
  priceFrom(@Root() { priceFromMinor }: SectionAvailability): Money | null {
    return priceFromMinor === null ? null : inWon(priceFromMinor);
  }
}

const inWon = (amountMinor: number): Money => ({ amountMinor, currency: 'KRW' });
