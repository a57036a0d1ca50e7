import { Client } from 'undici';
import { SetupError } from './options.ts';

/** A request made ready before it is needed, so that the rush itself costs this process as little as possible. */
export interface PreparedRequest {
  /** Names and values in turn. */
  headers: string[];
  body: Buffer;
}

export interface Answer {
  status: number;
  body: string;
  /** When it was handed to the socket and when its last byte came, by `performance.now()`. */
  sentAt: number;
  endedAt: number;
}

interface Waiting {
  request: PreparedRequest;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/**
 * HTTP keep-alive connections that a crowd shares: first come, first served, one request at a time on each.
 *
 * A client for each connection instead of undici's pool, because the pool looks through all of its connections at every request.
 */
export class Connections {
  private readonly clients: Client[];
  private readonly idle: Client[];
  private readonly waiting: Waiting[] = [];
  private head = 0;

  constructor(origin: string, count: number) {
    this.clients = Array.from(
      { length: count },
      // The answer to the last of many may be long in coming; nothing is pipelined, because browsers do not.
      () => new Client(origin, { pipelining: 1, headersTimeout: ANSWER_WITHIN_MS, bodyTimeout: ANSWER_WITHIN_MS }),
    );
    this.idle = [...this.clients];
  }

  /** Opens every connection, so that the rush does not measure handshakes. @throws SetupError when the server does not take all of them. */
  async open(): Promise<void> {
    await Promise.all(
      this.clients.map(async (client) => {
        try {
          const { body } = await client.request({ method: 'GET', path: '/health/live', headersTimeout: OPEN_WITHIN_MS });
          await body.dump();
        } catch (error) {
          throw new SetupError(
            `The server does not answer on all of ${this.clients.length} connections (${(error as Error).message}): look at its log, or ask for fewer with --connections.`,
            { cause: error },
          );
        }
      }),
    );
  }

  /** Rejects when no whole answer came: whether the server did what was asked is then unknown. */
  post(request: PreparedRequest): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const client = this.idle.pop();
      if (client) this.send(client, { request, resolve, reject });
      else this.waiting.push({ request, resolve, reject });
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.destroy()));
  }

  private send(client: Client, { request, resolve, reject }: Waiting): void {
    const chunks: Buffer[] = [];
    let sentAt = 0;
    let status = 0;
    client.dispatch(
      { method: 'POST', path: '/graphql', headers: request.headers, body: request.body },
      {
        onRequestStart: () => {
          sentAt = performance.now();
        },
        onResponseStart: (_controller, code) => {
          status = code;
        },
        onResponseData: (_controller, chunk) => void chunks.push(chunk),
        onResponseEnd: () => {
          const endedAt = performance.now();
          const [first] = chunks;
          const body = first && chunks.length === 1 ? first.toString() : Buffer.concat(chunks).toString();
          this.free(client);
          resolve({ status, body, sentAt, endedAt });
        },
        onResponseError: (_controller, error) => {
          this.free(client);
          reject(error);
        },
      },
    );
  }

  private free(client: Client): void {
    const next = this.waiting[this.head];
    if (!next) {
      this.idle.push(client);
      return;
    }
    this.waiting[this.head++] = undefined as never;
    if (this.head === this.waiting.length) {
      this.waiting.length = 0;
      this.head = 0;
    }
    // Not at once: a client is busy until the callback that said its request has ended returns.
    queueMicrotask(() => this.send(client, next));
  }
}

const ANSWER_WITHIN_MS = 120_000;
const OPEN_WITHIN_MS = 30_000;
