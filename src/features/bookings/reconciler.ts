import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import { Gauge, type Registry } from 'prom-client';
import type { PaymentSaga } from './payment-saga.ts';

export interface ReconcilerOptions {
  /** The pause between two rounds. */
  everySeconds: number;
  /** An item open for longer is an alert. */
  limitSeconds: number;
}

/** A payment whose money and hold do not yet agree. */
export interface ReconciliationItem {
  paymentId: string;
  /** Since when it has been open. */
  since: Date;
  nextLookAt: Date | null;
  looks: number;
  isOverdue: boolean;
}

export interface Reconciliation {
  open: number;
  overdue: number;
  oldestSince: Date | null;
  /** Captured, and neither booked nor back. */
  depositsMinor: number;
}

/** Payments looked at in one go, and how many of them at once. */
const ROUND_MAX = 200;
const AT_ONCE = 8;

/**
 * Comes back to every payment that is not at its end: stuck on the way, with an unknown outcome, or with money on its way back. It keeps nothing in memory: what
 * is due stands in the row of the payment, so it goes on after any crash, and several may run.
 */
export class Reconciler {
  private readonly stopping = new AbortController();
  private running: Promise<void> | undefined;
  private readonly openGauge: Gauge;
  private readonly overdueGauge: Gauge;

  constructor(
    private readonly pool: pg.Pool,
    private readonly saga: PaymentSaga,
    private readonly options: ReconcilerOptions,
    registry: Registry,
    private readonly logger: Logger,
  ) {
    this.openGauge = new Gauge({
      name: 'lastseat_reconciliation_open',
      help: 'Payments whose outcome is unknown, or whose money is on its way back.',
      registers: [registry],
    });
    this.overdueGauge = new Gauge({
      name: 'lastseat_reconciliation_overdue',
      help: 'Open payments older than RECONCILIATION_LIMIT_SECONDS. Anything but 0 needs a person.',
      registers: [registry],
    });
  }

  start(): void {
    this.running = this.loop();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  /** Looks once at everything that is due; answers how many payments that were. */
  async round(): Promise<number> {
    const { rows } = await this.pool.query<{ id: string }>({ name: 'payments_due', text: DUE, values: [ROUND_MAX] });
    const ids = rows.map(({ id }) => id);
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        for (let id = ids.pop(); id && !this.stopping.signal.aborted; id = ids.pop())
          await this.saga.advance(id).catch((error) => this.leaveForLater(id as string, error));
      }),
    );
    const { open, overdue, oldestSince } = await this.summary();
    this.openGauge.set(open);
    this.overdueGauge.set(overdue);
    if (overdue > 0) this.logger.error({ overdue, oldestSince }, 'payments are open for too long: see the runbook in docs/payments.md');
    return rows.length;
  }

  async summary(): Promise<Reconciliation> {
    const { rows } = await this.pool.query({ name: 'reconciliation_summary', text: SUMMARY, values: [this.options.limitSeconds] });
    const [row] = rows;
    return {
      open: row.open,
      overdue: row.overdue,
      oldestSince: row.since ? new Date(row.since) : null,
      depositsMinor: Number(row.deposits),
    };
  }

  /** Oldest first; `after`: only items that come behind this one. */
  async items(after: { since: Date; paymentId: string } | null, limit: number): Promise<ReconciliationItem[]> {
    const { rows } = await this.pool.query({
      name: 'reconciliation_items',
      text: ITEMS,
      values: [this.options.limitSeconds, after?.since ?? null, after?.paymentId ?? null, limit],
    });
    return rows.map((row) => ({
      ...row,
      since: new Date(row.since),
      nextLookAt: row.nextLookAt ? new Date(row.nextLookAt) : null,
    }));
  }

  /** One payment that cannot be looked at must not stand before all the others for ever. */
  private async leaveForLater(id: string, error: unknown): Promise<void> {
    this.logger.error({ err: error, paymentId: id }, 'a payment could not be reconciled; it is tried again');
    await this.pool.query({ name: 'leave_payment', text: LEAVE, values: [id, LEFT_FOR_SECONDS] }).catch(() => undefined);
  }

  private async loop(): Promise<void> {
    while (!this.stopping.signal.aborted) {
      const seen = await this.round().catch((error) =>
        this.logger.error({ err: error }, 'a round of reconciliation failed; the next one goes on'),
      );
      if (seen === ROUND_MAX) continue;
      await delay(this.options.everySeconds * 1_000, undefined, { signal: this.stopping.signal }).catch(() => undefined);
    }
  }
}

const LEFT_FOR_SECONDS = 60;
const LEAVE = `
  update payment set next_look_at = clock_timestamp() + make_interval(secs => $2) where id = $1 and next_look_at <= clock_timestamp()`;

const DUE = `select id from payment where next_look_at <= clock_timestamp() order by next_look_at limit $1`;

/** Open: we asked for money and do not know what came of it, the customer's time is over and nobody knows either, or money is on its way back. */
const OPEN = `
  select id, next_look_at, looks, date_trunc('milliseconds', moment) as since -- as cursors carry it
  from (
    select p.*,
      case when p.state = 'REFUNDING' then (select created_at from refund r where r.payment_id = p.id and r.state = 'OPEN')
        else coalesce(p.approving_at, p.pay_by) end as moment
    from payment p
    where p.state = 'REFUNDING' or p.state = 'PENDING' and p.is_current and (p.approving_at is not null or p.pay_by <= clock_timestamp())) o`;

const SUMMARY = `
  select count(*)::int as open, (count(*) filter (where since < clock_timestamp() - make_interval(secs => $1)))::int as overdue, min(since) as since,
    (select coalesce(sum(e.amount_minor), 0) from ledger_entry e join ledger_account a on a.id = e.account_id where a.kind = 'CUSTOMER_DEPOSITS') as deposits
  from (${OPEN}) o`;

const ITEMS = `
  select id as "paymentId", since, next_look_at as "nextLookAt", looks,
    since < clock_timestamp() - make_interval(secs => $1) as "isOverdue"
  from (${OPEN}) o
  where $2::timestamptz is null or (since, id) > ($2::timestamptz, $3::uuid)
  order by since, id limit $4`;
