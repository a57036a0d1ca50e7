import type { Logger } from 'pino';
import { Counter, type Registry } from 'prom-client';
import type { Database } from '../../platform/database/database.ts';
import type { PaymentProvider, ProviderName, WebhookReply, WebhookRequest } from '../payments/index.ts';
import type { PaymentSaga } from './payment-saga.ts';

const NOT_OURS: WebhookReply = { status: 404, contentType: 'text/plain', body: 'not found' };

/**
 * What providers send us. A webhook is a doorbell: it says that something happened to a payment, and the payment is then read from the provider. That it rang is
 * durable before it is acknowledged, and each event rings once, however many copies come in whatever order.
 */
export class Webhooks {
  private readonly received: Counter;

  constructor(
    private readonly database: Database,
    private readonly providers: ReadonlyMap<ProviderName, PaymentProvider>,
    private readonly saga: PaymentSaga,
    registry: Registry,
    private readonly logger: Logger,
  ) {
    this.received = new Counter({
      name: 'lastseat_webhooks_received_total',
      help: 'Webhooks of payment providers: new, copies of known ones, not about a payment of ours, forged, and failed to be kept.',
      labelNames: ['provider', 'outcome'],
      registers: [registry],
    });
  }

  async take(name: string, request: WebhookRequest): Promise<WebhookReply> {
    const provider = this.providers.get(name.toUpperCase() as ProviderName);
    if (!provider || !rings(provider)) return NOT_OURS;
    const count = (outcome: string) => this.received.inc({ provider: provider.name, outcome });
    try {
      return await this.answerTo(provider, request, count);
    } catch (error) {
      count('failed');
      this.logger.error({ err: error, provider: provider.name }, 'a webhook could not be kept; its provider is told to send it again');
      return provider.webhookReply('LATER');
    }
  }

  private async answerTo(provider: Ringing, request: WebhookRequest, count: (outcome: string) => void) {
    const read = await provider.readWebhook(request);
    switch (read.outcome) {
      case 'FORGED':
        count('forged');
        this.logger.warn({ provider: provider.name, reason: read.reason }, 'a webhook was refused');
        return provider.webhookReply('REFUSED');
      case 'IGNORED':
        count('ignored');
        return provider.webhookReply('TAKEN');
      case 'DOORBELL': {
        const values = [provider.name, read.eventId, read.paymentId, read.saysCaptured];
        const [receipt] = await this.database.statement<{ is_new: boolean; rang: boolean }>({ name: 'ring', text: RING, values });
        const isNew = receipt?.is_new;
        count(isNew === undefined ? 'ignored' : isNew ? 'new' : 'copy');
        // Acknowledged first, asked then: providers wait seconds, not minutes. If this process dies now, the reconciler asks.
        if (receipt?.rang)
          void this.saga
            .advance(read.paymentId)
            .catch((error) =>
              this.logger.error({ err: error, paymentId: read.paymentId }, 'a payment that a webhook rang for could not be read'),
            );
        return provider.webhookReply('TAKEN');
      }
      default:
        return read satisfies never;
    }
  }
}

type Ringing = PaymentProvider & Required<Pick<PaymentProvider, 'readWebhook' | 'webhookReply'>>;

const rings = (provider: PaymentProvider): provider is Ringing => provider.readWebhook !== undefined && provider.webhookReply !== undefined;

/** Keeps the event and makes its payment due, in one statement. No row: no payment of that id. */
const RING = `
  with ours as (select id from payment where id = $3 and provider = $1),
  receipt as (
    insert into webhook_receipt (provider, event_id, payment_id) select $1, $2, id from ours
    on conflict (provider, event_id) do update set copies = webhook_receipt.copies + 1
    returning copies = 1 as is_new),
  rung as (
    update payment set rings = rings + 1, next_look_at = least(next_look_at, clock_timestamp())
    where id = $3 and exists (select 1 from receipt where is_new)
      -- Most webhooks: that the approval we sent, or had answered, took the money. Its own answer tells, or whoever looks after it when that is lost.
      and not ($4 and (state in ('APPROVED', 'REFUNDING', 'REFUNDED') or state = 'PENDING' and approving_at is not null))
    returning id)
  select is_new, exists (select from rung) as rang from receipt`;
