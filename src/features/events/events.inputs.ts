import { Field, ID, InputType, Int } from 'type-graphql';
import { LocalDate } from '../../platform/graphql/scalars.ts';
import { CancellationStepInput } from '../holds/index.ts';
import type { Category } from './event.entity.ts';
import { CategoryEnum } from './event.types.ts';

const KEY = 'Made by you before the first try, 1 to 200 visible ASCII characters: a double-submitted form makes';

@InputType('EventFilter', { description: 'Which events to list: those for which all of this is true. Absent and null mean: whatever.' })
export class EventFilter {
  @Field(() => CategoryEnum, { nullable: true, description: 'Only events of this kind.' })
  category?: Category | null;

  @Field(() => ID, { nullable: true, description: 'Only events at this venue.' })
  venueId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only events of this organizer, as `Event.organizerId` says it.' })
  organizerId?: string | null;

  @Field(() => Date, {
    nullable: true,
    description: 'Only events with a performance that begins at this instant or later, and before `to`.',
  })
  from?: Date | null;

  @Field(() => Date, {
    nullable: true,
    description: 'Only events with a performance that begins before this instant, and not before `from`.',
  })
  to?: Date | null;
}

@InputType('PerformanceFilter', {
  description: 'Which performances to list: those for which all of this is true. Absent and null mean: whatever.',
})
export class PerformanceFilter {
  @Field(() => LocalDate, { nullable: true, description: 'Only performances that begin on this day in Asia/Seoul.' })
  day?: string | null;

  @Field(() => Date, { nullable: true, description: 'Only performances that begin at this instant or later.' })
  from?: Date | null;

  @Field(() => Date, { nullable: true, description: 'Only performances that begin before this instant.' })
  to?: Date | null;

  @Field(() => CategoryEnum, { nullable: true, description: 'Only of events of this kind.' })
  category?: Category | null;

  @Field(() => ID, { nullable: true, description: 'Only at this venue.' })
  venueId?: string | null;

  @Field(() => ID, { nullable: true, description: 'Only of this event.' })
  eventId?: string | null;

  @Field(() => Boolean, { defaultValue: false, description: 'Only performances whose sale is open now, whether or not anything is left.' })
  onSaleOnly!: boolean;
}

@InputType('CreateEventInput', { description: 'A new event, of the caller.' })
export class CreateEventInput {
  @Field(() => String, { description: 'What it is called, 1 to 200 characters.' })
  title!: string;

  @Field(() => String, { defaultValue: '', description: 'What it is about, at most 20,000 characters of plain text.' })
  body!: string;

  @Field(() => CategoryEnum, { description: 'What kind of event it is.' })
  category!: Category;

  @Field(() => ID, { description: 'The id of the venue. It cannot be changed once there are performances.' })
  venueId!: string;

  @Field(() => String, { description: `${KEY} one event.` })
  idempotencyKey!: string;
}

@InputType('UpdateEventInput', { description: 'What to change. Absent and null: left as it is.' })
export class UpdateEventInput {
  @Field(() => ID, { description: 'The id of the event.' })
  eventId!: string;

  @Field(() => String, { nullable: true, description: 'A new title, 1 to 200 characters.' })
  title?: string | null;

  @Field(() => String, { nullable: true, description: 'Another text, at most 20,000 characters.' })
  body?: string | null;

  @Field(() => CategoryEnum, { nullable: true, description: 'Another kind.' })
  category?: Category | null;

  @Field(() => ID, { nullable: true, description: 'Another venue; only while the event has no performances.' })
  venueId?: string | null;
}

@InputType('TierInput', {
  description: 'What a performance sells at one price: name either `zone`, for numbered seats, or `capacity`, for places without numbers.',
})
export class TierInput {
  @Field(() => String, { description: 'What it is called, 1 to 50 characters, once in its performance.' })
  name!: string;

  @Field(() => Int, { description: 'The price of one seat or place in KRW (won have no minor unit), 0 to 10,000,000.' })
  priceMinor!: number;

  @Field(() => String, { nullable: true, description: 'The zone of the seat plan whose seats it prices.' })
  zone?: string | null;

  @Field(() => Int, { nullable: true, description: 'Places without numbers, 0 to 100,000.' })
  capacity?: number | null;
}

@InputType('CreatePerformanceInput', { description: 'A new performance, with everything it sells.' })
export class CreatePerformanceInput {
  @Field(() => ID, { description: 'The id of the event.' })
  eventId!: string;

  @Field(() => Date, { description: 'When it begins, in the future.' })
  startsAt!: Date;

  @Field(() => Date, { description: 'When it ends, at most 31 days after it begins.' })
  endsAt!: Date;

  @Field(() => Date, { nullable: true, description: 'When the sale opens. Absent or null: at once.' })
  onSaleFrom?: Date | null;

  @Field(() => Date, { nullable: true, description: 'When the sale closes, at the latest when it ends. Absent or null: when it begins.' })
  onSaleUntil?: Date | null;

  @Field(() => Int, { defaultValue: 8, description: 'Seats and places one member may have of it, 1 to 100.' })
  perMemberMax!: number;

  @Field(() => Int, { defaultValue: 300, description: 'Seconds a member has to begin to pay for what is held, 30 to 3,600.' })
  holdSeconds!: number;

