import 'reflect-metadata';
import { createHmac, randomUUID } from 'node:crypto';
import websocket from '@fastify/websocket';
import type { EntityManager } from '@mikro-orm/postgresql';
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyRequest, LogController } from 'fastify';
import { GraphQLError } from 'graphql';
import { Redis } from 'ioredis';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { migrations } from '../migrations/index.ts';
import type { Config, LogLevel } from './config.ts';
import * as accounts from './features/accounts/index.ts';
import {
  type BookingState,
  BookingsService,
  bookingStates,
  bookingsResolvers,
  type FollowUp,
  registerBookingsHttp,
  sameBooking,
} from './features/bookings/index.ts';
import {
  CheckInsService,
  checkInsResolvers,
  type DoorStatus,
  doorStatuses,
  registerCheckInsHttp,
  sameDoorStatus,
} from './features/check-ins/index.ts';
import {
  DoorStaff,
  EventsService,
  eventById,
  eventsResolvers,
  PerformanceSheets,
  PerformancesService,
  performanceById,
  seedEvents,
  tierById,
} from './features/events/index.ts';
import type { Feature } from './features/feature.ts';
import { AuditService, auditTask, holdById, holdsResolvers, poolIdsOf } from './features/holds/index.ts';
import { features, rehearsalFeatures } from './features/index.ts';
import {
  instructorById,
  LessonsService,
  lessonById,
  lessonProduct,
  lessonsResolvers,
  lockerStockById,
  seedLessons,
} from './features/lessons/index.ts';
import { ExchangeLog, type ProviderSettings, paymentProviders, paymentsResolvers, visiblePayment } from './features/payments/index.ts';
import { rehearsalsResolvers } from './features/rehearsals/index.ts';
import { PerformanceAvailabilities, SeatMaps, seatMapsResolvers, seatsChangedSource } from './features/seat-maps/index.ts';
import {
  type FollowedByMember,
  followedByMembers,
  SeatOffers,
  SeatWatchesService,
  sameFollowed,
  seatWatchesResolvers,
  tellingFollowers,
  visibleSeatWatch,
} from './features/seat-watches/index.ts';
import { SeatsService, seatsResolvers, ticketsProduct } from './features/seats/index.ts';
import {
  issueLater,
  issueTicketsTask,
  mayCancelTickets,
  registerTicketsHttp,
  TicketCodes,
  TicketsService,
  TransferTokens,
  ticketsResolvers,
  visibleTicket,
} from './features/tickets/index.ts';
import {
  registerVenuesHttp,
  SeatPlans,
  seatPlanById,
  seedVenues,
  VenuesService,
  venueById,
  venuesResolvers,
} from './features/venues/index.ts';
import { type Availability, availabilityOf, reviveAvailability, sameAvailability } from './inventory/availability.ts';
import { InventoryMetrics } from './inventory/inventory.metrics.ts';
import { Inventory } from './inventory/inventory.ts';
import { Sweeper } from './inventory/sweeper.ts';
import { Database } from './platform/database/database.ts';
import { migrate, openOrm } from './platform/database/orm.ts';
import { buildApollo } from './platform/graphql/apollo.ts';
import { bearerTokenOf, mayReadOf } from './platform/graphql/authorization.ts';
import type { RequestContext, Viewer } from './platform/graphql/context.ts';
import { registerGraphiql } from './platform/graphql/graphiql.ts';
import { registerGraphqlHttp } from './platform/graphql/http.ts';
import { DEFAULT_LIMITS, guardDocument } from './platform/graphql/limits.ts';
import { formatResult, maskErrors } from './platform/graphql/mask-errors.ts';
import { type NodeLoader, NodeResolver, type NodeTypes, nodeTypesWithoutLoader } from './platform/graphql/node-ids.ts';
import { type Caller, GraphQLWebSockets } from './platform/graphql/websocket.ts';
import { registerHealth } from './platform/health.ts';
import { forgetAnswers } from './platform/idempotency/index.ts';
import { startWorker, type Task, type Worker } from './platform/jobs/index.ts';
import { type Locale, localeOf } from './platform/locale.ts';
import { type FanOut, inProcessFanOut, redisFanOut } from './platform/subscriptions/fan-out.ts';
import { type SharedSource, SubscriptionHub } from './platform/subscriptions/hub.ts';
import { LiveObjects } from './platform/subscriptions/live-objects.ts';
import { subscriptionMetrics } from './platform/subscriptions/metrics.ts';
import { type ResolverClass, schemaOf } from './schema.ts';

