import { randomUUID } from 'node:crypto';
import {
  RushBestSeatsDocument,
  type RushBestSeatsQuery,
  RushGiveUpDocument,
  RushHoldTicketsDocument,
  type RushHoldTicketsMutation,
} from '../../../schema/generated/operations.ts';
import { Connections } from '../connections.ts';
import { type Mishaps, NEVER, Player, prepared, textOf } from '../player.ts';
import { Counter, type Reading, readingOf, type Tally } from '../tally.ts';
import { type House, partyOf, pickSeats, randomOf } from './house.ts';
import type { MapView } from './map-view.ts';
import { SeatOwners } from './seat-owners.ts';

export interface SeatCrowdPlan {
  origin: string;
  performanceId: string;
  house: House;
  /** One of each member. */
  accessTokens: string[];
  connections: number;
  /** Members who look at the map or wait for an answer at the same moment; the next comes when one has finished. */
  atOnce: number;
  /** Share of the winners who pay, and who give up again. */
  pay: number;
  abandon: number;
  provider: string;
}

/** How the members ended. */
export interface Ends {
  paid: number;
  /** Got seats and neither paid for them nor gave them up. */
  unpaid: number;
  gaveUp: number;
  /** Saw nothing that they could have had. */
  foundNothing: number;
  /** Lost race after race. */
  lostPatience: number;
  /** Were refused for another reason than that the seats were taken. */
  refused: number;
  /** Got an error, or no answer. */
  failed: number;
}

export interface SeatCrowdResult extends Mishaps {
  /** Attempts to hold seats, from the click on them. */
  holds: Tally;
  payments: Tally;
  /** Questions for the best seats. */
  searches: Tally;
  cancellations: Tally;
  ends: Ends;
  /** Lost races whose answer offered other seats; attempts at those, and how many of them got them. */
  alternatives: { offered: number; tried: number; got: number };
  /** Seats that two members had at the same time, by what both were told. */
  givenTwice: number;
  /** Seats, by what members were told. `unsure`: of requests of which nobody was told whether they were done. */
  seats: { given: number; paid: number; givenUp: number; unsure: number };
  /** Milliseconds from the moment a member came to look until they had seats, one of each winner. */
  toSeats: Float64Array;
  /** Milliseconds from the beginning to the last seats given, the last attempt answered, and the end of the last member. */
  lastGivenMs: number | null;
  lastAnswerMs: number | null;
  tookMs: number;
  /** The earliest deadline of a hold, as the server wrote it. */
  firstExpiresAt: string | null;
}

/** Members who pick seats on a map, lose races, take alternatives, give up, or pay. */
export class SeatCrowd {
  readonly progress = { done: 0, seats: 0, paid: 0 };
  private readonly plan: SeatCrowdPlan;
  private readonly connections: Connections;
  private readonly player: Player;
  private readonly holds: Counter;
  private readonly payments: Counter;
  private readonly searches: Counter;
  private readonly cancellations: Counter;
  private readonly owners = new SeatOwners();
  private readonly toSeats: number[] = [];
  private readonly result: Omit<SeatCrowdResult, 'holds' | 'payments' | 'searches' | 'cancellations' | 'givenTwice' | 'toSeats'> = {
    transportFailures: 0,
    sentAgain: 0,
    ends: { paid: 0, unpaid: 0, gaveUp: 0, foundNothing: 0, lostPatience: 0, refused: 0, failed: 0 },
    alternatives: { offered: 0, tried: 0, got: 0 },
    seats: { given: 0, paid: 0, givenUp: 0, unsure: 0 },
    lastGivenMs: null,
    lastAnswerMs: null,
    tookMs: 0,
    firstExpiresAt: null,
  };
  private startedAt = 0;

  constructor(plan: SeatCrowdPlan) {
    const members = plan.accessTokens.length;
    this.plan = plan;
    this.connections = new Connections(plan.origin, plan.connections);
    this.player = new Player(this.connections, plan.provider);
    this.holds = new Counter(members * ATTEMPTS_MAX);
    this.payments = new Counter(members);
    // Whoever finds nothing for all looks once more for one.
    this.searches = new Counter(members * ATTEMPTS_MAX * 2);
    this.cancellations = new Counter(members);
  }

  prepare(): Promise<void> {
    return this.connections.open();
  }

