import { type EntityManager, wrap } from '@mikro-orm/postgresql';
import { type ClaimAnswer, type ClaimRequest, IF_PAID_LATE_DEFAULT, type IfPaidLate } from '../../inventory/claim.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import { countHoldsOfClaimant, type HoldView, holdsByIds, holdsOfClaimant, liveHoldsOf } from '../../inventory/read-holds.ts';
import type { Database } from '../../platform/database/database.ts';
import { IdempotencyKeyReusedError, idempotently, requestHash } from '../../platform/idempotency/index.ts';
import type { Refusal } from '../../platform/refusal.ts';
import type { Gender } from '../accounts/index.ts';
import {
  BusyError,
  type CancellationStep,
  CapacityBelowTakenError,
  cancellationProblem,
  earliestFirst,
  FREE_UNTIL_START,
} from '../holds/index.ts';
import { Instructor, Lesson, LockerStock } from './lesson.entity.ts';
import { lessonKind, lockerKind } from './lesson.kind.ts';
import {
  AlreadyEnrolledError,
  LessonInputError,
  LessonNotFoundError,
  LessonNotYetOnSaleError,
  LessonSaleClosedError,
  LockerGenderUnknownError,
  MonthlyLimitReachedError,
  NoLockerLeftError,
  NoPlaceLeftError,
} from './lessons.errors.ts';
import type { CreateLessonInput, LessonFilter, UpdateLessonInput } from './lessons.inputs.ts';

const CAPACITY_MAX = 100_000;
const PRICE_MAX_MINOR = 100_000_000;
const ALTERNATIVES_MAX = 5;
const LOCKERS_KNOWN_MAX = 10_000;

/** Who enrols, and from where. */
export interface Enroller {
  memberId: string;
  /** Read only when a locker is asked for. */
  gender(): Promise<Gender | null>;
  clientIp: string;
}

/** What somebody enrols in. */
export interface Enrolling {
  lessonId: string;
  withLocker: boolean;
  ifPaidLate: IfPaidLate;
}

export class LessonsService {
  /** Lesson and gender → the pool of lockers. Neither the month of a lesson nor the pool of a stock ever changes. */
  private readonly lockerPools = new Map<string, string>();

  constructor(
    private readonly database: Database,
    private readonly inventory: Inventory,
    /** Lessons one member may have in a month. */
    private readonly monthlyLessonsMax: number,
  ) {}

  /** Takes a place, and a locker if asked, in one hold. */
  async enroll(enroller: Enroller, enrolling: Enrolling, idempotencyKey: string): Promise<HoldView | Refusal> {
    const { lessonId, withLocker, ifPaidLate } = enrolling;
    const items = [{ kind: lessonKind.name, poolId: lessonId, unitId: null, quantity: 1 }];
    let gender: Gender | null = null;
    if (withLocker) {
      gender = await enroller.gender();
      if (!gender) return new LockerGenderUnknownError();
      const lockers = await this.lockerPoolOf(lessonId, gender);
      if (lockers === undefined) return new LessonNotFoundError();
      if (lockers === null) return new NoLockerLeftError(gender);
      items.push({ kind: lockerKind.name, poolId: lockers, unitId: null, quantity: 1 });
    }
    const claim: ClaimRequest = {
      kind: lessonKind.name,
      claimantId: enroller.memberId,
      idempotencyKey,
      requestHash: requestHash('enroll', requestOf(enrolling)),
      clientIp: enroller.clientIp,
      ifPaidLate,
      items,
    };
    const answer = await this.inventory.place(claim);
    if (answer.outcome === 'GRANTED')
      return { ...answer, id: answer.holdId, kind: claim.kind, claimantId: claim.claimantId, state: 'HELD', ifPaidLate, version: 1, items };
    if (answer.outcome === 'REPLAYED') return (await holdsByIds(this.database.pool, [answer.holdId]))[0] ?? new LessonNotFoundError();
    return this.refusalOf(answer, lessonId, gender);
  }

