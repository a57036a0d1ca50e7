import { ObjectType } from 'type-graphql';
import type { Locale } from '../locale.ts';
import { Refusal } from '../refusal.ts';

@ObjectType('IdempotencyKeyReusedError', {
  implements: Refusal,
  description: 'The idempotency key was used before for another request of yours. Nothing was done.',
})
export class IdempotencyKeyReusedError extends Refusal {
  readonly code = 'IDEMPOTENCY_KEY_REUSED';
  text(locale: Locale) {
    return locale === 'ko'
      ? '이미 다른 요청에 사용된 멱등 키입니다. 새 요청에는 새 키를 사용해 주세요.'
      : 'This idempotency key was used for another request. Make a new key for a new request.';
  }
}
