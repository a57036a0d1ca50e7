import { GraphQLError } from 'graphql';
import { uuidOf } from '../../platform/graphql/node-ids.ts';
import type { ChangeSource } from '../../platform/subscriptions/hub.ts';
import type { SectionedSeatMap } from './seat-map.ts';
import { changeSince } from './seat-map-change.ts';
import type { SeatMaps } from './seat-maps.ts';

/** What the hub needs to serve `seatsChanged`. */
export const seatsChangedSource = (maps: SeatMaps): ChangeSource<SectionedSeatMap> => ({
  live: maps,
  idOf: performanceOf,
  resumeArgument: 'after',
  afterOf,
  changeSince,
});

/** The performance that the arguments name. */
export const performanceOf = ({ performanceId }: Record<string, unknown>): string => uuidOf(performanceId as string, 'Performance');

/** The version that the arguments say somebody has. */
export function afterOf({ after }: Record<string, unknown>): number | undefined {
  if (after === null || after === undefined) return undefined;
  if ((after as number) >= 1) return after as number;
  throw new GraphQLError('`after` is the version of a map you were sent, at least 1; leave it out to get the whole map.', {
    extensions: { code: 'BAD_USER_INPUT' },
  });
}
