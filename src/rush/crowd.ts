import { randomUUID } from 'node:crypto';
import { type DocumentNode, print } from 'graphql';
import { RushEnrollDocument, type RushEnrollMutation, RushPayDocument, type RushPayMutation } from '../../schema/generated/operations.ts';
import { type Answer, Connections, type PreparedRequest } from './connections.ts';
import { type Watched, Watcher } from './watcher.ts';

/** The members one process plays. */
export interface CrowdPlan {
  origin: string;
  lessonId: string;
  /** One of each member who enrols. */
  accessTokens: string[];
  /** The first so many of them watch too. */
  watchers: number;
  connections: number;
  pay: number;
  lockers: boolean;
}

/** What became of one kind of request. Latencies are in milliseconds, one of each member who was answered. */
export interface Outcomes {
  granted: number;
  /** By the code of the typed refusal. */
  refused: Record<string, number>;
  /** By the code of the top-level error, or `HTTP <status>`. */
  errors: Record<string, number>;
  /** From the start of the rush to the answer: what the member waited. */
  fromClick: Float64Array;
  /** From sending to the answer: what the server took. */
  onTheWire: Float64Array;
  /** Members who never got an answer, after all attempts. What was done for them is unknown. */
  unanswered: number;
}

export interface CrowdResult {
  enrolled: Outcomes;
  paid: Outcomes;
  /** Answers that never came. */
  transportFailures: number;
  /** Requests sent again with the same idempotency key, after such a failure or because the server was too busy. */
  sentAgain: number;
  /** Milliseconds since the epoch; null when there was none. */
  startedAt: number;
  lastGrantedAt: number | null;
  lastEnrolledAt: number;
  lastPaidAt: number | null;
  /** The earliest deadline of a hold, as the server wrote it. */
  firstExpiresAt: string | null;
}

export interface Progress {
  answered: number;
  won: number;
}

/** Members and watchers, wherever they are played. */
export interface Crowd {
  /** Connections are open, requests written, watchers have their first state. */
  prepare(): Promise<void>;
  rush(): Promise<CrowdResult>;
  progress(): Progress;
  watched(): Promise<Watched[]>;
  close(): Promise<void>;
}

/** Plays all members of a plan in this process. */
export class LocalCrowd implements Crowd {
  private readonly plan: CrowdPlan;
  private readonly connections: Connections;
  private readonly watchers: Watcher[];
  private requests: PreparedRequest[] = [];
  private readonly count = { answered: 0, won: 0 };
  private isClosed = false;

  constructor(plan: CrowdPlan) {
    this.plan = plan;
    this.connections = new Connections(plan.origin, plan.connections);
    this.watchers = plan.accessTokens.slice(0, plan.watchers).map((token) => new Watcher(plan.origin, plan.lessonId, token));
  }

  async prepare(): Promise<void> {
    const { lessonId, lockers } = this.plan;
    this.requests = this.plan.accessTokens.map((token) =>
      prepared(ENROLL, token, { lessonId, withLocker: lockers, idempotencyKey: randomUUID() }),
    );
    // A hundred handshakes at a time: more would only wait in the queue of the server's socket.
    for (let first = 0; first < this.watchers.length; first += HANDSHAKES)
      await Promise.all(this.watchers.slice(first, first + HANDSHAKES).map((watcher) => watcher.start()));
    await this.connections.open();
  }

  async rush(): Promise<CrowdResult> {
    const result: CrowdResult = {
      enrolled: outcomes(this.requests.length),
      paid: outcomes(this.requests.length),
      transportFailures: 0,
      sentAgain: 0,
      startedAt: 0,
      lastGrantedAt: null,
      lastEnrolledAt: 0,
      lastPaidAt: null,
      firstExpiresAt: null,
    };
    const clickedAt = performance.now();
    result.startedAt = atEpoch(clickedAt);
    await Promise.all(this.requests.map((request, index) => this.enrol(request, index, clickedAt, result)));
    return { ...result, enrolled: trimmed(result.enrolled), paid: trimmed(result.paid) };
  }

  progress(): Progress {
    return this.count;
  }

