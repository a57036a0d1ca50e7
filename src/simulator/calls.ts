import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CallName, Fault, FaultOrder, FaultOrders, SimulatedProvider } from './faults.ts';
import { jsonOrFormFields } from './request-fields.ts';

/** A call the simulator received. */
export interface SimulatedCall {
  provider: SimulatedProvider;
  call: CallName;
  orderId: string | null;
  at: Date;
  /** Method, URL, body, and the headers that mean something to the provider; never `Authorization`. */
  request: unknown;
  /** Null when the fault left the caller without an answer, and as long as there is none. */
  status: number | null;
  response: unknown;
  fault: Fault | null;
}

/** What goes back to a caller. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
  /** What the record of the call says of it. */
  recorded: unknown;
}

/** Which lie a provider is ordered to tell: the books keep the truth. */
export type Lie = 'AMOUNT' | 'ORDER' | null;

/** A call as its provider's protocol understands it. */
export interface IncomingCall {
  provider: SimulatedProvider;
  call: CallName;
  orderId: string | null;
  /** Checks everything the provider checks, has the effect, and answers: all in one step, so that nothing comes between. */
  act(lie: Lie): Answer;
  /** Refuses with a code, the provider's ordinary one unless said otherwise. Moves no money. */
  refuse(code: string | undefined): Answer;
  /** The provider's way to say that something broke and that it does not know what became of the call. */
  breakDown(): Answer;
}

/** Answers calls, with the faults that were ordered for them, and records them. */
export class Calls {
  readonly received: SimulatedCall[] = [];
  readonly #faults: FaultOrders;
  readonly #now: () => Date;

  constructor(faults: FaultOrders, now: () => Date) {
    this.#faults = faults;
    this.#now = now;
  }

  /** `stopping` ends what waits when the server stops. */
  async answer(request: FastifyRequest, reply: FastifyReply, incoming: IncomingCall, stopping: AbortSignal): Promise<void> {
    const order = this.#faults.take(incoming.provider, incoming.call, incoming.orderId);
    const record = this.#record(request, incoming, order?.fault ?? null);
    const answered = (answer: Answer) => {
      record.status = answer.status;
      record.response = answer.recorded;
      return send(reply, answer);
    };
    if (order === null) return answered(incoming.act(null));
    return this.#misbehave(request, reply, incoming, { order, stopping, record, answered });
  }

  async #misbehave(
    request: FastifyRequest,
    reply: FastifyReply,
    incoming: IncomingCall,
    { order, stopping, record, answered }: Misbehaviour,
  ) {
    const { fault } = order;
    switch (fault) {
      case 'REFUSE':
        return answered(incoming.refuse(order.code));
      case 'LATENCY':
        await delay(order.milliseconds ?? 0, undefined, { signal: stopping });
        return answered(incoming.act(null));
      case 'HANG_AFTER':
        incoming.act(null);
        return hang(reply);
      case 'HANG_BEFORE':
        return hang(reply);
      case 'RESET_AFTER':
        incoming.act(null);
        return reset(request.raw.socket, reply);
      case 'RESET_BEFORE':
        return reset(request.raw.socket, reply);
      case 'ERROR_AFTER':
        incoming.act(null);
        return answered(incoming.breakDown());
      case 'ERROR_BEFORE':
        return answered(incoming.breakDown());
      case 'GARBAGE':
        incoming.act(null);
        record.status = 200;
        record.response = 'garbage';
        return void (await reply.code(200).header('content-type', 'application/json').send(GARBAGE));
      case 'SLOW_DRIP':
        incoming.act(null);
        return drip(reply);
      case 'WRONG_AMOUNT':
        return answered(incoming.act('AMOUNT'));
      case 'WRONG_ORDER':
        return answered(incoming.act('ORDER'));
      default:
        return fault satisfies never;
    }
  }

  #record(request: FastifyRequest, { provider, call, orderId }: IncomingCall, fault: Fault | null): SimulatedCall {
    const record: SimulatedCall = {
      provider,
      call,
      orderId,
      at: this.#now(),
      request: {
        method: request.method,
        url: request.url,
        headers: Object.fromEntries(
          RECORDED_HEADERS.flatMap((name) => (request.headers[name] === undefined ? [] : [[name, request.headers[name]]])),
        ),
        body: jsonOrFormFields(bodyOf(request)),
      },
      status: null,
      response: null,
      fault,
    };
    this.received.push(record);
    if (this.received.length > CALLS_MAX) this.received.shift();
    return record;
  }
}

interface Misbehaviour {
  order: FaultOrder;
  stopping: AbortSignal;
  record: SimulatedCall;
  answered(answer: Answer): Promise<void>;
}

export function json(status: number, value: object): Answer {
  const body = JSON.stringify(value);
  return { status, headers: { 'content-type': 'application/json; charset=utf-8' }, body, recorded: JSON.parse(body) as unknown };
}

/** The bytes of a request's body; none when it has none. */
export function bodyOf(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}

async function send(reply: FastifyReply, { status, headers, body }: Answer): Promise<void> {
  await reply.code(status).headers(headers).send(body);
}

function hang(reply: FastifyReply): void {
  reply.hijack();
}

function reset(socket: Socket, reply: FastifyReply): void {
  reply.hijack();
  socket.resetAndDestroy();
}

function drip(reply: FastifyReply): void {
  reply.hijack();
  reply.raw.writeHead(200, { 'content-type': 'application/json' });
  reply.raw.write('{');
  const drops = setInterval(() => reply.raw.write(' '), 1_000);
  reply.raw.once('close', () => clearInterval(drops));
}

/** Not UTF-8, not JSON, and it begins like the error page of a proxy. */
const GARBAGE = Buffer.concat([Buffer.from([0xff, 0xfe, 0x00]), Buffer.from('<html><h1>502')]);

/** A test looks at some dozen calls; a day of load must not fill the memory. */
const CALLS_MAX = 10_000;

const RECORDED_HEADERS = ['content-type', 'idempotency-key', 'tosspayments-test-code', 'user-agent'];
