/**
 * Sends requests over HTTP as fast as they are answered, one at a time on each connection, from a process of its own.
 *
 * It shares two cores with the server it measures, so it does as little as it can: raw sockets, one buffer per connection in which only the
 * token and the key change from request to request, and answers that are searched for a marker instead of being parsed.
 */
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { answerCalls, ownCpuMicros } from './calls.ts';

export interface LoadOptions {
  /** http://host:port/path */
  url: string;
  /** The body; `KEY` in it is replaced by 36 characters that no other request has. */
  body: string;
  connections: number;
  /** Ends after so many requests, or so many seconds, or when every token was used once. */
  requestsMax: number;
  secondsMax: number;
  /** Answers are counted by the first of these texts they contain. */
  markers: string[];
}

export interface LoadReport {
  answers: number;
  seconds: number;
  /** By marker; what has none of them is counted under `other`. */
  counts: Record<string, number>;
  /** The first answer without a marker. */
  otherAnswer: string | null;
  p50Ms: number;
  p99Ms: number;
  cpuMicros: number;
}

export type LoadCalls = {
  /** Reads access tokens, one a line, all of one length. Each round uses every token at most once, in the order of the file. */
  tokens(file: string): Promise<number>;
  run(options: LoadOptions): Promise<LoadReport>;
};

let tokens: Buffer[] = [];
let rounds = 0;

answerCalls({
  async tokens(file) {
    tokens = (await readFile(file, 'latin1'))
      .trimEnd()
      .split('\n')
      .map((line) => Buffer.from(line, 'latin1'));
    if (tokens.some((token) => token.length !== tokens[0]?.length)) throw new Error('the access tokens differ in length');
    return tokens.length;
  },
  run,
} satisfies LoadCalls);

async function run(options: LoadOptions): Promise<LoadReport> {
  const round = new Round(options, ++rounds);
  const connections = [];
  // The backlog of a listening socket is some hundreds: connect in steps.
  for (let from = 0; from < options.connections; from += 100)
    connections.push(...(await Promise.all(Array.from({ length: Math.min(100, options.connections - from) }, () => round.connection()))));
  try {
    return await round.run(connections);
  } finally {
    for (const { socket } of connections) socket.destroy();
  }
}

interface Connection {
  socket: Socket;
  request: Buffer;
  sentAt: number;
  /** What has come of an answer that is not whole yet. */
  received: Buffer | undefined;
}

const KEY_LENGTH = 36;

class Round {
  private readonly template: Buffer;
  private readonly tokenAt: number;
  private readonly keyAt: number;
  private readonly markers: Buffer[];
  private readonly latencies: number[] = [];
  private readonly counts: number[];
  private readonly done = Promise.withResolvers<void>();
  private readonly requestsMax: number;
  private sent = 0;
  private deadline = 0;
  private lastAnswerAt = 0;
  private otherAnswer: string | null = null;

  constructor(
    private readonly options: LoadOptions,
    private readonly number: number,
  ) {
    const { host, pathname } = new URL(options.url);
    const body = options.body.replace('KEY', 'K'.repeat(KEY_LENGTH));
    const token = 'T'.repeat(tokens[0]?.length ?? 0);
    const head = `POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\nauthorization: Bearer ${token}\r\n`;
    this.template = Buffer.from(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    this.tokenAt = head.indexOf(token);
    this.keyAt = this.template.indexOf('K'.repeat(KEY_LENGTH));
    this.markers = options.markers.map((marker) => Buffer.from(marker));
    this.counts = options.markers.map(() => 0);
    this.requestsMax = Math.min(options.requestsMax, tokens.length);
  }

  connection(): Promise<Connection> {
    const { hostname, port } = new URL(this.options.url);
    return new Promise((resolve, reject) => {
      const connection: Connection = { socket: undefined as never, request: Buffer.from(this.template), sentAt: 0, received: undefined };
      connection.socket = connect({
        host: hostname,
        port: Number(port),
        noDelay: true,
        onread: {
          buffer: RECEIVED,
          callback: (length, buffer) => {
            this.receive(connection, (buffer as Buffer).subarray(0, length));
            return true;
          },
        },
      });
      connection.socket.once('connect', () => resolve(connection));
      connection.socket.on('error', (error) => {
        reject(error);
        this.done.reject(error);
      });
      connection.socket.on('close', () => this.done.reject(new Error('the server closed a connection')));
    });
  }

  async run(connections: readonly Connection[]): Promise<LoadReport> {
    const cpu = ownCpuMicros();
    const startedAt = performance.now();
    this.deadline = startedAt + this.options.secondsMax * 1000;
    for (const connection of connections) this.send(connection, startedAt);
    await this.done.promise;
    const cpuMicros = ownCpuMicros() - cpu;
    const sorted = Float64Array.from(this.latencies).sort();
    const percentile = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    const counts = Object.fromEntries(this.options.markers.map((marker, index) => [marker, this.counts[index] ?? 0]));
    const marked = this.counts.reduce((sum, count) => sum + count, 0);
    return {
      answers: sorted.length,
      seconds: (this.lastAnswerAt - startedAt) / 1000,
      counts: { ...counts, other: sorted.length - marked },
      otherAnswer: this.otherAnswer,
      p50Ms: percentile(0.5),
      p99Ms: percentile(0.99),
      cpuMicros,
    };
  }

  private send(connection: Connection, now: number): void {
    if (this.sent >= this.requestsMax || now >= this.deadline) {
      if (this.latencies.length === this.sent) this.done.resolve();
      return;
    }
    const { request } = connection;
    // The answer to the request before has come, so its bytes have left this buffer.
    tokens[this.sent]?.copy(request, this.tokenAt);
    request.write(keyOf(this.number, this.sent), this.keyAt, KEY_LENGTH, 'latin1');
    this.sent++;
    connection.sentAt = now;
    connection.socket.write(request);
  }

  private receive(connection: Connection, chunk: Buffer): void {
    const answer = connection.received ? Buffer.concat([connection.received, chunk]) : chunk;
    if (!isWhole(answer)) {
      connection.received = Buffer.from(answer);
      return;
    }
    connection.received = undefined;
    const now = performance.now();
    this.latencies.push(now - connection.sentAt);
    this.lastAnswerAt = now;
    const marker = this.markers.findIndex((text) => answer.indexOf(text) >= 0);
    if (marker >= 0) this.counts[marker] = (this.counts[marker] ?? 0) + 1;
    else this.otherAnswer ??= answer.toString();
    this.send(connection, now);
  }
}

/** Shared by all connections: what is read is looked at before the next read. */
const RECEIVED = Buffer.alloc(64 * 1024);
const HEAD_END = Buffer.from('\r\n\r\n');
const LENGTH = Buffer.from('content-length: ');

function isWhole(answer: Buffer): boolean {
  const headEnd = answer.indexOf(HEAD_END);
  if (headEnd < 0) return false;
  const lengthAt = answer.indexOf(LENGTH);
  if (lengthAt < 0 || lengthAt > headEnd) throw new Error(`an answer without its length: ${answer.toString()}`);
  let length = 0;
  for (let at = lengthAt + LENGTH.length; answer[at]! >= 48 && answer[at]! <= 57; at++) length = length * 10 + answer[at]! - 48;
  return answer.length >= headEnd + HEAD_END.length + length;
}

const keyOf = (round: number, request: number) => `bench-${process.pid}-${round}-${request}`.padEnd(KEY_LENGTH, '-');
