import type pg from 'pg';
import { Gauge, type Registry } from 'prom-client';
import { neverOversold } from '../../inventory/inventory.checks.ts';
import type { Check } from '../../platform/database/checks.ts';

export interface Audit {
  at: Date;
  oversold: number;
  ok: boolean;
  checks: { name: string; promise: string; violations: number }[];
}

/** A recount reads every hold, so callers within this time share one. */
const SHARED_FOR_MS = 5_000;
const VIOLATIONS_COUNTED_MAX = 1_000;
/** A recount of 1,000,000 holds takes longer than a request's statement may. */
const STATEMENT_TIMEOUT_MS = 60_000;

/** Runs the invariants: for anyone who asks, and as the standing checker behind the metric `lastseat_invariant_violations`. */
export class AuditService {
  private current: { promise: Promise<Audit>; startedAt: number } | undefined;
  private readonly violations: Gauge;

  constructor(
    private readonly pool: pg.Pool,
    private readonly checks: readonly Check[],
    registry: Registry,
  ) {
    this.violations = new Gauge({
      name: 'lastseat_invariant_violations',
      help: 'Rows that broke an invariant when it was last checked, by check. Anything but 0 is an incident.',
      labelNames: ['check'],
      registers: [registry],
    });
  }

  latest(): Promise<Audit> {
    const now = performance.now();
    if (!this.current || now - this.current.startedAt > SHARED_FOR_MS) {
      this.current = { promise: this.run(), startedAt: now };
      this.current.promise.catch(() => {
        this.current = undefined;
      });
    }
    return this.current.promise;
  }

  /** All checks on one snapshot, so that a change between two of them cannot look like a broken promise. */
  async run(): Promise<Audit> {
    const client = await this.pool.connect();
    try {
      await client.query('begin isolation level repeatable read read only');
      await client.query(`set local statement_timeout = ${STATEMENT_TIMEOUT_MS}`);
      const { rows } = await client.query<{ at: Date }>('select clock_timestamp() as at');
      const checks: Audit['checks'] = [];
      for (const { name, promise, sql } of this.checks) {
        const counted = await client.query<{ count: number }>(
          `select count(*)::int as count from (select from (${sql}) broken limit ${VIOLATIONS_COUNTED_MAX}) counted`,
        );
        const violations = counted.rows[0]?.count ?? 0;
        this.violations.set({ check: name }, violations);
        checks.push({ name, promise, violations });
      }
      // By how much takes a second recount of every hold: only where the first found something.
      const isOversold = checks.some(({ name, violations }) => name === neverOversold.name && violations > 0);
      const [measured] = isOversold ? (await client.query<{ oversold: number }>(OVERSOLD)).rows : [];
      await client.query('commit');
      return {
        at: new Date(rows[0]?.at as Date),
        oversold: measured?.oversold ?? 0,
        ok: checks.every((check) => check.violations === 0),
        checks,
      };
    } catch (error) {
      await client.query('rollback').catch(() => undefined);
      throw error;
    } finally {
      client.release();
    }
  }
}

/** By how much, summed over the pools that the check finds. */
const OVERSOLD = `select coalesce(sum(taken - capacity), 0)::int as oversold from (${neverOversold.sql}) broken`;
