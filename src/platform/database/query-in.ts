import assert from 'node:assert/strict';
import type { EntityManager } from '@mikro-orm/postgresql';
import { CompiledQuery, type Transaction } from 'kysely';

/**
 * One statement in the caller's transaction, straight through its connection: for parameters that are arrays, which the ORM would write into the text of the
 * statement. Places are numbered as the driver numbers them. Throws outside a transaction, and says which `caller` belongs inside one.
 */
export async function queryIn<Row>(em: EntityManager, caller: string, text: string, values: readonly unknown[]): Promise<Row[]> {
  const transaction = em.getTransactionContext<Transaction<unknown>>();
  assert(transaction, `It runs inside a transaction: call ${caller} inside transact.`);
  const { rows } = await transaction.executeQuery<Row>(CompiledQuery.raw(text, [...values]));
  return rows;
}