  private refusalOf(answer: Exclude<ClaimAnswer, { holdId: string }>, lessonId: string, gender: Gender | null): Refusal {
    switch (answer.outcome) {
      case 'KEY_REUSED':
        return new IdempotencyKeyReusedError();
      case 'NOT_FOUND':
        return new LessonNotFoundError();
      case 'NOT_YET_ON_SALE':
        return new LessonNotYetOnSaleError(lessonId);
      case 'SALE_CLOSED':
        return new LessonSaleClosedError();
      case 'CLAIMANT_LIMIT':
        return new AlreadyEnrolledError(lessonId);
      case 'QUOTA_REACHED':
        return new MonthlyLimitReachedError(answer.limit ?? this.monthlyLessonsMax);
      case 'SOLD_OUT':
        return answer.itemIndex > 0 && gender ? new NoLockerLeftError(gender) : new NoPlaceLeftError(lessonId);
      case 'BUSY':
        return new BusyError();
      case 'UNIT_TAKEN':
      case 'COOLING_DOWN':
        throw new Error(`A lesson has neither numbered units nor a cool-down, so the kernel cannot answer ${answer.outcome}.`);
      default:
        return answer.outcome satisfies never;
    }
  }

  /** undefined: no such lesson; null: its month has no lockers. */
  private async lockerPoolOf(lessonId: string, gender: Gender): Promise<string | null | undefined> {
    const key = `${lessonId} ${gender}`;
    const known = this.lockerPools.get(key);
    if (known) return known;
    const { rows } = await this.database.pool.query<{ id: string | null }>({
      name: 'lockers_of_lesson',
      text: 'select s.id from lesson l left join locker_stock s on s.month = l.month and s.gender = $2 where l.id = $1',
      values: [lessonId, gender],
    });
    const id = rows[0]?.id;
    if (id) {
      if (this.lockerPools.size >= LOCKERS_KNOWN_MAX) this.lockerPools.clear();
      this.lockerPools.set(key, id);
    }
    return id;
  }

  /** The live enrolment a member has of a lesson. */
  async enrollmentOf(memberId: string, lessonId: string): Promise<HoldView | null> {
    return (await liveHoldsOf(this.database.pool, memberId, lessonId))[0] ?? null;
  }

  /** Newest first. */
  enrollmentsOf(memberId: string, before: string | null, limit: number): Promise<HoldView[]> {
    return holdsOfClaimant(this.database.pool, memberId, lessonKind.name, before, limit);
  }

  countEnrollmentsOf(memberId: string): Promise<number> {
    return countHoldsOfClaimant(this.database.pool, memberId, lessonKind.name);
  }

  /** Ordered by month, start and id; `after`: the last of the page before. */
  async lessons(
    em: EntityManager,
    filter: LessonFilter,
    after: readonly [string, string, string] | null,
    limit: number,
  ): Promise<Lesson[]> {
    const { sql, values } = lessonsWhere(filter);
    const { rows } = await this.database.pool.query({
      text: `select l.* from lesson l where ${sql} and ($${values.length + 1}::text is null or (l.month, l.starts_at, l.id) > ($${values.length + 1}, $${values.length + 2}, $${values.length + 3}::uuid))
             order by l.month, l.starts_at, l.id limit $${values.length + 4}`,
      values: [...values, ...(after ?? [null, null, null]), limit],
    });
    return rows.map((row) => em.map(Lesson, row));
  }

  async countLessons(filter: LessonFilter): Promise<number> {
    const { sql, values } = lessonsWhere(filter);
    const { rows } = await this.database.pool.query({ text: `select count(*)::int as count from lesson l where ${sql}`, values });
    return rows[0].count;
  }

