import { randomUUID } from 'node:crypto';
import type { BookCaptured } from '../../src/features/bookings/book-captured.ts';
import type { Books } from '../../src/features/bookings/books.ts';
import type { Conclusions } from '../../src/features/bookings/conclusions.ts';
import type { TestApp } from './app.ts';
import { endedOrWaiting } from './lock-waits.ts';
import type { RacingNodes } from './races.ts';

/** The ends of payments of a node, to run a rival inside one of them. */
export const conclusionsOf = (node: TestApp): Conclusions =>
  (node.app.bookings.saga as unknown as { parts: { conclusions: Conclusions } }).parts.conclusions;

/** What books captured payments of a node together. */
export const bookingOf = (node: TestApp): BookCaptured =>
  (node.app.bookings.saga as unknown as { parts: { booking: BookCaptured } }).parts.booking;

/** Every payment of a node begins and ends by itself, as those do that are not plain: its transactions can be stepped into. */
export function oneByOne(node: TestApp): void {
  bookingOf(node).book = () => Promise.resolve(false);
  Object.assign(node.app.bookings.preparing, { startPlainly: () => Promise.resolve(null) });
}

/**
 * Runs a rival inside the first call of a method, before anything it does. The call goes on when the rival has come to its end, or waits for a lock that the
 * caller has. Answers the rival's own end.
 */
export function inside<Target extends object, End>(
  stage: TestApp,
  target: Target,
  method: keyof Target,
  rival: () => Promise<End>,
): Promise<End> {
  const whole = target[method] as (...given: unknown[]) => Promise<unknown>;
  return new Promise((resolve, reject) => {
    const interrupted = async (...given: unknown[]) => {
      Object.assign(target, { [method]: whole });
      const run = rival();
      run.then(resolve, reject);
      await endedOrWaiting(stage, run);
      return whole.apply(target, given);
    };
    Object.assign(target, { [method]: interrupted });
  });
}

/** The same inside the next transaction of a node that locks a payment: it has what it read, and has not written anything yet. */
export function afterReading<End>(stage: TestApp, node: TestApp, rival: () => Promise<End>): Promise<End> {
  const { database } = node.app;
  const fork = database.fork.bind(database);
  return new Promise((resolve, reject) => {
    database.fork = () => {
      const em = fork();
      const find = em.findOneOrFail.bind(em) as Find;
      const interrupted: Find = async (entity, where, options) => {
        const found = await find(entity, where, options);
        if (options?.lockMode !== undefined && database.fork !== fork) {
          database.fork = fork;
          const run = rival();
          run.then(resolve, reject);
          await endedOrWaiting(stage, run);
        }
        return found;
      };
      return Object.assign(em, { findOneOrFail: interrupted }) as never;
    };
  });
}

type Find = (entity: unknown, where: unknown, options?: { lockMode?: unknown }) => Promise<never>;

/** Takes away the row locks that the saga asks for through the ORM: what it reads may be old when it writes. */
export function readWithoutLocks({ nodes }: RacingNodes): void {
  for (const { app } of nodes) {
    const { database } = app;
    const fork = database.fork.bind(database);
    database.fork = () => {
      const em = fork();
      const find = em.findOneOrFail.bind(em) as Find;
      const execute = em.execute.bind(em) as (sql: string, values?: unknown[]) => Promise<never>;
      return Object.assign(em, {
        findOneOrFail: ((entity, where, options) => find(entity, where, { ...options, lockMode: undefined })) satisfies Find,
        execute: (sql: string, values?: unknown[]) => execute(sql.replace(/ for update$/, ''), values),
      }) as never;
    };
  }
}

/** Takes away the fence of a hold: it may leave any state. */
export async function moveWithoutFence({ one }: RacingNodes): Promise<void> {
  await one.sabotage('move_hold', 'if not v_hold.state = any (p_from) then', 'if false then');
}

/** Nobody keeps these columns of a payment: what was written to them is as before for the next who looks. */
export async function forget({ one }: RacingNodes, ...columns: string[]): Promise<void> {
  const kept = columns.map((column) => `new.${column} := old.${column};`).join(' ');
  await one.query(`
    create function forget() returns trigger language plpgsql as $$ begin ${kept} return new; end $$;
    create trigger forget before update on payment for each row execute function forget()`);
}

/** Every transfer of a capture and of a booking has an id of its own, so that the ledger takes the same one twice. */
export function postUnderNewIds({ nodes }: RacingNodes): void {
  for (const node of nodes) {
    const { books } = (conclusionsOf(node) as unknown as { parts: { books: Books } }).parts;
    for (const step of ['captured', 'booked'] as const) {
      const transferOf = books[step].bind(books);
      books[step] = (payment) => ({ ...transferOf(payment), id: randomUUID() });
    }
  }
}
