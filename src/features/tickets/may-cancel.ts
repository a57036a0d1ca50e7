import type { EntityManager } from '@mikro-orm/postgresql';
import type { Refusal } from '../../platform/refusal.ts';
import { TicketsHandedOnError, TicketsUsedError } from './tickets.errors.ts';

/**
 * Why a member must not have the money of a booking back: somebody is in with one of its tickets, or somebody else has one of them. The caller has the row of
 * the hold FOR UPDATE, which whoever uses a ticket or hands it on has FOR SHARE: so none of that can happen between this answer and its commit.
 */
export async function mayCancelTickets(em: EntityManager, holdId: string): Promise<Refusal | undefined> {
  const [counted] = await em.execute<{ used: number; handedOn: number }[]>(
    `select count(t.used_at)::int as used, (count(*) filter (where t.owner_id <> h.claimant_id))::int as "handedOn"
     from ticket t join hold h on h.id = t.hold_id where h.id = ?`,
    [holdId],
  );
  if (counted?.used) return new TicketsUsedError(counted.used);
  if (counted?.handedOn) return new TicketsHandedOnError(counted.handedOn);
  return undefined;
}
