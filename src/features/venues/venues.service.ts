import { hash } from 'node:crypto';
import { type EntityManager, wrap } from '@mikro-orm/postgresql';
import type { Database } from '../../platform/database/database.ts';
import { atLeast } from '../../platform/graphql/authorization.ts';
import type { Viewer } from '../../platform/graphql/context.ts';
import { idempotently } from '../../platform/idempotency/index.ts';
import { Refusal } from '../../platform/refusal.ts';
import { plainTextOf } from './plain-text.ts';
import { PLAN_NAME_MAX } from './plan-fields.ts';
import { type ReadPlan, readSeatPlan } from './read-seat-plan.ts';
import type { PlanSeat, SeatPlan, SeatPlans } from './seat-plan.ts';
import type { PlanFormat } from './seat-plan-file.ts';
import { SeatPlanHead } from './seat-plan-outline.ts';
import { Venue } from './venue.entity.ts';
import { SeatPlanInUseError, SeatPlanNotFoundError, VenueInputError, VenueInUseError, VenueNotFoundError } from './venues.errors.ts';
import type { CreateVenueInput, UpdateVenueInput } from './venues.inputs.ts';

const VENUE_NAME_MAX = 200;
const ADDRESS_MAX = 300;
/** The seats of the largest plan take 3 s to insert where others are at work, and a plan that cannot be inserted is no help to its organizer. */
const IMPORT_STATEMENT_MS = 30_000;

type Owner = Pick<Viewer, 'memberId' | 'role'>;
type VenueFields = Pick<CreateVenueInput, 'name' | 'address' | 'latitude' | 'longitude' | 'timeZone'>;

export interface PlanToImport {
  venueId: string;
  /** Null: as the file calls it. */
  name: string | null;
  format: PlanFormat;
  content: Uint8Array;
  idempotencyKey: string;
}

/** Venues and their seat plans. A venue belongs to whoever made it; others, but administrators, are told that there is none. */
export class VenuesService {
  constructor(
    private readonly database: Database,
    private readonly plans: SeatPlans,
  ) {}

  /** By name and id; `after`: the last of the page before. */
  async venues(em: EntityManager, search: string | null, after: readonly [string, string] | null, limit: number): Promise<Venue[]> {
    const { rows } = await this.database.pool.query({
      text: `select v.* from venue v where ${FOUND} and ($2::text is null or (v.name, v.id) > ($2, $3::uuid)) order by v.name, v.id limit $4`,
      values: [search, ...(after ?? [null, null]), limit],
    });
    return rows.map((row) => em.map(Venue, row));
  }

  async countVenues(search: string | null): Promise<number> {
    const { rows } = await this.database.pool.query({
      text: `select count(*)::int as count from venue v where ${FOUND}`,
      values: [search],
    });
    return rows[0].count;
  }

  createVenue({ memberId }: Owner, { idempotencyKey, ...input }: CreateVenueInput): Promise<{ venueId: string } | Refusal> {
    return this.database.transact(
      async (em) => {
        const venue = checked(input);
        if (venue instanceof Refusal) return venue;
        return idempotently(em, { memberId, key: idempotencyKey, operation: 'createVenue', request: { ...input } }, async () => {
          const [row] = await em.execute<{ id: string }[]>(
            'insert into venue (owner_id, name, address, latitude, longitude, time_zone) values (?, ?, ?, ?, ?, ?) returning id',
            [memberId, venue.name, venue.address, venue.latitude, venue.longitude, venue.timeZone],
          );
          return { venueId: row?.id as string };
        });
      },
      { name: 'create-venue' },
    );
  }

  updateVenue(owner: Owner, venueId: string, change: Omit<UpdateVenueInput, 'venueId'>): Promise<Venue | Refusal> {
    return this.database.transact(
      async (em) => {
        const venue = await em.findOne(Venue, { id: venueId });
        if (!venue || !mayChange(owner, venue.ownerId)) return new VenueNotFoundError();
        const given = checked(Object.fromEntries(Object.entries(change).filter(([, value]) => value != null)));
        if (given instanceof Refusal) return given;
        return wrap(venue).assign(given);
      },
      { name: 'update-venue' },
    );
  }

