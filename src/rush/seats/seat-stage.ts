import { randomUUID } from 'node:crypto';
import {
  RushClosePerformanceSaleDocument,
  RushEventDocument,
  RushPerformanceDocument,
  RushSeatMapDocument,
  RushVenueDocument,
} from '../../../schema/generated/operations.ts';
import { type Administrator, refused } from '../administrator.ts';
import type { Api } from '../api.ts';
import { SetupError } from '../options.ts';
import type { PlanFile } from './house.ts';
import { statesOf } from './map-view.ts';

const DAY_MS = 86_400_000;
/** The dearest zone; each further one costs less. */
const PRICE_MINOR = 165_000;
const PRICE_STEP_MINOR = 22_000;
/** A party of four. */
export const PER_MEMBER_MAX = 4;

/** The map as the query tells, at one version. */
export interface MapState {
  version: number;
  states: Uint8Array;
  at: string;
}

/** The performance of a rehearsal, from its venue to the end of its sale. */
export class SeatStage {
  private readonly api: Api;
  private readonly administrator: Administrator;
  private performanceId: string | undefined;

  constructor(api: Api, administrator: Administrator) {
    this.api = api;
    this.administrator = administrator;
  }

  /** Answers the id of a performance that is on sale, with all seats of the plan. */
  async makePerformance(plan: PlanFile): Promise<string> {
    const key = () => randomUUID();
    const title = `On-sale rehearsal ${new Date().toISOString()}`;
    const { createVenue } = await this.administrator.call(RushVenueDocument, {
      input: { name: title, address: 'Seoul', latitude: 37.5665, longitude: 126.978, idempotencyKey: key() },
    });
    if (createVenue?.__typename !== 'VenueSuccess') throw refused('createVenue', createVenue);
    const venueId = createVenue.venue.id;
    const planId = await this.importPlan(venueId, plan);
    const { createEvent } = await this.administrator.call(RushEventDocument, {
      input: { title, body: 'A rehearsal of a sale.', category: 'CONCERT', venueId, idempotencyKey: key() },
    });
    if (createEvent?.__typename !== 'EventSuccess') throw refused('createEvent', createEvent);
    const startsAt = new Date(Date.now() + 30 * DAY_MS);
    const { createPerformance } = await this.administrator.call(RushPerformanceDocument, {
      input: {
        eventId: createEvent.event?.id ?? '',
        startsAt: startsAt.toISOString(),
        endsAt: new Date(startsAt.getTime() + DAY_MS / 12).toISOString(),
        perMemberMax: PER_MEMBER_MAX,
        planId,
        tiers: zonesOf(plan).map((zone, index) => ({ name: zone, zone, priceMinor: PRICE_MINOR - index * PRICE_STEP_MINOR })),
        idempotencyKey: key(),
      },
    });
    if (createPerformance?.__typename !== 'PerformanceSuccess') throw refused('createPerformance', createPerformance);
    const id = createPerformance.performance?.id ?? '';
    this.performanceId = id;
    return id;
  }

  async map(): Promise<MapState> {
    const { seatMap } = await this.api.call(RushSeatMapDocument, { performanceId: this.performanceId ?? '' });
    if (!seatMap) throw new Error('The performance of the rehearsal is gone.');
    return { version: seatMap.version, states: statesOf(seatMap.sections), at: seatMap.at };
  }

  /** Ends the sale. */
  async close(): Promise<void> {
    if (this.performanceId)
      await this.administrator.call(RushClosePerformanceSaleDocument, { input: { performanceId: this.performanceId } });
  }

  /** Plans are too large for an operation. */
  private importPlan(venueId: string, plan: PlanFile): Promise<string> {
    return this.administrator.signedIn(async (accessToken) => {
      const response = await fetch(`${this.api.origin}/venues/${venueId}/seat-plans?name=${encodeURIComponent(plan.name)}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${accessToken}`, 'idempotency-key': randomUUID() },
        body: JSON.stringify(plan),
      });
      const { seatPlan, error } = (await response.json()) as { seatPlan?: { id: string }; error?: { message: string } };
      if (!seatPlan) throw new SetupError(`The seat plan was not taken (${response.status}): ${error?.message ?? 'no reason given'}`);
      return seatPlan.id;
    });
  }
}

const zonesOf = (plan: PlanFile): string[] => [
  ...new Set(plan.sections.flatMap(({ rows }) => rows.flatMap(({ seats }) => seats.map(({ zone }) => zone)))),
];
