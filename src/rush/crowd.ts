import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type DocumentNode, print } from 'graphql';
import {
  RushEnrollDocument,
  type RushEnrollMutation,
  RushPayDocument,
  type RushPayMutation,
  RushPaymentDocument,
} from '../../schema/generated/operations.ts';
import { payAs } from '../simulator/customer.ts';
import { type Answer, Connections, type PreparedRequest } from './connections.ts';
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
export interface CrowdResult {
  enrolments: Tally;
  payments: Tally;
  /** Answers that never came. */
  transportFailures: number;
  /** Requests sent again with the same idempotency key, after such a failure, a 5xx, or because the server was too busy. */
  sentAgain: number;
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
  private readonly atProvider = new Turns(AT_PROVIDER_MAX);
  private isClosed = false;

  constructor(plan: CrowdPlan) {
    this.plan = plan;
    this.connections = new Connections(plan.origin, plan.connections);
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
    this.isClosed = true;
    await Promise.all([this.connections.close(), ...this.watchers.map((watcher) => watcher.stop())]);
  }

  private async enrol(request: PreparedRequest, accessToken: string, scene: Scene): Promise<void> {
    const answer = await this.answerTo(request, scene);
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
    if (Math.floor(winners * this.plan.pay) > Math.floor((winners - 1) * this.plan.pay)) await this.pay(holdId, accessToken, scene);
  }

  /** Who won pays behind those who clicked before: the connections are shared. */
  private async pay(holdId: string, accessToken: string, scene: Scene): Promise<void> {
    const decidedAt = performance.now();
    const { provider } = this.plan;
    const answer = await this.answerTo(prepared(PAY, accessToken, { input: { holdId, provider, idempotencyKey: randomUUID() } }), scene);
    const reading = answer && scene.payReader.read(answer);
    if (!answer || !reading || !('granted' in reading)) return scene.payments.count(reading, answer ?? NEVER, decidedAt);

    const { id, checkout } = reading.granted.payment;
    if (checkout) {
      const fields = Object.fromEntries(checkout.fields.map(({ name, value }) => [name, value]));
      const method = checkout.method === 'POST' ? 'POST' : 'GET';
      // Whoever cannot reach the provider's page has not paid; what became of it is read below like everybody's.
      await this.atProvider.run(() => payAs({ url: checkout.url, method, fields }, 'approve')).catch(() => scene.transportFailures++);
    }
    const state = await this.outcomeOf(id, accessToken, scene);
    const paidAt = performance.now();
    scene.payments.count(state === 'APPROVED' ? reading : { refused: state }, { sentAt: answer.sentAt, endedAt: paidAt }, decidedAt);
    scene.lastPaidAt = paidAt;
    this.progress.paid = scene.payments.granted;
  }

  /** The state of a payment once it is known; PENDING when it stays unknown. */
  private async outcomeOf(id: string, accessToken: string, scene: Scene): Promise<string> {
    for (let look = 1; ; look++) {
      const answer = await this.answerTo(prepared(PAYMENT, accessToken, { id }), scene);
      const state = answer && /"state":"([A-Z]+)"/.exec(answer.body)?.[1];
      if ((state && state !== 'PENDING') || look === LOOKS_MAX || this.isClosed) return state ?? 'UNKNOWN';
      await delay(TRY_AGAIN_MS, undefined, { ref: false });
    }
  }

  /** The answer, after as many attempts with the same idempotency key as it takes; undefined when there is none. */
  private async answerTo(request: PreparedRequest, scene: Scene): Promise<Answer | undefined> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.connections.post(request).catch(() => undefined);
      if (this.isClosed) return answer;
      if (!answer) scene.transportFailures++;
      const isFinal = answer && answer.status < 500 && !answer.body.includes(BUSY);
      if (isFinal || attempt === ATTEMPTS_MAX) return answer;
      await delay(TRY_AGAIN_MS, undefined, { ref: false });
      scene.sentAgain++;
    }
  }
}

/** Lets so many run at once, the others in the order they came. */
class Turns {
  private readonly waiting: (() => void)[] = [];
  private free: number;

  constructor(most: number) {
    this.free = most;
  }

  async run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.free > 0) this.free--;
    else await new Promise<void>((resolve) => this.waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.waiting.shift();
      if (next) next();
      else this.free++;
    }
  }
}

/** What one rush writes down. Instants by `performance.now()`. */
class Scene {
  readonly enrolments: Counter;
  readonly payments: Counter;
  readonly enrolReader = new AnswerReader<EnrollSuccess>();
  readonly payReader = new AnswerReader<PaySuccess>();
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
const ATTEMPTS_MAX = 10;
/** What `BusyError.retryAfterSeconds` says. */
const TRY_AGAIN_MS = 1_000;
const BUSY = '"__typename":"BusyError"';
/** So many browsers at the provider's pages at once: each opens connections of its own. */
const AT_PROVIDER_MAX = 32;
const LOOKS_MAX = 60;
const NEVER = { sentAt: 0, endedAt: 0 };

type EnrollSuccess = Extract<RushEnrollMutation['enroll'], { __typename: 'EnrollSuccess' }>;
type PaySuccess = Extract<RushPayMutation['preparePayment'], { __typename: 'PreparePaymentSuccess' }>;

/** White space is worth nothing to a server: 100,000 requests are some 10 MB smaller without it. */
const textOf = (document: DocumentNode) => print(document).replace(/\s+/g, ' ');
const ENROLL = textOf(RushEnrollDocument);
const PAY = textOf(RushPayDocument);
const PAYMENT = textOf(RushPaymentDocument);

const prepared = (query: string, accessToken: string, variables: object): PreparedRequest => ({
  headers: ['content-type', 'application/json', 'authorization', `Bearer ${accessToken}`],
  body: Buffer.from(JSON.stringify({ query, variables })),
});

const atEpoch = (now: number | null) => (now === null ? null : performance.timeOrigin + now);
