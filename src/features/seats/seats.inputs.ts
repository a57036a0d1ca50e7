import { Field, ID, InputType, Int } from 'type-graphql';
import type { IfPaidLate } from '../../inventory/claim.ts';
import { LatePaymentChoiceEnum } from '../holds/index.ts';

/** Of one hold. More than any limit for a member, and what one statement decides in a millisecond. */
export const SEATS_MAX = 50;
/** Tiers of places without numbers in one hold: a performance has at most as many. */
export const PLACES_MAX = 20;
/** Places of one tier in one hold. */
export const QUANTITY_MAX = 50;

@InputType('PlacesInput', { description: 'Places without numbers of one tier.' })
export class PlacesInput {
  @Field(() => ID, { description: 'The id of a tier of the performance that has no numbered seats.' })
  tierId!: string;

  @Field(() => Int, { description: `How many, 1 to ${QUANTITY_MAX}.` })
  quantity!: number;
}

@InputType('HoldTicketsInput', { description: 'What to hold: seats, places, or both.' })
export class HoldTicketsInput {
  @Field(() => ID, { description: 'The id of the performance.' })
  performanceId!: string;

  @Field(() => [Int], {
    defaultValue: [],
    description: `The numbers of seats, in any order, each once, at most ${SEATS_MAX}.`,
  })
  seats!: number[];

  @Field(() => [PlacesInput], { defaultValue: [], description: `Places without numbers, each tier once, at most ${PLACES_MAX} tiers.` })
  places!: PlacesInput[];

  @Field(() => LatePaymentChoiceEnum, {
    defaultValue: 'SAME_OR_EQUAL',
    description:
      'What happens if your payment comes through only after the seats were given up. Equal seats are of the same tiers, and next to each other if yours were; ' +
      'places without numbers have no equal. It cannot be changed later.',
  })
  ifPaidLate!: IfPaidLate;

  @Field(() => String, {
    description: 'Made by you before the first try, 1 to 200 visible ASCII characters. Sending the same again answers with the same hold.',
  })
  idempotencyKey!: string;
}