  /** Lessons of the same month and level with free places now. */
  async alternativesTo(em: EntityManager, lessonId: string): Promise<Lesson[]> {
    const { rows } = await this.database.pool.query({
      name: 'alternative_lessons',
      text: `select l.* from lesson l join lesson t on t.id = $1 and t.month = l.month and t.level = l.level and t.id <> l.id
             join pool_availability a on a.id = l.id
             where a.free > 0 and (a.opens_at is null or a.opens_at <= clock_timestamp()) and (a.closes_at is null or a.closes_at > clock_timestamp())
             order by l.starts_at, l.id limit $2`,
      values: [lessonId, ALTERNATIVES_MAX],
    });
    return rows.map((row) => em.map(Lesson, row));
  }

  lockerStocks(em: EntityManager, month: string): Promise<LockerStock[]> {
    return em.find(LockerStock, { month }, { orderBy: { gender: 'desc' } });
  }

  instructors(em: EntityManager): Promise<Instructor[]> {
    return em.find(Instructor, {}, { orderBy: { name: 'asc', id: 'asc' }, limit: 100 });
  }

  createInstructor(memberId: string, name: string, idempotencyKey: string): Promise<{ instructorId: string } | Refusal> {
    return this.database.transact(
      async (em) => {
        if (name.trim().length === 0 || name.length > 100)
          return new LessonInputError('name', 'The name must have 1 to 100 characters.', '이름은 1자 이상 100자 이하여야 합니다.');
        return idempotently(em, { memberId, key: idempotencyKey, operation: 'createInstructor', request: { name } }, async () => {
          const [row] = await em.execute<{ id: string }[]>('insert into instructor (name) values (?) returning id', [name.trim()]);
          return { instructorId: row?.id as string };
        });
      },
      { name: 'create-instructor' },
    );
  }

  createLesson(memberId: string, input: CreateLessonInput, instructorId: string): Promise<{ lessonId: string } | Refusal> {
    return this.database.transact(
      async (em) => {
        const problem = problemWith(input) ?? (await this.instructorProblem(em, instructorId));
        if (problem) return problem;
        const { idempotencyKey, ...request } = input;
        return idempotently(
          em,
          { memberId, key: idempotencyKey, operation: 'createLesson', request: JSON.parse(JSON.stringify(request)) },
          async () => ({ lessonId: await insertLesson(em, { ...input, instructorId, monthlyLessonsMax: this.monthlyLessonsMax }) }),
        );
      },
      { name: 'create-lesson' },
    );
  }

  updateLesson(lessonId: string, change: Omit<UpdateLessonInput, 'lessonId'>): Promise<Lesson | Refusal> {
    return this.database.transact(
      async (em) => {
        const lesson = await em.findOne(Lesson, { id: lessonId });
        if (!lesson) return new LessonNotFoundError();
        const problem = problemWith(change) ?? (change.instructorId ? await this.instructorProblem(em, change.instructorId) : undefined);
        if (problem) return problem;
        wrap(lesson).assign(
          withoutAbsent({ title: change.title?.trim(), lane: change.lane ?? undefined, instructorId: change.instructorId ?? undefined }),
        );
        if (change.cancellation) lesson.cancellation = earliestFirst(change.cancellation);
        // The pool is written by one guarded statement: its counters belong to the claims that run meanwhile.
        const [window] = await em.execute<{ opens_at: unknown }[]>(
          `update pool set price_minor = coalesce(?, price_minor), policy = coalesce(?, policy),
             opens_at = case when ? then ?::timestamptz else opens_at end, closes_at = case when ? then ?::timestamptz else closes_at end,
             version = version + 1, changed_at = clock_timestamp()
           where id = ? and (case when ? then ?::timestamptz else opens_at end <= case when ? then ?::timestamptz else closes_at end) is not false
           returning opens_at`,
          [change.priceMinor ?? null, change.policy ?? null, ...windowOf(change), lessonId, ...windowOf(change)],
        );
        return window ? lesson : windowError();
      },
      { name: 'update-lesson' },
    );
  }

  async changeCapacity(lessonId: string, capacity: number): Promise<string | Refusal> {
    return this.adjust(lessonId, lessonKind.name, capacity);
  }

