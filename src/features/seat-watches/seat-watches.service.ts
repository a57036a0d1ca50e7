import type { EntityManager } from '@mikro-orm/postgresql';
import { type UnitState, watchPools } from '../../inventory/units.ts';
import type { Database } from '../../platform/database/database.ts';
import { idempotently } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import type { PerformanceSheet, PerformanceSheets } from '../events/index.ts';
import type { SeatPlans } from '../venues/index.ts';
import type { TellFollowers } from './live-watches.ts';
import type { SeatOffers } from './seat-offers.ts';
import { beginFollowing, type SeatWatch, watchesByIds, watchesOfMember } from './seat-watch.ts';
import {
  SeatFreeError,
  SeatOffersLapsedError,
  SeatWatchInputError,
  SeatWatchLimitReachedError,
  SeatWatchNotFoundError,
  SeatWatchSaleClosedError,
  SeatWatchTargetNotFoundError,
} from './seat-watches.errors.ts';
import { QUANTITY_MAX, SEATS_MAX, UNWATCHED_MAX, WATCHES_WAITING_MAX } from './seat-watches.inputs.ts';

/** Two members who follow each other's holds could else keep a seat from everybody for as long as they like: offers do not count for the cool-down. */
export const OFFERS_LAPSED_MAX = 3;

export interface SeatWish {
  performanceId: string;
  /** Null: a tier is asked for. */
  seats: readonly number[] | null;
  tierId: string | null;
  quantity: number;
}

/** What a wish means in a performance. */
interface Targets {
  sheet: PerformanceSheet;
  /** The pool of the numbered seats, or that of a tier without numbers. */
  poolId: string;
  quantity: number;
  /** In the order they were asked for. */
  things: readonly { tierId: string; seatNumber: number | null }[];
}

/** A watch of one member that lives, or whose offer lapsed. */
interface Standing {
  id: string;
  tierId: string;
  seatNumber: number | null;
  state: 'WAITING' | 'OFFERED' | 'ENDED';
}

export class SeatWatchesService {
  constructor(
    private readonly database: Database,
    private readonly sheets: PerformanceSheets,
    private readonly plans: SeatPlans,
    private readonly offers: Pick<SeatOffers, 'follow'>,
    private readonly tell: TellFollowers,
  ) {}

  /** One watch for each target, in the order they were asked for, or none at all. */
  async watch(memberId: string, wish: SeatWish, idempotencyKey: string): Promise<SeatWatch[] | Refusal> {
    const targets = await this.targetsOf(wish);
    if (targets instanceof Refusal) return targets;
    const followed = await this.database.transact(
      (em) =>
        idempotently(em, { memberId, key: idempotencyKey, operation: 'watchSeats', request: requestOf(wish) }, () =>
          follow(em, memberId, targets),
        ),
      { name: 'watch-seats' },
    );
    if (followed instanceof Refusal) return followed;
    this.offers.follow(targets.poolId);
    await this.tell([memberId]);
    return this.byIds(followed.watchIds);
  }

  /** Ends those that wait; an offer that was made already stays one. All of them must be the member's. */
  async unwatch(memberId: string, watchIds: readonly string[]): Promise<SeatWatch[] | Refusal> {
    const ids = [...new Set(watchIds)];
    if (ids.length === 0 || watchIds.length > UNWATCHED_MAX)
      return new SeatWatchInputError(
        'watchIds',
        `Name 1 to ${UNWATCHED_MAX} watches.`,
        `알림을 1개 이상 ${UNWATCHED_MAX}개 이하로 선택해 주세요.`,
      );
    const refusal = await this.database.transact(
      async (em): Promise<Refusal | undefined> => {
        const [mine] = await em.execute<{ count: number }[]>(
          'select count(*)::int as count from seat_watch where member_id = ? and id = any (?::uuid[])',
          [memberId, `{${ids.join(',')}}`],
        );
        if (mine?.count !== ids.length) return new SeatWatchNotFoundError();
        await em.execute(
          `update seat_watch set state = 'ENDED', ended_because = 'UNWATCHED' where id in (
             select id from seat_watch where id = any (?::uuid[]) and state = 'WAITING' order by id for update)`,
          [`{${ids.join(',')}}`],
        );
        return undefined;
      },
      { name: 'unwatch-seats' },
    );
    if (refusal) return refusal;
    await this.tell([memberId]);
    return this.byIds(ids);
  }