  async watched(): Promise<Watched[]> {
    return this.watchers.map(({ watched }) => watched);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await Promise.all([this.connections.close(), ...this.watchers.map((watcher) => watcher.stop())]);
  }

  private async enrol(request: PreparedRequest, index: number, clickedAt: number, result: CrowdResult): Promise<void> {
    const answer = await this.answerTo(request, result);
    this.count.answered++;
    const data = settle<RushEnrollMutation>(result.enrolled, answer, clickedAt);
    if (answer) result.lastEnrolledAt = Math.max(result.lastEnrolledAt, atEpoch(answer.endedAt));
    if (data?.enroll?.__typename !== 'EnrollSuccess') return;

    const { id: holdId, expiresAt } = data.enroll.enrollment;
    const winner = result.enrolled.granted++;
    this.count.won++;
    result.lastGrantedAt = atEpoch((answer as Answer).endedAt);
    if (!result.firstExpiresAt || expiresAt < result.firstExpiresAt) result.firstExpiresAt = expiresAt;
    // Every second winner for a share of 0.5, every fourth for 0.25.
    if (Math.floor((winner + 1) * this.plan.pay) > Math.floor(winner * this.plan.pay))
      await this.pay(holdId, this.plan.accessTokens[index] as string, result);
  }

  /** Who won pays behind those who clicked before: the connections are shared. */
  private async pay(holdId: string, accessToken: string, result: CrowdResult): Promise<void> {
    const decidedAt = performance.now();
    const answer = await this.answerTo(
      prepared(PAY, accessToken, { holdId, provider: 'SANDBOX', idempotencyKey: randomUUID() }),
      result,
    );
    const data = settle<RushPayMutation>(result.paid, answer, decidedAt);
    if (data?.preparePayment?.__typename === 'PreparePaymentSuccess') result.paid.granted++;
    if (answer) result.lastPaidAt = atEpoch(answer.endedAt);
  }

  /** The answer, after as many attempts with the same idempotency key as it takes; undefined when there is none. */
  private async answerTo(request: PreparedRequest, result: CrowdResult): Promise<Answer | undefined> {
    for (let attempt = 1; !this.isClosed; attempt++) {
      const answer = await this.connections.post(request).catch(() => undefined);
      if (!answer && !this.isClosed) result.transportFailures++;
      const isFinal = answer && answer.status < 500 && !answer.body.includes(BUSY);
      if (isFinal || attempt === ATTEMPTS_MAX) return answer;
      await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
      result.sentAgain++;
    }
    return undefined;
  }
}

const HANDSHAKES = 100;
const ATTEMPTS_MAX = 10;
/** What `BusyError.retryAfterSeconds` says. */
const TRY_AGAIN_MS = 1_000;
const BUSY = '"__typename":"BusyError"';

function prepared(query: string, accessToken: string, input: object): PreparedRequest {
  return {
    headers: ['content-type', 'application/json', 'authorization', `Bearer ${accessToken}`],
    body: Buffer.from(JSON.stringify({ query, variables: { input } })),
  };
}

/** White space is worth nothing to a server: 100,000 requests are some 10 MB smaller without it. */
const textOf = (document: DocumentNode) => print(document).replace(/\s+/g, ' ');
const ENROLL = textOf(RushEnrollDocument);
const PAY = textOf(RushPayDocument);

const outcomes = (most: number): Outcomes => ({
  granted: 0,
  refused: {},
  errors: {},
  fromClick: new Float64Array(most).fill(Number.NaN),
  onTheWire: new Float64Array(most).fill(Number.NaN),
  unanswered: 0,
});

/** Counts and times an answer, and returns its data when it is not a refusal. */
function settle<Data extends object>(outcome: Outcomes, answer: Answer | undefined, since: number): Data | undefined {
  if (!answer) {
    outcome.unanswered++;
    return undefined;
  }
  const place = Object.values(outcome.refused).reduce((sum, count) => sum + count, 0);
  void place;
  return undefined;
}

const trimmed = (outcome: Outcomes): Outcomes => outcome;

const atEpoch = (now: number) => performance.timeOrigin + now;
void settle;
