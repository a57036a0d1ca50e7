/**
 * Transfers per second into the same two accounts, durable, with many clients at once:
 *
 * - `post`: `postTransfers`, one capture a transaction. Accounts without a floor keep no balance, so nobody waits for anybody.
 * - `kept balances`: the same, and the two balances are kept in rows, as most ledgers do. Everybody waits for everybody's commit.
 * - `points apart`: each client spends the points of another member, whose balance is kept.
 * - `points of one`: all spend those of one member. What a floor costs where it is fought for.
 * - `post × 500`: 500 captures a transaction, one client.
 *
 * And how long it takes to sum a balance that is not kept.
 *
 * Usage: npm run bench -- ledger [--clients 32] [--seconds 3] [--repeats 3] [--entries 1000000] [--data DIRECTORY] [--json]
 *
 * Rounds of all ways alternate. After each the invariants are checked; a broken one ends the bench with an error.
 */
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import type { EntityManager } from '@mikro-orm/postgresql';
import { pino } from 'pino';
import { migrations } from '../migrations/index.ts';
import { ledgerChecks } from '../src/ledger/ledger.checks.ts';
import { type AccountName, balancesOf, POINTS, postTransfers, type Transfer } from '../src/ledger/ledger.ts';
import { Database } from '../src/platform/database/database.ts';
import { startEmbeddedPostgres } from '../src/platform/database/embedded-postgres.ts';
import { migrate, openOrm } from '../src/platform/database/orm.ts';

const { values: options } = parseArgs({
  options: {
    clients: { type: 'string', default: '32' },
    seconds: { type: 'string', default: '3' },
    repeats: { type: 'string', default: '3' },
    entries: { type: 'string', default: '1000000' },
    /** Kept on the disk whose durability is measured, and removed at the end. */
    data: { type: 'string', default: path.join('.data', 'bench-ledger') },
    json: { type: 'boolean', default: false },
  },
});
const clients = Number(options.clients);
const seconds = Number(options.seconds);

const CLEARING: AccountName = { kind: 'PROVIDER_CLEARING', owner: 'toss', currency: 'KRW' };
const DEPOSITS: AccountName = { kind: 'CUSTOMER_DEPOSITS', owner: '', currency: 'KRW' };
const ISSUED: AccountName = { kind: 'POINTS_ISSUED', owner: '', currency: POINTS };
const pointsOf = (owner: string): AccountName => ({ kind: 'MEMBER_POINTS', owner, currency: POINTS });
const moved = (amountMinor: number, from: AccountName, to: AccountName): Transfer => ({
  id: randomUUID(),
  kind: 'bench',
  subjectId: randomUUID(),
  entries: [
    { account: from, amountMinor: -amountMinor },
    { account: to, amountMinor },
  ],
});
const captured = () => moved(70_000, CLEARING, DEPOSITS);

interface Way {
  clients: number;
  perTransaction: number;
  once(em: EntityManager, client: number): Promise<unknown>;
}

const WAYS: Record<string, Way> = {
  post: { clients, perTransaction: 1, once: (em) => postTransfers(em, [captured()]) },
  'kept balances': {
    clients,
    perTransaction: 1,
    async once(em) {
      await postTransfers(em, [captured()]);
      // Locked in one order, or they would deadlock: a table scanned meets rows in the order of their last update.
      await em.execute(
        `update bench_balance b set amount_minor = b.amount_minor + case b.name when 'deposits' then 70000 else -70000 end
         from (select name from bench_balance order by name for no key update) locked where locked.name = b.name`,
      );
    },
  },
  'points apart': { clients, perTransaction: 1, once: (em, client) => postTransfers(em, [moved(1, pointsOf(`member ${client}`), ISSUED)]) },
  'points of one': { clients, perTransaction: 1, once: (em) => postTransfers(em, [moved(1, pointsOf('member 0'), ISSUED)]) },
  'post × 500': { clients: 1, perTransaction: 500, once: (em) => postTransfers(em, Array.from({ length: 500 }, captured)) },
};

const logger = pino({ level: 'silent' });
await mkdir(options.data, { recursive: true });
const postgres = await startEmbeddedPostgres({ directory: options.data, logger });
try {
  await migrate({ url: postgres.url, migrations, logger });
  const orm = await openOrm({ url: postgres.url, entities: [], logger, poolMax: clients });
  try {
    await measure(await Database.over(orm, { began: () => undefined, retried: () => undefined }));
  } finally {
    await orm.close(true);
  }
} finally {
  await postgres.stop();
  await rm(postgres.directory, { recursive: true });
}

async function measure(database: Database): Promise<void> {
  await database.pool.query('create table bench_balance (name text primary key, amount_minor bigint not null) with (fillfactor = 50)');
  await database.pool.query("insert into bench_balance values ('clearing', 0), ('deposits', 0)");
  const gifts = Array.from({ length: clients }, (_, client) => moved(1_000_000_000, ISSUED, pointsOf(`member ${client}`)));
  await database.transact((em) => postTransfers(em, gifts), { name: 'give' });

  const rates: Record<string, number[]> = {};
  for (let repeat = 0; repeat < Number(options.repeats); repeat++) {
    const names = Object.keys(WAYS);
    for (const name of repeat % 2 === 0 ? names : names.toReversed()) {
      rates[name] ??= [];
      rates[name].push(await round(database, WAYS[name] as Way));
      await expectSound(database);
    }
  }
  const transfersPerSecond = Object.fromEntries(Object.entries(rates).map(([name, each]) => [name, Math.round(median(each))]));
  const sumMs = await summing(database, Number(options.entries));
  if (options.json) console.log(JSON.stringify({ clients, seconds, transfersPerSecond, rates, entries: Number(options.entries), sumMs }));
  else {
    console.table(transfersPerSecond);
    console.log(`A balance of ${options.entries} entries is summed in ${sumMs} ms.`);
  }
}

/** Transfers a second that all clients post together. */
async function round(database: Database, way: Way): Promise<number> {
  let posted = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: way.clients }, async (_, client) => {
      while (performance.now() - startedAt < seconds * 1000) {
        await database.transact((em) => way.once(em, client), { name: 'bench' });
        posted += way.perTransaction;
      }
    }),
  );
  return (posted * 1000) / (performance.now() - startedAt);
}

/** How many milliseconds the balance of an account takes that has so many entries, after what autovacuum does to it. The median of five. */
async function summing(database: Database, entries: number): Promise<number> {
  const account: AccountName = { ...CLEARING, owner: 'old' };
  const batch = () => Array.from({ length: 500 }, () => moved(1, account, DEPOSITS));
  for (let written = 0; written < entries; written += 500) await database.transact((em) => postTransfers(em, batch()), { name: 'fill' });
  await database.pool.query('vacuum analyze ledger_entry');
  const times = [];
  for (let time = 0; time < 5; time++) {
    const startedAt = performance.now();
    const [balance] = await balancesOf(database.pool, [account]);
    times.push(performance.now() - startedAt);
    if (balance !== -Math.ceil(entries / 500) * 500) throw new Error(`The balance is ${balance}.`);
  }
  return Math.round(median(times));
}

async function expectSound(database: Database): Promise<void> {
  for (const check of ledgerChecks) {
    const { rows } = await database.pool.query(check.sql);
    if (rows.length > 0) throw new Error(`${check.promise} Broken: ${JSON.stringify(rows.slice(0, 3))}`);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
