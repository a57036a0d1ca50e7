import type { FastifyInstance } from 'fastify';
import type { TicketCodes } from './ticket-codes.ts';

/** So long a scanner may go without asking again: whoever brings in a new key lets it stand beside the old one for longer. */
const FRESH_SECONDS = 3_600;

/** The public keys of tickets' codes, for whoever checks them without us: anyone, from any origin. */
export function registerTicketsHttp(fastify: FastifyInstance, codes: TicketCodes): void {
  fastify.get('/.well-known/jwks.json', async (_request, reply) =>
    reply
      .type('application/jwk-set+json')
      .header('cache-control', `public, max-age=${FRESH_SECONDS}`)
      .header('access-control-allow-origin', '*')
      .send(JSON.stringify(codes.jwks)),
  );
}
