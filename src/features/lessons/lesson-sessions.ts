import { type Lesson, WEEKDAYS } from './lesson.entity.ts';

/** Korea has kept UTC+9 without daylight saving since 1988, so a fixed offset is exact for every lesson that can be made. */
const SEOUL_OFFSET = '+09:00';

/** Every session of a lesson in its month, as instants, in order. */
export function sessionsOf(lesson: Pick<Lesson, 'month' | 'weekdays' | 'startsAt' | 'endsAt'>): { startsAt: Date; endsAt: Date }[] {
  const [year, month] = lesson.month.split('-').map(Number) as [number, number];
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  return Array.from({ length: days }, (_, index) => new Date(Date.UTC(year, month - 1, index + 1)))
    .filter((day) => lesson.weekdays.includes(WEEKDAYS[(day.getUTCDay() + 6) % 7] as (typeof WEEKDAYS)[number]))
    .map((day) => {
      const date = day.toISOString().slice(0, 10);
      return {
        startsAt: new Date(`${date}T${lesson.startsAt}:00${SEOUL_OFFSET}`),
        endsAt: new Date(`${date}T${lesson.endsAt}:00${SEOUL_OFFSET}`),
      };
    });
}
