import { randomUUID } from 'node:crypto';
import type { WebsocketPluginOptions } from '@fastify/websocket';
import type { FastifyRequest } from 'fastify';
import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  type FormattedExecutionResult,
  GraphQLError,
  type GraphQLFormattedError,
  type GraphQLSchema,
  getOperationAST,
} from 'graphql';
import { CloseCode, type Context, handleProtocols, makeServer, type Server, type SubscribePayload } from 'graphql-ws';
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import { type Locale, localeOf } from '../locale.ts';
import type { FanOut } from '../subscriptions/fan-out.ts';
import type { SharedSubscription, SubscriptionHub } from '../subscriptions/hub.ts';
import type { SubscriptionMetrics } from '../subscriptions/metrics.ts';
import { OUTLET_LIMITS, Outlet, type OutletLimits } from '../subscriptions/outlet.ts';
import { subscribeEach } from '../subscriptions/personal-subscription.ts';
import { bearerTokenOf } from './authorization.ts';
import type { RequestContext, Viewer } from './context.ts';
import type { Cost } from './cost.ts';

/** Parses, validates and prices a document by the same rules as over HTTP. */
export interface SubscriptionGuard {
  check(
    source: string,
    operationName: string | undefined,
    variables: Record<string, unknown> | undefined,
  ): { document: DocumentNode; cost: Cost } | readonly GraphQLError[];
}

export interface WebSocketLimits extends OutletLimits {
  /** Open sockets of the process. */
  socketsMax: number;
  /** Open sockets of one address. */
  socketsPerAddressMax: number;
  /** Subscriptions of one socket at once. */
  operationsMax: number;
  /** Bytes of one message from a client. */
  payloadBytesMax: number;
  /** Messages and pings of one socket within `messagesWindowMs`. */
  messagesMax: number;
  messagesWindowMs: number;
  /** A client that has not sent `connection_init` by then is closed. */
  connectionInitMs: number;
  /** How often each socket is pinged. One that has sent nothing from one ping to the next is dead, and ended. */
  keepAliveMs: number;
  /** How often the sessions of all sockets are looked up. The longest a signed-out session keeps its socket on another node. */
  sessionsCheckMs: number;
}

export const WEBSOCKET_LIMITS: WebSocketLimits = {
  ...OUTLET_LIMITS,
  socketsMax: 20_000,
  socketsPerAddressMax: 200,
  operationsMax: 20,
  payloadBytesMax: 64 * 1024,
  messagesMax: 100,
  messagesWindowMs: 10_000,
  connectionInitMs: 3000,
  keepAliveMs: 12_000,
  sessionsCheckMs: 2000,
};

/** What a context is made of. */
export type Caller = Pick<RequestContext, 'requestId' | 'viewer' | 'locale' | 'clientIp'>;

export interface GraphQLWebSocketsOptions {
  schema: GraphQLSchema;
  hub: SubscriptionHub;
  guard: SubscriptionGuard;
  fanOut: FanOut;
  /** The viewer of an access token, or null when it is forged, expired or of an ended session. */
  authenticate(token: string): Promise<Viewer | null>;
  /** Which of these sessions still live. Asked once for all sockets of the process. */
  sessionsStillLive(sessionIds: string[]): Promise<Set<string>>;
  /** Called for every event of a personal subscription. */
  contextOf(caller: Caller): object;
  /** Shows what a client may see of errors that end an operation, and logs the rest under the request id. */
  maskErrors(errors: readonly GraphQLError[], requestId: string): readonly GraphQLFormattedError[];
  /** Adds the cost to a result and masks its errors. */
  formatResult(result: ExecutionResult, about: { cost: Cost; requestId: string }): FormattedExecutionResult;
  limits?: Partial<WebSocketLimits>;
  logger: Logger;
  metrics: SubscriptionMetrics;
}

