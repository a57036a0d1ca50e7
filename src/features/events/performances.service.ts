import type { EntityManager } from '@mikro-orm/postgresql';
import type { PoolRow } from '../../inventory/decide-claims.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import { blockUnits } from '../../inventory/units.ts';
import type { Database } from '../../platform/database/database.ts';
import { idempotently } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { CapacityBelowTakenError, FREE_UNTIL_START } from '../holds/index.ts';
import type { SeatPlan, SeatPlans } from '../venues/index.ts';
import { changePerformance, lockPoolsOf, type PerformanceChange } from './change-performance.ts';
import { insertPerformance } from './create-performance.ts';
import { removePerformances } from './delete-performances.ts';
import { quotaKeyOf, tierKind } from './event.kind.ts';
import {
  beginsInPast,
  SEATS_CHANGED_MAX,
  scheduleProblem,
  sellingProblem,
  tierNameTaken,
  tierProblem,
  tiersProblem,
} from './event-rules.ts';
import {
  EventInputError,
  EventNotFoundError,
  NoSuchSeatsError,
  PerformanceNotFoundError,
  SeatsHeldOrSoldError,
  SeatsNeverSoldError,
  TierNotFoundError,
} from './events.errors.ts';
import type { CreatePerformanceInput, UpdateTierInput } from './events.inputs.ts';
import { lockOwnEvent, type Organizer, type OwnTier, ownPerformance, ownTier } from './organizer.ts';

/** Performances and what they sell. Whoever changes one is its event's organizer, or an administrator. */
export class PerformancesService {
  constructor(
    private readonly database: Database,
    private readonly inventory: Inventory,
    private readonly plans: SeatPlans,
    private readonly now = () => new Date(),
  ) {}

  /** The ids in the input are those of the database. */
  async create(organizer: Organizer, input: CreatePerformanceInput): Promise<{ performanceId: string } | Refusal> {
    const { idempotencyKey, ...request } = input;
    const { startsAt, endsAt, onSaleFrom = null, perMemberMax, holdSeconds, tiers, eventId } = input;
    const schedule = { startsAt, endsAt, onSaleFrom, onSaleUntil: input.onSaleUntil ?? startsAt };
    const outOfLimits = scheduleProblem(schedule) ?? sellingProblem(input);
    if (outOfLimits) return outOfLimits;
    const plan = input.planId ? await this.plans.planOf(input.planId) : null;
    const cancellation = input.cancellation ?? FREE_UNTIL_START;

    return this.database.transact(
      async (em) => {
        if (!(await lockOwnEvent(em, organizer, eventId, 'key share'))) return new EventNotFoundError();
        if (input.planId && !(plan && (await isOfVenue(em, plan, eventId)))) return noSuchPlan();
        const problem = tiersProblem(tiers, plan);
        if (problem) return problem;
        const answer = { memberId: organizer.memberId, key: idempotencyKey, operation: 'createPerformance' };
        return idempotently(
          em,
          { ...answer, request: JSON.parse(JSON.stringify(request)) },
          async (): Promise<{ performanceId: string } | Refusal> => {
            // Not before the key: a repeat that comes after the beginning is still answered with what was made.
            if (startsAt <= this.now()) return beginsInPast();
            return {
              performanceId: await insertPerformance(em, { ...schedule, eventId, perMemberMax, holdSeconds, cancellation, plan, tiers }),
            };
          },
        );
      },
      { name: 'create-performance' },
    );
  }

  async update(organizer: Organizer, performanceId: string, change: PerformanceChange): Promise<string | Refusal> {
    if (!(await this.owns(organizer, performanceId))) return new PerformanceNotFoundError();
    const changed = await this.change('update-performance', (em) => changePerformance(em, performanceId, change, this.now()));
    return changed instanceof Refusal ? changed : performanceId;
  }

