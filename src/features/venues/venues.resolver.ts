import { FieldResolver, ID, Resolver, Root } from 'type-graphql';
import { toNodeId } from '../../platform/graphql/node-ids.ts';
import type { Venue } from './venue.entity.ts';
import { VenueType } from './venue.types.ts';

@Resolver(() => VenueType)
export class VenueResolver {
  @FieldResolver(() => ID)
  id(@Root() venue: Venue): string {
    return toNodeId('Venue', venue.id);
  }
}
