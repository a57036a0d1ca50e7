export { forgetAnswers } from './forget-answers.ts';
export { IdempotencyKeyReusedError } from './idempotency.errors.ts';
export { type IdempotentRequest, idempotently } from './idempotently.ts';
export { checkedIdempotencyKey, requestHash } from './request-hash.ts';