  /** Ends enrolment now. Holds that exist can still be paid. */
  async closeSale(lessonId: string): Promise<string | Refusal> {
    const { rowCount } = await this.database.pool.query(
      // A sale that never opened has no opening any more; one that opened keeps it, and one that never had one is given none.
      `update pool set opens_at = case when opens_at <= clock_timestamp() then opens_at end, closes_at = least(closes_at, clock_timestamp()),
         version = version + 1, changed_at = clock_timestamp() where id = $1 and kind = $2`,
      [lessonId, lessonKind.name],
    );
    return rowCount === 1 ? lessonId : new LessonNotFoundError();
  }

  /** Sets the lockers of a month and gender, making the stock at the first call. */
  async setLockerCapacity(month: string, gender: Gender, capacity: number): Promise<string | Refusal> {
    const stockId = await this.database.transact(async (em) => lockerStockFor(em, month, gender), { name: 'make-locker-stock' });
    return this.adjust(stockId, lockerKind.name, capacity);
  }

  private async adjust(poolId: string, kind: string, capacity: number): Promise<string | Refusal> {
    const problem = problemWith({ capacity });
    if (problem) return problem;
    const adjusted = await this.inventory.adjustCapacity(poolId, kind, capacity);
    switch (adjusted.outcome) {
      case 'ADJUSTED':
        return poolId;
      case 'NOT_FOUND':
        return new LessonNotFoundError();
      case 'BELOW_TAKEN':
        return new CapacityBelowTakenError(adjusted);
      default:
        return adjusted satisfies never;
    }
  }

  private async instructorProblem(em: EntityManager, instructorId: string): Promise<Refusal | undefined> {
    const known = await em.count(Instructor, { id: instructorId });
    return known ? undefined : new LessonInputError('instructorId', 'There is no such instructor.', '해당 강사를 찾을 수 없습니다.');
  }
}

/** The default is left out: so keys that were used before there was a choice, and by clients who do not know of it, name the same request. */
const requestOf = ({ lessonId, withLocker, ifPaidLate }: Enrolling) => ({
  lessonId,
  withLocker,
  ...(ifPaidLate === IF_PAID_LATE_DEFAULT ? {} : { ifPaidLate }),
});

const withoutAbsent = <T extends object>(values: T) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as { [K in keyof T]?: Exclude<T[K], undefined> };

const windowOf = (change: { onSaleFrom?: Date | null; onSaleUntil?: Date | null }) => [
  change.onSaleFrom !== undefined,
  change.onSaleFrom ?? null,
  change.onSaleUntil !== undefined,
  change.onSaleUntil ?? null,
];

const windowError = () =>
  new LessonInputError('onSaleUntil', 'Enrolment must not close before it opens.', '접수 마감은 접수 시작보다 빠를 수 없습니다.');

function lessonsWhere(filter: LessonFilter): { sql: string; values: unknown[] } {
  return {
    sql: `($1::text is null or l.month = $1) and ($2::text[] is null or l.weekdays && $2) and ($3::text is null or l.level = $3)
          and (not $4 or exists (select 1 from pool_availability a where a.id = l.id and a.free > 0))`,
    values: [filter.month ?? null, filter.weekdays?.length ? filter.weekdays : null, filter.level ?? null, filter.freeOnly],
  };
}

