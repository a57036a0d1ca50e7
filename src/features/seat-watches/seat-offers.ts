import type { EntityManager } from '@mikro-orm/postgresql';
import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import type { ClaimAnswer, ClaimItem } from '../../inventory/claim.ts';
import type { PoolRow } from '../../inventory/decide-claims.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import {
  type KeptUnit,
  keepFor,
  keepPlaces,
  keptUnits,
  letGoPlaces,
  letGoUnits,
  mayOffer,
  mayOfferPlaces,
  takeKeptPlaces,
} from '../../inventory/units.ts';
import type { Database } from '../../platform/database/database.ts';
import { requestHash } from '../../platform/idempotency/index.ts';
import { type PerformanceSheets, performanceKind, tierKind } from '../events/index.ts';
import type { SeatPlans } from '../venues/index.ts';
import type { TellFollowers } from './live-watches.ts';
import { type SeatWatchEnd, stopFollowing } from './seat-watch.ts';

/** How long an offer is good for: long enough to be told and to begin to pay, short enough that the tenth follower is still asked today. */
export const OFFER_SECONDS = 120;

/** The pause between two rounds while something is followed: how late what another process gave back is noticed at most. */
const ROUND_EVERY_MS = 250;
/** The same while nothing is followed: then a round is one statement that finds nothing. */
const IDLE_ROUND_EVERY_MS = 1_000;
/** What this process gives back is offered at once; a rush changes a pool many times within this. */
const GATHER_MS = 20;
/** Units offered in one round, and followers asked for one of them or for the places of one tier; the next one follows at once when there are more. */
const ROUND_MAX = 200;

export interface SeatOffersParts {
  database: Database;
  inventory: Inventory;
  sheets: PerformanceSheets;
  plans: SeatPlans;
  tell: TellFollowers;
  registry: Registry;
  logger: Logger;
}

/** Whose turn it is for what. */
interface Queue {
  poolId: string;
  tierId: string;
  /** Null: places without numbers. */
  seatNumber: number | null;
  /** Who wants more is passed over. */
  quantityMax: number;
}

interface Follower {
  id: string;
  memberId: string;
  quantity: number;
}

/** `OFFERED`; `MORE`: and there may be some for the next one; `REFUSED`: the next one is asked; `NOBODY`: there is no next one; `GONE`: somebody else has it. */
interface Asked {
  outcome: 'OFFERED' | 'MORE' | 'REFUSED' | 'NOBODY' | 'GONE';
  memberId: string | null;
  pools: PoolRow[];
}

/** What there is to do; `pools` without doubles. */
interface Work {
  watched: string[];
  /** Watched pools whose sale is over, that nobody follows any more, and tiers without numbers that have what somebody waits for, or what is kept. */
  over: string[];
  unfollowed: string[];
  roomy: string[];
  isKept: boolean;
  isOffered: boolean;
}

/**
 * Offers what is given back to those who follow it, first come first served, one at a time. Every process runs it: a unit and a follower are each locked by whoever
 * is at them and passed over by the others, so each unit is offered once; of a tier without numbers one process offers the places. Nothing is kept in memory: after a
 * crash any process goes on. Nothing can be lost to a stranger: what is given back in a watched pool is kept.
 */
export class SeatOffers {
  private watched = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private running: Promise<void> | undefined;
  private isStarted = false;
  private isHurried = false;
  private isBusy = false;
  private readonly made: Counter;

  constructor(private readonly parts: SeatOffersParts) {
    this.made = new Counter({
      name: 'lastseat_seat_offers_total',
      help: 'Followers whose turn came: offered what they follow, or refused it by a rule of the sale, which ends their watch.',
      labelNames: ['outcome'],
      registers: [parts.registry],
    });
  }

  start(): void {
    this.isStarted = true;
    this.schedule(0);
  }

  async stop(): Promise<void> {
    this.isStarted = false;
    clearTimeout(this.timer);
    await this.running;
  }

