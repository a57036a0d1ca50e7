import type { Feature } from '../feature.ts';
import { EnrollmentType } from './enrollment.types.ts';
import { InstructorSchema, LessonSchema, LockerStockSchema } from './lesson.entity.ts';
import { lessonKind, lockerKind } from './lesson.kind.ts';
import * as resolvers from './lessons.resolver.ts';

/** Monthly swimming lessons with lockers. */
export const lessons: Feature = {
  name: 'lessons',
  entities: [InstructorSchema, LessonSchema, LockerStockSchema],
  resolvers: Object.values(resolvers),
  orphanedTypes: [EnrollmentType],
  kinds: [lessonKind, lockerKind],
};

export { LessonsService } from './lessons.service.ts';
export { instructorById, lessonById, lockerStockById } from './lessons.loaders.ts';
