import type { SeatPlan } from '../venues/index.ts';

/** What a seat is to somebody who looks at the map: two bits each. The position is the code. */
export const SEAT_STATES = ['AVAILABLE', 'HELD', 'SOLD', 'BLOCKED'] as const;
export type SeatState = (typeof SEAT_STATES)[number];

export const AVAILABLE = SEAT_STATES.indexOf('AVAILABLE');
/** Also what a seat of the plan reads that the performance does not have. */
export const BLOCKED = SEAT_STATES.indexOf('BLOCKED');

/** The seats of a performance at one version. Versions are those of its pool. A map is never changed: the next version is another map. */
export interface SeatMap {
  /** The performance. */
  id: string;
  version: number;
  /** By seat number: the code of its state. A seat that is kept for a follower reads HELD. */
  states: Uint8Array;
  /** By seat number: the version that changed it last. */
  changedIn: Int32Array;
}

/** A map with what it takes to tell somebody about it. */
export interface SectionedSeatMap extends SeatMap {
  planId: string;
  sections: SeatPlan['sections'];
  /** When it was so, by the database's clock. */
  at: Date;
}
