/** What a seat is to somebody who looks at the map: two bits each. The position is the code. */
export const SEAT_STATES = ['AVAILABLE', 'HELD', 'SOLD', 'BLOCKED'] as const;
export type SeatState = (typeof SEAT_STATES)[number];

/** The seats of a performance at one version. Versions are those of its pool. */
export interface SeatMap {
  /** The performance. */
  id: string;
  version: number;
  /** By seat number: the code of its state. A seat that is kept for a follower reads HELD. */
  states: Uint8Array;
  /** By seat number: the version that changed it last. */
  changedIn: Int32Array;
}
