import type { AddressInfo } from 'node:net';
import fastify, { type FastifyInstance } from 'fastify';
import type { ProviderSettings } from '../features/payments/index.ts';
import { Books, type SimulatedPayment } from './books.ts';
import { Calls, type SimulatedCall } from './calls.ts';
import { serveCheckout } from './checkout.ts';
import { serveControl } from './control.ts';
import { type FaultOrder, FaultOrders, type SimulatedProvider } from './faults.ts';
import { Journal } from './journal.ts';
import { KakaoPay } from './kakaopay.ts';
import { Kispg } from './kispg.ts';
import { PortOne, type PortoneCapture } from './portone.ts';
import type { Surroundings } from './protocol.ts';
import { simulatorSettings } from './settings.ts';
import { Toss } from './toss.ts';
import { type SimulatedWebhook, Webhooks } from './webhooks.ts';

export type { SimulatedPayment } from './books.ts';
export type { SimulatedCall } from './calls.ts';
export type { CustomerAct } from './checkout.ts';
export { CALLS, type CallName, FAULTS, type Fault, type FaultOrder, SIMULATED_PROVIDERS, type SimulatedProvider } from './faults.ts';
export type { SimulatedWebhook } from './webhooks.ts';

export interface SimulatorOptions {
  /** 127.0.0.1 unless said otherwise. */
  host?: string;
  /** 0, a free one, unless said otherwise. */
  port?: number;
  /** A file that keeps the books over a restart; without one they are kept in memory only. */
  journal?: string;
  /** PortOne's channel setting: whether the page itself takes the money, or a `paymentToken` for our confirmation is handed back. By hand unless said otherwise. */
  portoneCapture?: PortoneCapture;
  /** The clock, unless it is the machine's. */
  now?: () => Date;
}

/**
 * The four providers, as one real HTTP server: their protocols at their paths, pages for the customer's browser, books of its own, a record of every
 * call, webhooks to wherever they were registered, and faults on order.
 */
export class Simulator implements AsyncDisposable {
  /** Whether webhooks go out by themselves when something happens. True unless said otherwise. */
  sendsWebhooks = true;
  readonly #host: string;
  readonly #faults = new FaultOrders();
  readonly #webhooks = new Webhooks(() => this.sendsWebhooks);
  readonly #books: Books;
  readonly #calls: Calls;
  readonly #now: () => Date;
  readonly #portoneCapture: PortoneCapture;
  #port: number;
  #serving: { server: FastifyInstance; stopping: AbortController } | null = null;
  #settings: Required<ProviderSettings> | null = null;

  /** Listens. Rejects when the port is taken or the journal is not one. */
  static async start(options: SimulatorOptions = {}): Promise<Simulator> {
    const simulator = new Simulator(options);
    try {
      await simulator.comeUp();
    } catch (error) {
      await simulator.close();
      throw error;
    }
    return simulator;
  }

  private constructor({ host = '127.0.0.1', port = 0, journal, portoneCapture = 'BY_HAND', now = () => new Date() }: SimulatorOptions) {
    this.#host = host;
    this.#port = port;
    this.#now = now;
    this.#portoneCapture = portoneCapture;
    this.#books = new Books(now, journal === undefined ? null : new Journal(journal));
    this.#calls = new Calls(this.#faults, now);
  }

  /** Where it serves. The paths of the four protocols differ, so all have this one base URL. */
  get url(): string {
    return `http://${this.#host.includes(':') ? `[${this.#host}]` : this.#host}:${this.#port}`;
  }

  /** What the application is configured with to use it for all four. The same at every start but for the port. */
  get settings(): Required<ProviderSettings> {
    this.#settings ??= simulatorSettings(this.url);
    return this.#settings;
  }

  /** The calls so far, oldest first: the last 10,000. */
  get calls(): readonly SimulatedCall[] {
    return this.#calls.received;
  }

  /** The books, one for each order that was prepared or touched. */
  payments(): SimulatedPayment[] {
    return this.#books.payments();
  }

  payment(orderId: string): SimulatedPayment | undefined {
    return this.#books.payment(orderId);
  }

  order(fault: FaultOrder): void {
    this.#faults.order(fault);
  }

  clearFaults(): void {
    this.#faults.clear();
  }

  /** Where the provider sends its webhooks, as registered in its console. Null: nowhere. */
  registerWebhook(provider: SimulatedProvider, url: string | null): void {
    this.#webhooks.register(provider, url);
  }

  /** The webhooks it would send about an order so far, oldest first; kept also when none is registered. */
  webhooksOf(orderId: string): SimulatedWebhook[] {
    return this.#webhooks.of(orderId);
  }

  /** Sends one webhook now, as it is, to the registered URL; answers the HTTP status. May be called any number of times. Rejects when nobody listens there. */
  deliver(webhook: SimulatedWebhook): Promise<number> {
    return this.#webhooks.deliver(webhook);
  }

  /** Stops listening and cuts every connection; callers are refused. */
  async goDown(): Promise<void> {
    const serving = this.#serving;
    this.#serving = null;
    serving?.stopping.abort();
    await serving?.server.close();
  }

  /** Listens again at the same port, with the same books. */
  async comeUp(): Promise<void> {
    if (this.#serving !== null) return;
    const stopping = new AbortController();
    const server = this.#server(stopping.signal);
    this.#serving = { server, stopping };
    await server.listen({ host: this.#host, port: this.#port });
    this.#port = (server.server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await this.goDown();
    await this.#webhooks.close();
    this.#books.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** A server of its own for each time it listens: one that was closed cannot listen again. */
  #server(stopping: AbortSignal): FastifyInstance {
    // Connections that hang on purpose are cut when it stops, not waited for.
    const server = fastify({ forceCloseConnections: true, bodyLimit: BODY_BYTES_MAX, routerOptions: { maxParamLength: 300 } });
    // Every vendor labels bodies in its own way, and PortOne's SDK not at all: each protocol reads the bytes itself.
    server.removeAllContentTypeParsers();
    server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    const around = this.#surroundings(stopping);
    const protocols = [new KakaoPay(around), new Toss(around), new PortOne(around, this.#portoneCapture), new Kispg(around)];
    for (const protocol of protocols) protocol.serve(server);
    serveCheckout(server, around, protocols);
    serveControl(server, around, this.#faults, this.#calls.received);
    return server;
  }

  #surroundings(stopping: AbortSignal): Surroundings {
    const address = () => this.url;
    const settings = () => this.settings;
    return {
      books: this.#books,
      webhooks: this.#webhooks,
      now: this.#now,
      // Known only once it listens.
      get url() {
        return address();
      },
      get settings() {
        return settings();
      },
      answer: (request, reply, call) => this.#calls.answer(request, reply, call, stopping),
    };
  }
}

/** The largest request of a vendor's documentation is some kilobytes. */
const BODY_BYTES_MAX = 65_536;
