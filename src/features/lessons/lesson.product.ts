import type { ClaimItem } from '../../inventory/claim.ts';
import type { Database } from '../../platform/database/database.ts';
import { type CancellationStep, type Product, type ProductTerms, titleWith } from '../holds/index.ts';
import type { Lesson } from './lesson.entity.ts';
import { lessonKind } from './lesson.kind.ts';
import { sessionsOf } from './lesson-sessions.ts';

const EQUALS_MAX = 5;

/** Lessons, as what is booked and paid. A locker comes along: it has no terms of its own and is not exchanged. */
export function lessonProduct(database: Database): Product {
  return {
    kind: lessonKind.name,

    async termsOf(items): Promise<ProductTerms> {
      const { poolId } = lessonItemOf(items);
      const { rows } = await database.pool.query<TermsRow>({ name: 'lesson_terms', text: TERMS, values: [poolId] });
      const lesson = rows[0];
      if (!lesson) throw new Error(`The pool ${poolId} counts the places of no lesson: lessons with holds must not be deleted.`);
      return {
        // Always with the month: a member may take the same lesson every month.
        title: titleWith(lesson.title, lesson.month),
        startsAt: sessionsOf(lesson)[0]?.startsAt ?? null,
        cancellation: lesson.cancellation,
        organizerId: null,
      };
    },

    async equalsOf(items): Promise<ClaimItem[][]> {
      const item = lessonItemOf(items);
      const { rows } = await database.pool.query<{ id: string }>({
        name: 'equal_lessons',
        text: EQUALS,
        values: [item.poolId, item.quantity, EQUALS_MAX],
      });
      return rows.map(({ id }) => items.map((other) => (other === item ? { ...item, poolId: id } : other)));
    },
  };
}

type TermsRow = Pick<Lesson, 'title' | 'month' | 'weekdays' | 'startsAt' | 'endsAt'> & { cancellation: CancellationStep[] };

const TERMS = `
  select title, month, weekdays, starts_at as "startsAt", ends_at as "endsAt", cancellation from lesson where id = $1`;

/** The nearest in the day first, the earlier of two that are as near. What is free is what a claim would find free at this moment. */
const EQUALS = `
  select l.id from lesson t
  join lesson l on l.month = t.month and l.level = t.level and l.title = t.title and l.id <> t.id
  join pool was on was.id = t.id
  join pool p on p.id = l.id and p.price_minor = was.price_minor and p.currency = was.currency
  join pool_availability a on a.id = l.id
  where t.id = $1 and a.free >= $2
    and (a.opens_at is null or a.opens_at <= clock_timestamp()) and (a.closes_at is null or a.closes_at > clock_timestamp())
  order by abs(extract(epoch from l.starts_at::time - t.starts_at::time)), l.starts_at, l.id
  limit $3`;

function lessonItemOf(items: readonly ClaimItem[]): ClaimItem {
  const item = items.find(({ kind }) => kind === lessonKind.name);
  if (!item)
    throw new Error(`A hold of the kind ${lessonKind.name} takes no lesson but ${items.map(({ kind }) => kind).join(', ') || 'nothing'}.`);
  return item;
}