/** One socket and what is known of who is behind it. */
interface Connection {
  socket: WebSocket;
  outlet: Outlet;
  requestId: string;
  clientIp: string;
  locale: Locale;
  authorizationHeader: string | undefined;
  viewer: Viewer | null;
  expiry: NodeJS.Timeout | undefined;
  /** What runs on this socket, to be ended with it. */
  operations: Set<AsyncIterator<unknown>>;
  isAlive: boolean;
  messages: number;
  messagesSinceMs: number;
}

/** The arguments `onSubscribe` makes, with what `subscribe` and `onNext` need beside graphql-js. */
interface CheckedArgs extends ExecutionArgs {
  connection: Connection;
  operationId: string;
  requestId: string;
  cost: Cost;
  shared: SharedSubscription | undefined;
}

type Payload = Record<string, unknown> | undefined;

/**
 * GraphQL over WebSocket: the protocol `graphql-transport-ws`, served by graphql-ws, for subscriptions only.
 *
 * This path meets nothing of what protects HTTP, so documents pass the same guard here, and every socket has limits of its own.
 * Credentials travel in `connection_init` (or in the upgrade's Authorization header), never in cookies: a foreign page that opens a socket
 * from a browser is anonymous.
 *
 * Close codes: 4403 for a token that is invalid, has expired or whose session has ended; 4429 for too many messages; 1013 (try again later)
 * for too many sockets and slow readers; 1009 for a message over the limit; 1001 at shutdown; the others are those of graphql-ws.
 */
export class GraphQLWebSockets {
  /** For `fastify.register(websocket, …)`. */
  readonly pluginOptions: WebsocketPluginOptions;
  private readonly limits: WebSocketLimits;
  private readonly server: Server<Connection>;
  private readonly connections = new Set<Connection>();
  private readonly perAddress = new Map<string, number>();
  private readonly intervals: NodeJS.Timeout[] = [];
  private unsubscribe: (() => Promise<void>) | undefined;
  private isCheckingSessions = false;
  private isClosing = false;
  private whenEmpty: (() => void) | undefined;

  constructor(private readonly options: GraphQLWebSocketsOptions) {
    this.limits = { ...WEBSOCKET_LIMITS, ...options.limits };
    this.pluginOptions = {
      options: {
        maxPayload: this.limits.payloadBytesMax,
        perMessageDeflate: false,
        // One message per turn of the event loop, so that an operation has ended before a message that uses its id again is handled.
        allowSynchronousEvents: false,
        handleProtocols: (offered) => handleProtocols(offered),
      },
      // ws has begun to close the socket with the code that fits (1009 for a message over the limit); to terminate here would swallow it.
      errorHandler: (error) => options.logger.debug({ err: error }, 'a WebSocket failed'),
      preClose: () => this.close(),
    };
    this.server = makeServer<Payload, Connection>({
      connectionInitWaitTimeout: this.limits.connectionInitMs,
      onConnect: (ctx) => this.connect(ctx),
      onSubscribe: (ctx, id, payload) => this.check(ctx, id, payload),
      subscribe: (args) => this.subscribe(args as CheckedArgs),
      onNext: (_ctx, _id, _payload, args, result) => {
        const { cost, requestId } = args as CheckedArgs;
        return options.formatResult(result as ExecutionResult, { cost, requestId });
      },
      onError: (ctx, _id, _payload, errors) => options.maskErrors(errors, ctx.extra.requestId),
    });
  }

  /** Open sockets. */
  get size(): number {
    return this.connections.size;
  }

  /** Begins to ping, to look after sessions, and to listen for ended ones. */
  async start(): Promise<void> {
    this.intervals.push(
      setInterval(() => this.pingAll(), this.limits.keepAliveMs).unref(),
      setInterval(() => void this.checkSessions(), this.limits.sessionsCheckMs).unref(),
    );
    this.unsubscribe = await this.options.fanOut.subscribe(ENDED_SESSIONS, (sessionId) => {
      this.closeWhere(({ viewer }) => viewer?.sessionId === sessionId, CloseCode.Forbidden, SESSION_ENDED);
    });
  }

