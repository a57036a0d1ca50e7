import { randomUUID } from 'node:crypto';
import { RushEnrollDocument, type RushEnrollMutation } from '../../schema/generated/operations.ts';
import { Connections, type PreparedRequest } from './connections.ts';
import { type Mishaps, NEVER, Player, prepared, textOf } from './player.ts';
import { AnswerReader, Counter, merged, type Tally } from './tally.ts';
import { type Watched, Watcher } from './watcher.ts';

/** The members one crowd plays. */
export interface CrowdPlan {
  origin: string;
  lessonId: string;
  /** One of each member who enrols. */
  accessTokens: string[];
  /** The first so many of them watch too. */
  watchers: number;
  connections: number;
  /** Share of the winners who pay. */
  pay: number;
  /** With whom they pay: a provider the server simulates. */
  provider: string;
  lockers: boolean;
}

/** Instants are milliseconds since the epoch; null where there was no such answer. */
export interface CrowdResult extends Mishaps {
  enrolments: Tally;
  payments: Tally;
  startedAt: number;
  lastGrantedAt: number | null;
  lastEnrolledAt: number | null;
  lastPaidAt: number | null;
  /** The earliest deadline of a hold, as the server wrote it. */
  firstExpiresAt: string | null;
}

export interface Progress {
  answered: number;
  won: number;
  paid: number;
}

/** Members and watchers, in whatever process they are played. */
export interface Crowd {
  /** Requests are written, watchers have their first state, connections are open. */
  prepare(): Promise<void>;
  /** Everybody at once. */
  rush(): Promise<CrowdResult>;
  readonly progress: Progress;
  watched(): Promise<Watched[]>;
  close(): Promise<void>;
}

/** Plays all members of a plan in this process. */
export class LocalCrowd implements Crowd {
  readonly progress: Progress = { answered: 0, won: 0, paid: 0 };
  private readonly plan: CrowdPlan;
  private readonly connections: Connections;
  private readonly watchers: Watcher[];
  private requests: PreparedRequest[] = [];
  private readonly player: Player;

  constructor(plan: CrowdPlan) {
    this.plan = plan;
    this.connections = new Connections(plan.origin, plan.connections);
    this.player = new Player(this.connections, plan.provider);
    this.watchers = plan.accessTokens.slice(0, plan.watchers).map((token) => new Watcher(plan.origin, plan.lessonId, token));
  }

  async prepare(): Promise<void> {
    const { lessonId, lockers, accessTokens } = this.plan;
    this.requests = accessTokens.map((token) =>
      prepared(ENROLL, token, { input: { lessonId, withLocker: lockers, idempotencyKey: randomUUID() } }),
    );
    // So many handshakes at a time: more would only wait in the backlog of the server's socket.
    for (let first = 0; first < this.watchers.length; first += HANDSHAKES)
      await Promise.all(this.watchers.slice(first, first + HANDSHAKES).map((watcher) => watcher.start()));
    await this.connections.open();
  }

  async rush(): Promise<CrowdResult> {
    const scene = new Scene(this.requests.length);
    await Promise.all(this.requests.map((request, index) => this.enrol(request, this.plan.accessTokens[index] as string, scene)));
    return scene.result();
  }

  async watched(): Promise<Watched[]> {
    return this.watchers.map(({ watched }) => watched);
  }

  async close(): Promise<void> {
    this.player.close();
    await Promise.all([this.connections.close(), ...this.watchers.map((watcher) => watcher.stop())]);
  }

  private async enrol(request: PreparedRequest, accessToken: string, scene: Scene): Promise<void> {
    const answer = await this.player.answerTo(request, scene);
    const reading = answer && scene.enrolReader.read(answer);
    scene.enrolments.count(reading, answer ?? NEVER, scene.clickedAt);
    this.progress.answered++;
    if (answer) scene.lastEnrolledAt = answer.endedAt;
    if (!answer || !reading || !('granted' in reading)) return;

    this.progress.won++;
    scene.lastGrantedAt = answer.endedAt;
    const { id: holdId, expiresAt } = reading.granted.enrollment;
    if (!scene.firstExpiresAt || expiresAt < scene.firstExpiresAt) scene.firstExpiresAt = expiresAt;
    // Every second winner for a share of 0.5, every fourth for 0.25.
    const winners = scene.enrolments.granted;
    if (Math.floor(winners * this.plan.pay) <= Math.floor((winners - 1) * this.plan.pay)) return;
    const paid = await this.player.pay(holdId, accessToken, scene.payments, scene);
    if (paid.paidAt !== null) scene.lastPaidAt = paid.paidAt;
    this.progress.paid = scene.payments.granted;
  }
}

/** What one rush writes down. Instants by `performance.now()`. */
class Scene implements Mishaps {
  readonly enrolments: Counter;
  readonly payments: Counter;
  readonly enrolReader = new AnswerReader<EnrollSuccess>();
  transportFailures = 0;
  sentAgain = 0;
  lastGrantedAt: number | null = null;
  lastEnrolledAt: number | null = null;
  lastPaidAt: number | null = null;
  firstExpiresAt: string | null = null;
  readonly clickedAt: number;

  constructor(members: number) {
    this.enrolments = new Counter(members);
    this.payments = new Counter(members);
    this.clickedAt = performance.now();
  }

  result(): CrowdResult {
    return {
      enrolments: this.enrolments.result(),
      payments: this.payments.result(),
      transportFailures: this.transportFailures,
      sentAgain: this.sentAgain,
      startedAt: performance.timeOrigin + this.clickedAt,
      lastGrantedAt: atEpoch(this.lastGrantedAt),
      lastEnrolledAt: atEpoch(this.lastEnrolledAt),
      lastPaidAt: atEpoch(this.lastPaidAt),
      firstExpiresAt: this.firstExpiresAt,
    };
  }
}

/** One result of several crowds that rushed together. */
export function mergedResults(results: readonly CrowdResult[]): CrowdResult {
  const sum = (numberOf: (result: CrowdResult) => number) => results.reduce((total, result) => total + numberOf(result), 0);
  const latest = (instantOf: (result: CrowdResult) => number | null) =>
    results.reduce<number | null>((last, result) => {
      const instant = instantOf(result);
      return instant !== null && (last === null || instant > last) ? instant : last;
    }, null);
  return {
    enrolments: merged(results.map((result) => result.enrolments)),
    payments: merged(results.map((result) => result.payments)),
    transportFailures: sum((result) => result.transportFailures),
    sentAgain: sum((result) => result.sentAgain),
    startedAt: Math.min(...results.map((result) => result.startedAt)),
    lastGrantedAt: latest((result) => result.lastGrantedAt),
    lastEnrolledAt: latest((result) => result.lastEnrolledAt),
    lastPaidAt: latest((result) => result.lastPaidAt),
    firstExpiresAt:
      results
        .map((result) => result.firstExpiresAt)
        .filter((instant) => instant !== null)
        .sort()[0] ?? null,
  };
}

const HANDSHAKES = 100;

type EnrollSuccess = Extract<RushEnrollMutation['enroll'], { __typename: 'EnrollSuccess' }>;

const ENROLL = textOf(RushEnrollDocument);

const atEpoch = (now: number | null) => (now === null ? null : performance.timeOrigin + now);
