import type { Database } from '../../platform/database/database.ts';
import { Payment } from './payment.entity.ts';

/**
 * The payments that a statement returns, all columns of them and `read_at`. Every payment passes here several times in a rush: what the ORM sends when it
 * finds one is put together and planned anew each time, and costs several times as much as a prepared statement.
 */
export async function paymentsOf(database: Database, name: string, text: string, values: unknown[]): Promise<Payment[]> {
  const rows = await database.statement({ name, text, values });
  if (rows.length === 0) return [];
  const em = database.fork();
  return rows.map((row) => em.map(Payment, row));
}