  deleteVenue(owner: Owner, venueId: string): Promise<string | Refusal> {
    return this.database.transact(
      async (em) => {
        // The lock keeps away new plans and events, whose references to the venue need it: what is counted is what there is.
        const [venue] = await em.execute<{ owner_id: string }[]>('select owner_id from venue where id = ? for update', [venueId]);
        if (!venue || !mayChange(owner, venue.owner_id)) return new VenueNotFoundError();
        const [uses] = await em.execute<{ events: number; plans: number }[]>(
          `select (select count(*)::int from event where venue_id = ?) as events, (select count(*)::int from seat_plan where venue_id = ?) as plans`,
          [venueId, venueId],
        );
        if (uses && (uses.events > 0 || uses.plans > 0)) return new VenueInUseError(uses.events, uses.plans);
        await em.execute('delete from venue where id = ?', [venueId]);
        return venueId;
      },
      { name: 'delete-venue' },
    );
  }

  /** Null for an id nobody knows. */
  planOf(planId: string): Promise<SeatPlan | null> {
    return this.plans.planOf(planId);
  }

  /** All seats of a plan, and the numbers of the first and last one of a section; of an unknown section there is none. */
  async seatsOf(planId: string, section: string | null): Promise<{ seats: readonly PlanSeat[]; from: number; to: number }> {
    const plan = await this.plans.planOf(planId);
    const seats = plan?.seats ?? [];
    if (section === null) return { seats, from: 0, to: seats.length - 1 };
    return { seats, ...(plan?.sections.find(({ name }) => name === section) ?? { from: 0, to: -1 }) };
  }

  /** Of a venue, by name and id; `after`: the last of the page before. */
  async plansOf(em: EntityManager, venueId: string, after: readonly [string, string] | null, limit: number): Promise<SeatPlanHead[]> {
    const { rows } = await this.database.pool.query({
      text: `select p.* from seat_plan p where p.venue_id = $1 and ($2::text is null or (p.name, p.id) > ($2, $3::uuid))
             order by p.name, p.id limit $4`,
      values: [venueId, ...(after ?? [null, null]), limit],
    });
    return rows.map((row) => em.map(SeatPlanHead, row));
  }

  async countPlansOf(venueId: string): Promise<number> {
    const { rows } = await this.database.pool.query({
      text: 'select count(*)::int as count from seat_plan where venue_id = $1',
      values: [venueId],
    });
    return rows[0].count;
  }

  async importPlan(owner: Owner, { venueId, name, format, content, idempotencyKey }: PlanToImport): Promise<{ planId: string } | Refusal> {
    // Reading a large file takes a second: not while a transaction is open, and not for somebody who may not import here.
    const { rows } = await this.database.pool.query('select owner_id from venue where id = $1', [venueId]);
    if (!rows[0] || !mayChange(owner, rows[0].owner_id)) return new VenueNotFoundError();
    const given = name === null ? null : plainTextOf(name, PLAN_NAME_MAX);
    if (name !== null && given === null) return planNameError();
    const plan = await readSeatPlan(format, content);
    if (plan instanceof Refusal) return plan;
    const called = given ?? plan.name;
    if (called === null) return planNameError();

    const request = { venueId, name, format, sha256: hash('sha256', content, 'hex') };
    return this.database.transact(
      async (em) => {
        // Whoever deletes the venue at this moment has done so, or waits and then counts this plan.
        const venue = await em.execute<unknown[]>('select 1 from venue where id = ? for key share', [venueId]);
        if (venue.length === 0) return new VenueNotFoundError();
        return idempotently(em, { memberId: owner.memberId, key: idempotencyKey, operation: 'importSeatPlan', request }, async () => ({
          planId: await insertPlan(em, venueId, { ...plan, name: called }),
        }));
      },
      { name: 'import-seat-plan', statementTimeoutMs: IMPORT_STATEMENT_MS },
    );
  }