export interface AppOptions {
  /** The database to use: DATABASE_URL, or that of the embedded one. */
  databaseUrl: string;
  config: Config;
  logger: Logger;
  registry: Registry;
  /** The payment providers to offer; those of the configuration unless said otherwise. */
  providers?: ProviderSettings;
  /** More features and the resolvers they need, for benches and tests of the seams. */
  extra?: {
    features: Feature[];
    resolvers(parts: { database: Database; inventory: Inventory }): object[];
    /** What else becomes true with a confirmed booking. */
    followUps?: FollowUp[];
    tasks?: Task[];
  };
}

export interface App {
  readonly fastify: FastifyInstance;
  readonly database: Database;
  readonly inventory: Inventory;
  readonly fanOut: FanOut;
  readonly live: LiveObjects<Availability>;
  readonly maps: SeatMaps;
  readonly sockets: GraphQLWebSockets;
  readonly audits: AuditService;
  readonly bookings: BookingsService;
  readonly ticketCodes: TicketCodes;
  readonly seatOffers: SeatOffers;
  /** Answers the address it serves at. Does nothing in a process that only works. */
  listen(): Promise<string>;
  /** Drains: takes nothing new, lets requests end, closes sockets with 1001, then the worker, the fan-out and the database. Idempotent. */
  close(): Promise<void>;
}

