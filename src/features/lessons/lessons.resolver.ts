import {
  Arg,
  Args,
  Ctx,
  createUnionType,
  Field,
  FieldResolver,
  ID,
  InputType,
  Mutation,
  ObjectType,
  Query,
  Resolver,
  Root,
} from 'type-graphql';
import type { HoldView } from '../../inventory/read-holds.ts';
import { RequiresRole, viewerOf } from '../../platform/graphql/authorization.ts';
import { ConnectionArgs, connectionById, pageOf, toConnection } from '../../platform/graphql/connections.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { Money } from '../../platform/graphql/money.ts';
import { toNodeId, uuidOf } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { YearMonth } from '../../platform/graphql/scalars.ts';
import { checkedIdempotencyKey, IdempotencyKeyReusedError } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { type Gender, memberById } from '../accounts/index.ts';
import { AvailabilityType, availabilityById, BusyError, CapacityBelowTakenError } from '../holds/index.ts';
import { EnrollmentConnection, EnrollmentType } from './enrollment.types.ts';
import type { Instructor, Lesson, LockerStock } from './lesson.entity.ts';
import { InstructorType, LessonConnection, LessonSessionType, LessonType, LockerStockType } from './lesson.types.ts';
import { sessionsOf } from './lesson-sessions.ts';
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
import {
  ChangeLessonCapacityInput,
  CreateLessonInput,
  EnrollInput,
  LessonFilter,
  SetLockerCapacityInput,
  UpdateLessonInput,
} from './lessons.inputs.ts';
import { instructorById, lessonById, lockerStockById, poolById } from './lessons.loaders.ts';
import type { LessonsService } from './lessons.service.ts';

@ObjectType('EnrollSuccess', { description: 'The place is held, and the locker if one was asked for.' })
class EnrollSuccess {
  constructor(enrollment: HoldView) {
    this.enrollment = enrollment as never;
  }
  @Price(0)
  @Field(() => EnrollmentType, { description: 'What you hold now. Pay it before `expiresAt` with `preparePayment`.' })
  readonly enrollment: EnrollmentType;
}

const EnrollResult = createUnionType({
  name: 'EnrollResult',
  description:
    'A held place, or why there is none. The first that applies is answered, in this order: LockerGenderUnknownError, IdempotencyKeyReusedError, ' +
    'LessonNotFoundError, LessonNotYetOnSaleError, LessonSaleClosedError, AlreadyEnrolledError, MonthlyLimitReachedError, NoPlaceLeftError, ' +
    'NoLockerLeftError, BusyError. A month without lockers answers NoLockerLeftError before anything of the lesson is looked at.',
  types: () =>
    [
      EnrollSuccess,
      IdempotencyKeyReusedError,
      LessonNotFoundError,
      LessonNotYetOnSaleError,
      LessonSaleClosedError,
      AlreadyEnrolledError,
      MonthlyLimitReachedError,
      NoPlaceLeftError,
      NoLockerLeftError,
      LockerGenderUnknownError,
      BusyError,
    ] as const,
});

@ObjectType('LessonSuccess', { description: 'The lesson as it is now.' })
class LessonSuccess {
  constructor(readonly lessonId: string) {}
  @Price(1)
  @Field(() => LessonType, { description: 'The lesson.' })
  lesson?: LessonType;
}

const lessonResult = (name: string, description: string, ...errors: (new (...args: never[]) => Refusal)[]) =>
  createUnionType({ name, description, types: () => [LessonSuccess, ...errors] as never });

const CreateLessonResult = lessonResult(
  'CreateLessonResult',
  'The new lesson, or what is wrong with it.',
  LessonInputError,
  IdempotencyKeyReusedError,
);
const UpdateLessonResult = lessonResult('UpdateLessonResult', 'The changed lesson, or why not.', LessonNotFoundError, LessonInputError);
const ChangeLessonCapacityResult = lessonResult(
  'ChangeLessonCapacityResult',
  'The lesson with its new capacity, or why not.',
  LessonNotFoundError,
  LessonInputError,
  CapacityBelowTakenError,
);
const CloseLessonSaleResult = lessonResult('CloseLessonSaleResult', 'The closed lesson, or why not.', LessonNotFoundError);

@ObjectType('InstructorSuccess', { description: 'The new instructor.' })
class InstructorSuccess {
  constructor(readonly instructorId: string) {}
  @Price(1)
  @Field(() => InstructorType, { description: 'The instructor.' })
  instructor?: InstructorType;
}