/** What of an input is out of its limits, first things first. */
function problemWith(
  input: Partial<Pick<CreateLessonInput, 'weekdays' | 'startsAt' | 'endsAt' | 'capacity'>> & {
    title?: string | null;
    lane?: number | null;
    priceMinor?: number | null;
    onSaleFrom?: Date | null;
    onSaleUntil?: Date | null;
    cancellation?: readonly CancellationStep[] | null;
  },
): LessonInputError | undefined {
  const { title, lane, priceMinor, capacity, weekdays, startsAt, endsAt, onSaleFrom, onSaleUntil, cancellation } = input;
  const outside = (value: number | null | undefined, min: number, max: number) => value != null && (value < min || value > max);
  if (title != null && (title.trim().length === 0 || title.length > 200))
    return new LessonInputError('title', 'The title must have 1 to 200 characters.', '제목은 1자 이상 200자 이하여야 합니다.');
  if (outside(lane, 1, 20)) return new LessonInputError('lane', 'The lane must be 1 to 20.', '레인은 1에서 20 사이여야 합니다.');
  if (outside(priceMinor, 0, PRICE_MAX_MINOR))
    return new LessonInputError(
      'priceMinor',
      `The price must be 0 to ${PRICE_MAX_MINOR} won.`,
      `가격은 0원 이상 ${PRICE_MAX_MINOR}원 이하여야 합니다.`,
    );
  if (outside(capacity, 0, CAPACITY_MAX))
    return new LessonInputError('capacity', `Capacity must be 0 to ${CAPACITY_MAX}.`, `정원은 0에서 ${CAPACITY_MAX} 사이여야 합니다.`);
  if (weekdays && (weekdays.length === 0 || new Set(weekdays).size !== weekdays.length))
    return new LessonInputError('weekdays', 'Name 1 to 7 different weekdays.', '서로 다른 요일을 1개 이상 선택해 주세요.');
  if (startsAt !== undefined && endsAt !== undefined && startsAt >= endsAt)
    return new LessonInputError(
      'endsAt',
      'A session must end after it starts, on the same day.',
      '종료 시각은 시작 시각보다 늦어야 합니다.',
    );
  if (onSaleFrom && onSaleUntil && onSaleFrom > onSaleUntil) return windowError();
  const wrongPolicy = cancellation && cancellationProblem(cancellation);
  if (wrongPolicy) return new LessonInputError('cancellation', wrongPolicy.en, wrongPolicy.ko);
  return undefined;
}

/** The pool and its lesson, in the caller's transaction. */
export async function insertLesson(
  em: EntityManager,
  lesson: Omit<CreateLessonInput, 'idempotencyKey'> & { monthlyLessonsMax: number },
): Promise<string> {
  const [pool] = await em.execute<{ id: string }[]>(
    `insert into pool (kind, capacity, policy, price_minor, per_claimant_max, quota_key, quota_max, hold_seconds, opens_at, closes_at)
     values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id`,
    [
      lessonKind.name,
      lesson.capacity,
      lesson.policy,
      lesson.priceMinor,
      lessonKind.perClaimantMax,
      `lesson ${lesson.month}`,
      lesson.monthlyLessonsMax,
      lessonKind.holdSeconds,
      lesson.onSaleFrom ?? null,
      lesson.onSaleUntil ?? null,
    ],
  );
  const id = pool?.id as string;
  const { title, level, month, weekdays, startsAt, endsAt, lane, instructorId } = lesson;
  const cancellation = earliestFirst(lesson.cancellation ?? FREE_UNTIL_START);
  em.create(Lesson, { id, title: title.trim(), level, month, weekdays, startsAt, endsAt, lane, instructorId, cancellation });
  await em.flush();
  return id;
}

/** The stock of a month and gender, made empty if there is none. */
export async function lockerStockFor(em: EntityManager, month: string, gender: Gender): Promise<string> {
  // Two makers of one stock take turns; the second finds the first one's.
  await em.execute('select pg_advisory_xact_lock(hashtextextended(?, 0))', [`locker ${month} ${gender}`]);
  const [known] = await em.execute<{ id: string }[]>('select id from locker_stock where month = ? and gender = ?', [month, gender]);
  if (known) return known.id;
  const [pool] = await em.execute<{ id: string }[]>(
    'insert into pool (kind, capacity, hold_seconds, per_claimant_max) values (?, 0, ?, ?) returning id',
    [lockerKind.name, lockerKind.holdSeconds, lockerKind.perClaimantMax],
  );
  const id = pool?.id as string;
  await em.execute('insert into locker_stock (id, month, gender) values (?, ?, ?)', [id, month, gender]);
  return id;
}
