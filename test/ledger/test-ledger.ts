import { randomUUID } from 'node:crypto';
import { expect } from '@jest/globals';
import pg from 'pg';
import { ledgerChecks } from '../../src/ledger/ledger.checks.ts';
import { type AccountName, balancesOf, POINTS, type Posted, postTransfers, type Transfer } from '../../src/ledger/ledger.ts';
import type { TransactOptions } from '../../src/platform/database/database.ts';
import { type TestDatabase, testDatabase } from '../support/database.ts';
import { waitingForLocks } from '../support/lock-waits.ts';
import { letRivalsMeet, rewriteFunction } from '../support/meeting.ts';

/** A ledger in a database of the test's own, and a bystander who sees what is committed. */
export class TestLedger implements AsyncDisposable {
  private constructor(
    readonly db: TestDatabase,
    private readonly bystander: pg.Client,
  ) {}

  static async open({ poolMax = 20 }: { poolMax?: number } = {}): Promise<TestLedger> {
    const db = await testDatabase({ poolMax });
    const bystander = new pg.Client({ connectionString: db.url, application_name: 'bystander' });
    await bystander.connect();
    return new TestLedger(db, bystander);
  }

  /** In a transaction of its own. Deadlocks and the like are not tried again: a test must see them. It waits for a lock longer than a machine stalls. */
  post(transfers: Transfer[], options: Partial<TransactOptions> = {}): Promise<Posted[]> {
    const patience = { lockTimeoutMs: 30_000, statementTimeoutMs: 40_000 };
    return this.db.database.transact((em) => postTransfers(em, transfers), { name: 'post', retriesMax: 0, ...patience, ...options });
  }

  /** Each given the points, out of nowhere. */
  async give(owner: string, points: number): Promise<void> {
    expect(await this.post([issued(owner, points)])).toEqual(['POSTED']);
  }

  balancesOf(...accounts: AccountName[]): Promise<number[]> {
    return balancesOf(this.db.database.pool, accounts);
  }

  async query<Row extends pg.QueryResultRow = Record<string, unknown>>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.bystander.query<Row>(sql, values)).rows;
  }

  /** Transfers and entries there are. */
  async counts(): Promise<{ transfers: number; entries: number }> {
    const [row] = await this.query<{ transfers: number; entries: number }>(
      'select (select count(*)::int from ledger_transfer) as transfers, (select count(*)::int from ledger_entry) as entries',
    );
    return row as { transfers: number; entries: number };
  }

  /** The invariants: what is broken, by name. */
  async broken(): Promise<Record<string, unknown[]>> {
    const broken: Record<string, unknown[]> = {};
    for (const check of ledgerChecks) {
      const rows = await this.query(check.sql);
      if (rows.length > 0) broken[check.name] = rows;
    }
    return broken;
  }

  async expectSound(): Promise<void> {
    expect(await this.broken()).toEqual({});
  }

  /** Switches a protection off: rewrites the text of `post_transfers`, which must have what is replaced. */
  async rewrite(from: string, to: string): Promise<void> {
    await rewriteFunction(this.query.bind(this), 'post_transfers', from, to);
  }

  /** Makes the sessions that post wait for each other, two by two, before a place in the text of `post_transfers`. */
  async letRivalsMeet(before: string, when?: string, patience?: string): Promise<void> {
    await letRivalsMeet(this.query.bind(this), 'post_transfers', before, when, patience);
  }

  /** Runs `during` in the middle of a transaction that has posted and not yet ended, then ends it. */
  async whilePosted<T>(transfers: Transfer[], end: 'commit' | 'rollback', during: () => Promise<T>): Promise<Awaited<T>> {
    const em = this.db.database.fork();
    await em.begin();
    try {
      expect(await postTransfers(em, transfers)).toEqual(transfers.map(() => 'POSTED'));
      const result = await during();
      await em[end]();
      return result;
    } catch (error) {
      await em.rollback();
      throw error;
    }
  }

  /** Resolves when so many sessions under test wait for a lock. */
  async waiting(sessions = 1): Promise<void> {
    await waitingForLocks(this, sessions);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.bystander.end();
    await this.db.close();
  }
}

export const points = (owner: string): AccountName => ({ kind: 'MEMBER_POINTS', owner, currency: POINTS });
export const issuedPoints: AccountName = { kind: 'POINTS_ISSUED', owner: '', currency: POINTS };
export const clearing = (owner = 'toss', currency = 'KRW'): AccountName => ({ kind: 'PROVIDER_CLEARING', owner, currency });
export const deposits = (currency = 'KRW'): AccountName => ({ kind: 'CUSTOMER_DEPOSITS', owner: '', currency });

/** From one account to another, under an id of its own unless said otherwise. */
export const moved = (amountMinor: number, from: AccountName, to: AccountName, transfer: Partial<Transfer> = {}): Transfer => ({
  id: randomUUID(),
  kind: 'test',
  subjectId: 'subject',
  entries: [
    { account: from, amountMinor: -amountMinor },
    { account: to, amountMinor },
  ],
  ...transfer,
});

export const issued = (owner: string, amount: number): Transfer => moved(amount, issuedPoints, points(owner));
export const spent = (owner: string, amount: number): Transfer => moved(amount, points(owner), issuedPoints);
export const captured = (amountMinor: number): Transfer => moved(amountMinor, clearing(), deposits());

/** How often each was answered. */
export function countsOf(answers: readonly Posted[]): Partial<Record<Posted, number>> {
  const counts: Partial<Record<Posted, number>> = {};
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1;
  return counts;
}