const CreateInstructorResult = createUnionType({
  name: 'CreateInstructorResult',
  description: 'The new instructor, or what is wrong.',
  types: () => [InstructorSuccess, LessonInputError, IdempotencyKeyReusedError] as const,
});

@InputType('CreateInstructorInput', { description: 'A new instructor.' })
class CreateInstructorInput {
  @Field(() => String, { description: 'The name, 1 to 100 characters.' })
  name!: string;

  @Field(() => String, { description: 'Made by you before the first try, 1 to 200 visible ASCII characters.' })
  idempotencyKey!: string;
}

@ObjectType('LockerStockSuccess', { description: 'The lockers as they are now.' })
class LockerStockSuccess {
  constructor(readonly lockerStockId: string) {}
  @Price(1)
  @Field(() => LockerStockType, { description: 'The stock of lockers.' })
  lockerStock?: LockerStockType;
}

const SetLockerCapacityResult = createUnionType({
  name: 'SetLockerCapacityResult',
  description: 'The lockers with their new number, or why not.',
  types: () => [LockerStockSuccess, LessonInputError, CapacityBelowTakenError] as const,
});

@Resolver()
export class LessonsResolver {
  constructor(private readonly lessonsService: LessonsService) {}

  @Price(1, { multipliedBy: 'first' })
  @Query(() => LessonConnection, { description: 'The timetable by month, time of day and id. Anyone may read it.' })
  async lessons(
    @Arg('filter', () => LessonFilter, { nullable: true, description: 'Which lessons; absent or null: all.' }) given:
      | LessonFilter
      | null
      | undefined,
    @Args(() => ConnectionArgs) args: ConnectionArgs,
    @Ctx() context: RequestContext,
  ) {
    const filter = given ?? { freeOnly: false };
    const page = pageOf(args, ['text', 'text', 'uuid'] as const);
    const rows = await this.lessonsService.lessons(context.em, filter, page.after, page.limit);
    return toConnection(rows, {
      page,
      cursorOf: (lesson: Lesson) => [lesson.month, lesson.startsAt, lesson.id],
      totalCount: () => this.lessonsService.countLessons(filter),
    });
  }

  @Price(1)
  @Query(() => LessonType, { nullable: true, description: 'One lesson; null if there is none with this id. Anyone may read it.' })
  lesson(@Arg('id', () => ID, { description: 'The id of the lesson.' }) id: string, @Ctx() context: RequestContext) {
    return lessonById(context).load(uuidOf(id, 'Lesson'));
  }

  @Price(1, { size: 2 })
  @Query(() => [LockerStockType], {
    description: 'What lockers a month has, one entry for each changing room, at most 2. Anyone may read it.',
  })
  lockers(@Arg('month', () => YearMonth, { description: 'The month.' }) month: string, @Ctx() context: RequestContext) {
    return this.lessonsService.lockerStocks(context.em, month);
  }

  @Price(1, { size: 100 })
  @Query(() => [InstructorType], { description: 'Every instructor by name, at most 100. Anyone may read it.' })
  instructors(@Ctx() context: RequestContext) {
    return this.lessonsService.instructors(context.em);
  }

  @RequiresRole()
  @Price(1, { multipliedBy: 'first' })
  @Query(() => EnrollmentConnection, { description: 'Your own enrolments, newest first, ended ones too. Needs a signed-in member.' })
  async myEnrollments(@Args(() => ConnectionArgs) args: ConnectionArgs, @Ctx() context: RequestContext) {
    const { memberId } = viewerOf(context);
    return connectionById(
      args,
      (after, limit) => this.lessonsService.enrollmentsOf(memberId, after, limit),
      () => this.lessonsService.countEnrollmentsOf(memberId),
    );
  }

  @RequiresRole()
  @Mutation(() => EnrollResult, {
    nullable: true,
    description:
      'Takes a place in a lesson, and a locker if asked, for 5 minutes: both or nothing. Needs a signed-in member. Safe to repeat with the same key.',
  })
  async enroll(@Arg('input', () => EnrollInput, { description: 'What to enrol in.' }) input: EnrollInput, @Ctx() context: RequestContext) {
    const { memberId } = viewerOf(context);
    const result = await this.lessonsService.enroll(
      { memberId, gender: async () => genderOf(context, memberId), clientIp: context.clientIp },
      { lessonId: uuidOf(input.lessonId, 'Lesson'), withLocker: input.withLocker, ifPaidLate: input.ifPaidLate },
      checkedIdempotencyKey(input.idempotencyKey),
    );
    return result instanceof Refusal ? result : new EnrollSuccess(result);
  }

