import type { CancellationPolicy, CancellationStep } from './product.ts';

export const CANCELLATION_STEPS_MAX = 5;
/** A year: whatever is sold earlier than that before it starts has one step for all of that time. */
export const CANCELLATION_HOURS_MAX = 8_760;

/** What is promised where nobody says otherwise: everything back until it starts. */
export const FREE_UNTIL_START: CancellationPolicy = [{ hoursBefore: 0, percent: 100 }];

/** Why these steps make no policy, for whoever wrote them; undefined when they do. In whatever order they are given. */
export function cancellationProblem(steps: readonly CancellationStep[]): { en: string; ko: string } | undefined {
  if (steps.length > CANCELLATION_STEPS_MAX)
    return {
      en: `A cancellation policy has at most ${CANCELLATION_STEPS_MAX} steps.`,
      ko: `취소 규정은 ${CANCELLATION_STEPS_MAX}단계까지 정할 수 있습니다.`,
    };
  if (steps.some(({ hoursBefore }) => hoursBefore < 0 || hoursBefore > CANCELLATION_HOURS_MAX))
    return {
      en: `A step ends 0 to ${CANCELLATION_HOURS_MAX} hours before the start.`,
      ko: `취소 기준 시각은 시작 0시간 전부터 ${CANCELLATION_HOURS_MAX}시간 전 사이여야 합니다.`,
    };
  if (steps.some(({ percent }) => percent < 1 || percent > 100))
    return {
      en: 'A step gives back 1 to 100 percent. Where nothing goes back, leave the step out.',
      ko: '환불 비율은 1%에서 100% 사이여야 합니다. 환불하지 않는 구간은 넣지 마세요.',
    };
  if (new Set(steps.map(({ hoursBefore }) => hoursBefore)).size !== steps.length)
    return { en: 'Two steps must not end at the same hour.', ko: '같은 시각의 취소 단계를 두 번 정할 수 없습니다.' };
  const ordered = earliestFirst(steps);
  if (ordered.some((step, index) => step.percent > (ordered[index - 1]?.percent ?? 100)))
    return {
      en: 'A cancellation at shorter notice must not give back more than one at longer notice.',
      ko: '시작에 가까워질수록 환불 비율이 높아질 수 없습니다.',
    };
  return undefined;
}

/** As policies are kept: from the step that ends first to the one that ends last, which is from the most generous to the least. */
export const earliestFirst = (steps: readonly CancellationStep[]): CancellationStep[] =>
  steps.map(({ hoursBefore, percent }) => ({ hoursBefore, percent })).sort((one, other) => other.hoursBefore - one.hoursBefore);