/** Builds everything and hands it to each other. The only place that does. */
export async function buildApp({ databaseUrl, config, logger, registry, providers: settings, extra }: AppOptions): Promise<App> {
  const served = [...features, ...(config.rehearsals ? rehearsalFeatures : []), ...(extra?.features ?? [])];

  // Storage.
  await migrate({ url: databaseUrl, migrations, logger });
  const entities = served.flatMap((feature) => feature.entities ?? []);
  const orm = await openOrm({ url: databaseUrl, entities, poolMax: config.database.poolMax, logger });
  const inventoryMetrics = new InventoryMetrics(registry);
  const database = await Database.over(orm, inventoryMetrics);

  // What carries news.
  const socketMetrics = subscriptionMetrics(registry);
  const fanOut = config.redis.url ? await redisFanOut(config.redis.url, logger, { metrics: socketMetrics }) : inProcessFanOut(logger);
  const live = new LiveObjects<Availability>({
    name: 'availability',
    fanOut,
    read: (ids) => availabilityOf(database.pool, ids),
    sameState: sameAvailability,
    revive: reviveAvailability,
    logger,
    metrics: socketMetrics,
  });
  const liveBookings = new LiveObjects<BookingState>({
    name: 'booking',
    fanOut,
    read: (ids) => bookingStates(database.pool, ids),
    sameState: sameBooking,
    logger,
    metrics: socketMetrics,
  });
  const liveDoors = new LiveObjects<DoorStatus>({
    name: 'door',
    fanOut,
    read: (ids) => doorStatuses(database.pool, ids),
    sameState: sameDoorStatus,
    logger,
    metrics: socketMetrics,
  });
  const liveFollowed = new LiveObjects<FollowedByMember>({
    name: 'followed',
    fanOut,
    read: (ids) => followedByMembers(database.pool, ids),
    sameState: sameFollowed,
    logger,
    metrics: socketMetrics,
  });
  const watched: Watched = new Map<string, Followable>([
    ['bookingChanged', liveBookings],
    ['checkInsChanged', liveDoors],
    ['seatWatchChanged', liveFollowed],
  ]);

  // Kernels and services.
  const lanesMax = Math.max(1, Math.floor(config.database.poolMax * INVENTORY_LANES_SHARE));
  const inventory = new Inventory(database, { ...config.claims, lanesMax, optimisticMax: 1 }, inventoryMetrics, (availability) => {
    live.publish(availability);
    seatOffers.changed(availability.id);
  });
  const sweeper = new Sweeper(inventory, logger);
  const audits = new AuditService(
    database.pool,
    served.flatMap((feature) => feature.checks ?? []),
    registry,
  );
  const accountsConfig = {
    ...accounts.ACCOUNTS_DEFAULTS,
    accessTokenSecret: config.accessTokens.secret,
    accessTokenSeconds: config.accessTokens.seconds,
  };
  const accessTokens = new accounts.AccessTokens(accountsConfig.accessTokenSecret, accountsConfig.accessTokenSeconds);
  const gate = new accounts.SessionGate(database.pool, accessTokens);
  const passwords = await accounts.Passwords.create(accountsConfig.passwordCost);
  const limiterRedis = config.redis.url ? new Redis(config.redis.url, { enableOfflineQueue: false, maxRetriesPerRequest: 1 }) : undefined;
  limiterRedis?.on('error', (error) => logger.debug({ err: error }, 'Redis of the rate limiter'));
  const attempts = new accounts.AttemptLimits({ pool: database.pool, redis: limiterRedis }, accountsConfig.attempts);
  const sessionsService = new accounts.SessionsService(database.pool, accessTokens, accountsConfig.sessionSeconds, (sessionId) =>
    sockets.closeSession(sessionId),
  );
  const accountsService = new accounts.AccountsService(database, passwords, sessionsService, attempts);
  const lessonsService = new LessonsService(database, inventory, config.lessons.monthlyMax);
  const plans = new SeatPlans(database.pool);
  const sheets = new PerformanceSheets(database.pool);
  const maps = new SeatMaps({ pool: database.pool, plans, live, logger, metrics: socketMetrics });
  const venuesService = new VenuesService(database, plans);
  const eventsService = new EventsService(database);
  const performancesService = new PerformancesService(database, inventory, plans);
  const doorStaff = new DoorStaff(database, attempts);
  const seatsParts = { database, inventory, sheets, plans, mapOf: (performanceId: string) => maps.current(performanceId) };
  const seatsService = new SeatsService(seatsParts);
  const ticketSecrets = config.tickets.signingSecrets ?? [derivedSecret(config.accessTokens.secret, 'ticket codes')];
  const ticketCodes = await TicketCodes.open(ticketSecrets);
  const ticketsService = new TicketsService(database, new TransferTokens(ticketSecrets));
  const checkInsService = new CheckInsService({ database, codes: ticketCodes, sheets, plans, live: liveDoors });
  const tellFollowers = tellingFollowers(database.pool, liveFollowed);
  const seatOffers = new SeatOffers({ database, inventory, sheets, plans, tell: tellFollowers, registry, logger });
  const seatWatchesService = new SeatWatchesService(database, sheets, plans, seatOffers, tellFollowers);
  const { connectTimeoutMs, answerTimeoutMs } = config.payments;
  const exchanges = new ExchangeLog(database.pool, registry, logger);
  const providers = paymentProviders(settings ?? config.payments.providers, { connectTimeoutMs, answerTimeoutMs }, exchanges.record);
  let servesAt = `http://${config.http.host}:${config.http.port}`;
  const bookingsService = new BookingsService(
    {
      database,
      inventory,
      providers,
      products: [lessonProduct(database), { ...ticketsProduct(seatsParts), mayCancel: mayCancelTickets }],
      followUps: [issueLater, ...(extra?.followUps ?? [])],
      live: liveBookings,
      publicUrl: () => config.publicUrl ?? servesAt,
      // The process ends here as a crash would: nothing runs after it, nothing is said.
      reached: (waypoint) => void (waypoint === config.payments.killAt && process.kill(process.pid, 'SIGKILL')),
      registry,
      logger,
    },
    {
      ...config.payments,
      // A refusal of a refund is believed only after a second call.
      callSeconds: Math.ceil((2 * (connectTimeoutMs + (answerTimeoutMs ?? PROVIDER_ANSWER_MAX_MS))) / 1_000) + CALL_MARGIN_SECONDS,
      returnSecret: derivedSecret(config.accessTokens.secret, 'payment returns'),
    },
  );

  // The schema and its resolvers.
  const nodeTypes: NodeTypes = new Map<string, NodeLoader>([
    ['Member', accounts.memberNode],
    ['Lesson', (context, id) => lessonById(context).load(id)],
    ['Instructor', (context, id) => instructorById(context).load(id)],
    ['LockerStock', (context, id) => lockerStockById(context).load(id)],
    ['Enrollment', visibleHold],
    ['Venue', (context, id) => venueById(context).load(id)],
    ['SeatPlan', (context, id) => seatPlanById(context).load(id)],
    ['Event', (context, id) => eventById(context).load(id)],
    ['Performance', (context, id) => performanceById(context).load(id)],
    ['Tier', (context, id) => tierById(context).load(id)],
    ['TicketHold', visibleHold],
    ['SeatWatch', visibleSeatWatch],
    ['Payment', visiblePayment],
    ['Ticket', visibleTicket],
  ]);
  const resolvers = new Map<ResolverClass, object>(
    [
      new NodeResolver(nodeTypes),
      ...accounts.accountsResolvers(accountsService, sessionsService),
      ...holdsResolvers(audits),
      ...lessonsResolvers(lessonsService),
      ...venuesResolvers(venuesService),
      ...eventsResolvers(eventsService, performancesService, doorStaff),
      ...seatMapsResolvers(maps, new PerformanceAvailabilities(database.pool, maps, plans)),
      ...seatsResolvers(seatsService),
      ...seatWatchesResolvers(seatWatchesService),
      ...paymentsResolvers(database.pool, [...providers.keys()]),
      ...bookingsResolvers(bookingsService),
      ...ticketsResolvers(ticketsService, plans, ticketCodes),
      ...checkInsResolvers(checkInsService),
      ...rehearsalsResolvers(new accounts.RehearsalMembers(database.pool, accessTokens)),
      ...(extra?.resolvers({ database, inventory }) ?? []),
    ].map((resolver) => [resolver.constructor, resolver]),
  );
  const schema = await schemaOf(served, (resolver) => instanceOf(resolvers, resolver));
  const homeless = nodeTypesWithoutLoader(Object.values(schema.getTypeMap()), nodeTypes);
  if (homeless.length > 0) throw new Error(`No loader for the nodes ${homeless.join(', ')}: add them to nodeTypes in src/app.ts.`);

  // Both transports, behind one guard.
  const { introspection, graphiql, ...limits } = config.graphql;
  const guard = guardDocument({ schema, limits: { ...DEFAULT_LIMITS, ...limits, introspection } });
  const mask = maskErrors({ schema, introspection, logger });
  const apollo = buildApollo({ schema, guard, mask, logger });
  const contextOf = (caller: Caller): RequestContext => new Context(caller, database, watched);
  const contextOfRequest = async (request: FastifyRequest): Promise<RequestContext> =>
    new Context(
      {
        requestId: request.id,
        viewer: await viewerOfRequest(request, gate),
        locale: localeOf(request.headers['accept-language']),
        clientIp: request.ip,
        userAgent: request.headers['user-agent'] ?? null,
      },
      database,
      watched,
    );
  const hub = new SubscriptionHub({
    schema,
    sources: new Map<string, SharedSource>([
      ['availabilityChanged', { live, idsOf: ({ ids }) => watchedPoolIds(ids as string[]) }],
      ['seatsChanged', seatsChangedSource(maps)],
    ]),
    contextOf: (locale) => contextOf({ requestId: SHARED_REQUEST, viewer: null, locale, clientIp: '' }),
    formatResult: (result, { cost }) => formatResult(mask, result, { cost, requestId: SHARED_REQUEST }),
    logger,
    metrics: socketMetrics,
  });
  const sockets = new GraphQLWebSockets({
    schema,
    hub,
    guard,
    fanOut,
    authenticate: (token) => gate.authenticate(token),
    sessionsStillLive: (ids) => gate.sessionsStillLive(ids),
    contextOf,
    maskErrors: (errors, requestId) => errors.map((error) => mask(error, requestId)),
    formatResult: (result, about) => formatResult(mask, result, about),
    limits: config.sockets,
    logger,
    metrics: socketMetrics,
  });

  const server: FastifyInstance = fastify({
    // Its own "listening" line would come before ours, and requests are counted, not logged.
    loggerInstance: logger.child({}, { level: quieter(config.log.level) }) as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    // A logger of its own for every request would cost more than verifying its token; what is logged carries the request id as a field.
    childLoggerFactory: (parent) => parent,
    trustProxy: config.http.trustedProxies.length > 0 ? config.http.trustedProxies : false,
    genReqId: () => randomUUID(),
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
  });
  let isDraining = false;
  await server.register(websocket, sockets.pluginOptions);
  registerGraphqlHttp(server, apollo, contextOfRequest, { wsHandler: sockets.wsHandler });
  if (graphiql) registerGraphiql(server, { title: 'lastseat', defaultQuery: FIRST_QUERY });
  registerBookingsHttp(server, bookingsService);
  registerVenuesHttp(server, { venues: venuesService, authenticate: (token) => gate.authenticate(token) });
  registerTicketsHttp(server, ticketCodes);
  registerCheckInsHttp(server, { checkIns: checkInsService, viewerOf: (request) => viewerOfRequest(request, gate) });
  registerHealth(server, {
    orm,
    migrations,
    fanOut,
    registry,
    metricsToken: config.metrics.token,
    isDraining: () => isDraining,
  });

  // What runs beside requests.
  let worker: Worker | undefined;
  if (config.seed) {
    await accounts.seedAccounts(accountsService);
    await seedLessons(database, config.lessons.monthlyMax, new Date());
    await seedVenues(database);
    await seedEvents(database, plans, new Date());
  }
  sweeper.start();
  seatOffers.start();
  await sockets.start();
  if (config.roles.worker) {
    bookingsService.reconciler.start();
    const scheduled = [auditTask(audits), forgetAnswers(database.pool), accounts.forgetSessions(sessionsService)];
    worker = await startWorker({
      url: databaseUrl,
      tasks: [...scheduled.map(({ task }) => task), issueTicketsTask(database.pool), ...(extra?.tasks ?? [])],
      cron: scheduled.map(({ cron }) => cron),
      concurrency: config.worker.concurrency,
      heartbeat: heartbeatOf(config.worker.deadSeconds),
      logger,
    });
  }

  let closing: Promise<void> | undefined;
  return {
    fastify: server,
    database,
    inventory,
    fanOut,
    live,
    maps,
    sockets,
    audits,
    bookings: bookingsService,
    ticketCodes,
    seatOffers,
    listen: async () => {
      await server.listen({ host: config.http.host, port: config.http.port });
      const address = server.server.address();
      servesAt = `http://${config.http.host.includes(':') ? `[${config.http.host}]` : config.http.host}:${typeof address === 'object' ? address?.port : config.http.port}`;
      return servesAt;
    },
    close: () => {
      closing ??= (async () => {
        isDraining = true;
        // A connection that was in the middle of a request becomes idle when it is answered; nobody else closes it then.
        const idle = setInterval(() => server.server.closeIdleConnections(), 50);
        const late = setTimeout(() => server.server.closeAllConnections(), config.http.drainSeconds * 1_000);
        await server.close();
        clearInterval(idle);
        clearTimeout(late);
        await worker?.stop();
        await sweeper.stop();
        await seatOffers.stop();
        await bookingsService.close();
        await checkInsService.close();
        for (const provider of providers.values()) await provider.close();
        live.close();
        liveBookings.close();
        liveDoors.close();
        liveFollowed.close();
        await fanOut.close();
        limiterRedis?.disconnect();
        await orm.close(true);
      })();
      return closing;
    },
  };
}

