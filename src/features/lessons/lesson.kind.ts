import { defineKind } from '../../inventory/kind.ts';

/** A place in a monthly lesson: one per member, held for five minutes. */
export const lessonKind = defineKind({ name: 'lesson', poolType: 'Lesson', holdType: 'Enrollment', holdSeconds: 300, perClaimantMax: 1 });

/** A locker of one gender for one month, taken along with a lesson; a member with several lessons may have one for each. */
export const lockerKind = defineKind({ name: 'locker', poolType: 'LockerStock', holdType: null, holdSeconds: 300, perClaimantMax: null });
