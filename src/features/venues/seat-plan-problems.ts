import { Ctx, Field, Int, ObjectType } from 'type-graphql';
import { Price } from '../../platform/graphql/price.ts';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';

/** As many as somebody mends in one go. */
const PROBLEMS_TOLD_MAX = 20;

@ObjectType('SeatPlanProblem', { description: 'One thing that is wrong with the file of a seat plan.' })
export class SeatPlanProblem {
  constructor(
    at: string,
    private readonly en: string,
    private readonly ko: string,
  ) {
    this.at = at;
  }

  @Field(() => String, {
    description:
      'Where: a line of the CSV and maybe its column (`line 12, x`), a path in the JSON (`sections[0].rows[2].seats[5].x`), or `file`.',
  })
  readonly at: string;

  @Field(() => String, { description: 'What is wrong there and what to do, in the language of `Accept-Language` (Korean or English).' })
  message(@Ctx() context: { locale: Locale }): string {
    return context.locale === 'ko' ? this.ko : this.en;
  }
}

/** Gathers what is wrong with a file: counts everything, keeps the first. */
export class PlanProblems {
  readonly told: SeatPlanProblem[] = [];
  count = 0;

  add(at: string, en: string, ko: string): void {
    if (this.count++ < PROBLEMS_TOLD_MAX) this.told.push(new SeatPlanProblem(at, en, ko));
  }
}

@ObjectType('SeatPlanInvalidError', { implements: Refusal, description: 'The file is not a seat plan. Nothing was imported.' })
export class SeatPlanInvalidError extends Refusal {
  readonly code = 'SEAT_PLAN_INVALID';
  constructor({ told, count }: PlanProblems) {
    super();
    this.problems = told;
    this.problemCount = count;
  }

  @Price(0, { size: PROBLEMS_TOLD_MAX })
  @Field(() => [SeatPlanProblem], { description: `What is wrong, the first ${PROBLEMS_TOLD_MAX}: mend them all before the next try.` })
  readonly problems: SeatPlanProblem[];

  @Field(() => Int, { description: 'How many things are wrong altogether. Some show only when others are mended.' })
  readonly problemCount: number;

  text(locale: Locale) {
    return locale === 'ko'
      ? `좌석 배치도 파일에 문제가 ${this.problemCount}건 있습니다. problems를 확인해 고친 뒤 다시 보내 주세요.`
      : `The file has ${this.problemCount} problem${this.problemCount === 1 ? '' : 's'}. Mend what \`problems\` says and send it again.`;
  }
}
