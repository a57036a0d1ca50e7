import type { Database } from '../../platform/database/database.ts';
import { GENDERS } from '../accounts/index.ts';
import type { CancellationPolicy } from '../holds/index.ts';
import type { Level, Weekday } from './lesson.entity.ts';
import { insertLesson, lockerStockFor } from './lessons.service.ts';

const INSTRUCTORS = ['김서연', '이도윤', '박지민', '최하준', '정수아', '강민재', '한예린', '오태경'];
const LOCKERS = { MALE: 120, FEMALE: 140 };

const MON_WED_FRI: Weekday[] = ['MONDAY', 'WEDNESDAY', 'FRIDAY'];
const TUE_THU: Weekday[] = ['TUESDAY', 'THURSDAY'];
const WEEKEND: Weekday[] = ['SATURDAY', 'SUNDAY'];

/** title, level, weekdays, starts, ends, lane, capacity, won, scarce */
type Row = [string, Level, Weekday[], string, string, number, number, number, boolean?];

/** As municipal pools promise it. A place in a scarce lesson must come back early enough for somebody else to take it. */
const CANCELLATION: CancellationPolicy = [
  { hoursBefore: 72, percent: 100 },
  { hoursBefore: 0, percent: 50 },
];
const SCARCE_CANCELLATION: CancellationPolicy = [
  { hoursBefore: 168, percent: 100 },
  { hoursBefore: 24, percent: 50 },
];

/** One month of a municipal pool, from the dawn classes to the late ones. The three scarce ones are gone in seconds every month. */
const TIMETABLE: Row[] = [
  ['새벽 마스터즈', 'MASTERS', MON_WED_FRI, '06:00', '06:50', 1, 10, 88_000, true],
  ['새벽 초급', 'BEGINNER', MON_WED_FRI, '06:00', '06:50', 3, 24, 72_000],
  ['새벽 중급', 'INTERMEDIATE', TUE_THU, '06:00', '06:50', 2, 24, 54_000],
  ['출근 전 상급', 'ADVANCED', MON_WED_FRI, '07:00', '07:50', 1, 20, 78_000],
  ['출근 전 초급', 'BEGINNER', TUE_THU, '07:00', '07:50', 4, 24, 54_000],
  ['오전 아쿠아로빅', 'AQUA_AEROBICS', MON_WED_FRI, '09:00', '09:50', 6, 40, 66_000],
  ['오전 초급', 'BEGINNER', MON_WED_FRI, '10:00', '10:50', 3, 28, 66_000],
  ['오전 중급', 'INTERMEDIATE', TUE_THU, '10:00', '10:50', 2, 28, 50_000],
  ['시니어 아쿠아로빅', 'AQUA_AEROBICS', TUE_THU, '11:00', '11:50', 6, 40, 40_000],
  ['점심 자유 중급', 'INTERMEDIATE', MON_WED_FRI, '12:10', '13:00', 2, 20, 60_000],
  ['어린이 초급', 'BEGINNER', MON_WED_FRI, '15:00', '15:50', 5, 12, 80_000, true],
  ['어린이 중급', 'INTERMEDIATE', TUE_THU, '15:00', '15:50', 5, 20, 60_000],
  ['청소년 상급', 'ADVANCED', MON_WED_FRI, '16:00', '16:50', 2, 20, 78_000],
  ['퇴근 후 초급', 'BEGINNER', MON_WED_FRI, '18:30', '19:20', 3, 28, 72_000],
  ['퇴근 후 중급', 'INTERMEDIATE', TUE_THU, '18:30', '19:20', 2, 28, 54_000],
  ['저녁 상급', 'ADVANCED', MON_WED_FRI, '19:30', '20:20', 1, 24, 78_000],
  ['저녁 마스터즈', 'MASTERS', TUE_THU, '19:30', '20:20', 1, 16, 68_000],
  ['밤 초급', 'BEGINNER', MON_WED_FRI, '20:30', '21:20', 3, 28, 66_000],
  ['주말 가족반', 'BEGINNER', WEEKEND, '10:00', '10:50', 4, 12, 58_000, true],
  ['주말 중급', 'INTERMEDIATE', WEEKEND, '11:00', '11:50', 2, 24, 52_000],
];

/**
 * Puts two months of timetable into an empty database: next month on sale, the month after opening later. Does nothing where there are lessons.
 * Two processes that start at once take turns.
 */
export async function seedLessons(database: Database, monthlyLessonsMax: number, now: Date): Promise<void> {
  await database.transact(
    async (em) => {
      await em.execute('select pg_advisory_xact_lock(hashtextextended(?, 0))', ['seed lessons']);
      const [known] = await em.execute<{ exists: boolean }[]>('select exists (select from lesson) as exists');
      if (known?.exists) return;
      const instructors = await em.execute<{ id: string }[]>(
        `insert into instructor (name) values ${INSTRUCTORS.map(() => '(?)').join(', ')} returning id`,
        INSTRUCTORS,
      );
      for (const monthsAhead of [1, 2]) {
        const first = new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + monthsAhead, 1));
        const month = first.toISOString().slice(0, 7);
        // The month after next goes on sale at 09:00 in Seoul on the 20th of the month before it.
        const onSaleFrom = monthsAhead === 1 ? null : new Date(Date.UTC(first.getUTCFullYear(), first.getUTCMonth() - 1, 20));
        for (const gender of GENDERS)
          await em.execute('update pool set capacity = ? where id = ?', [LOCKERS[gender], await lockerStockFor(em, month, gender)]);
        for (const [index, [title, level, weekdays, startsAt, endsAt, lane, capacity, priceMinor, isScarce]] of TIMETABLE.entries())
          await insertLesson(em, {
            title,
            level,
            month,
            weekdays,
            startsAt,
            endsAt,
            lane,
            capacity,
            priceMinor,
            instructorId: instructors[index % instructors.length]?.id as string,
            policy: isScarce ? 'PESSIMISTIC' : 'OPTIMISTIC',
            onSaleFrom,
            onSaleUntil: null,
            cancellation: [...(isScarce ? SCARCE_CANCELLATION : CANCELLATION)],
            monthlyLessonsMax,
          });
      }
    },
    { name: 'seed-lessons' },
  );
}