/** A secret for one purpose, from one for another: neither tells anything of the other. */
const derivedSecret = (secret: string, purpose: string) => createHmac('sha256', secret).update(purpose).digest('hex');

/** Beats often enough that a dead worker is found, and its jobs given away, within the time promised. */
const heartbeatOf = (deadSeconds: number) => {
  const everyMs = Math.min(5_000, (deadSeconds * 1_000) / 6);
  return { everyMs, deadAfterMs: deadSeconds * 1_000 - everyMs };
};

const quieter = (level: LogLevel): LogLevel => (level === 'info' ? 'warn' : level);

/** A share of the connection pool for batches of claims, so that queries find a connection in the middle of a rush. */
const INVENTORY_LANES_SHARE = 0.4;
/** Longer than any statement may run, shorter than a client's patience. */
const REQUEST_TIMEOUT_MS = 30_000;
const IDS_WATCHED_MAX = 100;
/** The longest any adapter waits for an answer by itself: Toss's 60 seconds. */
const PROVIDER_ANSWER_MAX_MS = 60_000;
/** Reading, writing and recording around a call. */
const CALL_MARGIN_SECONDS = 2;
/** What logs show in place of a request id where a result is made for everybody. */
const SHARED_REQUEST = 'shared subscription';

const FIRST_QUERY = `# 1. Run FreeLessons and copy the id of a lesson into Variables: { "lesson": "…" }
# 2. Run Watch in this tab: you see how many places are left, live.
# 3. In a second tab run SignIn, put the token into Headers: { "Authorization": "Bearer …" }, run Enroll, and look back here.
# 4. Copy the id of the enrolment into Variables, { "enrollment": "…" }, run Pay, and open the checkout's url in your browser: no money moves.

query FreeLessons {
  lessons(first: 5, filter: { freeOnly: true }) {
    nodes { id title month weekdays startsAt price { amountMinor currency } availability { capacity free version } }
  }
}

subscription Watch($lesson: ID!) {
  availabilityChanged(ids: [$lesson]) { id capacity free version at }
}

mutation SignIn {
  signIn(input: { email: "member@lastseat.test", password: "lastseat-demo" }) {
    ... on SignInSuccess { tokens { accessToken } }
    ... on Error { code message }
  }
}

mutation Enroll($lesson: ID!) {
  enroll(input: { lessonId: $lesson, withLocker: true, idempotencyKey: "my-first-place" }) {
    __typename
    ... on EnrollSuccess { enrollment { id state expiresAt amount { amountMinor currency } } }
    ... on Error { code message }
  }
}

mutation Pay($enrollment: ID!) {
  preparePayment(input: { holdId: $enrollment, provider: TOSS, idempotencyKey: "my-first-payment" }) {
    __typename
    ... on PreparePaymentSuccess { payment { id state payBy checkout { url } } }
    ... on Error { code message }
  }
}

subscription Booking($enrollment: ID!) {
  bookingChanged(holdId: $enrollment) { holdState paymentState version at }
}
`;