  /** Newest first. */
  watchesOf(memberId: string, before: string | null, limit: number): Promise<SeatWatch[]> {
    return watchesOfMember(this.database.pool, memberId, before, limit);
  }

  async countOf(memberId: string): Promise<number> {
    const { rows } = await this.database.pool.query({
      name: 'count_seat_watches',
      text: 'select count(*)::int as count from seat_watch where member_id = $1',
      values: [memberId],
    });
    return rows[0].count;
  }

  private async byIds(ids: readonly string[]): Promise<SeatWatch[]> {
    const watches = new Map((await watchesByIds(this.database.pool, ids)).map((watch) => [watch.id, watch]));
    return ids.map((id) => watches.get(id)).filter((watch) => watch !== undefined);
  }

  private async targetsOf({ performanceId, seats, tierId, quantity }: SeatWish): Promise<Targets | Refusal> {
    if ((seats === null) === (tierId === null))
      return new SeatWatchInputError('seats', 'Name either `seats` or `tierId`.', '좌석과 등급 중 하나만 지정해 주세요.');
    if (seats && (seats.length === 0 || seats.length > SEATS_MAX || new Set(seats).size !== seats.length))
      return new SeatWatchInputError(
        'seats',
        `Name 1 to ${SEATS_MAX} different seats.`,
        `서로 다른 좌석을 1개 이상 ${SEATS_MAX}개 이하로 선택해 주세요.`,
      );
    const sheet = await this.sheets.of(performanceId);
    if (!sheet) return new SeatWatchTargetNotFoundError();
    if (seats) return quantity === 1 ? this.seatsOf(sheet, seats) : quantityError(1);
    const tier = sheet.tiers.find(({ id }) => id === tierId);
    if (!tier) return new SeatWatchTargetNotFoundError();
    const quantityMax = tier.zone === null ? QUANTITY_MAX : 1;
    if (quantity < 1 || quantity > quantityMax) return quantityError(quantityMax);
    const poolId = tier.zone === null ? tier.id : sheet.id;
    return { sheet, poolId, quantity, things: [{ tierId: tier.id, seatNumber: null }] };
  }

  private async seatsOf(sheet: PerformanceSheet, numbers: readonly number[]): Promise<Targets | Refusal> {
    const plan = sheet.planId === null ? null : await this.plans.planOf(sheet.planId);
    const tierOf = (number: number) => sheet.tiers.find(({ zone }) => zone !== null && zone === plan?.seats[number]?.zone);
    const unknown = numbers.filter((number) => !tierOf(number));
    if (unknown.length > 0) return new SeatWatchTargetNotFoundError(unknown);
    const things = numbers.map((seatNumber) => ({ tierId: tierOf(seatNumber)?.id as string, seatNumber }));
    return { sheet, poolId: sheet.id, quantity: 1, things };
  }
}

/** What was not chosen is left out, so that naming a default is the same request. */
const requestOf = ({ performanceId, seats, tierId, quantity }: SeatWish) => ({
  performanceId,
  seats: seats && [...seats],
  tierId,
  quantity,
});

const quantityError = (max: number) =>
  new SeatWatchInputError(
    'quantity',
    max === 1 ? 'Numbered seats are followed one by one: leave `quantity` out.' : `The quantity must be 1 to ${max}.`,
    max === 1 ? '지정 좌석은 한 자리씩 알림을 받습니다. 수량을 비워 주세요.' : `수량은 1에서 ${max} 사이여야 합니다.`,
  );

/**
 * Follows what is taken. From the first lock to the commit nothing of the pool is let go to anybody, so what reads as taken here can become free only by way
 * of an offer, which sees this watch. Before the first watch nothing is kept for offers: that one is written under the lock of the pool.
 */