  @Field(() => [CancellationStepInput], {
    nullable: true,
    description:
      'What goes back when something paid is cancelled, at most 5 steps in any order. ' +
      'Absent or null: everything until it begins. Empty: nothing, it cannot be cancelled.',
  })
  cancellation?: CancellationStepInput[] | null;

  @Field(() => ID, {
    nullable: true,
    description: "The id of a seat plan of the event's venue. Absent or null: no numbered seats. It cannot be changed later.",
  })
  planId?: string | null;

  @Field(() => [TierInput], {
    description:
      'What it sells, 1 to 20, in the order to show it: exactly one for each zone of the plan, and any number for places without numbers.',
  })
  tiers!: TierInput[];

  @Field(() => String, { description: `${KEY} one performance.` })
  idempotencyKey!: string;
}

@InputType('UpdatePerformanceInput', {
  description:
    'What to change. Absent: left as it is. Null is the same, but for the ends of the sale window. What is held already keeps its deadline.',
})
export class UpdatePerformanceInput {
  @Field(() => ID, { description: 'The id of the performance.' })
  performanceId!: string;

  @Field(() => Date, {
    nullable: true,
    description: 'When it begins, in the future. A sale that closed when it was to begin moves along, unless `onSaleUntil` says otherwise.',
  })
  startsAt?: Date | null;

  @Field(() => Date, { nullable: true, description: 'When it ends, at most 31 days after it begins.' })
  endsAt?: Date | null;

  @Field(() => Date, { nullable: true, description: 'When the sale opens; null: it is open.' })
  onSaleFrom?: Date | null;

  @Field(() => Date, { nullable: true, description: 'When the sale closes, at the latest when it ends; null: when it begins.' })
  onSaleUntil?: Date | null;

  @Field(() => Int, {
    nullable: true,
    description: 'Seats and places one member may have of it, from what a member has already up to 100.',
  })
  perMemberMax?: number | null;

  @Field(() => Int, { nullable: true, description: 'Seconds to begin to pay for what is held from now on, 30 to 3,600.' })
  holdSeconds?: number | null;

  @Field(() => [CancellationStepInput], {
    nullable: true,
    description:
      'Another cancellation policy, at most 5 steps in any order. Empty: what is paid cannot be cancelled. ' +
      'Payments that have begun keep the policy they were begun under.',
  })
  cancellation?: CancellationStepInput[] | null;
}

@InputType('UpdateTierInput', { description: 'What to change. Absent and null: left as it is.' })
export class UpdateTierInput {
  @Field(() => ID, { description: 'The id of the tier.' })
  tierId!: string;

  @Field(() => String, { nullable: true, description: 'A new name, 1 to 50 characters, once in its performance.' })
  name?: string | null;

  @Field(() => Int, { nullable: true, description: 'A new price in KRW, 0 to 10,000,000. What is held or sold keeps its price.' })
  priceMinor?: number | null;
}

@InputType('ChangeTierCapacityInput', { description: 'A new number of places without numbers.' })
export class ChangeTierCapacityInput {
  @Field(() => ID, { description: 'The id of the tier.' })
  tierId!: string;

  @Field(() => Int, { description: 'Places, from what is held and sold up to 100,000.' })
  capacity!: number;
}

@InputType('DeleteEventInput', { description: 'Which event to delete.' })
export class DeleteEventInput {
  @Field(() => ID, { description: 'The id of the event.' })
  eventId!: string;
}

@InputType('DeletePerformanceInput', { description: 'Which performance to delete.' })
export class DeletePerformanceInput {
  @Field(() => ID, { description: 'The id of the performance.' })
  performanceId!: string;
}

@InputType('ClosePerformanceSaleInput', { description: 'Which sale to close.' })
export class ClosePerformanceSaleInput {
  @Field(() => ID, { description: 'The id of the performance.' })
  performanceId!: string;
}

@InputType('ReleaseHouseSeatsInput', { description: 'Which seats to put on sale.' })
export class ReleaseHouseSeatsInput {
  @Field(() => ID, { description: 'The id of the performance.' })
  performanceId!: string;

  @Field(() => [Int], { description: 'The numbers of the seats in the plan, 1 to 100.' })
  seats!: number[];
}

@InputType('BlockSeatsInput', { description: 'Which seats to take out of the sale.' })
export class BlockSeatsInput {
  @Field(() => ID, { description: 'The id of the performance.' })
  performanceId!: string;

  @Field(() => [Int], { description: 'The numbers of the seats in the plan, 1 to 100.' })
  seats!: number[];
}

@InputType('AddDoorStaffInput', { description: 'Who may check the tickets of an event from now on.' })
export class AddDoorStaffInput {
  @Field(() => ID, { description: 'The id of the event.' })
  eventId!: string;

  @Field(() => String, { description: 'The e-mail address they sign in with, at most 254 characters.' })
  email!: string;
}

@InputType('RemoveDoorStaffInput', { description: 'Who may not check the tickets of an event any more.' })
export class RemoveDoorStaffInput {
  @Field(() => ID, { description: 'The id of the event.' })
  eventId!: string;

  @Field(() => ID, { description: 'The id of the member, as `Event.doorStaff` says it.' })
  memberId!: string;
}