  /** Ends the sale now. Holds that exist can still be paid. */
  async closeSale(organizer: Organizer, performanceId: string): Promise<string | Refusal> {
    if (!(await this.owns(organizer, performanceId))) return new PerformanceNotFoundError();
    const closed = await this.change('close-performance-sale', async (em) => {
      if ((await lockPoolsOf(em, performanceId)).length === 0) return new PerformanceNotFoundError();
      return em.execute<PoolRow[]>(
        // A sale that never opened has no opening any more; one that opened keeps it, and one that never had one is given none.
        `update pool set opens_at = case when opens_at <= clock_timestamp() then opens_at end, closes_at = least(closes_at, clock_timestamp()),
           version = version + 1, changed_at = clock_timestamp()
         where quota_key = ? returning *`,
        [quotaKeyOf(performanceId)],
      );
    });
    return closed instanceof Refusal ? closed : performanceId;
  }

  async delete(organizer: Organizer, performanceId: string): Promise<string | Refusal> {
    return this.database.transact(
      async (em) => {
        if (!(await ownPerformance(em, organizer, performanceId))) return new PerformanceNotFoundError();
        return (await removePerformances(em, [performanceId])) ?? performanceId;
      },
      { name: 'delete-performance' },
    );
  }

  /** The price goes to the seats, or the pool, that later claims read; what is held or sold has its amount in its hold. */
  async updateTier(organizer: Organizer, { tierId, name, priceMinor }: UpdateTierInput): Promise<string | Refusal> {
    const problem = tierProblem({ name, priceMinor });
    if (problem) return problem;
    const tier = await ownTier(this.database.fork(), organizer, tierId);
    if (!tier) return new TierNotFoundError();
    const seats = await this.seatsOf(tier);
    const changed = await this.change('update-tier', async (em) => {
      // The performance's pool also for a tier with a pool of its own: two that take one name meet at it.
      if ((await lockPoolsOf(em, tier.performanceId)).length === 0) return new TierNotFoundError();
      if (name != null && (await isNameTaken(em, tier, name.trim()))) return tierNameTaken();
      await em.execute('update tier set name = coalesce(?, name), price_minor = coalesce(?, price_minor) where id = ?', [
        name?.trim() ?? null,
        priceMinor ?? null,
        tierId,
      ]);
      return priceMinor == null ? [] : reprice(em, tier, seats, priceMinor);
    });
    return changed instanceof Refusal ? changed : tierId;
  }

  async changeTierCapacity(organizer: Organizer, tierId: string, capacity: number): Promise<string | Refusal> {
    const problem = tierProblem({ capacity });
    if (problem) return problem;
    const tier = await ownTier(this.database.fork(), organizer, tierId);
    if (!tier) return new TierNotFoundError();
    if (tier.zone !== null)
      return new EventInputError(
        'tierId',
        'This tier is of numbered seats, and has as many as its zone. Use `blockSeats` and `releaseHouseSeats`.',
        '지정석 등급의 수량은 구역의 좌석 수입니다. blockSeats와 releaseHouseSeats로 조정해 주세요.',
      );
    const adjusted = await this.inventory.adjustCapacity(tierId, tierKind.name, capacity);
    switch (adjusted.outcome) {
      case 'ADJUSTED':
        return tierId;
      case 'NOT_FOUND':
        return new TierNotFoundError();
      case 'BELOW_TAKEN':
        return new CapacityBelowTakenError(adjusted);
      default:
        return adjusted satisfies never;
    }
  }

  /** The numbers of the seats that a tier prices, from what is kept of the plan. */
  private async seatsOf({ planId, zone }: OwnTier): Promise<number[]> {
    const plan = planId && zone !== null ? await this.plans.planOf(planId) : null;
    return plan?.seats.filter((seat) => seat.zone === zone).map(({ number }) => number) ?? [];
  }