  /** This process has changed a pool: if it is followed, something may have been given back. */
  changed(poolId: string): void {
    if (this.watched.has(poolId)) this.hurry();
  }

  /** Something of a pool is followed from now on. */
  follow(poolId: string): void {
    this.watched.add(poolId);
    this.hurry();
  }

  /** Offers everything there is to offer. */
  async round(): Promise<void> {
    const { pool } = this.parts.database;
    const { rows } = await pool.query<Work>({ name: 'seat_watch_work', text: WORK });
    const work = rows[0] as Work;
    this.watched = new Set(work.watched);
    this.isBusy = work.watched.length > 0 || work.isOffered || work.isKept;
    if (work.isOffered) await this.write(END_OVER_OFFERS, []);
    if (work.over.length > 0) await this.write(END_UNSOLD, [work.over]);
    if (work.isKept) await this.offerUnits();
    for (const id of work.roomy) await this.attempt(() => this.askInTurn(() => this.askForPlaces(id)), id);
    for (const poolId of work.unfollowed) await this.attempt(() => this.unwatch(poolId), poolId);
  }

  private hurry(): void {
    this.isHurried = true;
    if (this.isStarted && !this.running) this.schedule(GATHER_MS);
  }

  private schedule(inMs: number): void {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.isHurried = false;
      this.running = this.round()
        .catch((error) => this.parts.logger.warn({ err: error }, 'offering what is followed failed; the next round tries again'))
        .finally(() => {
          this.running = undefined;
          if (this.isStarted) this.schedule(this.isHurried ? GATHER_MS : this.isBusy ? ROUND_EVERY_MS : IDLE_ROUND_EVERY_MS);
        });
    }, inMs);
  }

  private async offerUnits(): Promise<void> {
    const units = await keptUnits(this.parts.database.pool, ROUND_MAX);
    for (const unit of units) await this.attempt(() => this.offerUnit(unit), unit.id);
    if (units.length === ROUND_MAX) this.isHurried = true;
  }

  /** One thing that cannot be offered must not stand before all the others. */
  private async attempt(work: () => Promise<void>, id: string): Promise<void> {
    await work().catch((error) =>
      this.parts.logger.warn({ err: error, id }, 'something followed could not be offered; the next round tries again'),
    );
  }

  private async offerUnit(unit: KeptUnit): Promise<void> {
    const sheet = await this.parts.sheets.of(unit.poolId);
    const plan = sheet?.planId ? await this.parts.plans.planOf(sheet.planId) : null;
    const tier = sheet?.tiers.find(({ zone }) => zone !== null && zone === plan?.seats[unit.number]?.zone);
    if (!tier) throw new Error(`Unit ${unit.id} is kept, but it is no seat of a performance.`);
    await this.askInTurn(() => this.askForUnit(unit, { poolId: unit.poolId, tierId: tier.id, seatNumber: unit.number, quantityMax: 1 }));
  }

  /** Each is asked in a transaction of its own: a second claim in one would take its locks in the wrong order. */
  private async askInTurn(ask: () => Promise<Asked>): Promise<void> {
    const told = new Set<string>();
    let asked: Asked;
    let turns = 0;
    do {
      turns += 1;
      asked = await ask();
      this.parts.inventory.tell(asked.pools);
      if (asked.memberId) told.add(asked.memberId);
      if (asked.outcome === 'OFFERED' || asked.outcome === 'MORE') this.made.inc({ outcome: 'offered' });
      if (asked.outcome === 'REFUSED') this.made.inc({ outcome: 'refused' });
    } while ((asked.outcome === 'REFUSED' || asked.outcome === 'MORE') && turns < ROUND_MAX);
    if (turns === ROUND_MAX) this.isHurried = true;
    if (told.size > 0) await this.parts.tell([...told]);
  }

  private askForUnit(unit: KeptUnit, queue: Queue): Promise<Asked> {
    return this.parts.database.transact(
      async (em) => {
        if (!(await mayOffer(em, unit.id))) return { outcome: 'GONE', memberId: null, pools: [] };
        const follower = (await nextFollower(em, queue)) ?? (await lastFollower(em, queue));
        if (!follower) return { outcome: 'NOBODY', memberId: null, pools: await letGoUnits(em, [unit.id]) };
        if (!(await keepFor(em, unit.id, follower.memberId))) return { outcome: 'GONE', memberId: null, pools: [] };
        const asked = await this.claimFor(em, follower, {
          kind: performanceKind.name,
          poolId: unit.poolId,
          unitId: unit.id,
          quantity: 1,
        });
        if (asked.outcome !== 'OFFERED') await keepFor(em, unit.id, null);
        return asked;
      },
      { name: 'offer-seat' },
    );
  }

  /** The first whose quantity there is, so that no place lies idle while a larger party waits; what fits nobody is let go. */
  private askForPlaces(tierId: string): Promise<Asked> {
    return this.parts.database.transact(
      async (em) => {
        if (!(await mayOfferPlaces(em, tierId))) return { outcome: 'GONE', memberId: null, pools: [] };
        const [left] = await em.execute<{ places: number }[]>('select free + kept as places from pool_availability where id = ?', [tierId]);
        const queue = { poolId: tierId, tierId, seatNumber: null, quantityMax: left?.places ?? 0 };
        const follower = (await nextFollower(em, queue)) ?? (await lastFollower(em, queue));
        if (!follower) return { outcome: 'NOBODY', memberId: null, pools: await letGoPlaces(em, tierId) };
        const { memberId, quantity } = follower;
        const taken = await takeKeptPlaces(em, tierId, memberId, quantity);
        const asked = await this.claimFor(em, follower, { kind: tierKind.name, poolId: tierId, unitId: null, quantity });
        if (asked.outcome === 'OFFERED') return { ...asked, outcome: 'MORE' };
        const kept = await keepPlaces(em, tierId, taken);
        return { ...asked, pools: [...asked.pools.filter(({ id }) => id !== tierId || taken === 0), ...kept] };
      },
      { name: 'offer-places' },
    );
  }

  private async claimFor(em: EntityManager, follower: Follower, item: ClaimItem): Promise<Asked> {
    const { answer, pools } = await this.parts.inventory.placeIn(em, {
      kind: performanceKind.name,
      claimantId: follower.memberId,
      idempotencyKey: `watch ${follower.id}`,
      requestHash: requestHash('seatWatch', { watchId: follower.id }),
      clientIp: null,
      items: [item],
    });
    const { memberId } = follower;
    if (answer.outcome === 'GRANTED') {
      // The update also raises the hold's version, so that an offer that runs out is not counted as one its member abandoned.
      await em.execute(
        'update hold set expires_at = clock_timestamp() + make_interval(secs => ?), changed_at = clock_timestamp() where id = ?',
        [OFFER_SECONDS, answer.holdId],
      );
      await em.execute(`update seat_watch set state = 'OFFERED', hold_id = ? where id = ?`, [answer.holdId, follower.id]);
      return { outcome: 'OFFERED', memberId, pools };
    }
    const because = endOf(answer);
    // A stranger was faster: the follower goes on waiting.
    if (because === null) return { outcome: 'GONE', memberId: null, pools };
    await em.execute(`update seat_watch set state = 'ENDED', ended_because = ? where id = ?`, [because, follower.id]);
    return { outcome: 'REFUSED', memberId, pools };
  }

  private async unwatch(poolId: string): Promise<void> {
    await this.parts.database.transact(
      async (em) => {
        await stopFollowing(em, poolId);
        await em.execute(UNWATCH, [poolId]);
      },
      { name: 'unwatch-pool' },
    );
  }

  /** Writes down what has ended by itself, and tells its members. */
  private async write(statement: { name: string; text: string }, values: unknown[]): Promise<void> {
    const { rows } = await this.parts.database.pool.query<{ member_id: string }>({ ...statement, values });
    if (rows.length > 0) await this.parts.tell([...new Set(rows.map(({ member_id }) => member_id))]);
  }
}

