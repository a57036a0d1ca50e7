import type { FastifyInstance } from 'fastify';
import { localeOf } from '../platform/locale.ts';
import { isCaptured, type Paying } from './books.ts';
import { type Answer, bodyOf } from './calls.ts';
import { closedPage, forwardingPage, paymentPage, problemPage, redirection } from './pages.ts';
import { type Locale, type Protocol, pageOrderOf, type Surroundings, type WayBack } from './protocol.ts';
import { formFields } from './request-fields.ts';

/** What the customer does at the provider's page. */
export const CUSTOMER_ACTS = ['approve', 'refuse', 'close'] as const;
export type CustomerAct = (typeof CUSTOMER_ACTS)[number];

/** Serves the customer's pages of all providers. The browser is sent to an address the merchant named for this payment, and never to one it brings itself. */
export function serveCheckout(server: FastifyInstance, around: Surroundings, protocols: readonly Protocol[]): void {
  const protocolOf = (paying: Paying | undefined) => protocols.find(({ provider }) => provider === paying?.order.provider);

  server.get<{ Params: { pageToken: string } }>('/pay/:pageToken', async (request, reply) => {
    const locale = localeOf(request.headers['accept-language']);
    const paying = around.books.page(request.params.pageToken);
    const answer = opened(paying, protocolOf(paying), around, locale);
    await reply.code(answer.status).headers(answer.headers).send(answer.body);
  });

  server.post<{ Params: { pageToken: string } }>('/pay/:pageToken', async (request, reply) => {
    const locale = localeOf(request.headers['accept-language']);
    const paying = around.books.page(request.params.pageToken);
    const act = CUSTOMER_ACTS.find((known) => known === formFields(bodyOf(request)).act);
    const protocol = protocolOf(paying);
    if (paying === undefined || protocol === undefined || act === undefined) {
      const { status, headers, body } = problemPage(act === undefined ? 400 : 404, 'unknown', locale);
      return void (await reply.code(status).headers(headers).send(body));
    }
    return around.answer(request, reply, {
      provider: protocol.provider,
      call: 'auth',
      orderId: paying.order.orderId,
      act: (lie) => {
        if (act === 'close') return closedPage(locale);
        if (isOver(paying, protocol)) return problemPage(409, 'over', locale);
        return sent(act === 'approve' ? protocol.agree(paying, lie) : protocol.decline(paying, undefined), locale);
      },
      refuse: (code) =>
        isOver(paying, protocol) ? problemPage(409, 'over', locale) : sent(protocol.decline(paying, code ?? 'REJECTED'), locale),
      breakDown: () => problemPage(500, 'broken', locale),
    });
  });
}

function opened(paying: Paying | undefined, protocol: Protocol | undefined, { books }: Surroundings, locale: Locale): Answer {
  if (paying === undefined || protocol === undefined) return problemPage(404, 'unknown', locale);
  if (isOver(paying, protocol)) return problemPage(409, 'over', locale);
  if (paying.attempt.state === 'PREPARED') books.move(paying, 'OPENED');
  return paymentPage(pageOrderOf(paying), locale);
}

/** A customer who agreed and lost the way back may press the button again: only what is decided is over. */
function isOver(paying: Paying, protocol: Protocol): boolean {
  const isDecided = isCaptured(paying.order) || !['PREPARED', 'OPENED', 'AUTHORIZED'].includes(paying.attempt.state);
  return isDecided || protocol.isExpired?.(paying) === true;
}

function sent(back: WayBack, locale: Locale): Answer {
  return 'redirect' in back ? redirection(back.redirect) : forwardingPage(back.form, back.fields, locale);
}