/** What personal subscriptions follow, by the name of their field. */
type Watched = ReadonlyMap<string, Followable>;
type Followable = { watch(ids: readonly string[]): AsyncIterableIterator<unknown> };

class Context implements RequestContext {
  readonly requestId: string;
  readonly viewer: Viewer | null;
  readonly locale: Locale;
  readonly clientIp: string;
  readonly userAgent: string | null;
  readonly loaders = new Map<symbol, unknown>();
  private fork: EntityManager | undefined;

  constructor(
    caller: Caller & { userAgent?: string | null },
    private readonly database: Database,
    private readonly watched: Watched,
  ) {
    this.requestId = caller.requestId;
    this.viewer = caller.viewer;
    this.locale = caller.locale;
    this.clientIp = caller.clientIp;
    this.userAgent = caller.userAgent ?? null;
  }

  get em(): EntityManager {
    this.fork ??= this.database.fork();
    return this.fork;
  }

  watch(source: string, ids: readonly string[]): AsyncIterableIterator<unknown> {
    const live = this.watched.get(source);
    if (!live) throw new Error(`Nothing live is called ${source}: add it to watched in src/app.ts.`);
    return live.watch(ids);
  }
}

/** No token: anonymous. A token that is not good: refused, so that a client learns that it must refresh instead of being shown an empty account. */
async function viewerOfRequest(request: FastifyRequest, gate: accounts.SessionGate): Promise<Viewer | null> {
  const header = request.headers.authorization;
  if (!header) return null;
  const token = bearerTokenOf(header);
  const viewer = token ? await gate.authenticate(token) : null;
  if (!viewer) throw invalidToken();
  return viewer;
}