/** The first who waits and whom nobody is asking at this moment, locked. */
const nextFollower = (em: EntityManager, queue: Queue) => readFollower(em, queue, 'for update skip locked');

/** Whether there really is nobody: neither somebody who is about to follow, nor somebody who is being asked or about to leave and may go on waiting. */
async function lastFollower(em: EntityManager, queue: Queue): Promise<Follower | undefined> {
  await stopFollowing(em, queue.poolId);
  return readFollower(em, queue, 'for update');
}

async function readFollower(em: EntityManager, queue: Queue, lock: string): Promise<Follower | undefined> {
  const [follower] = await em.execute<Follower[]>(
    `select id, member_id as "memberId", quantity from seat_watch
     where pool_id = ? and tier_id = ? and state = 'WAITING' and (seat_number is null or seat_number = ?::int) and quantity <= ?
     order by created_at, id limit 1 ${lock}`,
    [queue.poolId, queue.tierId, queue.seatNumber, queue.quantityMax],
  );
  return follower;
}

/** Why a claim that was refused ends the watch; null when it does not. */
function endOf(answer: Exclude<ClaimAnswer, { outcome: 'GRANTED' }>): SeatWatchEnd | null {
  switch (answer.outcome) {
    case 'CLAIMANT_LIMIT':
    case 'QUOTA_REACHED':
      return 'LIMIT_REACHED';
    case 'COOLING_DOWN':
      return 'COOLING_DOWN';
    case 'NOT_YET_ON_SALE':
    case 'SALE_CLOSED':
      return 'NOT_ON_SALE';
    case 'UNIT_TAKEN':
    case 'SOLD_OUT':
      return null;
    case 'REPLAYED':
    case 'KEY_REUSED':
    case 'NOT_FOUND':
    case 'BUSY':
      throw new Error(`A watch is offered once, and what it follows exists, so the kernel cannot answer ${answer.outcome}.`);
    default:
      return answer satisfies never;
  }
}