  /** Puts seats that are not for sale on sale, or takes seats out of it; all of them or none. */
  async setBlocked(organizer: Organizer, performanceId: string, seats: readonly number[], isBlocked: boolean): Promise<string | Refusal> {
    if (seats.length === 0 || seats.length > SEATS_CHANGED_MAX)
      return new EventInputError(
        'seats',
        `Name 1 to ${SEATS_CHANGED_MAX} seats.`,
        `좌석을 1개 이상 ${SEATS_CHANGED_MAX}개 이하로 선택해 주세요.`,
      );
    const numbers = [...new Set(seats)].sort((one, other) => one - other);
    const own = await ownPerformance(this.database.fork(), organizer, performanceId);
    if (!own) return new PerformanceNotFoundError();
    const plan = own.planId ? await this.plans.planOf(own.planId) : null;
    const unknown = numbers.filter((number) => plan?.seats[number] === undefined);
    if (unknown.length > 0) return new NoSuchSeatsError(unknown);
    const neverSold = numbers.filter((number) => plan?.seats[number]?.sale === 'KILL');
    if (!isBlocked && neverSold.length > 0) return new SeatsNeverSoldError(neverSold);
    const changed = await this.change('block-seats', async (em) => {
      const blocked = await blockUnits(em, performanceId, numbers, isBlocked);
      switch (blocked.outcome) {
        case 'DONE':
          return blocked.pools;
        case 'NOT_FOUND':
          // The plan has them, so it was the performance that has just been deleted.
          return new PerformanceNotFoundError();
        case 'TAKEN':
          return new SeatsHeldOrSoldError(blocked.numbers);
        default:
          return blocked satisfies never;
      }
    });
    return changed instanceof Refusal ? changed : performanceId;
  }

  /** Whose a performance is never changes. */
  private async owns(organizer: Organizer, performanceId: string): Promise<boolean> {
    return (await ownPerformance(this.database.fork(), organizer, performanceId)) !== undefined;
  }

  /** Runs `work` in a transaction, and tells the watchers of the pools it changed. */
  private async change(name: string, work: (em: EntityManager) => Promise<PoolRow[] | Refusal>): Promise<PoolRow[] | Refusal> {
    const pools = await this.database.transact(work, { name });
    if (!(pools instanceof Refusal)) this.inventory.tell(pools);
    return pools;
  }
}

/** Whether the plan is of the event's venue; it cannot be deleted until the transaction ends. */
async function isOfVenue(em: EntityManager, plan: SeatPlan, eventId: string): Promise<boolean> {
  const rows = await em.execute<unknown[]>(
    'select p.id from seat_plan p where p.id = ? and p.venue_id = (select e.venue_id from event e where e.id = ?) for key share of p',
    [plan.id, eventId],
  );
  return rows.length === 1;
}

const noSuchPlan = () =>
  new EventInputError(
    'planId',
    "The venue of the event has no such seat plan. Choose one of the venue's plans.",
    '공연장에 해당 좌석 배치도가 없습니다. 공연장의 배치도 중에서 선택해 주세요.',
  );

async function isNameTaken(em: EntityManager, { id, performanceId }: OwnTier, name: string): Promise<boolean> {
  const rows = await em.execute<unknown[]>('select 1 from tier where performance_id = ? and name = ? and id <> ?', [
    performanceId,
    name,
    id,
  ]);
  return rows.length > 0;
}

/** Under the lock of the pools. */
async function reprice(em: EntityManager, tier: OwnTier, seats: readonly number[], priceMinor: number): Promise<PoolRow[]> {
  if (tier.zone === null)
    return em.execute<PoolRow[]>(
      'update pool set price_minor = ?, version = version + 1, changed_at = clock_timestamp() where id = ? returning *',
      [priceMinor, tier.id],
    );
  // By number: joined with the plan, a new performance that is not yet in the statistics took 3 s for 500 of 5,000 seats.
  await em.execute('update unit set price_minor = ? where pool_id = ? and number = any (?::int[])', [
    priceMinor,
    tier.performanceId,
    `{${seats.join(',')}}`,
  ]);
  return em.execute<PoolRow[]>('update pool set version = version + 1, changed_at = clock_timestamp() where id = ? returning *', [
    tier.performanceId,
  ]);
}
