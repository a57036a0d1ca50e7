import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { FastifyError, FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { atLeast, bearerTokenOf } from '../../platform/graphql/authorization.ts';
import type { Role, Viewer } from '../../platform/graphql/context.ts';
import { parseNodeId, toNodeId } from '../../platform/graphql/node-ids.ts';
import { checkedIdempotencyKey } from '../../platform/idempotency/index.ts';
import { type Locale, localeOf } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';
import { csvOf, jsonOf, type PlanFormat } from './seat-plan-file.ts';
import { SeatPlanInvalidError } from './seat-plan-problems.ts';
import { VenueNotFoundError } from './venues.errors.ts';
import type { VenuesService } from './venues.service.ts';

/** The largest plan as CSV has 3 MiB. */
const BODY_BYTES_MAX = 4 * 1024 * 1024;
/** Files that are kept ready to be sent. One of 5,000 seats has some 300 KB, and 50 KB compressed. */
const FILES_KEPT_MAX = 20;

const IMPORTS: Role = 'ORGANIZER';

const FORMATS: Readonly<Record<string, PlanFormat>> = { 'application/json': 'JSON', 'text/csv': 'CSV' };

export const downloadPathOf = (planId: string, format: PlanFormat): string =>
  `/seat-plans/${toNodeId('SeatPlan', planId)}.${format.toLowerCase()}`;

export interface VenuesHttpParts {
  venues: VenuesService;
  authenticate(token: string): Promise<Viewer | null>;
}

/** What is too large for GraphQL: importing whole seat plans, and downloading them. */
export function registerVenuesHttp(fastify: FastifyInstance, { venues, authenticate }: VenuesHttpParts): void {
  const files = new PlanFiles(venues);

  const routes: FastifyPluginAsync = async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(Object.keys(FORMATS), { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    scope.setErrorHandler<FastifyError>((error, request, reply) => {
      const status = error.statusCode ?? 500;
      if (status >= 500) request.log.error({ err: error, requestId: request.id }, 'A request for a seat plan failed.');
      return refuse(reply, localeOfRequest(request), status >= 500 ? 500 : status, ...(FAULTS[status] ?? FAULT));
    });

    type Import = { Params: { venueId: string }; Querystring: { name?: string | string[] } };
    const viewers = new WeakMap<FastifyRequest, Viewer>();
    scope.post<Import>(
      '/venues/:venueId/seat-plans',
      {
        bodyLimit: BODY_BYTES_MAX,
        // Before the body is read: nobody else can make this process take in 4 MiB.
        onRequest: async (request, reply) => {
          const viewer = await authenticate(bearerTokenOf(request.headers.authorization ?? '') ?? '');
          if (!viewer) return refuse(reply, localeOfRequest(request), 401, ...UNAUTHENTICATED);
          if (!atLeast(viewer.role, IMPORTS)) return refuse(reply, localeOfRequest(request), 403, ...FORBIDDEN);
          viewers.set(request, viewer);
        },
      },
      async (request, reply) => {
        const locale = localeOfRequest(request);
        const format = FORMATS[request.headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? ''];
        const { name } = request.query;
        const key = keyOf(request);
        if (!format || !Buffer.isBuffer(request.body)) return refuse(reply, locale, 415, ...(FAULTS[415] ?? FAULT));
        if (key === null) return refuse(reply, locale, 400, ...NO_KEY);
        if (Array.isArray(name)) return refuse(reply, locale, 400, ...TWO_NAMES);
        const venueId = parseNodeId(request.params.venueId, 'Venue')?.uuid;
        const imported = venueId
          ? await venues.importPlan(viewers.get(request) as Viewer, {
              venueId,
              name: name ?? null,
              format,
              content: request.body,
              idempotencyKey: key,
            })
          : new VenueNotFoundError();
        if (imported instanceof Refusal) return reply.code(STATUS[imported.code] ?? 422).send({ error: told(imported, locale) });
        const { planId } = imported;
        return reply.code(201).send({
          seatPlan: { id: toNodeId('SeatPlan', planId), json: downloadPathOf(planId, 'JSON'), csv: downloadPathOf(planId, 'CSV') },
        });
      },
    );

    scope.get<{ Params: { file: string } }>('/seat-plans/:file', async (request, reply) => {
      const [, id = '', extension = ''] = /^([\w-]+)\.(json|csv)$/.exec(request.params.file) ?? [];
      const planId = parseNodeId(id, 'SeatPlan')?.uuid;
      const file = planId ? await files.of(planId, extension === 'csv' ? 'CSV' : 'JSON') : null;
      if (!file) return refuse(reply, localeOfRequest(request), 404, ...NO_PLAN);
      const isCompressed = accepts(request, 'gzip');
      const etag = `"${planId}${isCompressed ? '-gzip' : ''}"`;
      reply
        .header('cache-control', 'public, max-age=31536000, immutable')
        .header('etag', etag)
        .header('vary', 'accept-encoding')
        .header('x-content-type-options', 'nosniff');
      if (request.headers['if-none-match']?.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag))
        return reply.code(304).send();
      if (isCompressed) reply.header('content-encoding', 'gzip');
      if (extension === 'csv') reply.header('content-disposition', 'attachment; filename="seat-plan.csv"');
      return reply
        .type(extension === 'csv' ? 'text/csv; charset=utf-8' : 'application/json; charset=utf-8')
        .send(isCompressed ? file.compressed : file.plain);
    });
  };
  void fastify.register(routes);
}

interface PlanFileBytes {
  plain: Buffer;
  compressed: Buffer;
}

/** Plans as files. When a sale opens thousands download the same one: it is written and compressed once. */
class PlanFiles {
  private readonly kept = new Map<string, Promise<PlanFileBytes | null>>();

  constructor(private readonly venues: VenuesService) {}

  of(planId: string, format: PlanFormat): Promise<PlanFileBytes | null> {
    const key = `${planId} ${format}`;
    const kept = this.kept.get(key);
    if (kept !== undefined) return kept;
    const file = this.write(planId, format);
    if (this.kept.size >= FILES_KEPT_MAX) this.kept.delete(this.kept.keys().next().value as string);
    this.kept.set(key, file);
    const forget = () => void (this.kept.get(key) === file && this.kept.delete(key));
    file.then((found) => found ?? forget(), forget);
    return file;
  }

  private async write(planId: string, format: PlanFormat): Promise<PlanFileBytes | null> {
    const plan = await this.venues.planOf(planId);
    if (!plan) return null;
    const plain = Buffer.from(format === 'CSV' ? csvOf(plan) : jsonOf(plan));
    return { plain, compressed: await promisify(gzip)(plain) };
  }
}

/** Whether a coding is wanted: named, and not with the weight 0. */
const accepts = (request: FastifyRequest, coding: string) =>
  [request.headers['accept-encoding'] ?? ''].flat().some((header) =>
    header
      .toLowerCase()
      .split(',')
      .some((part) => {
        const [name, ...parameters] = part.split(';').map((text) => text.trim());
        return name === coding && !parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
      }),
  );

function keyOf(request: FastifyRequest): string | null {
  const header = request.headers['idempotency-key'];
  if (typeof header !== 'string') return null;
  try {
    return checkedIdempotencyKey(header);
  } catch {
    return null;
  }
}

const localeOfRequest = (request: FastifyRequest): Locale => localeOf(request.headers['accept-language']);

type Text = [code: string, en: string, ko: string];

const refuse = (reply: FastifyReply, locale: Locale, status: number, code: string, en: string, ko: string) =>
  reply.code(status).send({ error: { code, message: locale === 'ko' ? ko : en } });

function told(refusal: Refusal, locale: Locale) {
  const problems =
    refusal instanceof SeatPlanInvalidError
      ? {
          problemCount: refusal.problemCount,
          problems: refusal.problems.map((problem) => ({ at: problem.at, message: problem.message({ locale }) })),
        }
      : {};
  return { code: refusal.code, message: refusal.text(locale), ...problems };
}

/** Of refusals; what is wrong with the content is 422. */
const STATUS: Readonly<Record<string, number>> = { VENUE_NOT_FOUND: 404, IDEMPOTENCY_KEY_REUSED: 409 };

const UNAUTHENTICATED: Text = [
  'UNAUTHENTICATED',
  'Sign in first: send a valid access token as `Authorization: Bearer …`.',
  '먼저 로그인해 주세요. 유효한 액세스 토큰을 `Authorization: Bearer …`로 보내야 합니다.',
];
const FORBIDDEN: Text = ['FORBIDDEN', `This needs the role ${IMPORTS}.`, `${IMPORTS} 역할이 필요합니다.`];
const NO_KEY: Text = [
  'BAD_REQUEST',
  'Send an `Idempotency-Key` header of 1 to 200 visible ASCII characters; a UUID is a good one.',
  '1~200자의 ASCII 문자로 된 `Idempotency-Key` 헤더를 보내 주세요. UUID를 권장합니다.',
];
const TWO_NAMES: Text = ['BAD_REQUEST', 'Give `name` once.', '`name`은 한 번만 보내 주세요.'];
const NO_PLAN: Text = ['SEAT_PLAN_NOT_FOUND', 'There is no such seat plan.', '해당 좌석 배치도를 찾을 수 없습니다.'];
const FAULT: Text = ['BAD_REQUEST', 'The request is not understood.', '요청을 이해할 수 없습니다.'];
const FAULTS: Readonly<Record<number, Text>> = {
  413: ['TOO_LARGE', `The file is larger than ${BODY_BYTES_MAX} bytes.`, `파일이 ${BODY_BYTES_MAX}바이트보다 큽니다.`],
  415: [
    'UNSUPPORTED_MEDIA_TYPE',
    'Send the plan as `content-type: text/csv` or `application/json`.',
    '`content-type: text/csv` 또는 `application/json`으로 보내 주세요.',
  ],
  500: [
    'INTERNAL_SERVER_ERROR',
    'Something went wrong on our side. Try again with the same key.',
    '서버 오류입니다. 같은 키로 다시 시도해 주세요.',
  ],
};
