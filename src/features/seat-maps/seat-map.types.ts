import { Field, ID, Int, ObjectType } from 'type-graphql';
import { Price } from '../../platform/graphql/price.ts';
import type { SeatMapChange, SectionStates } from './seat-map-change.ts';

@ObjectType('SectionStates', { description: 'The states of the seats of one section, packed.' })
export class SectionStatesType implements SectionStates {
  @Field(() => String, { description: 'The name of the section.' })
  section!: string;

  @Field(() => Int, { description: 'The number of its first seat; the others follow without gaps.' })
  from!: number;

  @Field(() => Int, { description: 'How many seats it has, those that are not for sale among them.' })
  count!: number;

  @Field(() => Int, { description: 'How many of them are available.' })
  free!: number;

  @Field(() => String, {
    description:
      'Base64 of two bits for each seat: 0 available, 1 held, 2 sold, 3 not for sale. Seat `from + i` is at bits `2i` and `2i + 1`, counted from the least ' +
      'significant bit of the first byte: `(bytes[i >> 2] >> (2 * (i & 3))) & 3`.',
  })
  states!: string;
}

@ObjectType('SeatMapChange', {
  description:
    'What leads to a version of the seat map of a performance: the whole map where `since` is null, else what has changed since the version in `since`, ' +
    'whatever happened in between. Seats are called by their numbers in the plan.',
})
export class SeatMapChangeType implements SeatMapChange {
  @Field(() => ID, { description: 'The id of the performance.' })
  performanceId!: string;

  @Field(() => Int, { description: 'The version of the map you have once you have applied this. Give it as `after` when you come back.' })
  version!: number;

  @Field(() => Int, {
    nullable: true,
    description: 'The version this is a change of: the one you have. Null: this is the whole map, forget what you have.',
  })
  since!: number | null;

  @Price(0, { size: 20 })
  @Field(() => [SectionStatesType], {
    description: 'Every section in the order of the plan, at most as many as it has. Empty unless this is the whole map.',
  })
  sections!: SectionStates[];

  @Field(() => [Int], { description: 'Seats that can be taken now and could not, or that changed and can again. Empty in a whole map.' })
  available!: number[];

  @Field(() => [Int], {
    description:
      'Seats that somebody holds, or that are kept for some seconds for whoever follows them. One whose hold has run out stays here until it is tidied, about a ' +
      'second later. Empty in a whole map.',
  })
  held!: number[];

  @Field(() => [Int], { description: 'Seats that are paid for. Empty in a whole map.' })
  sold!: number[];

  @Field(() => [Int], { description: 'Seats that were taken out of the sale. Empty in a whole map.' })
  blocked!: number[];

  @Field(() => Date, { description: 'When it was so, by the database clock.' })
  at!: Date;
}