  /** For `fastify.route({ method: 'GET', url: '/graphql', wsHandler })`. */
  readonly wsHandler = (socket: WebSocket, request: FastifyRequest): void => {
    const refusal = this.refusalOf(request.ip);
    if (refusal) {
      end(socket, ...refusal);
      return;
    }
    const connection = this.accept(socket, request);
    const closed = this.server.opened(
      {
        protocol: socket.protocol,
        send: (message) =>
          new Promise((resolve, reject) => {
            if (socket.readyState !== socket.OPEN) return resolve();
            socket.send(message, (error) => (error && socket.readyState === socket.OPEN ? reject(error) : resolve()));
          }),
        close: (code = 1000, reason = '') => end(socket, code, reason),
        onMessage: (handle) => {
          socket.on('message', (message) => {
            if (!this.countMessage(connection)) return;
            handle(String(message)).catch((error) => this.failed(connection, error));
          });
        },
      },
      connection,
    );
    socket.once('close', (code, reason) => {
      this.forget(connection);
      // graphql-ws ends the operations it knows by their ids; one whose id was used again while it ended could be forgotten there.
      const ending = [...connection.operations].map((operation) => operation.return?.());
      Promise.all([...ending, closed(code, String(reason))]).catch((error) =>
        this.options.logger.error({ err: error }, 'ending the operations of a closed WebSocket failed'),
      );
    });
  };

  /** Ends the sockets of a session at once, on every node that hears it. The others find out at their next check. */
  closeSession(sessionId: string): void {
    this.closeWhere(({ viewer }) => viewer?.sessionId === sessionId, CloseCode.Forbidden, SESSION_ENDED);
    void this.options.fanOut.publish(ENDED_SESSIONS, sessionId);
  }

  /** Takes no new sockets, closes all with 1001 (going away), and terminates those that are still open after the deadline. */
  async close(deadlineMs = 5000): Promise<void> {
    if (this.isClosing) return;
    this.isClosing = true;
    for (const interval of this.intervals) clearInterval(interval);
    await this.unsubscribe?.();
    if (this.connections.size === 0) return;
    const empty = new Promise<void>((resolve) => {
      this.whenEmpty = resolve;
    });
    const deadline = setTimeout(() => {
      for (const { socket } of this.connections) socket.terminate();
    }, deadlineMs);
    this.closeWhere(() => true, 1001, 'The server is going away');
    await empty;
    clearTimeout(deadline);
  }

  private refusalOf(address: string): [code: number, reason: string] | undefined {
    if (this.isClosing) return [1001, 'The server is going away'];
    if (this.connections.size >= this.limits.socketsMax) return [1013, 'Too many connections: try again later'];
    if ((this.perAddress.get(address) ?? 0) >= this.limits.socketsPerAddressMax)
      return [1013, 'Too many connections from this address: try again later'];
    return undefined;
  }

  private accept(socket: WebSocket, request: FastifyRequest): Connection {
    const connection: Connection = {
      socket,
      outlet: new Outlet(socket, this.limits, this.options.metrics),
      requestId: String(request.id),
      clientIp: request.ip,
      locale: localeOf(request.headers['accept-language']),
      authorizationHeader: request.headers.authorization,
      viewer: null,
      expiry: undefined,
      operations: new Set(),
      isAlive: true,
      messages: 0,
      messagesSinceMs: Date.now(),
    };
    this.connections.add(connection);
    this.perAddress.set(request.ip, (this.perAddress.get(request.ip) ?? 0) + 1);
    this.options.metrics.sockets.inc();
    socket.on('pong', () => {
      connection.isAlive = true;
    });
    socket.on('ping', () => void this.countMessage(connection));
    return connection;
  }