async function follow(em: EntityManager, memberId: string, targets: Targets): Promise<{ watchIds: string[] } | Refusal> {
  const { sheet, poolId, quantity, things } = targets;
  // Two requests of one member take turns, because each counts what the member follows.
  await em.execute('select pg_advisory_xact_lock(hashtextextended(?, 0))', [`seat watcher ${memberId}`]);
  await beginFollowing(em, poolId);
  const [sale] = await em.execute<{ is_watched: boolean; quota_max: number | null; is_over: boolean }[]>(
    'select is_watched, quota_max, coalesce(closes_at, ?::timestamptz) <= clock_timestamp() as is_over from pool where id = ?',
    [sheet.endsAt, poolId],
  );
  if (!sale) return new SeatWatchTargetNotFoundError();
  if (sale.is_over) return new SeatWatchSaleClosedError();
  if (sale.quota_max !== null && quantity > sale.quota_max) return quantityError(sale.quota_max);
  if (!sale.is_watched) await watchPools(em, [poolId], true);

  const standing = await em.execute<Standing[]>(STANDING, [memberId, sheet.id]);
  const watchOf = ({ tierId, seatNumber }: Targets['things'][number]) =>
    standing.find((watch) => watch.state !== 'ENDED' && watch.tierId === tierId && watch.seatNumber === seatNumber);
  const added = things.filter((thing) => !watchOf(thing));
  if (added.length > 0) {
    const refusal = (await notTaken(em, targets, added)) ?? limitOf(standing, added.length);
    if (refusal) return refusal;
  }
  const made = await em.execute<{ id: string; tierId: string; seatNumber: number | null }[]>(
    `insert into seat_watch (member_id, performance_id, tier_id, pool_id, seat_number, quantity)
     select ?::uuid, ?::uuid, t."tierId", ?::uuid, t."seatNumber", ?::int from jsonb_to_recordset(?::jsonb) as t("tierId" uuid, "seatNumber" int)
     returning id, tier_id as "tierId", seat_number as "seatNumber"`,
    [memberId, sheet.id, poolId, quantity, JSON.stringify(added)],
  );
  const madeFor = (thing: Targets['things'][number]) =>
    made.find(({ tierId, seatNumber }) => tierId === thing.tierId && seatNumber === thing.seatNumber);
  return { watchIds: things.map((thing) => (watchOf(thing) ?? madeFor(thing))?.id as string) };
}

const STANDING = `
  select id, tier_id as "tierId", seat_number as "seatNumber", state from seat_watch_now
  where member_id = ? and performance_id = ? and (state <> 'ENDED' or ended_because = 'LAPSED')`;

function limitOf(standing: readonly Standing[], added: number): Refusal | undefined {
  if (standing.filter(({ state }) => state === 'ENDED').length >= OFFERS_LAPSED_MAX) return new SeatOffersLapsedError(OFFERS_LAPSED_MAX);
  if (standing.filter(({ state }) => state === 'WAITING').length + added > WATCHES_WAITING_MAX)
    return new SeatWatchLimitReachedError(WATCHES_WAITING_MAX);
  return undefined;
}

/** Why these cannot be followed: free, or never for sale. What is kept for somebody is taken. */
async function notTaken(em: EntityManager, { poolId, quantity }: Targets, added: Targets['things']): Promise<Refusal | undefined> {
  const [thing] = added;
  if (!thing) return undefined;
  if (thing.seatNumber !== null) {
    const numbers = added.map(({ seatNumber }) => seatNumber as number);
    const units = await em.execute<{ number: number; state: UnitState }[]>(
      'select number, state from unit where pool_id = ? and number = any (?::int[])',
      [poolId, `{${numbers.join(',')}}`],
    );
    const inState = (state: UnitState) => units.filter((unit) => unit.state === state).map(({ number }) => number);
    const unsold = numbers.filter((number) => !units.some((unit) => unit.number === number)).concat(inState('BLOCKED'));
    if (unsold.length > 0) return new SeatWatchTargetNotFoundError(unsold);
    const free = inState('AVAILABLE');
    return free.length > 0 ? new SeatFreeError(free, null) : undefined;
  }
  const isCounted = thing.tierId === poolId;
  const [free] = await em.execute<unknown[]>(
    isCounted ? 'select id from pool_availability where id = ? and free >= ?' : FREE_SEAT_OF_TIER,
    isCounted ? [poolId, quantity] : [poolId, thing.tierId],
  );
  return free ? new SeatFreeError([], thing.tierId) : undefined;
}

const FREE_SEAT_OF_TIER = `
  select u.id from unit u
  join performance f on f.id = u.pool_id join plan_seat s on s.plan_id = f.plan_id and s.number = u.number join tier t on t.performance_id = f.id and t.zone = s.zone
  where u.pool_id = ? and u.state = 'AVAILABLE' and t.id = ? limit 1`;
