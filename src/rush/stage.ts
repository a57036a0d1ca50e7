import { randomUUID } from 'node:crypto';
import {
  RushCloseSaleDocument,
  RushInstructorDocument,
  RushLessonDocument,
  RushLessonStateDocument,
  RushLockerCapacityDocument,
  RushLockersDocument,
} from '../../schema/generated/operations.ts';
import { type Administrator, refused } from './administrator.ts';
import type { Api } from './api.ts';
import type { LessonState } from './invariants.ts';
import type { RushOptions } from './options.ts';

/** Far enough ahead to be nobody's timetable. */
const MONTH = '2099-12';
const LOCKER_TRIES = 3;

/** The lesson of a rehearsal. */
export class Stage {
  private readonly api: Api;
  private readonly administrator: Administrator;
  private readonly options: Pick<RushOptions, 'places' | 'policy' | 'lockers'>;
  private lessonId: string | undefined;

  constructor(api: Api, administrator: Administrator, options: Pick<RushOptions, 'places' | 'policy' | 'lockers'>) {
    this.api = api;
    this.administrator = administrator;
    this.options = options;
  }

  /** Answers the id of a new lesson that is on sale. */
  async makeLesson(): Promise<string> {
    const { places, policy, lockers } = this.options;
    const { createInstructor } = await this.administrator.call(RushInstructorDocument, {
      input: { name: 'Rehearsal', idempotencyKey: randomUUID() },
    });
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
    const { createLesson } = await this.administrator.call(RushLessonDocument, { input: { ...input, weekdays: [...input.weekdays] } });
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
        const { setLockerCapacity } = await this.administrator.call(RushLockerCapacityDocument, { input });
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

  /** Ends the sale. */
  async close(): Promise<void> {
    if (this.lessonId) await this.administrator.call(RushCloseSaleDocument, { lessonId: this.lessonId });
  }
}
