import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type DocumentNode, print } from 'graphql';
import { RushPayDocument, type RushPayMutation, RushPaymentDocument } from '../../schema/generated/operations.ts';
import { payAs } from '../simulator/customer.ts';
import type { Answer, Connections, PreparedRequest } from './connections.ts';
import { AnswerReader, type Counter } from './tally.ts';

/** What went wrong on the way, over all members. */
export interface Mishaps {
  /** Answers that never came. */
  transportFailures: number;
  /** Requests sent again with the same idempotency key, after such a failure, a 5xx, or because the server was too busy. */
  sentAgain: number;
}

/** Sends what members ask for, again where it has to be, and pays for them at the provider's pages. */
export class Player {
  private readonly connections: Connections;
  private readonly provider: string;
  private readonly atProvider = new Turns(AT_PROVIDER_MAX);
  private readonly payReader = new AnswerReader<PaySuccess>();
  private isClosed = false;

  /** `provider`: with whom members pay, one that the server simulates. */
  constructor(connections: Connections, provider: string) {
    this.connections = connections;
    this.provider = provider;
  }

  /** From now on nothing is sent again. */
  close(): void {
    this.isClosed = true;
  }

  /** The answer, after as many attempts with the same idempotency key as it takes; undefined when there is none. */
  async answerTo(request: PreparedRequest, mishaps: Mishaps): Promise<Answer | undefined> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.connections.post(request).catch(() => undefined);
      if (this.isClosed) return answer;
      if (!answer) mishaps.transportFailures++;
      const isFinal = answer && answer.status < 500 && !answer.body.includes(BUSY);
      if (isFinal || attempt === ATTEMPTS_MAX) return answer;
      await delay(TRY_AGAIN_MS, undefined, { ref: false });
      mishaps.sentAgain++;
    }
  }

  /**
   * Pays for a hold and counts how that ended: the state of the payment, `PENDING` or `UNKNOWN` where nobody knows, `REFUSED` where it never began. Who won pays
   * behind those who clicked before: the connections are shared.
   */
  async pay(holdId: string, accessToken: string, payments: Counter, mishaps: Mishaps): Promise<{ paidAt: number | null; state: string }> {
    const decidedAt = performance.now();
    const { provider } = this;
    const answer = await this.answerTo(prepared(PAY, accessToken, { input: { holdId, provider, idempotencyKey: randomUUID() } }), mishaps);
    const reading = answer && this.payReader.read(answer);
    if (!answer || !reading || !('granted' in reading)) {
      payments.count(reading, answer ?? NEVER, decidedAt);
      return { paidAt: null, state: reading && 'refused' in reading ? 'REFUSED' : 'UNKNOWN' };
    }
    const { id, checkout } = reading.granted.payment;
    if (checkout) {
      const fields = Object.fromEntries(checkout.fields.map(({ name, value }) => [name, value]));
      const method = checkout.method === 'POST' ? 'POST' : 'GET';
      // Whoever cannot reach the provider's page has not paid; what became of it is read below like everybody's.
      await this.atProvider.run(() => payAs({ url: checkout.url, method, fields }, 'approve')).catch(() => mishaps.transportFailures++);
    }
    const state = await this.outcomeOf(id, accessToken, mishaps);
    const paidAt = performance.now();
    payments.count(state === 'APPROVED' ? reading : { refused: state }, { sentAt: answer.sentAt, endedAt: paidAt }, decidedAt);
    return { paidAt, state };
  }

  /** The state of a payment once it is known; PENDING when it stays unknown. */
  private async outcomeOf(id: string, accessToken: string, mishaps: Mishaps): Promise<string> {
    for (let look = 1; ; look++) {
      const answer = await this.answerTo(prepared(PAYMENT, accessToken, { id }), mishaps);
      const state = answer && /"state":"([A-Z]+)"/.exec(answer.body)?.[1];
      if ((state && state !== 'PENDING') || look === LOOKS_MAX || this.isClosed) return state ?? 'UNKNOWN';
      await delay(TRY_AGAIN_MS, undefined, { ref: false });
    }
  }
}

/** Lets so many run at once, the others in the order they came. */
export class Turns {
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

/** A request for a member, ready to be sent. */
export const prepared = (query: string, accessToken: string, variables: object): PreparedRequest => ({
  headers: ['content-type', 'application/json', 'authorization', `Bearer ${accessToken}`],
  body: Buffer.from(JSON.stringify({ query, variables })),
});

/** White space is worth nothing to a server: 100,000 requests are some 10 MB smaller without it. */
export const textOf = (document: DocumentNode) => print(document).replace(/\s+/g, ' ');

/** When a request that was never answered was sent and answered. */
export const NEVER = { sentAt: 0, endedAt: 0 };

const ATTEMPTS_MAX = 10;
/** What `BusyError.retryAfterSeconds` says. */
const TRY_AGAIN_MS = 1_000;
const BUSY = '"__typename":"BusyError"';
/** So many browsers at the provider's pages at once: each opens connections of its own. */
const AT_PROVIDER_MAX = 32;
const LOOKS_MAX = 60;

type PaySuccess = Extract<RushPayMutation['preparePayment'], { __typename: 'PreparePaymentSuccess' }>;

const PAY = textOf(RushPayDocument);
const PAYMENT = textOf(RushPaymentDocument);