  async deletePlan(owner: Owner, planId: string): Promise<string | Refusal> {
    const deleted = await this.database.transact(
      async (em) => {
        // As with venues: no performance can begin to use it meanwhile.
        const [plan] = await em.execute<{ owner_id: string }[]>(
          'select v.owner_id from seat_plan p join venue v on v.id = p.venue_id where p.id = ? for update of p',
          [planId],
        );
        if (!plan || !mayChange(owner, plan.owner_id)) return new SeatPlanNotFoundError();
        const [uses] = await em.execute<{ performances: number }[]>(
          'select count(*)::int as performances from performance where plan_id = ?',
          [planId],
        );
        if (uses && uses.performances > 0) return new SeatPlanInUseError(uses.performances);
        await em.execute('delete from seat_plan where id = ?', [planId]);
        return planId;
      },
      { name: 'delete-seat-plan' },
    );
    if (!(deleted instanceof Refusal)) this.plans.forget(planId);
    return deleted;
  }
}

/** Without an index: there are as many venues as a city has, not as many as it has people. */
const FOUND = '($1::text is null or strpos(lower(v.name), lower($1)) > 0 or strpos(lower(v.address), lower($1)) > 0)';

const mayChange = ({ memberId, role }: Owner, ownerId: string) => memberId === ownerId || atLeast(role, 'ADMIN');

/** The plan and all its seats in one statement, in the caller's transaction. */
export async function insertPlan(
  em: EntityManager,
  venueId: string,
  { name, focus, seats }: { name: string; focus: ReadPlan['focus']; seats: readonly PlanSeat[] },
): Promise<string> {
  const [row] = await em.execute<{ id: string }[]>(
    `with plan as (insert into seat_plan (venue_id, name, focus_x, focus_y) values (?, ?, ?, ?) returning id),
     seats as (
       insert into plan_seat (plan_id, number, section, row, label, x, y, zone, is_accessible, is_companion, sale)
       select plan.id, s.number, s.section, s.row, s.label, s.x, s.y, s.zone, s."isAccessible", s."isCompanion", s.sale
       from plan, jsonb_to_recordset(?::jsonb) as s(number int, section text, row text, label text, x real, y real, zone text,
         "isAccessible" boolean, "isCompanion" boolean, sale text))
     select id from plan`,
    [venueId, name, focus.x, focus.y, JSON.stringify(seats)],
  );
  if (!row) throw new Error('The statement that inserts a seat plan returned none.');
  return row.id;
}

const planNameError = () =>
  new VenueInputError(
    'name',
    `Name the plan with 1 to ${PLAN_NAME_MAX} characters without control characters.`,
    `좌석 배치도 이름은 제어 문자가 없는 1~${PLAN_NAME_MAX}자여야 합니다.`,
  );

/** What is given, as it is stored, or what is wrong with it. */
function checked<Given extends Partial<VenueFields>>(given: Given): Given | VenueInputError {
  const stored: Partial<VenueFields> = { ...given };
  for (const [field, max, ko] of [
    ['name', VENUE_NAME_MAX, '공연장 이름'],
    ['address', ADDRESS_MAX, '주소'],
  ] as const) {
    const value = given[field];
    if (value === undefined) continue;
    const text = plainTextOf(value, max);
    if (text === null)
      return new VenueInputError(
        field,
        `The ${field} must have 1 to ${max} characters, on one line and without control characters.`,
        `${ko}는 제어 문자가 없는 1~${max}자 한 줄이어야 합니다.`,
      );
    stored[field] = text;
  }
  for (const [field, max] of [
    ['latitude', 90],
    ['longitude', 180],
  ] as const)
    if (given[field] !== undefined && !(Math.abs(given[field]) <= max))
      return new VenueInputError(
        field,
        `The ${field} must be -${max} to ${max} degrees.`,
        `${field === 'latitude' ? '위도' : '경도'}는 -${max}도에서 ${max}도 사이여야 합니다.`,
      );
  if (given.timeZone !== undefined) {
    const zone = timeZoneOf(given.timeZone);
    if (!zone)
      return new VenueInputError(
        'timeZone',
        'There is no such time zone. Use an IANA name, for example Asia/Seoul.',
        'IANA 시간대 이름이 아닙니다. 예: Asia/Seoul.',
      );
    stored.timeZone = zone;
  }
  return stored as Given;
}

/** The usual spelling of an IANA time zone, or null. An offset is none: it does not know summer time. */
function timeZoneOf(name: string): string | null {
  if (name.length > 100 || !/^[a-z]/i.test(name)) return null;
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone;
  } catch {
    return null;
  }
}
