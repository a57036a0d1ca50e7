/** The same work without any server: node-postgres alone, in a process of its own. What PostgreSQL gives is the limit of what a server on it can. */
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import type { ClaimRequest } from '../../src/inventory/claim.ts';
import { CLAIM_HOLDS, claimParameters } from '../../src/inventory/decide-claims.ts';
import { requestHash } from '../../src/platform/idempotency/index.ts';
import { answerCalls, ownCpuMicros } from '../calls.ts';
import { GUARDED, INSERT_HOLD, LOCK_POOL, TAKE_ONE } from './statements.ts';

export interface PlainOptions {
  databaseUrl: string;
  poolId: string;
  way: 'lock' | 'guarded' | 'batches';
  clients: number;
  /** Claims in one transaction; only for batches. */
  batch: number;
  seconds: number;
}

export interface PlainReport {
  claims: number;
  transactions: number;
  seconds: number;
  p50Ms: number;
  p99Ms: number;
  cpuMicros: number;
}

export type PlainCalls = { run(options: PlainOptions): Promise<PlainReport> };

answerCalls({ run } satisfies PlainCalls);

async function run({ databaseUrl, poolId, way, clients, batch, seconds }: PlainOptions): Promise<PlainReport> {
  const connections = Array.from({ length: clients }, () => new pg.Client({ connectionString: databaseUrl }));
  await Promise.all(connections.map((connection) => connection.connect()));
  const claimsEach = way === 'batches' ? batch : 1;
  const once = (client: pg.Client) =>
    way === 'lock' ? lock(client, poolId) : way === 'guarded' ? guarded(client, poolId) : claims(client, poolId, batch);
  const latencies: number[] = [];
  const cpu = ownCpuMicros();
  const startedAt = performance.now();
  await Promise.all(
    connections.map(async (client) => {
      for (let now = startedAt; now - startedAt < seconds * 1000; ) {
        await once(client);
        const then = now;
        now = performance.now();
        latencies.push(now - then);
      }
    }),
  );
  const elapsed = performance.now() - startedAt;
  const cpuMicros = ownCpuMicros() - cpu;
  await Promise.all(connections.map((connection) => connection.end()));
  const sorted = Float64Array.from(latencies).sort();
  const percentile = (share: number) => sorted[Math.floor(sorted.length * share)] ?? 0;
  return {
    claims: sorted.length * claimsEach,
    transactions: sorted.length,
    seconds: elapsed / 1000,
    p50Ms: percentile(0.5),
    p99Ms: percentile(0.99),
    cpuMicros,
  };
}

async function lock(client: pg.Client, poolId: string): Promise<void> {
  await client.query('begin');
  const { rows } = await client.query({ name: 'lock', text: LOCK_POOL, values: [poolId] });
  const { free, price_minor, currency, hold_seconds } = rows[0];
  if (free < 1) throw new Error('the pool of the bench is too small');
  await client.query({ name: 'take', text: TAKE_ONE, values: [poolId] });
  await client.query({
    name: 'hold',
    text: INSERT_HOLD,
    values: [poolId, randomUUID(), price_minor, currency, hold_seconds, randomUUID()],
  });
  await client.query('commit');
}

async function guarded(client: pg.Client, poolId: string): Promise<void> {
  const { rowCount } = await client.query({ name: 'guarded', text: GUARDED, values: [poolId, randomUUID(), randomUUID()] });
  if (rowCount !== 1) throw new Error('the pool of the bench is too small');
}

async function claims(client: pg.Client, poolId: string, batch: number): Promise<void> {
  const hash = requestHash('enroll', { lessonId: poolId, withLocker: false });
  const items = [{ kind: 'lesson', poolId, unitId: null, quantity: 1 }];
  const batchOf = Array.from(
    { length: batch },
    (): ClaimRequest => ({
      kind: 'lesson',
      claimantId: randomUUID(),
      idempotencyKey: randomUUID(),
      requestHash: hash,
      clientIp: '127.0.0.1',
      items,
    }),
  );
  const { rows } = await client.query({ name: 'claim_holds', text: CLAIM_HOLDS, values: claimParameters(batchOf, true) });
  const refused = rows[0].decision.claims.find(([outcome]: [string]) => outcome !== 'GRANTED');
  if (refused) throw new Error(`a claim of the bench was refused: ${refused}`);
}
