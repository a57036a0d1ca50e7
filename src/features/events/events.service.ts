import type { EntityManager } from '@mikro-orm/postgresql';
import type { Database } from '../../platform/database/database.ts';
import { idempotently } from '../../platform/idempotency/index.ts';
import type { Refusal } from '../../platform/refusal.ts';
import { removePerformances } from './delete-performances.ts';
import { Event, Performance } from './event.entity.ts';
import { eventProblem } from './event-rules.ts';
import { EventInputError, EventNotFoundError, TooManyPerformancesError } from './events.errors.ts';
import type { CreateEventInput, EventFilter, PerformanceFilter, UpdateEventInput } from './events.inputs.ts';
import { lockOwnEvent, type Organizer } from './organizer.ts';
import { countEvents, countPerformances, readEvents, readPerformances } from './timetable.ts';

/** Performances that go with their event in one transaction: 50 of 1,000 seats took 2 s, and their pools are locked meanwhile. */
const DELETED_AT_ONCE_MAX = 50;
/** For 50 performances of an arena. A request may take 30 s. */
const DELETE_STATEMENT_MAX_MS = 20_000;

/** Events, and the timetable. Whoever changes an event is its organizer, or an administrator. */
export class EventsService {
  constructor(private readonly database: Database) {}

  /** Newest first; `before`: the last of the page before. */
  async events(em: EntityManager, filter: EventFilter, before: string | null, limit: number): Promise<Event[]> {
    return (await readEvents(this.database.pool, filter, before, limit)).map((row) => em.map(Event, row as never));
  }

  countEvents(filter: EventFilter): Promise<number> {
    return countEvents(this.database.pool, filter);
  }

  /** By their beginning and id; `after`: the last of the page before. */
  async performances(
    em: EntityManager,
    filter: PerformanceFilter,
    after: readonly [string, string] | null,
    limit: number,
  ): Promise<Performance[]> {
    return (await readPerformances(this.database.pool, filter, after, limit)).map((row) => em.map(Performance, row as never));
  }

  countPerformances(filter: PerformanceFilter): Promise<number> {
    return countPerformances(this.database.pool, filter);
  }

  /** The ids in the inputs are those of the database. */
  create(organizer: Organizer, { idempotencyKey, ...wish }: CreateEventInput): Promise<{ eventId: string } | Refusal> {
    return this.database.transact(
      async (em) => {
        const problem = eventProblem(wish) ?? (await venueProblem(em, wish.venueId));
        if (problem) return problem;
        const answer = { memberId: organizer.memberId, key: idempotencyKey, operation: 'createEvent', request: { ...wish } };
        return idempotently(em, answer, async () => {
          const [row] = await em.execute<{ id: string }[]>(
            'insert into event (organizer_id, venue_id, title, body, category) values (?, ?, ?, ?, ?) returning id',
            [organizer.memberId, wish.venueId, wish.title.trim(), wish.body, wish.category],
          );
          return { eventId: row?.id as string };
        });
      },
      { name: 'create-event' },
    );
  }

  async update(organizer: Organizer, { eventId, title, body, category, venueId }: UpdateEventInput): Promise<string | Refusal> {
    return this.database.transact(
      async (em) => {
        // Nobody adds a performance, with seats of the old venue's plan, while the event moves.
        if (!(await lockOwnEvent(em, organizer, eventId, 'update'))) return new EventNotFoundError();
        const problem = eventProblem({ title, body }) ?? (venueId ? await moveProblem(em, eventId, venueId) : undefined);
        if (problem) return problem;
        await em.execute(
          `update event set title = coalesce(?, title), body = coalesce(?, body), category = coalesce(?, category), venue_id = coalesce(?, venue_id),
             changed_at = now() where id = ?`,
          [title?.trim() ?? null, body ?? null, category ?? null, venueId ?? null, eventId],
        );
        return eventId;
      },
      { name: 'update-event' },
    );
  }

  async delete(organizer: Organizer, eventId: string): Promise<string | Refusal> {
    return this.database.transact(
      async (em) => {
        // Whoever adds a performance meanwhile waits, and finds no event.
        if (!(await lockOwnEvent(em, organizer, eventId, 'update'))) return new EventNotFoundError();
        const performances = await em.execute<{ id: string }[]>('select id from performance where event_id = ?', [eventId]);
        if (performances.length > DELETED_AT_ONCE_MAX) return new TooManyPerformancesError(performances.length, DELETED_AT_ONCE_MAX);
        const sales = await removePerformances(
          em,
          performances.map(({ id }) => id),
        );
        if (sales) return sales;
        await em.execute('delete from event where id = ?', [eventId]);
        return eventId;
      },
      { name: 'delete-event', statementTimeoutMs: DELETE_STATEMENT_MAX_MS },
    );
  }
}

async function venueProblem(em: EntityManager, venueId: string): Promise<EventInputError | undefined> {
  const venues = await em.execute<unknown[]>('select id from venue where id = ? for key share', [venueId]);
  if (venues.length === 1) return undefined;
  return new EventInputError('venueId', 'There is no such venue. Choose one from `venues`.', '해당 공연장을 찾을 수 없습니다.');
}

async function moveProblem(em: EntityManager, eventId: string, venueId: string): Promise<EventInputError | undefined> {
  const [moves] = await em.execute<{ has: boolean }[]>(
    'select exists (select 1 from performance p where p.event_id = e.id) as has from event e where e.id = ? and e.venue_id <> ?',
    [eventId, venueId],
  );
  if (moves?.has)
    return new EventInputError(
      'venueId',
      'An event with performances stays at its venue: their seats are there. Make a new event, or delete its performances.',
      '회차가 있는 공연의 공연장은 바꿀 수 없습니다. 새 공연을 만들거나 회차를 먼저 삭제해 주세요.',
    );
  return venueProblem(em, venueId);
}
