import { createHmac, timingSafeEqual } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyError, FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify';
import { toNodeId } from '../../platform/graphql/node-ids.ts';
import { isUuid } from '../../platform/uuid.ts';
import type { Payment, PaymentOrder, ReturnKind } from '../payments/index.ts';
import { paymentPage } from './payment-page.ts';
import type { PaymentSaga } from './payment-saga.ts';
import type { Webhooks } from './webhooks.ts';

/** The largest webhook any provider sends is a few KiB. */
const BODY_BYTES_MAX = 64 * 1024;
/** So long a browser waits for the outcome; then it sees a page that goes on asking. */
const BROWSER_WAITS_MS = 8_000;

const RETURN_KINDS: readonly ReturnKind[] = ['paid', 'cancelled', 'failed'];

/** The addresses a customer comes back to. Their token lets nobody else pretend to: whoever has only the id of a payment cannot make one. */
export class ReturnAddresses {
  constructor(
    private readonly secret: string,
    private readonly publicUrl: () => string,
  ) {}

  of(paymentId: string): PaymentOrder['returnUrls'] {
    const page = this.page(paymentId);
    return { paid: `${page}/paid`, cancelled: `${page}/cancelled`, failed: `${page}/failed` };
  }

  page(paymentId: string): string {
    return `${this.publicUrl()}/payments/${paymentId}/${this.token(paymentId)}`;
  }

  isGenuine(paymentId: string, token: string): boolean {
    const expected = Buffer.from(this.token(paymentId));
    const given = Buffer.from(token);
    return given.length === expected.length && timingSafeEqual(given, expected);
  }

  private token(paymentId: string): string {
    return createHmac('sha256', this.secret).update(`return ${paymentId}`).digest('base64url').slice(0, 22);
  }
}

export interface BookingsHttpParts {
  saga: PaymentSaga;
  webhooks: Webhooks;
  addresses: ReturnAddresses;
}

/** What providers and the browsers they send back call: the return addresses, the page behind them, and the webhooks. */
export function registerBookingsHttp(fastify: FastifyInstance, { saga, webhooks, addresses }: BookingsHttpParts): void {
  const routes: FastifyPluginAsync = async (scope) => {
    // A signature is over the bytes as they came, and providers send JSON, forms, and text that is JSON.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: BODY_BYTES_MAX }, (_request, body, done) => done(null, body));
    // Not the default one: it says what the database said, and logs addresses with their tokens.
    scope.setErrorHandler<FastifyError>((error, request, reply) => {
      const status = error.statusCode ?? 500;
      if (status >= 500)
        request.log.error({ err: error, requestId: request.id }, 'a provider or a returning customer could not be answered');
      return reply
        .code(status)
        .type('text/plain')
        .send(status >= 500 ? 'something went wrong; try again' : 'not accepted');
    });

    scope.post<{ Params: { provider: string } }>('/webhooks/:provider', { bodyLimit: BODY_BYTES_MAX }, async (request, reply) => {
      const { status, contentType, body } = await webhooks.take(request.params.provider, {
        headers: headersOf(request),
        rawBody: bytesOf(request),
        now: new Date(),
      });
      return reply.code(status).type(contentType).send(body);
    });

    type Returned = { Params: { id: string; token: string; kind: string } };
    scope.route<Returned>({
      method: ['GET', 'POST'],
      url: '/payments/:id/:token/:kind',
      exposeHeadRoute: false,
      handler: async (request, reply) => {
        const { id, token } = request.params;
        const kind = RETURN_KINDS.find((known) => known === request.params.kind);
        if (!kind || !isUuid(id) || !addresses.isGenuine(id, token)) return notFound(reply);
        const returned = saga.returned(id, {
          kind,
          query: textsOf(request.query as Record<string, unknown>),
          body: textsOf(Object.fromEntries(new URLSearchParams(bytesOf(request).toString('utf8')))),
        });
        const settled = returned.catch((error) => request.log.error({ err: error, paymentId: id }, 'a return from a provider'));
        const isEnough = new AbortController();
        const payment = await Promise.race([
          settled,
          delay(BROWSER_WAITS_MS, undefined, { signal: isEnough.signal }).catch(() => undefined),
        ]);
        isEnough.abort();
        if (payment === null) return notFound(reply);
        return reply.redirect(addresses.page(id), 303);
      },
    });

    scope.get<{ Params: { id: string; token: string } }>('/payments/:id/:token', async (request, reply) => {
      const { id, token } = request.params;
      if (!isUuid(id) || !addresses.isGenuine(id, token)) return notFound(reply);
      const payment = await saga.find(id);
      if (!payment) return notFound(reply);
      if (payment.returnTo) return reply.redirect(withPayment(payment), 303);
      return secured(reply).send(paymentPage(payment));
    });
  };
  void fastify.register(routes);
}

/** The frontend's own address, told which payment it is about and nothing else: it reads the rest through the API. */
function withPayment(payment: Payment): string {
  const url = new URL(payment.returnTo ?? '');
  url.searchParams.set('paymentId', toNodeId('Payment', payment.id));
  return url.href;
}

const secured = (reply: FastifyReply) =>
  reply
    .type('text/html; charset=utf-8')
    .header(
      'content-security-policy',
      "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    )
    .header('referrer-policy', 'no-referrer')
    .header('x-content-type-options', 'nosniff')
    .header('cache-control', 'no-store');

const notFound = (reply: FastifyReply) => reply.code(404).type('text/plain').send('not found');

const bytesOf = (request: FastifyRequest): Buffer => (Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0));

const headersOf = (request: FastifyRequest): Record<string, string> =>
  Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')]),
  );

/** A name given twice is left out: no provider does that. */
const textsOf = (values: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries(Object.entries(values).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
