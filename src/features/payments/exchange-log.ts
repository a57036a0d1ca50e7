import type pg from 'pg';
import type { Logger } from 'pino';
import type { Exchange } from './exchange.ts';

/** Rows in one statement; more wait for the next. */
const BATCH_MAX = 500;

/**
 * Keeps every exchange with a provider. Exchanges that end while one batch is being written go into the next, so that a rush costs few commits; `record`
 * resolves when its exchange is durable.
 *
 * A record that cannot be written is logged and does not stop the payment: the money has moved by then, and the conclusion matters more than the record.
 */
export class ExchangeLog {
  private waiting: { exchange: Exchange; written: () => void }[] = [];
  private isWriting = false;

  constructor(
    private readonly pool: pg.Pool,
    private readonly logger: Logger,
  ) {}

  readonly record = (exchange: Exchange): Promise<void> =>
    new Promise((written) => {
      this.waiting.push({ exchange, written });
      if (!this.isWriting) void this.write();
    });

  private async write(): Promise<void> {
    this.isWriting = true;
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0, BATCH_MAX);
      const rows = batch.map(({ exchange }) => exchange);
      await this.pool
        .query({ name: 'insert_exchanges', text: INSERT, values: [storable(rows)] })
        .catch((error) => this.logger.error({ err: error, exchanges: rows }, 'exchanges with a payment provider could not be stored'));
      for (const { written } of batch) written();
    }
    this.isWriting = false;
  }
}

/** JSON knows characters that PostgreSQL cannot store: nulls and half surrogates, which garbage may have. */
const storable = (rows: Exchange[]) => JSON.stringify(rows).replace(/\\u(?:0000|d[89a-f][0-9a-f]{2})/gi, '?');

const INSERT = `
  insert into provider_exchange (payment_id, provider, operation, request, request_body, status, response_body, code, outcome, latency_ms)
  select "paymentId", provider, operation, request, "requestBody", status, "responseBody", code, outcome, round("latencyMs")
  from jsonb_to_recordset($1::jsonb) as e("paymentId" uuid, provider text, operation text, request text, "requestBody" jsonb, status int,
    "responseBody" jsonb, code text, outcome text, "latencyMs" float8)`;