  @RequiresRole('ADMIN')
  @Mutation(() => CreateInstructorResult, { nullable: true, description: 'Adds an instructor. Needs the role ADMIN.' })
  async createInstructor(
    @Arg('input', () => CreateInstructorInput, { description: 'The instructor.' }) input: CreateInstructorInput,
    @Ctx() context: RequestContext,
  ) {
    const made = await this.lessonsService.createInstructor(
      viewerOf(context).memberId,
      input.name,
      checkedIdempotencyKey(input.idempotencyKey),
    );
    return made instanceof Refusal ? made : new InstructorSuccess(made.instructorId);
  }

  @RequiresRole('ADMIN')
  @Mutation(() => CreateLessonResult, { nullable: true, description: 'Adds a lesson to the timetable. Needs the role ADMIN.' })
  async createLesson(
    @Arg('input', () => CreateLessonInput, { description: 'The lesson.' }) input: CreateLessonInput,
    @Ctx() context: RequestContext,
  ) {
    checkedIdempotencyKey(input.idempotencyKey);
    const made = await this.lessonsService.createLesson(viewerOf(context).memberId, input, uuidOf(input.instructorId, 'Instructor'));
    return made instanceof Refusal ? made : new LessonSuccess(made.lessonId);
  }

  @RequiresRole('ADMIN')
  @Mutation(() => UpdateLessonResult, { nullable: true, description: 'Changes a lesson. Needs the role ADMIN.' })
  async updateLesson(
    @Arg('input', () => UpdateLessonInput, { description: 'What to change.' }) { lessonId, ...change }: UpdateLessonInput,
  ) {
    const instructorId = change.instructorId == null ? change.instructorId : uuidOf(change.instructorId, 'Instructor');
    const changed = await this.lessonsService.updateLesson(uuidOf(lessonId, 'Lesson'), {
      ...change,
      ...(instructorId ? { instructorId } : {}),
    });
    return changed instanceof Refusal ? changed : new LessonSuccess(changed.id);
  }

  @RequiresRole('ADMIN')
  @Mutation(() => ChangeLessonCapacityResult, {
    nullable: true,
    description: 'Sets the number of places, up or down, while claims run. Needs the role ADMIN.',
  })
  async changeLessonCapacity(
    @Arg('input', () => ChangeLessonCapacityInput, { description: 'The new capacity.' }) input: ChangeLessonCapacityInput,
  ) {
    const changed = await this.lessonsService.changeCapacity(uuidOf(input.lessonId, 'Lesson'), input.capacity);
    return changed instanceof Refusal ? changed : new LessonSuccess(changed);
  }

  @RequiresRole('ADMIN')
  @Mutation(() => CloseLessonSaleResult, {
    nullable: true,
    description: 'Ends enrolment now; holds that exist can still be paid. Needs the role ADMIN.',
  })
  async closeLessonSale(@Arg('lessonId', () => ID, { description: 'The id of the lesson.' }) lessonId: string) {
    const closed = await this.lessonsService.closeSale(uuidOf(lessonId, 'Lesson'));
    return closed instanceof Refusal ? closed : new LessonSuccess(closed);
  }

  @RequiresRole('ADMIN')
  @Mutation(() => SetLockerCapacityResult, {
    nullable: true,
    description: 'Sets how many lockers a changing room has in a month. Needs the role ADMIN.',
  })
  async setLockerCapacity(@Arg('input', () => SetLockerCapacityInput, { description: 'The lockers.' }) input: SetLockerCapacityInput) {
    const set = await this.lessonsService.setLockerCapacity(input.month, input.gender, input.capacity);
    return set instanceof Refusal ? set : new LockerStockSuccess(set);
  }
}

async function genderOf(context: RequestContext, memberId: string): Promise<Gender | null> {
  return (await memberById(context).load(memberId))?.gender ?? null;
}

@Resolver(() => LessonType)
export class LessonResolver {
  @FieldResolver(() => ID)
  id(@Root() lesson: Lesson): string {
    return toNodeId('Lesson', lesson.id);
  }

