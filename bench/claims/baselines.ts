import { randomUUID } from 'node:crypto';
import { LockMode } from '@mikro-orm/postgresql';
import type pg from 'pg';
import { Arg, Ctx, createUnionType, Field, Mutation, ObjectType, Resolver } from 'type-graphql';
import { EnrollmentType } from '../../src/features/lessons/enrollment.types.ts';
import { LessonNotFoundError, NoPlaceLeftError } from '../../src/features/lessons/lessons.errors.ts';
import { EnrollInput } from '../../src/features/lessons/lessons.inputs.ts';
import { Hold, HoldItem } from '../../src/inventory/hold.entity.ts';
import { Pool } from '../../src/inventory/pool.entity.ts';
import type { HoldView } from '../../src/inventory/read-holds.ts';
import type { Database } from '../../src/platform/database/database.ts';
import { RequiresRole, viewerOf } from '../../src/platform/graphql/authorization.ts';
import type { RequestContext } from '../../src/platform/graphql/context.ts';
import { uuidOf } from '../../src/platform/graphql/node-ids.ts';
import { checkedIdempotencyKey, requestHash } from '../../src/platform/idempotency/index.ts';
import { Refusal } from '../../src/platform/refusal.ts';
import { GUARDED, INSERT_HOLD, LOCK_POOL, TAKE_ONE } from './statements.ts';

@ObjectType('BaselineSuccess', { description: 'The place is held.' })
class BaselineSuccess {
  @Field(() => EnrollmentType, { description: 'What is held.' })
  readonly enrollment: EnrollmentType;

  constructor(hold: HoldView) {
    this.enrollment = hold as never;
  }
}

const BaselineResult = createUnionType({
  name: 'BaselineResult',
  description: 'A held place, or why there is none.',
  types: () => [BaselineSuccess, LessonNotFoundError, NoPlaceLeftError] as const,
});

/** The same mutation as `enroll`, with the same input, authorisation and result, written the ways it is usually written, and one that does nothing. */
@Resolver()
export class BaselinesResolver {
  constructor(private readonly database: Database) {}

  @RequiresRole()
  @Mutation(() => BaselineResult, {
    nullable: true,
    description: 'Holds nothing and answers at once: what the GraphQL server itself costs.',
  })
  trivial(@Arg('input', () => EnrollInput, { description: 'As for `enroll`.' }) input: EnrollInput, @Ctx() context: RequestContext) {
    const claim = claimOf(input, context);
    const now = Date.now();
    return success(claim, {
      id: TRIVIAL_ID,
      amount_minor: 0,
      currency: 'KRW',
      expires_at: new Date(now + 300_000),
      created_at: new Date(now),
    });
  }

  @RequiresRole()
  @Mutation(() => BaselineResult, { nullable: true, description: 'A transaction with a row lock for each request, on the plain driver.' })
  async rowLock(@Arg('input', () => EnrollInput, { description: 'As for `enroll`.' }) input: EnrollInput, @Ctx() context: RequestContext) {
    const claim = claimOf(input, context);
    const client = await this.database.pool.connect();
    try {
      await client.query('begin');
      const row = await lockAndInsert(client, claim);
      await client.query(row ? 'commit' : 'rollback');
      return row ? success(claim, row) : new NoPlaceLeftError(claim.poolId);
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  @RequiresRole()
  @Mutation(() => BaselineResult, { nullable: true, description: 'A transaction with a row lock for each request, through the ORM.' })
  async ormTransaction(
    @Arg('input', () => EnrollInput, { description: 'As for `enroll`.' }) input: EnrollInput,
    @Ctx() context: RequestContext,
  ) {
    const claim = claimOf(input, context);
    const hold = await this.database.transact(
      async (em) => {
        const pool = await em.findOne(Pool, { id: claim.poolId }, { lockMode: LockMode.PESSIMISTIC_WRITE });
        if (!pool) return new LessonNotFoundError();
        if (pool.held + pool.sold >= pool.capacity) return new NoPlaceLeftError(claim.poolId);
        pool.held += 1;
        const now = new Date();
        const made = em.create(Hold, {
          id: randomUUID(),
          kind: 'lesson',
          claimantId: claim.memberId,
          state: 'HELD',
          amountMinor: pool.priceMinor,
          currency: pool.currency,
          expiresAt: new Date(now.getTime() + pool.holdSeconds * 1000),
          idempotencyKey: claim.key,
          requestHash: requestHash('enroll', { lessonId: claim.poolId, withLocker: false }),
          createdAt: now,
          changedAt: now,
        });
        em.create(HoldItem, { hold: made, position: 0, poolId: claim.poolId, quantity: 1 });
        await em.flush();
        return made;
      },
      { name: 'bench-orm' },
    );
    if (hold instanceof Refusal) return hold;
    return success(claim, {
      id: hold.id,
      amount_minor: hold.amountMinor,
      currency: hold.currency,
      expires_at: hold.expiresAt,
      created_at: hold.createdAt,
    });
  }

  @RequiresRole()
  @Mutation(() => BaselineResult, { nullable: true, description: 'One guarded statement for each request, on the plain driver.' })
  async guardedStatement(
    @Arg('input', () => EnrollInput, { description: 'As for `enroll`.' }) input: EnrollInput,
    @Ctx() context: RequestContext,
  ) {
    const claim = claimOf(input, context);
    const { rows } = await this.database.pool.query<HoldRow>({
      name: 'bench_guarded',
      text: GUARDED,
      values: [claim.poolId, claim.memberId, claim.key],
    });
    return rows[0] ? success(claim, rows[0]) : new NoPlaceLeftError(claim.poolId);
  }
}

interface Claim {
  memberId: string;
  poolId: string;
  key: string;
}

interface HoldRow {
  id: string;
  amount_minor: number;
  currency: string;
  expires_at: Date;
  created_at: Date;
}

const claimOf = (input: EnrollInput, context: RequestContext): Claim => ({
  memberId: viewerOf(context).memberId,
  poolId: uuidOf(input.lessonId, 'Lesson'),
  key: checkedIdempotencyKey(input.idempotencyKey),
});

async function lockAndInsert(client: pg.PoolClient, { poolId, memberId, key }: Claim): Promise<HoldRow | undefined> {
  const locked = await client.query({ name: 'bench_lock', text: LOCK_POOL, values: [poolId] });
  const pool = locked.rows[0];
  if (!pool || pool.free < 1) return undefined;
  await client.query({ name: 'bench_take', text: TAKE_ONE, values: [poolId] });
  const values = [poolId, memberId, pool.price_minor, pool.currency, pool.hold_seconds, key];
  return (await client.query<HoldRow>({ name: 'bench_hold', text: INSERT_HOLD, values })).rows[0];
}

const success = ({ memberId, poolId }: Claim, row: HoldRow) =>
  new BaselineSuccess({
    id: row.id,
    kind: 'lesson',
    claimantId: memberId,
    state: 'HELD',
    amountMinor: Number(row.amount_minor),
    currency: row.currency,
    expiresAt: new Date(row.expires_at),
    createdAt: new Date(row.created_at),
    ifPaidLate: 'SAME_OR_EQUAL',
    version: 1,
    items: [{ poolId, unitId: null, quantity: 1 }],
  });

const TRIVIAL_ID = '01900000-0000-7000-8000-000000000000';
