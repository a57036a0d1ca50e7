import type pg from 'pg';
import type { Logger } from 'pino';
import { Histogram, type Registry } from 'prom-client';
import { Combiner } from '../../platform/combiner.ts';
import type { Exchange } from './exchange.ts';

/** Rows in one statement. */
const BATCH_MAX = 500;

/**
 * Keeps every exchange with a provider. Exchanges that end while one batch is being written go into the next, so that a rush costs few commits; `record`
 * resolves when its exchange is durable.
 *
 * A record that cannot be written is logged and does not stop the payment: the money has moved by then, and the conclusion matters more than the record.
 */
export class ExchangeLog {
  private readonly combiner: Combiner<Exchange, void>;
  private readonly calls: Histogram;

  constructor(pool: pg.Pool, registry: Registry, logger: Logger) {
    const write = async (exchanges: Exchange[]) => {
      await pool
        .query({ name: 'insert_exchanges', text: INSERT, values: [storable(exchanges)] })
        .catch((error) => logger.error({ err: error, exchanges }, 'exchanges with a payment provider could not be stored'));
      return [];
    };
    this.combiner = new Combiner(write, { batchMax: BATCH_MAX, lanesMax: 1 });
    this.calls = new Histogram({
      name: 'lastseat_provider_call_seconds',
      help: 'Calls of payment providers, in seconds, by what came of them: DONE, REFUSED, UNKNOWN, or NOT_SENT while the circuit is open or nobody answers.',
      labelNames: ['provider', 'operation', 'outcome'],
      buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
      registers: [registry],
    });
  }

  readonly record = (exchange: Exchange): Promise<void> => {
    const { provider, operation, code, latencyMs } = exchange;
    this.calls.observe({ provider, operation, outcome: code === 'NOT_SENT' ? code : exchange.outcome }, latencyMs / 1_000);
    return this.combiner.add(exchange);
  };
}

/** JSON knows characters that PostgreSQL cannot store: nulls and half surrogates, which garbage may have. */
const storable = (rows: Exchange[]) => JSON.stringify(rows).replace(/\\u(?:0000|d[89a-f][0-9a-f]{2})/gi, '?');

const INSERT = `
  insert into provider_exchange (payment_id, provider, operation, request, request_body, status, response_body, code, outcome, latency_ms)
  select "paymentId", provider, operation, request, "requestBody", status, "responseBody", code, outcome, round("latencyMs")
  from jsonb_to_recordset($1::jsonb) as e("paymentId" uuid, provider text, operation text, request text, "requestBody" jsonb, status int,
    "responseBody" jsonb, code text, outcome text, "latencyMs" float8)`;
