import { randomUUID } from 'node:crypto';
import {
  RushBestSeatsDocument,
  RushGiveUpDocument,
  RushHoldTicketsDocument,
  type RushHoldTicketsMutation,
} from '../../../schema/generated/operations.ts';
import { Connections } from '../connections.ts';
import { type Mishaps, NEVER, Player, prepared, Turns, textOf } from '../player.ts';
import { Counter, readingOf, type Tally } from '../tally.ts';
import { type House, partyOf, pickSeats, randomOf } from './house.ts';
import type { MapView } from './map-view.ts';

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
  /** Hold seats at the end, unpaid. */
  holding: number;
  gaveUp: number;
  /** Saw nothing that they could have had. */
  foundNothing: number;
  /** Lost race after race. */
  lostPatience: number;
  /** Had been refused for another reason, or got an error or no answer. */
  refused: number;
}

export interface SeatCrowdResult extends Mishaps {
  /** Attempts to hold seats. */
  holds: Tally;
  payments: Tally;
  ends: Ends;
  /** Alternatives that were offered to losers of a race, tried, and got. */
  alternatives: { offered: number; tried: number; got: number };
  /** Seats the server gave to a member while another one still had them, by what both were told. */
  givenTwice: number;
  seats: { held: number; paid: number; givenUp: number };
  startedAt: number;
  lastAnswerAt: number;
  lastGrantedAt: number | null;
  /** The earliest deadline of a hold, as the server wrote it. */
  firstExpiresAt: string | null;
}

/** Members who pick seats on a map, lose races, take alternatives, give up, or pay. */
export class SeatCrowd {
  readonly progress = { done: 0, seats: 0, paid: 0 };
  private readonly plan: SeatCrowdPlan;
  private readonly connections: Connections;
  private readonly player: Player;
  private readonly turns: Turns;
  private readonly holds: Counter;
  private readonly payments: Counter;
  /** Who has a seat, by what members were told. */
  private readonly has = new Map<number, number>();
  private readonly result: Omit<SeatCrowdResult, 'holds' | 'payments'> = {
    transportFailures: 0,
    sentAgain: 0,
    ends: { paid: 0, holding: 0, gaveUp: 0, foundNothing: 0, lostPatience: 0, refused: 0 },
    alternatives: { offered: 0, tried: 0, got: 0 },
    givenTwice: 0,
    seats: { held: 0, paid: 0, givenUp: 0 },
    startedAt: 0,
    lastAnswerAt: 0,
    lastGrantedAt: null,
    firstExpiresAt: null,
  };

  constructor(plan: SeatCrowdPlan) {
    this.plan = plan;
    this.connections = new Connections(plan.origin, plan.connections);
    this.player = new Player(this.connections, plan.provider);
    this.turns = new Turns(plan.atOnce);
    this.holds = new Counter(plan.accessTokens.length * TRIES_MAX);
    this.payments = new Counter(plan.accessTokens.length);
  }

  prepare(): Promise<void> {
    return this.connections.open();
  }

  /** Everybody, each with the map as it is when they come to look. */
  async rush(map: MapView): Promise<SeatCrowdResult> {
    const clickedAt = performance.now();
    this.result.startedAt = Date.now();
    await Promise.all(
      this.plan.accessTokens.map((accessToken, member) =>
        this.turns.run(async () => {
          const end = await this.play(member, accessToken, map, clickedAt);
          this.result.ends[end]++;
          this.progress.done++;
        }),
      ),
    );
    return { ...this.result, holds: this.holds.result(), payments: this.payments.result() };
  }

  async close(): Promise<void> {
    this.player.close();
    await this.connections.close();
  }