  private forget(connection: Connection): void {
    clearTimeout(connection.expiry);
    this.connections.delete(connection);
    const left = (this.perAddress.get(connection.clientIp) ?? 1) - 1;
    if (left > 0) this.perAddress.set(connection.clientIp, left);
    else this.perAddress.delete(connection.clientIp);
    this.options.metrics.sockets.dec();
    if (this.connections.size === 0) this.whenEmpty?.();
  }

  /** Returns false when the message must not be handled. A closing socket still delivers what its client had sent. */
  private countMessage(connection: Connection): boolean {
    const { socket } = connection;
    if (socket.readyState !== socket.OPEN) return false;
    connection.isAlive = true;
    const now = Date.now();
    if (now - connection.messagesSinceMs >= this.limits.messagesWindowMs) {
      connection.messagesSinceMs = now;
      connection.messages = 0;
    }
    if (++connection.messages <= this.limits.messagesMax) return true;
    end(socket, CloseCode.TooManyInitialisationRequests, 'Too many messages');
    return false;
  }

  /** Returns whether the socket may go on; false makes graphql-ws close it with 4403. */
  private async connect(ctx: Context<Payload, Connection>): Promise<boolean> {
    const connection = ctx.extra;
    const credentials = ctx.connectionParams?.Authorization ?? ctx.connectionParams?.authorization ?? connection.authorizationHeader;
    // Clients that are signed out often send an empty string.
    if (credentials === undefined || credentials === null || credentials === '') return true;
    const token = typeof credentials === 'string' ? bearerTokenOf(credentials) : undefined;
    if (!token) return false;
    try {
      connection.viewer = await this.options.authenticate(token);
    } catch (error) {
      this.options.logger.error({ err: error, requestId: connection.requestId }, 'authenticating a WebSocket failed');
      end(connection.socket, 1013, 'Try again later');
      return true;
    }
    if (!connection.viewer) return false;
    this.closeAtExpiry(connection, connection.viewer.expiresAt);
    return true;
  }

  private closeAtExpiry(connection: Connection, expiresAt: Date): void {
    // The socket may have gone while the token was looked up.
    if (!this.connections.has(connection)) return;
    const leftMs = expiresAt.getTime() - Date.now();
    if (leftMs <= 0) end(connection.socket, CloseCode.Forbidden, 'Access token expired');
    else connection.expiry = setTimeout(() => this.closeAtExpiry(connection, expiresAt), Math.min(leftMs, TIMER_MS_MAX)).unref();
  }

  private check(ctx: Context<Payload, Connection>, operationId: string, payload: SubscribePayload): CheckedArgs | readonly GraphQLError[] {
    const connection = ctx.extra;
    try {
      if (operationId.length > OPERATION_ID_LENGTH_MAX) {
        return [refusal('BAD_USER_INPUT', `An operation id may have at most ${OPERATION_ID_LENGTH_MAX} characters.`)];
      }
      if (Object.keys(ctx.subscriptions).length > this.limits.operationsMax) {
        const text = `A connection may have at most ${this.limits.operationsMax} subscriptions at once: complete one first.`;
        return [refusal('TOO_MANY_SUBSCRIPTIONS', text)];
      }
      const variables = payload.variables ?? undefined;
      const operationName = payload.operationName ?? undefined;
      const checked = this.options.guard.check(payload.query, operationName, variables);
      if (!('document' in checked)) return checked;
      const { document, cost } = checked;
      const operation = getOperationAST(document, operationName);
      if (!operation)
        return [refusal('OPERATION_RESOLUTION_FAILURE', 'The document has no operation of this name, or several and no name was given.')];
      if (operation.operation !== 'subscription') return [refusal('SUBSCRIPTIONS_ONLY', 'Send queries and mutations by HTTP POST.')];
      const shared = this.options.hub.prepare({ document, operationName, variables, locale: connection.locale, cost });
      if (shared && !('key' in shared)) return shared;
      return {
        schema: this.options.schema,
        document,
        operationName,
        variableValues: variables,
        // graphql-ws makes a context when there is none; ours is made for each event.
        contextValue: undefined,
        rootValue: undefined,
        connection,
        operationId,
        requestId: randomUUID(),
        cost,
        shared,
      };
    } catch (error) {
      return [new GraphQLError('Unexpected error.', { originalError: error as Error })];
    }
  }

