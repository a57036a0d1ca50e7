import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { localeOf } from '../platform/locale.ts';
import { type Answer, bodyOf, json, type SimulatedCall } from './calls.ts';
import { type FaultOrders, faultOrderSchema, SIMULATED_PROVIDERS } from './faults.ts';
import { overviewPage } from './pages.ts';
import type { Surroundings } from './protocol.ts';
import { jsonFields } from './request-fields.ts';

const webhookSchema = z.strictObject({
  provider: z.enum(SIMULATED_PROVIDERS),
  url: z
    .url({ protocol: /^https?$/ })
    .max(2_000)
    .nullable(),
});

/** Serves the face for people and for other processes of this machine: what happened, and what shall go wrong. */
export function serveControl(server: FastifyInstance, around: Surroundings, faults: FaultOrders, calls: readonly SimulatedCall[]): void {
  const serve = (method: 'GET' | 'POST' | 'PUT' | 'DELETE', url: string, answer: (request: FastifyRequest) => Answer) =>
    server.route({ method, url, handler: (request, reply) => answerLocally(request, reply, answer) });

  serve('GET', '/', (request) => {
    const locale = localeOf(request.headers['accept-language']);
    return overviewPage(around.books.payments().slice(-LISTED_MAX).toReversed(), calls.slice(-LISTED_MAX).toReversed(), locale);
  });
  serve('GET', '/simulator/payments', () => json(200, around.books.payments()));
  serve('GET', '/simulator/calls', () => json(200, calls));
  serve('POST', '/simulator/faults', (request) =>
    parsed(request, faultOrderSchema, (fault) => {
      faults.order(fault);
      return json(201, fault);
    }),
  );
  serve('DELETE', '/simulator/faults', () => {
    faults.clear();
    return json(200, {});
  });
  serve('GET', '/simulator/webhooks', () => json(200, around.webhooks.registered()));
  serve('PUT', '/simulator/webhooks', (request) =>
    parsed(request, webhookSchema, ({ provider, url }) => {
      around.webhooks.register(provider, url);
      return json(200, around.webhooks.registered());
    }),
  );
}

async function answerLocally(request: FastifyRequest, reply: FastifyReply, answer: (request: FastifyRequest) => Answer): Promise<void> {
  const { status, headers, body } = isFromHere(request.socket.remoteAddress) ? answer(request) : json(403, { message: ONLY_FROM_HERE });
  await reply.code(status).headers(headers).send(body);
}

/** The content type must be JSON, so that a page in somebody's browser cannot order faults by a form. */
function parsed<Input>(request: FastifyRequest, schema: z.ZodType<Input>, act: (input: Input) => Answer): Answer {
  if (!request.headers['content-type']?.startsWith('application/json'))
    return json(415, { message: 'Send JSON, with the content type application/json.' });
  const input = schema.safeParse(jsonFields(bodyOf(request)));
  return input.success ? act(input.data) : json(400, { message: z.prettifyError(input.error) });
}

function isFromHere(address: string | undefined): boolean {
  return address !== undefined && /^(::ffff:)?127\.|^::1$/.test(address);
}

const ONLY_FROM_HERE = 'The simulator is controlled from its own machine only.';

const LISTED_MAX = 50;
