import { Pool } from '../../inventory/pool.entity.ts';
import type { RequestContext } from '../../platform/graphql/context.ts';
import { inOrderOf, loaderOf } from '../../platform/graphql/loaders.ts';
import { Event, Performance, Tier } from './event.entity.ts';

const byId = <Row extends { id: string }>(entity: new () => Row) =>
  loaderOf<string, Row | null>(async (context: RequestContext, ids) =>
    inOrderOf(ids, (await context.em.find(entity, { id: { $in: [...ids] } } as never)) as Row[], (row) => row.id),
  );

export const eventById = byId<Event>(Event as never);
export const performanceById = byId<Performance>(Performance as never);
export const tierById = byId<Tier>(Tier as never);
/** The pool behind a performance, for its sale window, its limit for a member and how long its holds live. */
export const poolById = byId<Pool>(Pool as never);

/** The tiers of a performance, in their order. */
export const tiersOf = loaderOf<string, Tier[]>(async (context, performanceIds) => {
  const tiers = await context.em.find(Tier, { performanceId: { $in: [...performanceIds] } }, { orderBy: { position: 'asc' } });
  return performanceIds.map((id) => tiers.filter(({ performanceId }) => performanceId === id));
});

/** One page of the performances of one event. */
export interface PerformancePage {
  eventId: string;
  after: readonly [startsAt: string, id: string] | null;
  limit: number;
}

export const pageKeyOf = ({ eventId, after, limit }: PerformancePage): string => JSON.stringify([limit, after, eventId]);

/** Pages by their `pageKeyOf`. A selection asks the same page of every event, which is one statement. */
export const performancesOf = loaderOf<string, Performance[]>(async (context, keys) => {
  const pages = keys.map((key) => JSON.parse(key) as [number, [string, string] | null, string]);
  const groups = Map.groupBy(pages, ([limit, after]) => JSON.stringify([limit, after]));
  const read = await Promise.all(
    [...groups.values()].map((group) => {
      const [limit, after] = group[0] as (typeof pages)[number];
      return context.em.execute<Record<string, unknown>[]>(PAGES, [
        `{${group.map(([, , eventId]) => eventId).join(',')}}`,
        after?.[0] ?? null,
        after?.[0] ?? null,
        after?.[1] ?? null,
        limit,
      ]);
    }),
  );
  const found = new Map([...groups.keys()].map((group, index) => [group, read[index] ?? []]));
  return pages.map(([limit, after, eventId]) =>
    (found.get(JSON.stringify([limit, after])) ?? [])
      .filter((row) => row.event_id === eventId)
      .map((row) => context.em.map(Performance, row as never)),
  );
});

const PAGES = `
  select p.* from unnest(?::uuid[]) as e(id) cross join lateral (
    select * from performance p where p.event_id = e.id and (?::timestamptz is null or (p.starts_at, p.id) > (?::timestamptz, ?::uuid))
    order by p.starts_at, p.id limit ?) p
  order by p.starts_at, p.id`;

export const performanceCountOf = loaderOf<string, number>(async (context, eventIds) => {
  const rows = await context.em.execute<{ event_id: string; count: number }[]>(
    'select event_id, count(*)::int as count from performance where event_id = any (?::uuid[]) group by event_id',
    [`{${eventIds.join(',')}}`],
  );
  return inOrderOf(eventIds, rows, (row) => row.event_id).map((row) => row?.count ?? 0);
});

export interface DoorStaffRow {
  memberId: string;
  displayName: string;
  email: string;
  addedAt: Date;
}

/** Who checks the tickets of an event. Check first whether the viewer may know. */
export const doorStaffOf = loaderOf<string, DoorStaffRow[]>(async (context, eventIds) => {
  const rows = await context.em.execute<(DoorStaffRow & { eventId: string })[]>(
    `select d.event_id as "eventId", d.member_id as "memberId", m.display_name as "displayName", m.email, d.added_at as "addedAt"
     from door_staff d join member m on m.id = d.member_id where d.event_id = any (?::uuid[]) order by d.added_at, d.member_id`,
    [`{${eventIds.join(',')}}`],
  );
  return eventIds.map((id) => rows.filter(({ eventId }) => eventId === id).map((row) => ({ ...row, addedAt: new Date(row.addedAt) })));
});
