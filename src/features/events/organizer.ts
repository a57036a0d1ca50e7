import type { EntityManager } from '@mikro-orm/postgresql';

/** Who changes events: an organizer their own ones, an administrator any. */
export interface Organizer {
  memberId: string;
  isAdmin: boolean;
}

/** `update` keeps performances from being added and everything else from changing; `key share` only keeps the event from being deleted. */
export type EventLock = 'update' | 'key share';

/** Whether there is such an event and it is theirs to change: of somebody else's they learn no more than of one that does not exist. */
export async function lockOwnEvent(
  em: EntityManager,
  { memberId, isAdmin }: Organizer,
  eventId: string,
  lock: EventLock,
): Promise<boolean> {
  const rows = await em.execute<unknown[]>(`select id from event where id = ? and (? or organizer_id = ?) for ${lock}`, [
    eventId,
    isAdmin,
    memberId,
  ]);
  return rows.length === 1;
}

export interface OwnPerformance {
  id: string;
  eventId: string;
  planId: string | null;
}

/** The same of a performance. Its event and its plan never change. */
export async function ownPerformance(
  em: EntityManager,
  { memberId, isAdmin }: Organizer,
  performanceId: string,
): Promise<OwnPerformance | undefined> {
  const [row] = await em.execute<OwnPerformance[]>(
    `select p.id, p.event_id as "eventId", p.plan_id as "planId" from performance p join event e on e.id = p.event_id
     where p.id = ? and (? or e.organizer_id = ?)`,
    [performanceId, isAdmin, memberId],
  );
  return row;
}

export interface OwnTier {
  id: string;
  performanceId: string;
  planId: string | null;
  /** Null: places without numbers, in a pool of its own. */
  zone: string | null;
}

/** The same of a tier. Its performance and its zone never change. */
export async function ownTier(em: EntityManager, { memberId, isAdmin }: Organizer, tierId: string): Promise<OwnTier | undefined> {
  const [row] = await em.execute<OwnTier[]>(
    `select t.id, t.performance_id as "performanceId", p.plan_id as "planId", t.zone
     from tier t join performance p on p.id = t.performance_id join event e on e.id = p.event_id
     where t.id = ? and (? or e.organizer_id = ?)`,
    [tierId, isAdmin, memberId],
  );
  return row;
}
