import { Field, Int, ObjectType } from 'type-graphql';

/** An amount as it is stored: an integer of the currency's smallest unit. Never a float, never a formatted text. */
@ObjectType('Money', { description: 'An amount of money, exact, in the smallest unit of its currency.' })
export class Money {
  @Field(() => Int, {
    description:
      'The amount in minor units: cents for EUR or USD. A currency without minor units counts whole ones, so 1 is ₩1 in KRW. Negative for money that goes back.',
  })
  amountMinor!: number;

  @Field(() => String, { description: 'The currency as three upper-case letters of ISO 4217, for example `KRW`.' })
  currency!: string;
}
