import { randomUUID } from 'node:crypto';
import {
  RushAuditDocument,
  RushCloseSaleDocument,
  RushInstructorDocument,
  RushLessonDocument,
  RushLessonStateDocument,
  RushLockerCapacityDocument,
  RushLockersDocument,
  RushProvidersDocument,
  RushSignInDocument,
  RushSignOutDocument,
} from '../../schema/generated/operations.ts';
import { type Api, ApiError } from './api.ts';
import type { Audit, LessonState } from './invariants.ts';
import { type RushOptions, SetupError } from './options.ts';

/** Far enough ahead to be nobody's timetable. */
const MONTH = '2099-12';
const MEMBERS_PER_CALL = 10_000;
const LOCKER_TRIES = 3;

/** Exists only where rehearsals are switched on, so it is in no committed schema and has no generated type. */
const CREATE_MEMBERS = 'mutation RushMembers($count: Int!) { createRehearsalMembers(count: $count) { accessToken } }';

/** What an administrator prepares for a rehearsal, looks at, and puts away. */
export class Stage {
  private readonly api: Api;
  private readonly options: RushOptions;
  private accessToken: string | undefined;
  private lessonId: string | undefined;

  constructor(api: Api, options: RushOptions) {
    this.api = api;
    this.options = options;
  }

  async signIn(): Promise<void> {
    const { admin } = this.options;
    if ('accessToken' in admin) {
      this.accessToken = admin.accessToken;
      return;
    }
    const { signIn } = await this.api.call(RushSignInDocument, { input: admin });
    if (signIn?.__typename === 'SignInSuccess') this.accessToken = signIn.tokens.accessToken;
    else throw new SetupError(`${admin.email} cannot sign in: ${signIn?.message ?? 'no answer'} Give --admin-email and --admin-password.`);
  }

  /** The provider the winners pay with: the first that the server offers. */
  async provider(): Promise<string> {
    const { paymentProviders } = await this.api.call(RushProvidersDocument, {});
    const [provider] = paymentProviders;
    if (!provider)
      throw new SetupError('This server offers no payment provider: start it with PAYMENT_SIMULATOR=on, or rush with --pay 0.');
    return provider;
  }

  /** Makes members and answers the access token of each. `made` hears how many there are. */
  async makeMembers(made: (count: number) => void): Promise<string[]> {
    const accessTokens: string[] = [];
    while (accessTokens.length < this.options.members) {
      const count = Math.min(MEMBERS_PER_CALL, this.options.members - accessTokens.length);
      const { createRehearsalMembers } = await this.asAdmin(() =>
        this.api.call<{ createRehearsalMembers: { accessToken: string }[] }, { count: number }>(
          CREATE_MEMBERS,
          { count },
          this.accessToken,
        ),
      );
      for (const { accessToken } of createRehearsalMembers) accessTokens.push(accessToken);
      made(accessTokens.length);
    }
    return accessTokens;
  }

  /** Answers the id of a new lesson that is on sale. */
  async makeLesson(): Promise<string> {
    const { places, policy, lockers } = this.options;
    const { createInstructor } = await this.asAdmin(() =>
      this.api.call(RushInstructorDocument, { input: { name: 'Rehearsal', idempotencyKey: randomUUID() } }, this.accessToken),
    );
    if (createInstructor?.__typename !== 'InstructorSuccess') throw refused('createInstructor', createInstructor);
    const input = {
      title: `On-sale rehearsal ${new Date().toISOString()}`,
      level: 'BEGINNER',
      month: MONTH,
      weekdays: ['SATURDAY'],
      startsAt: '09:00',
      endsAt: '09:50',
      lane: 1,
      capacity: places,
      priceMinor: 50_000,
      instructorId: createInstructor.instructor.id,
      policy,
      idempotencyKey: randomUUID(),
    } as const;
    const { createLesson } = await this.asAdmin(() =>
      this.api.call(RushLessonDocument, { input: { ...input, weekdays: [...input.weekdays] } }, this.accessToken),
    );
    if (createLesson?.__typename !== 'LessonSuccess') throw refused('createLesson', createLesson);
    this.lessonId = createLesson.lesson.id;
    if (lockers) await this.makeLockers();
    return this.lessonId;
  }

  /** As many free lockers in each changing room as there are places, so that lockers never decide who wins. */
  private async makeLockers(): Promise<void> {
    const { lockers } = await this.api.call(RushLockersDocument, { month: MONTH });
    for (const gender of ['FEMALE', 'MALE'] as const) {
      const stock = lockers.find((one) => one.gender === gender)?.availability;
      let taken = stock ? stock.capacity - stock.free : 0;
      for (let attempt = 1; ; attempt++) {
        const input = { month: MONTH, gender, capacity: taken + this.options.places };
        const { setLockerCapacity } = await this.asAdmin(() => this.api.call(RushLockerCapacityDocument, { input }, this.accessToken));
        if (setLockerCapacity?.__typename === 'LockerStockSuccess') break;
        // Unpaid lockers of a rehearsal before this one may have run out and not be tidied up yet.
        if (setLockerCapacity?.__typename !== 'CapacityBelowTakenError' || attempt === LOCKER_TRIES)
          throw refused('setLockerCapacity', setLockerCapacity);
        taken = setLockerCapacity.held + setLockerCapacity.sold;
      }
    }
  }

  async state(): Promise<LessonState> {
    const { lesson } = await this.api.call(RushLessonStateDocument, { id: this.lessonId ?? '' });
    if (!lesson) throw new Error('The lesson of the rehearsal is gone.');
    return lesson.availability;
  }

  async audit(): Promise<Audit> {
    return (await this.api.call(RushAuditDocument, {})).inventoryAudit;
  }

  /** Ends the sale and the administrator's session. */
  async close(): Promise<void> {
    if (this.lessonId) await this.asAdmin(() => this.api.call(RushCloseSaleDocument, { lessonId: this.lessonId ?? '' }, this.accessToken));
    if (this.accessToken && !('accessToken' in this.options.admin))
      await this.api.call(RushSignOutDocument, { input: {} }, this.accessToken);
  }

  /** Runs what needs an administrator, signing in again when the token has expired meanwhile. Access tokens live ten minutes or less. */
  private async asAdmin<Data>(run: () => Promise<Data>): Promise<Data> {
    try {
      return await run();
    } catch (error) {
      const { code } = error as ApiError;
      if (code === 'UNAUTHENTICATED' && !('accessToken' in this.options.admin)) {
        await this.signIn();
        return run();
      }
      throw translated(error);
    }
  }
}

function translated(error: unknown): unknown {
  if (!(error instanceof ApiError)) return error;
  // Every other operation is in the committed schema; the message may not name the field where introspection is off.
  if (error.code === 'GRAPHQL_VALIDATION_FAILED')
    return new SetupError(
      'Rehearsals are switched off on this server: start it with REHEARSALS=on (refused in production), or let npm run rush -- --own start one.',
    );
  if (error.code === 'UNAUTHENTICATED') return new SetupError(`The server does not accept the access token: ${error.message}`);
  if (error.code === 'FORBIDDEN')
    return new SetupError(
      'A rehearsal needs the role ADMIN: give --admin-email and --admin-password, or RUSH_ADMIN_TOKEN, of an administrator.',
    );
  return new SetupError(`The server refuses to prepare the rehearsal (${error.code}): ${error.message}`);
}

const refused = (what: string, result: { code?: string; message?: string } | null | undefined) =>
  new SetupError(`${what} was refused (${result?.code ?? 'no answer'}): ${result?.message ?? 'the server did not say why.'}`);