  private async subscribe(args: CheckedArgs) {
    const { connection, requestId, shared } = args;
    if (shared) return tracked(this.options.hub.join(shared, connection.outlet, args.operationId), connection);
    const { clientIp, locale } = connection;
    const contextOf = () => this.options.contextOf({ requestId, clientIp, locale, viewer: connection.viewer });
    const results = await subscribeEach(args, contextOf, this.options.metrics);
    return 'next' in results ? tracked(results, connection) : results;
  }

  private pingAll(): void {
    for (const connection of this.connections) {
      if (!connection.isAlive) connection.socket.terminate();
      else if (connection.socket.readyState === connection.socket.OPEN) connection.socket.ping();
      connection.isAlive = false;
    }
  }

  private async checkSessions(): Promise<void> {
    const sessionIds = new Set<string>();
    for (const { viewer } of this.connections) if (viewer) sessionIds.add(viewer.sessionId);
    if (this.isCheckingSessions || sessionIds.size === 0) return;
    this.isCheckingSessions = true;
    try {
      const live = await this.options.sessionsStillLive([...sessionIds]);
      // Only sessions that were asked about: somebody may have signed in meanwhile.
      const hasEnded = (sessionId: string) => sessionIds.has(sessionId) && !live.has(sessionId);
      this.closeWhere(({ viewer }) => viewer !== null && hasEnded(viewer.sessionId), CloseCode.Forbidden, SESSION_ENDED);
    } catch (error) {
      // Nobody is signed out because the database is away; the tokens still expire.
      this.options.logger.warn({ err: error }, 'looking up the sessions of WebSockets failed');
    } finally {
      this.isCheckingSessions = false;
    }
  }

  private closeWhere(matches: (connection: Connection) => boolean, code: number, reason: string): void {
    for (const connection of this.connections) if (matches(connection)) end(connection.socket, code, reason);
  }

  private failed(connection: Connection, error: unknown): void {
    this.options.logger.error({ err: error, requestId: connection.requestId }, 'handling a WebSocket message failed');
    end(connection.socket, CloseCode.InternalServerError, 'Internal server error');
  }
}

const ENDED_SESSIONS = 'sessions:ended';
const SESSION_ENDED = 'Session ended';
/** Longer timers fire at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;
/** Every message repeats the id; clients use 36 characters (a UUID) or a counter. */
const OPERATION_ID_LENGTH_MAX = 128;

/** Closes, and terminates a client that does not answer: ws alone would keep its socket for half a minute. */
function end(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== socket.OPEN) return;
  socket.close(code, reason);
  const timer = setTimeout(() => socket.terminate(), CLOSE_ANSWER_MS).unref();
  socket.once('close', () => clearTimeout(timer));
}

/** A healthy client answers a close within one round trip. */
const CLOSE_ANSWER_MS = 2000;

const refusal = (code: string, text: string) => new GraphQLError(text, { extensions: { code } });

/** Remembers a running operation on its connection until it ends. */
function tracked<T>(results: AsyncIterableIterator<T>, { operations, socket }: Connection): AsyncIterableIterator<T> {
  const operation: AsyncIterableIterator<T> = {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      let goesOn = false;
      try {
        const result = await results.next();
        goesOn = !result.done;
        return result;
      } finally {
        if (!goesOn) operations.delete(operation);
      }
    },
    async return() {
      operations.delete(operation);
      return (await results.return?.()) ?? { done: true, value: undefined };
    },
  };
  operations.add(operation);
  // Gone while the source was being opened: its close has ended the operations there were.
  if (socket.readyState === socket.CLOSED) operation.return?.().catch(() => undefined);
  return operation;
}
