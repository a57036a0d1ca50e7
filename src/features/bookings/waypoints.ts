/**
 * The places of the saga where something has just become true that the next line depends on: a commit, or the answer of a provider. A process that dies at
 * any of them must leave a payment that the next one ends well; the tests kill one at each.
 */
export const WAYPOINTS = [
  'payment-opened',
  'prepare-answered',
  'paying-started',
  'approval-recorded',
  'approval-answered',
  'find-answered',
  'void-answered',
  'payment-concluded',
  'refund-recorded',
  'refund-answered',
  'refund-concluded',
] as const;
export type Waypoint = (typeof WAYPOINTS)[number];

/** Called at each waypoint that is passed. */
export type ReachWaypoint = (waypoint: Waypoint) => void;