/** One statement, because every process sends it again and again: each part is an index that is empty when there is nothing to do. */
const WORK = `
  with pools as (
    select p.id, p.kind, p.kept, coalesce(p.closes_at, f.ends_at) <= clock_timestamp() as is_over,
      exists (select from seat_watch w where w.pool_id = p.id and w.state = 'WAITING') as is_followed
    from pool p left join tier t on t.id = p.id left join performance f on f.id = coalesce(t.performance_id, p.id) where p.is_watched)
  select coalesce(array_agg(id), '{}') as watched,
    coalesce(array_agg(id) filter (where is_over and is_followed), '{}') as over,
    coalesce(array_agg(id) filter (where not is_followed), '{}') as unfollowed,
    (select coalesce(array_agg(a.id), '{}') from pools p join pool_availability a on a.id = p.id
     where p.kind = '${tierKind.name}'
       and (p.kept > 0 or exists (select from seat_watch w where w.pool_id = a.id and w.state = 'WAITING' and w.quantity <= a.free + a.kept))) as roomy,
    exists (select from unit where state = 'KEPT') as "isKept",
    exists (select from seat_watch where state = 'OFFERED') as "isOffered"
  from pools`;

const END_OVER_OFFERS = {
  name: 'end_seat_offers',
  text: `update seat_watch w set state = 'ENDED', ended_because = n.ended_because from seat_watch_now n
         where n.id = w.id and w.state = 'OFFERED' and n.state = 'ENDED' returning w.member_id`,
};

const END_UNSOLD = {
  name: 'end_unsold_seat_watches',
  text: `update seat_watch set state = 'ENDED', ended_because = 'NOT_ON_SALE' where pool_id = any ($1::uuid[]) and state = 'WAITING' returning member_id`,
};

/** Only while nothing is followed, which nobody can begin to do before this is committed. */
const UNWATCH = `
  update pool set is_watched = false
  where id = ? and is_watched and kept = 0 and not exists (select from seat_watch w where w.pool_id = pool.id and w.state = 'WAITING')`;