  private async play(member: number, accessToken: string, map: MapView, clickedAt: number): Promise<keyof Ends> {
    const random = randomOf(member);
    let party = partyOf(random);
    let next: number[] | null = null;
    for (let attempt = 1; attempt <= TRIES_MAX; attempt++) {
      const isAlternative = next !== null;
      const seats = next ?? (await this.choose(map, party, random, accessToken));
      if (!seats && party === 1) return 'foundNothing';
      if (!seats) {
        // Better one seat than none.
        party = 1;
        continue;
      }
      const { result } = this;
      if (isAlternative) result.alternatives.tried++;
      const input = { performanceId: this.plan.performanceId, seats, idempotencyKey: randomUUID() };
      const answer = await this.player.answerTo(prepared(HOLD, accessToken, { input }), result);
      const reading = answer && readingOf<HoldSuccess>(answer.status, answer.body);
      this.holds.count(reading, answer ?? NEVER, clickedAt);
      result.lastAnswerAt = Date.now();
      if (reading && 'granted' in reading) {
        if (isAlternative) result.alternatives.got++;
        return this.won(member, accessToken, reading.granted.hold, seats, random);
      }
      if (!answer || !reading || !('refused' in reading) || reading.refused !== 'SEAT_TAKEN') return 'refused';
      const offered = alternativesIn(answer.body);
      if (offered.length > 0) result.alternatives.offered++;
      next = offered.length > 0 && random() < TAKES_ALTERNATIVE ? (offered[Math.floor(random() * offered.length)] ?? null) : null;
    }
    return 'lostPatience';
  }

  /** Some let the house choose, most pick what looks free to them. */
  private async choose(map: MapView, party: number, random: () => number, accessToken: string): Promise<number[] | null> {
    if (random() >= LETS_CHOOSE) return pickSeats(this.plan.house, map.states, party, random);
    const variables = { performanceId: this.plan.performanceId, count: party };
    const answer = await this.player.answerTo(prepared(BEST, accessToken, variables), this.result);
    const groups = answer ? seatsIn(JSON.parse(answer.body).data?.findBestSeats ?? []) : [];
    return groups[Math.floor(random() * groups.length)] ?? null;
  }

  private async won(
    member: number,
    accessToken: string,
    hold: HoldSuccess['hold'],
    seats: number[],
    random: () => number,
  ): Promise<keyof Ends> {
    const { result } = this;
    for (const seat of seats) {
      if (this.has.has(seat)) result.givenTwice++;
      this.has.set(seat, member);
    }
    result.seats.held += seats.length;
    this.progress.seats += seats.length;
    result.lastGrantedAt = result.lastAnswerAt;
    if (!result.firstExpiresAt || hold.expiresAt < result.firstExpiresAt) result.firstExpiresAt = hold.expiresAt;
    const share = random();
    if (share < this.plan.pay) {
      const paid = await this.player.pay(hold.id, accessToken, this.payments, result);
      if (paid?.state !== 'APPROVED') return 'holding';
      result.seats.paid += seats.length;
      this.progress.paid += seats.length;
      return 'paid';
    }
    if (share >= this.plan.pay + this.plan.abandon) return 'holding';
    // From the moment the request leaves somebody else may rightly be given them.
    for (const seat of seats) if (this.has.get(seat) === member) this.has.delete(seat);
    const answer = await this.player.answerTo(prepared(GIVE_UP, accessToken, { input: { holdId: hold.id } }), result);
    if (!answer?.body.includes('"CancelBookingSuccess"')) return 'holding';
    result.seats.givenUp += seats.length;
    this.progress.seats -= seats.length;
    return 'gaveUp';
  }
}

/** Nobody tries for ever. */
const TRIES_MAX = 8;
const TAKES_ALTERNATIVE = 0.7;
const LETS_CHOOSE = 0.3;

type HoldSuccess = Extract<RushHoldTicketsMutation['holdTickets'], { __typename: 'HoldTicketsSuccess' }>;

interface Group {
  seats: { seat: { number: number } }[];
}

const seatsIn = (groups: readonly Group[]) => groups.map(({ seats }) => seats.map(({ seat }) => seat.number));
const alternativesIn = (body: string) => seatsIn(JSON.parse(body).data.holdTickets.alternatives ?? []);

const HOLD = textOf(RushHoldTicketsDocument);
const BEST = textOf(RushBestSeatsDocument);
const GIVE_UP = textOf(RushGiveUpDocument);
