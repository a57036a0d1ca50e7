import type { FastifyError, FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { GraphQLError } from 'graphql';
import { z } from 'zod';
import { atLeast, unauthenticated } from '../../platform/graphql/authorization.ts';
import type { Viewer } from '../../platform/graphql/context.ts';
import { parseNodeId, toNodeId } from '../../platform/graphql/node-ids.ts';
import { DateTime } from '../../platform/graphql/scalars.ts';
import { localeOf } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';
import type { Entry, ScannedTicket } from './check-in.types.ts';
import {
  AlreadyUsedError,
  DoorClosedError,
  DoorNotFoundError,
  ScanInFutureError,
  ScanRefusal,
  WrongPerformanceError,
} from './check-ins.errors.ts';
import type { CheckInsService, DoorStaff } from './check-ins.service.ts';

/** A door that was offline for an hour has some hundreds. */
const BATCH_MAX = 500;
/** A scan has under 400 bytes, with a gate of 50 Korean letters 500. */
const BATCH_BYTES_MAX = 512 * 1024;
const SCAN_BYTES_MAX = 4 * 1024;

/** As GraphQL reads it: RFC 3339, in a year PostgreSQL has. */
const instant = z.unknown().transform((value, issues) => {
  try {
    return DateTime.parseValue(value);
  } catch {
    issues.addIssue('not an instant');
    return z.NEVER;
  }
});
const SCAN = z.object({ code: z.string(), gate: z.string(), scannedAt: instant.nullish() });
const BATCH = z.object({ scans: z.array(z.object({ id: z.string(), code: z.string(), gate: z.string(), scannedAt: instant })) });

type Door = { Params: { id: string } };

export interface CheckInsHttpParts {
  checkIns: CheckInsService;
  /** The signed-in caller; null without a token. Throws for a token that is not good. */
  viewerOf(request: FastifyRequest): Promise<Viewer | null>;
}

/**
 * What scanners call: the same as `checkIn` and `uploadScans`, with bodies small enough for any device. A scan that was decided is answered with 200 whatever
 * it was decided to be: a scanner shows `result`, and everything else is a fault.
 */
export function registerCheckInsHttp(fastify: FastifyInstance, { checkIns, viewerOf }: CheckInsHttpParts): void {
  const routes: FastifyPluginAsync = async (scope) => {
    // Without a parser for it, `text/plain` is refused: it is what a form of another site could send.
    scope.removeContentTypeParser('text/plain');
    scope.setErrorHandler(answerFault);
    // Before the body is read: nobody else can make this process take it in.
    const staff = new WeakMap<FastifyRequest, DoorStaff>();
    scope.addHook('onRequest', async (request) => void staff.set(request, staffOf(await viewerOf(request))));

    scope.post<Door>('/door/performances/:id/scans', { bodyLimit: SCAN_BYTES_MAX }, async (request, reply) => {
      const scan = parsed(SCAN, request.body);
      const performanceId = parseNodeId(request.params.id, 'Performance')?.uuid;
      const outcome = performanceId
        ? await checkIns.scan(staff.get(request) as DoorStaff, performanceId, { ...scan, scannedAt: scan.scannedAt ?? null })
        : new DoorNotFoundError();
      if (!(outcome instanceof Refusal)) return { result: 'VALID', ticket: await described(outcome.ticket), entry: outcome.entry };
      return outcome instanceof ScanRefusal ? decided(outcome, request) : refused(outcome, request, reply);
    });

    scope.post<Door>('/door/performances/:id/scans/batch', { bodyLimit: BATCH_BYTES_MAX }, async (request, reply) => {
      const { scans } = parsed(BATCH, request.body);
      const performanceId = parseNodeId(request.params.id, 'Performance')?.uuid;
      const outcome = performanceId
        ? await checkIns.upload(staff.get(request) as DoorStaff, performanceId, scans, BATCH_MAX)
        : new DoorNotFoundError();
      if (outcome instanceof Refusal) return refused(outcome, request, reply);
      return {
        scans: await Promise.all(outcome.map(async ({ ticket, ...scan }) => ({ ...scan, ticket: ticket && (await described(ticket)) }))),
      };
    });
  };

  /** What staff tell whoever stands before them: no price, no name. */
  async function described(ticket: ScannedTicket) {
    const [seat, tier] = await Promise.all([checkIns.seatOf(ticket), checkIns.tierNameOf(ticket)]);
    const place = seat && { number: seat.number, section: seat.section, row: seat.row, label: seat.label, isAccessible: seat.isAccessible };
    return { id: toNodeId('Ticket', ticket.id), seat: place, tier };
  }

  async function decided(refusal: ScanRefusal, request: FastifyRequest) {
    const said = { result: refusal.code, message: refusal.text(localeOf(request.headers['accept-language'])) };
    if (refusal instanceof AlreadyUsedError) {
      const entry: Entry = { at: refusal.usedAt, gate: refusal.gate };
      return { ...said, ticket: await described(refusal.ticket as never), entry };
    }
    if (refusal instanceof WrongPerformanceError) {
      const { performanceId, title, startsAt } = refusal;
      return { ...said, performance: { id: toNodeId('Performance', performanceId), title, startsAt } };
    }
    return said;
  }

  void fastify.register(routes);
}

function staffOf(viewer: Viewer | null): DoorStaff {
  if (!viewer) throw unauthenticated();
  return { memberId: viewer.memberId, isAdmin: atLeast(viewer.role, 'ADMIN') };
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw badInput(`The body is not as documented: ${issue?.path.join('.') || 'it'} is missing or of the wrong kind.`);
}

function refused(refusal: Refusal, request: FastifyRequest, reply: FastifyReply) {
  void reply.code(refusal instanceof DoorNotFoundError ? 404 : 409);
  const { code } = refusal;
  const said = { code, message: refusal.text(localeOf(request.headers['accept-language'])) };
  if (refusal instanceof DoorClosedError) return { ...said, opensAt: refusal.opensAt, closesAt: refusal.closesAt };
  return refusal instanceof ScanInFutureError ? { ...said, serverTime: refusal.serverTime } : said;
}

const badInput = (message: string) => new GraphQLError(message, { extensions: { code: 'BAD_USER_INPUT' } });

/** Fastify's own message may quote what was sent, so it is not passed on. */
function answerFault(error: FastifyError | GraphQLError, request: FastifyRequest, reply: FastifyReply) {
  if (error instanceof GraphQLError) {
    const isUnknown = error.extensions.code === 'UNAUTHENTICATED';
    return reply.code(isUnknown ? 401 : 400).send({ code: error.extensions.code, message: error.message });
  }
  const status = error.statusCode ?? 500;
  if (status === 413)
    return reply
      .code(413)
      .send({ code: 'TOO_LARGE', message: `Send at most ${BATCH_MAX} scans at once, and one scan in under ${SCAN_BYTES_MAX} bytes.` });
  if (status >= 400 && status < 500)
    return reply.code(status).send({ code: 'BAD_REQUEST', message: 'Send a JSON object as `content-type: application/json`.' });
  request.log.error({ err: error, requestId: request.id }, 'a scan could not be decided');
  return reply
    .code(500)
    .send({ code: 'INTERNAL_SERVER_ERROR', message: 'Something went wrong. Send the same again.', requestId: request.id });
}
