import type pg from 'pg';
import type { SeatPlan, SeatPlans } from '../venues/index.ts';
import { AVAILABLE, BLOCKED, type SectionedSeatMap } from './seat-map.ts';
import type { SeatMaps } from './seat-maps.ts';

/** How much of a tier is left. */
export interface TierAvailability {
  tierId: string;
  priceMinor: number;
  capacity: number;
  free: number;
}

/** How much of a section is left. */
export interface SectionAvailability {
  section: string;
  capacity: number;
  free: number;
  /** The least price of its seats; null where none of its zones has one. */
  priceFromMinor: number | null;
}

export interface PerformanceAvailability {
  id: string;
  tiers: TierAvailability[];
  sections: SectionAvailability[];
}

/** The seats of one version of a map, counted. */
interface Counts {
  zones: Map<string, Count>;
  sections: { name: string; zones: Set<string>; count: Count }[];
}
interface Count {
  capacity: number;
  free: number;
}

/**
 * What is left of performances by tier and section, for pages that list many of them. The counts of a map are kept with its version, and versions are
 * read anew each time: so what has changed is counted again and nothing else, in one statement for all that have.
 */
export class PerformanceAvailabilities {
  private readonly counted = new Map<string, { version: number; counts: Promise<Counts | undefined> }>();

  constructor(
    private readonly pool: pg.Pool,
    private readonly maps: SeatMaps,
    private readonly plans: SeatPlans,
  ) {}

  async of(performanceIds: readonly string[]): Promise<PerformanceAvailability[]> {
    const { rows } = await this.pool.query<Row>({ name: 'performance_tiers', text: TIERS, values: [performanceIds] });
    this.count(rows.filter(({ planId }) => planId !== null));
    return Promise.all(rows.map(async (row) => availabilityOf(row, row.planId ? await this.counted.get(row.id)?.counts : undefined)));
  }

  /** Begins to count what is newer than the counts there are. Who comes meanwhile with the same version shares them. */
  private count(rows: readonly Row[]): void {
    const changed = rows.filter(({ id, version }) => (this.counted.get(id)?.version ?? 0) < version);
    const unknown = changed.filter(({ id, version }) => (this.maps.known(id)?.version ?? 0) < version);
    const reading = unknown.length > 0 ? this.maps.readAll(unknown.map(({ id }) => id)) : Promise.resolve([]);
    for (const { id, version } of changed) {
      const known = unknown.some((row) => row.id === id) ? undefined : this.maps.known(id);
      const counts = this.countsOf(known ? Promise.resolve(known) : reading.then((maps) => maps.find((map) => map.id === id)));
      this.keep(id, version, counts);
    }
  }

  private async countsOf(reading: Promise<SectionedSeatMap | undefined>): Promise<Counts | undefined> {
    const map = await reading;
    const plan = map && (await this.plans.planOf(map.planId));
    return plan ? countsOf(map, plan) : undefined;
  }

  private keep(id: string, version: number, counts: Promise<Counts | undefined>): void {
    const entry = { version, counts };
    this.counted.delete(id);
    if (this.counted.size >= COUNTED_MAX) this.counted.delete(this.counted.keys().next().value as string);
    this.counted.set(id, entry);
    const forget = () => void (this.counted.get(id) === entry && this.counted.delete(id));
    counts.then((found) => found ?? forget(), forget);
  }
}

interface Row {
  id: string;
  planId: string | null;
  version: number;
  tiers: { id: string; zone: string | null; priceMinor: number; capacity: number | null; free: number | null }[];
}

/** Some kilobytes each. */
const COUNTED_MAX = 2_000;

/** Places without numbers are counted by their own pools. */
const TIERS = `
  select f.id, f.plan_id as "planId", p.version,
    (select coalesce(json_agg(json_build_object('id', t.id, 'zone', t.zone, 'priceMinor', t.price_minor, 'capacity', a.capacity, 'free', a.free) order by t.position), '[]')
     from tier t left join pool_availability a on a.id = t.id and t.zone is null where t.performance_id = f.id) as tiers
  from performance f join pool p on p.id = f.id where f.id = any ($1::uuid[])`;

function countsOf({ states }: SectionedSeatMap, { seats, sections }: SeatPlan): Counts {
  const zones = new Map<string, Count>();
  const counted = sections.map(({ name, from, to }) => {
    const section = { name, zones: new Set<string>(), count: { capacity: 0, free: 0 } };
    for (let number = from; number <= to; number++) {
      const zone = seats[number]?.zone as string;
      const ofZone = zones.get(zone) ?? { capacity: 0, free: 0 };
      zones.set(zone, ofZone);
      section.zones.add(zone);
      for (const count of [ofZone, section.count]) {
        if (states[number] !== BLOCKED) count.capacity++;
        if (states[number] === AVAILABLE) count.free++;
      }
    }
    return section;
  });
  return { zones, sections: counted };
}

function availabilityOf({ id, tiers }: Row, counts: Counts | undefined): PerformanceAvailability {
  return {
    id,
    tiers: tiers.map(({ id: tierId, zone, priceMinor, capacity, free }) => {
      const ofZone = zone === null ? { capacity, free } : counts?.zones.get(zone);
      return { tierId, priceMinor, capacity: ofZone?.capacity ?? 0, free: ofZone?.free ?? 0 };
    }),
    sections: (counts?.sections ?? []).map(({ name, zones, count }) => {
      const prices = tiers.filter(({ zone }) => zone !== null && zones.has(zone)).map(({ priceMinor }) => priceMinor);
      return { section: name, ...count, priceFromMinor: prices.length > 0 ? Math.min(...prices) : null };
    }),
  };
}
