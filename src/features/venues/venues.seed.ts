import type { Database } from '../../platform/database/database.ts';
import { DEMO_ACCOUNTS } from '../accounts/index.ts';
import { type ReadPlan, readSeatPlan } from './read-seat-plan.ts';
import { type ShippedPlan, shippedPlanFile } from './shipped-plans.ts';
import { insertPlan } from './venues.service.ts';

/** name, address, latitude, longitude, its plan */
const VENUES: readonly [string, string, number, number, ShippedPlan][] = [
  ['한빛 소극장', '서울특별시 종로구 대학로10길 17', 37.5817, 127.0032, 'black-box'],
  ['누리 아트홀', '서울특별시 서초구 남부순환로 2406', 37.4785, 127.0131, 'hall'],
  ['한강 아레나', '서울특별시 송파구 올림픽로 424', 37.5207, 127.1267, 'arena'],
];

export type SeededVenues = { readonly [Plan in ShippedPlan]: { venueId: string; planId: string } };

/**
 * Gives the demo organizer a venue for each shipped plan, where it is missing. Answers their ids; null where there is no demo organizer.
 * After `seedAccounts`.
 */
export async function seedVenues(database: Database): Promise<SeededVenues | null> {
  const organizer = DEMO_ACCOUNTS.find(({ role }) => role === 'ORGANIZER')?.email;
  return database.transact(
    async (em) => {
      await em.execute('select pg_advisory_xact_lock(hashtextextended(?, 0))', ['seed venues']);
      const [owner] = await em.execute<{ id: string }[]>('select id from member where email = ?', [organizer]);
      if (!owner) return null;
      const known = await em.execute<{ name: string; venueId: string; planId: string }[]>(
        `select distinct on (v.name) v.name, v.id as "venueId", p.id as "planId" from venue v join seat_plan p on p.venue_id = v.id
         where v.owner_id = ? order by v.name, v.id, p.id`,
        [owner.id],
      );
      const seeded: [ShippedPlan, { venueId: string; planId: string }][] = [];
      for (const [name, address, latitude, longitude, plan] of VENUES) {
        const there = known.find((venue) => venue.name === name);
        if (there) {
          seeded.push([plan, { venueId: there.venueId, planId: there.planId }]);
          continue;
        }
        const [venue] = await em.execute<{ id: string }[]>(
          'insert into venue (owner_id, name, address, latitude, longitude) values (?, ?, ?, ?, ?) returning id',
          [owner.id, name, address, latitude, longitude],
        );
        const venueId = venue?.id as string;
        seeded.push([plan, { venueId, planId: await insertPlan(em, venueId, await shippedPlan(plan)) }]);
      }
      return Object.fromEntries(seeded) as SeededVenues;
    },
    { name: 'seed-venues' },
  );
}

/** A plan that comes with the product, read and checked as any other file. */
export async function shippedPlan(name: ShippedPlan): Promise<ReadPlan & { name: string }> {
  const file = shippedPlanFile(name);
  const plan = await readSeatPlan('JSON', Buffer.from(JSON.stringify(file)));
  if (!('seats' in plan)) throw new Error(`The shipped plan ${name} is none: ${plan.problems.map(({ at }) => at).join(', ')}`);
  return { ...plan, name: file.name };
}