  @FieldResolver(() => InstructorType)
  instructor(@Root() lesson: Lesson, @Ctx() context: RequestContext) {
    return instructorById(context).load(lesson.instructorId);
  }

  @FieldResolver(() => Money)
  async price(@Root() lesson: Lesson, @Ctx() context: RequestContext) {
    const pool = await poolById(context).load(lesson.id);
    return pool && { amountMinor: pool.priceMinor, currency: pool.currency };
  }

  @FieldResolver(() => Date)
  async onSaleFrom(@Root() lesson: Lesson, @Ctx() context: RequestContext) {
    return (await poolById(context).load(lesson.id))?.opensAt ?? null;
  }

  @FieldResolver(() => Date)
  async onSaleUntil(@Root() lesson: Lesson, @Ctx() context: RequestContext) {
    return (await poolById(context).load(lesson.id))?.closesAt ?? null;
  }

  @FieldResolver(() => AvailabilityType)
  availability(@Root() lesson: Lesson, @Ctx() context: RequestContext) {
    return availabilityById(context).load(lesson.id);
  }

  @FieldResolver(() => [LessonSessionType])
  sessions(@Root() lesson: Lesson) {
    return sessionsOf(lesson);
  }
}

@Resolver(() => InstructorType)
export class InstructorResolver {
  @FieldResolver(() => ID)
  id(@Root() instructor: Instructor): string {
    return toNodeId('Instructor', instructor.id);
  }
}

@Resolver(() => LockerStockType)
export class LockerStockResolver {
  @FieldResolver(() => ID)
  id(@Root() stock: LockerStock): string {
    return toNodeId('LockerStock', stock.id);
  }

  @FieldResolver(() => AvailabilityType)
  availability(@Root() stock: LockerStock, @Ctx() context: RequestContext) {
    return availabilityById(context).load(stock.id);
  }
}

@Resolver(() => EnrollmentType)
export class EnrollmentResolver {
  @FieldResolver(() => LessonType)
  lesson(@Root() hold: HoldView, @Ctx() context: RequestContext) {
    return lessonById(context).load(hold.items[0]?.poolId ?? '');
  }

  @FieldResolver(() => LockerStockType)
  locker(@Root() hold: HoldView, @Ctx() context: RequestContext) {
    const locker = hold.items[1];
    return locker ? lockerStockById(context).load(locker.poolId) : null;
  }
}

/** What results carry as an id is loaded only where it is selected. */
@Resolver(() => LessonSuccess)
export class LessonSuccessResolver {
  @FieldResolver(() => LessonType)
  lesson(@Root() { lessonId }: LessonSuccess, @Ctx() context: RequestContext) {
    return lessonById(context).load(lessonId);
  }
}

@Resolver(() => InstructorSuccess)
export class InstructorSuccessResolver {
  @FieldResolver(() => InstructorType)
  instructor(@Root() { instructorId }: InstructorSuccess, @Ctx() context: RequestContext) {
    return instructorById(context).load(instructorId);
  }
}

@Resolver(() => LockerStockSuccess)
export class LockerStockSuccessResolver {
  @FieldResolver(() => LockerStockType)
  lockerStock(@Root() { lockerStockId }: LockerStockSuccess, @Ctx() context: RequestContext) {
    return lockerStockById(context).load(lockerStockId);
  }
}

@Resolver(() => LessonNotYetOnSaleError)
export class LessonNotYetOnSaleErrorResolver {
  @FieldResolver(() => LessonType)
  lesson(@Root() { lessonId }: LessonNotYetOnSaleError, @Ctx() context: RequestContext) {
    return lessonById(context).load(lessonId);
  }
}

@Resolver(() => AlreadyEnrolledError)
export class AlreadyEnrolledErrorResolver {
  constructor(private readonly lessonsService: LessonsService) {}

  @FieldResolver(() => EnrollmentType)
  existing(@Root() { lessonId }: AlreadyEnrolledError, @Ctx() context: RequestContext) {
    return this.lessonsService.enrollmentOf(viewerOf(context).memberId, lessonId);
  }
}

@Resolver(() => NoPlaceLeftError)
export class NoPlaceLeftErrorResolver {
  constructor(private readonly lessonsService: LessonsService) {}

  @FieldResolver(() => [LessonType])
  alternatives(@Root() { lessonId }: NoPlaceLeftError, @Ctx() context: RequestContext) {
    return this.lessonsService.alternativesTo(context.em, lessonId);
  }
}
