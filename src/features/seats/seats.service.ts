import { type ClaimItem, type ClaimRequest, IF_PAID_LATE_DEFAULT, type IfPaidLate, type Refused } from '../../inventory/claim.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import { countHoldsOfClaimant, type HoldView, holdsByIds, holdsOfClaimant } from '../../inventory/read-holds.ts';
import { unitIdOf } from '../../inventory/units.ts';
import type { Database } from '../../platform/database/database.ts';
import { IdempotencyKeyReusedError, requestHash } from '../../platform/idempotency/index.ts';
import type { Refusal } from '../../platform/refusal.ts';
import { PerformanceNotFoundError, type PerformanceSheet, type PerformanceSheets, performanceKind, tierKind } from '../events/index.ts';
import { BusyError } from '../holds/index.ts';
import type { SeatMap } from '../seat-maps/index.ts';
import type { SeatPlan, SeatPlans } from '../venues/index.ts';
import { findBestSeats, type SeatGroup, type SeatsAsked } from './find-best-seats.ts';
import type { PerformanceSeat, SeatChoice } from './performance-seat.types.ts';
import {
  CompanionSeatAloneError,
  CoolingDownError,
  SeatTakenError,
  TicketInputError,
  TicketLimitReachedError,
  TicketSaleClosedError,
  TicketsNotYetOnSaleError,
  TierSoldOutError,
} from './seats.errors.ts';
import { PLACES_MAX, QUANTITY_MAX, SEATS_MAX } from './seats.inputs.ts';

const ALTERNATIVES_MAX = 5;
/** Of one map: some hundred kilobytes, until the next map comes. */
const QUESTIONS_MAX = 500;

export interface TicketsAsked {
  performanceId: string;
  /** Seat numbers, in any order. */
  seats: readonly number[];
  places: readonly { tierId: string; quantity: number }[];
  ifPaidLate: IfPaidLate;
}

/** A hold of tickets; with its seats where they are known already. */
export interface TicketHoldView extends HoldView {
  seats?: PerformanceSeat[];
}

export interface SeatWish {
  count: number;
  /** Null: of any tier. */
  tierIds: readonly string[] | null;
  /** Of one seat; null: whatever it costs. */
  priceMaxMinor: number | null;
  /** Whether one of them is accessible. */
  isAccessible: boolean;
  groups: number;
}

/** What the service needs of other features. */
export interface SeatsParts {
  database: Database;
  inventory: Inventory;
  sheets: PerformanceSheets;
  plans: SeatPlans;
  /** The map of a performance as it is now or was some milliseconds ago. */
  mapOf(performanceId: string): Promise<SeatMap | null>;
}

export class SeatsService {
  private readonly found = new WeakMap<SeatMap, Map<string, SeatGroup[]>>();

  constructor(private readonly parts: SeatsParts) {}

  /** Takes all of the seats and places in one hold, or nothing. */
  async hold(
    holder: { memberId: string; clientIp: string },
    asked: TicketsAsked,
    idempotencyKey: string,
  ): Promise<TicketHoldView | Refusal> {
    const sheet = await this.parts.sheets.of(asked.performanceId);
    if (!sheet) return new PerformanceNotFoundError();
    const plan = sheet.planId && asked.seats.length > 0 ? await this.parts.plans.planOf(sheet.planId) : null;
    const problem = problemWith(asked, sheet, plan);
    if (problem) return problem;
    const numbers = asked.seats.toSorted((one, other) => one - other);
    const seats = plan ? seatsOf(sheet, plan, numbers) : [];
    const claim: ClaimRequest = {
      kind: performanceKind.name,
      claimantId: holder.memberId,
      idempotencyKey,
      requestHash: hashOf(asked, numbers),
      clientIp: holder.clientIp,
      ifPaidLate: asked.ifPaidLate,
      items: itemsOf(asked, numbers),
    };
    const answer = await this.parts.inventory.place(claim);
    if (answer.outcome === 'GRANTED') {
      const { kind, claimantId } = claim;
      return {
        ...answer,
        id: answer.holdId,
        kind,
        claimantId,
        state: 'HELD',
        ifPaidLate: asked.ifPaidLate,
        version: 1,
        items: [...claim.items],
        seats,
      };
    }
    if (answer.outcome === 'REPLAYED')
      return (await holdsByIds(this.parts.database.pool, [answer.holdId]))[0] ?? new PerformanceNotFoundError();
    return refusalOf(answer, asked.performanceId, claim.items, seats);
  }

