import type { Feature } from '../feature.ts';
import { SeatWatchType } from './seat-watch.types.ts';
import { seatWatchesChecks } from './seat-watches.checks.ts';
import { SeatWatchesResolver, SeatWatchResolver } from './seat-watches.resolver.ts';
import type { SeatWatchesService } from './seat-watches.service.ts';

/** Following taken seats and tiers, to be offered them when they are given back. */
export const seatWatches: Feature = {
  name: 'seat-watches',
  resolvers: [SeatWatchesResolver, SeatWatchResolver],
  orphanedTypes: [SeatWatchType],
  checks: seatWatchesChecks,
};

export const seatWatchesResolvers = (service: SeatWatchesService): object[] => [new SeatWatchesResolver(service)];

export { type FollowedByMember, followedByMembers, sameFollowed, tellingFollowers } from './live-watches.ts';
export { OFFER_SECONDS, SeatOffers } from './seat-offers.ts';
export { visibleSeatWatch } from './seat-watches.loaders.ts';
export { SeatWatchesService } from './seat-watches.service.ts';
