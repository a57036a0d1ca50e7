import { createHash, timingSafeEqual } from 'node:crypto';
import type { MigrationObject } from '@mikro-orm/core';
import type { MikroORM } from '@mikro-orm/postgresql';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Registry } from 'prom-client';
import { pendingMigrations } from './database/orm.ts';
import type { FanOut } from './subscriptions/fan-out.ts';

export interface HealthOptions {
  orm: MikroORM;
  migrations: readonly MigrationObject[];
  fanOut: FanOut;
  registry: Registry;
  /** What `/metrics` asks for as a bearer token; undefined: it answers direct callers from this machine only. */
  metricsToken: string | undefined;
  isDraining(): boolean;
}

/**
 * `/health/live`: the process answers. `/health/ready`: it may be given requests, 503 otherwise. `/metrics`: Prometheus.
 *
 * Losing Redis does not make a node unready, only degraded: it carries hints, the truth is in the database.
 */
export function registerHealth(fastify: FastifyInstance, options: HealthOptions): void {
  fastify.get('/health/live', async () => ({ status: 'live' }));

  fastify.get('/health/ready', async (_request, reply) => {
    if (options.isDraining()) return reply.code(503).send({ status: 'draining' });
    const [database, fanOut] = await Promise.all([databaseState(options), options.fanOut.ready()]);
    if (database !== 'ready') void reply.code(503);
    return {
      status: database === 'ready' ? (fanOut ? 'ready' : 'degraded') : 'unready',
      database,
      fanOut: fanOut ? 'ready' : 'unreachable',
    };
  });

  fastify.get('/metrics', async (request, reply) => {
    if (!mayRead(request, options.metricsToken)) return reply.code(403).send('Forbidden: send METRICS_TOKEN as a bearer token.\n');
    return reply.type(options.registry.contentType).send(await options.registry.metrics());
  });
}

async function databaseState({ orm, migrations }: HealthOptions): Promise<'ready' | 'migrations pending' | 'unreachable'> {
  try {
    return (await pendingMigrations(orm, migrations)).length === 0 ? 'ready' : 'migrations pending';
  } catch {
    return 'unreachable';
  }
}

const LOOPBACK = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1']);

/** A proxy on this machine would make everybody local, so a forwarded request is not. */
function mayRead(request: FastifyRequest, token: string | undefined): boolean {
  if (token === undefined) return LOOPBACK.has(request.socket.remoteAddress ?? '') && request.headers['x-forwarded-for'] === undefined;
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(request.headers.authorization ?? ''), digest(`Bearer ${token}`));
}
