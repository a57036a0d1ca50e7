import { Field, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { Connection, type ConnectionPage } from '../../platform/graphql/connections.ts';
import { enumOf } from '../../platform/graphql/enums.ts';
import { Money } from '../../platform/graphql/money.ts';
import { Node } from '../../platform/graphql/node-ids.ts';
import { Price } from '../../platform/graphql/price.ts';
import { AvailabilityType, type CancellationStep, CancellationStepType } from '../holds/index.ts';
import { VenueType } from '../venues/index.ts';
import { CATEGORIES, type Category, type Event, type Performance, type Tier } from './event.entity.ts';

export const CategoryEnum = enumOf(CATEGORIES);
registerEnumType(CategoryEnum, {
  name: 'EventCategory',
  description: 'What kind of event it is.',
  valuesConfig: {
    CONCERT: { description: 'Popular music.' },
    MUSICAL: { description: 'A musical.' },
    PLAY: { description: 'A play.' },
    CLASSICAL: { description: 'Classical and traditional music, opera.' },
    DANCE: { description: 'Ballet, contemporary and traditional dance.' },
    COMEDY: { description: 'Stand-up and sketches.' },
    EXHIBITION: { description: 'An exhibition.' },
    FESTIVAL: { description: 'A festival.' },
    SPORTS: { description: 'A match or a race.' },
    TALK: { description: 'A talk, a reading, a conference.' },
  },
});

@ObjectType('DoorStaff', { description: 'Somebody who may check tickets of an event. Shown to its organizer and to administrators.' })
export class DoorStaffType {
  @Field(() => ID, { description: 'The id of the member, for `removeDoorStaff`.' })
  memberId!: string;

  @Field(() => String, { description: 'The name the member shows to others, at most 50 characters.' })
  displayName!: string;

  @Field(() => String, { description: 'The e-mail address the member signs in with, at most 254 characters.' })
  email!: string;

  @Field(() => Date, { description: 'When they were added.' })
  addedAt!: Date;
}

@ObjectType('Event', { implements: Node, description: 'Something that is shown, once or often. Anyone may read it.' })
export class EventType implements Pick<Event, 'title' | 'body' | 'category' | 'createdAt'> {
  @Field(() => ID, { description: 'The opaque id.' })
  id!: string;

  @Field(() => String, { description: 'What it is called, at most 200 characters.' })
  title!: string;

  @Field(() => String, { description: 'What it is about, at most 20,000 characters of plain text. May be empty.' })
  body!: string;

  @Field(() => CategoryEnum, { description: 'What kind of event it is.' })
  category!: Category;

  @Field(() => Date, { description: 'When it was announced here.' })
  createdAt!: Date;

  @Price(1)
  @Field(() => VenueType, { description: 'Where it is shown.' })
  venue?: VenueType;

  @Field(() => ID, { description: 'The id of the organizer, for `events(filter: { organizerId })`. It tells nothing else of them.' })
  organizerId!: string;

  @Price(1)
  @Field(() => String, { description: 'The name the organizer shows to others, at most 50 characters.' })
  organizerName?: string;

  @Price(1, { multipliedBy: 'first' })
  @Field(() => PerformanceConnection, { description: 'Its performances by their beginning, past ones too.' })
  performances?: ConnectionPage<object>;

  @Price(1, { size: 100 })
  @Field(() => [DoorStaffType], {
    nullable: true,
    description:
      'Who may check its tickets, those who were added first first, at most 100. Null for anyone but its organizer and administrators.',
  })
  doorStaff?: DoorStaffType[] | null;
}

@ObjectType('Tier', {
  implements: Node,
  description: 'One price of a performance: for the seats of a zone, or for places without numbers. Anyone may read it.',
})
export class TierType implements Pick<Tier, 'name' | 'zone'> {
  @Field(() => ID, { description: 'The opaque id. For places without numbers also that of their availability.' })
  id!: string;

  @Field(() => String, { description: 'What it is called, at most 50 characters.' })
  name!: string;

  @Price(0)
  @Field(() => Money, { description: 'The price of one seat or place, 0 to 10,000,000 won. A hold keeps the price it was placed at.' })
  price?: Money;

  @Field(() => String, { nullable: true, description: 'The zone of the seat plan whose seats it prices. Null: places without numbers.' })
  zone!: string | null;

  @Price(1)
  @Field(() => AvailabilityType, {
    nullable: true,
    description:
      'How many places without numbers are left now; watch it with `availabilityChanged(ids: [<this id>])`. Null for a tier of numbered seats, ' +
      'which are counted by their performance.',
  })
  availability?: AvailabilityType | null;
}

@ObjectType('Performance', { implements: Node, description: 'One showing of an event. Anyone may read it.' })
export class PerformanceType implements Pick<Performance, 'startsAt' | 'endsAt' | 'cancellation'> {
  @Field(() => ID, { description: 'The opaque id. Where there are numbered seats also that of their availability.' })
  id!: string;

  @Price(1)
  @Field(() => EventType, { description: 'What is shown.' })
  event?: EventType;

  @Field(() => Date, { description: 'When it begins.' })
  startsAt!: Date;

  @Field(() => Date, { description: 'When it ends, at most 31 days after it begins.' })
  endsAt!: Date;

  @Price(1)
  @Field(() => Date, { nullable: true, description: 'When the sale opens. Null: it is open until it closes.' })
  onSaleFrom?: Date | null;

  @Price(1)
  @Field(() => Date, { nullable: true, description: 'When the sale closes. Null: it does not close by itself.' })
  onSaleUntil?: Date | null;

  @Price(1)
  @Field(() => Int, { description: 'Seats and places one member may have of it, paid and unpaid, 1 to 100.' })
  perMemberMax?: number;

  @Price(1)
  @Field(() => Int, { description: 'Seconds a member has to begin to pay for what is held, 30 to 3,600.' })
  holdSeconds?: number;

  @Price(1, { size: 5 })
  @Field(() => [CancellationStepType], {
    description:
      'What you get back when you cancel after paying, from the longest notice to the shortest, at most 5 steps. ' +
      'Empty: what is paid cannot be cancelled. A payment keeps the policy it was begun under.',
  })
  cancellation!: CancellationStep[];

  @Field(() => ID, { nullable: true, description: 'The id of the seat plan of its numbered seats. Null: it has none.' })
  seatPlanId?: string | null;

  @Price(1, { size: 20 })
  @Field(() => [TierType], { description: 'What it sells, in the order the organizer gave, at most 20.' })
  tiers?: TierType[];

  @Price(1)
  @Field(() => AvailabilityType, {
    nullable: true,
    description:
      'How many numbered seats are left now; watch it with `availabilityChanged(ids: [<this id>])`. Null: it has no numbered seats, and its tiers say what is left.',
  })
  availability?: AvailabilityType | null;
}

export const { ConnectionType: EventConnection, EdgeType: EventEdge } = Connection('Event', EventType);
export const { ConnectionType: PerformanceConnection, EdgeType: PerformanceEdge } = Connection('Performance', PerformanceType);