const invalidToken = () =>
  new GraphQLError('The access token is forged, expired, or its session has ended: refresh it or sign in again.', {
    extensions: { code: 'UNAUTHENTICATED', http: { status: 401 } },
  });

/** A hold its reader may see: its member, or an administrator. */
async function visibleHold(context: RequestContext, id: string): Promise<object | null> {
  const hold = context.viewer ? await holdById(context).load(id) : null;
  return hold && mayReadOf(context.viewer, hold.claimantId) ? hold : null;
}

function watchedPoolIds(ids: readonly string[]): string[] {
  if (ids.length >= 1 && ids.length <= IDS_WATCHED_MAX) return poolIdsOf(ids);
  throw new GraphQLError(`\`ids\` must name 1 to ${IDS_WATCHED_MAX} things.`, { extensions: { code: 'BAD_USER_INPUT' } });
}

/** Resolvers that need nothing are made at first use; the others were handed their services above. */
function instanceOf(resolvers: Map<ResolverClass, object>, resolver: ResolverClass): object {
  let instance = resolvers.get(resolver);
  if (!instance) {
    if (resolver.length > 0) throw new Error(`${resolver.name} needs services: build it in src/app.ts.`);
    instance = Reflect.construct(resolver, []) as object;
    resolvers.set(resolver, instance);
  }
  return instance;
}