  /** Newest first. */
  holdsOf(memberId: string, before: string | null, limit: number): Promise<HoldView[]> {
    return holdsOfClaimant(this.parts.database.pool, memberId, performanceKind.name, before, limit);
  }

  countHoldsOf(memberId: string): Promise<number> {
    return countHoldsOfClaimant(this.parts.database.pool, memberId, performanceKind.name);
  }

  /** Null for an unknown performance; `UNKNOWN_TIER` for a tier that is none of it. */
  async best(performanceId: string, wish: SeatWish): Promise<SeatChoice[] | 'UNKNOWN_TIER' | null> {
    const sheet = await this.parts.sheets.of(performanceId);
    if (!sheet) return null;
    if (wish.tierIds?.some((id) => !sheet.tiers.some((tier) => tier.id === id))) return 'UNKNOWN_TIER';
    const tiers = sheet.tiers.filter(
      ({ id, priceMinor }) => (wish.tierIds?.includes(id) ?? true) && priceMinor <= (wish.priceMaxMinor ?? Number.POSITIVE_INFINITY),
    );
    return this.choices(sheet, {
      count: wish.count,
      zones: new Set(tiers.flatMap(({ zone }) => zone ?? [])),
      accessible: wish.isAccessible ? 1 : 0,
      groups: wish.groups,
    });
  }

  /** As many seats in the zones of those that were asked for, nearest to them. */
  async alternativesTo({ performanceId, asked, taken }: SeatTakenError): Promise<SeatChoice[]> {
    const sheet = await this.parts.sheets.of(performanceId);
    if (!sheet) return [];
    const seats = asked.map(({ seat }) => seat);
    return this.choices(sheet, {
      count: seats.length,
      zones: new Set(seats.map(({ zone }) => zone)),
      accessible: seats.filter(({ isAccessible }) => isAccessible).length,
      near: { x: meanOf(seats.map(({ x }) => x)), y: meanOf(seats.map(({ y }) => y)) },
      // The map may be older than the refusal.
      avoid: taken.map(({ seat }) => seat.number),
      groups: ALTERNATIVES_MAX,
    });
  }

  private async choices(sheet: PerformanceSheet, asked: SeatsAsked): Promise<SeatChoice[]> {
    const [plan, map] = await Promise.all([sheet.planId ? this.parts.plans.planOf(sheet.planId) : null, this.parts.mapOf(sheet.id)]);
    if (!plan || !map) return [];
    return this.groupsOf(plan, map, asked).map(({ numbers, isTogether, leavesSingle }) => ({
      seats: seatsOf(sheet, plan, numbers),
      isTogether,
      leavesSingle,
    }));
  }

  /** A map never changes, and in a rush thousands ask the same of it: of a sold-out arena each search took 0.3 ms, of 50,000 members. */
  private groupsOf(plan: SeatPlan, map: SeatMap, asked: SeatsAsked): SeatGroup[] {
    const question = JSON.stringify({ ...asked, zones: asked.zones && [...asked.zones] });
    const known = this.found.get(map) ?? new Map<string, SeatGroup[]>();
    this.found.set(map, known);
    const groups = known.get(question) ?? findBestSeats(plan, map.states, asked);
    if (known.size < QUESTIONS_MAX) known.set(question, groups);
    return groups;
  }
}

/** Seats first: the pool of the numbered seats is the one that is fought for. */
function itemsOf({ performanceId, places }: TicketsAsked, numbers: readonly number[]): ClaimItem[] {
  return [
    ...numbers.map((number) => ({
      kind: performanceKind.name,
      poolId: performanceId,
      unitId: unitIdOf(performanceId, number),
      quantity: 1,
    })),
    ...inOrder(places).map(({ tierId, quantity }) => ({ kind: tierKind.name, poolId: tierId, unitId: null, quantity })),
  ];
}

/** The order in which seats and tiers are named makes no other request; nor does saying the default. */
const hashOf = ({ performanceId, places, ifPaidLate }: TicketsAsked, seats: number[]) =>
  requestHash('holdTickets', {
    performanceId,
    seats,
    places: inOrder(places).map(({ tierId, quantity }) => ({ tierId, quantity })),
    ...(ifPaidLate === IF_PAID_LATE_DEFAULT ? {} : { ifPaidLate }),
  });

const inOrder = (places: TicketsAsked['places']) => places.toSorted((one, other) => (one.tierId < other.tierId ? -1 : 1));

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

function seatsOf(sheet: PerformanceSheet, plan: SeatPlan, numbers: readonly number[]): PerformanceSeat[] {
  const tiers = new Map(sheet.tiers.map((tier) => [tier.zone, tier]));
  return numbers.flatMap((number) => {
    const seat = plan.seats[number];
    const tier = seat && tiers.get(seat.zone);
    return seat && tier ? { seat, tierId: tier.id, priceMinor: tier.priceMinor } : [];
  });
}

