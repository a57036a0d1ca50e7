import type { Feature } from '../feature.ts';
import { EnrollmentType } from './enrollment.types.ts';
import { InstructorSchema, LessonSchema, LockerStockSchema } from './lesson.entity.ts';
import * as resolvers from './lessons.resolver.ts';
import type { LessonsService } from './lessons.service.ts';

/** Monthly swimming lessons with lockers. */
export const lessons: Feature = {
  name: 'lessons',
  entities: [InstructorSchema, LessonSchema, LockerStockSchema],
  resolvers: Object.values(resolvers),
  orphanedTypes: [EnrollmentType],
};

export const lessonsResolvers = (lessonsService: LessonsService): object[] => [
  new resolvers.LessonsResolver(lessonsService),
  new resolvers.AlreadyEnrolledErrorResolver(lessonsService),
  new resolvers.NoPlaceLeftErrorResolver(lessonsService),
];

export { lessonProduct } from './lesson.product.ts';
export { instructorById, lessonById, lockerStockById } from './lessons.loaders.ts';
export { seedLessons } from './lessons.seed.ts';
export { LessonsService } from './lessons.service.ts';
