import { ObjectType } from 'type-graphql';
import type { Locale } from '../../platform/locale.ts';
import { Refusal } from '../../platform/refusal.ts';

@ObjectType('PerformanceNotFoundError', { implements: Refusal, description: 'There is no such performance, or it is not yours to change.' })
export class PerformanceNotFoundError extends Refusal {
  readonly code = 'PERFORMANCE_NOT_FOUND';
  text(locale: Locale) {
    return locale === 'ko'
      ? '해당 회차를 찾을 수 없습니다. 목록에서 다시 선택해 주세요.'
      : 'There is no such performance. Choose one from `performances`.';
  }
}