/** What makes a request one that nobody could be granted, first things first. */
function problemWith({ seats, places }: TicketsAsked, sheet: PerformanceSheet, plan: SeatPlan | null): Refusal | undefined {
  if (seats.length + places.length === 0)
    return new TicketInputError('seats', 'Ask for at least one seat or place.', '좌석이나 자리를 한 개 이상 선택해 주세요.');
  if (seats.length > SEATS_MAX)
    return new TicketInputError('seats', `A hold has at most ${SEATS_MAX} seats.`, `좌석은 한 번에 ${SEATS_MAX}개까지 선택할 수 있습니다.`);
  if (new Set(seats).size < seats.length)
    return new TicketInputError('seats', 'Name each seat once.', '같은 좌석을 두 번 선택할 수 없습니다.');
  const known = plan ? seatsOf(sheet, plan, seats) : [];
  if (known.length < seats.length)
    return new TicketInputError(
      'seats',
      'This performance has no seat with one of these numbers. Take the numbers from its seat map.',
      '존재하지 않는 좌석 번호가 있습니다. 좌석 배치도에서 다시 선택해 주세요.',
    );
  const companions = known.filter(({ seat }) => seat.isCompanion);
  if (companions.length > 0 && !known.some(({ seat }) => seat.isAccessible)) return new CompanionSeatAloneError(companions);
  return problemWithPlaces(places, sheet);
}

function problemWithPlaces(places: TicketsAsked['places'], sheet: PerformanceSheet): TicketInputError | undefined {
  if (places.length > PLACES_MAX)
    return new TicketInputError(
      'places',
      `A hold has places of at most ${PLACES_MAX} tiers.`,
      `등급은 한 번에 ${PLACES_MAX}개까지 선택할 수 있습니다.`,
    );
  if (new Set(places.map(({ tierId }) => tierId)).size < places.length)
    return new TicketInputError('places', 'Name each tier once, with its quantity.', '같은 등급을 두 번 선택할 수 없습니다.');
  for (const { tierId, quantity } of places) {
    const tier = sheet.tiers.find(({ id }) => id === tierId);
    if (!tier)
      return new TicketInputError(
        'places',
        'One of the tiers is not of this performance. Take it from `performance.tiers`.',
        '이 회차에 없는 등급입니다. 회차의 등급 목록에서 다시 선택해 주세요.',
      );
    if (tier.zone !== null)
      return new TicketInputError(
        'places',
        `The tier ${tier.name} has numbered seats: choose them in \`seats\`.`,
        `${tier.name}은(는) 지정석 등급입니다. 좌석을 선택해 주세요.`,
      );
    if (quantity < 1 || quantity > QUANTITY_MAX)
      return new TicketInputError(
        'places',
        `Ask for 1 to ${QUANTITY_MAX} places of a tier.`,
        `등급마다 1매에서 ${QUANTITY_MAX}매까지 선택할 수 있습니다.`,
      );
  }
  return undefined;
}

function refusalOf(refused: Refused, performanceId: string, items: readonly ClaimItem[], seats: PerformanceSeat[]): Refusal {
  switch (refused.outcome) {
    case 'KEY_REUSED':
      return new IdempotencyKeyReusedError();
    case 'NOT_FOUND':
      return new PerformanceNotFoundError();
    case 'NOT_YET_ON_SALE':
      return new TicketsNotYetOnSaleError(performanceId);
    case 'SALE_CLOSED':
      return new TicketSaleClosedError();
    case 'COOLING_DOWN':
      return new CoolingDownError(refused.limit ?? 1);
    case 'CLAIMANT_LIMIT':
    case 'QUOTA_REACHED':
      return new TicketLimitReachedError(refused.limit ?? 0);
    case 'UNIT_TAKEN': {
      // Items and seats have one order, and the seats come first.
      const taken = refused.takenItems ?? [refused.itemIndex];
      return new SeatTakenError(
        performanceId,
        seats,
        taken.flatMap((index) => seats[index] ?? []),
      );
    }
    case 'SOLD_OUT': {
      const item = items[refused.itemIndex];
      if (!item || item.unitId !== null)
        throw new Error(`A free seat of ${performanceId} was refused as sold out: its pool counts other seats than it has.`);
      return new TierSoldOutError(item.poolId, refused.limit ?? 0);
    }
    case 'BUSY':
      return new BusyError();
    default:
      return refused.outcome satisfies never;
  }
}
