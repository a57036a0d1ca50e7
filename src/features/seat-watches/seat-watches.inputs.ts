import { Field, ID, InputType, Int } from 'type-graphql';

/** Seats named in one input: more than a member may follow would be refused anyway. */
export const SEATS_MAX = 10;
/** Watches of one performance that wait at once, for one member. A family and a second choice; not a whole section. */
export const WATCHES_WAITING_MAX = 10;
/** Places of a tier that one watch asks for; the limit of the performance for one member may be lower. */
export const QUANTITY_MAX = 10;
export const UNWATCHED_MAX = 20;

@InputType('WatchSeatsInput', { description: 'What to follow: either `seats` or `tierId`.' })
export class WatchSeatsInput {
  @Field(() => ID, { description: 'The id of the performance.' })
  performanceId!: string;

  @Field(() => [Int], {
    nullable: true,
    description: `The numbers of taken seats, 1 to ${SEATS_MAX} different ones. Null or absent with \`tierId\`.`,
  })
  seats?: number[] | null;

  @Field(() => ID, {
    nullable: true,
    description:
      'A tier of which nothing is free: whatever of it is given back is offered, whichever seat it is. Null or absent with `seats`.',
  })
  tierId?: string | null;

  @Field(() => Int, {
    nullable: true,
    description: `Only for a tier without numbered seats: how many places, all at once, 1 to ${QUANTITY_MAX} and no more than a member may buy. Absent or null: 1.`,
  })
  quantity?: number | null;

  @Field(() => String, { description: 'Made by you before the first try, 1 to 200 visible ASCII characters.' })
  idempotencyKey!: string;
}

@InputType('UnwatchSeatsInput', { description: 'What to stop following.' })
export class UnwatchSeatsInput {
  @Field(() => [ID], { description: `The ids of watches of yours, 1 to ${UNWATCHED_MAX}.` })
  watchIds!: string[];
}
