import type { EntityManager } from '@mikro-orm/postgresql';
import { Refusal } from '../refusal.ts';
import type { JsonValue } from '../subscriptions/fan-out.ts';
import { IdempotencyKeyReusedError } from './idempotency.errors.ts';
import { requestHash } from './request-hash.ts';

export interface IdempotentRequest {
  /** Keys belong to the member who made them: nobody meets another's. */
  memberId: string;
  /** Checked by `checkedIdempotencyKey`. */
  key: string;
  operation: string;
  request: JsonValue;
}

/**
 * Does `work` once for each key, inside the caller's transaction, and replays its answer to every repeat. The answer must survive JSON.
 *
 * A twin that runs at the same moment waits on the unique index until this transaction ends, and then replays or does the work itself. A refusal that
 * `work` returns makes `transact` roll back, so it is not kept: repeating a refused request decides it anew.
 */
export async function idempotently<Answer extends JsonValue>(
  em: EntityManager,
  { memberId, key, operation, request }: IdempotentRequest,
  work: () => Promise<Answer | Refusal>,
): Promise<Answer | Refusal> {
  const hash = requestHash(operation, request).toString('hex');
  const claimed = await em.execute<unknown[]>(
    `insert into idempotent_answer (member_id, key, operation, request_hash) values (?, ?, ?, decode(?, 'hex')) on conflict do nothing returning key`,
    [memberId, key, operation, hash],
  );
  if (claimed.length === 0) {
    const [kept] = await em.execute<{ answer: Answer; same: boolean }[]>(
      `select answer, request_hash = decode(?, 'hex') as same from idempotent_answer where member_id = ? and key = ?`,
      [hash, memberId, key],
    );
    return kept?.same ? kept.answer : new IdempotencyKeyReusedError();
  }
  const answer = await work();
  if (!(answer instanceof Refusal))
    await em.execute('update idempotent_answer set answer = ?::jsonb where member_id = ? and key = ?', [
      JSON.stringify(answer),
      memberId,
      key,
    ]);
  return answer;
}