  /** Everybody, each with the map as it is when they choose. */
  async rush(map: MapView): Promise<SeatCrowdResult> {
    const { accessTokens, atOnce } = this.plan;
    this.startedAt = performance.now();
    let next = 0;
    const oneAfterTheOther = async () => {
      while (next < accessTokens.length) {
        const member = next++;
        const end = await this.play(member, accessTokens[member] as string, map);
        this.result.ends[end]++;
        this.progress.done++;
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, accessTokens.length) }, oneAfterTheOther));
    return {
      ...this.result,
      tookMs: this.sinceStart(),
      holds: this.holds.result(),
      payments: this.payments.result(),
      searches: this.searches.result(),
      cancellations: this.cancellations.result(),
      givenTwice: this.owners.givenTwice,
      toSeats: Float64Array.from(this.toSeats),
    };
  }

  async close(): Promise<void> {
    this.player.close();
    await this.connections.close();
  }

  private async play(member: number, accessToken: string, map: MapView): Promise<keyof Ends> {
    const { result } = this;
    const cameAt = performance.now();
    const random = randomOf(member);
    let party = partyOf(random);
    let offered: number[] | null = null;
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const isAlternative: boolean = offered !== null;
      let seats: number[] | null = offered ?? (await this.choose(map, party, accessToken, random));
      // Better one seat than none.
      if (!seats && party > 1) seats = await this.choose(map, 1, accessToken, random);
      if (!seats) return 'foundNothing';
      party = seats.length;
      if (isAlternative) result.alternatives.tried++;
      const clickedAt = performance.now();
      const input = { performanceId: this.plan.performanceId, seats, idempotencyKey: randomUUID() };
      const { reading, body } = await this.ask<HoldSuccess>(HOLD, accessToken, { input }, this.holds, clickedAt);
      if (reading) result.lastAnswerMs = this.sinceStart();
      if (!reading || 'error' in reading) {
        result.seats.unsure += seats.length;
        return 'failed';
      }
      if ('granted' in reading) {
        if (isAlternative) result.alternatives.got++;
        this.toSeats.push(performance.now() - cameAt);
        return this.won({ member, accessToken, hold: reading.granted.hold, seats }, random());
      }
      if (reading.refused !== 'SEAT_TAKEN') return 'refused';
      const groups = seatsIn(JSON.parse(body).data.holdTickets.alternatives);
      if (groups.length > 0) result.alternatives.offered++;
      offered = random() < TAKES_ALTERNATIVE ? oneOf(groups, random) : null;
    }
    return 'lostPatience';
  }

  /** Some let the house choose; most, and who gets no answer, pick what looks free to them. */
  private async choose(map: MapView, party: number, accessToken: string, random: () => number): Promise<number[] | null> {
    if (random() < LETS_CHOOSE) {
      const variables = { performanceId: this.plan.performanceId, count: party };
      const { reading } = await this.ask<Group[]>(BEST, accessToken, variables, this.searches, performance.now());
      if (reading && 'granted' in reading) return oneOf(seatsIn(reading.granted), random);
    }
    return pickSeats(this.plan.house, map.states, party, random);
  }

  private async won({ member, accessToken, hold, seats }: Won, share: number): Promise<keyof Ends> {
    const { pay, abandon } = this.plan;
    const { result, progress, owners } = this;
    owners.give(member, seats, hold);
    result.seats.given += seats.length;
    progress.seats += seats.length;
    result.lastGivenMs = this.sinceStart();
    if (!result.firstExpiresAt || hold.expiresAt < result.firstExpiresAt) result.firstExpiresAt = hold.expiresAt;
    if (share < pay) {
      const { state } = await this.player.pay(hold.id, accessToken, this.payments, result);
      if (state === 'PENDING' || state === 'UNKNOWN') result.seats.unsure += seats.length;
      if (state !== 'APPROVED') return 'unpaid';
      owners.sell(member, seats);
      result.seats.paid += seats.length;
      progress.paid += seats.length;
      return 'paid';
    }
    if (share >= pay + abandon) return 'unpaid';
    // From the moment the request leaves somebody else may rightly be given them.
    owners.giveUp(member, seats);
    const input = { holdId: hold.id };
    const { reading } = await this.ask<object>(GIVE_UP, accessToken, { input }, this.cancellations, performance.now());
    if (!reading || 'error' in reading) result.seats.unsure += seats.length;
    if (!reading || !('granted' in reading)) return 'unpaid';
    result.seats.givenUp += seats.length;
    progress.seats -= seats.length;
    return 'gaveUp';
  }

  private async ask<Success>(
    query: string,
    accessToken: string,
    variables: object,
    counter: Counter,
    wantedAt: number,
  ): Promise<{ reading: Reading<Success> | undefined; body: string }> {
    const answer = await this.player.answerTo(prepared(query, accessToken, variables), this.result);
    const reading = answer && readingOf<Success>(answer.status, answer.body);
    counter.count(reading, answer ?? NEVER, wantedAt);
    return { reading, body: answer?.body ?? '' };
  }

  private sinceStart(): number {
    return performance.now() - this.startedAt;
  }
}

interface Won {
  member: number;
  accessToken: string;
  hold: HoldSuccess['hold'];
  seats: number[];
}

/** Nobody tries for ever. */
const ATTEMPTS_MAX = 8;
const TAKES_ALTERNATIVE = 0.7;
const LETS_CHOOSE = 0.3;

type HoldSuccess = Extract<RushHoldTicketsMutation['holdTickets'], { __typename: 'HoldTicketsSuccess' }>;
type Group = NonNullable<RushBestSeatsQuery['findBestSeats']>[number];

const seatsIn = (groups: readonly Group[]): number[][] => groups.map(({ seats }) => seats.map(({ seat }) => seat.number));
const oneOf = (groups: readonly number[][], random: () => number): number[] | null => groups[Math.floor(random() * groups.length)] ?? null;

const HOLD = textOf(RushHoldTicketsDocument);
const BEST = textOf(RushBestSeatsDocument);
const GIVE_UP = textOf(RushGiveUpDocument);
